"""Misuses 33 to 44: a worker that reaches for a real clock, thread, socket or process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import SimulationEscape, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable

THREAD = "one thread is the law: call the function directly"
BINDING = "use a binding, or mf.client() in a test"


@pytest.mark.parametrize(
    ("body", "name", "fix"),
    [
        pytest.param(
            "import time\ntime.sleep(1)",
            "time.sleep()",
            "use `await asyncio.sleep(...)`",
            id="33 time.sleep",
        ),
        pytest.param(
            "import socket\nwith socket.socket() as s: s.connect(('127.0.0.1', 9))",
            "socket.connect()",
            BINDING,
            id="34 socket",
        ),
        pytest.param(
            "import httpx\nhttpx.get('http://127.0.0.1:9/')", "socket.getaddrinfo()", BINDING,
            id="35 httpx",
        ),
        pytest.param(
            "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')",
            "socket.getaddrinfo()", BINDING, id="36 urllib",
        ),
        pytest.param(
            "import asyncio\nawait asyncio.open_connection('127.0.0.1', 9)",
            "loop.create_connection()", "through its bindings", id="37 asyncio",
        ),
        pytest.param(
            "import threading\nthreading.Thread(target=print).start()", "Thread.start()",
            THREAD, id="38 thread",
        ),
        pytest.param(
            "import asyncio\nawait asyncio.to_thread(print)", "to_thread(print)",
            "call the function directly", id="39 to_thread",
        ),
        pytest.param(
            "from concurrent.futures import ThreadPoolExecutor\n"
            "with ThreadPoolExecutor() as pool: pool.submit(print)",
            "Thread.start()", THREAD, id="40 pool",
        ),
        pytest.param(
            "import subprocess\nsubprocess.run(['ls'])", "subprocess.Popen()",
            "run it outside of the simulation", id="41 process",
        ),
        pytest.param(
            "import os\nos.execlp('true', 'true')", "os.exec",
            "run it outside of the simulation", id="42 exec",
        ),
        pytest.param(
            "import queue\nqueue.Queue().get(timeout=1)", "Condition.wait()",
            "use asyncio's Event, Queue and the like", id="43 queue",
        ),
        pytest.param(
            "import threading\nthreading.Event().wait()", "Condition.wait()",
            "no other thread would ever wake it", id="43 event",
        ),
    ],
)  # fmt: skip
def test_a_way_out_is_refused_by_its_name_with_what_to_use_instead(
    request_told: Callable[..., str], body: str, name: str, fix: str
) -> None:
    sentence = request_told(body, SimulationEscape)

    assert sentence.startswith(name)
    assert fix in sentence


def test_an_http_client_that_hides_the_refusal_in_a_group_still_carries_it(
    try_out: Callable[..., Any],
) -> None:
    import httpx

    async def scenario(_: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get("http://127.0.0.1:9/")

    with pytest.raises(ExceptionGroup) as caught:
        try_out(scenario)
    escape = caught.value.exceptions[0]
    assert isinstance(escape, SimulationEscape)
    assert "a test through dispatch_fetch or mf.client()" in str(escape)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        pytest.param(
            "import emulator\nemulator.run(print)", WorldError,
            "a loop is already running here: await the coroutine instead", id="44 emulator.run",
        ),
        pytest.param(
            "import asyncio\nwork = asyncio.sleep(0)\n"
            "try: asyncio.run(work)\nfinally: work.close()",
            RuntimeError, "asyncio.run() cannot be called from a running event loop",
            id="44 asyncio.run",
        ),
    ],
)  # fmt: skip
def test_a_second_loop_inside_of_a_world_is_refused(
    request_told: Callable[..., str], body: str, kind: type[Exception], text: str
) -> None:
    assert text in request_told(body, kind)
