"""The life observer: who is told of what enters an object, of its answers, and of its end.

Promises: the seam, in types; an object that nobody observes pays for an empty loop. Leaves to
others: what is made of it (the invariants of a test), and telling (the event, the record).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.events import Event
    from emulator.durable_objects.instance import Instance
    from emulator.simulation.runner import Simulation

__all__ = ["LifeObserver", "life_observers", "observe_lives"]

_ATTACHMENT: Final = "life observers"


class LifeObserver(Protocol):
    """It looks, changes nothing and raises nothing: the runtime itself calls it."""

    def life_began(self, instance: Instance) -> None:
        """An instance starts; its constructor is to run."""

    def event_began(self, instance: Instance, event: Event) -> None:
        """The handler of an event starts."""

    def event_ended(self, instance: Instance, event: Event) -> None:
        """The handler has returned or raised."""

    def event_answered(self, instance: Instance, event: Event) -> None:
        """Whoever waits for what the handler returned gets it now."""

    def life_ended(self, instance: Instance) -> None:
        """An instance has ended; what its object has stored is settled."""


def life_observers(simulation: Simulation) -> tuple[LifeObserver, ...]:
    """Those who observe the instances of a simulation."""
    observers: tuple[LifeObserver, ...] = simulation.attachments.get(_ATTACHMENT, ())
    return observers


def observe_lives(simulation: Simulation, observer: LifeObserver) -> Callable[[], None]:
    """Let somebody observe every instance that starts from now on.

    Returns:
        What ends that.
    """
    simulation.attachments[_ATTACHMENT] = (*life_observers(simulation), observer)

    def stop() -> None:
        rest = tuple(one for one in life_observers(simulation) if one is not observer)
        simulation.attachments[_ATTACHMENT] = rest

    return stop
