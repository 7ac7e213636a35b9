"""Whose `workers` it is that `import workers` finds."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CLOUDFLARES = (
    "import js  # Cloudflare's package works on Cloudflare only.\nraise SystemExit(9)\n"
)


def origin_of(module: str, *path: Path) -> str:
    """What `import module` finds in a fresh process with these folders on its path."""
    code = (
        f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n"
        f"import emulator, {module}\n"
        f"print(getattr(sys.modules[{module!r}], 'WHOSE', 'the emulator'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)


@pytest.mark.parametrize(
    "module", ["workers", "workers.asgi", "asgi", "js", "pyodide", "pyodide.ffi"]
)
def test_the_names_are_the_emulators_once_it_is_imported(module: str) -> None:
    assert origin_of(module) == "the emulator"


def test_a_package_of_the_users_own_wins(tmp_path: Path) -> None:
    package(tmp_path, "workers", "WHOSE = 'mine'")
    (tmp_path / "js.py").write_text("WHOSE = 'mine too'")

    assert origin_of("workers", tmp_path) == "mine"
    assert origin_of("js", tmp_path) == "mine too"


def test_a_part_belongs_to_whom_the_whole_does(tmp_path: Path) -> None:
    package(tmp_path, "workers", "WHOSE = 'mine'")
    (tmp_path / "workers" / "asgi.py").write_text("WHOSE = 'mine too'")

    assert origin_of("workers.asgi", tmp_path) == "mine too"


def test_a_package_of_the_users_own_wins_though_it_is_installed(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    package(site, "workers", "WHOSE = 'mine'")

    assert origin_of("workers", site) == "mine"


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("workers", "workers_runtime_sdk-1.9.5.dist-info"),
        ("pyodide", "pyodide_py-0.28.0.dist-info"),
    ],
)
def test_cloudflares_distribution_does_not_win(tmp_path: Path, name: str, record: str) -> None:
    package(tmp_path, name, CLOUDFLARES)
    (tmp_path / record).mkdir()

    assert origin_of(name, tmp_path) == "the emulator"


def test_a_folder_that_happens_to_bear_the_name_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()

    assert origin_of("workers", tmp_path) == "the emulator"


def test_the_finder_is_installed_once() -> None:
    from emulator.sdk import finder

    finder.install()
    finder.install()

    assert [type(f).__name__ for f in sys.meta_path].count("_SdkFinder") == 1
