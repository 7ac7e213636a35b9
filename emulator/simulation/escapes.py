"""Escapes: the doors that lead out of a simulation, and what to use instead.

Promises: code of the simulation that opens one gets a `SimulationEscape` at that line, with the
fix; code of other threads, and code outside of every simulation, finds all of them as they are.
A wait that can end is no escape: another thread of the test, or a debugger, may end it. Leaves
to others: shutting the doors and opening them again (the ambient room), and those of asyncio's
loops (the refusals).

What is written in C and belongs to no module cannot be shut: `Lock.acquire` and
`queue.SimpleQueue.get` still wait in real time.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import SimulationEscape
from emulator.simulation.loop import SimulationLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["REFUSED", "is_inside", "refusal"]

_WAIT: Final = "Condition.wait"
_ONE_THREAD: Final = "one thread is the law: call the function directly"
_NO_OTHER: Final = "no other thread would ever wake it: use asyncio's Event, Queue and the like"
_USE_BINDING: Final = "use a binding, or mf.client() in a test"
_OUTSIDE: Final = "run it outside of the simulation"
_NO_NEWS: Final = "nothing from outside ever comes in: `await` what it waits for"
_USE_TIMEOUT: Final = "use `asyncio.timeout(...)` or `asyncio.sleep(...)`: time is simulated"

#: By module and advice: the functions of the module, or the methods of its classes.
_DOORS: Final[tuple[tuple[Any, str, str], ...]] = (
    (time, "sleep", "use `await asyncio.sleep(...)`: it costs no real time"),
    (threading, "Thread.start _start_new_thread _start_joinable_thread", _ONE_THREAD),
    ("_thread", "start_new_thread start_new start_joinable_thread", _ONE_THREAD),
    # What Event.wait, Queue.get and Future.result come down to.
    (threading, "Condition.wait", _NO_OTHER),
    (
        socket,
        "socket.accept socket.bind socket.connect socket.connect_ex socket.listen socket.recv "
        "socket.recv_into socket.recvfrom socket.recvfrom_into socket.recvmsg socket.sendmsg "
        "socket.sendto getaddrinfo gethostbyaddr gethostbyname gethostbyname_ex getnameinfo",
        _USE_BINDING,
    ),
    (subprocess, "Popen", _OUTSIDE),
    (
        os,
        "execv execve fork forkpty posix_spawn posix_spawnp startfile system",
        _OUTSIDE,
    ),
    # How multiprocessing spawns.
    ("_posixsubprocess", "fork_exec", _OUTSIDE),
    (select, "epoll kqueue poll select", _NO_NEWS),
    (selectors, "_BaseSelectorImpl", _NO_NEWS),
    (signal, "pause sigtimedwait sigwait sigwaitinfo", _NO_NEWS),
    (signal, "alarm setitimer", _USE_TIMEOUT),
)


def _refused() -> Iterator[tuple[Any, str, str, str]]:
    """Holder, attribute, name in the message, advice. What a platform lacks is left out."""
    for module, names, advice in _DOORS:
        try:
            home: Any = import_module(module) if isinstance(module, str) else module
        except ImportError:
            continue
        for name in names.split():
            holder, attribute = home, name
            told = name if "." in name else f"{home.__name__}.{name}".lstrip("_")
            if "." in name:
                owner, attribute = name.split(".")
                holder = getattr(home, owner, None)
            if not hasattr(holder, attribute):
                continue
            if isinstance(getattr(holder, attribute), type) and home in (subprocess, selectors):
                # The class stays a class for everybody else: only making one is refused.
                holder, attribute = getattr(holder, attribute), "__init__"
            yield holder, attribute, told, advice


REFUSED: Final = tuple(_refused())


def is_inside() -> bool:
    """Whether the present code runs on a simulated loop, on that loop's thread."""
    return isinstance(asyncio._get_running_loop(), SimulationLoop)


# The same doors are shut at each run; making the refusals would cost as much as the patches.
@lru_cache(maxsize=200)
def refusal(real: Any, name: str, advice: str) -> Callable[..., Any]:
    """What stands for a door: it refuses code of a simulation, and lets all others through.

    Args:
        real: What lies behind the door.
        name: What it is called in the message.
        advice: What to do instead.
    """

    def refuse(*args: Any, **options: Any) -> Any:
        if is_inside() and not (name == _WAIT and _may_wait(*args, **options)):
            message = f"{name}() reaches outside the simulation; {advice}"
            raise SimulationEscape(message)
        return real(*args, **options)

    return refuse


def _may_wait(condition: object, timeout: float | None = None) -> bool:
    """Whether a wait may end: a thread of the test is there, or a debugger."""
    if timeout is not None and timeout <= 0:
        return True
    present = threading.current_thread()
    others = (thread for thread in threading.enumerate() if thread is not present)
    return "pydevd" in sys.modules or not all(thread.daemon for thread in others)
