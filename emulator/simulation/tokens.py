"""Tokens: one run as one short word.

    1xVJNb4MwDP0vOW8...

A token holds what a run is decided by: the scenario's name, the seed, the deviations, and what
else was not as usual. It is text of letters, digits, "-" and "_", so that it survives a shell
and a mail. What would be longer than 200 characters is in a file that the token names, with a
hash: a changed file is refused.

Promises: a token that was read is the one that was made; a broken one says what is wrong.
Leaves to others: running it (`emulator.run`, `play`).
"""

from __future__ import annotations

import ast
import json
import sys
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import ConfigurationError
from emulator.simulation import deviations as deviations_room
from emulator.simulation.schedules import REST_MS, Deviating, Random

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.schedules import Schedule

__all__ = ["TOKEN_LENGTH_MAX", "Token", "name_of", "read_token", "resolve", "token"]

#: Longer tokens go to a file.
TOKEN_LENGTH_MAX: Final = 200
#: Of the text that is compressed; the first character of each token.
_VERSION: Final = "1"
_FILE_MARK: Final = "@"
_FOLDER: Final = ".emulator"
_DIGEST_LENGTH: Final = 16
_CHECK_BYTES: Final = 4
#: What most tokens contain, the most frequent last: the compressor refers to it.
_DICTIONARY: Final = (
    b"websocket.message rpc.body service.fetch outbound.fetch worker.scheduled d1.batch d1.all"
    b" d1.first d1.run d1.exec r2.createMultipartUpload r2.completeMultipartUpload"
    b" r2.abortMultipartUpload r2.uploadPart r2.list r2.delete r2.head r2.get r2.put duplicate"
    b" missing vanish truncate overloaded rate limit restart before restart after reset evict"
    b" stall latency error before error after alarm.ack alarm.deliver storage.flush"
    b" test_scenario tests.test_worker.fetch object.fetch object.rpc DB.d1. BUCKET.r2."
    b' crash before crash after arrival effect"],["at",["inject",["hold",["test","JOBS#'
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What one run is decided by.

    Attributes:
        scenario: The async function, as "module:name" or "file.py:name"; empty if it has none.
        seed: Of every random stream.
        deviations: By what the run differs from the calm run.
        jitter: The seed of `schedules.random`, if that decided latencies and ties.
        start_ms: Where the clock started, epoch milliseconds; None is the default.
        rest_ms: How long everything may take to come to rest.
        invariants: What had to hold, by the same kind of name.
        rules: Faults that held from the start, as JSON.
        left_out: How many invariants and rules there were besides that have no name or JSON.
    """

    scenario: str = ""
    seed: int = 0
    deviations: tuple[Deviation, ...] = ()
    jitter: int | None = None
    start_ms: int | None = None
    rest_ms: int = REST_MS
    invariants: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    left_out: int = 0

    def to_json(self) -> str:
        """As short as it can be: what is as usual is left out."""
        usual = Token()
        others = {
            short: getattr(self, name)
            for short, name in _SHORT.items()
            if getattr(self, name) != getattr(usual, name)
        }
        told = [self.scenario, self.seed, deviations_room.to_json(self.deviations)]
        if others:
            told.append(others)
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False)

    def schedule(self) -> Schedule:
        """A schedule for `emulator.run`, which decides the seed as well."""
        return Deviating(
            self.deviations,
            f"schedules.replay({write_token(self, folder=None)!r})",
            base=None if self.jitter is None else Random(self.jitter),
            token=self,
        )

    def __str__(self) -> str:
        return write_token(self)


#: The names of the less usual fields in JSON.
_SHORT: Final = {
    "j": "jitter",
    "t": "start_ms",
    "r": "rest_ms",
    "i": "invariants",
    "f": "rules",
    "x": "left_out",
}


def token(
    deviations: Iterable[Deviation],
    *,
    seed: int = 0,
    scenario: Callable[..., Any] | str = "",
    schedule: Schedule | None = None,
    start_ms: int | None = None,
    rest_ms: int = REST_MS,
    invariants: Iterable[Any] = (),
    rules: Iterable[Any] = (),
) -> str:
    """The token of a run.

    Args:
        deviations: By what it differed from the calm run.
        seed: Of every random stream.
        scenario: What was run.
        schedule: What else decided it: one of `pct` and `from_hypothesis` is told by the
            deviations that it drew, `random` by its seed.
        start_ms: Where the clock started; None is the default.
        rest_ms: How long everything may take to come to rest.
        invariants: What had to hold. Those that have no name of their own are left out.
        rules: Faults that held from the start. Those that have no JSON are left out.

    Returns:
        At most `TOKEN_LENGTH_MAX` characters; the rest, if any, in a file in `.emulator/`.

    Raises:
        ConfigurationError: If the schedule is none of `emulator.schedules`.
    """
    jitter: int | None = None
    given = tuple(deviations)
    if isinstance(schedule, Deviating):
        given += tuple(one for one in schedule.deviations if one not in given)
        schedule = schedule.base
    if isinstance(schedule, Random):
        jitter = seed if schedule.seed is None else schedule.seed
    elif schedule is not None and not schedule.is_calm:
        message = f"a token can hold schedules of emulator.schedules only, got {schedule!r}"
        raise ConfigurationError(message)
    names = [name_of(one) for one in invariants]
    texts = [_json_of(rule) for rule in rules]
    return write_token(
        Token(
            scenario=scenario if isinstance(scenario, str) else name_of(scenario),
            seed=seed,
            deviations=given,
            jitter=jitter,
            start_ms=start_ms,
            rest_ms=rest_ms,
            invariants=tuple(filter(None, names)),
            rules=tuple(filter(None, texts)),
            left_out=[*names, *texts].count(""),
        )
    )


def _json_of(rule: Any) -> str:
    try:
        return str(rule.to_json())
    except (AttributeError, ConfigurationError):
        return ""


# -- names -------------------------------------------------------------------------------------


def name_of(value: Any) -> str:
    """The name by which `resolve` finds a function or another object; empty if none does.

    Functions inside of functions have none. A name that finds something else is none. What says
    by `made_by` which call makes it again has that.
    """
    made_by = getattr(value, "made_by", "")
    if isinstance(made_by, str) and made_by:
        return made_by
    qualname = getattr(value, "__qualname__", "")
    module = getattr(value, "__module__", "")
    if not (isinstance(qualname, str) and qualname and isinstance(module, str) and module):
        return ""
    if "<" in qualname:
        return ""
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        if file is None:
            return ""
        module = _from_here(Path(file))
    return f"{module}:{qualname}"


def _from_here(path: Path) -> str:
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def resolve(name: str) -> Any:
    """What `name_of` was given.

    Args:
        name: "module:name", or "file.py:name"; "module:name(...)" is called, with literals.

    Raises:
        ConfigurationError: If there is no such thing.
    """
    path, is_call, arguments = name.partition("(")
    module_name, _, qualname = path.rpartition(":")
    try:
        found: Any = _module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
        if is_call:
            args, options = _literals(arguments)
            return found(*args, **options)
    except (ImportError, AttributeError, OSError, SyntaxError, ValueError) as error:
        message = (
            f"there is no {name or 'name'}: {error}. Run this where the token was made, or "
            "name the scenario: --scenario module:function"
        )
        raise ConfigurationError(message) from error
    return found


def _literals(text: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, of which each is a literal."""
    call = ast.parse(f"f({text}", mode="eval").body
    if not isinstance(call, ast.Call):
        message = f"({text} is no call"
        raise ValueError(message)
    args = [ast.literal_eval(argument) for argument in call.args]
    return args, {
        keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg
    }


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        return import_module(name)
    from importlib.util import module_from_spec, spec_from_file_location

    path = Path(name)
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = sys.modules.get(path.stem)
    if module is None or getattr(module, "__file__", None) != spec.origin:
        module = sys.modules[path.stem] = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


# -- writing and reading -----------------------------------------------------------------------


def write_token(told: Token, folder: Path | None = Path(_FOLDER)) -> str:
    """The text of a token.

    Args:
        told: What it holds.
        folder: Where to put what is too long; None makes a long token.
    """
    text = told.to_json().encode()
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_DICTIONARY)
    packed = compressor.compress(text) + compressor.flush()
    check = zlib.crc32(packed).to_bytes(_CHECK_BYTES, "big")
    word = _VERSION + urlsafe_b64encode(check + packed).decode().rstrip("=")
    if len(word) <= TOKEN_LENGTH_MAX or folder is None:
        return word
    digest = sha256(text).hexdigest()[:_DIGEST_LENGTH]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest[:8]}.json"
    path.write_bytes(text)
    return f"{_VERSION}{digest}{_FILE_MARK}{path.as_posix()}"


def read_token(word: str) -> Token:
    """What a token holds.

    Args:
        word: As `token` made it. Space around it, and line ends in it, do not matter.

    Raises:
        ConfigurationError: If it is none, is damaged or of another version, or its file is not
            there or was changed.
    """
    word = "".join(word.split())
    if not word or not word[0].isdigit():
        message = f"a token begins with its version, {_VERSION}, got {_short(word)}"
        raise ConfigurationError(message)
    if word[0] != _VERSION:
        message = (
            f"the token {_short(word)} is of version {word[0]}, and this emulator reads "
            f"version {_VERSION}: use the one that made it"
        )
        raise ConfigurationError(message)
    text = _read_file(word) if _FILE_MARK in word else _unpacked(word)
    return _parsed(text, word)


def _read_file(word: str) -> bytes:
    digest, _, name = word[1:].partition(_FILE_MARK)
    try:
        text = Path(name).read_bytes()
    except OSError as error:
        message = (
            f"the token's file {name} cannot be read: {error.strerror or error}. Copy it along "
            "with the token, or explore again"
        )
        raise ConfigurationError(message) from error
    if sha256(text).hexdigest()[:_DIGEST_LENGTH] != digest:
        message = f"the token's file {name} was changed: it is not the one that the token names"
        raise ConfigurationError(message)
    return text


def _unpacked(word: str) -> bytes:
    coded = word[1:]
    try:
        data = urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        check, packed = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        # Not all bits of a last letter are read, so it is written once more.
        is_whole = urlsafe_b64encode(data).decode().rstrip("=") == coded
        if is_whole and zlib.crc32(packed).to_bytes(_CHECK_BYTES, "big") == check:
            return zlib.decompressobj(-15, zdict=_DICTIONARY).decompress(packed)
    except (ValueError, zlib.error):
        pass  # Told like everything else.
    message = f"the token {_short(word)} is damaged: copy the whole of it"
    raise ConfigurationError(message)


def _parsed(text: bytes, word: str) -> Token:
    try:
        scenario, seed, told, *rest = json.loads(text)
        others = {_SHORT[short]: value for short, value in (rest[0] if rest else {}).items()}
        for name in ("invariants", "rules"):
            if name in others:
                others[name] = tuple(others[name])
        if not isinstance(scenario, str) or type(seed) is not int:
            raise TypeError(f"{scenario!r} and {seed!r} are no name and no seed")
        return Token(
            scenario=scenario,
            seed=seed,
            deviations=deviations_room.from_json(told),
            **others,
        )
    except (ValueError, TypeError, KeyError) as error:
        message = f"the token {_short(word)} holds no run: {error}"
        raise ConfigurationError(message) from error


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:37]}...")
