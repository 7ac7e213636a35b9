"""The finder: makes `from workers import DurableObject` work in plain Python.

Promises: `workers`, `js` and `pyodide` import as on Cloudflare, in a test, a REPL or a
script; a user's own package of one of these names wins, Cloudflare's `workers-runtime-sdk`
does not. Leaves to others: what the names hold. Installing costs microseconds.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["install"]

_HOMES: Final = {
    "workers": "emulator.sdk.workers",
    "js": "emulator.sdk.js",
    "pyodide": "emulator.sdk.pyodide",
    "pyodide.ffi": "emulator.sdk.pyodide.ffi",
}


@final
class _SdkFinder:
    """Finds Cloudflare's names, ahead of the path."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the SDK under this name, unless the user has one of his own."""
        home = _HOMES.get(name)
        if home is None or _is_users_own(name):
            return None
        return ModuleSpec(name, _SdkLoader(home), is_package=name == "pyodide")


@final
class _SdkLoader:
    """Gives a module of the SDK under Cloudflare's name."""

    def __init__(self, home: str) -> None:
        self._home = home

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The one module, which keeps its own name and spec."""
        return None

    def exec_module(self, module: Any) -> None:
        """Fill the new module with the names of its home."""
        home = importlib.import_module(self._home)
        own = ("__name__", "__spec__", "__loader__", "__path__", "__package__")
        module.__dict__.update({k: v for k, v in vars(home).items() if k not in own})


def _is_users_own(name: str) -> bool:
    """Whether the path holds a package of this name that is not Cloudflare's."""
    spec = PathFinder.find_spec(name.partition(".")[0])
    if spec is None:
        return False
    if spec.origin is None:
        return False  # A folder that happens to bear the name.
    return "site-packages" not in spec.origin.replace("\\", "/")


def install() -> None:
    """Put the finder in front of the import system's own. Nothing happens the second time."""
    if not any(isinstance(finder, _SdkFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SdkFinder())
