"""Faults: what may fail, how, and what must survive it.

The fault model. A fault is an answer that the platform may really give; nothing else is
injected. Each call that leaves an object or a worker has two instants: its *effect* on the
other side, and the *arrival* of the answer.

- `missing`: an object or row is not there (`r2.head`, `r2.get` and `d1.first` answer null).
  The caller goes on without it. Nothing else changes: the next call may find it.
- `vanish`: an R2 object was there when asked with `head`, and is gone at `get`. Somebody
  deleted it in between; no snapshot joins two R2 calls.
- `error`, before the effect: the call failed and changed nothing. It may be tried again.
- `error`, after the effect: the call failed for the caller, and yet it has happened. Trying
  again must not do it twice. R2, D1 and lost connections all allow this.
- `latency`: the request or the answer takes long. Whatever else is due goes first.
- `crash`, before or after the effect: the caller loses power. Its memory and all that it had
  not yet flushed are gone, and no `finally` of it runs. Flushed writes, its alarm, and
  whatever had taken effect on the other side survive; the alarm is delivered again. A
  `storage.flush` is the instant at which writes become durable, an `alarm.ack` the one at
  which a finished alarm is forgotten.

Nothing here corrupts what was stored, and no acknowledged write is ever lost: the platform
promises both.

Which operations a rule means is chosen by `binding` ("BUCKET"), `operation` ("get",
"r2.get", "r2.*"), `key` (a glob such as "u1/*", or a predicate) and `nth`: which of the
matching operations, counted by each rule for itself from 1, as a number or a range or other
collection of numbers; None is every one. All of them must fit.

Promises: rules for `Miniflare(faults=[...])` and `mf.faults.add(...)`, whose `repr` is the
line that made them. Leaves to others: carrying a verdict out (the corridor), and the trace.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal, final

from emulator.errors import ConfigurationError, JsException, js_error
from emulator.simulation.clock import duration_ms
from emulator.simulation.rules import Operation, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FaultRule", "crash", "error", "latency", "missing", "vanish"]

When = Literal["before", "after"]

#: What a call with an answer is called. An error is an answer too.
_CALLS: Final = (
    "d1.all", "d1.batch", "d1.exec", "d1.first", "d1.raw", "d1.run",
    "object.fetch", "object.rpc", "outbound.fetch",
    "r2.abort", "r2.body", "r2.complete", "r2.createMultipartUpload", "r2.delete", "r2.get",
    "r2.head", "r2.list", "r2.put", "r2.uploadPart",
    "service.fetch", "service.rpc", "stub.rpc", "websocket.close", "websocket.message",
    "worker.fetch", "worker.scheduled",
)  # fmt: skip
#: What the runtime does by itself, and nobody awaits.
_FLUSH: Final = "storage.flush"
_ACKNOWLEDGEMENT: Final = "alarm.ack"
#: Calls that may answer null.
_NULLABLE: Final = ("d1.first", "r2.get", "r2.head")

#: R2's generic error; the method's own name is in front (Cloudflare docs, R2, error codes).
_R2_TEXT: Final = "{method}: We encountered an internal error. Please try again. (10001)"
_R2_METHODS: Final = {"complete": "completeMultipartUpload", "abort": "abortMultipartUpload"}
#: What a lost connection reads like everywhere else, D1 with its own prefix (Cloudflare
#: docs, D1, Errors; workerd's `jsg/util.c++` for the flag).
_LOST: Final = "Network connection lost."


@final
class FaultRule:
    """One rule: which operations it means, and what happens to them.

    Made by the functions of this module. A rule counts what it met since it was last added
    to a simulation, so one rule may serve many runs, one after the other.
    """

    def __init__(self, call: str, selection: _Selection, verdict: Verdict) -> None:
        self._call = call
        self._selection = selection
        self._verdict = verdict
        #: Operations so far that fitted binding, operation and key.
        self.match_count = 0

    def reset(self) -> None:
        """Count from 1 again."""
        self.match_count = 0

    def decide(self, operation: Operation) -> Verdict | None:
        """The verdict on this operation, or None if the rule does not mean it."""
        if not self._selection.fits(operation):
            return None
        self.match_count += 1
        return self._verdict if self._selection.is_chosen(self.match_count) else None

    def __repr__(self) -> str:
        return f"faults.{self._call}"


def missing(
    binding: str | None = None,
    key: str | Callable[[str], bool] | None = None,
    nth: int | Collection[int] | None = None,
    *,
    operation: str | None = None,
) -> FaultRule:
    """The object or row is not there: the answer is null, whatever is stored.

    Args:
        binding: The name of the bucket or database in the worker's environment.
        key: The object's key or the SQL text; a glob or a predicate.
        nth: Which matching operations; None is every one.
        operation: "r2.head", "r2.get" or "d1.first", or a glob over them; None is all.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    selection = _Selection("missing", binding, operation, key, nth, _NULLABLE)
    call = _call("missing", binding=binding, operation=operation, key=key, nth=nth)
    return FaultRule(call, selection, Verdict(answer=_nothing))


def vanish(
    key: str | Callable[[str], bool] | None = None,
    *,
    binding: str | None = None,
    nth: int | Collection[int] | None = None,
) -> FaultRule:
    """An R2 object is there at `head` and gone at `get`.

    Args:
        key: The object's key; a glob or a predicate.
        binding: The name of the bucket in the worker's environment.
        nth: Which matching gets; None is every one.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    selection = _Selection("vanish", binding, "r2.get", key, nth, _NULLABLE)
    call = _call("vanish", key=key, binding=binding, nth=nth)
    return FaultRule(call, selection, Verdict(answer=_nothing))


def error(
    message: str | None = None,
    *,
    binding: str | None = None,
    operation: str | None = None,
    key: str | Callable[[str], bool] | None = None,
    nth: int | Collection[int] | None = None,
    when: When = "before",
    name: str = "Error",
    retryable: bool | None = None,
    overloaded: bool = False,
    durable_object_reset: bool = False,
) -> FaultRule:
    """The call fails.

    Args:
        message: The error's text. None is what the platform says: R2's internal error
            10001 with the method's name, elsewhere a lost connection.
        binding: The name of the other side in the worker's environment.
        operation: What was called, with or without the service; a glob.
        key: What it was about; a glob or a predicate.
        nth: Which matching operations; None is every one.
        when: "before" the effect, which then never happens, or "after" it.
        name: The error's class, such as "Error" or "TypeError".
        retryable: The flag of that name. None is the platform's: true for a lost connection
            of an object or a service.
        overloaded: The flag of that name.
        durable_object_reset: The flag `durableObjectReset`.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    if message is not None and not isinstance(message, str):
        raise _wrong("error", "message", message, "the error's text, or None")
    _check_when("error", when)
    selection = _Selection("error", binding, operation, key, nth, _CALLS)

    def make(failed: Operation) -> JsException:
        text, is_retryable = _platform_error(failed)
        if message is not None:
            text, is_retryable = message, False
        made = js_error(
            name,
            text,
            retryable=is_retryable if retryable is None else retryable,
            overloaded=overloaded,
            durableObjectReset=durable_object_reset,
        )
        if message is None and failed.name.startswith("d1."):
            made.properties["cause"] = js_error("Error", _LOST)
        return made

    call = _call(
        "error", message, binding=binding, operation=operation, key=key, nth=nth,
        when=None if when == "before" else when, name=None if name == "Error" else name,
        retryable=retryable, overloaded=overloaded or None,
        durable_object_reset=durable_object_reset or None,
    )  # fmt: skip
    verdict = Verdict(error_before=make) if when == "before" else Verdict(error_after=make)
    return FaultRule(call, selection, verdict)


def latency(
    delay: int | float | timedelta,
    *,
    binding: str | None = None,
    operation: str | None = None,
    key: str | Callable[[str], bool] | None = None,
    nth: int | Collection[int] | None = None,
    when: When = "before",
) -> FaultRule:
    """The call takes longer.

    Args:
        delay: Extra milliseconds, or a timedelta.
        binding: The name of the other side in the worker's environment.
        operation: What was called, with or without the service; a glob.
        key: What it was about; a glob or a predicate.
        nth: Which matching operations; None is every one.
        when: "before" the effect, or "after" it and before the answer's arrival.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    told = "milliseconds or a timedelta, finite and not negative"
    if not isinstance(delay, (int, float, timedelta)) or isinstance(delay, bool):
        raise _wrong("latency", "delay", delay, told)
    try:
        delay_ms = duration_ms(delay)
    except (ValueError, OverflowError):
        raise _wrong("latency", "delay", delay, told) from None
    _check_when("latency", when)
    known = (*_CALLS, _FLUSH) if when == "before" else _CALLS
    selection = _Selection("latency", binding, operation, key, nth, known)
    call = _call(
        "latency", delay_ms, binding=binding, operation=operation, key=key, nth=nth,
        when=None if when == "before" else when,
    )  # fmt: skip
    if when == "before":
        return FaultRule(call, selection, Verdict(latency_ms=delay_ms))
    return FaultRule(call, selection, Verdict(answer_latency_ms=delay_ms))


def crash(
    when: When = "before",
    *,
    binding: str | None = None,
    operation: str | None = None,
    key: str | Callable[[str], bool] | None = None,
    nth: int | Collection[int] | None = 1,
) -> FaultRule:
    """The caller loses power.

    Args:
        when: "before" or "after" the effect of the operation.
        binding: The name of the other side in the worker's environment.
        operation: What it does at that moment, with or without the service; a glob.
        key: What it was about; a glob or a predicate.
        nth: Which matching operations; the first unless told otherwise, since an object
            that always crashes never ends.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    _check_when("crash", when)
    known = (*_CALLS, _FLUSH, _ACKNOWLEDGEMENT)
    selection = _Selection("crash", binding, operation, key, nth, known)
    call = _call("crash", when, binding=binding, operation=operation, key=key, nth=nth)
    return FaultRule(call, selection, Verdict(crash=when))


@final
class _Selection:
    """Which operations a rule means."""

    __slots__ = ("_binding", "_key", "_names", "_nth")

    def __init__(
        self,
        kind: str,
        binding: str | None,
        operation: str | None,
        key: str | Callable[[str], bool] | None,
        nth: int | Collection[int] | None,
        known: tuple[str, ...],
    ) -> None:
        if binding is not None and not isinstance(binding, str):
            raise _wrong(kind, "binding", binding, 'a name such as "BUCKET", or None')
        if key is not None and not isinstance(key, str) and not callable(key):
            raise _wrong(kind, "key", key, 'a glob such as "u1/*", a predicate, or None')
        self._binding = binding
        self._names = _names(kind, operation, known)
        self._key = key
        self._nth = _numbers(kind, nth)

    def fits(self, operation: Operation) -> bool:
        """Whether binding, operation and key fit."""
        if operation.name not in self._names:
            return False
        if self._binding is not None and operation.binding != self._binding:
            return False
        if self._key is None:
            return True
        if isinstance(self._key, str):
            # The key itself, too: "a[1].txt" is a key as well as a glob.
            return operation.key == self._key or fnmatchcase(operation.key, self._key)
        return bool(self._key(operation.key))

    def is_chosen(self, number: int) -> bool:
        """Whether the operation that fitted as the `number`-th is meant."""
        return self._nth is None or number in self._nth


def _names(kind: str, operation: str | None, known: tuple[str, ...]) -> frozenset[str]:
    """The known operations that a glob means."""
    if operation is None:
        return frozenset(known)
    told = f"one of {', '.join(known)}, with or without the service, or a glob over them"
    if not isinstance(operation, str):
        raise _wrong(kind, "operation", operation, told)
    found = frozenset(
        name
        for name in known
        if fnmatchcase(name if "." in operation else name.partition(".")[2], operation)
    )
    if not found:
        raise _wrong(kind, "operation", operation, told)
    return found


def _numbers(kind: str, nth: int | Collection[int] | None) -> Collection[int] | None:
    told = "a number from 1 on, a range or other collection of such numbers, or None"
    if nth is None:
        return None
    if isinstance(nth, int) and not isinstance(nth, bool):
        if nth < 1:
            raise _wrong(kind, "nth", nth, told)
        return (nth,)
    if isinstance(nth, range):
        if not nth or min(nth[0], nth[-1]) < 1:
            raise _wrong(kind, "nth", nth, told)
        return nth
    if not isinstance(nth, Collection) or isinstance(nth, (str, bytes)) or not nth:
        raise _wrong(kind, "nth", nth, told)
    for number in nth:
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise _wrong(kind, "nth", nth, told)
    return frozenset(nth)


def _check_when(kind: str, when: object) -> None:
    if when not in ("before", "after"):
        raise _wrong(kind, "when", when, '"before" or "after" (the effect)')


def _wrong(kind: str, argument: str, value: object, wanted: str) -> ConfigurationError:
    message = f"faults.{kind}({argument}={value!r}): {argument} must be {wanted}"
    return ConfigurationError(message)


def _nothing(operation: Operation) -> None:
    """Null, whatever was asked."""


def _platform_error(operation: Operation) -> tuple[str, bool]:
    """The platform's own text for a failure of this operation, and whether it is retryable."""
    service, _, method = operation.name.partition(".")
    if operation.name == "r2.body":
        return _LOST, True
    if service == "r2":
        return _R2_TEXT.format(method=_R2_METHODS.get(method, method)), False
    if operation.name == "d1.exec":
        first_line = operation.key.partition("\n")[0]
        return f"D1_EXEC_ERROR: Error in line 1: {first_line}: {_LOST}", False
    if service == "d1":
        return f"D1_ERROR: {_LOST}", False
    return _LOST, True


def _call(kind: str, *positional: object, **named: object) -> str:
    """The line that made a rule; what is None is left out."""
    told = [repr(value) for value in positional if value is not None]
    told += [f"{name}={_told(value)}" for name, value in named.items() if value is not None]
    return f"{kind}({', '.join(told)})"


def _told(value: Any) -> str:
    # A predicate by its name: its own repr holds a memory address.
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    if isinstance(value, (set, frozenset)):
        # In order: that of a set is nobody's.
        return f"{{{', '.join(map(repr, sorted(value)))}}}"
    return repr(value)
