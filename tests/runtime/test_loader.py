"""From a script to its classes, and what is said when that fails."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from workers import DurableObject, WorkerEntrypoint

import emulator
from emulator.errors import ConfigurationError
from emulator.runtime.loader import load

if TYPE_CHECKING:
    from pathlib import Path

COUNTER = """
from workers import Response, WorkerEntrypoint
count = 0
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global count
        count += 1
        return Response(str(count))
"""


def script(folder: Path, text: str, name: str = "worker.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def answers(*paths: Path) -> list[str]:
    """One answer of a world for each path, all worlds alive at once."""

    async def main() -> list[str]:
        worlds = [emulator.Miniflare(script_path=path) for path in paths]
        for mf in worlds:
            await mf.__aenter__()
        texts = [(await mf.dispatch_fetch("http://x/")).text for mf in worlds]
        for mf in worlds:
            await mf.dispose()
        return texts

    return emulator.run(main)


def test_each_world_runs_the_script_afresh_and_shares_no_module_state(tmp_path: Path) -> None:
    path = script(tmp_path, COUNTER)

    assert answers(path, path) == ["1", "1"]
    assert answers(path) == ["1"]


def test_a_changed_script_is_run_as_it_is_now(tmp_path: Path) -> None:
    path = script(tmp_path, COUNTER)
    assert answers(path) == ["1"]
    path = script(tmp_path, COUNTER.replace("count += 1", "count += 10"))

    assert answers(path) == ["10"]


def test_a_script_imports_its_siblings(tmp_path: Path) -> None:
    script(tmp_path, "WORD = 'sibling'", "a_sibling_of_this_test.py")
    path = script(
        tmp_path,
        "from a_sibling_of_this_test import WORD\n" + COUNTER.replace("str(count)", "WORD"),
    )

    assert answers(path) == ["sibling"]


def test_worlds_do_not_share_the_state_of_siblings(tmp_path: Path) -> None:
    script(tmp_path, "items = []", "sibling_with_state.py")
    path = script(
        tmp_path,
        "import sibling_with_state\n"
        + COUNTER.replace("count += 1", "sibling_with_state.items.append(1)").replace(
            "str(count)", "str(len(sibling_with_state.items))"
        ),
    )

    assert answers(path, path) == ["1", "1"]
    assert answers(path) == ["1"]


def test_two_scripts_with_siblings_of_one_name_each_get_their_own(tmp_path: Path) -> None:
    paths = []
    for word in ("left", "right"):
        folder = tmp_path / word
        folder.mkdir()
        script(folder, f"WORD = '{word}'", "helper_of_two.py")
        text = "from helper_of_two import WORD\n" + COUNTER.replace("str(count)", "WORD")
        paths.append(script(folder, text))

    assert answers(*paths) == ["left", "right"]


def test_an_import_inside_of_a_handler_finds_the_worlds_own_sibling(tmp_path: Path) -> None:
    script(tmp_path, "items = []", "late_sibling.py")
    package = tmp_path / "late_package"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import items")
    (package / "inner.py").write_text("items = []")
    text = COUNTER.replace(
        "count += 1",
        "import late_package.inner, late_sibling\n"
        "        from late_package import items\n"
        "        late_sibling.items.append(1); items.append(1)\n"
        "        assert items is late_package.inner.items\n"
        "        count = len(items) + len(late_sibling.items)",
    )
    path = script(tmp_path, text)

    assert answers(path, path) == ["2", "2"]
    assert not {"late_sibling", "late_package", "late_package.inner"} & set(sys.modules)


def test_a_sibling_hides_what_the_test_imported_under_its_name(tmp_path: Path) -> None:
    import json

    script(tmp_path, "WORD = 'mine'", "json.py")
    path = script(tmp_path, "from json import WORD\n" + COUNTER.replace("str(count)", "WORD"))

    assert answers(path) == ["mine"]
    assert sys.modules["json"] is json


def test_loading_leaves_no_module_and_no_folder_behind(tmp_path: Path) -> None:
    script(tmp_path, "WORD = 'x'", "sibling_that_goes.py")
    path = script(tmp_path, "import sibling_that_goes\n" + COUNTER)
    before, folders = set(sys.modules), list(sys.path)
    load(script_path=path, worker=None)

    assert str(tmp_path) not in sys.path
    assert sys.path == folders
    assert not {"worker", "sibling_that_goes"} & (set(sys.modules) - before)


def test_a_dataclass_in_a_script_finds_its_module(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "@dataclass\n"
        "class Point:\n    x: int\n    origin: ClassVar[int] = 0\n"
    )
    path = script(tmp_path, text + COUNTER.replace("str(count)", "str(Point(3))"))

    assert answers(path) == ["Point(x=3)"]


def test_a_syntax_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = script(tmp_path, "x = 1\ny = (\n")
    with pytest.raises(
        ConfigurationError, match=r"line 2, is not Python: '\(' was never closed"
    ):
        load(script_path=path, worker=None)


def test_a_script_that_raises_names_the_file_the_line_and_the_error(tmp_path: Path) -> None:
    path = script(tmp_path, "x = 1\n\nraise KeyError('k')\n")
    text = r"worker\.py, line 3, failed while it was loaded: KeyError: 'k'"
    with pytest.raises(ConfigurationError, match=text) as caught:
        load(script_path=path, worker=None)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_in_a_sibling_names_the_line_of_the_script_that_led_there(
    tmp_path: Path,
) -> None:
    script(tmp_path, "\n\n1 / 0\n", "sibling_that_fails.py")
    path = script(tmp_path, "import sibling_that_fails\n")
    text = r"worker\.py, line 1, failed while it was loaded: ZeroDivisionError"
    with pytest.raises(ConfigurationError, match=text):
        load(script_path=path, worker=None)


def test_a_missing_class_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = script(tmp_path, "from workers import DurableObject\nclass Job(DurableObject): pass")

    async def main() -> None:
        async with emulator.Miniflare(script_path=path, durable_objects={"JOBS": "Jobb"}):
            raise AssertionError

    text = (
        r"durable_objects\['JOBS'\] names the class 'Jobb', which worker\.py does not define; "
        r"it has Job$"
    )
    with pytest.raises(ConfigurationError, match=text):
        emulator.run(main)


def test_a_worker_is_a_module_its_name_or_a_class() -> None:
    class Local(WorkerEntrypoint):
        pass

    module = ModuleType("a_module")
    module.Default = Local  # type: ignore[attr-defined]

    assert load(script_path=None, worker=Local).entrypoint is Local
    assert load(script_path=None, worker=module).entrypoint is Local
    assert load(script_path=None, worker="json").entrypoint is None


def test_a_durable_object_class_is_no_entrypoint() -> None:
    class Job(DurableObject):
        async def fetch(self, request: Any) -> Any: ...

        async def alarm(self) -> None: ...

    assert load(script_path=None, worker=Job).entrypoint is None
    assert load(script_path=None, worker=Job).object_class("Job", "JOBS") is Job


@pytest.mark.parametrize(
    ("worker", "text"),
    [
        ("no_such_module", "option worker: cannot import 'no_such_module': No module named"),
        (5, "option worker must be a module, its name, or a class, got 5"),
    ],
)
def test_what_is_no_worker_is_refused(worker: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load(script_path=None, worker=worker)


def test_a_script_that_loads_may_read_variables_and_print(tmp_path: Path) -> None:
    path = script(tmp_path, "from workers import env\nprint('loaded', env.VAR)\n" + COUNTER)

    async def main() -> list[str]:
        async with emulator.Miniflare(script_path=path, bindings={"VAR": "x"}) as mf:
            return [str(line) for line in mf.logs]

    assert emulator.run(main) == ["1767225600000 INFO worker: loaded x"]
