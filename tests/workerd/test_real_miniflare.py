"""What only the real runtime has to show: refusals, bundling, real errors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import (
    ConfigurationError,
    JsException,
    UnsupportedByTarget,
    WorldError,
)
from emulator.workerd import Deployed, Miniflare, transport

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = Path(__file__).parent / "workers"
SAMPLE = WORKERS / "sample.mjs"


def start(**options: Any) -> None:
    """Start and end a world."""

    async def main() -> None:
        async with Miniflare(**options):
            pass

    asyncio.run(main())


# -- options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"script_path": WORKERS / "sample.py"}, r'workerd=\{"script_path": "worker.ts"\}'),
        ({"worker": object}, r'workerd=\{"script_path": "worker.ts"\}'),
        ({"script_path": SAMPLE, "limits": "paid"}, "the real runtime has its own limits"),
        ({"script_path": SAMPLE, "faults": [object()]}, "a list of rules from emulator.faults"),
        (
            {"script_path": SAMPLE, "service_bindings": {"A": Path}},
            "service 'A': .* async func",
        ),
        ({"script_path": SAMPLE, "outbound_service": Path}, "outbound_service"),
        ({"script_path": SAMPLE, "bindings": {"A": b"x"}}, r"bindings\['A'\].* JSON data"),
        ({"script_path": SAMPLE, "compatibility_flags": "a"}, "compatibility_flags must be a"),
        ({"script_path": SAMPLE, "r2_bucket": []}, "did you mean 'r2_buckets'"),
        ({"script_path": WORKERS / "none.mjs"}, "there is no file"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:24],
)
def test_an_option_without_meaning_here_is_refused_before_anything_starts(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Miniflare(**options)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("export default { fetch() { this is no script } }", "Unexpected token"),
        ("throw new Error('at the start')", "Uncaught Error: at the start"),
        ("import './nowhere.mjs'; export default {}", r"nowhere\.mjs"),
        ("export default {}", 'referenced the class "Job", but no such'),
    ],
    ids=["syntax", "throws", "import", "class"],
)
def test_a_script_that_cannot_start_is_refused_with_the_reason(
    real_runtime: None, tmp_path: Path, source: str, text: str
) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text(source)

    with pytest.raises(ConfigurationError, match=text):
        start(script_path=script, durable_objects={"JOBS": "Job"})


def test_typescript_that_cannot_be_bundled_is_refused_with_its_line(
    real_runtime: None, tmp_path: Path
) -> None:
    script = tmp_path / "worker.ts"
    script.write_text("\nimport './nowhere'")

    with pytest.raises(ConfigurationError, match=r'worker\.ts:2:7: .* "\./nowhere"'):
        start(script_path=script)


def test_a_script_without_a_handler_is_told_where_its_requests_go(
    real_runtime: None, tmp_path: Path
) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text("const nothing = 1;")

    async def main() -> None:
        async with Miniflare(script_path=script) as mf:
            await mf.dispatch_fetch("http://localhost/")

    with pytest.raises(JsException, match="script without a fetch handler passes"):
        asyncio.run(main())


def test_an_end_of_workerd_is_told_without_addresses_of_its_code(real_runtime: None) -> None:
    with pytest.raises(ConfigurationError, match="character in path") as caught:
        start(script_path=SAMPLE, durable_objects={"JOBS": "Job"}, name="a/b")

    assert "stack:" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mjs", ".ts"])
def test_a_path_may_hold_spaces_quotes_and_letters(
    real_runtime: None, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / 'a b\'s "$x" é'
    folder.mkdir()
    (folder / f"its own{suffix}").write_text("export const text = 'here'")
    script = folder / f"the worker{suffix}"
    script.write_text(
        f"import {{ text }} from './its own{suffix}';\n"
        "export default { fetch() { return new Response(text) } }"
    )

    async def main() -> str:
        async with Miniflare(script_path=script) as mf:
            return (await mf.dispatch_fetch("http://localhost/")).text

    assert asyncio.run(main()) == "here"


def test_a_schema_that_is_refused_names_its_file(real_runtime: None, tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE a (x);\nCREATE TABEL b (x);")

    with pytest.raises(ConfigurationError, match=r"schema\.sql' failed: .* near \"TABEL\""):
        start(script_path=SAMPLE, d1_databases={"DB": {"schema": schema}})


def test_typescript_is_bundled_with_its_neighbours_and_packages(
    on_workerd: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/", method="POST", content="it ")

        assert response.text == f"got it {len((WORKERS / 'schema.sql').read_text())}"

    on_workerd(body, script_path=WORKERS / "bundled.ts")


def test_compatibility_flags_reach_the_worker(real_runtime: None, tmp_path: Path) -> None:
    script = tmp_path / "worker.mjs"
    script.write_text(
        "import { Buffer } from 'node:buffer';\n"
        "export default { fetch() { return new Response(Buffer.from('aGk=', 'base64')) } }"
    )

    async def main() -> str:
        async with Miniflare(script_path=script, compatibility_flags=["nodejs_compat"]) as mf:
            return (await mf.dispatch_fetch("http://localhost/")).text

    assert asyncio.run(main()) == "hi"


# -- what is only simulated ------------------------------------------------------------------


def test_what_only_simulated_time_has_says_so(on_workerd: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        text = "needs simulated time, and the real runtime has none"
        with pytest.raises(UnsupportedByTarget, match=rf"run_until_idle\(\) {text}"):
            await mf.run_until_idle()
        with pytest.raises(UnsupportedByTarget, match=f"trace {text}"):
            _ = mf.trace
        with pytest.raises(UnsupportedByTarget, match=rf"s3_client\('BUCKET'\) {text}"):
            mf.s3_client("BUCKET")

    on_workerd(body)


def test_real_time_passes_at_least_as_long_as_asked(on_workerd: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        before_ms = mf.clock.now_ms
        await mf.advance(timedelta(milliseconds=20))

        assert mf.clock.now_ms >= before_ms + 20
        assert mf.clock.now.tzinfo is not None

    on_workerd(body)


# -- logs ------------------------------------------------------------------------------------


def test_an_error_that_nobody_catches_is_in_the_logs(on_workerd: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        await mf.get_durable_object_namespace("JOBS").getByName("a").start()
        for _ in range(600):
            await mf.advance(50)
            if mf.logs:
                break

        assert mf.logs[0].level == "ERROR"
        assert mf.logs[0].message.startswith("Uncaught TypeError: the alarm broke\n    at ")

    on_workerd(body, script_path=WORKERS / "uncaught.mjs")


def test_the_lines_of_a_request_are_there_when_it_is_answered(
    on_workerd: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        async with mf.client() as client:
            for count in range(1, 41):
                await mf.dispatch_fetch("http://localhost/log")
                assert len(mf.logs) == 6 * count - 3
                await client.get("/log")
                assert len(mf.logs) == 6 * count

    on_workerd(body)


# -- lives -----------------------------------------------------------------------------------


def test_a_world_is_used_where_and_while_it_lives(real_runtime: None) -> None:
    mf = Miniflare(script_path=SAMPLE, durable_objects={"JOBS": "Job"})
    with pytest.raises(WorldError, match="has not been entered"):
        mf.get_bindings()

    async def live() -> None:
        async with mf:
            thread = asyncio.to_thread(asyncio.run, mf.dispatch_fetch("http://localhost/log"))
            with pytest.raises(WorldError, match="belongs to another event loop"):
                await thread
            await mf.dispatch_fetch("http://localhost/log")

    asyncio.run(live())

    assert mf.logs[0].message == "plain 1"
    with pytest.raises(WorldError, match="has been disposed"):
        mf.get_bindings()
    with pytest.raises(WorldError, match="has been entered before"):
        asyncio.run(live())


def test_worlds_of_one_driver_share_nothing(on_workerd: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        async with Miniflare(
            script_path=SAMPLE, durable_objects={"JOBS": "Job"}, r2_buckets=["BUCKET"]
        ) as other:
            await mf.get_r2_bucket("BUCKET").put("k", "v")
            await mf.get_durable_object_namespace("JOBS").getByName("a").start(0)
            await mf.dispatch_fetch("http://localhost/log")

            assert await other.get_r2_bucket("BUCKET").head("k") is None
            assert (
                await other.get_durable_object_namespace("JOBS").getByName("a").alarms() is None
            )
            assert other.logs == []

    on_workerd(body)


def test_a_call_that_nobody_awaits_acts_and_makes_no_noise(
    on_workerd: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        bucket.put("k", "v")
        bucket.get("x" * 1_025)
        for _ in range(600):
            if await bucket.head("k") is not None:
                break
            await mf.advance(50)

        assert await bucket.head("k") is not None

    on_workerd(body)


def test_a_large_body_that_is_left_unread_does_not_stop_the_others(
    on_workerd: Callable[..., None],
) -> None:
    size = 8 * 1024 * 1024

    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("big", bytes(size))
        left = [await bucket.get("big") for _ in range(3)]

        assert len(await (await bucket.get("big")).bytes()) == size
        await bucket.put("copy", left[1].body)
        assert (await bucket.head("copy")).size == size
        await left[0].body.cancel()
        assert (await bucket.head("big")).size == size

    on_workerd(body)


def test_a_body_is_read_while_it_is_written(on_workerd: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        async for chunk in (await stub.fetch("http://object/")).body:
            assert chunk == b"tick"
            break
        async with mf.client() as client, client.stream("GET", "/") as response:
            async for chunk in response.aiter_bytes():
                assert chunk == b"tick"
                break

    on_workerd(body, script_path=WORKERS / "endless.mjs")


@pytest.mark.parametrize("size", [10, 70_000, 4_000_000])
def test_a_body_that_the_worker_leaves_unread_does_not_cost_its_answer(
    on_workerd: Callable[..., None], size: int
) -> None:
    async def upload() -> Any:
        for _ in range(10):
            yield bytes(size // 10)

    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        async with mf.client() as client:
            for _ in range(8):
                assert (await client.post("/log", content=upload())).text == "logged"
                assert (await client.post("/log", content=bytes(size))).text == "logged"
                assert (await client.post("/cookies", content=upload())).status_code == 204
                with pytest.raises(JsException, match="out of range"):
                    await client.post("/fail", content=upload())
                assert (await stub.fetch("http://o/unread", method="POST", body=bytes(size))).ok

    on_workerd(body)


def test_a_large_body_may_be_answered_while_it_is_sent(
    on_workerd: Callable[..., None],
) -> None:
    content = bytes(range(256)) * 100_000

    async def body(mf: Any) -> None:
        async def upload() -> Any:
            for start in range(0, len(content), 256_000):
                yield content[start : start + 256_000]

        for sent in (content, upload()):
            answer = await mf.dispatch_fetch("http://a/echo", method="POST", content=sent)
            assert answer.content == content

    on_workerd(body)


def test_a_service_may_answer_with_large_headers_or_is_told(
    on_workerd: Callable[..., None],
) -> None:
    async def auth(request: Any) -> Any:
        from workers import Response

        if request.url.endswith("/fail"):
            raise JsException("no" * 1_000_000)
        return Response("", headers={"x-large": "x" * 60_000})

    async def body(mf: Any) -> None:
        assert len((await mf.dispatch_fetch("http://a/service")).headers["x-large"]) == 60_000
        assert len((await mf.dispatch_fetch("http://a/caught")).text) == 2_000_007

    on_workerd(body, service_bindings={"AUTH": auth})


def test_a_service_that_is_cancelled_within_is_an_error(
    on_workerd: Callable[..., None],
) -> None:
    async def auth(request: Any) -> Any:
        raise asyncio.CancelledError

    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/caught")

        assert response.text == "caught CancelledError"

    on_workerd(body, service_bindings={"AUTH": auth})


def test_headers_of_our_own_names_are_not_mistaken_for_ours(
    on_workerd: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        headers = {"Amber-Token": "x", "amber-url": "http://b/fail"}
        assert (await mf.dispatch_fetch("http://a/log", headers=headers)).text == "logged"

    on_workerd(body)


def test_a_value_that_contains_itself_cannot_be_carried(
    on_workerd: Callable[..., None],
) -> None:
    endless: list[Any] = []
    endless.append(endless)

    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        with pytest.raises(JsException, match="A value that contains itself, or is nested too"):
            await stub.echo(endless)

    on_workerd(body)


def test_an_answer_without_end_is_given_up(
    on_workerd: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_BYTES_MAX", 100)

    async def body(mf: Any) -> None:
        with pytest.raises(WorldError, match="the answer is longer than 100 bytes: read it as"):
            await mf.dispatch_fetch("http://localhost/")

    on_workerd(body, script_path=WORKERS / "endless.mjs")


def test_a_request_whose_world_ends_says_so(real_runtime: None) -> None:
    asked = asyncio.Event()

    async def auth(request: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    async def main() -> None:
        async with Miniflare(
            script_path=SAMPLE, durable_objects={"JOBS": "Job"}, service_bindings={"AUTH": auth}
        ) as mf:
            request = asyncio.ensure_future(mf.dispatch_fetch("http://a/service"))
            await asked.wait()
        with pytest.raises(WorldError, match="has been disposed"):
            await request

    asyncio.run(main())


# -- deployed --------------------------------------------------------------------------------


def test_a_deployed_worker_is_asked_at_its_own_url_with_the_given_headers() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with server, Deployed(url, {"Authorization": "Bearer t"}) as deployed:
            response = await deployed.dispatch_fetch("http://localhost/a?b=c", json={})
            await deployed.advance(1)
            async with deployed.client(headers={"authorization": "own"}) as client:
                await client.get("/own")

            assert (response.status_code, response.text) == (302, "hi")
            assert deployed.clock.now_ms > 0
            with pytest.raises(WorldError, match="get_r2_bucket cannot be had of a deployed"):
                deployed.get_r2_bucket("B")

    asyncio.run(main())

    assert heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"Authorization: Bearer t\r\n" in heard[0]
    assert heard[1].startswith(b"GET /own HTTP/1.1\r\n")
    assert b"uthorization: own\r\n" in heard[1]


def test_a_deployed_worker_needs_an_absolute_url() -> None:
    with pytest.raises(ConfigurationError, match="Deployed needs an absolute URL"):
        Deployed("localhost")
