"""Laws of errors that cross a stub, before and since 2026-04-21."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.durable_objects.rpc import carry_error
from emulator.errors import JsException, js_error
from emulator.sdk.workers import DurableObject

OLD, NEW = "2026-04-20", "2026-04-21"


class MyErr(Exception):
    def __init__(self, message: str = "", **properties: Any) -> None:
        super().__init__(message)
        self.__dict__.update(properties)


def platform_error(name: str, message: str, **properties: Any) -> JsException:
    error = js_error(name, message)
    error.properties.update(properties)
    return error


class Job(DurableObject):
    error: Exception

    def fail(self) -> None:
        raise Job.error

    def count(self) -> int:
        self.memory = getattr(self, "memory", 0) + 1
        return self.memory


@pytest.fixture
def seen(with_jobs: Any) -> Any:
    """Gives `seen(error, date)`: what a caller catches of it."""

    def run(error: Exception, date: str) -> JsException:
        async def scenario(mf: Any, stub: Any) -> JsException:
            Job.error = error
            await stub.count()
            with pytest.raises(JsException) as caught:
                await stub.fail()
            assert await stub.count() == 2, "an exception resets nothing"
            return caught.value

        return with_jobs(Job, scenario, compatibility_date=date)  # type: ignore[no-any-return]

    return run


@pytest.mark.parametrize("date", [OLD, NEW])
@pytest.mark.parametrize(
    "name",
    ["Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError", "EvalError",
     "URIError", "AggregateError", "DataCloneError", "AbortError", "TimeoutError"],
)  # fmt: skip
def test_a_built_in_class_and_its_message_survive(seen, name, date):
    error = seen(js_error(name, "the\nmessage"), date)

    assert (error.name, error.message, error.remote) == (name, "the\nmessage", True)
    assert isinstance(error, TypeError) == (name == "TypeError")
    assert isinstance(error, ValueError) == (name == "RangeError")


@pytest.mark.parametrize("date", [OLD, NEW])
def test_a_python_type_error_is_a_type_error_and_an_exception_is_an_error(seen, date):
    assert str(seen(TypeError("t"), date)) == "TypeError: t"
    assert str(seen(Exception("e"), date)) == "Error: e"
    assert str(seen(Exception(), date)) == "Error"


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (MyErr("my"), "Error", "MyErr: my"),
        (MyErr(), "Error", "MyErr"),
        (ValueError("v"), "Error", "ValueError: v"),
        (TimeoutError("late"), "Error", "TimeoutError: late"),
        (js_error("ZError", "z"), "Error", "ZError: z"),
        (js_error("ZError", ""), "Error", "ZError"),
    ],
)
def test_before_any_other_class_goes_into_the_message(seen, error, name, message):
    carried = seen(error, OLD)

    assert (carried.name, carried.message) == (name, message)


@pytest.mark.parametrize("error", [MyErr("my", code=42), js_error("MyErr", "my")], ids=repr)
def test_since_then_the_name_survives_but_not_the_class(seen, error):
    carried = seen(error, NEW)

    assert (carried.name, carried.message, type(carried)) == ("MyErr", "my", JsException)


def test_before_own_properties_and_the_cause_are_dropped(seen):
    assert seen(MyErr("my", code=42), OLD).properties == {}
    assert seen(platform_error("Error", "e", code=42, cause="why"), OLD).properties == {}


def test_since_then_own_properties_survive_as_copies(seen):
    given = [1, {"a": 2}]

    mine = seen(MyErr("my", code=42, given=given), NEW)
    theirs = seen(platform_error("Error", "e", cause="why", errors=given), NEW)

    assert mine.properties == {"code": 42, "given": given}
    assert mine.properties["given"] is not given
    assert theirs.properties == {"cause": "why", "errors": given}


def test_since_then_pythons_own_cause_survives(seen):
    error = MyErr("my")
    error.__cause__ = TypeError("because")

    cause = seen(error, NEW).properties["cause"]

    assert (cause.name, cause.message) == ("Error", "because")


def test_since_then_what_cannot_be_serialised_crosses_the_old_way(seen):
    error = seen(MyErr("my", thing=object()), NEW)

    assert (error.name, error.message, error.properties) == ("Error", "MyErr: my", {})


def test_a_dom_exception_always_crosses_the_old_way(seen):
    error = seen(platform_error("AbortError", "a", code=20), NEW)

    assert (error.name, error.message, error.properties) == ("AbortError", "a", {})


@pytest.mark.parametrize(
    ("date", "set_flags", "flags"),
    [
        (OLD, {"retryable": True}, (True, False)),
        (OLD, {"overloaded": True}, (False, True)),
        (OLD, {"retryable": True, "overloaded": True}, (False, True)),
        (NEW, {"retryable": True, "overloaded": True}, (True, True)),
    ],
)
def test_retryable_and_overloaded_survive_and_before_overloaded_wins(
    seen, date, set_flags, flags
):
    for error in (MyErr("my", **set_flags), JsException("e", **set_flags)):
        carried = seen(error, date)

        assert (carried.retryable, carried.overloaded) == flags
        assert carried.properties == {}


def test_what_the_caller_sees_is_not_what_was_thrown(seen):
    error = JsException("e")

    assert seen(error, OLD) is not error
    assert not error.remote


def test_the_flag_of_a_reset_does_not_travel_on(seen):
    error = seen(JsException("e", durableObjectReset=True), OLD)

    assert not error.durableObjectReset


def test_an_error_may_cross_twice():
    once = carry_error(MyErr("my"), is_enhanced=False)
    twice = carry_error(once, is_enhanced=False)

    assert str(twice) == str(once) == "Error: MyErr: my"


# -- errors as values ----------------------------------------------------------------------


class Echo(DurableObject):
    def same(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (OLD, [("RangeError", {"cause"}), ("Error", set()), ("AbortError", set())]),
        (NEW, [("RangeError", {"cause", "code"}), ("My", {"code"}), ("AbortError", set())]),
    ],
)
def test_errors_in_a_message_keep_what_errors_that_are_thrown_keep(with_jobs, date, expected):
    errors = [
        platform_error("RangeError", "re", code=5, cause=js_error("TypeError", "ca")),
        platform_error("My", "m", code=42),
        platform_error("AbortError", "dm"),
    ]

    async def scenario(_: Any, stub: Any) -> Any:
        return await stub.same(errors)

    found = with_jobs(Echo, scenario, compatibility_date=date)

    assert [(error.name, set(error.properties)) for error in found] == expected
    assert found[0].properties["cause"].message == "ca"
    assert not any(error.remote for error in found)


def test_a_property_that_is_no_data_makes_the_error_cross_the_old_way(seen):
    error = seen(platform_error("My", "m", code=1, function=lambda: 1), NEW)

    assert (error.name, error.message, error.properties) == ("Error", "My: m", {})


# -- errors that end an instance, and errors in storage ------------------------------------


class Fragile(DurableObject):
    async def fall(self, error: str) -> None:
        async def section() -> None:
            cause = platform_error("Inner", "i", k=1)
            raise platform_error(error, "my", code=[3], cause=cause)

        await self.ctx.blockConcurrencyWhile(section)

    def count(self) -> int:
        return 1

    async def keep(self, error: Any) -> None:
        await self.ctx.storage.put("e", error)

    async def kept(self) -> Any:
        return await self.ctx.storage.get("e")

    async def keep_itself(self) -> None:
        error = platform_error("Error", "m")
        error.properties["self"] = error
        await self.ctx.storage.put("e", error)
        for read in (self.ctx.storage.get, self.ctx.storage.kv.get):
            with pytest.raises(JsException, match=r"^Error: internal error; reference = "):
                await read("e")


def test_since_2026_04_21_a_reset_tells_everybody_of_all_that_its_error_has(with_jobs):
    async def scenario(_: Any, stub: Any) -> list[JsException]:
        found = []
        for call in (stub.fall("MyErr"), stub.count(), stub.count()):
            with pytest.raises(JsException) as caught:
                await call
            found.append(caught.value)
        return found

    errors = with_jobs(Fragile, scenario, compatibility_date=NEW)
    for error in errors:
        assert (error.name, error.message, error.remote) == ("MyErr", "my", False)
        assert error.durableObjectReset
        assert error.properties["code"] == [3]
        assert error.properties["cause"].properties == {"k": 1}
    assert errors[1].properties["code"] is not errors[2].properties["code"]


def test_before_2026_04_21_a_reset_tells_name_and_text_alone(with_jobs):
    async def scenario(_: Any, stub: Any) -> JsException:
        with pytest.raises(JsException) as caught:
            await stub.fall("MyErr")
        return caught.value

    error = with_jobs(Fragile, scenario, compatibility_date=OLD)
    assert (error.name, error.message, error.properties) == ("Error", "MyErr: my", {})


@pytest.mark.parametrize(
    ("date", "name", "properties"), [(OLD, "Error", {}), (NEW, "MyErr", {"code": 3})]
)
def test_an_error_in_storage_keeps_what_it_keeps_on_its_way(with_jobs, date, name, properties):
    async def scenario(_: Any, stub: Any) -> Any:
        await stub.keep(platform_error("MyErr", "my", code=3))
        return await stub.kept()

    error = with_jobs(Fragile, scenario, compatibility_date=date)
    assert (error.name, error.message, error.properties) == (name, "my", properties)


def test_a_stored_error_that_contains_itself_cannot_be_read(with_jobs):
    async def scenario(_: Any, stub: Any) -> None:
        await stub.keep_itself()

    with_jobs(Fragile, scenario, compatibility_date=NEW)


def test_a_thrown_error_that_contains_itself_crosses_the_old_way(seen):
    error = platform_error("MyErr", "my")
    error.properties["self"] = error

    assert str(seen(error, NEW)) == "Error: MyErr: my"


def test_since_2026_04_21_flags_that_code_gave_an_error_cross_too(seen):
    error = JsException("e", retryable=True, overloaded=True, durableObjectReset=True)

    assert seen(error, NEW).durableObjectReset
    assert not seen(error, OLD).durableObjectReset
