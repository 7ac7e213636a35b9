"""The isolate: the modules that belong to one run of a script.

Promises: the script and the files beside it are run afresh for each world and are nobody
else's: an import of a sibling, also a late one inside a function, finds this isolate's,
whatever another world or the test has imported under that name; `sys.modules` and
`sys.path` are afterwards as they were. Leaves to others: what is in the script (loader).
"""

from __future__ import annotations

import builtins
import sys
from contextlib import contextmanager
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import CodeType

__all__ = ["Isolate"]


@final
class Isolate:
    """One run of a script.

    Args:
        path: The script; its folder holds the siblings.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = str(path.parent.resolve())
        beside = path.parent.iterdir()
        self._own_names = {entry.stem for entry in beside if entry.suffix in ("", ".py")}
        # There is one emulator, even for a script in the folder of its sources.
        self._own_names.discard("emulator")
        self._modules: dict[str, ModuleType] = {}
        self._is_active = False
        # Functions keep the builtins of the module they were made in, so an import inside
        # of one comes by here however late it runs.
        self._builtins = {**vars(builtins), "__import__": self._import}

    def run(self, code: CodeType) -> dict[str, Any]:
        """Run the script's code and give its names.

        Raises:
            BaseException: Whatever the script raises.
        """
        module = self._new_module(self._path.stem)
        module.__file__ = str(self._path)
        self._modules[self._path.stem] = module
        # Classes look their module up by name while they are made (dataclasses do).
        with self._active():
            exec(code, vars(module))
        return vars(module)

    def _new_module(self, name: str) -> ModuleType:
        module = ModuleType(name)
        vars(module)["__builtins__"] = self._builtins
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # The builtin's own names.
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        known = None if level or "." in name else self._modules.get(name)
        if known is not None and all(hasattr(known, wanted) for wanted in fromlist or ()):
            return known
        full_name = str((globals or {}).get("__package__")) if level else name
        if full_name.partition(".")[0] not in self._own_names:
            return __import__(name, globals, locals, fromlist or (), level)
        with self._active():
            return __import__(name, globals, locals, fromlist or (), level)

    @contextmanager
    def _active(self) -> Iterator[None]:
        """Let the import system see this isolate's modules, and only them under their names."""
        if self._is_active:
            yield
            return
        others = self._take_out()
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self)
        self._is_active = True
        try:
            yield
        finally:
            self._is_active = False
            sys.meta_path.remove(self)
            self._modules = self._take_out()
            sys.modules.update(others)

    def _take_out(self) -> dict[str, ModuleType]:
        """Remove from `sys.modules` what bears one of our names."""
        found = [name for name in sys.modules if name.partition(".")[0] in self._own_names]
        return {name: sys.modules.pop(name) for name in found}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module beside the script, for the import system."""
        if name.partition(".")[0] not in self._own_names:
            return None
        loader: Any = self._loader
        for folder in (self._folder,) if path is None else path:
            spec = FileFinder(folder, (loader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None and spec.loader is not None:
                return spec
        return None

    def _loader(self, name: str, path: str) -> SourceFileLoader:
        loader = _Loader(name, path)
        loader.new_module = self._new_module
        return loader


class _Loader(SourceFileLoader):
    """Loads a sibling as any source file, with the isolate's builtins."""

    new_module: Any

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = self.new_module(spec.name)
        return module
