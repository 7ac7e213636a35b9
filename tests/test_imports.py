"""Importing the package is cheap: what is heavy is loaded when it is first used.

Only names of modules are looked at, since time on a shared machine proves nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    *("apsw", "boto3", "botocore", "freezegun", "httpx", "hypothesis", "moto", "numpy"),
    *("pytest", "rich", "time_machine", "zipstream"),
)


def modules_after(code: str) -> set[str]:
    """The top-level names that a fresh process has imported after `code`."""
    ask = "import json, sys; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ask}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import emulator").isdisjoint(HEAVY)


def test_importing_the_package_does_not_even_start_asyncio() -> None:
    assert "asyncio" not in modules_after("import emulator")


def test_the_names_for_worker_code_import_nothing_heavy() -> None:
    code = "import emulator; from workers import DurableObject; import js, pyodide.ffi"

    assert modules_after(code).isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["faults", "schedules", "errors"])
def test_a_room_is_loaded_when_it_is_first_named(name: str) -> None:
    code = f"import emulator, sys; assert 'emulator.{name}' not in sys.modules; emulator.{name}"

    assert modules_after(code).isdisjoint(HEAVY)


def test_a_world_without_buckets_does_not_load_their_backend() -> None:
    code = (
        "import emulator\n"
        "from workers import WorkerEntrypoint\n"
        "async def main():\n"
        "    async with emulator.Miniflare(worker=WorkerEntrypoint): pass\n"
        "emulator.run(main)\n"
    )

    assert modules_after(code).isdisjoint({"boto3", "moto", "hypothesis"})


def test_looking_a_package_over_loads_nothing() -> None:
    # freezegun asks every attribute that `dir` names, of every module.
    code = "import emulator\nfor name in dir(emulator): getattr(emulator, name)"

    assert modules_after(code).isdisjoint(HEAVY)


def test_lazy_names_are_not_listed_but_are_there() -> None:
    code = (
        "import emulator\n"
        "assert not {'Miniflare', 'run', 'faults', 'testing'} & set(dir(emulator))\n"
        "assert all(hasattr(emulator, name) for name in emulator.__all__)\n"
    )

    assert "httpx" in modules_after(code)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import emulator

    with pytest.raises(AttributeError, match="module 'emulator' has no attribute 'nope'"):
        _ = emulator.nope
