"""Early names: functions that a module bound before the simulation began.

`from time import sleep` in the module of a worker binds the real one, which no patch of `time`
reaches any more. While the simulation runs, such names stand for what the modules have then.

Promises: only a worker's own module is touched, and only names of functions that a simulation
replaces. `perf_counter`, `process_time` and `thread_time` are left alone: whoever imports these
by name measures real time. Leaves to others: which modules are a worker's (the world), and
putting the names back (the patches).
"""

from __future__ import annotations

import os
import sys
import time
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from emulator.simulation.escapes import REFUSED

if TYPE_CHECKING:
    from emulator.simulation.patches import Patches

__all__ = ["hold_names", "module_of"]

_CLOCKS: Final = (
    "asctime", "clock_gettime", "clock_gettime_ns", "ctime", "monotonic", "monotonic_ns",
)  # fmt: skip


def _homes() -> dict[Any, tuple[Any, str]]:
    """Where each function is found that a simulation replaces, as it is before any."""
    doors = [(home, name) for home, name, *_ in REFUSED if isinstance(home, ModuleType)]
    clocks = [(time, name) for name in _CLOCKS]
    chance = [(os, "urandom"), (os, "getrandom"), (os, "times")]
    return {
        getattr(home, name): (home, name)
        for home, name in [*doors, *clocks, *chance]
        if hasattr(home, name)
    }


_HOMES: Final = _homes()
_FUNCTIONS: Final = (BuiltinFunctionType, FunctionType, MethodType)
#: What was found in each module. A module that binds more of them later is not looked at again.
_found: WeakKeyDictionary[ModuleType, tuple[tuple[str, Any, str], ...]] = WeakKeyDictionary()


def hold_names(module: ModuleType, patches: Patches) -> None:
    """Let the names of a module stand for what is in force now.

    Args:
        module: A worker's.
        patches: Puts them back.
    """
    found = _found.get(module)
    if found is None:
        found = _found[module] = tuple(
            (name, *_HOMES[value])
            for name, value in vars(module).items()
            if isinstance(value, _FUNCTIONS) and value in _HOMES
        )
    for name, home, attribute in found:
        patches.replace(module, name, getattr(home, attribute))


def module_of(worker: Any) -> ModuleType | None:
    """The module in which a worker was written, if it was imported as one.

    Args:
        worker: A module, the name of one, or a class.
    """
    if isinstance(worker, ModuleType):
        return worker
    name = worker if isinstance(worker, str) else getattr(worker, "__module__", "")
    return sys.modules.get(name)
