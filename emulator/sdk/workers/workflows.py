"""Workflows: the one name of theirs that a worker imports.

Promises: an exception that can be raised and caught. Leaves to others: Workflows, which the
emulator does not run.
"""

from __future__ import annotations

__all__ = ["NonRetryableError"]


class NonRetryableError(Exception):
    """A step failed in a way that trying again will not mend."""
