"""Request: what a worker is asked, and asks.

Promises: the surface of Cloudflare's `workers` package and the JavaScript names, checked
as workerd checks. Leaves to others: bodies (body), who answers.
"""

from __future__ import annotations

from http import HTTPMethod
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import js_error
from emulator.web.body import Body, as_content
from emulator.web.headers import Headers
from emulator.web.js_object import options_of
from emulator.web.required import required
from emulator.web.url import normal_url

if TYPE_CHECKING:
    from emulator.web.readable import ReadableStream

__all__ = ["Request", "outgoing_request"]

# The methods that workerd's HTTP library knows (kj/compat/http.h).
_METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PURGE", "OPTIONS", "TRACE", "COPY"),
    *("LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "ACL", "REPORT"),
    *("MKACTIVITY", "CHECKOUT", "MERGE", "MSEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"),
    *("QUERY", "BAN", "CONNECT"),
)

#: What workerd calls the type of the second argument.
_INIT: Final = "RequestInitializerDict or Request"


def _checked_method(method: object) -> str:
    name = method.value if isinstance(method, HTTPMethod) else str(method)
    if name.upper() not in _METHODS:
        raise js_error("TypeError", f"Invalid HTTP method string: {name}")
    return name.upper()


@final
class Request(Body):
    """A request.

    Args:
        input: An absolute URL, or a Request to copy; its body moves to the copy.
        init: The options as a dict.
        options: `method`, `headers`, `body`, `redirect` ("follow" or "manual"), `cf`,
            and others of the platform, which are kept.

    Raises:
        JsTypeError: For a bad URL, method or redirect mode, a body with GET or HEAD, or a
            Request whose body was used.
    """

    _url: str
    _method: str
    _options: dict[str, Any]
    redirect: str
    cf: Any
    signal: Any

    def __init__(self, input: str | Request, init: Any = None, **options: Any) -> None:  # noqa: A002  # Cloudflare's name.
        options = {**options_of(init, "Request", _INIT), **options}
        source = input if isinstance(input, Request) else None
        self._url = source._url if source is not None else normal_url(str(input))
        method = options.get("method")
        if method is not None:
            self._method = _checked_method(method)
        else:
            self._method = source._method if source is not None else "GET"
        given = options.get("headers")
        base = source.headers if source is not None and given is None else given
        self.headers = Headers(base)
        self.redirect = self._checked_redirect(options, source)
        self.cf = options.get("cf", source.cf if source is not None else None)
        self.signal = options.get("signal", source.signal if source is not None else None)
        self._options = {**(source._options if source is not None else {}), **options}
        self._take_body(options, source)

    @classmethod
    @required("Request", "Request or string", is_constructor=True)
    def new(cls, input: Any, init: Any = None, **options: Any) -> Request:  # noqa: A002  # As above.
        """JavaScript's constructor."""
        return cls(input, init, **options)

    @staticmethod
    def _checked_redirect(options: dict[str, Any], source: Request | None) -> str:
        mode = options.get("redirect")
        if mode is None:
            return source.redirect if source is not None else "follow"
        if mode not in ("follow", "manual"):
            raise js_error(
                "TypeError",
                'Invalid redirect value, must be one of "follow" or "manual" ("error" '
                "won't be implemented since it does not make sense at the edge; use "
                '"manual" and check the response status code).',
            )
        return str(mode)

    def _take_body(self, options: dict[str, Any], source: Request | None) -> None:
        body = options.get("body")
        if body is None:
            content: bytes | ReadableStream | None = None
            if source is not None and source._content is not None:
                if source.body_used:
                    text = "Cannot reconstruct a Request with a used body."
                    raise js_error("TypeError", text)
                content = source._take_over()
        else:
            content, kind = as_content(body, owner="Request")
            if kind is not None and not self.headers.has("content-type"):
                self.headers.set("content-type", kind)
        if content is not None and self._method in ("GET", "HEAD"):
            text = "Request with a GET or HEAD method cannot have a body."
            raise js_error("TypeError", text)
        self._set_content(content)

    @property
    def js_object(self) -> Request:
        """The object as JavaScript has it; here they are one."""
        return self

    @property
    def url(self) -> str:
        """The absolute URL in its normal form."""
        return self._url

    @property
    def method(self) -> str:
        """The method, upper case; an `http.HTTPMethod` where Python has it."""
        try:
            return HTTPMethod(self._method)
        except ValueError:
            return self._method

    def _option(self, name: str, default: Any) -> Any:
        return self._options.get(name, default)

    @property
    def cache(self) -> str:
        """The cache mode."""
        return str(self._option("cache", "default"))

    @property
    def credentials(self) -> str:
        """Kept for the surface; without effect on the platform."""
        return str(self._option("credentials", "same-origin"))

    @property
    def destination(self) -> str:
        """Kept for the surface; always empty."""
        return ""

    @property
    def integrity(self) -> str:
        """The expected digest, if one was given."""
        return str(self._option("integrity", ""))

    @property
    def is_history_navigation(self) -> bool:
        """Kept for the surface; always False."""
        return False

    @property
    def keepalive(self) -> bool:
        """Kept for the surface."""
        return bool(self._option("keepalive", None))

    @property
    def mode(self) -> str:
        """Kept for the surface."""
        return str(self._option("mode", "cors"))

    @property
    def referrer(self) -> str:
        """Kept for the surface."""
        return str(self._option("referrer", "about:client"))

    @property
    def referrer_policy(self) -> str:
        """Kept for the surface."""
        return str(self._option("referrerPolicy", ""))

    async def json(self, **kwargs: Any) -> Any:
        """The body parsed as JSON.

        Raises:
            json.JSONDecodeError: If it is none, as in Cloudflare's `workers` package.
        """
        return await self._json(**kwargs)

    def clone(self) -> Request:
        """A second Request with the same body, which is read once on each side.

        Raises:
            BodyUsedError: If the body has been read or is being read.
        """
        other = Request.__new__(Request)
        other.__dict__.update(self.__dict__)
        other.headers = Headers(self.headers)
        other._set_content(self._split())
        return other

    def __repr__(self) -> str:
        return f"Request(method={self._method!r}, url={self._url!r})"


def outgoing_request(resource: str | Request, init: Any, options: dict[str, Any]) -> Request:
    """The Request that the arguments of a binding's `fetch` mean.

    Args:
        resource: An absolute URL, or a Request.
        init: Options of a Request made from a URL, as a dict, or None.
        options: The same, as keywords.

    Raises:
        JsTypeError: For a URL that is not absolute, and whatever a Request refuses.
    """
    if isinstance(resource, str) and "://" not in resource:
        raise js_error("TypeError", f"Invalid URL: {resource}")
    return Request(resource, **{**options_of(init, "Fetcher", _INIT, "fetch"), **options})
