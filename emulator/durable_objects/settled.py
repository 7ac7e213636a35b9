"""Settled: what an asynchronous storage method returns.

Promises: the work was done, or has failed, when the method was called. `await` steps aside
for the ready queue exactly once, then gives the value or raises; other events do not get in
between (a turn lasts until the ready queue has run dry), but other tasks of the same event
do, so that read-modify-writes under one `asyncio.gather` lose updates as on the platform.
Leaves to others: the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Rejected", "Settled"]

T = TypeVar("T")


@final
class Settled(Generic[T]):
    """A promise that is already fulfilled. It may be awaited any number of times.

    Args:
        value: What `await` gives.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, T]:
        yield
        return self._value

    def __repr__(self) -> str:
        return f"<Settled {self._value!r}>"


@final
class Rejected(Generic[T]):
    """A promise that is already rejected. It may be awaited any number of times.

    Args:
        error: What `await` raises.
    """

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __await__(self) -> Generator[None, None, T]:
        yield
        raise self._error

    def __repr__(self) -> str:
        return f"<Rejected {self._error!r}>"
