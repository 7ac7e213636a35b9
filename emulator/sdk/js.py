"""`js`: JavaScript's global names that Python workers reach for.

Promises: the console goes where prints go; time and chance are the simulation's; classes
are made with `new`, as Pyodide makes them. Leaves to others: the rest of JavaScript.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, final

from emulator.sdk import environment
from emulator.simulation.runner import current_simulation
from emulator.values import undefined
from emulator.web.blob import Blob, File
from emulator.web.form_data import FormData
from emulator.web.headers import Headers
from emulator.web.js_dict import JsDict
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import (
    FixedLengthStream,
    IdentityTransformStream,
    ReadableStream,
    TransformStream,
    Uint8Array,
    WritableStream,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "JSON",
    "Blob",
    "Date",
    "File",
    "FixedLengthStream",
    "FormData",
    "Headers",
    "IdentityTransformStream",
    "Object",
    "ReadableStream",
    "Request",
    "Response",
    "TransformStream",
    "Uint8Array",
    "WritableStream",
    "console",
    "crypto",
    "fetch",
    "undefined",
]

_logger = logging.getLogger("emulator.console")
_logger.setLevel(logging.DEBUG)


@final
class _Console:
    """`console`: five levels of the same thing."""

    def _write(self, level: int, args: tuple[Any, ...]) -> None:
        _logger.log(level, "%s", " ".join(str(arg) for arg in args))

    def debug(self, *args: Any) -> None:
        """Write at the level debug."""
        self._write(logging.DEBUG, args)

    def log(self, *args: Any) -> None:
        """Write at the level info."""
        self._write(logging.INFO, args)

    def info(self, *args: Any) -> None:
        """Write at the level info."""
        self._write(logging.INFO, args)

    def warn(self, *args: Any) -> None:
        """Write at the level warning."""
        self._write(logging.WARNING, args)

    def error(self, *args: Any) -> None:
        """Write at the level error."""
        self._write(logging.ERROR, args)


@final
class _Date:
    """`Date`, as far as a worker needs it: `Date.now()`."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch, simulated.

        Raises:
            WorldError: Outside of a simulation.
        """
        return current_simulation().clock.now_ms


@final
class _Crypto:
    """`crypto`: chance that obeys the seed."""

    def randomUUID(self) -> str:
        """A version 4 UUID.

        Raises:
            WorldError: Outside of a simulation, where no seed would decide it.
        """
        return current_simulation().randomness.uuid4("js.crypto")


@final
class _Object:
    """`Object`, as `to_js` is given it: `dict_converter=Object.fromEntries`."""

    def new(self) -> JsDict:
        """An empty object."""
        return JsDict()

    def fromEntries(self, entries: Iterable[tuple[str, Any]]) -> JsDict:
        """An object of these names and values."""
        return JsDict(entries)

    def keys(self, value: dict[str, Any]) -> list[str]:
        """Its names."""
        return list(value)

    def entries(self, value: dict[str, Any]) -> list[tuple[str, Any]]:
        """Its names and values."""
        return list(value.items())


@final
class _Json:
    """`JSON`, which writes as JavaScript does: no spaces, text as it is."""

    def parse(self, text: str) -> Any:
        """The value; objects have attributes."""
        return json.loads(text, object_hook=JsDict)

    def stringify(self, value: Any) -> str:
        """The text."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def fetch(resource: str | Request, init: Any = None, **options: Any) -> Response:
    """`workers.fetch`, whose options may also come as a dict."""
    return await environment.fetch(resource, **{**(init or {}), **options})


console = _Console()
Date = _Date()
crypto = _Crypto()
JSON = _Json()
Object = _Object()
