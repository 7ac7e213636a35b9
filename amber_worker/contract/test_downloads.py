"""Downloads: the link, and the archive behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from amber_worker.contract.seeds import SeededFile
from amber_worker.contract.user import API, error_of

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User

NOT_READY = (404, {"error": "Export not found or not ready"})
NOT_FOUND = (404, {"error": "Export not found"})
EXPIRED = (410, {"error": "Export has expired"})


async def test_the_link_is_the_route_and_the_key(with_archive: Export) -> None:
    link = (await with_archive.link())["download_url"]
    assert unquote(str(link)) == f"{API}/download-export/{with_archive.row['r2_key']}"


@pytest.mark.parametrize("fact", ["expires_at", "size_bytes", "file_count"])
async def test_the_link_comes_with_the_rows_facts(with_archive: Export, fact: str) -> None:
    link = await with_archive.link()
    assert fact in link
    assert link[fact] == with_archive.row[fact]


async def test_the_download_is_a_zip(with_archive: Export) -> None:
    assert (await with_archive.download()).headers["content-type"] == "application/zip"


async def test_the_download_is_an_attachment_with_its_name(with_archive: Export) -> None:
    name = f"grove-export-{with_archive.row['r2_key'].rpartition('/')[2]}"
    told = (await with_archive.download()).headers["content-disposition"]
    kind, *facts = (part.strip() for part in told.replace('"', "").split(";"))
    assert kind == "attachment"
    # There may be more, such as the name in another encoding.
    assert f"filename={name}" in facts


async def test_the_download_tells_its_length(with_archive: Export) -> None:
    answer = await with_archive.download()
    # On its way from a deployed worker it may be compressed, and then has another length.
    if "content-encoding" in answer.headers:
        pytest.skip("the answer came compressed")
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_an_export_on_its_way_has_no_link(user: User, storage: Storage) -> None:
    await user.add(SeededFile("a.txt", b"a"))
    export = await user.begin()
    assert error_of(await user.get(f"/export/{export.id}/download")) == NOT_READY


async def test_an_unknown_export_has_no_link(user: User) -> None:
    assert error_of(await user.get("/export/nobody-knows-it/download")) == NOT_READY


async def test_an_unknown_key_is_a_404(user: User) -> None:
    answer = await user.get("/download-export/exports/x/y/1-export.zip")
    assert error_of(answer) == NOT_FOUND


@pytest.mark.parametrize("key", ["%", "exports/%25/%25", "_", "' OR '1'='1"])
async def test_a_key_is_no_pattern(finished: Export, key: str) -> None:
    assert error_of(await finished.user.get(f"/download-export/{key}")) == NOT_FOUND


async def test_a_file_is_no_archive(user: User, storage: Storage) -> None:
    (file,) = await user.add(SeededFile("a.txt", b"a"))
    assert error_of(await user.get(f"/download-export/{file.key}")) == NOT_FOUND


@pytest.mark.parametrize("route", ["link", "archive"])
async def test_an_export_that_has_expired_is_a_410(
    user: User, storage: Storage, route: str
) -> None:
    export = await user.export_of(SeededFile("a.txt", b"a"))
    await _set_expiry(export, "2020-01-01T00:00:00.000Z")
    assert error_of(await user.get(_path(export, route))) == EXPIRED


@pytest.mark.parametrize("route", ["link", "archive"])
async def test_an_export_that_expires_later_is_given(
    user: User, storage: Storage, route: str
) -> None:
    export = await user.export_of(SeededFile("a.txt", b"a"))
    await _set_expiry(export, "2099-01-01T00:00:00.000Z")
    assert (await user.get(_path(export, route))).status_code == 200


async def test_an_archive_that_is_gone_is_a_404_of_its_own(
    user: User, storage: Storage
) -> None:
    export = await user.export_of(SeededFile("a.txt", b"a"))
    await storage.bucket.delete(export.row["r2_key"])
    answer = await user.get(_path(export, "archive"))
    assert error_of(answer) == (404, {"error": "Export file not found"})


@pytest.mark.parametrize("route", ["status", "link", "archive"])
async def test_another_users_export_is_answered_like_one_that_does_not_exist(
    finished: Export, stranger: User, route: str
) -> None:
    expected = NOT_READY if route == "link" else NOT_FOUND
    assert error_of(await stranger.get(_path(finished, route))) == expected


def _path(export: Export, route: str) -> str:
    if route == "archive":
        return f"/download-export/{export.row['r2_key']}"
    return f"/export/{export.id}{'/download' if route == 'link' else ''}"


async def _set_expiry(export: Export, instant: str) -> Any:
    await export.user.world.storage.execute(
        "UPDATE storage_exports SET expires_at = ? WHERE id = ?", instant, export.id
    )
