"""`amber chaos --worker-script`: exports of a bundle on the real runtime."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from amber_worker.cli import run_command
from emulator.workerd.driver import node_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("real_runtime")
WORKER = node_folder() / "amber" / "src" / "index.ts"
VARIANTS = node_folder() / "variants"


def chaos(
    capsys: pytest.CaptureFixture[str], script: Path, *options: object
) -> tuple[int, str, str]:
    status = run_command(["chaos", "--worker-script", str(script), *map(str, options)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_typescript_worker_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = chaos(capsys, WORKER, "--seeds", 4, "--faults", "error,crash")
    assert status == 0, out
    assert "4 worlds, nothing was found" in out


def test_a_calm_export_that_breaks_a_law_is_a_finding_that_can_be_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = VARIANTS / "broken_trash.ts"
    status, out, _ = chaos(capsys, script, "--json", "--seeds", 2)
    assert status == 1
    (finding,) = json.loads(out)["findings"]
    assert finding["kinds"] == []
    assert finding["broken"][0].startswith("each live file is there once byte for byte")
    status, out, _ = chaos(capsys, script, "--replay", finding["token"])
    assert status == 1
    assert "blog/posts/trashed.txt" in out


def test_a_bundle_that_is_no_worker_is_not_explored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text("export default {}\n", encoding="utf-8")
    status, out, err = chaos(capsys, script, "--seeds", 2)
    assert (status, out) == (2, "")
    assert err.startswith("amber: the worker cannot be run on workerd: ")
