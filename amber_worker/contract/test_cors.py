"""CORS: which pages of other origins may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.target import ORIGINS
from amber_worker.contract.user import API

if TYPE_CHECKING:
    from collections.abc import Callable

    from amber_worker.contract.user import Export, User
    from amber_worker.contract.world import World

ALLOW_ORIGIN = "access-control-allow-origin"
ORIGIN_DEFAULT = "https://amber.grove.place"
#: Ends, beginnings and relatives of an origin that is allowed.
FOREIGN = [
    "https://evil.example", f"{ORIGINS[0]}.evil.example", f"https://evil.{ORIGINS[0][8:]}",
    ORIGINS[0].replace("https", "http"), f"{ORIGINS[0]}:8443", ORIGINS[0][:-1], "null",
    ",".join(ORIGINS),
]  # fmt: skip
PATHS = ["/", "/nothing", f"{API}/export", f"{API}/export/x/download"]
#: Answers of every kind: method, path, whether signed in.
ANSWERS = {
    "an error": ("GET", f"{API}/export/x", True),
    "nobody": ("GET", f"{API}/export/x", False),
    "no route": ("GET", "/nothing", True),
    "a wrong body": ("POST", f"{API}/export", True),
    "options": ("OPTIONS", f"{API}/export", False),
}


@pytest.fixture
def with_own_origins(world: World) -> World:
    """A world whose ALLOWED_ORIGINS are the contract's."""
    if world.target.is_deployed:
        pytest.skip("a deployed worker has the variables that it has")
    return world


@pytest.mark.parametrize("path", PATHS)
async def test_options_is_a_200_without_a_body_and_without_credentials(
    world: World, path: str
) -> None:
    answer = await world.ask(path, method="OPTIONS")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_methods_of_the_api_are_allowed(world: World) -> None:
    answer = await world.ask(f"{API}/export", method="OPTIONS")
    allowed = answer.headers["access-control-allow-methods"]
    assert _listed(allowed) == ["delete", "get", "options", "post", "put"]


async def test_the_headers_of_the_api_are_allowed(world: World, dialect: Any) -> None:
    answer = await world.ask(f"{API}/export", method="OPTIONS")
    allowed = _listed(answer.headers["access-control-allow-headers"])
    dialect("allow-headers", ", ".join(allowed))
    assert {"authorization", "content-type"} <= set(allowed)
    assert set(allowed) <= {"authorization", "content-type", "cookie"}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_every_answer_allows_credentials(world: World, user: User, kind: str) -> None:
    answer = await _answer(world, user, kind)
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("kind", ANSWERS)
async def test_every_answer_names_an_origin(world: World, user: User, kind: str) -> None:
    answer = await _answer(world, user, kind)
    assert answer.headers[ALLOW_ORIGIN]


async def test_a_status_allows_credentials_and_names_an_origin(finished: Export) -> None:
    answer = await finished.user.get(f"/export/{finished.id}")
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers[ALLOW_ORIGIN]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_allowed_origin_is_named(
    with_own_origins: World, user: User, kind: str, origin: str
) -> None:
    answer = await _answer(with_own_origins, user, kind, origin)
    assert answer.headers[ALLOW_ORIGIN] == origin


@pytest.mark.parametrize("origin", FOREIGN)
async def test_for_another_origin_the_first_allowed_one_is_named(
    with_own_origins: World, user: User, origin: str
) -> None:
    for kind in ("an error", "options"):
        answer = await _answer(with_own_origins, user, kind, origin)
        assert answer.headers[ALLOW_ORIGIN] == ORIGINS[0]


async def test_without_an_origin_the_first_allowed_one_is_named(
    with_own_origins: World, user: User
) -> None:
    answer = await _answer(with_own_origins, user, "an error")
    assert answer.headers[ALLOW_ORIGIN] == ORIGINS[0]


async def test_where_no_origins_are_given_there_is_a_default(
    world_with: Callable[..., Any],
) -> None:
    async with world_with(ALLOWED_ORIGINS=None) as world:
        for origin in (ORIGIN_DEFAULT, "https://evil.example"):
            answer = await world.ask("/", method="OPTIONS", headers={"Origin": origin})
            assert answer.headers[ALLOW_ORIGIN] == ORIGIN_DEFAULT


async def test_a_star_allows_every_origin(world_with: Callable[..., Any]) -> None:
    async with world_with(ALLOWED_ORIGINS="*") as world:
        headers = {"Origin": "https://any.example"}
        answer = await world.ask("/", method="OPTIONS", headers=headers)
        assert answer.headers[ALLOW_ORIGIN] in ("https://any.example", "*")


async def _answer(world: World, user: User, kind: str, origin: str | None = None) -> Any:
    method, path, is_signed_in = ANSWERS[kind]
    headers = {} if origin is None else {"Origin": origin}
    options: dict[str, Any] = {"json": {}} if method == "POST" else {}
    asker: Any = user if is_signed_in else world
    return await asker.ask(path, method=method, headers=headers, **options)


def _listed(header: str) -> list[str]:
    return sorted(part.strip().lower() for part in header.split(","))
