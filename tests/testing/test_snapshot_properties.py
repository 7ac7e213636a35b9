"""Worlds that are forked, taken and put back at random, against a model of plain dicts."""

from __future__ import annotations

from contextlib import AsyncExitStack

from hypothesis import given, settings
from hypothesis import strategies as st
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator import faults
from emulator.errors import JsException
from emulator.testing import fork, list_alarms, restore, snapshot

WORLDS_MAX = 4
START_MS = 1_767_225_600_000


class Store(DurableObject):
    async def put(self, key, value):
        await self.ctx.storage.put(key, value)

    async def all(self):
        return await self.ctx.storage.list()

    async def remind(self, time_ms):
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self):
        pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("")


OPTIONS = {
    "worker": Default,
    "durable_objects": {"STORES": "Store"},
    "r2_buckets": ["BUCKET"],
    "d1_databases": ["DB"],
}

worlds = st.integers(0, WORLDS_MAX - 1)
names = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("object"), worlds, names, names),
    st.tuples(st.just("lost"), worlds, names, names),
    st.tuples(st.just("alarm"), worlds, names, st.integers(1, 5)),
    st.tuples(st.just("bucket"), worlds, names, st.booleans()),
    st.tuples(st.just("row"), worlds),
    st.tuples(st.just("fork"), worlds),
    st.tuples(st.just("snapshot"), worlds),
    st.tuples(st.just("restore"), worlds, st.integers(0, 5)),
)


def model_of(model):
    return {name: dict(part) for name, part in model.items()}


async def seen(mf):
    """A world as the model has it."""
    jobs, bucket = mf.get_durable_object_namespace("STORES"), mf.get_r2_bucket("BUCKET")
    objects = {}
    for name in "abc":
        for key, value in (await jobs.getByName(name).all()).items():
            objects[name, key] = value
    files = {
        o.key: await (await bucket.get(o.key)).text() for o in (await bucket.list()).objects
    }
    rows = await mf.get_d1_database("DB").prepare("SELECT x FROM t").raw()
    alarms = {alarm.name: alarm.scheduled_time_ms for alarm in list_alarms(mf)}
    rows = {number: True for (number,) in rows}
    return {"objects": objects, "files": files, "rows": rows, "alarms": alarms}


async def act(mf, model, step, number):
    """One write in one world, and in its model."""
    kind, _, *arguments = step
    jobs, bucket = mf.get_durable_object_namespace("STORES"), mf.get_r2_bucket("BUCKET")
    if kind == "object":
        name, key = arguments
        await jobs.getByName(name).put(key, number)
        model["objects"][name, key] = number
    elif kind == "lost":
        name, key = arguments
        # A write whose flush is late is in no snapshot.
        late = faults.latency(1_000, operation="storage.flush", nth=1)
        mf.faults.add(late)
        writing = jobs.getByName(name).put(key, number)
        await mf.advance(5)
        restore(mf, snapshot(mf))
        assert isinstance(await settled(writing), JsException)
        mf.faults.remove(late)
    elif kind == "alarm":
        name, days = arguments
        time_ms = START_MS + days * 86_400_000
        await jobs.getByName(name).remind(time_ms)
        model["alarms"][name] = time_ms
    elif kind == "bucket":
        key, is_large = arguments
        text = str(number) * (50_000 if is_large else 1)
        await bucket.put(key, text)
        model["files"][key] = text
    elif kind == "row":
        await mf.get_d1_database("DB").exec(f"INSERT INTO t VALUES ({number})")
        model["rows"][number] = True


async def settled(future):
    try:
        return await future
    except JsException as error:
        return error


async def scenario(chosen):
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(emulator.Miniflare(**OPTIONS))
        await first.get_d1_database("DB").exec("CREATE TABLE t (x)")
        model = {"objects": {}, "files": {}, "rows": {}, "alarms": {}}
        living, taken = [(first, model)], []
        for number, step in enumerate(chosen):
            mf, model = living[step[1] % len(living)]
            if step[0] == "fork" and len(living) < WORLDS_MAX:
                other = await stack.enter_async_context(fork(mf))
                living.append((other, model_of(model)))
            elif step[0] == "snapshot":
                taken.append((snapshot(mf), model_of(model)))
            elif step[0] == "restore" and taken:
                image, then = taken[step[2] % len(taken)]
                restore(mf, image)
                model.update(model_of(then))
            else:
                await act(mf, model, step, number)
        for mf, model in living:
            assert await seen(mf) == model


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=30))
def test_every_world_holds_what_its_own_history_says(chosen):
    emulator.run(scenario, chosen)
