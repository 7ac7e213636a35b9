"""Laws of functions and RpcTargets that cross a stub (each measured on workerd)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator import faults, schedules
from emulator.durable_objects.rpc_stub import RpcStub
from emulator.durable_objects.rpc_target import RpcTarget
from emulator.errors import JsException, JsRangeError, JsTypeError
from emulator.sdk.workers import (
    DurableObject,
    Response,
    WorkerEntrypoint,
    import_from_javascript,
)
from emulator.testing import (
    crash_durable_object,
    evict_durable_object,
    run_in_durable_object,
)

DISPOSED = "RPC stub used after being disposed."
NOT_RUNNING = "The execution context which hosts this callback is no longer running."
NOT_THERE = 'The RPC receiver does not implement the method "{}".'


class Counter(RpcTarget):
    def __init__(self, name: str = "counter", log: list[str] | None = None) -> None:
        self.count = 0
        self.name = name
        self.log = [] if log is None else log

    def inc(self) -> int:
        self.count += 1
        return self.count

    @property
    def value(self) -> int:
        return 42

    @property
    def nested(self) -> Any:
        return {"a": {"b": 7}, "f": lambda: "f"}

    def fetch(self) -> str:
        return "fetched"

    def alarm(self) -> str:
        return "alarm"

    def boom(self) -> None:
        raise JsRangeError("boom")

    def child(self) -> Counter:
        return Counter("child", self.log)

    async def slow(self) -> str:
        await asyncio.sleep(30)
        return "slow"

    @staticmethod
    def static() -> int:
        return 1

    def __dispose__(self) -> None:
        self.log.append(f"{self.name} disposed")


class Job(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.log: list[str] = []
        self.kept: Any = None
        self.count = 0

    def inc(self) -> int:
        self.count += 1
        return self.count

    def counter(self, name: str = "counter") -> Counter:
        return Counter(name, self.log)

    def double(self) -> Any:
        return lambda value: value * 2

    def many(self) -> Any:
        inner = self.counter("inner")
        return {"a": {"b": 1}, "f": lambda: "ff", "t": inner, "list": [1], "n": None}

    @property
    def held(self) -> Counter:
        return self.counter("held")

    def nothing(self) -> None:
        return None

    def five(self) -> int:
        return 5

    def fail(self) -> None:
        raise JsTypeError("fail")

    async def fail_later(self) -> None:
        await asyncio.sleep(0.01)
        raise JsTypeError("later")

    async def call(self, function: Any, *args: Any) -> Any:
        return await function(*args)

    async def caught(self, function: Any) -> Any:
        try:
            await function()
        except JsException as error:
            return [error.name, error.message, error.remote]

    def kind(self, value: Any) -> str:
        return type(value).__name__

    def keep(self, function: Any) -> None:
        self.kept = function

    def keep_dup(self, function: Any) -> None:
        self.kept = function.dup()

    def give_kept(self) -> Any:
        return self.kept

    async def use(self, *args: Any) -> Any:
        return await self.kept(*args)

    async def use_inc(self) -> Any:
        return await self.kept.inc()

    def drop(self) -> None:
        self.kept.__dispose__()

    def echo(self, value: Any) -> Any:
        return value

    def twice(self, value: Any) -> Any:
        return [value, value]

    async def relay(self, function: Any) -> Any:
        other = self.env.JOBS.getByName("b")
        return [await other.call(function, 4), await function(5)]

    async def in_section(self) -> Any:
        other = self.env.JOBS.getByName("b")

        async def section() -> Any:
            return await other.call(lambda value: value + 1, 1)

        return await self.ctx.blockConcurrencyWhile(section)

    def lines(self) -> list[str]:
        return self.log

    def abort(self) -> None:
        self.ctx.abort("bye")


@pytest.fixture
def answer(with_jobs: Any) -> Any:
    """Gives `answer(function)`: what `await function(stub)` gives."""

    def run(function: Any, **options: Any) -> Any:
        async def scenario(_: Any, stub: Any) -> Any:
            return await function(stub)

        return with_jobs(Job, scenario, **options)

    return run


async def told(call: Any) -> tuple[str, str, bool]:
    """What the error of a call says."""
    with pytest.raises(JsException) as caught:
        await call
    return caught.value.name, caught.value.message, caught.value.remote


# -- results -------------------------------------------------------------------------------


def test_an_object_of_a_class_that_extends_rpc_target_is_called_where_it_lives(answer):
    async def look(stub: Any) -> Any:
        counter = await stub.counter()
        return [
            type(counter).__name__, await counter.inc(), await counter.inc(),
            await counter.value, await counter.nested.a.b, await counter.nested.f(),
            await (await counter.child()).inc(),
        ]  # fmt: skip

    assert answer(look) == ["RpcStub", 1, 2, 42, 7, "f", 1]


@pytest.mark.parametrize("name", ["count", "name", "log", "static", "nope", "finally_"])
def test_only_what_the_class_of_a_target_defines_can_be_reached(answer, name):
    async def look(stub: Any) -> Any:
        return await told(getattr(await stub.counter(), name)())

    assert answer(look) == ("TypeError", NOT_THERE.format(name), True)


def test_a_target_reserves_no_names_and_is_no_function(answer):
    async def look(stub: Any) -> Any:
        counter = await stub.counter()
        return [await counter.fetch(), await counter.alarm(), await told(counter())]

    assert answer(look) == [
        "fetched", "alarm", ("TypeError", '"(this)" is not a function.', True),
    ]  # fmt: skip


def test_a_function_arrives_as_a_stub_that_can_be_called(answer):
    async def look(stub: Any) -> Any:
        double = await stub.double()
        method = await stub.inc
        return [
            await double(4), await told(double.foo), await told(double.call(1)),
            await method(), await method(),
        ]  # fmt: skip

    assert answer(look) == [
        8, ("TypeError", NOT_THERE.format("foo"), True),
        ("TypeError", NOT_THERE.format("call"), True), 1, 2,
    ]  # fmt: skip


def test_one_thing_in_a_message_is_one_stub(answer):
    async def look(stub: Any) -> Any:
        one, other = await stub.twice(lambda value: value)
        return [one is other, await one(1)]

    assert answer(look) == [True, 1]


def test_an_error_of_a_target_is_remote(answer):
    assert answer(lambda stub: told(stub.counter().boom())) == ("RangeError", "boom", True)


# -- pipelining ----------------------------------------------------------------------------


def test_an_answer_can_be_used_before_it_is_there(answer):
    async def look(stub: Any) -> Any:
        return [
            await stub.counter().inc(), await stub.counter().nested.a.b, await stub.many().a.b,
            await stub.many().f(), await stub.many().t.inc(), await stub.double()(21),
            await stub.counter().child().inc(), await stub.held.inc(),
        ]  # fmt: skip

    assert answer(look) == [1, 7, 1, "ff", 1, 42, 1, 1]


def test_a_pipelined_call_takes_one_journey(answer):
    async def scenario(stub: Any) -> Any:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await stub.counter().child().inc()
        return round((loop.time() - begun) * 1000)

    assert answer(scenario) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda stub: stub.many().nope, NOT_THERE.format("nope")),
        (lambda stub: stub.many().nope.x, NOT_THERE.format("nope")),
        (lambda stub: stub.many().n.x, NOT_THERE.format("n")),
        (lambda stub: stub.many().list.length, NOT_THERE.format("list")),
        (lambda stub: stub.many().a(), '"a" is not a function.'),
        (lambda stub: stub.many().f.g(), NOT_THERE.format("g")),
        (lambda stub: stub.nothing().x, NOT_THERE.format("x")),
        (lambda stub: stub.five().x, NOT_THERE.format("x")),
        (lambda stub: stub.five()(), '"(this)" is not a function.'),
        (lambda stub: stub.fail().x, "fail"),
        (lambda stub: stub.fail().x.y(), "fail"),
        (lambda stub: stub.fail_later().x.y(), "later"),
        (lambda stub: stub.inc.foo, NOT_THERE.format("foo")),
        (lambda stub: stub.nope.x, NOT_THERE.format("nope")),
    ],
)
def test_what_cannot_be_used_says_why(answer, call, message):
    async def look(stub: Any) -> Any:
        return await told(_awaited(call(stub)))

    async def _awaited(value: Any) -> Any:
        return await value

    assert answer(look) == ("TypeError", message, True)


def test_calls_are_sent_though_nobody_awaits_them_and_keep_their_order(answer):
    async def look(stub: Any) -> Any:
        counter = stub.counter()
        counter.inc()
        counter.inc()
        return await counter.inc()

    assert answer(look) == 3


def test_what_an_asyncio_function_takes_takes_the_answer(answer):
    async def look(stub: Any) -> Any:
        both = await asyncio.gather(stub.inc(), stub.counter().inc())
        return [both, await asyncio.wait_for(stub.inc(), 1), stub.inc().done()]

    assert answer(look) == [[1, 1], 2, False]


# -- arguments -----------------------------------------------------------------------------


def test_a_function_may_be_an_argument(answer):
    async def plus_two(value: int) -> int:
        return value + 2

    class Local:
        def method(self, value: int) -> int:
            return value + 3

    async def look(stub: Any) -> Any:
        return [
            await stub.call(lambda value: value + 1, 5), await stub.call(plus_two, 5),
            await stub.call(Local().method, 5), await stub.kind(plus_two),
            await stub.kind(Counter()), await stub.kind({"t": Counter()}),
            await stub.call(lambda function: function(1), lambda value: value + 10),
        ]  # fmt: skip

    assert answer(look) == [6, 7, 8, "RpcStub", "RpcStub", "JsDict", 11]


def test_an_error_of_a_callback_reaches_the_callee_and_by_it_the_caller(answer):
    def fail() -> None:
        raise JsRangeError("cb")

    async def look(stub: Any) -> Any:
        return [await stub.caught(fail), await told(stub.call(fail))]

    assert answer(look) == [["RangeError", "cb", True], ("RangeError", "cb", True)]


def test_an_argument_is_disposed_when_the_method_has_returned_unless_it_was_duplicated(answer):
    log: list[str] = []

    async def look(stub: Any) -> Any:
        await stub.keep(Counter("kept", log))
        await asyncio.sleep(0)
        found = [list(log), await told(stub.use_inc())]
        await stub.keep_dup(Counter("dup", log))
        found += [await stub.use_inc(), log[1:]]
        await stub.drop()
        await asyncio.sleep(0.001)
        return [*found, log[1:]]

    assert answer(look) == [
        ["kept disposed"], ("Error", DISPOSED, True), 1, [], ["dup disposed"],
    ]  # fmt: skip


def test_what_is_returned_is_the_callers(answer):
    log: list[str] = []

    async def look(stub: Any) -> Any:
        mine = Counter("mine", log)
        echoed = await stub.echo(mine)
        found = [await echoed.inc(), mine.count, list(log)]
        echoed.__dispose__()
        await asyncio.sleep(0.001)
        await stub.keep_dup(lambda value: value)
        given = await stub.give_kept()
        return [*found, list(log), await given(1), await told(stub.use(1))]

    assert answer(look) == [1, 1, [], ["mine disposed"], 1, ("Error", DISPOSED, True)]


@pytest.mark.parametrize(("date", "is_kept"), [("2026-01-19", False), ("2026-01-20", True)])
def test_a_stub_among_the_arguments_stays_the_callers_since_2026_01_20(answer, date, is_kept):
    async def look(stub: Any) -> Any:
        double = await stub.double()
        assert await stub.call(double, 8) == 16
        try:
            relayed = await stub.relay(lambda value: value * 3)
        except JsException as error:
            relayed = error.message
        try:
            return [await double(9), relayed]
        except JsException as error:
            return [error.message, relayed]

    assert answer(look, compatibility_date=date) == (
        [18, [12, 15]] if is_kept else [DISPOSED, DISPOSED]
    )


def test_a_target_with_a_dup_of_its_own_says_what_is_sent(answer):
    class Good(Counter):
        def dup(self) -> Counter:
            return Counter("copy")

    class Bad(Counter):
        def dup(self) -> int:
            return 1

    async def look(stub: Any) -> Any:
        good = Good()
        return [await (await stub.echo(good)).inc(), good.count, await told(stub.echo(Bad()))]

    bad = (
        "Couldn't create a stub for the RcpTarget because it has a dup() method which did not "
    )
    count, own, error = answer(look)
    assert (count, own, error[0], error[1][: len(bad)]) == (1, 0, "DataCloneError", bad)


def test_storage_keeps_nothing_of_the_kind(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        async def inside(_: Any, state: Any) -> Any:
            values = [RpcStub(abs), Counter(), stub, stub.inc, stub.inc()]
            return [await told(state.storage.put("a", value)) for value in values]

        return await run_in_durable_object(stub, inside)

    other = 'Could not serialize object of type "DurableObject". This type does not support '
    assert [message for _, message, _ in with_jobs(Job, scenario)] == [
        "#<RpcStub> could not be cloned.",
        "Remote RPC references can only be serialized for RPC.",
        f"{other}serialization.",
        "#<RpcProperty> could not be cloned.",
        "#<RpcPromise> could not be cloned.",
    ]


def test_a_callback_enters_the_critical_section_that_has_sent_it(answer):
    assert answer(lambda stub: stub.in_section()) == 2


# -- disposal ------------------------------------------------------------------------------


def test_a_stub_that_was_disposed_is_refused_and_its_duplicate_is_not(answer):
    async def look(stub: Any) -> Any:
        first = await stub.counter("q")
        second = first.dup()
        first.__dispose__()
        first.__dispose__()
        found = [await stub.lines(), await told(first.inc()), await told(first.value)]
        found += [await told(first.dup().inc()), await second.inc()]
        second.__dispose__()
        return [*found, await stub.lines()]

    refused = ("Error", DISPOSED, False)
    assert answer(look) == [[], refused, refused, refused, 1, ["q disposed"]]


def test_with_disposes_at_the_end_of_the_block(answer):
    async def look(stub: Any) -> Any:
        with await stub.counter("w") as counter:
            await counter.inc()
            inside = await stub.lines()
        return [inside, await stub.lines()]

    assert answer(look) == [[], ["w disposed"]]


def test_a_promise_that_was_disposed_is_refused_and_calls_made_before_are_not(answer):
    async def look(stub: Any) -> Any:
        promise = stub.counter("p")
        call = promise.inc()
        promise.__dispose__()
        found = [await call, await told(promise.inc())]
        return [*found, await stub.lines()]

    assert answer(look) == [
        1, ("Error", "RPC promise used after being disposed.", False), ["p disposed"],
    ]  # fmt: skip


def test_a_promise_disposes_of_everything_that_its_answer_holds(answer):
    async def look(stub: Any) -> Any:
        with stub.many() as promise:
            found = await promise
        return [await told(found.t.inc()), await told(found.f()), await stub.lines()]

    refused = ("Error", DISPOSED, False)
    assert answer(look) == [refused, refused, ["inner disposed"]]


def test_a_stub_keeps_the_object_in_memory_and_nothing_else_does(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.inc()
        counter = await stub.counter()
        await mf.advance(30_000)
        kept = await stub.inc()
        counter.__dispose__()
        await mf.advance(30_000)
        return [kept, await stub.inc()]

    assert with_jobs(Job, scenario) == [2, 1]


def test_a_call_of_what_lived_in_a_reset_object_is_refused(answer):
    async def look(stub: Any) -> Any:
        counter = await stub.counter()
        slow = counter.slow()
        with pytest.raises(JsException, match="bye"):
            await stub.abort()
        with pytest.raises(JsException) as caught:
            await slow
        error = caught.value
        return [
            (error.message, error.remote, error.durableObjectReset),
            await told(counter.inc()), await told(stub.inc()), await told(stub.fetch("http://x")),
        ]  # fmt: skip

    assert answer(look) == [
        ("bye", True, True), ("Error", NOT_RUNNING, False), ("Error", "bye", False),
        ("Error", "bye", False),
    ]  # fmt: skip


def test_a_stub_of_the_running_code_itself_calls_it_as_others_would(answer):
    async def look(stub: Any) -> Any:
        counter = RpcStub(Counter())
        return [await counter.inc(), await stub.kind(counter), await counter.inc()]

    assert answer(look) == [1, "RpcStub", 2]


def test_only_functions_and_objects_get_a_stub(answer):
    async def look(_: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            RpcStub(5)
        return caught.value.message

    assert answer(look) == (
        "Failed to construct 'JsRpcStub': constructor parameter 1 is not of type 'JsObject'."
    )


# -- events of a worker --------------------------------------------------------------------

LEFT: dict[str, Any] = {}


class Worker(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        stub = self.env.JOBS.getByName("a")
        path = request.url.rpartition("/")[2]
        if path == "leave":
            LEFT["counter"] = await stub.counter("left")
            await stub.keep_dup(lambda value: value)
            return Response("left")
        if path == "stream":
            counter = await stub.counter("streamed")

            async def chunks() -> Any:
                for _ in range(2):
                    yield str(await counter.inc()).encode()

            from emulator.web.streams import ReadableStream

            iterator = chunks()

            async def pull() -> bytes | None:
                return await anext(iterator, None)

            return Response(ReadableStream.from_source(pull))
        return Response.json(await told_as_list(LEFT["counter"].inc()))


async def told_as_list(call: Any) -> list[Any]:
    return list(await told(call))


@pytest.fixture
def with_worker() -> Any:
    import types

    import emulator

    module = types.ModuleType("module")
    module.Default, module.Job = Worker, Job  # type: ignore[attr-defined]

    def run(scenario: Any) -> Any:
        async def main() -> Any:
            async with emulator.Miniflare(worker=module, durable_objects={"JOBS": "Job"}) as mf:
                namespace = mf.get_durable_object_namespace("JOBS")
                return await scenario(mf, namespace.getByName("a"))

        return emulator.run(main)

    return run


def test_what_a_request_holds_ends_with_it_and_what_it_handed_out_is_not_running(with_worker):
    async def scenario(mf: Any, stub: Any) -> Any:
        await mf.dispatch_fetch("http://x/leave")
        lines = await stub.lines()
        foreign = (await mf.dispatch_fetch("http://x/use")).json()
        return [lines, foreign, await told(stub.use(1))]

    lines, foreign, later = with_worker(scenario)

    assert lines == ["left disposed"]
    assert foreign[1].startswith("Cannot perform I/O on behalf of a different request. ")
    assert foreign[1].endswith(" (I/O type: Client)")
    assert later == ("Error", NOT_RUNNING, True)


def test_a_body_that_streams_keeps_the_stubs_of_its_request(with_worker):
    async def scenario(mf: Any, stub: Any) -> Any:
        response = await mf.dispatch_fetch("http://x/stream")
        return [response.text, await stub.lines()]

    assert with_worker(scenario) == ["12", ["streamed disposed"]]


def test_an_eviction_disposes_what_the_object_held(with_jobs):
    log: list[str] = []

    async def scenario(_: Any, stub: Any) -> Any:
        await stub.keep_dup(Counter("held", log))
        before = list(log)
        await evict_durable_object(stub)
        await asyncio.sleep(0.001)
        return [before, log]

    assert with_jobs(Job, scenario) == [[], ["held disposed"]]


# -- when the journey fails ----------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_on_the_way_lets_go_of_the_arguments_and_reaches_what_was_pipelined(
    with_jobs, when
):
    log: list[str] = []

    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.error(op="object.rpc", key="echo", after_effect=when == "after"))
        promise = stub.echo(Counter("lost", log))
        pipelined = promise.inc()
        with pytest.raises(JsException, match="Network connection lost"):
            await promise
        found = await outcome(pipelined)
        del promise, pipelined
        await mf.advance(1)
        return [found, list(log)]

    found, disposed = with_jobs(Job, scenario)

    # The effect stood, so what was pipelined ran where the answer was made.
    assert found == ("Network connection lost." if when == "before" else 1)
    assert disposed == (["lost disposed"] if when == "before" else [])


async def outcome(call: Any) -> Any:
    try:
        return await call
    except JsException as error:
        return error.message


def test_a_power_cut_of_the_callee_lets_go_of_what_it_held(with_jobs):
    log: list[str] = []

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.keep_dup(Counter("kept", log))
        counter = await stub.counter()
        await crash_durable_object(stub)
        await mf.advance(1)
        return [log, await told(counter.inc())]

    assert with_jobs(Job, scenario) == [["kept disposed"], ("Error", NOT_RUNNING, False)]


def test_the_same_seed_gives_the_same_digest(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        counters = [await stub.counter(str(number)) for number in range(3)]
        calls = [counter.inc() for counter in counters for _ in range(3)]
        calls += [stub.call(lambda value: value, number) for number in range(3)]
        await asyncio.gather(*calls)
        for counter in counters:
            counter.__dispose__()
        await mf.run_until_idle()
        return mf.trace.digest()

    def digest(seed: int) -> str:
        return with_jobs(Job, scenario, seed=seed, schedule=schedules.random())

    assert digest(1) == digest(1)


def test_python_workers_get_the_classes_from_the_javascript_side():
    module = import_from_javascript("cloudflare:workers")

    assert (module.RpcTarget, module.RpcStub) == (RpcTarget, RpcStub)
