"""Headers. Texts and orders are those measured on workerd and in `workers-runtime-sdk`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.web.headers import Headers

NAMES = st.text("abcABC-_1", min_size=1, max_size=6)
VALUES = st.text(st.characters(blacklist_characters="\r\n\0", codec="utf-8"), max_size=8)


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_values_of_one_name_are_joined_in_their_order_whatever_its_case(
    pairs: list[tuple[str, str]],
) -> None:
    headers = Headers(pairs)
    for name, _ in pairs:
        values = [v.strip("\t\n\r ") for n, v in pairs if n.lower() == name.lower()]

        assert headers.get(name.upper()) == headers[name.lower()] == ", ".join(values)
        assert headers.get_all(name) == values


@given(st.lists(st.tuples(NAMES, VALUES.filter(lambda value: value.strip("\t\n\r ")))))
def test_pairs_come_sorted_and_make_the_same_headers_again(
    pairs: list[tuple[str, str]],
) -> None:
    headers = Headers([*pairs, ("set-cookie", "a=1"), ("Set-Cookie", "b=2")])
    listed = headers.items()

    assert [name for name, _ in listed] == sorted(name for name, _ in listed)
    assert [pair for pair in listed if pair[0] == "set-cookie"] == [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
    assert Headers(listed).items() == listed


@pytest.mark.parametrize("name", ["a b", "a:b", "é", "a\n", "(", "@", "a,b"])
@pytest.mark.parametrize("ask", ["get", "has", "set", "append", "delete", "get_all"])
def test_an_invalid_name_is_refused_by_every_method(name: str, ask: str) -> None:
    arguments = (name, "v") if ask in ("set", "append") else (name,)
    with pytest.raises(TypeError, match=r"Invalid header name\."):
        getattr(Headers(), ask)(*arguments)


def test_an_empty_name_is_a_name() -> None:
    assert Headers({"": "x"}).items() == [("", "x")]


def test_white_space_around_a_value_is_taken_off() -> None:
    assert Headers({"a": " \t x y \r\n"}).items() == [("a", "x y")]


def test_an_empty_value_keeps_its_place_between_others() -> None:
    headers = Headers()
    for name, value in (("a", "1"), ("A", ""), ("a", "2")):
        headers.append(name, value)

    assert headers.get("a") == "1, , 2"


def test_set_replaces_every_value_even_of_cookies() -> None:
    headers = Headers([("set-cookie", "1"), ("set-cookie", "2"), ("a", "1"), ("a", "2")])
    headers.set("Set-Cookie", "3")
    headers.set("A", "4")

    assert headers.items() == [("a", "4"), ("set-cookie", "3")]


def test_cookies_asked_for_by_get_are_joined_and_by_their_own_method_are_not() -> None:
    headers = Headers([("set-cookie", "1"), ("Set-Cookie", "2")])

    assert headers.get("set-cookie") == "1, 2"
    assert headers.getSetCookie() == ["1", "2"]
    with pytest.raises(TypeError, match="can only be used with the header name"):
        headers.getAll("a")


def test_a_name_that_is_not_there_is_none_and_not_an_error() -> None:
    # `request.headers` of Cloudflare's package is an http.client.HTTPMessage.
    headers = Headers()

    assert headers["authorization"] is None
    assert headers.get("authorization") is None
    assert headers.get("authorization", "x") == "x"
    assert "authorization" not in headers
    headers.delete("authorization")


def test_items_are_not_assigned_since_on_cloudflare_that_changes_a_copy() -> None:
    headers: Any = Headers()
    with pytest.raises(TypeError, match="does not support item assignment"):
        headers["a"] = "b"


@pytest.mark.parametrize("change", ["append", "set", "delete"])
def test_headers_that_came_over_a_wire_do_not_change(change: str) -> None:
    headers = Headers({"a": "1"}).freeze()
    with pytest.raises(TypeError, match=r"Can't modify immutable headers\."):
        getattr(headers, change)(*("a", "2")[: 1 if change == "delete" else 2])

    copy = Headers(headers)
    copy.set("a", "2")
    assert (headers["a"], copy["a"]) == ("1", "2")


@pytest.mark.parametrize("init", [[("a",)], [("a", "b", "c")], [[]]])
def test_a_pair_has_two_elements(init: Any) -> None:
    with pytest.raises(TypeError, match="each inner sequence must have exactly two elements"):
        Headers(init)


@pytest.mark.parametrize("init", ["a", 5, b"a"])
def test_what_is_neither_a_mapping_nor_pairs_is_refused(init: Any) -> None:
    with pytest.raises(TypeError, match="Received unexpected type for headers argument"):
        Headers(init)


def test_javascripts_constructor_takes_the_same() -> None:
    assert Headers.new({"a": "b"}).items() == Headers.new([("A", "b")]).items() == [("a", "b")]


def test_for_each_hands_value_name_and_headers() -> None:
    seen: list[Any] = []
    headers = Headers({"a": "1", "b": "2"})
    headers.forEach(lambda *arguments: seen.append(arguments))

    assert seen == [("1", "a", headers), ("2", "b", headers)]
