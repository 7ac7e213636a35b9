"""URL: an address, whole and in its parts.

Promises: the normal form of every URL that a request can go to, and JavaScript's class URL
over it. Leaves to others: the fields of a query (search_params). Other schemes than http,
https, ws and wss are kept as they are written.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Final, final
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from emulator.errors import js_error
from emulator.web.js_object import JsObject
from emulator.web.required import required
from emulator.web.search_params import URLSearchParams

__all__ = ["URL", "normal_url"]

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Most URLs are in their normal form already, which costs a tenth of taking one apart. A dot
# after a slash may be a dot segment, and an upper-case host is not normal.
_NORMAL: Final = re.compile(
    r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*/"
    r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*)?"
    r"(?:\?[A-Za-z0-9._~=&%+/:,-]+)?"
)
# What each part keeps as it is, beside letters and digits (WHATWG URL, percent-encode sets).
_PATH_SAFE: Final = "%!$&'()*+,;=:@/~-._[]|"
_QUERY_SAFE: Final = "%!$&()*+,;=:@/~-._[]|^`{}\\?"
_FRAGMENT_SAFE: Final = "%!$&'()*+,;=:@/~-._[]|^{}\\?#"


def normal_url(url: str) -> str:
    """The URL in its normal form (WHATWG URL, as far as requests need it).

    Raises:
        JsTypeError: If it is not absolute, or is none.
    """
    if _NORMAL.fullmatch(url) is not None:
        return url
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise js_error("TypeError", f"Invalid URL: {url}") from None
    if not parts.scheme or (parts.scheme in _PORTS and not host):
        raise js_error("TypeError", f"Invalid URL: {url}")
    if parts.scheme not in _PORTS:
        return url
    assert host is not None
    place = f"[{host}]" if ":" in host else host
    if not place.isascii():
        place = place.encode("idna").decode("ascii")
    if port is not None and port != _PORTS[parts.scheme]:
        place = f"{place}:{port}"
    if "@" in parts.netloc:
        place = f"{parts.netloc.rpartition('@')[0]}@{place}"
    text = f"{parts.scheme}://{place}{_path(parts.path)}"
    if "?" in url.partition("#")[0]:
        text += "?" + quote(parts.query, safe=_QUERY_SAFE)
    if "#" in url:
        text += "#" + quote(parts.fragment, safe=_FRAGMENT_SAFE)
    return text


def _path(path: str) -> str:
    path = quote(path.replace("\\", "/"), safe=_PATH_SAFE) or "/"
    if "/." not in path:
        return path
    # normpath would also fold empty segments, which a URL keeps.
    kept: list[str] = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        is_last = position == len(segments) - 1
        if segment == posixpath.pardir:
            if kept:
                kept.pop()
        elif segment != posixpath.curdir:
            kept.append(segment)
            continue
        if is_last:
            kept.append("")
    return "/" + "/".join(kept)


@final
class URL(JsObject):
    """JavaScript's URL.

    Args:
        url: Absolute, or relative to `base`.
        base: An absolute URL.

    Raises:
        JsTypeError: "Invalid URL string.", if they give no absolute URL.
    """

    def __init__(self, url: Any, base: Any = None) -> None:
        text = str(url)
        if base is not None:
            # An empty reference is the base without its fragment.
            text = urljoin(urldefrag(_checked(str(base))).url, text)
        self._take(_checked(text))

    def _take(self, href: str) -> None:
        parts = urlsplit(href)
        #: The scheme with its colon, such as "https:".
        self.protocol = f"{parts.scheme}:"
        user, _, place = parts.netloc.rpartition("@")
        self.username, _, self.password = user.partition(":")
        host, colon, port = place.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = place, ""
        #: The name or address without a port; `port` is "" for the scheme's own.
        self.hostname, self.port = host, port
        self._path = parts.path
        self._hash = f"#{parts.fragment}" if parts.fragment else ""
        self._query_mark = "?" if "?" in href.partition("#")[0] else ""
        self._params = URLSearchParams(parts.query)
        self._query = parts.query
        self._params.changed = self._params_changed

    @classmethod
    @required("URL", "USVString", is_constructor=True)
    def new(cls, url: Any, base: Any = None) -> URL:
        """JavaScript's constructor."""
        return cls(url, base)

    @staticmethod
    @required("URL", "USVString")
    def canParse(url: Any, base: Any = None) -> bool:
        """Whether the constructor would take it."""
        try:
            URL(url, base)
        except TypeError:
            return False
        return True

    def _params_changed(self) -> None:
        self._query = str(self._params)
        self._query_mark = "?" if self._query else ""

    @property
    def href(self) -> str:
        """The whole URL."""
        user = self.username + (f":{self.password}" if self.password else "")
        place = f"{user}@{self.host}" if user else self.host
        mark = "//" if place or self.protocol[:-1] in _PORTS else ""
        query = f"{self._query_mark}{self._query}"
        return f"{self.protocol}{mark}{place}{self._path}{query}{self._hash}"

    @href.setter
    def href(self, value: str) -> None:
        self._take(_checked(value))

    @property
    def host(self) -> str:
        """The name and, if it is not the scheme's own, the port."""
        return f"{self.hostname}:{self.port}" if self.port else self.hostname

    @property
    def origin(self) -> str:
        """Scheme, name and port; "null" for a scheme that has none."""
        known = self.protocol[:-1] in _PORTS
        return f"{self.protocol}//{self.host}" if known else "null"

    @property
    def pathname(self) -> str:
        """The path, percent-encoded."""
        return self._path

    @pathname.setter
    def pathname(self, value: str) -> None:
        self._path = _path(value if value.startswith("/") else f"/{value}")

    @property
    def search(self) -> str:
        """The query with its mark, or ""."""
        return f"?{self._query}" if self._query else ""

    @search.setter
    def search(self, value: str) -> None:
        self._query = quote(value.removeprefix("?"), safe=_QUERY_SAFE)
        self._query_mark = "?" if self._query else ""
        self._params.replace(self._query)

    @property
    def searchParams(self) -> URLSearchParams:
        """The query's fields; changing them changes the URL."""
        return self._params

    @property
    def hash(self) -> str:
        """The fragment with its mark, or ""."""
        return self._hash

    @hash.setter  # noqa: A003  # JavaScript's name.
    def hash(self, value: str) -> None:
        text = quote(value.removeprefix("#"), safe=_FRAGMENT_SAFE)
        self._hash = f"#{text}" if text else ""

    def toString(self) -> str:
        """The whole URL."""
        return self.href

    __str__ = toString

    def toJSON(self, key: Any = None) -> str:
        """The whole URL; JSON.stringify calls it."""
        return self.href

    def __repr__(self) -> str:
        return f"URL({self.href!r})"


def _checked(text: str) -> str:
    try:
        return normal_url(text)
    except TypeError:
        raise js_error("TypeError", "Invalid URL string.") from None
