"""Laws of a hold: an order that the platform may show, and never a deadlock."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

import emulator
from emulator.errors import ConfigurationError, JsException
from emulator.sdk.js import Date, WebSocketPair
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.simulation.deviations import At, Hold, Inject, Site
from emulator.simulation.playing import play


class Job(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.heard: list[str] = []

    async def say(self, word: str) -> list[str]:
        self.heard.append(word)
        return self.heard

    async def both(self) -> list[str]:
        """Two answers of a bucket, in the order of their arrival."""
        order = []

        async def head(key: str) -> None:
            await self.env.BUCKET.head(key)
            order.append(key)

        await asyncio.gather(head("a"), head("b"))
        return order

    async def put(self, key: str) -> None:
        await self.ctx.storage.put(key, 1)

    async def wake(self, in_ms: int) -> None:
        await self.ctx.storage.setAlarm(Date.now() + in_ms)

    async def alarm(self, info: Any) -> None:
        self.heard.append("alarm")


def world(cls: type = Job) -> emulator.Miniflare:
    return emulator.Miniflare(
        worker=cls, durable_objects={"JOBS": cls.__name__}, r2_buckets=["BUCKET"]
    )


def job(mf: Any, name: str = "a") -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName(name)


def outcome(scenario: Any, *deviations: Any) -> tuple[Any, Any]:
    """What the scenario gave, and what of the deviations came about."""
    found = []

    async def noting() -> None:
        found.append(await scenario())

    played = play(noting, deviations)
    if played.error is not None:
        raise played.error
    return found[0], played.applied


def steps(scenario: Any) -> Any:
    return play(scenario).steps


def call(nth: int) -> Site:
    return Site("test", "JOBS.object.rpc", nth)


# -- effects and arrivals ------------------------------------------------------------------


async def two_objects() -> list[str]:
    order = []
    async with world() as mf:

        async def say(name: str) -> None:
            await job(mf, name).say("x")
            order.append(name)

        await asyncio.gather(say("a"), say("b"))
    return order


@pytest.mark.parametrize("moment", ["effect", "arrival"])
def test_a_held_moment_comes_after_the_other(moment):
    hold = Hold(call(1), call(2), moment)

    assert outcome(two_objects) == (["a", "b"], ())
    assert outcome(two_objects, hold) == (["b", "a"], (hold,))


def test_a_held_arrival_has_had_its_effect():
    played = play(two_objects, [Hold(call(1), call(2), "arrival")])
    first, second = (step for step in played.steps if step.site.operation == "JOBS.object.rpc")

    assert first.effect_at < second.effect_at < second.arrival_at < first.arrival_at


def test_two_answers_of_one_object_change_places():
    async def scenario() -> list[str]:
        async with world() as mf:
            return await job(mf).both()

    actor = steps(scenario)[0].operation.target
    heads = [Site(actor, "BUCKET.r2.head", nth) for nth in (1, 2)]

    assert outcome(scenario)[0] == ["a", "b"]
    assert outcome(scenario, Hold(*heads, "arrival"))[0] == ["b", "a"]


def test_a_hold_of_what_comes_later_anyway_changes_nothing():
    hold = Hold(call(2), call(1))

    assert outcome(two_objects, hold) == (["a", "b"], ())
    assert play(two_objects, [hold]).digest == play(two_objects).digest


def test_an_operation_waits_for_all_that_it_is_held_for():
    async def scenario() -> list[str]:
        order = []
        async with world() as mf:

            async def say(name: str) -> None:
                await job(mf, name).say("x")
                order.append(name)

            await asyncio.gather(*map(say, "abc"))
        return order

    holds = [Hold(call(1), call(3)), Hold(call(1), call(2))]

    assert outcome(scenario, *holds)[0] == ["b", "c", "a"]
    assert set(outcome(scenario, *holds)[1]) == set(holds)


def test_holds_make_a_chain():
    async def scenario() -> list[str]:
        order = []
        async with world() as mf:

            async def say(name: str) -> None:
                await job(mf, name).say("x")
                order.append(name)

            await asyncio.gather(*map(say, "abc"))
        return order

    assert outcome(scenario, Hold(call(1), call(2)), Hold(call(2), call(3)))[0] == [*"cba"]


# -- the end of a hold ---------------------------------------------------------------------


def test_what_waits_for_its_own_consequence_goes_on_when_nothing_else_can_happen():
    async def scenario() -> Any:
        async with world() as mf:
            await job(mf, "a").say("x")
            await job(mf, "b").say("x")
            return mf.clock.now_ms - mf.clock.start_ms

    assert outcome(scenario, Hold(call(1), call(2))) == (2, ())


def test_two_that_wait_for_each_other_both_go_on():
    found, applied = outcome(two_objects, Hold(call(1), call(2)), Hold(call(2), call(1)))

    assert found == ["a", "b"]
    assert applied == (Hold(call(2), call(1)),)


def test_a_hold_inside_of_an_alarm_does_not_wait_for_the_alarms_own_deadline():
    class Uploading(Job):
        async def alarm(self, info: Any) -> None:
            await self.env.BUCKET.head("k")

    async def scenario() -> int:
        async with world(Uploading) as mf:
            await job(mf).wake(1_000)
            await mf.run_until_idle()
            return mf.clock.now_ms - mf.clock.start_ms

    actor = steps(scenario)[0].operation.target
    hold = Hold(Site(actor, "BUCKET.r2.head", 1), Site(actor, "BUCKET.r2.head", 2))

    assert outcome(scenario, hold)[0] == outcome(scenario)[0]


def test_nothing_is_held_back_for_longer_than_a_minute():
    async def scenario() -> int:
        async with world() as mf:
            await job(mf, "a").wake(3_600_000)
            await job(mf, "b").say("x")
            return mf.clock.now_ms - mf.clock.start_ms

    actor = steps(scenario)[0].operation.target
    hold = Hold(call(2), Site(actor, "alarm.deliver", 1))

    assert outcome(scenario, hold) == (60_002, ())


def test_who_waits_for_what_a_fault_replaced_goes_on():
    async def scenario() -> list[str]:
        order = []
        async with world() as mf:

            async def say(name: str) -> None:
                try:
                    await job(mf, name).say("x")
                except JsException:
                    order.append("error")
                order.append(name)

            await asyncio.gather(say("a"), say("b"))
        return order

    hold, fault = Hold(call(1), call(2)), Inject(call(2), "error before")

    assert outcome(scenario, hold, fault)[0] == ["error", "b", "a"]


def test_when_a_world_is_left_nobody_is_held_back_any_more():
    async def scenario() -> None:
        async with world() as mf:
            call = asyncio.ensure_future(job(mf).say("x"))
            await mf.advance(10)
            assert not call.done()

    hold = Hold(call(1), Site("test", "JOBS.object.rpc", 2))

    assert play(scenario, [hold]).error is None


def test_nothing_can_wait_for_itself():
    with pytest.raises(ConfigurationError, match="nothing can wait for itself"):
        Hold(call(1), call(1))


def test_a_hold_is_in_the_trace_with_what_it_waited_for():
    played = play(two_objects, [Hold(call(1), call(2))])
    [event] = played.trace.of_kind("hold")

    assert event.facts["until"] == "JOBS.object.rpc number 2 of test"


# -- what the platform promises ------------------------------------------------------------


async def three_words() -> list[str]:
    async with world() as mf:
        stub = job(mf)
        other = asyncio.ensure_future(job(mf, "b").say("x"))
        calls = [asyncio.ensure_future(stub.say(word)) for word in "123"]
        await asyncio.gather(other, *calls)
        return calls[-1].result()


def test_calls_of_one_stub_arrive_in_order_whatever_is_held():
    assert outcome(three_words)[0] == ["1", "2", "3"]
    for held in (2, 3):
        for until in (1, 3, 4):
            if held != until:
                hold = Hold(call(held), call(until))
                assert outcome(three_words, hold)[0] == ["1", "2", "3"]


def test_what_is_behind_a_held_call_of_one_stub_waits_with_it_and_others_pass():
    async def scenario() -> list[str]:
        order = []
        async with world() as mf:
            stubs = {name: job(mf, name) for name in "ab"}

            async def say(name: str, word: str) -> None:
                await stubs[name].say(word)
                order.append(name + word)

            await asyncio.gather(*(say(*one) for one in ("a1", "a2", "b1", "b2")))
        return order

    assert outcome(scenario, Hold(call(1), call(4)))[0] == ["b1", "b2", "a1", "a2"]


def test_a_lane_goes_on_in_order_though_more_comes_while_its_first_is_held():
    async def scenario() -> list[str]:
        async with world() as mf:
            stub = job(mf)
            first = asyncio.ensure_future(stub.say("1"))
            await mf.advance(5)
            second = asyncio.ensure_future(stub.say("2"))
            await mf.advance(5)
            await job(mf, "b").say("x")
            third = stub.say("3")
            await asyncio.gather(first, second)
            return list(await third)

    assert outcome(scenario, Hold(call(1), call(3)))[0] == ["1", "2", "3"]


async def two_inserts(*, is_one_event: bool) -> list[int]:
    class Inserting(Job):
        async def insert(self, *values: int) -> None:
            statement = self.env.DB.prepare("INSERT INTO t VALUES (?)")
            await asyncio.gather(*(statement.bind(value).run() for value in values))

    options = {"durable_objects": {"JOBS": "Inserting"}, "d1_databases": ["DB"]}
    async with emulator.Miniflare(worker=Inserting, **options) as mf:
        database = mf.get_d1_database("DB")
        await database.exec("CREATE TABLE t (x)")
        if is_one_event:
            await job(mf).insert(1, 2)
        else:
            await asyncio.gather(job(mf, "a").insert(1), job(mf, "b").insert(2))
        rows = (await database.prepare("SELECT x FROM t ORDER BY rowid").all()).results
        return [row["x"] for row in rows]


@pytest.mark.parametrize(("is_one_event", "found"), [(True, [1, 2]), (False, [2, 1])])
def test_statements_of_one_event_keep_their_order_and_those_of_two_may_change_places(
    is_one_event, found
):
    async def scenario() -> list[int]:
        return await two_inserts(is_one_event=is_one_event)

    runs = [step.site for step in steps(scenario) if step.site.operation == "DB.d1.run"]

    assert len(runs) == 2
    assert outcome(scenario)[0] == [1, 2]
    assert outcome(scenario, Hold(*runs))[0] == found


def test_messages_of_a_socket_keep_their_order_and_its_end_comes_last():
    class Socket(Job):
        async def fetch(self, request: Any) -> Any:
            client, server = WebSocketPair.new().object_values()
            server.accept()
            server.addEventListener("message", lambda event: self.heard.append(event.data))
            server.addEventListener("close", lambda _: self.heard.append("close"))
            return Response(None, status=101, web_socket=client)

    class Door(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            return await self.env.JOBS.getByName("a").fetch(request)

    module = types.ModuleType("sockets")
    module.Default, module.Socket = Door, Socket  # type: ignore[attr-defined]

    async def scenario() -> Any:
        async with emulator.Miniflare(worker=module, durable_objects={"JOBS": "Socket"}) as mf:
            async with mf.connect("http://localhost/") as socket:
                for word in "12":
                    await socket.send(word)
                await mf.advance(5)
            await mf.run_until_idle()
            return await job(mf).say("end")

    sites = [s.site for s in steps(scenario) if s.site.operation.endswith("websocket.message")]
    assert len(sites) == 2
    [say] = [s.site for s in steps(scenario) if s.site.operation == "JOBS.object.rpc"]

    assert outcome(scenario)[0] == ["1", "2", "close", "end"]
    for held in sites:
        for until in (*sites, say):
            if held != until:
                assert outcome(scenario, Hold(held, until))[0] == ["1", "2", "close", "end"]


def test_words_wait_for_a_held_flush():
    async def scenario() -> Any:
        order = []
        async with world() as mf:

            async def put(name: str) -> None:
                await job(mf, name).put("x")
                order.append(name)

            await asyncio.gather(put("a"), put("b"))
        return order

    flushes = [s.site for s in steps(scenario) if s.site.operation == "storage.flush"]

    assert outcome(scenario)[0] == ["a", "b"]
    assert outcome(scenario, Hold(*flushes))[0] == ["b", "a"]


def test_an_alarm_is_late_until_a_request_has_come():
    async def scenario() -> Any:
        async with world() as mf:
            await job(mf).wake(1_000)
            await mf.advance(2_000)
            return await job(mf).say("word")

    actor = steps(scenario)[0].operation.target
    hold = Hold(Site(actor, "alarm.deliver", 1), call(2))

    assert outcome(scenario)[0] == ["alarm", "word"]
    assert outcome(scenario, hold) == (["word"], (hold,))


def test_a_held_alarm_that_is_set_anew_runs_once_at_its_new_time():
    async def scenario() -> Any:
        async with world() as mf:
            await job(mf).wake(1_000)
            await mf.advance(2_000)
            await job(mf).wake(1_000)
            await job(mf, "b").say("x")
            await mf.run_until_idle()
            return len(mf.trace.of_kind("alarm")), mf.clock.now_ms - mf.clock.start_ms

    actor = steps(scenario)[0].operation.target
    hold = Hold(Site(actor, "alarm.deliver", 1), call(3))

    assert outcome(scenario, hold)[0] == (1, 3_002)


class Sleeping(Job):
    async def race(self) -> list[str]:
        """A timer and an answer, the answer first."""

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            self.heard.append(f"timer {seconds}")

        async def head() -> None:
            await self.env.BUCKET.head("k")
            self.heard.append("answer")

        await asyncio.gather(sleep(0.005), sleep(0.006), head())
        return self.heard


async def timer_and_answer() -> list[str]:
    async with world(Sleeping) as mf:
        return await job(mf).race()


def test_an_answer_is_late_until_a_timer_has_fired_and_a_timer_until_an_answer_has_come():
    actor = steps(timer_and_answer)[0].operation.target
    answer = Site(actor, "BUCKET.r2.head", 1)
    first, second = (Site(actor, "timer.fire", nth) for nth in (1, 2))
    timers = ["timer 0.005", "timer 0.006"]

    assert outcome(timer_and_answer)[0] == ["answer", *timers]
    assert outcome(timer_and_answer, Hold(answer, first, "arrival"))[0] == [
        "timer 0.005", "answer", "timer 0.006",
    ]  # fmt: skip
    assert outcome(timer_and_answer, Hold(answer, second, "arrival"))[0] == [
        *timers, "answer",
    ]  # fmt: skip


def test_timers_of_one_object_fire_in_order_whatever_is_held():
    actor = steps(timer_and_answer)[0].operation.target
    first, second = (Site(actor, "timer.fire", nth) for nth in (1, 2))

    for hold in (Hold(first, second, "arrival"), Hold(second, first, "arrival")):
        heard = outcome(timer_and_answer, hold)[0]
        assert heard == ["answer", "timer 0.005", "timer 0.006"]


def test_a_timer_departs_when_it_is_set_and_arrives_when_it_fires():
    actor = steps(timer_and_answer)[0].operation.target
    timer, answer = (
        next(step for step in steps(timer_and_answer) if step.site == Site(actor, name, 1))
        for name in ("timer.fire", "BUCKET.r2.head")
    )

    assert timer.departed_at < answer.departed_at < answer.arrival_at < timer.arrival_at


def test_an_object_that_dies_does_not_stop_what_waits_for_it():
    async def scenario() -> list[str]:
        order = []
        async with world() as mf:

            async def put(name: str) -> None:
                try:
                    await job(mf, name).put("x")
                except JsException:
                    order.append("lost")
                order.append(name)

            await asyncio.gather(put("a"), put("b"))
        return order

    flushes = [s.site for s in steps(scenario) if s.site.operation == "storage.flush"]
    hold, crash = Hold(*flushes), Inject(flushes[1], "crash before")

    assert outcome(scenario, hold, crash)[0] == ["lost", "b", "a"]


# -- demotion ------------------------------------------------------------------------------


def test_a_demoted_operation_comes_when_nothing_else_can_happen_and_is_told_as_a_hold():
    found, applied = outcome(two_objects, At(1))

    assert found == ["b", "a"]
    assert applied == (Hold(call(1), call(2)),)
    assert outcome(two_objects, *applied) == (found, applied)


def test_a_choice_above_zero_is_a_kind_of_fault_and_the_count_goes_round():
    async def scenario() -> str:
        async with world() as mf:
            try:
                await mf.get_r2_bucket("BUCKET").head("k")
            except JsException:
                return "error"
            return "answer"

    kinds = [outcome(scenario, At(1, choice))[1][0].kind for choice in range(1, 30)]

    assert len(set(kinds)) > 3
    assert kinds[len(set(kinds))] == kinds[0]
