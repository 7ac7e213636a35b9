"""The laws of ids; vectors are workerd's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.durable_objects.ids import NAME_BYTES_MAX, DurableObjectId, IdFactory
from emulator.errors import JsTypeError


def factory(unique_key: str = "w-D") -> IdFactory:
    return IdFactory(unique_key, lambda size: bytes(range(size)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foo", "a6328c5dee73c4dab242f0ce620560cbc79a1048d1129e43f4f9b4414c82adc5"),
        ("", "9dab3306b1229c93471ded25a8a53b85c5050c90e69c5b986e1bd8297530dd04"),
        ("foo2", "57085d473e79de53b6e51dddc497f7953d2fb1786faec81ecb4b2d59e4953241"),
    ],
)
def test_a_name_gives_the_id_that_workerd_gives(name, expected):
    assert str(factory().id_from_name(name)) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (5, "5"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (1.5e-7, "1.5e-7"),
        (1.25e-5, "0.0000125"),
        (123456789012345680000.0, "123456789012345680000"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ({}, "[object Object]"),
        ([1, None, "a"], "1,,a"),
    ],
)
def test_what_is_no_string_becomes_a_name_as_in_javascript(value, name):
    made = factory().id_from_name(value)

    assert made.name == name
    assert made == factory().id_from_name(name)


def test_a_lone_surrogate_is_another_name_than_the_replacement_character():
    make = factory().id_from_name

    assert make("\ud800") != make("\ufffd\ufffd\ufffd")
    measured = "4f17440a169abd0d0d678a9366901335265c1699eb129db771f2183f931e1062"
    assert str(factory("conform-Sql").id_from_name("\ud800")) == measured
    assert make("\ud800") != make("\ufffd")
    assert make("\ud83d\ude00") == make("\U0001f600")


@pytest.mark.parametrize(
    "text", ["xyz", "", "z" * 64, "0" * 63, "\u0660" * 64, "0" * 62 + " 0"]
)
def test_text_that_is_not_64_hex_digits_is_no_id(text):
    with pytest.raises(JsTypeError) as caught:
        factory().id_from_string(text)

    assert caught.value.message == "Invalid Durable Object ID: must be 64 hex digits"


def test_an_id_of_another_namespace_is_refused_by_its_tag():
    foreign = str(factory("w-Other").id_from_name("foo"))

    for text in ("0" * 64, foreign):
        with pytest.raises(JsTypeError) as caught:
            factory().id_from_string(text)
        assert caught.value.message == "Durable Object ID is not valid for this namespace."


@pytest.mark.parametrize("method", ["idFromName", "idFromString"])
def test_without_an_argument_the_parameter_is_named(method):
    make = factory()
    call = make.id_from_name if method == "idFromName" else make.id_from_string

    with pytest.raises(JsTypeError) as caught:
        call()

    assert caught.value.message == (
        f"Failed to execute '{method}' on 'DurableObjectNamespace': "
        "parameter 1 is not of type 'string'."
    )


@given(st.text())
def test_an_id_survives_its_digits_in_any_case_but_forgets_its_name(name):
    made = factory().id_from_name(name)

    for text in (str(made), str(made).upper(), made):
        again = factory().id_from_string(text)
        assert again == made
        assert again.equals(made)
        assert hash(again) == hash(made)
        assert str(again) == str(made)
        assert again.name is None


def test_a_unique_id_is_of_its_namespace_and_of_the_given_bytes():
    made = factory().new_unique_id()

    assert bytes(made)[:16] == bytes(range(16))
    assert factory().id_from_string(str(made)) == made
    assert made.name is None


def test_json_shows_the_name_and_no_digits():
    assert json.dumps(factory().id_from_name("foo").toJSON()) == '{"name": "foo"}'
    assert factory().new_unique_id().toJSON() == {}


def test_a_name_over_1024_bytes_is_not_told_to_the_object():
    fits, over = "é" * 512, "é" * 512 + "a"
    assert len(fits.encode()) == NAME_BYTES_MAX

    assert factory().id_from_name(fits).seen_inside().name == fits
    assert factory().id_from_name(over).seen_inside().name is None
    assert factory().id_from_name(over).name == over
    assert factory().id_from_name(over).seen_inside() == factory().id_from_name(over)


@pytest.mark.parametrize("given", [(), ("a",)])
def test_equals_wants_an_id(given):
    with pytest.raises(JsTypeError, match="parameter 1 is not of type 'DurableObjectId'"):
        factory().id_from_name("a").equals(*given)


def test_the_repr_shows_name_and_first_digits():
    assert repr(factory().id_from_name("foo")) == "<DurableObjectId a6328c5d… name='foo'>"
    assert isinstance(factory().new_unique_id(), DurableObjectId)
