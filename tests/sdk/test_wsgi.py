"""WSGI applications that run as workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from workers import wsgi

import emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


def asked(app: Any, url: str = "http://localhost/", **options: Any) -> Any:
    async def main() -> Any:
        worker = wsgi.entrypoint(app)
        async with emulator.Miniflare(worker=worker, bindings={"VAR": "bound"}) as mf:
            return await mf.dispatch_fetch(url, **options)

    return emulator.run(main)


def test_the_environment_is_that_of_pep_3333() -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        start_response("201 Made", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [environ["wsgi.input"].read(), environ["workers.env"].VAR.encode()]

    response = asked(
        app, "https://h:8443/é/a%20b?x=1", method="POST", content=b"body-", headers={"X-Y": "z"}
    )

    assert (response.status_code, response.content) == (201, b"body-bound")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    (environ,) = seen
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT")
    assert [environ[name] for name in names] == ["POST", "/\xc3\xa9/a b", "x=1", "h", "8443"]
    assert (environ["CONTENT_LENGTH"], environ["HTTP_X_Y"]) == ("5", "z")
    assert environ["wsgi.url_scheme"] == "https"


def test_a_body_is_made_as_it_is_read_and_closed_once() -> None:
    events: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                events.append(f"chunk {number}")
                yield b"" if number == 0 else b"%d" % number

        def close(self) -> None:
            events.append("closed")

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        write = start_response("200 OK", [])
        write(b"written ")
        return Body()

    assert asked(app).text == "written 12"
    assert events == ["chunk 0", "chunk 1", "chunk 2", "closed"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none(status: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [("x", "y")])
        return []

    response = asked(app)
    assert (response.status_code, response.headers["x"]) == (int(status[:3]), "y")


def test_an_application_that_breaks_its_contract_is_an_error() -> None:
    def silent(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [b"x"]

    def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ValueError("broken")

    with pytest.raises(RuntimeError, match=r"did not call start_response\(\)"):
        asked(silent)
    with pytest.raises(AssertionError, match="called more than once"):
        asked(twice)
    with pytest.raises(ValueError, match="broken"):
        asked(broken)
