"""Streams: locks, pressure, errors both ways. Texts are those measured on workerd."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from emulator.errors import JsException
from emulator.web.streams import (
    FixedLengthStream,
    IdentityTransformStream,
    ReadableStream,
    TransformStream,
    Uint8Array,
    WritableStream,
)


async def _turn() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def test_a_write_through_an_identity_stream_waits_for_the_reader() -> None:
    async def main() -> None:
        pair = IdentityTransformStream()
        write = pair.writable.getWriter().write(b"abc")
        await _turn()
        assert not write.done()
        result = await pair.readable.getReader().read()
        await write

        assert result == {"done": False, "value": b"abc"}
        assert isinstance(result.value, Uint8Array)

    asyncio.run(main())


@pytest.mark.parametrize("chunk", ["text", 5, None])
def test_only_bytes_pass_an_identity_stream(chunk: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="is being used as a byte stream, but received"):
            await IdentityTransformStream().writable.getWriter().write(chunk)

    asyncio.run(main())


def test_empty_bytes_are_written_at_once_and_never_read() -> None:
    async def main() -> None:
        pair = IdentityTransformStream()
        writer = pair.writable.getWriter()
        await writer.write(b"")
        await writer.close()

        assert (await pair.readable.getReader().read()).done

    asyncio.run(main())


def test_a_fixed_length_stream_that_gets_too_few_bytes_fails_its_reader() -> None:
    async def main() -> None:
        pair = FixedLengthStream(5)
        writer = pair.writable.getWriter()
        write = writer.write(b"ab")
        assert pair.readable.known_length == 5
        reader = pair.readable.getReader()
        await reader.read()
        await write
        assert pair.readable.known_length == 3
        await writer.close()
        with pytest.raises(
            TypeError, match=r"did not see all expected bytes before close\(\)\."
        ):
            await reader.read()

    asyncio.run(main())


def test_a_fixed_length_stream_that_gets_too_many_bytes_fails_its_reader_and_later_writes() -> (
    None
):
    async def main() -> None:
        pair = FixedLengthStream(3)
        writer = pair.writable.getWriter()
        write = writer.write(b"abcde")
        text = r"Attempt to write too many bytes through a FixedLengthStream\."
        with pytest.raises(TypeError, match=text):
            await pair.readable.read_all()
        await write
        with pytest.raises(TypeError, match=text):
            await writer.write(b"a")

    asyncio.run(main())


def test_a_second_reader_is_refused() -> None:
    stream = ReadableStream.from_bytes(b"x")
    stream.getReader()
    with pytest.raises(TypeError, match=r"currently locked to a reader\."):
        stream.getReader()


def test_a_second_writer_is_refused() -> None:
    stream = WritableStream()
    stream.getWriter()
    with pytest.raises(TypeError, match=r"currently locked to a writer\."):
        stream.getWriter()


def test_cancelling_while_a_read_waits_ends_the_read() -> None:
    async def main() -> None:
        reader = ReadableStream({}).getReader()
        read = reader.read()
        await reader.cancel("x")

        assert (await read).done

    asyncio.run(main())


def test_cancelling_while_a_read_of_bytes_waits_rejects_the_read() -> None:
    async def main() -> None:
        reader = IdentityTransformStream().readable.getReader()
        read = reader.read()
        await _turn()
        await reader.cancel("x")
        with pytest.raises(JsException, match="x"):
            await read

    asyncio.run(main())


def test_aborting_while_a_write_waits_rejects_it_and_the_next_read() -> None:
    async def main() -> None:
        pair = IdentityTransformStream()
        writer = pair.writable.getWriter()
        write = writer.write(b"x")
        closed = writer.closed
        await writer.abort(RuntimeError("boom"))
        for answer in (write, closed, pair.readable.getReader().read()):
            with pytest.raises(RuntimeError, match="boom"):
                await answer

    asyncio.run(main())


def test_cancelling_the_readable_half_rejects_the_writes() -> None:
    async def main() -> None:
        pair = IdentityTransformStream()
        writer = pair.writable.getWriter()
        write = writer.write(b"x")
        await pair.readable.cancel()
        for answer in (write, writer.write(b"y")):
            with pytest.raises(JsException, match=r"Stream was cancelled\."):
                await answer

    asyncio.run(main())


def test_a_second_waiting_read_of_bytes_is_refused() -> None:
    async def main() -> None:
        reader = IdentityTransformStream().readable.getReader()
        reader.read()
        with pytest.raises(TypeError, match="single pending read request"):
            await reader.read()
        await reader.cancel()

    asyncio.run(main())


def test_releasing_a_reader_rejects_its_reads_and_loses_no_chunk() -> None:
    async def main() -> None:
        held: list[Any] = []
        stream = ReadableStream({"start": held.append})
        reader = stream.getReader()
        read = reader.read()
        reader.releaseLock()
        held[0].enqueue("kept")
        with pytest.raises(TypeError, match="reader has been released"):
            await read

        assert (await stream.getReader().read()).value == "kept"

    asyncio.run(main())


def test_an_error_of_the_source_aborts_the_destination_of_a_pipe() -> None:
    async def main() -> None:
        seen: list[Any] = []
        source = ReadableStream({"start": lambda c: c.error(RuntimeError("source"))})
        with pytest.raises(RuntimeError, match="source"):
            await source.pipeTo(WritableStream({"abort": lambda r: seen.append(str(r))}))

        assert seen == ["source"]

    asyncio.run(main())


def test_an_error_of_the_destination_cancels_a_source_that_waits() -> None:
    async def main() -> None:
        seen: list[Any] = []
        held: list[Any] = []
        source = ReadableStream({"cancel": lambda r: seen.append(str(r))})
        piped = source.pipeTo(WritableStream({"start": held.append}))
        await _turn()
        held[0].error(RuntimeError("late"))
        with pytest.raises(RuntimeError, match="late"):
            await piped

        assert seen == ["late"]
        assert not source.locked

    asyncio.run(main())


def test_a_pipe_reads_no_faster_than_its_destination_writes() -> None:
    async def main() -> None:
        pulls = 0
        gate = asyncio.Event()

        async def pull() -> bytes | None:
            nonlocal pulls
            pulls += 1
            return b"x" if pulls < 10 else None

        async def write(chunk: Any, controller: Any) -> None:
            await gate.wait()

        piped = ReadableStream.from_source(pull).pipeTo(WritableStream({"write": write}))
        await _turn()
        assert pulls == 1
        gate.set()
        await piped
        assert pulls == 10

    asyncio.run(main())


def test_both_branches_of_a_tee_see_every_chunk_at_their_own_pace() -> None:
    async def main() -> None:
        stream = ReadableStream(
            {"start": lambda c: (c.enqueue(b"1"), c.enqueue(b"2"), c.close())}
        )
        left, right = stream.tee()

        assert await left.read_all() == b"12"
        assert await right.read_all() == b"12"

    asyncio.run(main())


def test_user_callbacks_run_in_the_context_that_made_the_stream() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")

    async def main() -> None:
        variable.set("maker")
        seen: list[str] = []

        async def pull(controller: Any) -> None:
            await asyncio.sleep(0)
            seen.append(variable.get())
            controller.close()

        stream = ReadableStream({"pull": pull}, {"highWaterMark": 0})
        variable.set("reader")
        await stream.getReader().read()

        assert seen == ["maker"]

    asyncio.run(main())


def test_a_transformer_transforms_and_flushes() -> None:
    async def main() -> None:
        pair = TransformStream(
            {"transform": lambda c, k: k.enqueue(c.upper()), "flush": lambda k: k.enqueue("!")}
        )
        writer = pair.writable.getWriter()
        writer.write("a")
        writer.write("b")
        writer.close()

        assert [chunk async for chunk in pair.readable] == ["A", "B", "!"]

    asyncio.run(main())


def test_a_transformer_that_raises_fails_both_halves() -> None:
    async def main() -> None:
        def transform(chunk: Any, controller: Any) -> None:
            raise RuntimeError("t")

        pair = TransformStream({"transform": transform})
        writer = pair.writable.getWriter()
        read = pair.readable.getReader().read()
        for answer in (writer.write(1), read, writer.closed):
            with pytest.raises(RuntimeError, match="t"):
                await answer

    asyncio.run(main())


def test_leaving_a_loop_early_cancels_the_source() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def pull() -> bytes:
            return b"x"

        stream = ReadableStream.from_source(pull, cancel=seen.append)
        chunks = stream.values()
        await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]  # It is an async generator.

        assert seen == [None]
        assert not stream.locked

    asyncio.run(main())


@pytest.mark.parametrize(
    "transformer", [None, {"transform": lambda c, k: k.enqueue(c)}], ids=["plain", "function"]
)
def test_aborting_a_transform_whose_write_waits_for_a_reader_does_not_wait(
    transformer: Any,
) -> None:
    async def main() -> None:
        pair = TransformStream(transformer)
        writer = pair.writable.getWriter()
        write = writer.write(b"x")
        await _turn()
        await asyncio.wait_for(writer.abort(RuntimeError("boom")), 1)
        for answer in (write, pair.readable.getReader().read()):
            with pytest.raises(RuntimeError, match="boom"):
                await answer

    asyncio.run(main())


@pytest.mark.parametrize("length", [2, 4])
def test_a_pipe_of_the_wrong_length_ends(length: int) -> None:
    async def main() -> None:
        pair = FixedLengthStream(length)
        piped = ReadableStream.from_bytes(b"abc").pipeTo(pair.writable)
        with pytest.raises(TypeError, match="FixedLengthStream"):
            await pair.readable.read_all()
        await asyncio.wait([piped], timeout=1)

        assert piped.done()
        assert not piped.cancelled()

    asyncio.run(main())
