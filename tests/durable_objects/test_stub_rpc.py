"""Laws of calls through a stub."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import pytest

import emulator
from emulator import faults
from emulator.errors import JsException, JsTypeError, WorldError
from emulator.schedules import random as random_schedule
from emulator.sdk.workers import Blob, DurableObject
from emulator.values import undefined


class Base(DurableObject):
    def inherited(self) -> str:
        return "inherited"


class Mixin:
    def mixed_in(self) -> str:
        return "mixed in"


class Job(Base, Mixin):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.field = 1
        self.arrow = lambda: 1
        self.log: list[Any] = []

    def sync(self) -> str:
        return "sync"

    async def asynchronous(self) -> str:
        return "async"

    def _under(self) -> str:
        return "under"

    @property
    def value(self) -> int:
        return 99

    @property
    def nested(self) -> Any:
        return {"a": {"b": 1}, "f": lambda: "ff"}

    @staticmethod
    def static() -> int:
        return 1

    @classmethod
    def of_class(cls) -> int:
        return 1

    def start_export(self) -> str:
        return "started"

    async def alarm(self, info: Any) -> None: ...

    def count(self, *arguments: Any) -> Any:
        return [len(arguments), list(arguments)]

    def named(self, one: Any, *, two: Any) -> Any:
        return [one, two]

    def order(self, number: int, padding: Any = None) -> None:
        self.log.append(number)

    async def fetch(self, request: Any) -> Any:
        from emulator.sdk.workers import Response

        self.log.append(request.url)
        return Response("")

    def lines(self) -> list[Any]:
        return self.log

    def same(self, value: Any) -> Any:
        return value

    def keep(self, value: Any) -> None:
        self.kept = value

    def read(self) -> Any:
        return self.kept

    def make(self, kind: str) -> Any:
        self.log.append("made")
        return {"instance": self, "large": b"x" * 33 * 2**20, "tuple": (1, 2)}[kind]

    def same_id(self) -> str:
        return f"{self.ctx.id} {self.ctx.id.name}"


@pytest.fixture
def answer(with_jobs: Any) -> Any:
    """Gives `answer(function)`: what `await function(stub)` gives."""

    def run(function: Any, **options: Any) -> Any:
        async def scenario(_: Any, stub: Any) -> Any:
            return await function(stub)

        return with_jobs(Job, scenario, **options)

    return run


@pytest.mark.parametrize(
    ("name", "result"),
    [("sync", "sync"), ("asynchronous", "async"), ("inherited", "inherited"),
     ("mixed_in", "mixed in"), ("_under", "under"), ("start_export", "started"),
     ("startExport", "started")],
)  # fmt: skip
def test_methods_of_the_class_and_its_bases_can_be_called(answer, name, result):
    assert answer(lambda stub: getattr(stub, name)()) == result


@pytest.mark.parametrize(
    "name", ["field", "arrow", "ctx", "env", "static", "of_class", "unknown", "toFixed"]
)
def test_everything_else_is_not_implemented(answer, name):
    with pytest.raises(JsTypeError) as caught:
        answer(lambda stub: getattr(stub, name)())

    assert caught.value.message == f'The RPC receiver does not implement the method "{name}".'
    assert caught.value.remote


@pytest.mark.parametrize(
    "name", ["alarm", "webSocketMessage", "webSocketClose", "webSocketError", "dup"]
)
def test_handlers_are_reserved(answer, name):
    with pytest.raises(JsTypeError) as caught:
        answer(lambda stub: getattr(stub, name)())

    assert caught.value.message == (
        f"'{name}' is a reserved method and cannot be called over RPC."
    )
    assert caught.value.remote


def test_a_property_can_be_awaited_and_gone_into(answer):
    assert answer(lambda stub: stub.value) == 99
    assert answer(lambda stub: stub.nested.a.b) == 1
    assert answer(lambda stub: stub.nested.f()) == "ff"


@pytest.mark.parametrize(
    ("call", "path"),
    [(lambda stub: stub.value(), "value"), (lambda stub: stub.nested.a(), "nested.a")],
)
def test_a_property_that_is_no_function_cannot_be_called(answer, call, path):
    with pytest.raises(JsTypeError, match=re.escape(f'"{path}" is not a function.')):
        answer(call)


def test_a_property_path_has_at_most_64_steps(answer):
    def deep(stub: Any) -> Any:
        for _ in range(65):
            stub = stub.a
        return stub

    with pytest.raises(JsTypeError) as caught:
        answer(deep)

    assert caught.value.message == "RPC pipelined property path is too deep (max 64)."


def test_the_local_runtime_has_no_such_limit(answer):
    async def look(stub: Any) -> Any:
        for _ in range(70):
            stub = stub.a
        with pytest.raises(JsTypeError) as caught:
            await stub
        return caught.value.message

    assert answer(look, limits="workerd") == (
        'The RPC receiver does not implement the method "a".'
    )


def test_nobody_may_call_the_class_of_a_stub(answer):
    async def look(stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            stub.constructor()
        return caught.value.message, stub.constructor.name

    assert answer(look) == ("Illegal constructor", "DurableObject")


def test_a_stub_itself_can_be_awaited_by_nobody_and_has_id_and_name(answer):
    async def look(stub: Any) -> Any:
        return hasattr(stub, "then"), stub.name, str(stub.id), str(await stub.same_id())

    has_then, name, hex_id, inside = answer(look)

    assert (has_then, name) == (False, "a")
    assert inside == f"{hex_id} a"


def test_a_class_that_does_not_extend_durable_object_has_no_rpc(with_jobs):
    class Plain:
        def __init__(self, ctx: Any, env: Any) -> None: ...

        async def fetch(self, request: Any) -> None: ...

        def sync(self) -> int:
            return 1

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await stub.sync()
        return caught.value.message, caught.value.remote

    message, remote = with_jobs(Plain, scenario)

    assert message.startswith("The receiving Durable Object does not support RPC, because ")
    assert message.endswith('be imported from the module "cloudflare:workers".')
    assert remote


def test_arguments_keep_undefined_and_their_names(answer):
    assert answer(lambda stub: stub.count(undefined, 1, undefined)) == (
        [3, [undefined, 1, undefined]]
    )
    assert answer(lambda stub: stub.named(1, two=2)) == [1, 2]


@pytest.mark.parametrize(
    "value",
    [None, undefined, True, 0, 2**53, 1.5, float("inf"), "text", b"bytes", [1, [2]],
     {"a": {"b": None}}, {1, 2}, datetime(2026, 1, 2, tzinfo=UTC)],
    ids=repr,
)  # fmt: skip
def test_values_cross_and_come_back(answer, value):
    assert answer(lambda stub: stub.same(value)) == value


def test_a_cycle_crosses(answer):
    value: dict[str, Any] = {}
    value["me"] = value

    result = answer(lambda stub: stub.same(value))

    assert result["me"] is result


def test_both_sides_share_nothing(answer):
    async def look(stub: Any) -> Any:
        given = {"list": [1]}
        call = stub.keep(given)
        given["list"].append(2)  # The message was made at the call.
        await call
        first = await stub.read()
        first["list"].append(3)
        return await stub.read()

    assert answer(look) == {"list": [1]}


class Thing:
    pass


async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, 2), "<class 'tuple'> cannot be sent over RPC."),
        ([{"deep": (1,)}], "<class 'tuple'> cannot be sent over RPC."),
        (bytearray(b"x"), "<class 'bytearray'> cannot be sent over RPC."),
        (nothing, "Awaitable <class 'coroutine'> cannot be sent over RPC."),
    ],
    ids=["tuple", "inside", "bytearray", "coroutine"],
)
def test_cloudflares_package_refuses_some_types_at_the_call(answer, value, text):
    async def look(stub: Any) -> Any:
        given = value() if callable(value) else value
        with pytest.raises(TypeError) as caught:
            stub.keep(given)  # Not even awaited.
        if callable(value):
            given.close()
        return str(caught.value), await stub.lines()

    assert answer(look) == (text, [])


def test_a_result_of_such_a_type_is_a_remote_type_error(answer):
    async def look(stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await stub.make("tuple")
        return caught.value.message, caught.value.remote

    assert answer(look) == ("<class 'tuple'> cannot be sent over RPC.", True)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda stub: stub, 'of type "DurableObject"'),
        (lambda stub: stub.lines, 'of type "RpcProperty"'),
        (lambda stub: stub.lines(), 'of type "RpcPromise"'),
        (lambda stub: stub.id, 'of type "DurableObjectId"'),
        (lambda stub: Blob([b"x"]), 'of type "Blob"'),
    ],
    ids=["stub", "property", "promise", "id", "blob"],
)
def test_what_the_platform_itself_cannot_send_is_named(answer, make, text):
    async def look(stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.keep(make(stub))
        return caught.value.name, caught.value.message

    assert answer(look) == (
        "DataCloneError",
        f"Could not serialize object {text}. This type does not support serialization.",
    )


@pytest.mark.parametrize("value", [Thing(), object()], ids=["instance", "object"])
def test_an_argument_that_cannot_be_cloned_is_refused_before_the_call(answer, value):
    async def look(stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.keep(value)
        error = caught.value
        return error.name, error.remote, await stub.lines()

    assert answer(look) == ("DataCloneError", False, [])


def test_a_result_that_cannot_be_cloned_is_remote_and_its_effects_stand(answer):
    async def look(stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.make("instance")
        error = caught.value
        return error.name, error.remote, await stub.lines()

    assert answer(look) == ("DataCloneError", True, ["made"])


def test_a_message_has_at_most_32_mebibytes(answer):
    async def look(stub: Any) -> Any:
        found = []
        for call in (stub.keep(b"x" * 33 * 2**20), stub.make("large")):
            with pytest.raises(JsException) as caught:
                await call
            found.append((caught.value.message, caught.value.remote))
        return found

    text = (
        "Serialized RPC arguments or return values are limited to 32MiB, but the size of this "
        "value was: {} bytes."
    )
    # Measured on workerd: a Uint8Array of 33 MiB as the argument, and as the result.
    assert answer(look) == [(text.format(34603028), False), (text.format(34603023), True)]


def test_a_call_is_sent_though_nobody_awaits_it(answer):
    async def look(stub: Any) -> Any:
        stub.order(1)
        stub.order(2)
        return await stub.lines()

    assert answer(look) == [1, 2]


# -- order ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["one stub", "many stubs", "large arguments"])
def test_calls_are_delivered_in_call_order_under_any_schedule(with_jobs, kind):
    async def scenario(mf: Any, stub: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")
        calls = []
        for number in range(50):
            target = namespace.getByName("a") if kind == "many stubs" else stub
            large = kind == "large arguments" and number % 3 == 0
            calls.append(target.order(number, b"x" * 200_000 if large else None))
        await asyncio.gather(*calls)
        return await stub.lines()

    for seed in range(5):
        assert with_jobs(Job, scenario, seed=seed, schedule=random_schedule()) == list(
            range(50)
        )


class Relay(DurableObject):
    """It passes words on to one of its kind, which keeps them."""

    async def relay(self, *words: str) -> None:
        await asyncio.gather(*(self.env.JOBS.getByName("log").note(word) for word in words))

    async def note(self, word: str) -> None:
        self.words = [*getattr(self, "words", []), word]

    async def kept(self) -> list[str]:
        return self.words


def test_a_late_call_of_one_event_holds_back_its_own_calls_and_no_others():
    async def main() -> list[str]:
        late = faults.latency(50, op="rpc", key="note", nth=1)
        async with emulator.Miniflare(
            worker=Relay, durable_objects={"JOBS": "Relay"}, faults=[late]
        ) as mf:
            namespace = mf.get_durable_object_namespace("JOBS")
            first = namespace.getByName("a").relay("one", "two")
            await mf.advance(10)
            await namespace.getByName("b").relay("three")
            await first
            words: list[str] = await namespace.getByName("log").kept()
            return words

    # The stub's order of calls is one event's (Cloudflare docs, E-order).
    assert emulator.run(main) == ["three", "one", "two"]


def test_fetch_and_rpc_are_each_in_order_by_themselves(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        calls = [stub.order(n) if n % 2 else stub.fetch(f"http://x/{n}") for n in range(20)]
        await asyncio.gather(*calls)
        return await stub.lines()

    orders = [
        with_jobs(Job, scenario, seed=seed, schedule=random_schedule()) for seed in range(5)
    ]

    for lines in orders:
        assert [n for n in lines if isinstance(n, int)] == list(range(1, 20, 2))
        assert [n for n in lines if isinstance(n, str)] == [
            f"http://x/{n}" for n in range(0, 20, 2)
        ]
    assert len({str(lines) for lines in orders}) > 1


def test_two_objects_are_not_ordered_with_each_other(with_jobs):
    shared: list[str] = []

    class Two(DurableObject):
        def hello(self) -> None:
            shared.append(self.ctx.id.name)

    async def scenario(mf: Any, stub: Any) -> Any:
        shared.clear()
        other = mf.get_durable_object_namespace("JOBS").getByName("b")
        await asyncio.gather(stub.hello(), other.hello())
        return tuple(shared)

    orders = {
        with_jobs(Two, scenario, seed=seed, schedule=random_schedule()) for seed in range(20)
    }

    assert orders == {("a", "b"), ("b", "a")}


# -- ids, names, namespaces ----------------------------------------------------------------


def test_a_stub_sends_nothing_and_starts_nothing(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await mf.advance(1_000)
        return len(mf.trace.of_kind("start"))

    assert with_jobs(Job, scenario) == 0


@pytest.mark.parametrize(
    ("name", "told"), [("foo", "foo"), ("é" * 512, "é" * 512), ("x" * 1025, None)]
)
def test_an_object_is_told_a_name_of_at_most_1024_bytes(with_jobs, name, told):
    async def scenario(mf: Any, stub: Any) -> Any:
        stub = mf.get_durable_object_namespace("JOBS").getByName(name)
        return stub.name == name, (await stub.same_id()).split(" ")[1]

    assert with_jobs(Job, scenario) == (True, str(told))


def test_an_object_reached_by_its_digits_is_told_no_name(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")
        digits = str(namespace.idFromName("a"))
        return await namespace.get(namespace.idFromString(digits)).same_id()

    assert with_jobs(Job, scenario).endswith(" None")


def test_what_is_no_id_is_refused_and_an_id_of_another_namespace_is_not(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")
        for wrong in ("a" * 64, None):
            with pytest.raises(JsTypeError) as caught:
                namespace.get(wrong)
        async with emulator.Miniflare(
            name="other", worker=Job, durable_objects={"JOBS": "Job"}
        ) as other:
            foreign = other.get_durable_object_namespace("JOBS").idFromName("a")
        with pytest.raises(JsTypeError, match="not valid for this namespace"):
            namespace.idFromString(str(foreign))
        with pytest.warns(UserWarning, match="was made by another namespace"):
            reached = await namespace.get(foreign).same_id()
        return caught.value.message, reached.split(" ")[0] == str(foreign)

    assert with_jobs(Job, scenario) == (
        "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type "
        "'DurableObjectId'.",
        True,
    )


def test_options_of_get_and_jurisdictions_are_as_in_workerd(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")
        namespace.getByName("a", locationHint="weur")
        namespace.getByName("a", routingMode="primary-only")
        with pytest.raises(JsException, match="RangeError: unknown routingMode: x"):
            namespace.getByName("a", routingMode="x")
        refused = "Jurisdiction restrictions are not implemented in workerd."
        with pytest.raises(JsException, match=refused):
            namespace.jurisdiction("eu")
        with pytest.raises(JsException, match=refused):
            namespace.newUniqueId(jurisdiction="eu")
        return namespace.jurisdiction(None).idFromName("a") == namespace.idFromName("a")

    assert with_jobs(Job, scenario, limits="workerd")


def test_a_stub_of_a_disposed_world_is_refused():
    async def main() -> str:
        async with emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            await stub.sync()
        with pytest.raises(WorldError) as caught:
            await stub.sync()
        return str(caught.value)

    assert "has been disposed" in emulator.run(main)
