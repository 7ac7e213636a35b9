"""The namespace: all objects of one class, by id.

Promises: ids as workerd makes them, one record for one id, records in the order in which
they were first reached. Leaves to others: calling (the stub), living (the instance).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn, final
from weakref import ref

from emulator.durable_objects.arguments import merged_options, wrong_type
from emulator.durable_objects.context import EVENT
from emulator.durable_objects.ids import JURISDICTIONS, DurableObjectId, IdFactory
from emulator.durable_objects.record import ObjectKind, ObjectRecord, ObjectSnapshot
from emulator.durable_objects.stub import DurableObjectStub
from emulator.errors import (
    JsException,
    JsRangeError,
    JsTypeError,
    WorldError,
    no_attribute,
)
from emulator.values import undefined
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from collections.abc import Hashable

    from emulator.durable_objects.context import IoContext
    from emulator.simulation.runner import Simulation

__all__ = ["DurableObjectNamespace"]

_OWNER: Final = "DurableObjectNamespace"


@final
class DurableObjectNamespace(JsObject):
    """A binding to all objects of one class.

    Args:
        simulation: Time, chance, rules and trace.
        kind: What its objects share.
        binding_name: The name under which the worker knows it.
        unique_key: What ids are derived from; Miniflare's is "<worker>-<class>".
        outside: The context of callers that are not worker code.
    """

    def __init__(
        self,
        simulation: Simulation,
        kind: ObjectKind,
        *,
        binding_name: str,
        unique_key: str,
        outside: IoContext,
    ) -> None:
        self._simulation = simulation
        self.kind = kind
        self.binding_name = binding_name
        #: What ids are derived from.
        self.unique_key = unique_key
        self._outside = outside
        self._is_disposed = False
        #: Ours among the lanes of the loop, which outlives us.
        self._lane = object()
        self._ids = IdFactory(
            unique_key,
            lambda size: simulation.randomness.token_bytes(f"ids.{unique_key}", size),
            () if kind.limits.is_local else JURISDICTIONS,
        )
        #: The whole of which this may be the part in a jurisdiction.
        self._root = self
        self._records: dict[str, ObjectRecord] = {}

    def newUniqueId(self, options: object = None, **keywords: Any) -> DurableObjectId:
        """A new random id.

        Args:
            options: `jurisdiction` keeps the object in "eu", "fedramp", "fedramp-high" or
                "us"; the local runtime has none.

        Raises:
            JsException: If there is no such jurisdiction, or this sub-namespace has another.
        """
        given = merged_options(
            options, keywords, "newUniqueId", _OWNER, 1, "NewUniqueIdOptions"
        )
        jurisdiction = given.get("jurisdiction")
        if jurisdiction is None:
            return self._ids.new_unique_id()
        own = self._ids.jurisdiction
        if own not in (None, jurisdiction):
            message = (
                f"newUniqueId() of the jurisdiction {own!r} cannot make an id in "
                f"{jurisdiction!r}; ask the namespace itself"
            )
            raise JsTypeError(message)
        return self._ids_within(jurisdiction).new_unique_id()

    def idFromName(self, *name: object) -> DurableObjectId:
        """The id that belongs to a name, always the same.

        Raises:
            JsTypeError: If no name is given.
        """
        return self._ids.id_from_name(*name)

    def idFromString(self, *text: object) -> DurableObjectId:
        """The id whose 64 hex digits are given.

        Raises:
            JsTypeError: If it is not an id, or not one of this namespace.
        """
        return self._ids.id_from_string(*text)

    def get(
        self,
        object_id: DurableObjectId | None = None,
        options: object = None,
        **keywords: Any,
    ) -> DurableObjectStub:
        """A stub of the object with this id. Nothing is sent, nothing is started.

        Args:
            object_id: One of this namespace's ids.
            options: `locationHint` is accepted and has no effect; `routingMode` may be
                "primary-only".

        Raises:
            JsTypeError: If `object_id` is not an id, or one of another jurisdiction.
            JsRangeError: If the routing mode is unknown.
        """
        if not isinstance(object_id, DurableObjectId):
            error = wrong_type("get", _OWNER, 1, "DurableObjectId")
            error.add_note(
                f"{self.binding_name}.get() takes an id: {self.binding_name}.get("
                f"{self.binding_name}.idFromName(name)), or getByName(name), not {object_id!r}"
            )
            raise error
        if object_id.unique_key not in (None, self.unique_key):
            # As workerd has it, which asks only whether it is an id (measured).
            warnings.warn(
                f"{object_id!r} was made by another namespace ({object_id.unique_key}) than "
                f"{self.binding_name} ({self.unique_key}), which makes a new object of it: "
                f"make the id with {self.binding_name}.idFromName(name)",
                stacklevel=2,
            )
        if self._ids.jurisdiction not in (None, object_id.jurisdiction):
            # workerd's actor.c++; only the platform itself has such sub-namespaces.
            message = (
                "get called on jurisdictional subnamespace with an ID from a different "
                "jurisdiction"
            )
            raise JsTypeError(message)
        return self._stub(object_id, options, keywords, "get")

    def _stub(
        self, object_id: DurableObjectId, options: object, keywords: dict[str, Any], method: str
    ) -> DurableObjectStub:
        given = merged_options(options, keywords, method, _OWNER, 2, "GetDurableObjectOptions")
        mode = given.get("routingMode")
        if mode not in (None, "primary-only"):
            message = f"unknown routingMode: {mode}"
            raise JsRangeError(message)
        return DurableObjectStub(self._root, object_id, self._outside)

    def getByName(
        self, *name: object, options: object = None, **keywords: Any
    ) -> DurableObjectStub:
        """`get(idFromName(name), options)`.

        Raises:
            JsTypeError: If no name is given, or the options are none.
            JsRangeError: If the routing mode is unknown.
        """
        if not name:
            raise wrong_type("getByName", _OWNER, 1, "string")
        if len(name) > 1:
            name, options = name[:1], name[1]
        return self._stub(self.idFromName(*name), options, keywords, "getByName")

    def jurisdiction(self, jurisdiction: Any = None) -> DurableObjectNamespace:
        """The sub-namespace whose ids, and objects, stay in a jurisdiction.

        Args:
            jurisdiction: "eu", "fedramp", "fedramp-high" or "us"; None is the namespace
                itself. The local runtime has no others.

        Raises:
            JsException: If there is no such jurisdiction.
        """
        if jurisdiction is None or jurisdiction is undefined:
            return self._root
        part = DurableObjectNamespace.__new__(DurableObjectNamespace)
        vars(part).update(vars(self._root), _ids=self._ids_within(jurisdiction))
        return part

    def _ids_within(self, jurisdiction: str) -> IdFactory:
        if self.kind.limits.is_local:
            message = "Jurisdiction restrictions are not implemented in workerd."
            raise JsException(message)
        if jurisdiction not in JURISDICTIONS:
            # The platform's words are not public.
            message = f"there is no jurisdiction {jurisdiction!r}: {', '.join(JURISDICTIONS)}"
            raise JsTypeError(message)
        return self._ids.within(jurisdiction)

    def record(self, object_id: DurableObjectId) -> ObjectRecord:
        """The record of an object; made when it is first asked for. Not for worker code.

        Raises:
            WorldError: If the world has been disposed.
        """
        self.check_open()
        key = str(object_id)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = ObjectRecord(
                self._simulation, self.kind, self.name_of(object_id), object_id
            )
        return record

    def name_of(self, object_id: DurableObjectId) -> str:
        """Who an object is in the trace. Not for worker code."""
        return f"{self.binding_name}#{str(object_id)[:8]}"

    def note_name(self, actor: str, name: str) -> None:
        """Remember the name by which an object was reached, for faults. Not for worker code."""
        self._simulation.rules.object_names[actor] = name

    def lane(
        self, object_id: DurableObjectId, context: IoContext, *, is_fetch: bool
    ) -> Hashable:
        """What keeps the calls of one event to an object in order: RPC and `fetch` each.

        The order of calls is promised by the stub (Cloudflare docs, Durable Objects, stubs:
        E-order), and holds across the stubs of an event, as measured on workerd. Calls of
        others may overtake them.
        """
        # A weak reference: the loop remembers lanes for longer than worlds live.
        return (self._lane, str(object_id), is_fetch, EVENT.get() or ref(context))

    def check_open(self) -> None:
        """Refuse what comes after the end of the world. Not for worker code.

        Raises:
            WorldError: If the world has been disposed.
        """
        if self._is_disposed:
            message = f"the world of {self.binding_name} has been disposed"
            raise WorldError(message)

    def records(self) -> tuple[ObjectRecord, ...]:
        """Every record, in the order in which they were first reached. Not for worker code."""
        place = self._ids.jurisdiction
        return tuple(
            record
            for record in self._root._records.values()
            if place in (None, record.id.jurisdiction)
        )

    def snapshot(self) -> tuple[ObjectSnapshot, ...]:
        """Every object as a power cut would leave it now. Not for worker code."""
        return tuple(record.snapshot() for record in self._records.values())

    def restore(self, snapshot: tuple[ObjectSnapshot, ...]) -> None:
        """Hold the objects of a snapshot and no others. Not for worker code."""
        others = self._records
        for record in others.values():
            record.erase("restore")
        # Stubs may know an object of before, so it keeps its record; the order is the
        # snapshot's.
        self._records = {}
        for stored in snapshot:
            key = str(stored.id)
            record = others.pop(key) if key in others else self.record(stored.id)
            self._records[key] = record
            record.restore(stored)
        self._records.update(others)

    def dispose(self) -> None:
        """The world ends. Not for worker code."""
        self._is_disposed = True
        for record in self._records.values():
            record.dispose()
        self._records.clear()

    def __getattr__(self, name: str) -> NoReturn:
        hint = f" (a method of an object is called on {self.binding_name}.getByName(...))"
        raise no_attribute(self, name, hint)

    def __repr__(self) -> str:
        place = self._ids.jurisdiction
        name = self.binding_name if place is None else f"{self.binding_name} in {place}"
        return f"<DurableObjectNamespace {name}, {len(self.records())} objects>"
