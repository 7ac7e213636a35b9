"""The state: `ctx`, what an object's constructor is handed.

Promises: the names of Cloudflare's DurableObjectState. Leaves to others: doing it (the
instance, the storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from emulator.durable_objects.arguments import js_string, merged_options, wrong_type
from emulator.durable_objects.storage import DurableObjectStorage
from emulator.errors import DurableObjectAbort, JsException
from emulator.simulation.handles import SimulationFuture
from emulator.values import undefined

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
        object_id: The id by which it was reached.

    Attributes:
        id: The object's id; its `name` is known if the object was reached by a name of at
            most 1,024 bytes.
        storage: What survives this life.
    """

    def __init__(self, instance: Instance, object_id: DurableObjectId) -> None:
        self._instance = instance
        self.id = object_id.seen_inside()
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
                wrong_type("blockConcurrencyWhile", "DurableObjectState", 1, "function")
            )
            return future
        return self._instance.critical_section(callback)

    def abort(
        self, reason: object = None, options: object = undefined, **keywords: Any
    ) -> NoReturn:
        """Reset the object at once: writes that are not yet committed are lost.

        Args:
            reason: What everybody who waits is told.
            options: `retryAlarm` false keeps a running alarm from being tried again
                (Cloudflare's changelog of 2026-08-25).

        Raises:
            DurableObjectAbort: Always; nothing of this instance runs after it.
        """
        given = merged_options(
            options, keywords, "abort", "DurableObjectState", 2, "AbortOptions"
        )
        message = _ABORTED if reason is None else js_string(reason)
        self._instance.reset(
            JsException(message), retries_alarm=bool(given.get("retryAlarm", True))
        )
        raise DurableObjectAbort(message)

    def __repr__(self) -> str:
        return f"<DurableObjectState {self._instance.context.name}>"
