"""Laws of a run under deviations: what it records, and that nothing else decides it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException, NotAtRest
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject
from emulator.simulation.deviations import At, Hold, Inject, Site
from emulator.simulation.playing import play
from emulator.simulation.schedules import from_hypothesis, pct, replay


class Job(DurableObject):
    async def put(self, key: str) -> None:
        await self.ctx.storage.put(key, 1)

    async def keys(self) -> list[str]:
        return list(await self.ctx.storage.list())

    async def upload(self, key: str, text: str) -> None:
        await self.env.BUCKET.put(key, text)

    async def wake(self, in_ms: int) -> None:
        await self.ctx.storage.setAlarm(Date.now() + in_ms)

    async def alarm(self, info: Any) -> None:
        await self.ctx.storage.put("alarm", 1)


def world(cls: type = Job, **options: Any) -> emulator.Miniflare:
    return emulator.Miniflare(
        worker=cls, durable_objects={"JOBS": cls.__name__}, r2_buckets=["BUCKET"], **options
    )


def job(mf: Any, name: str = "a") -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName(name)


async def two_puts() -> None:
    async with world() as mf:
        await job(mf).put("x")
        await job(mf).put("y")


def sites(played: Any) -> list[Site]:
    return [step.site for step in played.steps]


def site(played: Any, operation: str, nth: int = 1) -> Site:
    [found] = [one for one in sites(played) if one[1:] == (operation, nth)]
    return found


# -- the record ----------------------------------------------------------------------------


def test_without_deviations_a_run_is_that_of_a_run_that_nobody_records():
    digests = []

    async def scenario() -> None:
        async with world() as mf:
            await job(mf).put("x")
            await job(mf).wake(1_000)
            await mf.run_until_idle()
            digests.append(mf.trace.digest())

    emulator.run(scenario, seed=3)
    played = play(scenario, seed=3)

    assert digests == [played.digest] * 2


def test_one_run_played_twice_has_one_digest():
    assert play(two_puts).digest == play(two_puts).digest


def test_a_site_is_counted_for_its_actor_and_its_operation():
    played = play(two_puts)

    assert [one[1:] for one in sites(played)] == [
        ("JOBS.object.rpc", 1),
        ("storage.flush", 1),
        ("JOBS.object.rpc", 2),
        ("storage.flush", 2),
    ]
    assert [one.actor for one in sites(played)][0::2] == ["test", "test"]
    assert site(played, "storage.flush").actor == played.steps[0].operation.target


def test_what_left_takes_effect_and_arrives_in_one_count_of_events():
    played = play(two_puts)
    ordinals = [n for s in played.steps for n in (s.departed_at, s.effect_at, s.arrival_at)]

    assert sorted(ordinals) == list(range(1, len(ordinals) + 1))
    for step in played.steps:
        assert step.departed_at < step.effect_at < step.arrival_at


def test_an_alarm_departs_when_it_is_set_and_takes_effect_when_it_runs():
    async def scenario() -> None:
        async with world() as mf:
            await job(mf).wake(1_000)
            await mf.run_until_idle()

    steps = {step.site.operation: step for step in reversed(play(scenario).steps)}

    alarm, flush = steps["alarm.deliver"], steps["storage.flush"]
    call = steps["JOBS.object.rpc"]
    assert flush.arrival_at < alarm.departed_at < call.arrival_at < alarm.effect_at
    assert alarm.operation.target == alarm.site.actor


def test_the_state_of_an_actor_differs_if_and_only_if_it_did_something_that_lasts():
    async def scenario() -> None:
        async with world() as mf:
            await job(mf).keys()
            await job(mf).put("x")
            await mf.get_r2_bucket("BUCKET").head("k")
            await mf.get_r2_bucket("BUCKET").head("k")
            await mf.get_r2_bucket("BUCKET").put("k", "x")
            await mf.get_r2_bucket("BUCKET").head("k")

    played = play(scenario)
    states = [s.state for s in played.steps if s.site.operation.startswith("BUCKET")]

    assert states[0] == states[1] == states[2] != states[3]


def test_an_effect_that_a_fault_replaces_never_happens_and_its_answer_arrives():
    async def scenario() -> None:
        async with world() as mf:
            with pytest.raises(JsException):
                await mf.get_r2_bucket("BUCKET").put("k", "x")

    [step] = play(scenario, [Inject(Site("test", "BUCKET.r2.put", 1), "error before")]).steps

    assert step.effect_at == -1
    assert step.arrival_at > step.departed_at


def test_what_a_scenario_raises_is_the_error_of_the_run():
    async def scenario() -> None:
        async with world() as mf:
            await job(mf).put("x")
            pytest.fail("on purpose")

    error = play(scenario).error

    assert str(error) == "on purpose"


def test_who_interrupts_a_run_ends_it():
    async def scenario() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(scenario)


def test_simulated_time_is_told_with_the_rest():
    async def scenario() -> None:
        async with world() as mf:
            await job(mf).wake(5_000)

    assert play(scenario).simulated_ms == 5_001


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "kept"), [("before", []), ("after", ["x"])])
def test_an_injected_crash_happens_at_its_site(when, kept):
    found = []

    async def scenario() -> None:
        async with world() as mf:
            with pytest.raises(JsException, match="lost"):
                await job(mf).put("x")
            found.append(await job(mf).keys())

    crash = Inject(site(play(two_puts), "storage.flush"), f"crash {when}")
    played = play(scenario, [crash])

    assert (played.error, found, played.applied) == (None, [kept], (crash,))
    assert [event.facts["rule"] for event in played.trace.of_kind("fault")] == [repr(crash)]


@pytest.mark.parametrize(
    "deviation",
    [
        Inject(Site("test", "JOBS.object.rpc", 9), "error before"),
        Inject(Site("test", "JOBS.object.rpc", 1), "no such kind"),
        Hold(Site("test", "JOBS.object.rpc", 9), Site("test", "JOBS.object.rpc", 1)),
        At(99),
    ],
)
def test_a_deviation_that_never_came_about_is_told_and_changes_nothing(deviation):
    played = play(two_puts, [deviation])

    assert played.applied == ()
    assert played.digest == play(two_puts).digest


def test_a_rule_counts_every_operation_and_the_deviation_of_a_site_goes_first():
    found = []

    async def scenario() -> None:
        async with world() as mf:
            for _ in range(3):
                try:
                    await mf.get_r2_bucket("BUCKET").put("k", "x")
                    found.append("put")
                except JsException as error:
                    found.append(str(error))

    rule = faults.error("BUCKET", nth=range(1, 3), message="by a rule")
    late = Inject(Site("test", "BUCKET.r2.put", 1), "latency")
    played = play(scenario, [late], rules=[rule])

    assert played.error is None
    assert found[0] == "put"
    assert "by a rule" in found[1]
    assert found[2] == "put"


def test_one_site_has_one_fault():
    one = Site("test", "BUCKET.r2.put", 1)

    with pytest.raises(ConfigurationError, match="one fault only"):
        play(two_puts, [Inject(one, "latency"), Inject(one, "stall")])


def test_what_is_no_deviation_is_refused():
    with pytest.raises(ConfigurationError, match="a deviation is a Hold, an Inject or an At"):
        play(two_puts, ["crash"])


# -- rest ----------------------------------------------------------------------------------


def test_what_happens_while_a_world_comes_to_rest_is_no_step():
    async def scenario() -> None:
        async with world() as mf:
            await job(mf).wake(1_000)

    played = play(scenario)

    assert [event.kind for event in played.trace.of_kind("alarm")] == ["alarm"]
    assert {one.operation for one in sites(played)} == {"JOBS.object.rpc", "storage.flush"}


def test_when_a_world_is_left_everything_comes_to_rest_and_nothing_deviates_any_more():
    class Kept(Job):
        runs = 0

        async def alarm(self, info: Any) -> None:
            Kept.runs += 1

    async def scenario() -> None:
        async with world(Kept) as mf:
            await job(mf).wake(1_000)

    actor = play(scenario).steps[0].operation.target
    Kept.runs = 0
    crash = Inject(Site(actor, "alarm.deliver", 1), "crash before")
    played = play(scenario, [crash], rules=[faults.crash("alarm.deliver")])

    assert (played.error, Kept.runs, played.applied) == (None, 1, ())


def test_an_alarm_that_sets_itself_for_ever_is_no_rest():
    class Restless(Job):
        async def alarm(self, info: Any) -> None:
            await self.wake(60_000)

    async def scenario() -> None:
        async with world(Restless) as mf:
            await job(mf).wake(0)

    played = play(scenario, rest_ms=3_600_000)

    assert isinstance(played.error, NotAtRest)
    assert "3,600,000 simulated ms later there is still no rest" in str(played.error)
    assert "alarm of JOBS#" in str(played.error)
    assert played.simulated_ms < 3_700_000


def test_a_call_that_is_never_answered_is_no_rest_and_the_report_says_who_waits_for_what():
    class Stuck(Job):
        async def wait(self) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        async with world(Stuck) as mf:
            call = asyncio.ensure_future(job(mf).wait())
            await mf.advance(10)
            assert not call.done()

    error = play(scenario).error

    assert isinstance(error, NotAtRest)
    assert "no answer came from JOBS#" in str(error)
    assert any("Event.wait" in line for line in error.waiters)


def test_a_scenario_that_failed_need_not_come_to_rest():
    class Restless(Job):
        async def alarm(self, info: Any) -> None:
            await self.wake(60_000)

    async def scenario() -> None:
        async with world(Restless) as mf:
            await job(mf).wake(0)
            raise ValueError

    played = play(scenario)

    assert isinstance(played.error, ValueError)
    assert played.simulated_ms < 10


def test_a_world_that_is_disposed_by_hand_comes_to_rest_as_well():
    class Counting(Job):
        runs = 0

        async def alarm(self, info: Any) -> None:
            Counting.runs += 1

    async def scenario() -> None:
        mf = await world(Counting).__aenter__()
        await job(mf).wake(1_000)
        await mf.dispose()

    assert play(scenario).error is None
    assert Counting.runs == 1


def test_the_second_world_of_a_scenario_deviates_again():
    async def scenario() -> None:
        for _ in range(2):
            async with world() as mf:
                await mf.get_r2_bucket("BUCKET").put("k", "x")

    second = Inject(Site("test", "BUCKET.r2.put", 2), "latency")

    assert play(scenario, [second]).applied == (second,)


# -- monitors ------------------------------------------------------------------------------


class Seen:
    """A monitor that writes down when it is asked."""

    name = "seen"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self, mf: Any) -> None:
        self.calls.append("begin")

    def observe(self, mf: Any) -> None:
        self.calls.append("observe")

    async def end(self, mf: Any) -> None:
        self.calls.append(f"end with {await job(mf).keys()}")

    def conclude(self, run_count: int) -> None:
        self.calls.append("conclude")


def test_a_monitor_sees_a_world_begin_run_and_rest():
    monitor = Seen()

    assert play(two_puts, monitors=[monitor]).error is None
    assert monitor.calls[0] == "begin"
    assert monitor.calls[-1] == "end with ['x', 'y']"
    assert set(monitor.calls[1:-1]) == {"observe"}
    assert len(monitor.calls) > 8


def test_a_monitor_that_objects_ends_the_run_at_that_event():
    class Objecting(Seen):
        def observe(self, mf: Any) -> None:
            assert not mf.trace.of_kind("storage.flush"), "a flush"

    played = play(two_puts, monitors=[Objecting()])

    assert isinstance(played.error, AssertionError)
    assert len(played.trace.of_kind("storage.flush")) == 1


def test_a_plain_function_is_a_check_at_rest():
    def check(mf: Any) -> None:
        assert len(mf.trace.of_kind("storage.flush")) == 3

    assert isinstance(play(two_puts, monitors=[check]).error, AssertionError)


# -- schedules -----------------------------------------------------------------------------


async def two_writers() -> None:
    async with world() as mf:
        await asyncio.gather(job(mf, "a").upload("k", "a"), job(mf, "b").upload("k", "b"))
        winner = await (await mf.get_r2_bucket("BUCKET").get("k")).text()
        assert winner == "b"


def test_a_schedule_of_deviations_is_the_same_run_as_the_deviations():
    digests = []

    async def scenario() -> None:
        async with world() as mf:
            await job(mf).put("x")
            digests.append(mf.trace.digest())

    late = Inject(Site("test", "JOBS.object.rpc", 1), "latency")
    emulator.run(scenario, schedule=replay([late]))
    play(scenario, [late])
    play(scenario)

    assert digests[0] == digests[1] != digests[2]


def test_pct_finds_an_order_and_says_which_hold_it_is():
    found = [play(two_writers, schedule=pct(seed, 1, 6)) for seed in range(20)]
    failing = [one for one in found if one.error is not None]

    assert 0 < len(failing) < len(found)
    [hold] = failing[0].applied
    assert isinstance(hold, Hold)
    again = play(two_writers, [hold])
    assert type(again.error) is type(failing[0].error)
    assert again.applied == (hold,)


def test_a_seed_decides_pct():
    def deviations(seed: int) -> Any:
        schedule = pct(seed, 2, 100)
        play(two_puts, schedule=schedule)
        return schedule.deviations

    assert deviations(1) == deviations(1) != deviations(2)


@pytest.mark.parametrize(("depth", "horizon"), [(0, 10), (1, 0)])
def test_pct_needs_a_depth_and_a_horizon(depth, horizon):
    with pytest.raises(ConfigurationError, match="1 or more"):
        pct(1, depth, horizon)


def test_hypothesis_draws_a_sparse_list_and_shrinks_to_one_operation():
    from hypothesis import find, settings, strategies

    class Drawn:
        """As `data`, but kept outside of a test."""

        def __init__(self, gaps: list[int]) -> None:
            self.gaps = gaps

        def draw(self, strategy: Any, label: Any = None) -> list[int]:
            return self.gaps

    def fails(gaps: list[int]) -> bool:
        schedule = from_hypothesis(Drawn(gaps), horizon=6)
        return play(two_writers, schedule=schedule).error is not None

    gaps = strategies.lists(strategies.integers(0, 5), max_size=3)
    smallest = find(gaps, fails, settings=settings(derandomize=True, database=None))

    assert len(smallest) == 1
    assert from_hypothesis(Drawn([])).deviations == ()
