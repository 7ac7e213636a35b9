"""The quickstart, from the built wheel in an environment that has nothing else.

The environment holds what `pip install` of the wheel would bring, and is made without a
network: the wheel is unpacked, and the distributions that it requires, and those that these
require, are linked from where they are installed already. So a requirement that was not
declared is missed here. CI does it once more with pip and an index.

    python tests/test_quickstart.py FOLDER

writes the files of the quickstart into a folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", QUICKSTART, re.DOTALL)
CONSOLE_BLOCKS = re.findall(r"```console\n(.*?)```", QUICKSTART, re.DOTALL)
TOML_BLOCKS = re.findall(r"```toml\n(.*?)```", QUICKSTART, re.DOTALL)
#: What the wheel is built from.
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def write_files(folder: Path) -> None:
    """The two files of the quickstart, as they are printed."""
    worker, test, _ = PYTHON_BLOCKS
    (folder / "worker.py").write_text(worker)
    (folder / "test_worker.py").write_text(test)


def requirements_of(name: str) -> set[str]:
    """A distribution and all that it requires here, by name."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    wanted = [Requirement(name)]
    while wanted:
        requirement = wanted.pop()
        key = f"{requirement.name}[{','.join(sorted(requirement.extras))}]"
        if key in found:
            continue
        found.add(key)
        for line in distribution(requirement.name).requires or ():
            required = Requirement(line)
            extras = requirement.extras or {""}
            if required.marker is None or any(
                required.marker.evaluate({"extra": extra}) for extra in extras
            ):
                wanted.append(required)
    return {key.partition("[")[0] for key in found}


def link(name: str, target: Path) -> None:
    """Make a distribution importable from another folder."""
    installed = Path(sysconfig.get_path("purelib"))
    tops = {file.parts[0] for file in distribution(name).files or () if ".." not in file.parts}
    for top in sorted(tops - {"__pycache__"}):
        if not (target / top).exists():
            (target / top).symlink_to(installed / top)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a wheel, built from a copy: a build leaves files in its folder."""
    copy = tmp_path_factory.mktemp("sources") / "project"
    copy.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", "dist")
    for package in ("emulator", "amber_worker", "fixtures/workerd"):
        shutil.copytree(ROOT / package, copy / package, ignore=ignore)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--wheel-dir", str(copy / "dist"), str(copy)),
        ],
        check=True,
    )
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with the wheel, and what it requires."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True
    )
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    for name in sorted(requirements_of("amber-emulator") - {"amber-emulator"}):
        link(name, packages)
    return str(environment / "bin" / "python")


def run_pytest(python: str, folder: Path, *, is_green: bool = True) -> str:
    """What pytest prints over a folder."""
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))},
    )
    assert (done.returncode == 0) == is_green, done.stdout + done.stderr
    return done.stdout


def test_the_quickstart_is_green_from_the_wheel_alone(python: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    assert "1 passed" in run_pytest(python, tmp_path)


def test_the_worker_may_be_named_by_a_fixture(python: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    take_off_the_mark(tmp_path)
    (tmp_path / "conftest.py").write_text(PYTHON_BLOCKS[2])
    assert "1 passed" in run_pytest(python, tmp_path)


def test_the_worker_may_be_named_by_the_configuration_it_is_deployed_with(
    python: str, tmp_path: Path
) -> None:
    write_files(tmp_path)
    take_off_the_mark(tmp_path)
    for name, text in zip(("pyproject.toml", "wrangler.toml"), TOML_BLOCKS, strict=True):
        (tmp_path / name).write_text(text)
    assert "1 passed" in run_pytest(python, tmp_path)


def test_a_failure_explains_itself_as_it_is_printed(python: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    path = tmp_path / "test_worker.py"
    change = re.search(r"With `(timedelta\(.*?\))`", QUICKSTART)
    assert change
    path.write_text(path.read_text().replace("timedelta(days=1)", change[1]))

    printed = run_pytest(python, tmp_path, is_green=False)

    shown = next(block for block in CONSOLE_BLOCKS if "IndexError" in block)
    # Python 3.11 and later differ in the marks below a line.
    unmarked = [line for line in shown.splitlines() if line.strip(" ^")]
    assert [line for line in unmarked if line not in printed] == []


def test_the_command_line_runs_from_the_wheel_alone(python: str, tmp_path: Path) -> None:
    program = tmp_path / "put.json"
    program.write_text('{"name": "a put", "steps": [{"rpc": [["storage.put", "k", 1]]}]}')

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "emulator", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        )

    done = run("conform", str(program))
    assert (done.returncode, json.loads(done.stdout)["program"]) == (0, "a put"), done.stderr
    done = run("conform", str(program), "--against", "recordings")
    assert (done.returncode, done.stdout) == (2, "")
    assert "in a checkout of the project only" in done.stderr


def take_off_the_mark(folder: Path) -> None:
    path = folder / "test_worker.py"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("@pytest.mark")))


def test_the_worker_and_its_test_are_short() -> None:
    worker, test, _ = PYTHON_BLOCKS
    assert len([line for line in worker.splitlines() if line]) <= 15
    assert len(test.splitlines()) <= 10


def test_the_readme_shows_the_same_worker_and_test() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[:2] == PYTHON_BLOCKS[:2]


if __name__ == "__main__":
    write_files(Path(sys.argv[1]))
