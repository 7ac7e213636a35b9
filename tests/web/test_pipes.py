"""Pipes, tees and cancelling. Outcomes and texts are those measured on workerd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.web.streams import FixedLengthStream, ReadableStream, WritableStream


def run(body: Any) -> Any:
    return asyncio.run(body())


def raising(text: str) -> Any:
    def call(*_: Any) -> None:
        raise RuntimeError(text)

    return call


def test_a_pipe_closes_its_destination_unless_told_not_to() -> None:
    async def main() -> list[Any]:
        log: list[Any] = []
        source = ReadableStream({"start": lambda c: (c.enqueue("a"), c.close())})
        sink = WritableStream(
            {
                "write": lambda chunk, _: log.append(chunk),
                "close": lambda *_: log.append("close"),
            }
        )
        await source.pipeTo(sink, {"preventClose": True})
        writer = sink.getWriter()
        await writer.write("b")
        await writer.close()
        return log

    assert run(main) == ["a", "b", "close"]


@pytest.mark.parametrize(("prevents", "log"), [(True, []), (False, ["w"])])
def test_a_broken_destination_cancels_the_source_unless_told_not_to(
    prevents: bool,  # noqa: FBT001  # pytest hands it by name.
    log: list[str],
) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        source = ReadableStream(
            {"start": lambda c: c.enqueue("a"), "cancel": lambda r: seen.append(str(r))}
        )
        sink = WritableStream({"write": raising("w")})
        with pytest.raises(RuntimeError, match="w"):
            await source.pipeTo(sink, preventCancel=prevents)
        assert not source.locked
        assert not sink.locked
        return seen

    assert run(main) == log


@pytest.mark.parametrize(("prevents", "log"), [(True, []), (False, ["s"])])
def test_a_broken_source_aborts_the_destination_unless_told_not_to(
    prevents: bool,  # noqa: FBT001  # pytest hands it by name.
    log: list[str],
) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        source = ReadableStream({"start": raising("s")})
        sink = WritableStream({"abort": lambda r: seen.append(str(r))})
        with pytest.raises(RuntimeError, match="s"):
            await source.pipeTo(sink, preventAbort=prevents)
        return seen

    assert run(main) == log


def test_a_pipe_takes_free_streams_only_and_locks_both() -> None:
    async def main() -> None:
        source, sink = ReadableStream(), WritableStream()
        piped = source.pipeTo(sink)
        assert source.locked
        assert sink.locked
        with pytest.raises(TypeError, match="ReadableStream is currently locked to a reader"):
            await source.pipeTo(WritableStream())
        with pytest.raises(TypeError, match="WritableStream is currently locked to a writer"):
            await ReadableStream().pipeTo(sink)
        with pytest.raises(TypeError, match="parameter 1 is not of type 'WritableStream'"):
            await ReadableStream().pipeTo({})
        piped.cancel()

    run(main)


def test_the_source_of_a_tee_is_cancelled_when_both_branches_are_with_the_last_reason() -> None:
    async def main() -> tuple[list[str], list[str]]:
        seen: list[str] = []
        left, right = ReadableStream({"cancel": lambda r: seen.append(str(r))}).tee()
        await left.cancel("1")
        before = list(seen)
        await right.cancel("2")
        return before, seen

    assert run(main) == ([], ["2"])


def test_an_error_reaches_both_branches_of_a_tee() -> None:
    async def main() -> None:
        held: list[Any] = []
        branches = ReadableStream({"start": held.append}).tee()
        held[0].error(RuntimeError("x"))
        for branch in branches:
            with pytest.raises(RuntimeError, match="x"):
                await branch.getReader().read()

    run(main)


def test_cancelling_is_done_once_and_not_on_a_locked_stream() -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []
        stream = ReadableStream({"cancel": seen.append})
        await stream.cancel("why")
        await stream.cancel("again")
        locked = ReadableStream()
        locked.getReader()
        with pytest.raises(TypeError, match="currently locked to a reader"):
            await locked.cancel()
        with pytest.raises(RuntimeError, match="c"):
            await ReadableStream({"cancel": raising("c")}).cancel()
        return seen

    assert run(main) == ["why"]


def test_a_queue_tells_how_much_more_it_wants() -> None:
    async def main() -> list[Any]:
        held: list[Any] = []
        stream = ReadableStream({"start": held.append}, {"highWaterMark": 2})
        controller = held[0]
        sizes = [controller.desiredSize]
        controller.enqueue(1)
        sizes.append(controller.desiredSize)
        controller.enqueue(2)
        controller.enqueue(3)
        sizes.append(controller.desiredSize)
        await stream.getReader().read()
        sizes.append(controller.desiredSize)
        controller.close()
        sizes.append(controller.desiredSize)
        return sizes

    assert run(main) == [2, 1, -1, 0, 0]


def test_a_writer_is_ready_when_the_sink_has_caught_up() -> None:
    async def main() -> list[Any]:
        async def write(*_: Any) -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        writer = WritableStream({"write": write}, {"highWaterMark": 2}).getWriter()
        sizes = [writer.desiredSize]
        writer.write(1)
        sizes.append(writer.desiredSize)
        writer.write(2)
        writer.write(3)
        sizes.append(writer.desiredSize)
        await writer.ready
        sizes.append(writer.desiredSize)
        await writer.close()
        with pytest.raises(TypeError, match=r"This WritableStream has been closed\."):
            await writer.write(4)
        return [*sizes, writer.desiredSize]

    assert run(main) == [2, 1, -1, 1, 0]


def test_a_closed_queue_takes_nothing_and_closes_once() -> None:
    held: list[Any] = []
    ReadableStream({"start": held.append})
    held[0].close()
    with pytest.raises(TypeError, match="Unable to enqueue"):
        held[0].enqueue(1)
    with pytest.raises(TypeError, match=r"This ReadableStream is closed\."):
        held[0].close()


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (-1, "it is negative and this API expects a positive bigint"),
        (float("nan"), "it is not an integer"),
        ("x", "it is not an integer"),
    ],
)
def test_a_fixed_length_is_a_whole_number(length: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        FixedLengthStream(length)


def test_a_fixed_length_of_nothing_ends_at_once() -> None:
    async def main() -> bool:
        pair = FixedLengthStream(0)
        pair.writable.getWriter().close()
        return bool((await pair.readable.getReader().read()).done)

    assert run(main)
