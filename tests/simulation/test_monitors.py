"""Laws of monitors: what they demand, when they look, and what a failure says."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from js import Date, console
from workers import DurableObject

import emulator
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError, MonitorFailure, NotAtRest
from emulator.simulation.monitors import as_monitor, conclude
from emulator.simulation.playing import play
from emulator.simulation.runner import current_simulation
from emulator.testing import always, eventually, never, sometimes, watching


class Job(DurableObject):
    """An alarm every second, three times."""

    async def start(self) -> None:
        await self.ctx.storage.setAlarm(Date.now() + 1_000)

    async def alarm(self) -> None:
        count = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", count)
        console.log(f"alarm {count}")
        if count < 3:
            await self.start()

    async def for_ever(self) -> None:
        await self.ctx.storage.put("count", -(10**9))
        await self.start()


async def start(mf: Any) -> None:
    await mf.get_durable_object_namespace("JOBS").getByName("a").start()


def watched(*monitors: Any, act: Any = start, rest: Any = timedelta(days=1)) -> None:
    """Run the job under monitors."""

    async def main() -> None:
        async with (
            emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}) as mf,
            watching(mf, *monitors, rest=rest),
        ):
            await act(mf)

    emulator.run(main)


def failure_of(*monitors: Any, **options: Any) -> str:
    with pytest.raises(MonitorFailure) as caught:
        watched(*monitors, **options)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def alarms(mf: Any) -> int:
    return len(mf.trace.of_kind("alarm"))


# -- what they demand ------------------------------------------------------------------------


def test_monitors_that_are_content_say_nothing():
    watched(
        always(lambda mf: alarms(mf) <= 3),
        never(lambda mf: alarms(mf) > 3),
        sometimes(lambda mf: alarms(mf) == 2),
        eventually(lambda mf: alarms(mf) == 3),
        eventually(lambda mf: alarms(mf) == 2, within=timedelta(seconds=2.1)),
        lambda mf: alarms(mf) == 3,
    )


def test_always_fails_at_the_event_that_breaks_it_and_names_it():
    told = failure_of(always(lambda mf: alarms(mf) < 2))

    assert told.startswith("always(lambda mf: alarms(mf) < 2) (test_monitors.py:")
    assert "was broken, 2.001 s after the start, after event " in told
    assert ": alarm JOBS#" in told


def test_never_fails_at_the_event_that_brings_it_about():
    told = failure_of(never(lambda mf: mf.logs))

    assert "never(lambda mf: mf.logs) (test_monitors.py:" in told
    assert "has happened, 1.001 s after the start" in told


def test_eventually_waits_until_the_world_has_come_to_rest():
    told = failure_of(eventually(lambda mf: alarms(mf) == 4))

    assert "did not hold at rest, 3." in told


@pytest.mark.parametrize(
    ("within", "told"),
    [
        (2_000, "had not held after 2.000 s"),
        (9_000, "had not held when the world came to rest"),
    ],
)
def test_eventually_within_a_bound_fails_when_that_has_passed(within, told):
    hopeless = eventually(lambda mf: alarms(mf) == 9, within=within)

    failure = failure_of(hopeless)
    assert told in failure
    assert f"within={within / 1000:.3f} s" in failure


def test_what_held_in_time_need_not_hold_later():
    watched(eventually(lambda mf: alarms(mf) == 1, within=1_500))


def test_sometimes_that_is_never_met_is_a_finding():
    told = failure_of(sometimes(lambda mf: alarms(mf) == 9))

    assert "sometimes(lambda mf: alarms(mf) == 9)" in told
    assert "was not met in the only run" in told


def test_sometimes_is_content_if_one_of_many_runs_met_it():
    met, unmet = sometimes(lambda mf: alarms(mf) == 3), sometimes(lambda mf: alarms(mf) == 9)

    async def calm() -> None:
        async with emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}):
            pass

    async def busy() -> None:
        async with emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}) as mf:
            await start(mf)

    for scenario in (calm, busy, calm):
        assert play(scenario, catalogue=CATALOGUE, monitors=(met, unmet)).error is None
    with pytest.raises(MonitorFailure, match=r"alarms\(mf\) == 9\).* in any of 3 runs"):
        conclude([met, unmet], 3)
    assert play(busy, catalogue=CATALOGUE, monitors=(met,)).error is None
    conclude([met], 1)


def test_a_plain_function_is_a_check_at_rest_and_may_await():
    async def job_is_done(mf: Any) -> None:
        await start(mf)
        assert alarms(mf) == 9, "too few alarms"

    told = failure_of(job_is_done)
    assert "job_is_done (test_monitors.py:" in told
    assert "did not hold at rest" in told
    assert ": too few alarms" in told


def test_all_that_is_wrong_at_rest_is_told():
    told = failure_of(lambda mf: alarms(mf) == 1, eventually(lambda mf: alarms(mf) == 2))

    assert told.count("did not hold at rest") == 2


# -- conditions ------------------------------------------------------------------------------


def test_a_condition_may_assert_by_itself():
    def few_alarms(mf: Any) -> None:
        assert alarms(mf) < 3, "three alarms"

    told = failure_of(always(few_alarms))
    assert told.startswith("always(")
    assert "few_alarms) (test_monitors.py:" in told
    assert ": three alarms" in told


def test_a_lambda_cannot_assert_so_none_is_no():
    with pytest.raises(MonitorFailure, match="was broken"):
        watched(always(lambda _: None))


def test_an_assertion_that_fails_is_not_yet_for_eventually_within_a_bound():
    def done(mf: Any) -> None:
        assert alarms(mf) == 3

    watched(eventually(done, within=60_000))


def test_an_error_of_the_condition_itself_is_told_as_such():
    with pytest.raises(ZeroDivisionError) as caught:
        watched(always(lambda mf: 9 // (2 - alarms(mf))))

    (note,) = caught.value.__notes__
    assert note.startswith("raised by always(lambda mf: 9 // (2 - alarms(mf))) itself, 2.001 s")


def test_an_async_condition_is_refused_where_nothing_can_be_awaited():
    async def condition(_: Any) -> bool:
        return True

    for monitor in (always(condition), never(condition), eventually(condition, within=1)):
        with pytest.raises(ConfigurationError, match="is async, and nothing can be awaited"):
            watched(monitor)
    watched(eventually(condition))


def test_a_condition_is_asked_after_the_events_that_it_is_about():
    asked: list[str] = []

    def note(mf: Any) -> bool:
        asked.append(mf.trace.events[-1].kind)
        return True

    watched(always(note, after="alarm.*"))
    assert asked == ["alarm.ack"] * 4  # The last time is at rest.
    asked.clear()
    watched(always(note, after=("alarm", "start")))
    assert asked == ["start", "alarm", "alarm", "alarm", "alarm.ack"]


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (alarms, "always(alarms)"),
        (partial(alarms), "always(alarms)"),
        (Job.start, "always(Job.start)"),
        ((lambda mf: mf), "always(lambda mf: mf)"),
        (
            lambda mf: (
                mf.logs  # Over two lines.
            ),
            "always(lambda mf: mf.logs)",
        ),
    ],
)
def test_a_monitor_is_called_by_its_condition(condition, name):
    assert always(condition).name == name


def test_a_lambda_is_told_from_its_neighbours_on_the_line():
    one, other = always(lambda mf: mf == 1), always(lambda mf: mf == 2)

    assert (one.name, other.name) == (
        "always(lambda mf: mf == 1)",
        "always(lambda mf: mf == 2)",
    )


def test_a_given_name_wins():
    told = failure_of(always(lambda _: False, name="jobs are quick"))

    assert told.startswith("jobs are quick (test_monitors.py:")


@pytest.mark.parametrize("given", [7, "name", Job, None])
def test_what_is_no_condition_is_refused(given):
    with pytest.raises(ConfigurationError):
        as_monitor(given)
    if given is not Job:
        with pytest.raises(
            ConfigurationError, match=r"always\(\) takes a function of the world"
        ):
            always(given)


# -- watching --------------------------------------------------------------------------------


def test_nobody_looks_after_a_failure():
    asked: list[int] = []

    def note(mf: Any) -> bool:
        asked.append(mf.clock.now_ms)
        return False

    with pytest.raises(MonitorFailure):
        watched(always(note))
    assert len(asked) == 1


def test_the_end_of_the_block_may_be_taken_as_it_is():
    watched(eventually(lambda mf: alarms(mf) == 0), rest=None)


def test_a_world_that_never_comes_to_rest_is_told_with_what_goes_on():
    async def act(mf: Any) -> None:
        await mf.get_durable_object_namespace("JOBS").getByName("a").for_ever()

    with pytest.raises(NotAtRest, match=r"3600000|3,600,000.*alarm of JOBS#"):
        watched(always(lambda mf: mf), act=act, rest=timedelta(hours=1))


def test_an_error_of_the_test_is_not_hidden_by_the_monitors():
    async def act(_: Any) -> None:
        message = "the test's own"
        raise LookupError(message)

    with pytest.raises(LookupError, match="the test's own"):
        watched(eventually(lambda _: False), act=act)


def test_two_worlds_of_one_simulation_are_watched_each_for_itself():
    async def main() -> tuple[int, int]:
        seen: dict[Any, int] = {}

        def note(mf: Any) -> bool:
            seen[mf] = seen.get(mf, 0) + 1
            return True

        options = {"worker": Job, "durable_objects": {"JOBS": "Job"}}
        async with emulator.Miniflare(**options) as one, emulator.Miniflare(**options) as other:
            monitor = always(note)
            async with watching(one, monitor), watching(other, monitor):
                await start(one)
        assert not current_simulation().loop._turn_watchers
        return seen[one], seen[other]

    one, other = emulator.run(main)
    assert one > 3
    assert other > 3


@pytest.mark.simulated
async def test_watching_works_in_a_test_of_the_plugin():
    async with emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}) as mf:
        async with watching(mf, eventually(lambda mf: alarms(mf) == 3)):
            await start(mf)
        # At the end of the block: inside of it, the whole run would end.
        with pytest.raises(MonitorFailure):
            async with watching(mf, lambda _: False):
                pass


# -- the hook --------------------------------------------------------------------------------


def test_a_watcher_sees_the_end_of_every_turn_and_no_step_between():
    async def main() -> list[str]:
        loop: Any = asyncio.get_running_loop()
        seen: list[str] = []
        stop = loop.watch_turns(lambda: seen.append("turn"))
        for _ in range(3):
            await asyncio.sleep(0)
        seen.append("same turn")
        await asyncio.sleep(1)
        await asyncio.sleep(1)
        stop()
        await asyncio.sleep(1)
        return seen

    assert emulator.run(main) == ["same turn", "turn", "turn"]


def test_what_a_watcher_raises_ends_the_run():
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        def watcher() -> None:
            stop()
            message = "seen"
            raise AssertionError(message)

        stop = loop.watch_turns(watcher)
        await asyncio.sleep(10)

    with pytest.raises(AssertionError, match="seen"):
        emulator.run(main)
