"""durable_objects: objects with one thread, storage of their own, and an alarm.

Promises: ids, gates, storage, alarms and life cycle as the platform has them.
Leaves to others: what a worker does with them, and how a world is assembled.
"""
