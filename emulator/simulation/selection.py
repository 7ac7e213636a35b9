"""Selection: which operations a fault means.

Promises: a value that says so by binding, operation, key, SQL, object, count, time, chance and
budget; all of what is given must fit. What was wrong with an argument is said when it is made.
Leaves to others: counting (the rule that is in force), and what happens then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypedDict, final

from emulator.errors import ConfigurationError, meant
from emulator.simulation.clock import duration_ms, instant_ms

if TYPE_CHECKING:
    from emulator.simulation.rules import Operation

__all__ = ["Moment", "Selection", "Where", "wrong_argument"]

#: An instant: milliseconds since the rule came into force, or text of an absolute one.
Moment = int | str | None

#: What the runtime does by itself names no binding of the worker's: whose it is, its actor
#: says.
_OWN: Final = ("alarm", "storage", "WebSocket")
_NUMBERS: Final = "a number from 1 on, a range or other collection of such numbers, or None"
_DURING: Final = (
    "a pair of moments: milliseconds or a timedelta since the rule came into force, a "
    "datetime, or None for no bound"
)


class Where(TypedDict, total=False):
    """Which operations a fault means. All of what is given must fit.

    Attributes:
        op: The operation: what was called, with or without service and binding: "put",
            "r2.put", "BUCKET.r2.put"; a glob such as "r2.*".
        operation: The same, in full.
        key: What it was about: an R2 key, a URL, a method's name. A glob such as "u1/*", or a
            predicate (which has no JSON).
        sql: A glob over the statement of a D1 call, in which letters may be of either case and
            blanks of any length; of a batch, over each statement.
        object: A glob over the name of the Durable Object that does it or that it is done to;
            of an object without a name, over its name in the trace, "JOBS#1f3a9c02".
        nth: Which of the operations that fit, counted from 1: a number, a range or another
            collection of numbers. None is every one.
        during: A window of simulated time, start included and end not: each a datetime, or
            milliseconds or a timedelta since the rule was added (an option `faults` is added
            when its world begins), or None.
        probability: How likely each of them is met, above 0 and at most 1; drawn from a random
            stream of the rule's own, which the seed decides.
        times: At most so many are met.
    """

    op: str | None
    operation: str | None
    key: str | Callable[[str], bool] | None
    sql: str | None
    object: str | None
    nth: int | Collection[int] | None
    during: tuple[Any, Any] | None
    probability: float | None
    times: int | None


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Which operations a rule means.

    Attributes:
        names: The operations that it may mean.
        binding: The name of the other side in the worker's environment, or of the namespace of
            the one who does it, where `is_actor`.
        is_actor: `binding` is about who does it.
        via: A glob over the binding of the operation; None is any.

    The others are those of `Where`, in one form of several.
    """

    names: frozenset[str]
    binding: str | None = None
    is_actor: bool = False
    via: str | None = None
    key: str | Callable[[str], bool] | None = None
    sql: str | None = None
    object: str | None = None
    nth: int | range | frozenset[int] | None = None
    during: tuple[Moment, Moment] | None = None
    probability: float | None = None
    times: int | None = None

    @classmethod
    def made(
        cls,
        fault: str,
        binding: str | None,
        where: Mapping[str, Any],
        known: frozenset[str],
        *,
        is_actor: bool = False,
    ) -> Selection:
        """A selection of checked arguments.

        Args:
            fault: The function of `emulator.faults` that was called, for error texts.
            binding: See `Selection`.
            where: See `Where`.
            known: The operations that the fault may meet.
            is_actor: See `Selection`.

        Raises:
            ConfigurationError: If an argument is unknown, or has a wrong type or value.
        """
        _check_names(fault, where)
        names, via = _names(fault, where.get("op"), known)
        sql = _text(fault, "sql", where.get("sql"), 'a glob such as "UPDATE jobs*", or None')
        if sql is not None:
            names = frozenset(name for name in names if name.startswith("d1."))
            if not names:
                raise wrong_argument(fault, "sql", sql, "None here: no D1 call can be meant")
        key = where.get("key")
        if key is not None and not isinstance(key, str) and not callable(key):
            raise wrong_argument(
                fault, "key", key, 'a glob such as "u1/*", a predicate, or None'
            )
        told = 'a glob over names of objects such as "user-*", or None'
        return cls(
            names,
            _binding(fault, binding, where),
            is_actor,
            via,
            key,
            None if sql is None else _plain_sql(sql),
            _text(fault, "object", where.get("object"), told),
            _numbers(fault, where.get("nth")),
            _window(fault, where.get("during")),
            _probability(fault, where.get("probability")),
            _times(fault, where.get("times")),
        )

    def fits(self, operation: Operation, names_of_objects: Mapping[str, str]) -> bool:
        """Whether all fits that the operation itself shows.

        Args:
            operation: It.
            names_of_objects: The names by which objects were reached, by their names in the
                trace.
        """
        if operation.name not in self.names:
            return False
        if self.binding is not None and not self._fits_binding(operation, self.binding):
            return False
        if self.via is not None and not fnmatchcase(operation.binding, self.via):
            return False
        if self.key is not None and not _fits_key(operation.key, self.key):
            return False
        if self.sql is not None and not _fits_sql(operation, self.sql):
            return False
        if self.object is None:
            return True
        return any(
            fnmatchcase(name, self.object)
            for actor in (operation.actor, operation.target)
            if actor
            for name in (actor, names_of_objects.get(actor, actor))
        )

    def _fits_binding(self, operation: Operation, binding: str) -> bool:
        namespace = operation.actor.partition("#")[0]
        if self.is_actor:
            return binding in (namespace, operation.actor)
        if operation.binding == binding:
            return True
        return operation.binding in _OWN and namespace == binding

    def is_within(self, now_ms: int, began_ms: int) -> bool:
        """Whether an instant is in the window.

        Args:
            now_ms: Epoch milliseconds.
            began_ms: When the rule came into force.
        """
        if self.during is None:
            return True
        start, end = (_epoch_ms(moment, began_ms) for moment in self.during)
        return (start is None or start <= now_ms) and (end is None or now_ms < end)

    def chooses(self, number: int) -> bool:
        """Whether the operation that fitted as the `number`-th is meant."""
        nth = self.nth
        return nth is None or (number == nth if isinstance(nth, int) else number in nth)


def wrong_argument(fault: str, argument: str, value: object, wanted: str) -> ConfigurationError:
    """The error for an argument of a function of `emulator.faults`."""
    message = f"faults.{fault}({argument}={value!r}): {argument} must be {wanted}"
    return ConfigurationError(message)


def _check_names(fault: str, where: Mapping[str, Any]) -> None:
    for name in where:
        if name in Where.__annotations__:
            continue
        known = tuple(Where.__annotations__)
        message = (
            f"faults.{fault}({name}=...): there is no such argument{meant(name, known)}; which "
            f"operations are meant is said by {', '.join(known)}"
        )
        raise ConfigurationError(message)


def _binding(fault: str, binding: object, where: Mapping[str, Any]) -> str | None:
    if binding is None:
        return None
    told = 'the name of a binding such as "BUCKET", or None'
    if not isinstance(binding, str):
        raise wrong_argument(fault, "binding", binding, told)
    if not binding or any(mark in binding for mark in " /*?\n\t"):
        raise wrong_argument(
            fault, "binding", binding, f"{told} (a key is `key=`, a text `message=`)"
        )
    return binding


def _text(fault: str, argument: str, value: object, told: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise wrong_argument(fault, argument, value, told)
    return value


def _names(
    fault: str, operation: object, known: frozenset[str]
) -> tuple[frozenset[str], str | None]:
    """The known operations that a glob means, and the binding that it asks for."""
    if operation is None:
        return known, None
    told = (
        f"one of {', '.join(sorted(known))}, with or without the service or behind the name of "
        f"a binding, or a glob over them{meant(str(operation), known)}"
    )
    if not isinstance(operation, str):
        raise wrong_argument(fault, "op", operation, told)
    found = _globbed(operation, known)
    if found:
        return found, None
    binding, _, rest = operation.partition(".")
    is_service = any(name.startswith(f"{binding}.") for name in known)
    found = frozenset[str]() if is_service or not rest else _globbed(rest, known)
    if not found:
        raise wrong_argument(fault, "op", operation, told)
    return found, binding


def _globbed(glob: str, known: frozenset[str]) -> frozenset[str]:
    return frozenset(
        name
        for name in known
        if fnmatchcase(name if "." in glob else name.partition(".")[2], glob)
    )


def _numbers(fault: str, nth: object) -> int | range | frozenset[int] | None:
    if nth is None:
        return None
    if isinstance(nth, int) and not isinstance(nth, bool) and nth >= 1:
        return nth
    if isinstance(nth, range) and nth and min(nth[0], nth[-1]) >= 1:
        return nth
    if isinstance(nth, Collection) and nth and not isinstance(nth, (str, bytes, range)):
        numbers = list(nth)
        if all(type(number) is int and number >= 1 for number in numbers):
            return frozenset(numbers)
    raise wrong_argument(fault, "nth", nth, _NUMBERS)


def _window(fault: str, during: object) -> tuple[Moment, Moment] | None:
    if during is None:
        return None
    if not isinstance(during, (tuple, list)) or len(during) != 2:
        raise wrong_argument(fault, "during", during, _DURING)
    try:
        start, end = (_moment(moment) for moment in during)
        first_ms, last_ms = _epoch_ms(start, 0), _epoch_ms(end, 0)
    except (TypeError, ValueError, OverflowError):
        raise wrong_argument(fault, "during", during, _DURING) from None
    is_comparable = type(start) is type(end)
    if is_comparable and first_ms is not None and last_ms is not None and first_ms >= last_ms:
        raise wrong_argument(fault, "during", during, f"{_DURING}; it must not be empty")
    return start, end


def _moment(moment: object) -> Moment:
    if moment is None:
        return None
    if isinstance(moment, (datetime, str)):
        given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        instant = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        return instant.isoformat()
    if isinstance(moment, (int, float, timedelta)) and not isinstance(moment, bool):
        return duration_ms(moment)
    raise TypeError


def _epoch_ms(moment: Moment, began_ms: int) -> int | None:
    if moment is None or isinstance(moment, int):
        return None if moment is None else began_ms + moment
    return _parsed_ms(moment)


@lru_cache(maxsize=256)
def _parsed_ms(text: str) -> int:
    return instant_ms(datetime.fromisoformat(text))


def _probability(fault: str, probability: object) -> float | None:
    if probability is None:
        return None
    is_number = isinstance(probability, (int, float)) and not isinstance(probability, bool)
    if not is_number or not 0 < probability <= 1:  # type: ignore[operator]
        told = "a number above 0 and at most 1, or None"
        raise wrong_argument(fault, "probability", probability, told)
    return float(probability)  # type: ignore[arg-type]


def _times(fault: str, times: object) -> int | None:
    if times is None:
        return None
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise wrong_argument(fault, "times", times, "a number from 1 on, or None")
    return times


def _fits_key(key: str, wanted: str | Callable[[str], bool]) -> bool:
    if isinstance(wanted, str):
        # The key itself, too: "a[1].txt" is a key as well as a glob.
        return key == wanted or fnmatchcase(key, wanted)
    return bool(wanted(key))


@lru_cache(maxsize=1_024)
def _plain_sql(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ").lower()


def _fits_sql(operation: Operation, wanted: str) -> bool:
    texts = [operation.key]
    if operation.name == "d1.batch":
        texts += operation.key.split(";")
    elif operation.name == "d1.exec":
        texts += operation.key.split("\n")
    plain = map(_plain_sql, texts)
    return any(text == wanted or fnmatchcase(text, wanted) for text in plain)
