"""The laws of the verbs for Durable Objects."""

from __future__ import annotations

import asyncio

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

from emulator import faults
from emulator.errors import JsException, WorldError
from emulator.testing import (
    abort_all_durable_objects,
    crash_durable_object,
    evict_all_durable_objects,
    evict_durable_object,
    fork,
    list_alarms,
    list_durable_object_ids,
    reset,
    restore,
    run_durable_object_alarm,
    run_in_durable_object,
    snapshot,
)


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.memory = 0

    async def add(self):
        self.memory += 1
        count = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", count)
        return [self.memory, count]

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)
        return "slept"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("")


pytestmark = pytest.mark.miniflare(worker=Default, durable_objects={"COUNTERS": "Counter"})


@pytest.fixture
def counters(miniflare):
    return miniflare.get_durable_object_namespace("COUNTERS")


@pytest.fixture
def stub(counters):
    return counters.getByName("a")


# -- run_in_durable_object -------------------------------------------------------------------


async def test_a_function_runs_inside_with_the_instance_and_its_state(stub):
    async def read(instance, state):
        return instance.memory, await state.storage.get("count")

    assert await run_in_durable_object(stub, read) == (0, None)
    await stub.add()
    assert await run_in_durable_object(stub, read) == (1, 1)


async def test_a_plain_function_may_change_the_instance(stub):
    def seed(instance, state):
        instance.memory = 40
        state.storage.put("count", 1)

    await run_in_durable_object(stub, seed)

    assert await stub.add() == [41, 2]


async def test_what_a_function_returns_is_the_thing_itself(stub):
    instance = await run_in_durable_object(stub, lambda instance, state: instance)
    assert type(instance) is Counter


async def test_what_a_function_raises_comes_out_as_it_was(stub):
    error = AssertionError("inside")

    def fail(instance, state):
        raise error

    with pytest.raises(AssertionError) as caught:
        await run_in_durable_object(stub, fail)
    assert caught.value is error
    with pytest.raises(pytest.fail.Exception, match="said so"):
        await run_in_durable_object(stub, lambda instance, state: pytest.fail("said so"))


async def test_a_function_may_abort_the_object(counters, stub):
    await stub.add()
    with pytest.raises(JsException, match="as the test said"):
        await run_in_durable_object(stub, lambda _, state: state.abort("as the test said"))
    assert await counters.getByName("a").add() == [1, 2]


# -- list_durable_object_ids -----------------------------------------------------------------


async def test_ids_are_listed_of_objects_that_have_been_started(counters):
    first, second = counters.newUniqueId(), counters.idFromName("b")
    counters.get(counters.newUniqueId())  # A stub starts nothing.
    await counters.get(first).add()
    await counters.get(second).add()
    await evict_durable_object(counters.get(first))

    ids = await list_durable_object_ids(counters)

    assert [str(found) for found in ids] == [str(first), str(second)]
    assert ids[1].name is None


# -- the ends of an instance -----------------------------------------------------------------


async def test_an_eviction_keeps_what_was_written_and_loses_the_memory(stub):
    await stub.add()
    await evict_durable_object(stub)
    assert await stub.add() == [1, 2]


async def test_an_eviction_waits_for_the_requests_under_way(miniflare, stub):
    sleeping = stub.sleep(3)
    await miniflare.advance(10)
    await evict_durable_object(stub)
    assert await sleeping == "slept"


async def test_an_eviction_gives_up_on_an_object_that_stays_busy(miniflare, stub):
    sleeping = stub.sleep(60)
    await miniflare.advance(10)
    with pytest.raises(
        JsException, match="Timed out waiting to evict Durable Object: it still"
    ):
        await evict_durable_object(stub)
    assert await sleeping == "slept"


async def test_an_object_that_does_not_run_cannot_be_evicted(stub):
    with pytest.raises(JsException, match="it is not currently running"):
        await evict_durable_object(stub)


@pytest.mark.miniflare(
    durable_objects={"COUNTERS": {"className": "Counter", "unsafePreventEviction": True}}
)
async def test_a_namespace_can_prevent_eviction(stub):
    await stub.add()
    with pytest.raises(JsException, match="its namespace has preventEviction set"):
        await evict_durable_object(stub)


async def test_a_crash_loses_the_memory_and_disconnects_who_waits(counters, stub, miniflare):
    await stub.add()
    sleeping = stub.sleep(60)
    await miniflare.advance(10)

    await crash_durable_object(stub)

    with pytest.raises(JsException, match="Network connection lost"):
        await sleeping
    assert await counters.getByName("a").add() == [1, 2]


@pytest.mark.miniflare(faults=[faults.latency(1000, operation="storage.flush", nth=2)])
async def test_a_crash_loses_writes_that_are_not_durable(miniflare, counters, stub):
    await stub.add()
    adding = stub.add()
    await miniflare.advance(500)

    await crash_durable_object(stub)

    with pytest.raises(JsException, match="Network connection lost"):
        await adding
    assert await counters.getByName("a").add() == [1, 2]


async def test_an_object_that_does_not_run_cannot_crash(stub):
    with pytest.raises(WorldError, match="is not running, so it has no power to lose"):
        await crash_durable_object(stub)


async def test_all_objects_are_aborted_and_keep_what_is_durable(miniflare, counters, stub):
    await stub.add()
    sleeping = counters.getByName("b").sleep(60)
    await miniflare.advance(10)

    await abort_all_durable_objects(miniflare)

    with pytest.raises(JsException, match=r"Application called abortAllDurableObjects\(\)"):
        await sleeping
    assert await counters.getByName("a").add() == [1, 2]


async def test_all_idle_objects_are_evicted_and_keep_what_is_durable(miniflare, counters, stub):
    await stub.add()
    await counters.getByName("b").add()
    counters.getByName("never started")

    await evict_all_durable_objects(miniflare)

    assert len(miniflare.trace.of_kind("evict")) == 2
    assert await stub.add() == [1, 2]


async def test_an_eviction_of_all_waits_for_the_busy_and_gives_up_on_them(
    miniflare, counters, stub
):
    await stub.add()
    sleeping, staying = counters.getByName("b").sleep(3), counters.getByName("c").sleep(60)
    await miniflare.advance(10)

    with pytest.raises(JsException, match="it still has active references"):
        await evict_all_durable_objects(miniflare)

    evicted = miniflare.trace.of_kind("evict")
    assert [event.time_ms - miniflare.clock.start_ms >= 3000 for event in evicted] == [
        False,
        True,
    ]
    assert await sleeping == "slept"
    assert await staying == "slept"


@pytest.mark.miniflare(
    durable_objects={
        "COUNTERS": "Counter",
        "KEPT": {"className": "Counter", "unsafePreventEviction": True},
    }
)
async def test_an_eviction_of_all_respects_namespaces_that_prevent_it(miniflare, stub):
    kept = miniflare.get_durable_object_namespace("KEPT").getByName("a")
    await stub.add()
    await kept.add()

    await evict_all_durable_objects(miniflare)

    assert await stub.add() == [1, 2]
    assert await kept.add() == [2, 2]


# -- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        (run_durable_object_alarm, "DurableObjectStub"),
        (evict_durable_object, "DurableObjectStub"),
        (crash_durable_object, "DurableObjectStub"),
        (list_durable_object_ids, "DurableObjectNamespace"),
        (abort_all_durable_objects, "Miniflare"),
        (evict_all_durable_objects, "Miniflare"),
        (reset, "Miniflare"),
        (list_alarms, "Miniflare"),
        (snapshot, "Miniflare"),
        (fork, "Miniflare"),
    ],
)
@pytest.mark.simulated
async def test_a_wrong_argument_is_refused_in_the_platforms_words(verb, kind):
    text = f"Failed to execute '{verb.__name__}': parameter 1 is not of type '{kind}'."
    with pytest.raises(TypeError) as caught:
        await verb("COUNTERS")
    assert str(caught.value) == text


async def test_what_runs_inside_must_be_a_function(stub):
    with pytest.raises(TypeError, match="parameter 2 is not of type 'function'"):
        await run_in_durable_object(stub, None)


async def test_what_is_restored_must_be_a_snapshot(miniflare):
    with pytest.raises(TypeError) as caught:
        restore(miniflare, {})
    text = "Failed to execute 'restore': parameter 2 is not of type 'WorldSnapshot'."
    assert str(caught.value) == text
    with pytest.raises(TypeError, match="parameter 1 is not of type 'Miniflare'"):
        restore("COUNTERS", snapshot(miniflare))


def test_what_belongs_to_the_real_runtime_is_told_from_a_wrong_argument():
    real = type("Miniflare", (), {"__module__": "emulator.workerd.miniflare"})()
    with pytest.raises(WorldError, match=r"snapshot\(\) reaches into a simulated world"):
        snapshot(real)
