"""Response: what a worker answers.

Promises: the surface of Cloudflare's `workers` package and the JavaScript names, checked
as workerd checks. Leaves to others: bodies (body), how it travels.
"""

from __future__ import annotations

import json as json_text
import re
from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, final, overload

from emulator.errors import js_error
from emulator.web.body import Body, as_content
from emulator.web.headers import Headers
from emulator.web.js_object import options_of
from emulator.web.required import required
from emulator.web.url import normal_url
from emulator.web.websocket import UpgradeSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["FetchResponse", "Response", "checked_answer"]

_NO_STATUS_TEXT: Final = re.compile(r"[^\t -\x7e\x80-\xff]")
_NULL_BODY: Final = (101, 204, 205, 304)
_REDIRECTS: Final = (301, 302, 303, 307, 308)
# What workerd's HTTP library says for a status it has no phrase for.
_CLASSES: Final = {2: "Successful", 3: "Redirection", 4: "Client Error", 5: "Server Error"}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return _CLASSES.get(status // 100, "")


@final
class _Json:
    """`json`: of an instance it reads the body, of the class it makes a Response.

    The `workers` package does the same, since JavaScript has both under one name.
    """

    @overload
    def __get__(self, response: None, cls: type[Response]) -> Callable[..., Response]: ...
    @overload
    def __get__(
        self, response: Response, cls: type[Response]
    ) -> Callable[..., Coroutine[Any, Any, Any]]: ...
    def __get__(self, response: Response | None, cls: type[Response]) -> Callable[..., Any]:
        return cls.from_json if response is None else response._json


@final
class Response(Body):
    """A response.

    Args:
        body: str, bytes, a ReadableStream, None, or a Response to copy.
        status: 200 unless given; an int or `http.HTTPStatus`.
        status_text: The reason phrase; the status's own unless given.
        headers: A dict, pairs, or Headers.
        web_socket: The client's half of a WebSocket pair, with status 101.
        options: `statusText`, `webSocket`, `cf`, `encodeBody`.

    Raises:
        JsRangeError: For a status outside 200 to 599 (101 only with a WebSocket).
        JsTypeError: For a body with a status that has none, or a bad status text.
        TypeError: For a body of another type.
        ValueError: For options beside a Response.
    """

    def __init__(
        self,
        body: Any = None,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: Any = None,
        web_socket: Any = None,
        **options: Any,
    ) -> None:
        status_text = options.pop("statusText", None) or status_text or ""
        web_socket = options.pop("webSocket", None) or web_socket
        self.cf = options.pop("cf", None)
        self.encode_body = options.pop("encodeBody", "automatic")
        if options:
            raise TypeError(f"Response has no option {next(iter(options))!r}")
        if isinstance(body, Response):
            if status is not None or status_text or headers is not None:
                raise ValueError(
                    "Expected no options when constructing Response from a js.Response"
                )
            self.__dict__.update(body.__dict__)
            self.headers = Headers(body.headers)
            self._set_content(body._take_over())
            return
        if web_socket is not None and not isinstance(web_socket, UpgradeSocket):
            raise js_error(
                "TypeError",
                "Incorrect type for the 'webSocket' field on 'InitializerDict': the provided "
                "value is not of type 'WebSocket'.",
            )
        self.status = 200 if status is None else int(status)
        self._check_status(web_socket)
        if status_text and _NO_STATUS_TEXT.search(status_text) is not None:
            raise js_error("TypeError", "Invalid statusText")
        self.status_text = status_text or _phrase(self.status)
        self._status_text_given = status_text
        self.headers = Headers(headers)
        self.web_socket = web_socket
        self.url = ""
        self.redirected = False
        self.type = "default"
        content, kind = as_content(body, owner="Response")
        if content is not None and self.status in _NULL_BODY:
            if content != b"":
                raise js_error(
                    "TypeError",
                    "Response with null body status (101, 204, 205, or 304) cannot have "
                    "a body.",
                )
            content = None
        if content is not None and kind is not None and "content-type" not in self.headers:
            self.headers.set("content-type", kind)
        self._set_content(content)

    def _check_status(self, web_socket: UpgradeSocket | None) -> None:
        if web_socket is not None:
            if self.status != 101:
                raise js_error(
                    "RangeError", "Responses with a WebSocket must have status code 101."
                )
            return
        if not 200 <= self.status <= 599:
            raise js_error(
                "RangeError",
                "Responses may only be constructed with status codes in the range 200 to "
                "599, inclusive.",
            )

    @classmethod
    def new(cls, body: Any = None, init: Any = None, **options: Any) -> Response:
        """JavaScript's constructor: its second argument is the options, or a Response."""
        if isinstance(init, Response):
            init = {
                "status": init.status,
                "statusText": init._status_text_given,
                "headers": init.headers,
                "webSocket": init.web_socket,
            }
        given = options_of(init, "Response", "InitializerDict or Response")
        return cls(body, **{**given, **options})

    @property
    def js_object(self) -> Response:
        """The object as JavaScript has it; here they are one."""
        return self

    @property
    def js_response(self) -> Response:
        """The same under Pyodide's name."""
        return self

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    @property
    def statusText(self) -> str:
        """The reason phrase under JavaScript's name."""
        return self.status_text

    @property
    def webSocket(self) -> Any:
        """The WebSocket under JavaScript's name."""
        return self.web_socket

    def raise_for_status(self) -> None:
        """Pyodide's check.

        Raises:
            OSError: For a status of 400 to 599.
        """
        if 400 <= self.status < 500:
            raise OSError(f"{self.status} Client Error: {self.status_text} for url: {self.url}")
        if 500 <= self.status < 600:
            raise OSError(f"{self.status} Server Error: {self.status_text} for url: {self.url}")

    def clone(self) -> Response:
        """A second Response with the same body, which is read once on each side.

        Raises:
            BodyUsedError: If the body has been read or is being read.
            JsTypeError: If it carries a WebSocket.
        """
        if self.web_socket is not None:
            raise js_error("TypeError", "Cannot clone a response to a WebSocket handshake.")
        other = Response.__new__(Response)
        other.__dict__.update(self.__dict__)
        other.headers = Headers(self.headers)
        other._set_content(self._split())
        return other

    def delivered(self, url: str, *, is_head: bool) -> Response:
        """The response as the one who asked for it gets it; this one is used from now on.

        Args:
            url: What was asked.
            is_head: Whether the method was HEAD: the headers arrive, the body does not.
        """
        other = Response.__new__(Response)
        other.__dict__.update(self.__dict__)
        other.headers = Headers(self.headers).freeze()
        other.url = url
        if self.web_socket is not None:
            other.web_socket = self.web_socket.handed_over()
        other._set_content(None if is_head else self._take_over())
        return other

    def replace_body(self, body: Any) -> Response:
        """A Response with the same status and headers and another body."""
        return Response(
            body,
            status=self.status,
            status_text=self._status_text_given,
            headers=self.headers,
            web_socket=self.web_socket,
        )

    #: The body parsed as JSON, awaitable; or, of the class, `Response.json(data, ...)`.
    json = _Json()

    @staticmethod
    @required("Response", "JsValue", name="json")
    def from_json(
        data: Any,
        status: HTTPStatus | int = HTTPStatus.OK,
        status_text: str = "",
        headers: Any = None,
        **options: Any,
    ) -> Response:
        """A response whose body is the data as JSON.

        Args:
            data: What `json.dumps` takes.
            status: An int or `http.HTTPStatus`.
            status_text: The reason phrase.
            headers: A content type among them is kept.
            options: As for a Response.
        """
        if isinstance(status, dict):
            # JavaScript's second argument is the options.
            return Response.from_json(data, **status, **options)
        own = Headers(headers)
        if not own.has("content-type"):
            own.set("content-type", "application/json")
        text = json_text.dumps(data)
        return Response(text, status, status_text, own, **options)

    @staticmethod
    @required("Response", "string")
    def redirect(url: str, status: HTTPStatus | int = HTTPStatus.FOUND) -> Response:
        """A redirect.

        Raises:
            JsTypeError: If the URL is not absolute.
            JsRangeError: If the status is no redirect.
        """
        try:
            code = int(status)
        except (TypeError, ValueError):
            code = 0  # What JavaScript makes of it.
        if code not in _REDIRECTS:
            raise js_error(
                "RangeError",
                f"{code} is not a redirect status code. It must be one of: 301, 302, 303, "
                "307, or 308.",
            )
        try:
            location = normal_url(str(url))
        except TypeError:
            raise js_error("TypeError", f"Unable to parse URL: {url}") from None
        return Response(None, status=code, headers={"location": location})

    @staticmethod
    def error() -> Response:
        """A network error: status 0, type "error"."""
        response = Response()
        response.status = 0
        response.status_text = ""
        response.type = "error"
        return response

    def __repr__(self) -> str:
        shown = [f"status={self.status}"]
        if self.status_text:
            shown.append(f"status_text={self.status_text!r}")
        if "content-type" in self.headers:
            shown.append(f"content_type={self.headers['content-type']!r}")
        if self.url:
            shown.append(f"url={self.url!r}")
        if self.type != "default":
            shown.append(f"type={self.type!r}")
        return f"Response({', '.join(shown)})"


#: What `fetch` answers; in Cloudflare's package the parent class of Response.
FetchResponse = Response


def checked_answer(answer: Any, handler: object = None) -> Response:
    """What a handler answered, if the platform would send it.

    Args:
        answer: Whatever it returned.
        handler: The function, for the note on an error.

    Raises:
        JsTypeError: If it is no Response, an error response, or a body that was read.
    """
    if not isinstance(answer, Response):
        # What wraps a Response has it there, as in Cloudflare's `workers` package.
        answer = getattr(answer, "js_object", answer)
    if not isinstance(answer, Response):
        error = js_error(
            "TypeError",
            "Incorrect type for Promise: the Promise did not resolve to 'Response'.",
        )
        error.add_note(_wrong_answer(answer, handler))
        raise error
    if answer.type == "error":
        raise js_error(
            "TypeError",
            "Return value from serve handler must not be an error response (like "
            "Response.error())",
        )
    answer.refuse_if_used()
    return answer


def _wrong_answer(answer: object, handler: object) -> str:
    code = getattr(handler, "__code__", None)
    name = getattr(handler, "__qualname__", "the handler")
    where = f" ({PurePath(code.co_filename).name}:{code.co_firstlineno})" if code else ""
    fix = "return a Response of `workers`, such as Response(text)"
    if isinstance(answer, dict | list):
        fix = "return Response.json(...) of it"
    elif hasattr(answer, "__await__"):
        fix = "put `await` before what it returns"
    got = "None" if answer is None else f"an object of type {type(answer).__name__!r}"
    return f"{name}{where} returned {got}: {fix}"
