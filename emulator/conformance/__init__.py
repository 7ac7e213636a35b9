"""Conformance: the same programs here and on workerd, and what differs.

Promises: a program is JSON; its outcome on the emulator is compared with workerd's, or with
what workerd once gave. Leaves to others: running the real runtime (workerd).
"""
