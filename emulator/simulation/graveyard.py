"""The graveyard: what a power cut leaves lying around.

Promises: handles, tasks and async generators of a dead owner are kept, not dropped, until
the loop closes; only then do their coroutines unwind, outside of any running loop. Leaves
to others: refusing the effects of what unwinds (whoever has effects asks `is_buried`).

A dropped coroutine would run its `finally` blocks as soon as it is collected, and a
cancelled one at once; a power cut does neither.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, final

from emulator.simulation.handles import OWNER, Handle, SimulationFuture, SimulationTask

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator

    from emulator.simulation.handles import Owner

__all__ = ["Graveyard", "hush"]

#: Owners of async generators remembered before those of finished ones are forgotten.
GENERATORS_KEPT_MAX: Final = 1_000


def hush(handle: Handle) -> None:
    """Whom a handle would have told of an error cannot hear it any more: that is no news.

    Args:
        handle: Its turn never comes.
    """
    for future in handle.args:
        if isinstance(future, (SimulationFuture, SimulationTask)):
            future._log_traceback = False


@final
class Graveyard:
    """The dead owners of one loop, and all that was theirs."""

    def __init__(self) -> None:
        #: Asked for membership only, never walked.
        self.dead: set[object] = set()
        self._graves: list[object] = []
        # By identity, which a generator keeps while it lives, in the order of first steps.
        self._generator_owners: dict[int, Owner | None] = {}

    def bury(self, owner: object, tasks: list[asyncio.Task[Any]]) -> None:
        """Nothing that `owner` started ever runs again.

        Args:
            owner: What `OWNER` was when the code started.
            tasks: Every unfinished task of the loop.
        """
        self.dead.add(owner)
        self._graves.extend(t for t in tasks if getattr(t, "owner", None) is owner)

    def keep(self, handle: Handle) -> None:
        """Keep a handle whose turn came after its owner's death."""
        self._graves.append(handle)
        hush(handle)

    def living(self, tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
        """Those of `tasks` whose owner is not dead."""
        return [task for task in tasks if getattr(task, "owner", None) not in self.dead]

    def generator_started(
        self, generator: AsyncGenerator[Any, Any], live: Any, owner: Owner | None
    ) -> None:
        """Remember whose generator this is.

        Args:
            generator: It is about to take its first step.
            live: Every async generator of the loop that still lives.
            owner: Whose code iterates it.
        """
        owners = self._generator_owners
        # The identity may have been that of a generator which is long finished.
        owners.pop(id(generator), None)
        if len(owners) >= GENERATORS_KEPT_MAX and len(owners) > 2 * len(live):
            alive = {id(generator) for generator in live}
            self._generator_owners = owners = {k: v for k, v in owners.items() if k in alive}
        owners[id(generator)] = owner

    def living_generators(
        self, generators: list[AsyncGenerator[Any, Any]]
    ) -> list[AsyncGenerator[Any, Any]]:
        """Those of `generators` whose owner lives, in the order of their first step."""
        owners = self._generator_owners
        living = [g for g in generators if owners.get(id(g)) not in self.dead]
        place = {identity: index for index, identity in enumerate(owners)}
        return sorted(living, key=lambda generator: place[id(generator)])

    def closing_context(self, generator: AsyncGenerator[Any, Any]) -> Context | None:
        """The context in which a dropped generator is to be closed; None is not at all."""
        owner = self._generator_owners.pop(id(generator), None)
        if owner in self.dead:
            return None
        context = copy_context()
        context.run(OWNER.set, owner)
        return context

    def unwind(self, tasks: list[asyncio.Task[Any]]) -> None:
        """End the coroutines of tasks that never will run again.

        Args:
            tasks: Every unfinished task of a loop that has stopped for good.
        """
        with warnings.catch_warnings():
            # What the dead try to await while they unwind is nobody's fault.
            warnings.simplefilter("ignore", RuntimeWarning)
            for task in tasks:
                if isinstance(task, SimulationTask):
                    task.abandon()
                coro: Any = task.get_coro()
                # As its owner's code, so that what it tries is refused and counted as his.
                base = getattr(getattr(task, "owner", None), "base", None)
                with suppress(BaseException):
                    (base or Context()).copy().run(coro.close)
            self._graves.clear()

    def __repr__(self) -> str:
        return f"<Graveyard {len(self.dead)} owners, {len(self._graves)} graves>"
