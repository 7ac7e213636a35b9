"""Multipart: the bytes of a form.

Promises: bodies of both form types are read as workerd reads them, and multipart ones are
written as it writes them, texts included (measured). Leaves to others: the fields
(form_data).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from emulator.errors import js_error
from emulator.web.blob import Blob, File

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["read", "write"]

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_BOUNDARY: Final = re.compile(r';\s*boundary\s*=\s*(?:"([^"]*)"|([^\s;]+))', re.IGNORECASE)
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_DISPOSITION: Final = re.compile(rb"content-disposition:[ \t]*([^;\r\n]*)(.*)", re.IGNORECASE)
_PARAMETER: Final = re.compile(
    rb';[ \t]*(name|filename)[ \t]*=[ \t]*"((?:\\"|[^"])*)"', re.IGNORECASE
)
_TYPE: Final = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_ESCAPES: Final = str.maketrans({'"': "%22", "\n": "%0A", "\r": "%0D"})

_NO_BOUNDARY: Final = (
    "No boundary string in Content-Type header. The multipart/form-data MIME type requires a "
    "boundary parameter, e.g. 'Content-Type: multipart/form-data; boundary=\"abcd\"'. See "
    "RFC 7578, section 4."
)


def write(fields: Sequence[tuple[str, str | Blob]]) -> tuple[bytes, str]:
    """The fields as a multipart body, and its content type.

    The boundary, drawn by chance on the platform, is a digest of the fields here: the same
    form gives the same bytes.

    Raises:
        JsTypeError: If a name ends with a backslash.
    """
    parts = [(_head(name, value), _payload(value)) for name, value in fields]
    digest = sha256()
    for head, payload in parts:
        digest.update(sha256(head).digest() + sha256(payload).digest())
    boundary = digest.hexdigest()[:32]
    mark = b"--" + boundary.encode()
    pieces = [b"%s\r\n%s\r\n\r\n%s\r\n" % (mark, head, payload) for head, payload in parts]
    return b"".join(pieces) + mark + b"--", f"{_MULTIPART}; boundary={boundary}"


def read(data: bytes, content_type: str | None) -> list[tuple[str, str | Blob]]:
    """The fields of a body.

    Args:
        data: The whole body.
        content_type: As in the header; None if there is none.

    Raises:
        JsTypeError: If the type is no form's, or the body is none.
    """
    if content_type is None:
        text = "Parsing a Body as FormData requires a Content-Type header."
        raise js_error("TypeError", text)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _URLENCODED:
        text = data.decode("utf-8", "replace")
        return [*parse_qsl(text, keep_blank_values=True, errors="replace")]
    if kind == _MULTIPART:
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise js_error("TypeError", _NO_BOUNDARY)
        mark = b"--" + (found[1] or found[2] or "").encode()
        return [_field(head, payload) for head, payload in _parts(data, mark)]
    raise js_error(
        "TypeError",
        "Unrecognized Content-Type header value. FormData can only parse the following MIME "
        f"types: {_MULTIPART}, {_URLENCODED}",
    )


def _head(name: str, value: str | Blob) -> bytes:
    if name.endswith("\\") or (isinstance(value, File) and value.name.endswith("\\")):
        raise js_error("TypeError", "Name or filename can't end with backslash")
    head = f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
    if isinstance(value, File):
        head += f'; filename="{value.name.translate(_ESCAPES)}"'
        head += f"\r\nContent-Type: {value.content_type or 'application/octet-stream'}"
    return head.encode()


def _payload(value: str | Blob) -> bytes:
    return value.content if isinstance(value, Blob) else value.encode("utf-8", "replace")


def _parts(data: bytes, mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The head and the payload of each part. A preamble is passed over."""
    at = data.find(mark)
    if at < 0:
        text = "No initial boundary string (or you have a truncated message)."
        raise js_error("TypeError", text)
    while True:
        at += len(mark)
        if data.startswith(b"--", at):
            return
        if not data.startswith((b"\r\n", b"\n"), at):
            text = "Boundary string was not succeeded by CRLF, LF, or '--'."
            raise js_error("TypeError", text)
        head_end = _HEAD_END.search(data, at + 1)
        if head_end is None:
            raise js_error("TypeError", "No multipart message header termination found.")
        following = data.find(b"\n" + mark, head_end.end() - 1)
        if following < 0:
            text = "No subsequent boundary string after multipart message."
            raise js_error("TypeError", text)
        end = following - 1 if data[following - 1 : following] == b"\r" else following
        yield data[at : head_end.start()], data[head_end.end() : end]
        at = following + 1


def _field(head: bytes, payload: bytes) -> tuple[str, str | Blob]:
    disposition = _DISPOSITION.search(head)
    if disposition is None:
        text = "No valid Content-Disposition header found in FormData part."
        raise js_error("TypeError", text)
    kind = disposition[1].decode("utf-8", "replace").strip()
    if kind != "form-data":
        text = (
            'Content-Disposition header for FormData part must have the value "form-data", '
            f'possibly followed by parameters. Got: "{kind}"'
        )
        raise js_error("TypeError", text)
    parameters = {
        name.lower(): value.replace(b'\\"', b'"').decode("utf-8", "replace")
        for name, value in _PARAMETER.findall(disposition[2])
    }
    if b"name" not in parameters:
        text = "Content-Disposition header in FormData part is missing a name."
        raise js_error("TypeError", text)
    filename = parameters.get(b"filename")
    if not filename:
        return parameters[b"name"], payload.decode("utf-8", "replace")
    content_type = _TYPE.search(head)
    label = content_type[1].decode("latin-1").strip() if content_type else ""
    return parameters[b"name"], File(payload, filename, label)
