"""The patterns: which requests a route of an outbound mock answers.

Promises: method, URL, query, headers and body are compared in the form in which the platform
sends them: an upper-case host, a default port or an umlaut in a pattern do not matter, and
JSON is compared by its values; what could fit no request is refused when it is given. Leaves
to others: what is answered (the route), and which route answers (the mock).
"""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qs, urlsplit

from emulator.errors import JsException
from emulator.web.request import Request

if TYPE_CHECKING:
    #: A text, or a regular expression that is searched for in one.
    Wanted = str | re.Pattern[str]

__all__ = ["UNSET", "Patterns"]

#: Stands for "not given", where None is a value.
UNSET: Final = object()

#: In the place of any origin.
_ORIGIN: Final = "http://localhost"
_ANY_ORIGIN: Final = re.compile(r"[^:/?#]+://[^/?#]*")


@final
class Patterns:
    """What a request must look like.

    Args:
        method: Such as "GET"; None is any.
        url: An absolute URL, or a path, which fits any origin; a star stands for any text in
            the path or query, and for a part of the host. Or a regular expression. Without a
            question mark the query does not matter, and a fragment never does.
        query: Values by name; others may be there too.
        headers: Values by name; others may be there too.
        body: The text or the bytes, or a regular expression to be found in the text, or a
            function of the text; None is any.
        json: Instead of a body: what it is as JSON.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the URL is neither absolute nor a path.
    """

    def __init__(
        self,
        method: str | None,
        url: Wanted,
        *,
        query: Mapping[str, Wanted] | None = None,
        headers: Mapping[str, Wanted] | None = None,
        body: str | bytes | re.Pattern[str] | Callable[[str], object] | None = None,
        json: Any = UNSET,
    ) -> None:
        if method is not None and not isinstance(method, str):
            message = f"route() takes a method such as 'GET' or None, got {method!r}"
            raise TypeError(message)
        if json is not UNSET and body is not None:
            message = "route() takes body or json, not both"
            raise TypeError(message)
        if not (body is None or isinstance(body, bytes) or callable(body) or _is_text(body)):
            message = f"route() takes body as text, bytes, pattern or function, got {body!r}"
            raise TypeError(message)
        self._method = None if method is None else method.upper()
        self._url = _checked_url(url)
        self._url_regex = _regex_of(self._url) if isinstance(self._url, str) else self._url
        self._query = _checked_values("query", query)
        self._headers = _checked_values("headers", headers)
        self._body = body
        self._json = json
        self._json_text = "" if json is UNSET else _canonical(json_text.dumps(json))

    def fit(self, request: Request, body: bytes) -> bool:
        """Whether a request is one of them.

        Args:
            request: Its body may have been read.
            body: What it was.
        """
        return (
            self._method in (None, str(request.method))
            and self._fits_url(request.url)
            and self._fits_query(request.url)
            and all(
                _fits(wanted, request.headers.get(name))
                for name, wanted in self._headers.items()
            )
            and self._fits_body(body)
        )

    def _fits_url(self, url: str) -> bool:
        url = url.partition("#")[0]
        if isinstance(self._url, re.Pattern):
            return self._url_regex.search(url) is not None
        if self._url.startswith("/"):
            url = _ANY_ORIGIN.sub("", url, count=1)
        if "?" not in self._url:
            url = url.partition("?")[0]
        return self._url_regex.fullmatch(url) is not None

    def _fits_query(self, url: str) -> bool:
        if not self._query:
            return True
        values = parse_qs(urlsplit(url).query, keep_blank_values=True)
        return all(
            any(_fits(wanted, value) for value in values.get(name, ()))
            for name, wanted in self._query.items()
        )

    def _fits_body(self, body: bytes) -> bool:
        wanted = self._body
        if self._json is not UNSET:
            try:
                return _canonical(body) == self._json_text
            except (ValueError, RecursionError):
                return False
        if wanted is None:
            return True
        if isinstance(wanted, bytes):
            return body == wanted
        text = body.decode("utf-8", "replace")
        return bool(wanted(text)) if callable(wanted) else _fits(wanted, text)

    def __str__(self) -> str:
        url = f"/{self._url.pattern}/" if isinstance(self._url, re.Pattern) else self._url
        told = f"{self._method or 'any method'} {url}"
        if self._query:
            told += f" query={_told(self._query)}"
        if self._headers:
            told += f" headers={_told(self._headers)}"
        if self._json is not UNSET:
            told += f" json={self._json!r}"
        elif self._body is not None:
            told += f" body={self._body!r}"
        return told


def _checked_url(url: object) -> Wanted:
    """The URL in the form in which requests come, without its fragment."""
    if isinstance(url, re.Pattern):
        return url
    if not isinstance(url, str):
        message = f"route() takes a URL as text or as a regular expression, got {url!r}"
        raise TypeError(message)
    if url == "*":
        return url
    is_path = url.startswith("/")
    if not is_path and "://" not in url:
        message = f"route() takes an absolute URL, or a path that begins with '/', got {url!r}"
        raise ValueError(message)
    try:
        whole = Request(_ORIGIN + url if is_path else url).url.partition("#")[0]
    except JsException as error:
        hint = "; a star may be in the host, path or query" if "*" in url else ""
        message = f"route() takes a URL: {error}{hint}"
        raise ValueError(message) from None
    return whole.removeprefix(_ORIGIN) if is_path else whole


def _regex_of(url: str) -> re.Pattern[str]:
    """What stands for a URL with stars; those of an origin end with it."""
    found = _ANY_ORIGIN.match(url)
    origin = found[0] if found else ""
    path = url.removeprefix(origin)
    regex = _with_stars(origin, "[^/?#]*") + _with_stars(path, ".*")
    return re.compile(regex, re.DOTALL)


def _with_stars(text: str, star: str) -> str:
    return star.join(map(re.escape, text.split("*")))


def _checked_values(name: str, given: object) -> dict[str, Wanted]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(map(_is_text, given.values())):
        message = f"route() takes {name} as a dict of texts or patterns by name, got {given!r}"
        raise TypeError(message)
    return dict(given)


def _is_text(value: object) -> bool:
    if isinstance(value, re.Pattern):
        return isinstance(value.pattern, str)
    return isinstance(value, str)


def _canonical(text: str | bytes) -> str:
    """One text for JSON of one meaning to JavaScript, where 1 and 1.0 are one number."""
    return json_text.dumps(json_text.loads(text, parse_int=float), sort_keys=True)


def _fits(wanted: Wanted, text: str | None) -> bool:
    if text is None:
        return False
    if isinstance(wanted, re.Pattern):
        return wanted.search(text) is not None
    return text == wanted


def _told(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {k: getattr(v, "pattern", v) for k, v in wanted.items()}
