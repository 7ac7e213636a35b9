"""The laws of the clone, and of what cannot be cloned."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import re
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import JsException, JsRangeError, JsTypeError, js_error
from emulator.values import (
    JsDict,
    JsMap,
    deserialize,
    serialize,
    serialized_size,
    serialized_size_at_most,
    structured_clone,
    undefined,
)

SCALARS = (
    st.none()
    | st.just(undefined)
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=3))))
)
LEAVES = SCALARS | st.binary() | st.binary().map(bytearray) | st.just(array("h", [1, -2]))
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4
)
DATA = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(max_size=3) | st.from_regex(r"[0-9]{1,3}", fullmatch=True), inner
        )
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=2).map(JsMap)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=12,
)


def shape(value: object) -> object:
    """A value so that equal means alike: types, order of keys, NaN and the sign of zero."""
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, set):
        return type(value), sorted(repr(shape(item)) for item in value)
    if isinstance(value, float):
        return float, repr(value)
    return type(value), value


@given(DATA)
def test_a_clone_is_what_storage_would_give_back(value):
    cloned = structured_clone(value, for_storage=True)

    assert shape(cloned) == shape(deserialize(serialize(value)))
    assert shape(structured_clone(value, for_storage=False)) == shape(cloned)


@given(DATA)
def test_a_clone_of_a_clone_changes_nothing_more(value):
    cloned = structured_clone(value, for_storage=True)

    assert shape(structured_clone(cloned, for_storage=True)) == shape(cloned)
    assert serialize(cloned) == serialize(value)


@given(DATA, st.integers(0, 2_000))
def test_the_glance_at_a_size_never_calls_a_large_value_small(value, limit):
    size = serialized_size(value)
    answer = serialized_size_at_most(value, limit_bytes=limit)

    assert answer is None or size <= answer <= limit


def test_a_cycle_and_shared_parts_keep_their_form():
    part: list[object] = [1]
    value: dict[str, object] = {"a": part, "b": part}
    value["me"] = value

    for cloned in (structured_clone(value, for_storage=True), deserialize(serialize(value))):
        assert cloned["me"] is cloned
        assert cloned["a"] is cloned["b"]
        assert cloned["a"] is not part


def test_an_error_with_properties_is_counted_in_full():
    error = js_error("MyErr", "m")
    error.properties["much"] = "x" * 100

    assert serialized_size_at_most([error], limit_bytes=1_000) is None
    assert serialized_size([error], has_enhanced_errors=True) > 100


def test_the_clone_of_a_cyclic_message_has_a_counted_size():
    value: list[object] = []
    value.append(value)

    assert serialized_size_at_most(value) is None
    assert serialized_size(value) == len(serialize(value))


def test_objects_have_attributes_and_javascripts_order_of_keys():
    cloned = structured_clone({"b": 1, "10": 2, "9": 3, "a": {"x": None}}, for_storage=True)

    assert list(cloned) == ["9", "10", "b", "a"]
    assert cloned.a.x is None


def test_numbers_come_back_as_pyodide_shows_them():
    cloned = structured_clone([1.0, 2**53 - 1, 2**53, 2.0**53, -0.0, 1e300], for_storage=True)

    assert [type(item) for item in cloned] == [int, int, int, float, float, float]
    assert math.copysign(1, cloned[4]) == -1


def test_dates_are_aware_and_cut_to_milliseconds_towards_zero():
    late = datetime(2026, 1, 1, 12, 0, 0, 1_999, tzinfo=timezone(timedelta(hours=2)))
    early = datetime(1969, 12, 31, 23, 59, 59, 998_001)  # noqa: DTZ001 - naive is UTC.

    cloned = structured_clone([late, early], for_storage=True)

    assert cloned == [
        datetime(2026, 1, 1, 10, 0, 0, 1_000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ]


def test_an_invalid_date_is_a_range_error():
    with pytest.raises(JsRangeError, match="Invalid time value"):
        deserialize(bytes.fromhex("ff0f44000000000000f87f"))


def test_enumerations_of_text_and_numbers_are_their_values():
    word = StrEnum("Word", {"A": "a"})
    number = IntEnum("Number", {"ONE": 1})

    assert shape(structured_clone([word["A"], number["ONE"]], for_storage=True)) == shape(
        ["a", 1]
    )
    assert deserialize(serialize([word["A"], number["ONE"]])) == ["a", 1]


def test_an_expression_keeps_source_and_flags():
    value = re.compile(r"(?P<day>\d+)/x", re.IGNORECASE)

    for again in (structured_clone(value, for_storage=True), deserialize(serialize(value))):
        assert again.pattern == r"(?P<day>\d+)/x"
        assert again.flags == value.flags


def test_an_exception_is_an_error_with_its_text():
    value = [ValueError("v"), KeyError("k"), JsTypeError("t"), js_error("ZError", "d")]

    for again in (structured_clone(value, for_storage=False), deserialize(serialize(value))):
        assert [(error.name, error.message) for error in again] == [
            ("Error", "v"),
            ("Error", "'k'"),
            ("TypeError", "t"),
            ("Error", "d"),
        ]


def test_arrays_as_keys_and_elements_become_tuples():
    value = [{(1, (2,)): "a"}, {(1,), "b"}]

    assert deserialize(serialize(value)) == value


def test_an_object_as_a_key_cannot_be_read():
    data = bytes.fromhex("ff0f3b6f7b0049023a02")  # new Map([[{}, 1]])

    with pytest.raises(JsTypeError, match="Cannot use key of type Object"):
        deserialize(data)


class Plain:
    pass


@dataclass
class Row:
    n: int = 1


class Colour(Enum):
    RED = 1


async def coroutine() -> None:
    pass


async def async_generator():
    yield 1


def generator():
    yield 1


NO_SUPPORT = (
    'Could not serialize object of type "{}". This type does not support serialization.'
)
REFUSED = [
    (Plain, NO_SUPPORT.format("Plain")),
    (Row, NO_SUPPORT.format("Row")),
    (lambda: Colour.RED, NO_SUPPORT.format("Colour")),
    (object, NO_SUPPORT.format("object")),
    (lambda: 1j, NO_SUPPORT.format("complex")),
    (lambda: range(3), NO_SUPPORT.format("range")),
    (lambda: re.compile(b"a"), NO_SUPPORT.format("Pattern")),
    (lambda: memoryview(bytes(4)).cast("B", (2, 2)), NO_SUPPORT.format("memoryview")),
    (lambda: datetime(2026, 1, 1, tzinfo=UTC).date(), NO_SUPPORT.format("date")),
    (generator, "[object Generator] could not be cloned."),
    (async_generator, "[object AsyncGenerator] could not be cloned."),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": [v]}])
def test_what_is_no_data_is_refused_everywhere_with_the_platforms_text(make, text, wrap):
    value = wrap(make())

    for refuse in (
        serialize,
        serialized_size,
        lambda v: structured_clone(v, for_storage=True),
        lambda v: structured_clone(v, for_storage=False),
    ):
        with pytest.raises(JsException) as caught:
            refuse(value)
        assert (caught.value.name, caught.value.message) == ("DataCloneError", text)


def test_an_awaitable_is_a_promise_that_cannot_be_cloned():
    pending = coroutine()
    loop = asyncio.new_event_loop()
    future = loop.create_future()

    for value in (pending, future):
        for for_storage in (True, False):
            with pytest.raises(JsException, match=r"^DataCloneError: #<Promise> could not be"):
                structured_clone([value], for_storage=for_storage)

    pending.close()
    loop.close()


class Marked:
    __rpc_passthrough__ = True


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (generator, "function generator() { [native code] } could not be cloned."),
        (len, "function len() { [native code] } could not be cloned."),
        ([].append, "function append() { [native code] } could not be cloned."),
        (Plain, "class Plain { [native code] } could not be cloned."),
        (Marked(), NO_SUPPORT.format("Marked")),
    ],
)
def test_what_passes_a_stub_by_reference_cannot_be_stored(value, text):
    assert structured_clone({"f": value}, for_storage=False)["f"] is value
    assert serialized_size([value]) < 16

    for refuse in (serialize, lambda v: structured_clone(v, for_storage=True)):
        with pytest.raises(JsException) as caught:
            refuse({"f": value})
        assert (caught.value.name, caught.value.message) == ("DataCloneError", text)


def test_nesting_without_end_is_the_engines_range_error():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    for act in (serialize, lambda v: structured_clone(v, for_storage=True)):
        with pytest.raises(JsRangeError, match="Maximum call stack size exceeded"):
            act(value)
    while value:  # Taken apart here: the interpreter would do it recursively.
        value = value[0]  # type: ignore[assignment] - a list of lists.


def test_undefined_is_one_falsy_thing():
    assert not undefined
    assert repr(undefined) == "undefined"
    assert copy.copy(undefined) is undefined
    assert copy.deepcopy([undefined])[0] is undefined
    assert pickle.loads(pickle.dumps(undefined)) is undefined
    assert type(undefined)() is undefined
    assert undefined is not None
    assert undefined != None  # noqa: E711 - equality is what is asked.


def test_attributes_of_a_js_dict_are_its_keys():
    value = JsDict(a=1)
    value.b = 2
    del value.a

    assert value == {"b": 2}
    assert value.b == 2
    with pytest.raises(AttributeError, match="missing"):
        value.missing  # noqa: B018 - the access is the act.
    with pytest.raises(AttributeError):
        del value.missing
    assert type(copy.copy(value)) is JsDict
    assert pickle.loads(pickle.dumps(value)) == value
