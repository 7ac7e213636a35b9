"""Misuses 1 to 12: a worker that cannot be loaded, or has not what it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def nothing(mf: Any) -> None:
    """The world does not even start."""


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param(
            "x = (\n", "worker.py, line 1, is not Python: '(' was never closed", id="1 syntax"
        ),
        pytest.param(
            "import os\n\nraise RuntimeError('bad')\n",
            "line 3, failed while it was loaded: RuntimeError: bad; correct it there",
            id="2 raises",
        ),
        pytest.param(
            "import no_such_module\n",
            "line 1, failed while it was loaded: ModuleNotFoundError: No module named "
            "'no_such_module'",
            id="3 import",
        ),
        pytest.param(
            "import sys\nsys.exit(3)\n",
            "worker.py, line 2, failed while it was loaded: SystemExit: 3",
            id="4 exits",
        ),
    ],
)
def test_a_script_that_cannot_be_loaded_names_its_line(
    told: Callable[..., str], script: str, text: str
) -> None:
    assert text in told(nothing, ConfigurationError, script=script)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("", "is a folder; name the file in it", id="5 folder"),
        pytest.param("nowhere.py", "there is no file", id="6 missing"),
        pytest.param(
            "worker.mjs", "worker.mjs is JavaScript, and the emulator runs", id="7 mjs"
        ),
        pytest.param("worker.ts", "emulator.workerd.Miniflare", id="7 ts"),
    ],
)
def test_a_path_that_is_no_python_script_is_told_as_what_it_is(
    told: Callable[..., str], tmp_path: Path, name: str, text: str
) -> None:
    for script in ("worker.mjs", "worker.ts"):
        (tmp_path / script).write_text("export default {}")

    sentence = told(nothing, ConfigurationError, script_path=tmp_path / name)

    assert sentence.startswith("option script_path: ")
    assert text in sentence


@pytest.mark.parametrize(
    ("class_name", "text"),
    [
        pytest.param(
            "Jobs", "which worker.py does not define; it has Job, Lazy", id="8 missing"
        ),
        pytest.param("Plain", "write `class Plain(DurableObject):`", id="9 plain"),
        pytest.param("Default", "which is no Durable Object", id="9 entrypoint"),
    ],
)
def test_a_class_that_is_no_durable_object_is_refused_when_the_world_starts(
    told: Callable[..., str], class_name: str, text: str
) -> None:
    sentence = told(nothing, ConfigurationError, durable_objects={"JOBS": class_name})

    assert sentence.startswith(f"durable_objects['JOBS'] names the class '{class_name}'")
    assert text in sentence


@pytest.mark.parametrize(
    ("worker", "text"),
    [
        pytest.param(5, "option worker must be a module, its name, or a class", id="10 number"),
        pytest.param(
            dict, "option worker must be a module, its name, or a class", id="10 class"
        ),
        pytest.param("worker.py", "for a file, use script_path", id="11 file name"),
        pytest.param(
            "no_such_module", "option worker: cannot import 'no_such_module'", id="12"
        ),
    ],
)
def test_what_is_no_worker_is_refused(worker: Any, text: str) -> None:
    async def main() -> None:
        async with emulator.Miniflare(worker=worker):
            pass

    with pytest.raises(ConfigurationError) as caught:
        emulator.run(main)
    assert text in str(caught.value)
