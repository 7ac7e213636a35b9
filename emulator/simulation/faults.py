"""Faults: what may fail, how, and what must survive it.

The fault model. A fault is something that the platform may really do; nothing else is injected.
Each call that leaves an object or a worker has two instants: its *effect* on the other side,
and the *arrival* of the answer.

What the other side may answer:
- `missing`: an object or row is not there (`r2.head`, `r2.get` and `d1.first` answer null). The
  caller goes on without it. Nothing else changes: the next call may find it.
- `vanish`: an R2 object was there when asked with `head`, and is gone at `get`. Somebody
  deleted it in between; no snapshot joins two R2 calls.
- `error`, before the effect: the call failed and changed nothing. It may be tried again.
- `error`, after the effect: the call failed for the caller, and yet it has happened. Trying
  again must not do it twice. R2, D1 and lost connections all allow this.
- `rate_limit` and `overloaded`: the other side has too much to do, and did nothing.
- `reset`: the database or the object lost its memory. What it was doing has happened, or not.
- `status`: a server, ours or another's, answers with an HTTP error.
- `corrupt_size`: an object says another size than its body has when it is read: somebody wrote
  it in between.
- `truncate`: a body ends before its end, or breaks off.
- `latency` and `stall`: the request or the answer takes long. Whatever else is due goes first.

What may befall the one who calls, and the runtime beneath:
- `crash`, before or after an effect: an object loses power. Its memory and all that it had not
  yet flushed are gone, no `finally` of it runs, and what it still tries to do is refused and
  counted. Flushed writes, its alarm, and whatever had taken effect on the other side survive;
  the alarm is delivered again. A `storage.flush` is the instant at which writes become durable,
  an `alarm.deliver` the one at which an alarm is handed to its object, and an `alarm.ack` the
  one at which a finished alarm is forgotten.
- `restart`: the process does: all its objects and requests lose power at once.
- `flush_failure`: writes could not be made durable. The object is reset to what was durable
  before, and all whom it would have told of them get the error instead.
- `evict`: an idle object leaves memory, politely: all that was written is kept.
- `late_alarm`: an alarm runs later than it was set for, never sooner.
- `duplicate_alarm`: an alarm was done, and nobody heard so: it runs again.

Nothing here corrupts what was stored, and no acknowledged write is ever lost: the platform
promises both. Nothing reorders what runs inside one object, either.

Promises: a rule is a value: its `repr` is the line that makes it, equal rules are equal, and
JSON goes out and comes in. What it counts belongs to the simulation that it was added to, so
one rule may serve many, one after the other or at once. Leaves to others: which operations are
meant (the selection), what happens to them (`emulator.faults`), carrying it out (the corridor),
the trace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emulator.simulation.rules import Operation, RuleSet, Verdict
    from emulator.simulation.selection import Selection

    #: Draws a whole number between two, both included.
    Draw = Callable[[int, int], int]
    #: Makes the verdict on one operation.
    MakeVerdict = Callable[[Operation, Draw], Verdict]

__all__ = ["FaultRule"]

_FINEST: Final = 2**53


@final
class FaultRule:
    """One rule: which operations it means, and what happens to them.

    Made by the functions of `emulator.faults`.

    Args:
        fault: The function that made it.
        arguments: What it was given and is not the default, in order.
        positional: How many of them are given without their names.
        selection: Which operations are meant.
        make: Makes the verdict on each.
    """

    __slots__ = ("_make", "_positional", "arguments", "fault", "selection")

    def __init__(
        self,
        fault: str,
        arguments: Mapping[str, Any],
        selection: Selection,
        make: MakeVerdict,
        *,
        positional: int = 0,
    ) -> None:
        self.fault = fault
        self.arguments = tuple(arguments.items())
        self.selection = selection
        self._positional = positional
        self._make = make

    def begin(self, rules: RuleSet) -> _InForce:
        """The rule in force, from now on, among the rules of one simulation."""
        # Equal rules beside each other have luck of their own.
        equal_count = sum(repr(other) == repr(self) for other in rules)
        return _InForce(self.selection, self._make, rules, f"{self!r}.{equal_count}")

    def with_selection(self, selection: Selection) -> FaultRule:
        """The same rule, with the same luck, for other operations."""
        given = dict(self.arguments)
        return FaultRule(self.fault, given, selection, self._make, positional=self._positional)

    def to_json(self) -> str:
        """The rule as JSON; `emulator.faults.from_json` makes it again.

        Raises:
            ConfigurationError: If it chooses keys by a function, which has no JSON.
        """
        told: dict[str, Any] = {"fault": self.fault}
        for name, value in self.arguments:
            if callable(value):
                message = f"{self!r} has no JSON: {name} is a function; give a glob instead"
                raise ConfigurationError(message)
            told[name] = _as_json(value)
        return json.dumps(told)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FaultRule):
            return NotImplemented
        return self.fault == other.fault and dict(self.arguments) == dict(other.arguments)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        told = [
            _told(value) if index < self._positional else f"{name}={_told(value)}"
            for index, (name, value) in enumerate(self.arguments)
        ]
        return f"faults.{self.fault}({', '.join(told)})"


@final
class _InForce:
    """A rule in one simulation: what it has met so far."""

    __slots__ = (
        "_began_ms", "_budget", "_make", "_rules", "_selection", "_stream_name", "match_count",
        "was_unlucky",
    )  # fmt: skip

    def __init__(
        self, selection: Selection, make: MakeVerdict, rules: RuleSet, stream_name: str
    ) -> None:
        self._selection = selection
        self._make = make
        self._rules = rules
        self._stream_name = stream_name
        self._began_ms = rules.clock.now_ms
        #: How many more may be met; None is any number.
        self._budget = selection.times
        #: Operations so far that fitted.
        self.match_count = 0
        #: Chance alone has decided that one of them was not met.
        self.was_unlucky = False

    def decide(self, operation: Operation) -> Verdict | None:
        """The verdict on this operation, or None if the rule does not mean it."""
        selection, rules = self._selection, self._rules
        if not selection.fits(operation, rules.object_names):
            return None
        if not selection.is_within(rules.clock.now_ms, self._began_ms):
            return None
        self.match_count += 1
        if self._budget == 0 or not selection.chooses(self.match_count):
            return None
        probability = selection.probability
        if probability is not None and self._draw(1, _FINEST) > probability * _FINEST:
            self.was_unlucky = True
            return None
        if self._budget is not None:
            self._budget -= 1
        return self._make(operation, self._draw)

    def _draw(self, least: int, most: int) -> int:
        return self._rules.randomness.stream(self._stream_name).randint(least, most)


def _as_json(value: Any) -> Any:
    if isinstance(value, range):
        return {"from": value.start, "to": value.stop, "step": value.step}
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    return value


def _told(value: Any) -> str:
    # A predicate by its name: its own repr holds a memory address.
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    if isinstance(value, (set, frozenset)):
        # In order: that of a set is nobody's.
        return f"{{{', '.join(map(repr, sorted(value)))}}}"
    return repr(value)
