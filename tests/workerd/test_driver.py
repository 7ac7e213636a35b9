"""The driver: that it is safe, that it is found, and above all that it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.errors import ConfigurationError, NodeMissing, WorldError
from emulator.workerd import Miniflare, installation
from emulator.workerd.driver import Driver, close_shared, shared
from emulator.workerd.options import settings_of

SAMPLE = Path(__file__).parent / "workers" / "sample.mjs"
OPTIONS: dict[str, Any] = {"script_path": SAMPLE, "durable_objects": {"JOBS": "Job"}}
WAIT_SECONDS_MAX = 60

pytestmark = pytest.mark.usefixtures("real_runtime")


# -- what runs -------------------------------------------------------------------------------


def children_of(pid: int) -> list[int]:
    told = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in told.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def is_alive(pid: int) -> bool:
    told = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return told.strip() != "" and not told.startswith("Z")


def wait_until_gone(pids: list[int]) -> list[int]:
    """Those that still live after a bounded wait."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


# -- the end ---------------------------------------------------------------------------------

PROGRAM = f"""
import asyncio, os, sys
from emulator.workerd import Miniflare
from emulator.workerd.driver import shared

async def main():
    options = {{"script_path": {str(SAMPLE)!r}, "durable_objects": {{"JOBS": "Job"}}}}
    async with Miniflare(**options), Miniflare(**options):
        print(shared().pid, flush=True)
        sys.stdin.readline()
        exec(sys.argv[1])
        await asyncio.sleep(1_000)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("how", "signal_number"),
    [
        ("return_ = None; sys.exit(0)", None),
        ("raise KeyError('x')", None),
        ("os._exit(3)", None),
        ("", signal.SIGKILL),
        ("", signal.SIGTERM),
        ("", signal.SIGINT),
    ],
    ids=["exit", "exception", "at_once", "SIGKILL", "SIGTERM", "SIGINT"],
)
def test_the_driver_and_every_workerd_end_with_python_and_leave_no_file(
    how: str, signal_number: int | None, tmp_path: Path
) -> None:
    python = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with python:
        assert python.stdout is not None
        assert python.stdin is not None
        driver = int(python.stdout.readline())
        pids = [driver, *children_of(driver)]
        assert len(pids) == 3
        python.stdin.write(b"\n")
        python.stdin.flush()
        if signal_number is not None:
            python.send_signal(signal_number)

        assert wait_until_gone([python.pid, *pids]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_driver_ends_with_its_parent_though_a_fork_holds_its_pipe() -> None:
    how = "os.fork() or __import__('time').sleep(300); os._exit(0)"
    python = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with python:
        assert python.stdout is not None
        assert python.stdin is not None
        driver = int(python.stdout.readline())
        pids = [driver, *children_of(driver)]
        python.stdin.write(b"\n")
        python.stdin.flush()
        left = wait_until_gone([python.pid, *pids])
        os.killpg(python.pid, signal.SIGKILL)  # The fork.

    assert left == []


def test_a_disposed_world_leaves_no_process() -> None:
    async def main() -> list[int]:
        async with Miniflare(**OPTIONS):
            return children_of(shared().pid)

    before = children_of(shared().pid)
    during = asyncio.run(main())

    assert len(during) == len(before) + 1
    assert wait_until_gone(sorted(set(during) - set(before))) == []


def test_a_world_that_does_not_start_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text("throw new Error('at the start')")
    before = children_of(shared().pid)

    async def main() -> None:
        with pytest.raises(ConfigurationError):
            await Miniflare(script_path=script).__aenter__()

    asyncio.run(main())

    assert wait_until_gone(sorted(set(children_of(shared().pid)) - set(before))) == []


def test_after_a_killed_driver_calls_say_so_and_the_next_world_starts() -> None:
    async def lose() -> None:
        async with Miniflare(**OPTIONS) as mf:
            pids = [shared().pid, *children_of(shared().pid)]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            assert wait_until_gone(pids) == []
            with pytest.raises(WorldError, match="has ended: it crashed or was killed"):
                await mf.dispatch_fetch("http://localhost/log")
            with pytest.raises(WorldError, match="has ended"):
                await mf.get_durable_object_namespace("JOBS").getByName("a").alarms()

    async def live() -> int:
        async with Miniflare(**OPTIONS) as mf:
            return (await mf.dispatch_fetch("http://localhost/log")).status_code

    asyncio.run(lose())

    assert asyncio.run(live()) == 200


def raw_settings() -> dict[str, Any]:
    """What the driver takes for a world."""
    return settings_of(OPTIONS).driver


def test_a_workerd_whose_driver_was_killed_ends_with_the_driver_of_python() -> None:
    driver = Driver()
    headers = {"authorization": f"Bearer {driver.token}"}
    answer = httpx.post(
        f"{driver.url}/worlds", headers=headers, json=raw_settings(), trust_env=False
    )
    assert answer.status_code == 200, answer.text
    (workerd,) = children_of(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.close()

    assert wait_until_gone([driver.pid, workerd]) == []


def test_a_world_ends_when_nobody_listens_to_it_any_more() -> None:
    driver = shared()
    before = children_of(driver.pid)
    headers = {"authorization": f"Bearer {driver.token}"}
    with httpx.Client(base_url=driver.url, headers=headers, trust_env=False) as client:
        world = client.post("/worlds", json=raw_settings()).json()
        (workerd,) = set(children_of(driver.pid)) - set(before)
        with client.stream("GET", f"/worlds/{world['id']}/events") as events:
            assert events.status_code == 200
            assert is_alive(workerd)

    assert wait_until_gone([workerd]) == []


# -- safety ----------------------------------------------------------------------------------


def test_nobody_is_answered_without_the_token() -> None:
    async def main() -> list[int]:
        async with Miniflare(**OPTIONS) as mf, httpx.AsyncClient(trust_env=False) as client:
            front = str(mf.world._pool._url)
            return [
                (await client.post(f"{shared().url}/worlds", content="{}")).status_code,
                (
                    await client.get(
                        f"{shared().url}/worlds/1/events",
                        headers={"authorization": "Bearer " + "0" * 64},
                    )
                ).status_code,
                (await client.get(front)).status_code,
                (
                    await client.get(
                        front, headers={"amber-token": "0" * 64, "amber-url": "http://a/log"}
                    )
                ).status_code,
            ]

    assert asyncio.run(main()) == [403, 403, 403, 403]


def test_the_token_stays_hidden_from_the_worker(tmp_path: Path) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text(
        "export default { async fetch(request, env) {"
        " const told = JSON.stringify([[...request.headers], env, request.url]);"
        " const answer = await env.A.fetch('http://a/', { headers: request.headers });"
        " return new Response(told + await answer.text()) } }"
    )

    async def service(request: Any) -> Any:
        from workers import Response

        return Response(json.dumps(request.headers.items()))

    async def main() -> str:
        async with Miniflare(script_path=script, service_bindings={"A": service}) as mf:
            return (await mf.dispatch_fetch("http://localhost/")).text

    told = asyncio.run(main())

    assert "localhost" in told
    assert "amber-" not in told
    assert "token" not in told.lower()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="it is read from Linux's /proc")
def test_everything_listens_on_this_machine_only() -> None:
    def listening(pid: int) -> set[str]:
        """Addresses, in the kernel's hexadecimal digits, on which a process listens."""
        sockets = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(os.readlink(entry))
            except OSError:
                continue
        found = set()
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                    found.add(fields[1].partition(":")[0])
        return found

    async def main() -> set[str]:
        async with Miniflare(**OPTIONS):
            pids = [shared().pid, *children_of(shared().pid)]
            return set().union(*(listening(pid) for pid in pids))

    assert asyncio.run(main()) == {"0100007F"}


# -- installation ----------------------------------------------------------------------------


def test_a_missing_node_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    close_shared()
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(NodeMissing, match=r"needs Node 20 or newer, and there is no `node` on"):
        shared()


def test_a_node_that_is_too_old_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    close_shared()
    preload = tmp_path / "old.cjs"
    preload.write_text(
        "const versions = { ...process.versions, node: '18.20.0' };"
        "Object.defineProperty(process, 'versions', { value: versions });"
    )
    old = tmp_path / "node"
    old.write_text(f'#!/bin/sh\nexec "{installation.node_path()}" -r "{preload}" "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    with pytest.raises(NodeMissing, match=r"needs Node 20 or newer, .* on PATH is 18\.20\.0"):
        shared()


def test_what_npm_has_not_installed_is_an_error_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    close_shared()
    monkeypatch.setattr(installation, "modules_folder", lambda: tmp_path)

    with pytest.raises(NodeMissing, match=r"run `python -m emulator\.workerd install` once"):
        shared()


def test_a_wheel_keeps_what_npm_installs_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "package-lock.json").write_text("{}")
    monkeypatch.setattr(installation, "_HERE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert installation.node_folder() == tmp_path / "node"
    assert installation.modules_folder().parent == tmp_path / "cache" / "amber-emulator"


def test_the_lock_file_names_no_registry() -> None:
    lock = (installation.node_folder() / "package-lock.json").read_text()

    assert "resolved" not in lock
    assert "registry" not in lock
