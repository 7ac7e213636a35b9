"""Cloudflare's own package `workers`, loaded on our `js` and `pyodide`."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from emulator.durable_objects.relaxed_call import relaxed_call
from emulator.sdk import environment
from emulator.sdk.workers import threads

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDLERS = ("alarm", "fetch", "scheduled")
PARTS = (
    *("asgi", "blob", "entrypoints", "fetch", "formdata", "gateway", "request", "response"),
    *("rpc", "types", "utils", "workflows", "wsgi"),
)


def _runtimes_own_modules() -> dict[str, Any]:
    """What the package imports of the runtime that it runs in (workerd, src/pyodide)."""
    flags: Any = ModuleType("_cloudflare_compat_flags")
    flags.python_workflows_implicit_dependencies = True
    flags.python_request_headers_preserve_commas = True
    helper: Any = ModuleType("_pyodide_entrypoint_helper")
    helper.cloudflareWorkersModule = SimpleNamespace(
        env=environment.env, waitUntil=environment.wait_until
    )
    helper.patchWaitUntil = lambda ctx: None

    def patch_env_helper(bindings: Any) -> Iterator[None]:
        with environment.patch_env(bindings):
            yield

    helper.patch_env_helper = patch_env_helper
    return {flags.__name__: flags, helper.__name__: helper}


def _loaded() -> dict[str, Any]:
    """The package's modules, by name, none of which stays imported."""
    folder = Path(str(distribution("workers-runtime-sdk").locate_file("workers")))
    before = dict(sys.modules)
    for name in [name for name in sys.modules if name.partition(".")[0] == "workers"]:
        del sys.modules[name]
    sys.modules.update(_runtimes_own_modules())
    try:
        spec = importlib.util.spec_from_file_location(
            "workers", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = sys.modules["workers"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
        # Functions of the package hide two of its modules: `fetch` is one.
        for part in PARTS:
            shown = vars(package).get(part)
            importlib.import_module(f"workers.{part}")
            if shown is not None and not isinstance(shown, ModuleType):
                vars(package)[part] = shown
        _host(package)
        return {name: sys.modules[name] for name in sys.modules if name not in before} | {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] == "workers"
        }
    finally:
        sys.modules.clear()
        sys.modules.update(before)


def _host(package: Any) -> None:
    """Wrap handlers and methods as the runtime does (workerd's introspection.py)."""
    threads.run_sync_functions_inline()  # As the package's own patch of anyio does it.
    from_rpc, to_rpc = package.python_from_rpc, package.python_to_rpc

    def wrapped(function: Any, name: str) -> Any:
        @functools.wraps(function)
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            converted = [from_rpc(arg) for arg in args]
            bound = functools.partial(function, self)
            bound.__signature__ = inspect.signature(function.__get__(self))  # type: ignore[attr-defined]
            if name in HANDLERS:
                result = relaxed_call(bound, *converted)
            else:
                result = bound(*converted, **kwargs)
            return to_rpc(await result if inspect.isawaitable(result) else result)

        return method

    for base in (package.DurableObject, package.WorkerEntrypoint):
        base.__workers_rpc__ = True
        original = base.__dict__["__init_subclass__"].__func__

        def init_subclass(cls: Any, original: Any = original, **options: Any) -> None:
            original(cls, **options)
            for name, value in list(vars(cls).items()):
                if inspect.isfunction(value) and not name.startswith("_"):
                    setattr(cls, name, wrapped(value, name))

        base.__init_subclass__ = classmethod(init_subclass)


@pytest.fixture(scope="session")
def _cloudflares_modules() -> dict[str, Any]:
    return _loaded()


@pytest.fixture
def cloudflares(
    _cloudflares_modules: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Cloudflare's modules, by name; `import workers` finds them during the test."""
    for name, module in _cloudflares_modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return _cloudflares_modules
