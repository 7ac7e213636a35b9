"""Arguments: what a verb was handed, checked in the platform's words.

Promises: a wrong argument is the TypeError of `cloudflare:test`, with the verb's Python name
in it; what belongs to the real runtime, which no verb reaches into, is told from that. Leaves
to others: the verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.durable_objects.stub import DurableObjectStub
from emulator.errors import WorldError
from emulator.http.miniflare import Miniflare

if TYPE_CHECKING:
    from emulator.durable_objects.record import ObjectRecord
    from emulator.runtime.world import World

__all__ = ["checked_record", "checked_world", "refuse_real", "wrong_argument"]


def checked_record(verb: str, stub: object) -> ObjectRecord:
    """The object behind a stub.

    Raises:
        TypeError: If it is no stub.
        WorldError: If it is one of the real runtime, or its world was disposed.
    """
    if not isinstance(stub, DurableObjectStub):
        refuse_real(verb, stub)
        raise wrong_argument(verb, 1, "DurableObjectStub")
    return stub._record


def checked_world(verb: str, mf: object) -> World:
    """The world behind a Miniflare.

    Raises:
        TypeError: If it is no Miniflare.
        WorldError: If it was not entered, or belongs to another simulation or to the real
            runtime.
    """
    if not isinstance(mf, Miniflare):
        refuse_real(verb, mf)
        raise wrong_argument(verb, 1, "Miniflare")
    return mf.world


def refuse_real(verb: str, given: object) -> None:
    """Refuse what belongs to the real runtime.

    Raises:
        WorldError: If it does.
    """
    if type(given).__module__.startswith("emulator.workerd."):
        message = (
            f"{verb}() reaches into a simulated world, and this belongs to the real runtime: "
            "use the emulator for this test (--emulator-target emulator)"
        )
        raise WorldError(message)


def wrong_argument(verb: str, position: int, kind: str) -> TypeError:
    """The platform's error (workers-sdk, vitest-pool-workers, durable-objects.ts)."""
    return TypeError(
        f"Failed to execute '{verb}': parameter {position} is not of type '{kind}'."
    )
