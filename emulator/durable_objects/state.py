"""The state: `ctx`, what an object's constructor is handed.

Promises: the names of Cloudflare's DurableObjectState. Leaves to others: doing it (the
instance, the storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from emulator.durable_objects.storage import DurableObjectStorage
from emulator.errors import DurableObjectAbort, JsException, JsTypeError
from emulator.simulation.handles import SimulationFuture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.instance import Instance

__all__ = ["DurableObjectState"]

_ABORTED = "Application called abort() to reset Durable Object."


@final
class DurableObjectState:
    """The object's door to the runtime.

    Args:
        instance: The life it belongs to.

    Attributes:
        id: The object's id; its `name` is known if the object was reached by name.
        storage: What survives this life.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.id: DurableObjectId = instance.record.id
        self.storage = DurableObjectStorage(instance, instance.record)

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Let work go on after the answer.

        Args:
            awaitable: What it raises neither fails the event nor resets the object.
        """
        self._instance.wait_until(awaitable)

    def blockConcurrencyWhile(self, callback: Callable[[], Any]) -> Awaitable[Any]:
        """Run `callback` while no other event may enter; its failure resets the object.

        Args:
            callback: Sync or async, without arguments. At most 30 s.

        Returns:
            A future with what the callback returns.
        """
        if not callable(callback):
            future = SimulationFuture(loop=self._instance.context.loop)
            future.set_exception(
                JsTypeError(
                    "Failed to execute 'blockConcurrencyWhile' on 'DurableObjectState': "
                    "parameter 1 is not of type 'function'."
                )
            )
            return future
        return self._instance.critical_section(callback)

    def abort(self, reason: object = None) -> NoReturn:
        """Reset the object at once: writes that are not yet committed are lost.

        Args:
            reason: What everybody who waits is told.

        Raises:
            DurableObjectAbort: Always; nothing of this instance runs after it.
        """
        message = _ABORTED if reason is None else str(reason)
        self._instance.reset(JsException(message, durableObjectReset=True))
        raise DurableObjectAbort(message)

    def __repr__(self) -> str:
        return f"<DurableObjectState {self._instance.record.name}>"
