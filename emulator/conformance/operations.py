"""The operations: ops of a program, run inside an object or a worker of the emulator.

Promises: the order of calls, the awaits between them and what is recorded are those of the
interpreter worker on workerd; each op is padded to the same number of ticks, so that what
happens at the same time does not hang on how a runtime builds its promises. Leaves to others:
values (tagged_values), records (recorder), what is called (the platform's own objects).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, final

from emulator.conformance.members import Target, member_of
from emulator.conformance.program_ops import is_body, modifiers_of
from emulator.conformance.special_ops import BY_BODY, SPECIAL_OPS
from emulator.conformance.tagged_values import decode
from emulator.conformance.tags import TAG
from emulator.conformance.ticks import ONE_TICK, PADDING, begun, started
from emulator.errors import JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.values import JsDict, JsMap, undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from emulator.conformance.recorder import Call, Run

__all__ = ["TABLE_PREFIX", "Host", "Operations"]

#: What `@@` in SQL for D1 stands for.
TABLE_PREFIX: Final = "program_table_"


class Host:
    """Whose code the ops are: an object, or a worker.

    Args:
        run: The run of the program.
        owner: The object's name in the program; "worker" is the worker.
        env: The bindings.
        ctx: The object's state, or the execution context.
    """

    def __init__(self, run: Run, owner: str, env: Any, ctx: Any) -> None:
        self.run = run
        self.owner = owner
        self.env = env
        self.ctx = ctx
        self.memory: dict[str, int] = {}

    def count(self, name: str, by: int) -> int:
        """Add to a counter in memory, which is the result."""
        self.memory[name] = sum_ = self.memory.get(name, 0) + by
        return sum_

    def call_object(self, name: str, ops: list[Any], call: Call, path: str) -> Any:
        """Run ops in an object, recorded with those of the caller; a promise of its result."""
        return self.stub(name).run(self.run.send(call, ops, path))

    def new_target(self) -> Any:
        """An RpcTarget, whose end concerns nobody."""
        return Target(dict)

    @property
    def namespace(self) -> Any:
        """The namespace of the program's class."""
        return getattr(self.env, self.run.program.class_name.upper())

    def stub(self, name: str) -> Any:
        """A fresh stub of an object of the program."""
        namespace = self.namespace
        object_id = namespace.idFromName(name)
        self.run.names[str(object_id)] = name
        return namespace.get(object_id)

    def root(self, name: str) -> Any:
        """Where a dotted name begins; what was kept comes first."""
        kept = self.run.refs_of(self.owner)
        if name in kept:
            return kept[name]
        match name:
            case "storage":
                return self.ctx.storage
            case "state":
                return self.ctx
            case "id":
                return self.ctx.id
            case "r2":
                return self.env.BUCKET
            case "d1":
                return self.env.DB
            case "ns":
                return self.namespace
            case "stub":
                return self.stub("main")
            case "env":
                return self.env
            case _:
                return named(kept, name)


@final
class Operations:
    """Runs ops for one host.

    Args:
        host: Whose code they are.
        call: Where they are recorded.
        txn: The transaction around them.
        is_sync: They must not wait: their body is synchronous.
        given: What the handler of an event was handed, by name.

    Attributes:
        has_responded: `respond` was among them: the result is the answer itself.
    """

    def __init__(
        self,
        host: Host,
        call: Call,
        txn: Any = None,
        *,
        is_sync: bool = False,
        given: dict[str, Any] | None = None,
    ) -> None:
        self.is_sync = is_sync
        self.given = given or {}
        self.host = host
        self.call = call
        self.txn = txn
        self.has_responded = False

    def inside(self, *, txn: Any = None, is_sync: bool = False) -> Operations:
        """For a body in one of these ops."""
        return Operations(
            self.host,
            self.call,
            self.txn if txn is None else txn,
            is_sync=is_sync or self.is_sync,
            given=self.given,
        )

    # -- bodies ----------------------------------------------------------------------------

    async def run(self, ops: list[Any], path: str = "") -> Any:
        """Run ops one after the other; the first error ends it and is raised.

        Args:
            ops: JSON.
            path: Indexes of the op whose body they are, such as "2.1".

        Returns:
            What `return` was given.
        """
        for index, op in enumerate(ops):
            value = await self.op(op, f"{path}.{index}" if path else str(index))
            if op[0] in _ENDS:
                return value
        return undefined

    async def op(self, op: list[Any], path: str) -> Any:
        """Run one op; what it gives is recorded, and so is its error, which is raised."""
        call = self.call
        call.begin(path)
        try:
            value = await self._padded(op, path)
        except Exception as error:
            call.fail(path, error)
            raise
        call.end(path, _shaped(op, value))
        return value

    async def _padded(self, op: list[Any], path: str) -> Any:
        """What an op gives, with the ticks that follow every op."""
        try:
            value = self._started(op, path)
        except Exception:
            await PADDING
            raise
        if not is_awaitable(value):
            await PADDING
            return value
        pending = begun(value)
        await PADDING
        return pending.result() if pending.done() else await pending

    def run_sync(self, ops: list[Any], path: str = "") -> Any:
        """The same where nothing is waited for, as in a `transactionSync`."""
        call = self.call
        for index, op in enumerate(ops):
            inner = f"{path}.{index}" if path else str(index)
            call.begin(inner)
            try:
                value = self._started(op, inner)
            except Exception as error:
                call.fail(inner, error)
                raise
            if is_awaitable(value):
                value = started(self._record_later(op, begun(value), inner))
            else:
                call.end(inner, _shaped(op, value))
            if op[0] in _ENDS:
                return value
        return undefined

    async def _record_later(self, op: list[Any], pending: Awaitable[Any], path: str) -> Any:
        # However settled it is, a promise answers in a later tick.
        await ONE_TICK
        try:
            value = await pending
        except Exception as error:
            self.call.fail(path, error)
            raise
        self.call.end(path, _shaped(op, value))
        return value

    # -- one op ----------------------------------------------------------------------------

    def _started(self, op: list[Any], path: str) -> Any:
        """What an op gives, not waited for."""
        args, modifiers = modifiers_of(op)
        name = op[0]
        special = SPECIAL_OPS.get(name)
        if special is None and args and is_body(args[0]):
            special = BY_BODY.get(name)
        value = self.path(name, args) if special is None else special(self, args, path)
        if name == "task":
            # The promise of a task is kept as it is, by itself.
            self._keep(modifiers, value)
            return None
        if is_awaitable(value):
            return self._modified_later(op, begun(value), modifiers) if modifiers else value
        return self._modified(op, value, modifiers)

    async def _modified_later(
        self, op: list[Any], pending: Awaitable[Any], modifiers: dict[str, Any]
    ) -> Any:
        value = self._modified(op, await pending, modifiers)
        return await value if is_awaitable(value) else value

    def _modified(self, op: list[Any], value: Any, modifiers: dict[str, Any]) -> Any:
        value = _shaped(op, value)
        if "bind" in modifiers:
            value = value.bind(*self.values(modifiers["bind"]))
        self._keep(modifiers, value)
        if "call" not in modifiers:
            return value
        call = modifiers["call"]
        member, *args = [call] if isinstance(call, str) else call
        return self.apply(value, member, args, is_shared=True)

    def _keep(self, modifiers: dict[str, Any], value: Any) -> None:
        if "as" in modifiers:
            self.host.run.refs_of(self.host.owner)[modifiers["as"]] = value

    def path(self, name: str, args: list[Any]) -> Any:
        """A member by the path to it: called if it is a function, else read."""
        root, *members = name.split(".")
        value = self._root(root)
        if not members:
            return value
        for member in members[:-1]:
            value = member_of(value, member)
        return self.apply(value, members[-1], args, is_shared=root != "storage")

    def _root(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        return self.txn if name == "txn" else self.host.root(name)

    def apply(self, owner: Any, member: str, args: list[Any], *, is_shared: bool) -> Any:
        """A member called if it is a function, else read.

        Args:
            owner: Whose.
            member: Its name.
            args: JSON.
            is_shared: It may be the database that programs share.
        """
        function = member_of(owner, member)
        if not callable(function):
            return function
        if is_shared and member in _D1_MEMBERS:
            args = [
                arg.replace("@@", TABLE_PREFIX) if isinstance(arg, str) else arg for arg in args
            ]
        return function(*self.values(args))

    def values(self, given: list[Any]) -> list[Any]:
        """Arguments, from JSON with tags."""
        return [decode(value, self) for value in given]

    def value(self, value: Any) -> Any:
        """The same of one."""
        return decode(value, self)

    # -- what values refer to --------------------------------------------------------------

    def ref(self, name: str) -> Any:
        """What an op has kept under a name."""
        if name in self.given:
            return self.given[name]
        return named(self.host.run.refs_of(self.host.owner), name)

    def shared(self, name: str) -> Any:
        """What any object has shared under a name."""
        return named(self.host.run.shared, name)

    def now_ms(self) -> int:
        """The time, in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def start_ms(self) -> int:
        """When the program began."""
        return self.host.run.start_ms

    def target(self) -> Any:
        """A new RpcTarget."""
        return self.host.new_target()


#: Members whose texts are SQL of the database that programs share.
_D1_MEMBERS: Final = frozenset({"prepare", "exec"})
#: Ops that end their body, whose result is theirs.
_ENDS: Final = frozenset({"return", "respond"})


def named(found: dict[str, Any], name: str) -> Any:
    """What was kept under a name.

    Raises:
        JsException: If nothing was: the text is the interpreter worker's.
    """
    if name not in found:
        message = f"the program kept nothing as {json.dumps(name)} here"
        raise JsException(message)
    return found[name]


#: Methods whose answer is a Map on the platform, and a dict in Python.
_GIVE_MAPS: Final = frozenset({"storage.list", "txn.list"})
_GIVE_MAPS_FOR_LISTS: Final = frozenset({"storage.get", "txn.get"})


def _shaped(op: list[Any], value: Any) -> Any:
    """A result in the shape that JavaScript gives it."""
    if not isinstance(value, dict):
        return value
    name = op[0]
    keys = op[1] if len(op) > 1 else None
    has_many = isinstance(keys, list) or (isinstance(keys, dict) and keys.get(TAG) == "names")
    if name in _GIVE_MAPS or (name in _GIVE_MAPS_FOR_LISTS and has_many):
        return JsMap(value)
    if name == "r2.list":
        # A cursor that is not there is undefined.
        return JsDict((k, v) for k, v in value.items() if v is not None)
    return value
