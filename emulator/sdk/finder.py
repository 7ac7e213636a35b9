"""The finder: makes `from workers import DurableObject` work in plain Python.

Promises: `workers`, `js` and `pyodide` import as on Cloudflare, in a test, a REPL or a
script; a user's own package of one of these names wins, Cloudflare's `workers-runtime-sdk`
does not. Leaves to others: what the names hold. Installing costs microseconds.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["install"]

_HOMES: Final = {
    "workers": "emulator.sdk.workers",
    "workers.asgi": "emulator.sdk.workers.asgi",
    "workers.blob": "emulator.web.blob",
    "workers.entrypoints": "emulator.sdk.workers.entrypoints",
    "workers.formdata": "emulator.web.form_data",
    "workers.gateway": "emulator.sdk.workers.gateway",
    "workers.request": "emulator.web.request",
    "workers.response": "emulator.web.response",
    "workers.rpc": "emulator.sdk.workers.rpc",
    "workers.types": "emulator.sdk.workers.types",
    "workers.utils": "emulator.sdk.workers.utils",
    "workers.workflows": "emulator.sdk.workers.workflows",
    "workers.wsgi": "emulator.sdk.workers.wsgi",
    # How code from before `workers.asgi` spells it; Cloudflare's package has it too.
    "asgi": "emulator.sdk.workers.asgi",
    "js": "emulator.sdk.js",
    "pyodide": "emulator.sdk.pyodide",
    "pyodide.ffi": "emulator.sdk.pyodide.ffi",
    "pyodide.http": "emulator.sdk.pyodide.http",
}
_PACKAGES: Final = ("workers", "pyodide")

#: How the records of the distributions begin that ship these names.
_DISTRIBUTIONS: Final = {
    "workers": "workers_runtime_sdk-",
    "asgi": "workers_runtime_sdk-",
    "pyodide": "pyodide_py-",
}


@final
class _SdkFinder:
    """Finds Cloudflare's names, ahead of the path."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the SDK under this name, unless the user has one of his own."""
        home = _HOMES.get(name)
        if home is None:
            return None
        top, dot, _ = name.partition(".")
        if dot:
            # A part belongs to whom the whole does.
            spec = getattr(sys.modules.get(top), "__spec__", None)
            if not isinstance(getattr(spec, "loader", None), _SdkLoader):
                return None
        elif _is_users_own(name):
            return None
        loader: Any = _SdkLoader(home)
        return ModuleSpec(name, loader, is_package=name in _PACKAGES)


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
    """Whether there is a package of this name that is not Cloudflare's or Pyodide's."""
    others = (finder for finder in sys.meta_path if not isinstance(finder, _SdkFinder))
    spec = next(filter(None, (finder.find_spec(name, None) for finder in others)), None)
    if spec is None or spec.origin is None:
        return False  # Nothing, or a folder that happens to bear the name.
    folder, file = os.path.split(spec.origin)
    if file == "__init__.py":
        folder = os.path.dirname(folder)
    distribution = _DISTRIBUTIONS.get(name)
    if distribution is None:
        return True
    return not any(entry.startswith(distribution) for entry in os.listdir(folder))


def install() -> None:
    """Put the finder in front of the import system's own. Nothing happens the second time."""
    if not any(isinstance(finder, _SdkFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SdkFinder())
