"""The command `amber chaos`: what it prints, how it exits, and that engines find the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amber_worker.chaos import spreading
from amber_worker.cli import run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = Path(__file__).with_name("plain_worker.py")
PUT = '        await self.env.R2_BUCKET.put(state["key"], buffer.getvalue())\n'


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A worker that forgets its state before it has told D1."""
    script = tmp_path / "worker.py"
    text = PLAIN.read_text(encoding="utf-8")
    script.write_text(text.replace(PUT, f"{PUT}        await self.ctx.storage.deleteAll()\n"))
    return script


def chaos(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = run_command(["chaos", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_our_worker_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = chaos(capsys, "--seeds", 40)
    assert (status, err) == (0, "")
    assert "40 worlds, nothing was found" in out
    assert "1,000 files" in out
    assert "crash before" in out


def test_a_finding_is_told_with_a_token_that_repeats_it(
    capsys: pytest.CaptureFixture[str], broken: Path
) -> None:
    status, out, _ = chaos(capsys, "--worker", broken, "--files", 1, "--seeds", 200, "--json")
    assert status == 1
    (finding,) = json.loads(out)["findings"]
    assert finding["case"] == "one file"
    (sentence,) = finding["happened"]
    assert "UPDATE storage_exports SET status = 'completed'" in sentence
    assert "Cloudflare docs" in sentence
    assert finding["broken"][0].startswith("the status reaches completed or failed: export ")
    replay = [sys.executable, "-m", "emulator", "replay", finding["token"]]
    again = subprocess.run(replay, capture_output=True, text=True, check=False)
    assert again.returncode == 1, again.stderr
    assert sentence in again.stdout
    assert finding["broken"][0] in again.stdout


def test_a_finding_is_shown(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    options = ("--worker", broken, "--files", 1, "--seeds", 200, "--faults", "error")
    status, out, _ = chaos(capsys, *options)
    assert status == 1
    assert "1. one file\n   if:   " in out
    assert "   then: the status reaches completed or failed" in out
    assert "   python -m emulator replay 1" in out
    assert "1 finding" in out


def test_only_wanted_kinds_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--files", 1, "--seeds", 30, "--faults", "missing,duplicate_alarm", "--json")
    status, out, _ = chaos(capsys, *options)
    assert status == 0
    assert set(json.loads(out)["tried"]) == {"calm", "duplicate", "missing"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--faults", "crush"], "--faults: 'crush' is none of the kinds corrupt, crash, "),
        (["--faults", "crush"], "; did you mean 'crash'?"),
        (["--faults", " , "], "--faults needs a kind"),
        (["--seeds", "0"], "--seeds: must be a whole number, 1 or more"),
        (["--seeds", "many"], "--seeds: must be a whole number"),
        (["--jobs", "-1"], "--jobs: must be a whole number"),
        (["--files", "x"], "--files: must be a whole number, 0 or more"),
        (["--replay", "token"], "--replay goes with --worker-script"),
        (["--worker-script", "w.mjs", "--jobs", "2"], "--worker-script goes without"),
        (["--worker-script", "w.mjs"], "the worker cannot be run on workerd: "),
        (["--worker", "nowhere.py"], "--worker nowhere.py: it cannot be read"),
        (["--worker", "worker.ts"], "--worker worker.ts: a worker is a Python module"),
        (["--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers there"),
    ],
)
def test_a_call_that_cannot_be_meant_says_why(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(spreading, "CONNECT_S", 1)
    status, out, err = chaos(capsys, *arguments)
    assert (status, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_this_name\n", "the worker cannot be loaded: "),
        ("x = 1\n", "the worker cannot be loaded: "),
        ("not python\n", "the worker cannot be loaded: "),
        (
            "from workers import DurableObject, Response, WorkerEntrypoint\n"
            "class ExportJob(DurableObject): pass\n"
            "class Default(WorkerEntrypoint):\n"
            "    async def fetch(self, request): return Response('no', status=500)\n",
            "the calm export does not begin: POST is 500",
        ),
        (
            PLAIN.read_text(encoding="utf-8").replace(
                "        rows = await self.rows(state)\n", "        raise ValueError('no')\n"
            ),
            "the calm export does not complete: its status was ['pending', 'processing', "
            "'failed']",
        ),
    ],
)
def test_a_worker_that_cannot_run_the_calm_export_is_not_explored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, told: str
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(text, encoding="utf-8")
    status, out, err = chaos(capsys, "--worker", script, "--seeds", 1, "--files", 0)
    assert (status, out) == (2, "")
    assert told in err


def test_the_findings_do_not_depend_on_the_number_of_processes(
    capsys: pytest.CaptureFixture[str], broken: Path
) -> None:
    options = ("--worker", broken, "--seeds", 150, "--faults", "crash", "--json")
    alone = chaos(capsys, *options)
    assert alone[0] == 1
    assert chaos(capsys, *options, "--jobs", 3) == alone


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A real cluster on this machine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_finds_the_same(
    capsys: pytest.CaptureFixture[str], broken: Path, scheduler: str
) -> None:
    options = ("--worker", broken, "--seeds", 30, "--json")
    assert chaos(capsys, *options, "--scheduler", scheduler) == chaos(capsys, *options)


def test_without_dask_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = chaos(capsys, "--seeds", 1, "--files", 0, "--scheduler", "tcp://x:1")
    assert status == 2
    assert "pip install 'amber-emulator[scale]'" in err


def test_nothing_of_dask_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys; from amber_worker.cli import run_command\n"
        "run_command(['chaos', '--seeds', '1', '--files', '0'])\n"
        "sys.exit('distributed' in sys.modules or 'dask' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
