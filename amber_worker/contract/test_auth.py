"""Credentials and routes: who is let in, and where to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.user import API, error_of, json_of

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import User
    from amber_worker.contract.world import World

UNAUTHORIZED = (401, {"error": "Unauthorized"})
ROUTES = {
    "request": ("POST", f"{API}/export"),
    "status": ("GET", f"{API}/export/x"),
    "link": ("GET", f"{API}/export/x/download"),
    "archive": ("GET", f"{API}/download-export/exports/x/y/1-export.zip"),
}
INVALID = {
    "no token": {"Authorization": "Bearer"},
    "another scheme": {"Authorization": "Basic Y29udHJhY3QtdXNlci0xOng="},
    "an unknown cookie": {"Cookie": "theme=dark"},
    "an empty cookie": {"Cookie": "session="},
}


@pytest.mark.parametrize("route", ROUTES)
async def test_nobody_is_let_in_without_credentials(world: World, route: str) -> None:
    method, path = ROUTES[route]
    assert error_of(await _ask(world, method, path, {})) == UNAUTHORIZED


@pytest.mark.parametrize("route", ROUTES)
async def test_nobody_is_let_in_with_a_token_that_nobody_issued(
    world: World, route: str
) -> None:
    method, path = ROUTES[route]
    if world.target.own_headers is None:
        headers = world.target.credentials("nobody-at-all")
    else:
        headers = {"Authorization": "Bearer nobody-at-all"}
    assert error_of(await _ask(world, method, path, headers)) == UNAUTHORIZED


@pytest.mark.parametrize("kind", INVALID)
async def test_nobody_is_let_in_with_credentials_that_are_none(world: World, kind: str) -> None:
    method, path = ROUTES["request"]
    assert error_of(await _ask(world, method, path, INVALID[kind])) == UNAUTHORIZED


async def test_a_request_of_nobody_leaves_no_export(world: World, storage: Storage) -> None:
    method, path = ROUTES["request"]
    count = "SELECT COUNT(*) AS count FROM storage_exports"
    before = await storage.rows(count)
    for headers in ({}, *INVALID.values()):
        await _ask(world, method, path, headers)
    assert await storage.rows(count) == before


async def test_a_token_lets_its_own_user_in(
    user: User, stranger: User, storage: Storage
) -> None:
    for asker in (user, stranger):
        assert (await (await asker.begin()).look())["user_id"] == asker.id


@pytest.mark.parametrize("path", ["/nothing", f"{API}/nothing", f"{API}/export/x/y", "/api"])
async def test_an_unknown_route_is_a_404(user: User, path: str) -> None:
    assert error_of(await user.ask(path)) == (404, {"error": "Not found"})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_method_that_an_export_does_not_know_is_a_404(user: User, method: str) -> None:
    answer = await user.ask(f"{API}/export/x", method)
    assert error_of(answer) == (404, {"error": "Not found"})


@pytest.mark.parametrize("path", ["/nothing", f"{API}/export/x", f"{API}/export/x/download"])
async def test_an_error_is_json_with_one_text(user: User, path: str) -> None:
    answer = await user.ask(path)
    told = json_of(answer, 404)
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert list(told) == ["error"]
    assert isinstance(told["error"], str)


async def _ask(world: World, method: str, path: str, headers: dict[str, str]) -> Any:
    options = {"json": {"type": "full"}} if method == "POST" else {}
    return await world.ask(path, method=method, headers=headers, **options)
