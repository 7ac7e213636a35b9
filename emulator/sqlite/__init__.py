"""sqlite: the one SQLite under Durable Object storage and under D1.

Promises: `database.Database`, an SQLite connection with simulated time, named randomness,
the platform's limits, permissions and error texts. Leaves to others: transactions' meaning,
what values a worker may bind, and result shapes. Only this folder imports apsw.
"""
