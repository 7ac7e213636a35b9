"""The process: what runs the objects and requests of a world, as faults see it.

Promises: a restart takes everything of one world along, and nothing of another. Leaves to
others: when (rules), and how a life ends (the instance, the invocation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from emulator.errors import JsException
    from emulator.runtime.world import World

__all__ = ["WorldProcess"]


@final
class WorldProcess:
    """That of one world.

    Args:
        world: Whose.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def restart(self, cause: str) -> None:
        """All objects and requests lose power at once.

        Args:
            cause: Why, for the trace.
        """
        world = self._world
        world.simulation.trace.record("restart", world.options.name or "worker", cause=cause)
        for namespace in world.namespaces.values():
            for record in namespace.records():
                record.power_cut(cause)
        for invocation in world.invocations():
            invocation.power_cut(cause)

    def end_object(self, name: str, how: str, error: JsException | None) -> None:
        """End the instance of an object, if it runs.

        Args:
            name: The object's name in the trace.
            how: "evict" it if it is idle, or "reset" it.
            error: What those are told who wait for it; None is of an eviction.
        """
        for namespace in self._world.namespaces.values():
            for record in namespace.records():
                if record.name != name:
                    continue
                if how == "evict":
                    record.evict_if_idle()
                elif record.instance is not None and error is not None:
                    record.instance.reset(error)
