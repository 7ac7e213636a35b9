"""The HTTP API of exports: routes, answers, errors, CORS."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from emulator import faults


def test_a_post_answers_202_with_the_workers_names(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await amber.post(mf)
        assert answer.status_code == 202
        assert list(answer.json()) == ["export_id", "status", "message"]
        assert answer.json()["status"] == "pending"

    amber.run(test)


def test_a_post_in_readmes_dialect_answers_when_the_export_has_started(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await amber.post(mf)
        assert answer.status_code == 202
        assert list(answer.json()) == ["exportId", "status"]
        row = await amber.status(mf, answer.json()["exportId"])
        assert answer.json()["status"] == row["status"] == "processing"

    amber.run(test, dialect="readme")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[" * 100_000, "The body must be JSON"),
        (
            b'{"type": "full", "filters": {"%s": "x"}}' % (b"k" * 10_000),
            "Field filters must be at most 10000 characters of JSON",
        ),
        (b"{}", "Export type is required"),
        (b'{"type": ""}', "Export type is required"),
        (b'{"type": "all"}', "Field type must be one of full, blog, ivy, category"),
        (b'{"type": 5}', "Field type must be one of full, blog, ivy, category"),
        (b'{"type": ["full"]}', "Field type must be one of full, blog, ivy, category"),
        (b"", "The body must be JSON"),
        (b"{", "The body must be JSON"),
        (b"[]", "The body must be a JSON object"),
        (b'{"type": "full", "filters": "x"}', "Field filters must be an object of texts"),
        (
            b'{"type": "full", "filters": {"a": 1}}',
            "Field filters.a must be a text of at most 400",
        ),
        (b'{"type": "category"}', "Field filters.category is required for type category"),
    ],
)
def test_a_wrong_body_is_a_400_that_names_the_field(amber: Any, body: bytes, text: str) -> None:
    async def test(mf: Any) -> None:
        answer = await mf.dispatch_fetch(
            f"{amber.url}/export", method="POST", content=body, headers=amber.headers()
        )
        assert (answer.status_code, answer.json()) == (400, {"error": text})

    amber.run(test)


def test_a_second_export_is_a_409_while_the_first_is_on_its_way(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.post(mf)
        for _ in range(2):
            answer = await amber.post(mf)
            assert answer.status_code == 409
            assert answer.json() == {"error": "An export is already in progress"}
            await mf.advance(100)
        # Another user's exports are no obstacle, and a finished one is none.
        assert (await amber.post(mf, "u2")).status_code == 202
        await mf.run_until_idle()
        assert (await amber.post(mf)).status_code == 202

    amber.run(test)


def test_of_simultaneous_posts_one_is_accepted(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answers = await asyncio.gather(*(amber.post(mf) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9

    amber.run(test)


@pytest.mark.parametrize("way", ["post", "status"])
def test_a_request_that_was_cut_off_before_its_start_is_started_by_the_next(
    amber: Any, way: str
) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        database = mf.get_d1_database("DB")
        await database.exec(
            "INSERT INTO storage_exports (id, user_id, export_type) VALUES ('e', 'u1', 'full')"
        )
        if way == "post":
            assert (await amber.post(mf)).status_code == 409
        else:
            assert (await amber.status(mf, "e"))["status"] == "pending"
        await mf.run_until_idle()
        amber.check(await amber.download(mf, await amber.status(mf, "e")), files)

    amber.run(test)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_start_that_is_lost_on_the_way_is_tried_again(amber: Any, when: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        amber.check(await amber.export(mf), files)

    amber.run(test, faults=[faults.error(op="object.rpc", nth=1, after_effect=when == "after")])


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic x"}, {"Cookie": "a=b"}, {"Cookie": "xsession=u1; session="}],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/export"), ("GET", "/export/x"), ("GET", "/download-export/x"), ("GET", "/?")],
)
def test_nobody_is_unauthorized_everywhere(
    amber: Any, headers: dict[str, str], method: str, path: str
) -> None:
    async def test(mf: Any) -> None:
        answer = await mf.dispatch_fetch(amber.url + path, method=method, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})

    amber.run(test)


def test_a_session_cookie_signs_in(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await mf.dispatch_fetch(
            f"{amber.url}/export", method="POST", json={"type": "full"},
            headers={"Cookie": "theme=dark; session=u7"},
        )  # fmt: skip
        assert answer.status_code == 202
        row = await amber.status(mf, answer.json()["export_id"], "u7")
        assert row["user_id"] == "u7"

    amber.run(test)


@pytest.mark.parametrize(
    "answer", ["nothing", "{}", '{"valid": true}', "[]", '{"valid": "yes"}']
)
@pytest.mark.parametrize("status", [200, 500])
def test_whatever_else_auth_says_means_nobody(amber: Any, answer: str, status: int) -> None:
    async def auth(request: Any) -> Any:
        from workers import Response

        return Response(answer, status=status)

    async def test(mf: Any) -> None:
        assert (await amber.post(mf)).status_code == 401

    amber.run(test, service_bindings={"AUTH": auth})


@pytest.mark.parametrize("tier", ['"oak"', '"gold"', "5", "null", '["oak"]', "{}"])
def test_a_tier_that_is_none_is_the_usual_one(amber: Any, tier: str) -> None:
    async def auth(request: Any) -> Any:
        from workers import Response

        return Response(f'{{"valid": true, "user": {{"id": "u1", "tier": {tier}}}}}')

    async def test(mf: Any) -> None:
        assert (await amber.post(mf)).status_code == 202
        row = await mf.get_d1_database("DB").prepare("SELECT * FROM user_storage").first()
        assert row.tier_gb == (20 if tier == '"oak"' else 1)

    amber.run(test, service_bindings={"AUTH": auth})


def test_auth_is_asked_with_the_requests_own_credentials_and_no_body(amber: Any) -> None:
    seen: list[Any] = []

    async def auth(request: Any) -> Any:
        from workers import Response

        seen.append((request.method, request.url, dict(request.headers), request.body))
        user = {"id": "u9", "tier": "oak"}
        return Response.json({"valid": True, "user": user})

    async def test(mf: Any) -> None:
        headers = {"Authorization": "Bearer t", "Cookie": "s=1", "X-Other": "no"}
        answer = await mf.dispatch_fetch(
            f"{amber.url}/export", method="POST", json={"type": "full"}, headers=headers
        )
        assert answer.status_code == 202
        row = await mf.get_d1_database("DB").prepare("SELECT * FROM user_storage").first()
        assert (row.user_id, row.tier_gb) == ("u9", 20)

    amber.run(test, service_bindings={"AUTH": auth})
    method, url, headers, body = seen[0]
    assert (method, url, body) == ("POST", "https://auth/session/validate", None)
    assert {name.lower() for name in headers} == {"authorization", "cookie"}


def test_what_belongs_to_others_does_not_exist(amber: Any) -> None:
    async def test(mf: Any) -> None:
        row = await amber.finished(mf)
        for path, text in (
            (f"/export/{row['id']}", "Export not found"),
            (f"/export/{row['id']}/download", "Export not found or not ready"),
            (f"/download-export/{row['r2_key']}", "Export not found"),
        ):
            for user in ("u1", "u2"):
                answer = await mf.dispatch_fetch(amber.url + path, headers=amber.headers(user))
                if user == "u1":
                    assert answer.status_code == 200
                else:
                    assert (answer.status_code, answer.json()) == (404, {"error": text})

    amber.run(test)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/export/nope", "Export not found"),
        ("/export/nope/download", "Export not found or not ready"),
        ("/download-export/exports/u1/x/1-export.zip", "Export not found"),
        ("/export/", "Not found"),
        ("/export/a/b", "Not found"),
        ("/nothing", "Not found"),
        ("", "Not found"),
    ],
)
def test_what_is_not_there_is_a_404(amber: Any, path: str, text: str) -> None:
    async def test(mf: Any) -> None:
        answer = await mf.dispatch_fetch(amber.url + path, headers=amber.headers())
        assert (answer.status_code, answer.json()) == (404, {"error": text})

    amber.run(test)


def test_an_export_that_is_not_ready_has_no_download(amber: Any) -> None:
    async def test(mf: Any) -> None:
        posted = await amber.post(mf)
        answer = await mf.dispatch_fetch(
            f"{amber.url}/export/{posted.json()['export_id']}/download",
            headers=amber.headers(),
        )
        assert answer.status_code == 404
        assert answer.json() == {"error": "Export not found or not ready"}

    amber.run(test)


def test_an_export_expires_after_seven_days(amber: Any) -> None:
    async def test(mf: Any) -> None:
        row = await amber.finished(mf)
        paths = (f"/export/{row['id']}/download", f"/download-export/{row['r2_key']}")
        await mf.advance(timedelta(days=7) - timedelta(seconds=1))
        for path in paths:
            answer = await mf.dispatch_fetch(amber.url + path, headers=amber.headers())
            assert answer.status_code == 200
        await mf.advance(1_000)
        for path in paths:
            answer = await mf.dispatch_fetch(amber.url + path, headers=amber.headers())
            assert (answer.status_code, answer.json()) == (410, {"error": "Export has expired"})

    amber.run(test)


@pytest.mark.parametrize(
    ("expires_at", "status"), [("2020-01-01 00:00:00", 410), ("2099-01-01 00:00:00", 200)]
)
def test_an_expiry_without_a_zone_means_utc(amber: Any, expires_at: str, status: int) -> None:
    async def test(mf: Any) -> None:
        row = await amber.finished(mf)
        update = mf.get_d1_database("DB").prepare("UPDATE storage_exports SET expires_at = ?")
        await update.bind(expires_at).run()
        for path in (f"/export/{row['id']}/download", f"/download-export/{row['r2_key']}"):
            answer = await mf.dispatch_fetch(amber.url + path, headers=amber.headers())
            assert answer.status_code == status

    amber.run(test)


def test_an_archive_that_is_gone_is_a_404_of_its_own(amber: Any) -> None:
    async def test(mf: Any) -> None:
        row = await amber.finished(mf)
        await mf.get_r2_bucket("R2_BUCKET").delete(row["r2_key"])
        answer = await mf.dispatch_fetch(
            f"{amber.url}/download-export/{row['r2_key']}", headers=amber.headers()
        )
        assert answer.status_code == 404
        assert answer.json() == {"error": "Export file not found"}

    amber.run(test)


def test_the_download_has_its_type_name_and_length(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(3))
        row = await amber.finished(mf)
        # The key as it is, and escaped.
        for key in (row["r2_key"], row["r2_key"].replace("/", "%2F")):
            answer = await mf.dispatch_fetch(
                f"{amber.url}/download-export/{key}", headers=amber.headers()
            )
            name = row["r2_key"].rpartition("/")[2]
            assert answer.headers["content-type"] == "application/zip"
            assert answer.headers["content-disposition"] == (
                f'attachment; filename="grove-export-{name}"'
            )
            assert int(answer.headers["content-length"]) == len(answer.content)

    amber.run(test)


@pytest.mark.parametrize("user", ["a?b", "a#b", "a%2Fb", "a%b", "a\\b", "a b", "a@b.c", "日本"])
def test_the_link_leads_to_the_archive_whatever_the_users_id_holds(
    amber: Any, user: str
) -> None:
    async def test(mf: Any) -> None:
        headers = {"Authorization": f"Bearer {user}".encode()}

        async def ask(path: str, method: str = "GET", **options: Any) -> Any:
            url = f"http://localhost{path}"
            return await mf.dispatch_fetch(url, method=method, headers=headers, **options)

        posted = await ask("/api/storage/export", "POST", json={"type": "full"})
        await mf.run_until_idle()
        path = f"/api/storage/export/{posted.json()['export_id']}"
        row = (await ask(path)).json()
        link = (await ask(f"{path}/download")).json()["download_url"]
        answer = await ask(link)
        assert (answer.status_code, len(answer.content)) == (200, row["size_bytes"])
        # An ordinary id stands in the link as it is.
        assert (row["r2_key"] in link) == (user == "a@b.c")

    amber.run(test)


def test_options_is_answered_without_credentials(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await mf.dispatch_fetch("http://localhost/any/path", method="OPTIONS")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-methods"] == (
            "GET, POST, PUT, DELETE, OPTIONS"
        )
        assert answer.headers["access-control-allow-credentials"] == "true"

    amber.run(test)


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        (None, None, "https://amber.grove.place"),
        (None, "https://amber.grove.place", "https://amber.grove.place"),
        (None, "https://evil.example", "https://amber.grove.place"),
        ("https://a.example, https://b.example", "https://b.example", "https://b.example"),
        ("https://a.example, https://b.example", "https://c.example", "https://a.example"),
        ("*", "https://any.example", "https://any.example"),
        ("*", None, "*"),
        ("", "https://any.example", "https://amber.grove.place"),
    ],
)
def test_the_origin_that_is_allowed_is_that_of_the_request_if_it_may_be(
    amber: Any, allowed: str | None, origin: str | None, answered: str
) -> None:
    async def test(mf: Any) -> None:
        headers = {} if origin is None else {"Origin": origin}
        for method, extra in (("OPTIONS", {}), ("GET", {}), ("GET", amber.headers())):
            answer = await mf.dispatch_fetch(
                f"{amber.url}/x", method=method, headers={**headers, **extra}
            )
            assert answer.headers["access-control-allow-origin"] == answered

    bindings = {} if allowed is None else {"ALLOWED_ORIGINS": allowed}
    amber.run(test, bindings=bindings)


def test_an_unexpected_error_is_a_500_that_tells_nothing(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await amber.post(mf)
        assert answer.status_code == 500
        assert answer.json() == {"error": "Internal server error"}
        assert answer.headers["access-control-allow-origin"]
        assert [log.level for log in mf.logs] == ["ERROR"]

    amber.run(test, faults=[faults.error(op="d1.batch", message="disk on fire")])
