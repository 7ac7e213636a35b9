"""The loader: from a script to the classes in it.

Promises: a script is loaded with `workers`, `js` and `pyodide` importable; what goes wrong
names the file and the line. Leaves to others: running it apart from all others (isolate),
using the classes. The compiled code is kept, since a world is cheap and compiling is not.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import ConfigurationError
from emulator.runtime.isolate import Isolate
from emulator.sdk import finder
from emulator.sdk.workers import DurableObject, WorkerEntrypoint, WorkflowEntrypoint

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Script", "load"]

_JAVASCRIPT: Final = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
_compiled: dict[str, tuple[int, CodeType]] = {}


@final
class Script:
    """The names of one loaded worker.

    Args:
        names: What the module defines.
        label: How errors call it.
        entrypoint: The class that answers requests, if it was given as such.
    """

    def __init__(
        self, names: dict[str, Any], label: str, entrypoint: type | None = None
    ) -> None:
        self._names = names
        self.label = label
        self._entrypoint = entrypoint

    @property
    def entrypoint(self) -> type | None:
        """The class `Default`, or None."""
        if self._entrypoint is not None:
            return self._entrypoint
        default = self._names.get("Default")
        return default if isinstance(default, type) else None

    def handler(self, name: str) -> Any:
        """A module-level handler such as `on_fetch`, or None."""
        return self._names.get(f"on_{name}")

    def missing_handler(self, name: str) -> str:
        """What to do about an event that nothing in the script answers."""
        arguments = "request" if name == "fetch" else "controller, env, ctx"
        if self.entrypoint is not None:
            return (
                f"{self.label}: the class {self.entrypoint.__name__} needs a method "
                f"`async def {name}(self, {arguments})`"
            )
        others = [
            name
            for name, value in self._names.items()
            if isinstance(value, type)
            and issubclass(value, WorkerEntrypoint)
            and value is not WorkerEntrypoint
        ]
        found = f"; it has {', '.join(others)}" if others else ""
        return (
            f"{self.label} needs `class Default(WorkerEntrypoint)` with a method "
            f"`async def {name}(self, {arguments})`{found}"
        )

    def object_class(self, class_name: str, binding: str) -> Any:
        """The class of a Durable Object namespace.

        Raises:
            ConfigurationError: If the script has no such class.
        """
        found = self._names.get(class_name)
        if isinstance(found, type):
            if not _may_be_object(found):
                message = (
                    f"durable_objects[{binding!r}] names the class {class_name!r} of "
                    f"{self.label}, which is no Durable Object: write "
                    f"`class {class_name}(DurableObject):`, with `from workers import "
                    "DurableObject`"
                )
                raise ConfigurationError(message)
            return found
        classes = [
            name
            for name, value in self._names.items()
            if isinstance(value, type)
            and issubclass(value, DurableObject)
            and value is not DurableObject
        ]
        message = (
            f"durable_objects[{binding!r}] names the class {class_name!r}, which {self.label} "
            f"does not define; it has {', '.join(classes) or 'no such classes'}"
        )
        raise ConfigurationError(message)


def _may_be_object(cls: type) -> bool:
    """Whether objects of the class could be reached. Others than DurableObject have no RPC."""
    if issubclass(cls, DurableObject):
        return True
    is_other = issubclass(cls, WorkerEntrypoint | WorkflowEntrypoint)
    return not is_other and (hasattr(cls, "fetch") or hasattr(cls, "alarm"))


def load(*, script_path: Path | None, worker: Any) -> Script:
    """Load a worker.

    Args:
        script_path: A Python file, run afresh.
        worker: Instead: a module, the name of one, or a class in one.

    Raises:
        ConfigurationError: If there is no worker to be found; its cause is what the
            script raised.
    """
    finder.install()
    if script_path is not None:
        return _load_file(script_path)
    if isinstance(worker, str):
        try:
            worker = importlib.import_module(worker)
        except ImportError as error:
            hint = "; for a file, use script_path" if worker.endswith(".py") else ""
            message = f"option worker: cannot import {worker!r}: {error}{hint}"
            raise ConfigurationError(message) from error
    if isinstance(worker, ModuleType):
        return Script(vars(worker), f"module {worker.__name__}")
    if inspect.isclass(worker):
        names = dict(vars(sys.modules[worker.__module__]))
        # A class of a test function is not a name of its module.
        names[worker.__name__] = worker
        is_object = issubclass(worker, DurableObject)
        return Script(names, f"class {worker.__qualname__}", None if is_object else worker)
    message = f"option worker must be a module, its name, or a class, got {worker!r}"
    raise ConfigurationError(message)


def _load_file(path: Path) -> Script:
    if path.suffix in _JAVASCRIPT:
        message = (
            f"option script_path: {path.name} is JavaScript, and the emulator runs workers "
            "written in Python: give a .py file, or run it on the real runtime with "
            "emulator.workerd.Miniflare (in pytest, --emulator-target workerd)"
        )
        raise ConfigurationError(message)
    code = _compile(path)
    try:
        names = Isolate(path).run(code)
    except (Exception, SystemExit) as error:
        lines = [
            line
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename == str(path)
        ]
        where = f"{path.name}, line {lines[0]}," if lines else path.name
        message = (
            f"{where} failed while it was loaded: {type(error).__name__}: {error}; correct it "
            "there"
        )
        raise ConfigurationError(message) from error
    return Script(names, path.name)


def _compile(path: Path) -> CodeType:
    changed_ns = path.stat().st_mtime_ns
    known = _compiled.get(str(path))
    if known is not None and known[0] == changed_ns:
        return known[1]
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = path.name if line is None else f"{path.name}, line {line}"
        what = error.args[0] if error.args else error
        message = f"{where}, is not Python: {what}; correct it there"
        raise ConfigurationError(message) from error
    _compiled[str(path)] = (changed_ns, code)
    return code
