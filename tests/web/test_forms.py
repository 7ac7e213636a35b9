"""FormData, Blob and File, and the bodies they become. Texts are those measured on workerd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.web.blob import Blob, File
from emulator.web.form_data import FormData
from emulator.web.request import Request
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")
MULTIPART = "multipart/form-data; boundary=xx"


def now(awaitable: Awaitable[T]) -> T:
    async def main() -> T:
        return await awaitable

    return asyncio.run(main())


def form_of(text: str, content_type: str = MULTIPART) -> list[tuple[str, Any]]:
    response = Response(text.replace("\n", "\r\n"), headers={"content-type": content_type})
    return list(now(response.form_data()).items())


def part(head: str, payload: str = "hi") -> str:
    return f"--xx\n{head}\n\n{payload}\n--xx--\n"


NAMES = st.text(max_size=5).filter(lambda name: not name.endswith("\\"))


@given(st.lists(st.tuples(NAMES, st.text(max_size=20) | st.binary(max_size=20))))
def test_a_form_arrives_as_it_was_sent(fields: list[tuple[str, Any]]) -> None:
    escapes = str.maketrans({'"': "%22", "\n": "%0A", "\r": "%0D"})
    form = FormData()
    for name, value in fields:
        form.append(name, Blob(value, "a/b") if isinstance(value, bytes) else value, "f")
    request = Request("http://x/", method="POST", body=form)
    received = now(request.form_data())

    async def contents() -> list[Any]:
        return [v if isinstance(v, str) else await v.bytes() for v in received.values()]

    # Names are escaped and not turned back, as on the platform.
    expected = [name.translate(escapes) for name, _ in fields]
    assert list(received) == expected
    assert now(contents()) == [value for _, value in fields]


def test_the_bytes_of_a_form_are_workerds() -> None:
    form = FormData()
    form.append("a", "x")
    form.append('q"uo\nte', "é")
    form.append("f", Blob("hi", "text/x"), 'n".txt')
    form.append("b", Blob("hi"))
    data, content_type = form.encode()
    kind, boundary = content_type.split("; boundary=")

    assert kind == "multipart/form-data"
    assert data.decode().split(f"--{boundary}") == [
        "",
        '\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n',
        '\r\nContent-Disposition: form-data; name="q%22uo%0Ate"\r\n\r\né\r\n',
        '\r\nContent-Disposition: form-data; name="f"; filename="n%22.txt"\r\n'
        "Content-Type: text/x\r\n\r\nhi\r\n",
        '\r\nContent-Disposition: form-data; name="b"; filename="b"\r\n'
        "Content-Type: application/octet-stream\r\n\r\nhi\r\n",
        "--",
    ]


@pytest.mark.parametrize(("name", "filename"), [("a\\", "f"), ("a", "f\\")])
def test_a_name_does_not_end_with_a_backslash(name: str, filename: str) -> None:
    form = FormData()
    form.append(name, Blob("x"), filename)
    with pytest.raises(TypeError, match="Name or filename can't end with backslash"):
        Response(form)


def test_the_same_form_has_the_same_boundary_and_another_form_another() -> None:
    assert FormData({"a": "1"}).encode() == FormData({"a": "1"}).encode()
    assert FormData({"a": "1"}).encode()[1] != FormData({"a": "2"}).encode()[1]


def test_an_urlencoded_form_is_read_with_repeated_and_empty_fields() -> None:
    kind = "application/x-www-form-urlencoded;charset=UTF-8"

    assert form_of("a=1&b=2+3&a=%C3%A9&c", kind) == [
        ("a", "1"),
        ("b", "2 3"),
        ("a", "é"),
        ("c", ""),
    ]


def test_a_file_field_is_a_file_and_without_a_filename_it_is_text() -> None:
    head = 'content-disposition: form-data; name="f"'
    ((_, file),) = form_of(part(f'{head}; filename="n.txt"\nContent-Type: text/plain'))

    assert isinstance(file, File)
    assert (file.name, file.content_type, now(file.text())) == ("n.txt", "text/plain", "hi")
    assert form_of(part(f'{head}; filename=""')) == form_of(part(head)) == [("f", "hi")]


@pytest.mark.parametrize(
    "text",
    [
        "before\n" + part('Content-Disposition: form-data; name="a"'),
        part('X: y\nContent-Disposition: form-data; name="a"'),
        '--xx\nContent-Disposition: form-data; name="a"\n\nhi\n--xx--and more',
    ],
    ids=["preamble", "other headers", "epilogue"],
)
def test_what_stands_around_the_fields_is_passed_over(text: str) -> None:
    assert form_of(text) == [("a", "hi")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "No initial boundary string (or you have a truncated message)."),
        ("--xx\nX: y", "No multipart message header termination found."),
        (
            '--xx\nContent-Disposition: form-data; name="a"\n\nhi',
            "No subsequent boundary string after multipart message.",
        ),
        ("--xxy\n", "Boundary string was not succeeded by CRLF, LF, or '--'."),
        (part("X: y"), "No valid Content-Disposition header found in FormData part."),
        (
            part('Content-Disposition: attachment; name="a"'),
            'Content-Disposition header for FormData part must have the value "form-data", '
            'possibly followed by parameters. Got: "attachment"',
        ),
        (
            part("Content-Disposition: form-data; name=a"),
            "Content-Disposition header in FormData part is missing a name.",
        ),
    ],
)
def test_a_broken_form_says_what_is_broken(text: str, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        form_of(text)
    assert caught.value.message == message  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        (None, "Parsing a Body as FormData requires a Content-Type header."),
        ("application/json", "Unrecognized Content-Type header value. FormData can only parse"),
        ("multipart/form-data", "No boundary string in Content-Type header."),
    ],
)
def test_a_body_of_another_type_is_no_form(content_type: str | None, message: str) -> None:
    response = Response(b"x", headers={"content-type": content_type} if content_type else None)
    with pytest.raises(TypeError) as caught:
        now(response.formData())
    assert caught.value.message.startswith(message)  # type: ignore[attr-defined]


def test_fields_repeat_and_set_takes_the_place_of_the_first() -> None:
    form = FormData({"a": "1", "b": "2"})
    form.append("a", "3")
    assert form.get_all("a") == ["1", "3"]
    form["a"] = "9"

    assert list(form.items()) == [("a", "9"), ("b", "2")]
    assert (form["none"], form.get_all("none"), "none" in form) == (None, [], False)
    del form["none"]
    with pytest.raises(TypeError, match="Expected single item"):
        form["a"] = ["1"]


def test_values_that_are_no_text_become_it() -> None:
    form = FormData()
    form.append("a", 5)
    form.append("n", None)

    assert list(form.items()) == [("a", "5"), ("n", "null")]


def test_a_form_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected form_data to be a dict"):
        FormData([("a", "b")])


def test_a_slice_counts_from_both_ends_and_has_no_type_of_its_own() -> None:
    blob = Blob("hello", "Text/Plain")
    middle = blob.slice(1, -1)

    assert (blob.content_type, blob.size) == ("text/plain", 5)
    assert (now(middle.text()), middle.content_type) == ("ell", "")
    assert now(blob.slice(-2).bytes()) == b"lo"
    assert blob.slice(0, 1, "X/y").content_type == "x/y"


def test_a_blob_is_made_of_one_part_or_of_many() -> None:
    assert now(Blob(["a", b"b", Blob("c"), bytearray(b"d")]).text()) == "abcd"
    assert Blob(Blob("a", "t/u")).content_type == "t/u"
    assert Blob([Blob("a", "t/u")]).content_type == ""
    file = File(File("x", "n", "t/u", last_modified=7), "m")
    assert (file.name, file.content_type, file.last_modified) == ("m", "t/u", 7)
    with pytest.raises(TypeError, match="Don't know how to handle"):
        Blob([5])


def test_javascripts_constructors_take_their_options_in_either_way() -> None:
    assert Blob.new(["x"], {"type": "a/b"}).type == Blob.new(["x"], type="a/b").type == "a/b"
    file = File.new(["x"], "n", {"type": "a/b", "lastModified": 5})
    assert (file.name, file.type, file.lastModified) == ("n", "a/b", 5)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(Blob("hi", "a/b"), "a/b"), (Blob("hi"), None), (memoryview(b"hi"), None)],
)
def test_a_body_brings_its_content_type(body: Any, content_type: str | None) -> None:
    response = Response(body)

    assert response.headers.get("content-type") == content_type
    assert now(response.text()) == "hi"


def test_a_body_as_a_blob_has_the_type_of_the_headers() -> None:
    blob = now(Response("hi", headers={"content-type": "a/b; c=d"}).blob())

    assert (blob.content_type, blob.size) == ("a/b;c=d", 2)
    assert now(Response(b"abc").blob()).content_type == ""
