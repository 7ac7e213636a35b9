"""The laws of reset, snapshot, restore and fork."""

from __future__ import annotations

import asyncio

import pytest
from js import FixedLengthStream, console
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException, WorldError
from emulator.testing import (
    crash_durable_object,
    fork,
    list_alarms,
    list_durable_object_ids,
    reset,
    restore,
    run_in_durable_object,
    snapshot,
)


class Store(DurableObject):
    async def put(self, key, value):
        await self.ctx.storage.put(key, value)

    async def put_many(self, count):
        for start in range(0, count, 100):
            await self.ctx.storage.put({f"k{n:05}": n for n in range(start, start + 100)})

    async def get(self, key):
        return await self.ctx.storage.get(key)

    async def count(self):
        return len(await self.ctx.storage.list())

    async def remind(self, time_ms, failures=0):
        await self.ctx.storage.put("failures", failures)
        await self.ctx.storage.setAlarm(time_ms)

    async def get_alarm(self):
        return await self.ctx.storage.getAlarm()

    async def alarm(self, info):
        await asyncio.sleep(1)
        storage = self.ctx.storage
        await storage.put("runs", [*(await storage.get("runs") or []), info.retryCount])
        if len(await storage.get("runs")) <= await storage.get("failures"):
            message = "as the test said"
            raise LookupError(message)

    async def sleep_in_transaction(self):
        async def write(txn):
            await txn.put("k", "in the transaction")
            await asyncio.sleep(5)

        await self.ctx.storage.transaction(write)

    async def sleep(self):
        await asyncio.sleep(60)


class Other(DurableObject):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.env.STATE["count"] += 1
        console.log("asked")
        return Response(str(self.env.STATE["count"]))


OPTIONS = {
    "worker": Default,
    "durable_objects": {"STORES": "Store"},
    "r2_buckets": ["BUCKET"],
    "d1_databases": ["DB"],
    "bindings": {"STATE": {"count": 0}},
}

pytestmark = pytest.mark.miniflare(**OPTIONS)


def stores_of(mf):
    return mf.get_durable_object_namespace("STORES")


def stub_of(mf, name="a"):
    return stores_of(mf).getByName(name)


@pytest.fixture
def stub(miniflare):
    return stub_of(miniflare)


# -- reset -----------------------------------------------------------------------------------


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "schema.sql"
    path.write_text("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
    return path


async def fill(mf):
    """Something in every binding."""
    await stub_of(mf).put("k", "v")
    await stub_of(mf).remind(mf.clock.now_ms + 60_000)
    bucket, database = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
    await bucket.put("k", "v", httpMetadata={"contentType": "text/x"})
    await database.exec("CREATE TABLE u (x)")
    await database.exec("INSERT INTO u VALUES (1)")


@pytest.fixture
async def given(schema):
    options = {**OPTIONS, "d1_databases": {"DB": {}, "GIVEN": {"schema": schema}}}
    async with emulator.Miniflare(**options) as mf:
        yield mf


@pytest.mark.simulated
async def test_a_reset_leaves_the_bindings_as_they_were_at_the_start(given):
    await fill(given)
    bucket = given.get_r2_bucket("BUCKET")
    database, bare = given.get_d1_database("GIVEN"), given.get_d1_database("DB")
    upload = await bucket.createMultipartUpload("m")
    await database.exec("INSERT INTO t VALUES (2)")

    await reset(given)

    assert await list_durable_object_ids(stores_of(given)) == []
    assert await stub_of(given).get("k") is None
    assert list_alarms(given) == []
    assert await bucket.head("k") is None
    with pytest.raises(JsException):
        await upload.uploadPart(1, "v")
    assert await database.prepare("SELECT count(*) FROM t").raw() == [[1]]
    with pytest.raises(JsException, match="no such table: u"):
        await bare.exec("SELECT * FROM u")


async def test_a_reset_ends_the_calls_under_way(miniflare, stub):
    sleeping = stub.sleep()
    await miniflare.advance(10)
    await reset(miniflare)
    with pytest.raises(JsException, match=r"Application called deleteAllDurableObjects\(\)"):
        await sleeping


@pytest.mark.simulated
async def test_a_reset_of_a_fork_applies_the_given_schema_again(given):
    database = given.get_d1_database("GIVEN")
    await database.exec("INSERT INTO t VALUES (2)")
    async with fork(given) as other:
        found = other.get_d1_database("GIVEN")
        assert await found.prepare("SELECT count(*) FROM t").raw() == [[2]]
        await reset(other)
        assert await found.prepare("SELECT count(*) FROM t").raw() == [[1]]
    assert await database.prepare("SELECT count(*) FROM t").raw() == [[2]]


# -- snapshot and restore --------------------------------------------------------------------


async def test_a_restore_puts_every_binding_back(miniflare, stub):
    await fill(miniflare)
    bucket, database = miniflare.get_r2_bucket("BUCKET"), miniflare.get_d1_database("DB")
    assert (await miniflare.dispatch_fetch("http://x/")).text == "1"
    alarms = list_alarms(miniflare)
    taken = snapshot(miniflare)

    await stub.put("k", "other")
    await stub_of(miniflare, "b").put("k", "new")
    await stub.remind(miniflare.clock.now_ms + 1)
    await bucket.put("k", "other")
    await bucket.put("ключ", "new")
    await database.exec("INSERT INTO u VALUES (2)")
    await database.exec("CREATE TABLE w (x)")
    assert (await miniflare.dispatch_fetch("http://x/")).text == "2"
    restore(miniflare, taken)

    assert list_alarms(miniflare) == alarms
    assert await stub_of(miniflare).get("k") == "v"
    assert await stub_of(miniflare, "b").get("k") is None
    found = await bucket.get("k")
    assert (await found.text(), found.httpMetadata.contentType) == ("v", "text/x")
    assert [o.key for o in (await bucket.list()).objects] == ["k"]
    assert await database.prepare("SELECT x FROM u").raw() == [[1]]
    with pytest.raises(JsException, match="no such table: w"):
        await database.exec("SELECT * FROM w")
    assert (await miniflare.dispatch_fetch("http://x/")).text == "2"


async def test_a_snapshot_can_be_restored_many_times(miniflare):
    await fill(miniflare)
    taken = snapshot(miniflare)
    bucket = miniflare.get_r2_bucket("BUCKET")
    for number in range(3):
        await stub_of(miniflare).put("k", number)
        await bucket.put("k", str(number))
        restore(miniflare, taken)
        assert await stub_of(miniflare).get("k") == "v"
        assert await (await bucket.get("k")).text() == "v"


async def test_a_restored_bucket_lists_and_finds_keys_in_either_spelling(miniflare):
    bucket = miniflare.get_r2_bucket("BUCKET")
    await bucket.put("e\u0301", "v")
    taken = snapshot(miniflare)
    restore(miniflare, taken)
    assert (await bucket.head("\xe9")).key == "e\u0301"


async def test_running_objects_are_reset_by_a_restore(miniflare, stub):
    taken = snapshot(miniflare)
    sleeping = stub.sleep()
    await miniflare.advance(10)

    restore(miniflare, taken)

    with pytest.raises(JsException, match=r"Application called restore\(\)"):
        await sleeping
    assert await list_durable_object_ids(stores_of(miniflare)) == []


def test_a_snapshot_fits_another_world_and_another_simulation():
    async def make():
        async with emulator.Miniflare(**OPTIONS) as mf:
            await fill(mf)
            await mf.get_r2_bucket("BUCKET").put("large", "x" * 100_000)
            return snapshot(mf)

    async def use(taken):
        async with emulator.Miniflare(**OPTIONS) as mf:
            restore(mf, taken)
            # The file of the world that is gone still has these bytes.
            large = await (await mf.get_r2_bucket("BUCKET").get("large")).text()
            return await stub_of(mf).get("k"), len(large), len(list_alarms(mf))

    taken = emulator.run(make)
    assert [emulator.run(use, taken) for _ in range(2)] == [("v", 100_000, 1)] * 2


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"durable_objects": {"STORES": "Other"}}, "STORES is class Store .* and class Other"),
        ({"durable_objects": {}}, "STORES is class Store .* there and missing here"),
        ({"name": "named"}, "ids of '-Store'.* there and class Store .ids of 'named-Store'"),
        (
            {"r2_buckets": {"BUCKET": "real"}},
            "BUCKET is bucket 'BUCKET' there and bucket 'real'",
        ),
        ({"d1_databases": ["DB", "MORE"]}, "MORE is missing there and a D1 database here"),
        ({"bindings": {}}, "STATE is a variable there and missing here"),
    ],
)
async def test_a_snapshot_of_other_bindings_is_refused_by_name(changed, words):
    async with emulator.Miniflare(**OPTIONS) as mf:
        taken = snapshot(mf)
    async with emulator.Miniflare(**{**OPTIONS, **changed}) as mf:
        with pytest.raises(ConfigurationError, match="other bindings: .*" + words):
            restore(mf, taken)


async def test_a_refused_restore_changes_nothing(miniflare, stub):
    await stub.put("k", "v")
    async with emulator.Miniflare(worker=Default) as other:
        taken = snapshot(other)
    with pytest.raises(ConfigurationError):
        restore(miniflare, taken)
    assert await stub.get("k") == "v"


async def test_a_disposed_world_can_be_neither_taken_nor_restored(miniflare):
    taken = snapshot(miniflare)
    await miniflare.dispose()
    for verb in (snapshot, fork, lambda mf: restore(mf, taken)):
        with pytest.raises(WorldError, match="has been disposed"):
            verb(miniflare)


# -- what is durable at the instant ----------------------------------------------------------


@pytest.mark.miniflare(faults=[faults.latency(1_000, operation="storage.flush", nth=2)])
async def test_a_write_that_waits_for_its_flush_is_not_in_a_snapshot(miniflare, stub):
    await stub.put("k", "durable")
    writing = stub.put("k", "not yet")
    await miniflare.advance(500)

    async with fork(miniflare) as other:
        assert await stub_of(other).get("k") == "durable"
    await writing
    assert await stub.get("k") == "not yet"


async def test_an_open_transaction_is_not_in_a_snapshot_and_goes_on(miniflare, stub):
    await stub.put_many(1_000)
    writing = stub.sleep_in_transaction()
    await miniflare.advance(1_000)

    async with fork(miniflare) as other:
        assert await stub_of(other).get("k") is None
        assert await stub_of(other).count() == 1_000
    await writing
    assert await stub.get("k") == "in the transaction"
    assert await stub.count() == 1_001


async def test_the_alarm_of_an_open_transaction_is_not_in_a_snapshot(miniflare, stub):
    async def remind(_, state):
        async def write(txn):
            await txn.setAlarm(miniflare.clock.now_ms + 60_000)
            await asyncio.sleep(5)

        # From here on SQL may see the row of the alarm, so that it follows at once.
        state.storage.sql.exec("CREATE TABLE t (x)")
        await state.storage.transaction(write)

    writing = asyncio.ensure_future(run_in_durable_object(stub, remind))
    await miniflare.advance(1_000)
    taken = snapshot(miniflare)

    async with fork(miniflare) as other:
        assert snapshot(other).namespaces == taken.namespaces
        assert await stub_of(other).get_alarm() is None
    await writing
    assert await stub.get_alarm() is not None


async def test_a_snapshot_from_within_the_turn_of_a_write_lacks_it(miniflare, stub):
    await stub.put("k", "durable")

    def write(_, state):
        state.storage.put("k", "in this turn")
        return snapshot(miniflare)

    taken = await run_in_durable_object(stub, write)
    assert await stub.get("k") == "in this turn"
    restore(miniflare, taken)
    assert await stub_of(miniflare).get("k") == "durable"


@pytest.mark.parametrize("count", [100, 10_000])
async def test_what_a_crash_leaves_is_what_a_snapshot_holds(miniflare, stub, count):
    await stub.put_many(count)
    await stub.put("k", "durable")
    writing = stub.sleep_in_transaction()
    await miniflare.advance(1_000)
    taken = snapshot(miniflare)

    await crash_durable_object(stub)

    left = snapshot(miniflare)
    assert left.namespaces == taken.namespaces
    with pytest.raises(JsException, match="Network connection lost"):
        await writing


async def test_a_snapshot_holds_ten_thousand_keys(miniflare, stub):
    await stub.put_many(10_000)
    async with fork(miniflare) as other:
        assert await stub_of(other).count() == 10_000
        await stub_of(other).put("k00000", "changed")
    assert await stub.get("k00000") == 0


# -- alarms ----------------------------------------------------------------------------------


async def test_an_alarm_keeps_its_time_over_a_restore(miniflare, stub):
    time_ms = miniflare.clock.now_ms + 10_000
    await stub.remind(time_ms)
    taken = snapshot(miniflare)
    await miniflare.advance(5_000)

    restore(miniflare, taken)

    assert [alarm.due_ms for alarm in list_alarms(miniflare)] == [time_ms]
    await miniflare.advance(10_000)
    assert await stub_of(miniflare).get("runs") == [0]


async def test_an_overdue_alarm_is_delivered_at_once_and_as_a_first_run(miniflare, stub):
    await stub.remind(miniflare.clock.now_ms + 100, failures=1)
    await miniflare.advance(1_500)
    assert list_alarms(miniflare)[0].retry_count == 1
    taken = snapshot(miniflare)
    await miniflare.run_until_idle()
    assert await stub.get("runs") == [0, 1]
    await miniflare.advance(60_000)

    restore(miniflare, taken)

    assert list_alarms(miniflare)[0].retry_count == 0
    await miniflare.advance(1_001)
    # The failed run is kept, since it was durable; it is run again as after a power cut.
    assert await stub_of(miniflare).get("runs") == [0, 0]
    assert list_alarms(miniflare) == []


async def test_a_fork_while_an_alarm_runs_runs_it_again(miniflare, stub):
    await stub.remind(miniflare.clock.now_ms + 100)
    await miniflare.advance(500)
    assert list_alarms(miniflare)[0].state == "running"

    async with fork(miniflare) as other:
        await miniflare.advance(2_000)
        assert await stub.get("runs") == [0]
        assert await stub_of(other).get("runs") == [0]
        assert list_alarms(miniflare) == list_alarms(other) == []
    acknowledged = miniflare.trace.of_kind("alarm.ack")
    assert [event.time_ms - miniflare.clock.start_ms for event in acknowledged] == [
        1_100,
        1_501,
    ]


async def test_an_alarm_of_a_world_that_was_put_back_does_not_run(miniflare, stub):
    taken = snapshot(miniflare)
    await stub.remind(miniflare.clock.now_ms + 100)
    restore(miniflare, taken)
    await miniflare.run_until_idle()
    assert miniflare.trace.of_kind("alarm") == []


async def test_an_alarm_that_runs_while_its_world_is_put_back_does_not_end(miniflare, stub):
    taken = snapshot(miniflare)
    await stub.remind(miniflare.clock.now_ms + 100)
    await miniflare.advance(500)
    assert list_alarms(miniflare)[0].state == "running"

    restore(miniflare, taken)

    await miniflare.run_until_idle()
    assert await stub_of(miniflare).get("runs") is None
    assert miniflare.trace.of_kind("alarm.ack") == []


# -- fork ------------------------------------------------------------------------------------


async def test_forks_share_their_bytes_and_end_in_any_order(miniflare, stub):
    await fill(miniflare)
    forks = [fork(miniflare) for _ in range(50)]
    images = {id(f._snapshot.databases["DB"].sqlite.image) for f in forks}
    assert len(images) == 1
    for other in forks:
        await other.__aenter__()
    for number, other in enumerate(forks):
        await stub_of(other).put("k", number)
    for number, other in [*enumerate(forks)][::-2] + [*enumerate(forks)][::2]:
        assert await stub_of(other).get("k") == number
        assert await (await other.get_r2_bucket("BUCKET").get("k")).text() == "v"
        await other.dispose()
    assert await stub.get("k") == "v"


async def test_a_body_that_still_streams_is_in_the_origin_only(miniflare):
    bucket = miniflare.get_r2_bucket("BUCKET")
    pair = FixedLengthStream.new(10)
    putting = bucket.put("k", pair.readable)
    writer = pair.writable.getWriter()
    await writer.write(b"12345")
    async with fork(miniflare) as other:
        await writer.write(b"67890")
        await writer.close()
        await putting
        assert await other.get_r2_bucket("BUCKET").head("k") is None
    assert await (await bucket.get("k")).text() == "1234567890"


async def test_a_batch_under_way_arrives_whole_after_a_restore(miniflare):
    database = miniflare.get_d1_database("DB")
    await database.exec("CREATE TABLE t (x)")
    taken = snapshot(miniflare)
    await database.exec("INSERT INTO t VALUES (0)")
    insert = database.prepare("INSERT INTO t VALUES (?)")
    batch = database.batch([insert.bind(1), insert.bind(2)])

    restore(miniflare, taken)

    await batch
    assert await database.prepare("SELECT x FROM t").raw() == [[1], [2]]


async def test_a_fork_and_its_origin_do_not_see_each_other(miniflare, stub):
    await fill(miniflare)
    async with fork(miniflare) as left, fork(miniflare) as right:
        for mf, value in ((miniflare, "origin"), (left, "left"), (right, "right")):
            await stub_of(mf).put("k", value)
            await stub_of(mf).remind(mf.clock.now_ms + len(value) * 10_000)
            await mf.get_r2_bucket("BUCKET").put("k", value)
            await mf.get_d1_database("DB").exec(f"INSERT INTO u VALUES ('{value}')")
            await mf.dispatch_fetch("http://x/")
        for mf, value in ((miniflare, "origin"), (left, "left"), (right, "right")):
            assert await stub_of(mf).get("k") == value
            assert await (await mf.get_r2_bucket("BUCKET").get("k")).text() == value
            rows = await mf.get_d1_database("DB").prepare("SELECT x FROM u").raw()
            assert rows == [[1], [value]]
            assert len(list_alarms(mf)) == 1
            assert (await mf.dispatch_fetch("http://x/")).text == "2"


async def test_a_fork_of_a_fork_goes_its_own_way(miniflare, stub):
    await stub.put("k", 1)
    async with fork(miniflare) as child:
        await stub_of(child).put("k", 2)
        async with fork(child) as grandchild:
            await stub_of(grandchild).put("k", 3)
            assert await stub_of(child).get("k") == 2
        assert await stub.get("k") == 1


async def test_a_fork_outlives_its_origin(miniflare, stub):
    await fill(miniflare)
    await miniflare.get_r2_bucket("BUCKET").put("large", "x" * 100_000)
    async with fork(miniflare) as other:
        await miniflare.dispose()
        assert await stub_of(other).get("k") == "v"
        large = await other.get_r2_bucket("BUCKET").get("large")
        assert len(await large.text()) == 100_000


async def test_a_fork_is_of_the_instant_of_its_call(miniflare, stub):
    await stub.put("k", "before")
    child = fork(miniflare)
    await stub.put("k", "after")
    async with child as other:
        assert await stub_of(other).get("k") == "before"


def test_a_fork_is_entered_once_and_in_the_simulation_of_its_origin():
    async def make():
        async with emulator.Miniflare(**OPTIONS) as mf:
            child = fork(mf)
            async with fork(mf) as other:
                with pytest.raises(WorldError, match="entered before"):
                    await other.__aenter__()
            return child

    async def enter(child):
        async with child:
            pass

    child = emulator.run(make)
    with pytest.raises(WorldError, match="a fork belongs to the simulation of its origin"):
        emulator.run(enter, child)


async def test_an_upload_goes_on_in_both_worlds(miniflare):
    bucket = miniflare.get_r2_bucket("BUCKET")
    upload = await bucket.createMultipartUpload("m")
    first = await upload.uploadPart(1, b"a" * 5_242_880)
    async with fork(miniflare) as other:
        same = other.get_r2_bucket("BUCKET").resumeMultipartUpload("m", upload.uploadId)
        await same.complete([first, await same.uploadPart(2, b"theirs")])
        assert await bucket.head("m") is None
        await upload.complete([first, await upload.uploadPart(2, b"ours!")])
        theirs = await other.get_r2_bucket("BUCKET").get("m", range={"suffix": 6})
        assert await theirs.text() == "theirs"
        assert (await bucket.head("m")).size == 5_242_885


async def test_a_fork_shares_time_and_trace_and_has_its_own_logs(miniflare):
    await miniflare.dispatch_fetch("http://x/")
    async with fork(miniflare) as other:
        assert other.logs == []
        assert (other.clock, other.trace) == (miniflare.clock, miniflare.trace)
        await other.dispatch_fetch("http://x/")
        assert [line.message for line in other.logs] == ["asked"]
        assert len(miniflare.logs) == 1


@pytest.mark.miniflare(faults=[faults.error(operation="r2.put", nth=2)])
async def test_the_faults_of_the_options_are_not_added_again_by_a_fork(miniflare):
    await miniflare.get_r2_bucket("BUCKET").put("k", "v")
    async with fork(miniflare) as other:
        with pytest.raises(JsException):
            await other.get_r2_bucket("BUCKET").put("k", "v")
        await other.get_r2_bucket("BUCKET").put("k", "v")


def test_the_same_seed_gives_the_same_trace_through_forks():
    async def scenario():
        async with emulator.Miniflare(**OPTIONS) as mf:
            await fill(mf)
            await stub_of(mf).remind(mf.clock.now_ms + 5, failures=2)
            taken = snapshot(mf)
            async with fork(mf) as other:
                await asyncio.gather(stub_of(mf).put("k", 1), stub_of(other).put("k", 2))
                await other.get_r2_bucket("BUCKET").put("k", "v")
                await mf.run_until_idle()
            restore(mf, taken)
            await mf.run_until_idle()
            return mf.trace.digest()

    first, second = (emulator.run(scenario, seed=5) for _ in range(2))

    assert first == second
    assert first != emulator.run(scenario, seed=6)
