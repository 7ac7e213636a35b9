"""What workers print and log, and what passes untouched."""

# ruff: noqa: T201  # Workers print.

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
from typing import Any

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator.errors import JsException

log = logging.getLogger("a.library")


class Talker(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        print("a", 1, end="")
        print("\ttail")
        log.warning("careful %s", "x")
        log.error("broken")
        print("two\nlines")
        return Response(None)


class Job(DurableObject):
    async def say(self, text: str) -> None:
        print(text)

    async def later(self) -> None:
        print("before")

        async def wait() -> None:
            try:
                await asyncio.sleep(10)
                print("after")
            finally:
                print("finally")

        self.ctx.waitUntil(wait())

    async def call_out(self) -> None:
        await self.env.OUT.fetch("http://out/")


async def talk(**options: Any) -> list[Any]:
    async with emulator.Miniflare(worker=Talker, **options) as mf:
        await mf.dispatch_fetch("http://x/")
        return list(mf.logs)


def test_each_line_has_its_time_level_message_and_object() -> None:
    assert [str(line) for line in emulator.run(talk)] == [
        "1767225600001 INFO worker: a 1\ttail",
        "1767225600001 WARNING worker: careful x",
        "1767225600001 ERROR worker: broken",
        "1767225600001 INFO worker: two",
        "1767225600001 INFO worker: lines",
    ]


def test_a_line_of_an_object_bears_its_name() -> None:
    async def main() -> tuple[str, str]:
        async with emulator.Miniflare(worker=Talker, durable_objects={"JOBS": "Job"}) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            await stub.say("hi")
            (line,) = mf.logs
            return line.object, str(stub.id)

    name, object_id = emulator.run(main)

    binding, _, digits = name.partition("#")
    assert binding == "JOBS"
    assert len(digits) >= 8
    assert object_id.startswith(digits)


def test_what_a_test_prints_or_logs_passes_untouched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> list[Any]:
        async with emulator.Miniflare(worker=Talker) as mf:
            print("mine")
            log.warning("mine too")
            return mf.logs

    assert emulator.run(main) == []
    assert capsys.readouterr().out == "mine\n"


def test_what_a_worker_prints_reaches_caplog_and_not_the_terminal(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.run(talk)

    assert capsys.readouterr().out == ""
    assert ("emulator.console", logging.INFO, "a 1\ttail") in caplog.record_tuples
    assert ("a.library", logging.WARNING, "careful x") in caplog.record_tuples


def test_worlds_beside_each_other_keep_their_lines_apart() -> None:
    async def main() -> list[list[str]]:
        async with (
            emulator.Miniflare(worker=Talker, durable_objects={"JOBS": "Job"}) as one,
            emulator.Miniflare(worker=Talker, durable_objects={"JOBS": "Job"}) as two,
        ):
            for mf, text in ((one, "1"), (two, "2"), (one, "3")):
                await mf.get_durable_object_namespace("JOBS").getByName("a").say(text)
            return [[line.message for line in mf.logs] for mf in (one, two)]

    assert emulator.run(main) == [["1", "3"], ["2"]]


class Mumbler(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        print(request.url[-1], end="")
        await asyncio.sleep(1)
        print("!", end="", flush=True)
        return Response(None)


def test_half_lines_of_two_requests_are_not_mixed() -> None:
    async def main() -> list[str]:
        async with emulator.Miniflare(worker=Mumbler) as mf:
            await asyncio.gather(*(mf.dispatch_fetch(f"http://x/{n}") for n in range(3)))
            return [line.message for line in mf.logs]

    assert emulator.run(main) == ["0!", "1!", "2!"]


def test_nothing_of_a_dead_object_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[str]:
        async with emulator.Miniflare(
            worker=Talker,
            durable_objects={"JOBS": "Job"},
            service_bindings={"OUT": Talker},
            faults=[emulator.faults.crash(before="OUT.*")],
        ) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            await stub.later()
            with pytest.raises(JsException, match="Network connection lost"):
                await stub.call_out()
            await mf.run_until_idle()
            return [line.message for line in mf.logs]

    assert emulator.run(main) == caplog.messages == ["before"]


def test_the_streams_are_the_processes_own_again_after_the_last_world() -> None:
    stream, handlers = sys.stdout, list(logging.getLogger().handlers)

    async def main() -> None:
        async with emulator.Miniflare(worker=Talker):
            assert sys.stdout is not stream
            async with emulator.Miniflare(worker=Talker):
                pass
            assert sys.stdout is not stream

    emulator.run(main)

    assert sys.stdout is stream
    assert logging.getLogger().handlers == handlers


def test_a_test_may_take_the_stream_while_a_world_lives() -> None:
    stream, taken = sys.stdout, io.StringIO()

    async def main() -> list[int]:
        async with emulator.Miniflare(worker=Talker) as mf:
            with contextlib.redirect_stdout(taken):
                await mf.dispatch_fetch("http://x/")
                print("of the test")
            between = len(mf.logs)
            await mf.dispatch_fetch("http://x/")
            return [between, len(mf.logs)]

    assert emulator.run(main) == [5, 10]
    assert taken.getvalue() == "of the test\n"
    assert sys.stdout is stream


def test_the_lines_can_be_read_after_the_world() -> None:
    async def main() -> Any:
        mf = emulator.Miniflare(worker=Talker)
        async with mf:
            await mf.dispatch_fetch("http://x/")
        return mf.logs

    assert len(emulator.run(main)) == 5
