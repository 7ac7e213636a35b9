"""workerd: the real runtime behind the names of the emulator, for comparison.

- `Miniflare`: the options and methods of `emulator.Miniflare`, on the real workerd.
- `Deployed`: a worker that runs somewhere already, as far as a URL shows it.

Node and one `npm ci` are needed; the first `Miniflare` says how. Time is real here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.workerd.deployed import Deployed
    from emulator.workerd.miniflare import Miniflare

__all__ = ["Deployed", "Miniflare"]

_HOMES = {
    "Deployed": "emulator.workerd.deployed",
    "Miniflare": "emulator.workerd.miniflare",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        message = f"module 'emulator.workerd' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
