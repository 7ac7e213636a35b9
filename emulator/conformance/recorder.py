"""The recorder: what happened in one run of a program, as it happened.

Promises: it outlives the objects whose ops it records, so what an instance did before it was
reset is told; ops are listed in the order in which they ended, those that never ended last.
Leaves to others: running the ops (operations).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from emulator.conformance.tagged_values import encode, error_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.conformance.program import Program
    from emulator.conformance.sockets import EventScript

__all__ = ["AlarmRun", "AlarmScript", "Call", "Run"]


@final
class Call:
    """The ops of one call into an object or the worker, and what became of them.

    Args:
        run: The run of the program.
        owner: Where they run: an object's name.
        branch: Which branch of a step it is, if the step has several.

    Attributes:
        connection: The step that asks for a WebSocket, if it is one.
    """

    __slots__ = ("_branch", "_ended", "_open", "_owner", "_run", "connection")

    def __init__(self, run: Run, owner: str, branch: int | None = None) -> None:
        self._run = run
        self._owner = owner
        self._branch = branch
        self._open: dict[str, None] = {}
        self._ended: list[dict[str, Any]] = []
        self.connection: dict[str, Any] | None = None

    def begin(self, path: str) -> None:
        """An op was called."""
        self._open[path] = None
        self._line(path, "begin")

    def end(self, path: str, value: Any) -> None:
        """An op gave a value."""
        self._end({"op": path, "ok": encode(value)})

    def fail(self, path: str, error: Exception) -> None:
        """An op erred."""
        self._end({"op": path, "error": error_facts(error)})

    def outcome(self) -> list[dict[str, Any]]:
        """The ops in the order in which they ended, then those that never did."""
        return [*self._ended, *({"op": path, "open": True} for path in self._open)]

    def _end(self, entry: dict[str, Any]) -> None:
        path = entry["op"]
        self._open.pop(path, None)
        self._ended.append(entry)
        self._line(path, "end")

    def _line(self, path: str, what: str) -> None:
        order = self._run.order
        if order is not None and self._branch is not None and "." not in path:
            order.setdefault(self._owner, []).append(f"{self._branch}/{path} {what}")


@final
class AlarmRun:
    """One run of an alarm handler.

    Args:
        call: Its ops.
        info: What the handler was told.
    """

    __slots__ = ("call", "info", "outcome")

    def __init__(self, call: Call, info: dict[str, Any]) -> None:
        self.call = call
        self.info = info
        self.outcome: Any = "open"

    def told(self) -> dict[str, Any]:
        """What is known of it now."""
        return {"info": self.info, "ops": self.call.outcome(), "outcome": self.outcome}


@final
class AlarmScript:
    """What the alarm handler of one object does, from the step that says so to the next one.

    Args:
        bodies: The ops of its first run, of its second, ...; beyond them it does nothing.
    """

    __slots__ = ("_bodies", "_ended_count", "_waiter", "runs")

    def __init__(self, bodies: list[list[Any]]) -> None:
        self._bodies = bodies
        self.runs: list[AlarmRun] = []
        self._ended_count = 0
        self._waiter: tuple[int, asyncio.Future[None]] | None = None

    def begin(self, call: Call, info: dict[str, Any]) -> tuple[list[Any], AlarmRun]:
        """A run begins: its ops, and where it is told."""
        number = len(self.runs)
        run = AlarmRun(call, info)
        self.runs.append(run)
        return self._bodies[number] if number < len(self._bodies) else [], run

    def end(self, run: AlarmRun, error: Exception | None = None) -> None:
        """A run has ended."""
        run.outcome = "ok" if error is None else {"error": error_facts(error)}
        self._ended_count += 1
        if self._waiter is not None and self._ended_count >= self._waiter[0]:
            _resolve(self._waiter[1])

    async def ended(self, count: int | None, wait_ms: float) -> None:
        """Wait until so many runs have ended, or so many milliseconds are over.

        Args:
            count: None waits in any case.
            wait_ms: At most.
        """
        if count is not None and self._ended_count >= count:
            return
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        timer = loop.call_later(wait_ms / 1000, _resolve, over)
        if count is not None:
            self._waiter = (count, over)
        await over
        timer.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@final
class Run:
    """One run of a program.

    Args:
        program: What runs.
        start_ms: When it began, epoch milliseconds.
    """

    def __init__(self, program: Program, start_ms: int) -> None:
        self.program = program
        #: Those of its steps that the next request does.
        self.steps = program.steps
        self.start_ms = start_ms
        #: What objects and worker gave each other behind the platform's back.
        self.shared: dict[str, Any] = {}
        self.alarms: dict[str, AlarmScript] = {}
        self.events: dict[str, EventScript] = {}
        #: Begins and ends in the step of several branches that runs now, by object.
        self.order: dict[str, list[str]] | None = None
        #: Which object has an id: it may not know its name when its alarm wakes it.
        self.names: dict[str, str] = {}
        #: Bodies on their way into an object: call, ops, path.
        self.bodies: list[tuple[Call, list[Any], str]] = []
        #: Tell the steps' outcomes once the program is over.
        self.tellers: list[Callable[[], dict[str, Any]]] = []
        self._refs: dict[str, dict[str, Any]] = {}

    def send(self, call: Call, ops: list[Any], path: str = "") -> int:
        """Keep a body where the object it is for will find it, by a number."""
        self.bodies.append((call, ops, path))
        return len(self.bodies) - 1

    def refs_of(self, owner: str) -> dict[str, Any]:
        """What an object, or the worker, has kept."""
        return self._refs.setdefault(owner, {})
