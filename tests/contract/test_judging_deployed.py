"""The contract against a URL: what is safe there, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx

import amber_worker
from amber_worker.contract.auth_stubs import answer_service, user_id_for
from emulator.workerd.driver import node_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "/api/storage/download/"
USER = user_id_for(1)
LEFT_OUT = {"connection", "content-length", "transfer-encoding", "host"}


async def serve(handle: Any, seen: list[tuple[str, str]]) -> asyncio.Server:
    """A worker behind a port of this machine, as it would stand on the net."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        seen.append((method, path))
        if path.startswith(FILE):
            # A route that the worker does not have yet: the contract takes it if it is there.
            stored = await handle.get_r2_bucket("R2_BUCKET").get(unquote(path[len(FILE) :]))
            found = httpx.Response(200, content=bytes((await stored.arrayBuffer()).to_py()))
        else:
            found = await ask(handle, method, path, headers, content)
        told = [(n, v) for n, v in found.headers.items() if n not in LEFT_OUT]
        told += [("content-length", str(len(found.content))), ("connection", "close")]
        lines = [f"HTTP/1.1 {found.status_code} -", *(f"{n}: {v}" for n, v in told), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + found.content)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def ask(handle: Any, method: str, path: str, headers: Any, content: bytes) -> Any:
    given = {name: value for name, value in headers.items() if name not in LEFT_OUT}
    return await handle.dispatch_fetch(
        f"http://localhost{path}", method=method, headers=given, content=content or None
    )


async def seed(handle: Any, filenames: tuple[str, ...]) -> None:
    """What the deployed worker's user has."""
    database, bucket = handle.get_d1_database("DB"), handle.get_r2_bucket("R2_BUCKET")
    await database.prepare("INSERT INTO user_storage (user_id) VALUES (?)").bind(USER).run()
    for number, name in enumerate(filenames):
        await bucket.put(f"u1/{number}", f"content {number}" * 9)
        await (
            database.prepare(
                "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type,"
                " size_bytes, product, category) VALUES (?, ?, ?, ?, 'x/y', 81, 'blog', 'p')"
            )
            .bind(f"f{number}", USER, f"u1/{number}", name)
            .run()
        )


async def judge_deployed(
    script: Path, filenames: tuple[str, ...], judged_at: Callable[..., Any], report: Path
) -> tuple[Any, int, list[tuple[str, str]]]:
    """The judgement, how many exports there are then, and every request that was made."""
    from emulator.workerd import Miniflare

    seen: list[tuple[str, str]] = []
    options = amber_worker.options(
        worker=None, script_path=script, service_bindings={"AUTH": answer_service}
    )
    async with Miniflare(**options) as handle:
        await seed(handle, filenames)
        server = await serve(handle, seen)
        port = server.sockets[0].getsockname()[1]
        try:
            judgement = await judged_at(
                report,
                *("--emulator-target", f"http://127.0.0.1:{port}"),
                *("--auth-header", f"Bearer {USER}"),
                env={"NO_PROXY": "127.0.0.1"},
            )
            rows = handle.get_d1_database("DB").prepare("SELECT id FROM storage_exports")
            return judgement, len((await rows.all()).results), seen
        finally:
            server.close()


def test_a_deployed_worker_is_judged_by_what_is_safe_there(
    real_runtime: None, judged_at: Callable[..., Any], tmp_path: Path
) -> None:
    script = node_folder() / "amber" / "src" / "index.ts"
    filenames = ("a.txt", "grün.txt", "c.txt")
    found, export_count, seen = asyncio.run(
        judge_deployed(script, filenames, judged_at, tmp_path / "report.md")
    )
    assert export_count == 1
    assert found.status == 0, found.output
    assert {
        "a second export of a user is refused while the first is on its way",
        "an export expires seven days after its completion",
        "every entry can be read and has its checksum",
        "every file is what the api gives for it",
        "the archive is the same at every download",
        "the manifest lists the files in their order with their sizes",
        "nobody is let in with a token that nobody issued",
    } <= found["kept"]
    assert found["broken"] == found["not tested"] == set()
    assert "D1 and R2 cannot be reached" in found.report
    # Nothing but reading, one export, and what must be refused.
    requested = [path for method, path in seen if method == "POST"]
    assert set(requested) == {"/api/storage/export"}


def test_a_deployed_worker_that_stores_nothing_for_a_user_without_files_is_judged_sound(
    real_runtime: None, judged_at: Callable[..., Any], tmp_path: Path
) -> None:
    script = node_folder() / "variants" / "later_version.ts"
    found, _, _ = asyncio.run(judge_deployed(script, (), judged_at, tmp_path / "report.md"))
    assert found.status == 0, found.output
    assert "the user has no files, and the export stored nothing" in found.report
    assert "the status only moves forward" in found["kept"]
