"""Requests: POST /api/storage/export."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.seeds import SeededFile
from amber_worker.contract.user import API, ENDED, error_of, json_of

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User

ACCEPTED = (200, 202)
#: The sheet promises 400 for a type that is absent; what else is wrong is "unexpected".
REFUSED = (400, 500)


async def test_a_request_is_accepted_with_200_or_202(finished: Export, dialect: Any) -> None:
    dialect("status of an accepted request", str(finished.answer.status_code))
    assert finished.answer.status_code in ACCEPTED


async def test_the_answer_names_the_export(finished: Export, dialect: Any) -> None:
    names = {"export_id", "exportId"} & finished.answer.json().keys()
    dialect("name of the id in the answer", " and ".join(sorted(names)))
    row = await finished.look()
    assert names
    assert row["id"] == finished.id


async def test_the_answer_tells_pending_or_processing(finished: Export, dialect: Any) -> None:
    status = finished.answer.json().get("status")
    dialect("status in the answer", str(status))
    assert status in ("pending", "processing")


async def test_the_answer_comes_before_the_work_is_done(user: User, storage: Storage) -> None:
    await user.add(SeededFile("a.txt", b"a"))
    export = await user.begin()
    assert (await export.look())["status"] not in ENDED


async def test_every_export_has_an_id_of_its_own(
    user: User, stranger: User, storage: Storage
) -> None:
    ids = [(await asker.begin()).id for asker in (user, stranger)]
    assert len(set(ids)) == 2


async def test_a_second_export_of_a_user_is_refused_while_the_first_is_on_its_way(
    finished: Export,
) -> None:
    expected = (409, {"error": "An export is already in progress"})
    assert error_of(finished.second) == expected


async def test_of_simultaneous_requests_exactly_one_is_accepted(
    user: User, storage: Storage
) -> None:
    answers = await asyncio.gather(*(user.post_export() for _ in range(4)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses in ([200, 409, 409, 409], [202, 409, 409, 409])
    assert len(await _exports_of(user)) == 1


async def test_the_next_export_is_accepted_once_the_first_has_completed(
    user: User, storage: Storage
) -> None:
    files = await user.add(SeededFile("a.txt", b"a"))
    first = await user.export()
    second = await user.export()
    assert first.id != second.id
    for export in (first, second):
        await export.compare(files)


async def test_another_users_export_is_no_obstacle(
    user: User, stranger: User, storage: Storage
) -> None:
    await stranger.begin()
    answer = await user.post_export()
    assert answer.status_code in ACCEPTED


@pytest.mark.parametrize("body", ["{}", '{"type": ""}', '{"type": null}', '{"filters": {}}'])
async def test_a_request_without_a_type_is_a_400_that_says_so(user: User, body: str) -> None:
    assert error_of(await _post_text(user, body)) == (
        400,
        {"error": "Export type is required"},
    )


@pytest.mark.parametrize(
    "body", ["", "{", "full", '{"type": "full"', "[1, 2]", '"full"', "null"]
)
async def test_a_body_that_is_no_json_object_is_refused_and_leaves_no_export(
    user: User, storage: Storage, dialect: Any, body: str
) -> None:
    await _assert_refused(user, body, dialect, "status for a body that is no JSON object")


@pytest.mark.parametrize("export_type", ["everything", "FULL", "profile", "full; --"])
async def test_an_unknown_type_is_refused_and_leaves_no_export(
    user: User, storage: Storage, dialect: Any, export_type: str
) -> None:
    body = json.dumps({"type": export_type})
    await _assert_refused(user, body, dialect, "status for an unknown type")


async def test_a_refused_request_is_no_obstacle(user: User, storage: Storage) -> None:
    for body in ("{", "{}", '{"type": "everything"}'):
        await _post_text(user, body)
    files = await user.add(SeededFile("a.txt", b"a"))
    await (await user.export()).compare(files)


@pytest.mark.parametrize("export_type", ["full", "blog", "ivy", "category"])
async def test_the_row_keeps_the_type(user: User, storage: Storage, export_type: str) -> None:
    export = await user.begin(export_type, filters={"category": "posts"})
    row = await export.look()
    assert row["export_type"] == export_type


async def test_the_row_keeps_the_filters_as_json_text(user: User, storage: Storage) -> None:
    filters = {"category": 'it\'s 100% "mine"'}
    row = await (await user.begin("category", filters=filters)).look()
    kept = row["filter_params"]
    assert isinstance(kept, str)
    assert json.loads(kept) == filters


async def test_the_row_keeps_null_where_there_are_no_filters(
    user: User, storage: Storage
) -> None:
    row = await (await user.begin()).look()
    assert row["filter_params"] in (None, "null", "{}")


async def test_the_export_is_the_askers_whatever_the_body_says(
    user: User, stranger: User, storage: Storage
) -> None:
    export = await user.begin(user_id=stranger.id, userId=stranger.id)
    assert (await export.look())["user_id"] == user.id
    assert await _exports_of(stranger) == []


async def _post_text(user: User, body: str) -> Any:
    headers = {"Content-Type": "application/json"}
    return await user.ask(f"{API}/export", "POST", content=body.encode(), headers=headers)


async def _assert_refused(user: User, body: str, dialect: Any, topic: str) -> None:
    answer = await _post_text(user, body)
    dialect(topic, str(answer.status_code))
    assert isinstance(json_of(answer, *REFUSED).get("error"), str)
    assert await _exports_of(user) == []


async def _exports_of(user: User) -> list[dict[str, Any]]:
    storage = user.world.storage
    return await storage.rows("SELECT * FROM storage_exports WHERE user_id = ?", user.id)
