"""Freezing: a test whose function bears `@freeze_time`.

Promises: the decorator is found and taken off, so that time can be frozen before the first
fixture runs, and the simulation starts there. Left on, it would freeze time inside the
running simulation, where only the loop moves time. Leaves to others: holding the frozen
time (the ambient room). freezegun is never imported here.
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["freezers_of"]


def freezers_of(function: Callable[..., Any]) -> tuple[list[Any], Callable[..., Any]]:
    """Split a coroutine function from its `@freeze_time` decorators.

    Args:
        function: As the test module has it; a method may be bound.

    Returns:
        The decorators' objects, outermost first, and the function without them. A decorator
        of somebody else ends the search.
    """
    freeze_time: Any = getattr(sys.modules.get("freezegun.api"), "_freeze_time", None)
    freezers: list[Any] = []
    if freeze_time is None:
        return freezers, function
    instance = getattr(function, "__self__", None)
    if instance is not None:
        freezers, unbound = freezers_of(function.__func__)  # type: ignore[attr-defined]
        return freezers, MethodType(unbound, instance)
    while True:
        # freezegun's wrapper keeps the object and the function it wraps in its closure.
        cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        freezer = next((cell for cell in cells if isinstance(cell, freeze_time)), None)
        inner = getattr(function, "__wrapped__", None)
        if freezer is None or inner is None:
            return freezers, function
        freezers.append(freezer)
        function = inner
