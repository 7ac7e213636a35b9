"""Misuses 85 to 96: what pytest is told wrongly, in marks, fixtures and options."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import pytest

@pytest.mark.miniflare("worker.py")
async def test_85_positional(miniflare): pass

@pytest.mark.miniflare(scriptpath="worker.py")
async def test_86_unknown(miniflare): pass

@pytest.mark.miniflare(script_path="nowhere.py")
async def test_87_missing(miniflare): pass

@pytest.mark.miniflare(script_path="worker.py", workerd=5)
async def test_88_workerd(miniflare): pass

async def test_89_nothing(miniflare): pass

@pytest.mark.miniflare(script_path="worker.py")
def test_90_sync(miniflare): pass

@pytest.mark.simulated(7)
async def test_91_positional(): pass

@pytest.mark.simulated(sed=7)
async def test_91_unknown(): pass

@pytest.mark.simulated(seed="7")
async def test_91_seed(): pass

@pytest.mark.simulated(start_time="2026")
async def test_91_start(): pass

@pytest.mark.miniflare(script_path="worker.py")
async def test_92_forgotten(miniflare):
    miniflare.advance(5)

class TestOptions:
    @pytest.fixture
    def miniflare_options(self):
        {"script_path": "worker.py"}

    async def test_93_no_return(self, miniflare): pass
"""
TOLD = {
    "test_85_positional": "@pytest.mark.miniflare takes keyword arguments only, got",
    "test_86_unknown": "no option 'scriptpath'; did you mean 'script_path'?",
    "test_87_missing": "option script_path: there is no file '",
    "test_88_workerd": "the options of a world are a dict, got 5",
    "test_89_nothing": "the `miniflare` fixture does not know its worker: mark the test with",
    "test_90_sync": "needs simulated time: make this test `async def`",
    "test_91_positional": "@pytest.mark.simulated takes seed=... and start_time=...",
    "test_91_unknown": "@pytest.mark.simulated takes seed=... and start_time=...",
    "test_91_seed": "seed must be a whole number such as 7, got '7'",
    "test_91_start": "an instant must be milliseconds since 1970 or a datetime, got '2026'",
    "test_92_forgotten": "Miniflare.advance() in test_misuses.py:35 was never awaited",
    "TestOptions::test_93_no_return": "got None: let `miniflare_options` return",
}


@pytest.fixture(scope="module")
def misuses(run_sample: Any, worker_text: str) -> Any:
    files = {"worker.py": worker_text, "test_misuses.py": TESTS}
    return run_sample(files, "-p", "no:asyncio")


@pytest.mark.parametrize("name", TOLD)
def test_a_misused_mark_or_fixture_is_told_in_one_sentence(misuses: Any, name: str) -> None:
    assert misuses[name].outcome == "failed"
    line = next((line for line in misuses[name].text.splitlines() if TOLD[name] in line), None)
    assert line is not None, misuses[name].text


def test_every_misuse_of_the_sample_has_its_sentence(misuses: Any) -> None:
    assert {name for name, _ in misuses.reports} == set(TOLD)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(
            ["--emulator-seed", "abc"],
            "argument --emulator-seed: invalid int value: 'abc'",
            id="94 seed",
        ),
        pytest.param(
            ["--emulator-target", "nonsense"],
            "--emulator-target is emulator, workerd or a URL (https://...), got 'nonsense'",
            id="95 target",
        ),
        pytest.param(
            ["-o", "emulator_config=nowhere.toml"],
            "nowhere.toml' cannot be read (No such file or directory): give the path of a file",
            id="96 configuration",
        ),
    ],
)
def test_a_misused_option_of_pytest_is_told_in_one_sentence(
    tmp_path: Path, arguments: list[str], text: str
) -> None:
    (tmp_path / "test_it.py").write_text("async def test_it(miniflare): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert text in (done.stdout + done.stderr).replace("\nE   ", "")


def test_an_environment_of_the_configuration_may_be_chosen_instead(
    run_sample: Any, worker_text: str
) -> None:
    config = """
main = "worker.py"
[[kv_namespaces]]
binding = "CACHE"
id = "1"
[env.test]
vars = { PLAN = "test" }
"""
    test = "async def test_it(miniflare): assert miniflare.get_bindings() == {'PLAN': 'test'}\n"
    files = {"worker.py": worker_text, "wrangler.toml": config, "test_it.py": test}
    options = ("-p", "no:asyncio", "-o", "emulator_config=wrangler.toml")

    refused = run_sample(files, *options)["test_it"]
    chosen = run_sample(files, *options, "-o", "emulator_environment=test")["test_it"]

    assert (refused.outcome, chosen.outcome) == ("failed", "passed")
    assert "kv_namespaces binds 'CACHE', and the emulator has no such" in refused.text
