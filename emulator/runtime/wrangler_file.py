"""The file of a wrangler configuration: TOML, or JSON with comments, as tables.

Promises: what wrangler reads is read, a byte order mark, CRLF, comments and commas behind last
elements included; each error names the file, the line or the place in it, and the fix. Leaves
to others: what the keys mean (the wrangler room).
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Table", "read_table"]

_JSON_TOKEN: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<open>/\*)', re.DOTALL
)
_JSON_COMMA: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|(?P<comma>,)(?=\s*[\]}])')
_TOML_POSITION: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")


def read_table(path: str | Path) -> Table:
    """The whole of a configuration.

    Args:
        path: A file *.toml, *.json or *.jsonc.

    Raises:
        ConfigurationError: If it cannot be read, or is not what its name says.
    """
    path = Path(path)
    return Table(path, "", _parsed(path))


def _parsed(path: Path) -> Any:
    if path.suffix not in (".toml", ".json", ".jsonc"):
        message = (
            f"{str(path)!r} is no configuration of wrangler: name a file wrangler.toml, "
            "wrangler.json or wrangler.jsonc"
        )
        raise ConfigurationError(message)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = (
            f"the configuration {str(path)!r} cannot be read ({error.strerror}): give the "
            "path of a file"
        )
        raise ConfigurationError(message) from None
    except UnicodeDecodeError as error:
        raise _malformed(path, None, f"it is not UTF-8 at byte {error.start}") from None
    try:
        return tomllib.loads(text) if path.suffix == ".toml" else _parsed_json(path, text)
    except json.JSONDecodeError as error:
        raise _malformed(path, error.lineno, error.msg) from None
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        line = int(position[1]) if position else None
        raise _malformed(path, line, _TOML_POSITION.sub("", str(error))) from None
    except ConfigurationError:
        raise
    except ValueError as error:  # Python reads no number of more than 4300 digits.
        raise _malformed(path, None, str(error)) from None
    except RecursionError:
        raise _malformed(path, None, "it is nested too deeply") from None


def _malformed(path: Path, line: int | None, what: str) -> ConfigurationError:
    where = str(path) if line is None else f"{path}, line {line}"
    kind = "TOML" if path.suffix == ".toml" else "JSON (comments and last commas may be there)"
    return ConfigurationError(f"{where}: {what}; correct it so that the file is {kind}")


def _parsed_json(path: Path, text: str) -> Any:
    """JSON with comments and with commas behind last elements.

    Both are made blanks, so that errors name the lines of the file.
    """

    def without_comment(token: re.Match[str]) -> str:
        if token["open"]:
            line = text.count("\n", 0, token.start()) + 1
            raise _malformed(path, line, "the comment /* never ends")
        return re.sub(r"[^\n]", " ", token[0]) if token["comment"] else token[0]

    bare = _JSON_TOKEN.sub(without_comment, text)

    def without_comma(token: re.Match[str]) -> str:
        if not token["comma"]:
            return token[0]
        before = token.start() - 1
        while before >= 0 and bare[before].isspace():
            before -= 1
        # Only a comma behind an element may be there for nothing.
        return "," if before < 0 or bare[before] in "[{,:" else " "

    def refuse(constant: str) -> NoReturn:
        raise _malformed(path, None, f"{constant} is not a number of JSON")

    return json.loads(_JSON_COMMA.sub(without_comma, bare), parse_constant=refuse)


@final
class Table:
    """A table of the file, which knows where it stands.

    Args:
        path: The file.
        place: Where in it, such as "env.test.r2_buckets[0]"; empty for the whole.
        values: What is there.

    Raises:
        ConfigurationError: If it is no table; and by its methods, if a value has another type.
    """

    def __init__(self, path: Path, place: str, values: Any) -> None:
        self.path = path
        self.place = place
        if not isinstance(values, dict):
            message = f"{path}: {place or 'the whole'} must be a table, got {_shown(values)}"
            raise ConfigurationError(message)
        self.values: Mapping[str, Any] = values

    def where(self, key: str) -> str:
        """How an error calls the key."""
        return f"{self.path}: {self._place(key)}"

    def _place(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def wrong(self, key: str, want: str) -> ConfigurationError:
        """The error that the key's value is not what it must be."""
        message = f"{self.where(key)} must be {want}, got {_shown(self.values.get(key))}"
        return ConfigurationError(message)

    def text(self, key: str, *, is_needed: bool = False) -> str:
        """A string, or an empty one where there is none."""
        value = self.values.get(key)
        if value is None and not is_needed:
            return ""
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a string in quotes")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of strings")
        return value

    def table(self, key: str) -> Table:
        """A table in this one, empty if it is not there."""
        return Table(self.path, self._place(key), self.values.get(key, {}))

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of a list."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"a list of tables, as [[{self._place(key)}]] makes in TOML")
        for index, item in enumerate(value):
            yield Table(self.path, f"{self._place(key)}[{index}]", item)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
