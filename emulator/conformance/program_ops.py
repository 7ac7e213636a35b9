"""The ops of a program: their names, and what each is written with.

Promises: an op that was checked can be interpreted: its name is known or goes out from a known
root, its bodies are lists of ops, its modifiers and tagged values exist. Leaves to others:
what an op does (the interpreters), steps (program).
"""

from __future__ import annotations

import json
from typing import Any, Final, final

from emulator.conformance.tags import TAG, check_value
from emulator.errors import ConfigurationError, meant

__all__ = ["MODIFIERS", "OpChecker", "is_body", "modifiers_of", "names_kept", "shown"]

#: Where a dotted name may begin. `txn` is there inside a transaction.
ROOTS: Final = ("storage", "state", "id", "r2", "d1", "ns", "stub", "txn", "env")
#: What the handlers of a WebSocket are handed, by name.
HANDED: Final = ("ws", "message", "code", "reason", "wasClean", "error")
MODIFIERS: Final = frozenset({"as", "bind", "call", "raw"})

# What may stand at a place of a special op: a body, one op, a text, a number, a value, or
# any number of values.
_BODY, _OP, _TEXT, _MS, _VALUE, _VALUES = "body", "op", "text", "ms", "value", "values"
#: A call `[member, args...]`, any number of times.
_MEMBERS: Final = "members"
#: After this, places may be left empty.
_MAYBE: Final = "maybe"

#: Ops that are no path.
SPECIAL: Final[dict[str, tuple[str, ...]]] = {
    "sleep": (_MS,),
    "throw": (_TEXT, _TEXT, _MAYBE, _VALUE),
    "throw_value": (_VALUE,),
    "abort": (_MAYBE, _VALUE, _VALUE),
    "return": (_VALUE,),
    "respond": (_VALUE,),
    "memory": (_TEXT, _MS),
    "try": (_BODY,),
    "gather": (_BODY,),
    "task": (_OP,),
    "await": (_VALUE,),
    "blockConcurrencyWhile": (_BODY,),
    "waitUntil": (_BODY,),
    "timer": (_MS, _BODY),
    "rpc": (_TEXT, _BODY),
    "pair": (_TEXT, _TEXT),
    "listen": (_VALUE,),
    "heard": (_VALUE, _MS, _MAYBE, _MS),
    "stub_of": (_TEXT,),
    "list_kv": (_MAYBE, _VALUE),
    "iterate": (_VALUE,),
    "next": (_VALUE,),
    "read": (_VALUE, _TEXT),
    "call": (_VALUE, _TEXT, _VALUES),
    "dispose": (_VALUE,),
    "set": (_VALUE, _TEXT, _VALUE),
    "json": (_VALUE,),
    "string": (_VALUE,),
    "typeof": (_VALUE,),
    "share": (_TEXT, _VALUE),
    "detached": (_TEXT, _VALUES),
    "pipeline": (_OP, _MEMBERS),
    "storage.transactionSyncAsync": (_BODY,),
}
#: Paths that take a body, when one is given: their refusals are programs too.
WITH_BODY: Final = frozenset({"storage.transaction", "storage.transactionSync"})


def modifiers_of(op: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of an op, and its modifiers apart.

    Args:
        op: Name and arguments.
    """
    last = op[-1] if len(op) > 1 else None
    if isinstance(last, dict) and last and MODIFIERS.issuperset(last):
        return op[1:-1], last
    return op[1:], {}


def is_body(value: Any) -> bool:
    """Whether an argument is a list of ops: each begins with a name."""
    return isinstance(value, list) and all(
        isinstance(op, list) and op and isinstance(op[0], str) for op in value
    )


def names_kept(source: Any) -> frozenset[str]:
    """Every name that some op or step of a program keeps something under."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, list):
            if value[:1] == ["pair"]:
                found.update(name for name in value[1:] if isinstance(name, str))
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            found.update(value[k] for k in ("as", "connect") if isinstance(value.get(k), str))
            if "handlers" in value:
                found.update(HANDED)
            for item in value.values():
                walk(item)

    walk(source)
    return frozenset(found)


@final
class OpChecker:
    """Checks ops of one program.

    Args:
        kept: The names that its ops keep results under.
    """

    def __init__(self, kept: frozenset[str]) -> None:
        self._kept = kept

    def body(self, ops: Any, where: str, path: str = "") -> None:
        """Refuse what is no list of ops.

        Args:
            ops: JSON.
            where: Program and step, for errors.
            path: Indexes of the op that it is a body of, such as "2.1".
        """
        if not isinstance(ops, list):
            place = f"{where}, op {path}" if path else where
            message = f"{place}: a body must be a list of ops, got {shown(ops)}"
            raise ConfigurationError(message)
        for index, op in enumerate(ops):
            self.op(op, where, f"{path}.{index}" if path else str(index))

    def op(self, op: Any, where: str, path: str) -> None:
        """Refuse what is no op."""
        here = f"{where}, op {path}"
        if not isinstance(op, list) or not op or not isinstance(op[0], str):
            message = f'{here} must be a list such as ["storage.get", "a"], got {shown(op)}'
            raise ConfigurationError(message)
        args, modifiers = modifiers_of(op)
        self._modifiers(modifiers, here)
        name = op[0]
        here = f"{here} ({name})"
        if name in SPECIAL:
            self._special(SPECIAL[name], args, where, path, here)
        elif name in WITH_BODY and args and is_body(args[0]):
            self.body(args[0], where, path)
            self._values(args[1:], here)
        else:
            self._path(name, here)
            self._values(args, here)

    def _modifiers(self, modifiers: dict[str, Any], here: str) -> None:
        if "as" in modifiers and not (isinstance(modifiers["as"], str) and modifiers["as"]):
            message = f'{here}: "as" must be a name, got {shown(modifiers["as"])}'
            raise ConfigurationError(message)
        if "bind" in modifiers:
            if not isinstance(modifiers["bind"], list):
                message = f'{here}: "bind" must be a list, got {shown(modifiers["bind"])}'
                raise ConfigurationError(message)
            self._values(modifiers["bind"], here)
        if "call" in modifiers:
            call = modifiers["call"]
            is_call = isinstance(call, list) and call and isinstance(call[0], str)
            if not (isinstance(call, str) or is_call):
                message = f'{here}: "call" must be a name or [name, args...], got {shown(call)}'
                raise ConfigurationError(message)
            if is_call:
                self._values(call[1:], here)

    def _special(
        self, shape: tuple[str, ...], args: list[Any], where: str, path: str, here: str
    ) -> None:
        is_needed = True
        rest = list(args)
        for kind in shape:
            if kind == _MAYBE:
                is_needed = False
            elif kind == _VALUES:
                self._values(rest, here)
                rest = []
            elif kind == _MEMBERS:
                for call in rest:
                    if not (isinstance(call, list) and call and isinstance(call[0], str)):
                        message = f"{here} goes on with [member, args...], got {shown(call)}"
                        raise ConfigurationError(message)
                    self._values(call[1:], here)
                rest = []
            elif rest:
                self._argument(kind, rest.pop(0), where, path, here)
            elif is_needed:
                message = f"{here} takes {_words(shape)}, got {shown(args)}"
                raise ConfigurationError(message)
        if rest:
            message = f"{here} takes {_words(shape)}, got {shown(args)}"
            raise ConfigurationError(message)

    def _argument(self, kind: str, value: Any, where: str, path: str, here: str) -> None:
        if kind == _BODY:
            self.body(value, where, path)
        elif kind == _OP:
            self.op(value, where, f"{path}.0")
        elif kind == _VALUE:
            self._values([value], here)
        elif (kind == _TEXT and not isinstance(value, str)) or (
            kind == _MS and (isinstance(value, bool) or not isinstance(value, int | float))
        ):
            message = f"{here}: {shown(value)} is no {'text' if kind == _TEXT else 'number'}"
            raise ConfigurationError(message)

    def _path(self, name: str, here: str) -> None:
        root = name.split(".")[0]
        if root not in ROOTS and root not in self._kept:
            near = meant(name, [*SPECIAL, *WITH_BODY, *ROOTS, *sorted(self._kept)])
            message = f"{here}: there is no such op, and no root {root!r}{near}"
            raise ConfigurationError(message)
        if "" in name.split("."):
            message = f"{here}: a name between two dots is missing"
            raise ConfigurationError(message)

    def _values(self, values: list[Any], here: str) -> None:
        for value in values:
            check_value(value, here)
            self._references(value, here)

    def _references(self, value: Any, here: str) -> None:
        if isinstance(value, list):
            for item in value:
                self._references(item, here)
        elif isinstance(value, dict):
            if value.get(TAG) in ("ref", "plus") and value["of"] not in self._kept:
                message = f'{here}: no op of the program keeps a result "as": {value["of"]!r}'
                raise ConfigurationError(message)
            for item in value.values():
                self._references(item, here)


def _words(shape: tuple[str, ...]) -> str:
    if shape == (_MAYBE, _VALUE):
        return "at most a value"
    words = {
        _BODY: "a list of ops", _OP: "an op", _TEXT: "a text", _MS: "a number",
        _VALUE: "a value", _VALUES: "any values", _MEMBERS: "calls", _MAYBE: "and perhaps",
    }  # fmt: skip
    return ", ".join(words[kind] for kind in shape)


def shown(value: Any) -> str:
    """JSON for an error: its beginning, if it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."
