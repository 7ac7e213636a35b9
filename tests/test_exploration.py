"""`emulator.explore` on workers: bugs that no calm run shows, and workers without any."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from js import Date
from workers import DurableObject

import emulator
from emulator import faults, schedules
from emulator.errors import ConfigurationError, ExplorationFailure, JsException
from emulator.simulation.deviations import Hold, Inject
from emulator.simulation.monitors import always, sometimes
from emulator.simulation.rules import UnusedFaultWarning


def world(worker: type, **options: Any) -> emulator.Miniflare:
    return emulator.Miniflare(
        worker=worker,
        durable_objects={"JOBS": worker.__name__},
        r2_buckets=["BUCKET"],
        **options,
    )


def job(mf: Any, name: str = "a") -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName(name)


def failure(scenario: Any, *args: Any, **options: Any) -> ExplorationFailure:
    with pytest.raises(ExplorationFailure) as caught:
        emulator.explore(scenario, *args, **options)
    return caught.value


# -- classic bugs ------------------------------------------------------------------------------


class Counter(DurableObject):
    """It reads, asks elsewhere, and writes what it read plus one."""

    async def add(self) -> None:
        count = await self.ctx.storage.get("count") or 0
        await self.env.BUCKET.head("limit")
        await self.ctx.storage.put("count", count + 1)

    async def count(self) -> int:
        return await self.ctx.storage.get("count") or 0


async def two_additions() -> None:
    async with world(Counter) as mf:
        done = 0

        async def add() -> None:
            nonlocal done
            try:
                await job(mf).add()
            except JsException:
                return
            done += 1

        first = asyncio.create_task(add())
        await mf.advance(5)  # The first is over by then, if nothing is late.
        await add()
        await first
        assert await job(mf).count() >= done


def test_a_lost_update_across_an_await_is_found() -> None:
    found = failure(two_additions)

    assert len(found.deviations) == 1
    assert found.worlds <= 10


def test_a_lost_update_is_found_by_order_alone() -> None:
    found = failure(two_additions, faults=())

    assert isinstance(found.deviations[0], Hold)
    assert "took effect after" in found.sentences[0]


class Once(DurableObject):
    """Its alarm has an effect that no second run may have."""

    async def start(self) -> None:
        await self.ctx.storage.setAlarm(1)

    async def alarm(self, info: Any) -> None:
        found = await self.env.BUCKET.get("runs")
        runs = 0 if found is None else int(await found.text())
        await self.env.BUCKET.put("runs", str(runs + 1))


async def one_alarm() -> None:
    async with world(Once) as mf:
        try:
            await job(mf).start()
        except JsException:
            return
        await mf.run_until_idle()
        found = await mf.get_r2_bucket("BUCKET").get("runs")
        assert found is None or await found.text() == "1"


def test_a_duplicate_effect_of_an_alarm_is_found() -> None:
    found = failure(one_alarm, faults=["duplicate"])

    assert found.deviations == (Inject(found.deviations[0].site, "duplicate"),)
    assert "alarms run at least once (Cloudflare docs, Durable Objects, Alarms)" in str(found)


class Sender(DurableObject):
    """It tries again whatever the error, without a key that tells the attempts apart."""

    async def send(self) -> None:
        for _ in range(3):
            try:
                await self.env.BUCKET.put(f"sent/{len(await self._sent())}", "x")
            except JsException:
                continue
            return

    async def _sent(self) -> Any:
        return (await self.env.BUCKET.list(prefix="sent/")).objects


async def one_message() -> None:
    async with world(Sender) as mf:
        try:
            await job(mf).send()
        except JsException:
            return
        sent = await mf.get_r2_bucket("BUCKET").list(prefix="sent/")
        assert len(sent.objects) <= 1


def test_a_retry_after_a_lost_answer_is_found() -> None:
    found = failure(one_message, faults=["error"])

    assert found.deviations[0].kind == "error after"


class Eager(DurableObject):
    """It sets its alarm before it has written what the alarm needs."""

    async def start(self) -> None:
        await self.ctx.storage.setAlarm(Date.now() + 50)
        await self.env.BUCKET.head("template")
        await self.ctx.storage.put("config", "x")

    async def alarm(self, info: Any) -> None:
        assert await self.ctx.storage.get("config") == "x"


async def an_eager_alarm() -> None:
    async with world(Eager) as mf:
        try:
            await job(mf).start()
        except JsException:
            return
        await mf.advance(60_000)
        assert not mf.trace.of_kind("alarm.failed")


def test_an_alarm_before_its_configuration_is_found() -> None:
    found = failure(an_eager_alarm)

    assert len(found.deviations) == 1
    assert found.worlds <= 60


class TwoWindows(DurableObject):
    """It looks at two objects twice each, and complains only if both have changed."""

    async def look(self) -> str:
        before = [await self._size("a"), await self._size("b")]
        await self.env.BUCKET.head("between")
        after = [await self._size("a"), await self._size("b")]
        return "both" if before[0] != after[0] and before[1] != after[1] else "fine"

    async def _size(self, key: str) -> int:
        found = await self.env.BUCKET.head(key)
        return 0 if found is None else int(found.size)


async def two_writers_and_a_reader() -> None:
    async with world(TwoWindows) as mf:
        bucket = mf.get_r2_bucket("BUCKET")

        async def write(key: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            await bucket.put(key, "x")

        looking = asyncio.create_task(job(mf).look())
        await asyncio.gather(write("a", 0.05), write("b", 0.1))
        assert await looking == "fine"


def test_a_bug_that_needs_two_holds_is_found_in_few_worlds() -> None:
    found = failure(two_writers_and_a_reader, faults=())

    assert len(found.deviations) <= 2
    assert found.worlds <= 100


# -- replaying ---------------------------------------------------------------------------------


def test_the_token_replays_the_failure() -> None:
    found = failure(two_additions)

    with pytest.raises(AssertionError):
        emulator.run(two_additions, schedule=schedules.replay(found.token))
    assert len(found.token) <= 200


def test_the_deviations_replay_the_failure() -> None:
    found = failure(one_alarm, faults=["duplicate"])

    with pytest.raises(AssertionError):
        emulator.run(one_alarm, schedule=schedules.replay(found.deviations))


def test_the_report_holds_a_test_that_fails() -> None:
    found = failure(two_additions)
    text = re.split(r"as a test:\n\n", str(found))[1]
    names = {"emulator": emulator, "schedules": schedules, "two_additions": two_additions}

    exec(text, names)
    with pytest.raises(AssertionError):
        names["test_two_additions_in_a_world_that_failed"]()  # type: ignore[operator]


def test_an_exploration_is_the_same_each_time() -> None:
    one, other = failure(two_additions, seed=3), failure(two_additions, seed=3)

    assert (one.token, one.worlds, one.sentences) == (
        other.token,
        other.worlds,
        other.sentences,
    )


# -- workers without a bug ---------------------------------------------------------------------


class Careful(DurableObject):
    """It adds in one turn, and notes which requests it has seen."""

    async def add(self, request: str) -> None:
        await self.env.BUCKET.head("limit")
        count = await self.ctx.storage.get("count") or 0
        seen = await self.ctx.storage.get("seen") or []
        if request not in seen:
            await self.ctx.storage.put({"count": count + 1, "seen": [*seen, request]})

    async def count(self) -> int:
        return await self.ctx.storage.get("count") or 0


async def careful_additions() -> None:
    async with world(Careful) as mf:
        done: set[str] = set()

        async def add(request: str) -> None:
            for _ in range(2):
                try:
                    await job(mf).add(request)
                except JsException:
                    continue
                done.add(request)
                return

        await asyncio.gather(add("x"), add("y"))
        for _ in range(3):
            try:
                count = await job(mf).count()
            except JsException:
                continue
            assert len(done) <= count <= 2


def test_a_worker_without_the_bug_passes_in_every_world() -> None:
    result = emulator.explore(careful_additions, budget=300)

    assert result.world_count <= 300
    assert result.phases["pairs"] > 0
    assert {"crash after", "error after", "evict"} <= set(result.kinds)


def test_every_order_of_a_small_scenario_is_a_proof() -> None:
    result = emulator.explore(careful_additions, faults=())

    assert result.is_exhausted
    assert result.proof == "every order of conflicting operations: none fails"


def test_what_follows_from_what_is_learned_from_holds_that_never_come_about() -> None:
    async def scenario() -> None:
        async with world(Careful) as mf:
            for number in range(8):
                # A task of its own: that the next one waits for its end is not seen.
                await asyncio.create_task(add(mf, str(number)))
                await mf.advance(1_000)

    async def add(mf: Any, request: str) -> None:
        await job(mf).add(request)

    result = emulator.explore(scenario, faults=())

    # Many pairs look as if they raced, 28 of the calls alone.
    assert result.is_exhausted
    assert 7 <= result.phases["races"] <= 28
    assert result.order_count == 1


# -- what else it takes ------------------------------------------------------------------------


def test_an_invariant_is_asked_in_every_world() -> None:
    def no_second_run(mf: Any) -> bool:
        return len(mf.trace.of_kind("alarm")) <= 1

    async def scenario() -> None:
        async with world(Once) as mf:
            await job(mf).start()
            await mf.run_until_idle()

    found = failure(scenario, [always(no_second_run)], faults=["duplicate"])

    assert "no_second_run" in str(found)


def test_a_moment_that_is_never_reached_is_a_finding() -> None:
    found = failure(
        one_alarm, [sometimes(lambda mf: mf.trace.of_kind("no.such"))], faults=["latency"]
    )

    assert "was not met in any of" in str(found)
    assert (found.deviations, found.token) == ((), "")


def test_a_rule_applies_in_every_world() -> None:
    async def scenario() -> None:
        async with world(Counter) as mf:
            await mf.get_r2_bucket("BUCKET").put("limit", "1")
            await job(mf).add()
            assert await mf.get_r2_bucket("BUCKET").head("limit") is None

    result = emulator.explore(scenario, faults=["evict", faults.missing("BUCKET")])

    assert list(result.kinds) == ["evict"]


def test_a_rule_that_matches_in_no_world_is_told() -> None:
    with pytest.warns(UnusedFaultWarning, match=r"any of \d+ worlds ever matched .*'OTHER'"):
        emulator.explore(careful_additions, faults=[faults.missing("OTHER")], budget=3)


def test_a_scenario_that_fails_in_the_calm_run_is_told_so() -> None:
    async def scenario() -> None:
        raise ValueError("no")

    found = failure(scenario)

    assert "fails in the calm run, without any deviation: ValueError: no" in str(found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"faults": "crash"}, "faults is a list"),
        ({"faults": ["crush"]}, "did you mean 'crash'"),
        ({"faults": [faults.missing]}, "names of kinds"),
        ({"budget": 0}, "budget must be a whole number of 1 or more"),
        ({"deviations_max": 1.5}, "deviations_max must be"),
        ({"invariants": [7]}, "an invariant is"),
    ],
)
def test_a_wrong_argument_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        emulator.explore(one_alarm, **options)


def test_a_coroutine_is_no_scenario() -> None:
    coroutine = one_alarm()
    try:
        with pytest.raises(ConfigurationError, match="the async function itself"):
            emulator.explore(coroutine)  # type: ignore[arg-type]
    finally:
        coroutine.close()


# -- inside a property test --------------------------------------------------------------------


@given(amounts=st.lists(st.integers(0, 3), min_size=1, max_size=3))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_runs_inside_a_property_test(amounts: list[int]) -> None:
    async def scenario() -> None:
        async with world(Careful) as mf:
            for number, amount in enumerate(amounts):
                for _ in range(amount):
                    await job(mf).add(str(number))
            expected = sum(amount > 0 for amount in amounts)
            assert await job(mf).count() == expected

    emulator.explore(scenario, faults=["latency"], budget=15)


def test_a_property_test_shrinks_what_exploration_finds() -> None:
    falsifying: list[int] = []

    @given(count=st.integers(0, 5))
    @settings(max_examples=20, deadline=None, database=None)
    def run(count: int) -> None:
        async def scenario() -> None:
            async with world(Counter) as mf:
                await asyncio.gather(*(job(mf).add() for _ in range(count)))
                assert await job(mf).count() == count

        falsifying.append(count)
        emulator.explore(scenario, faults=(), budget=20)

    with pytest.raises(ExplorationFailure):
        run()
    assert falsifying[-1] == 2


def test_what_a_random_schedule_finds_is_told_as_a_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All worlds but the first by chance, and no fault among them.
    monkeypatch.setattr("emulator.simulation.explore._CHANCE_ONE_IN", 1)

    found = failure(two_additions, faults=(), budget=100)

    assert "(by chance)" in str(found)
    assert [type(one) for one in found.deviations] == [Hold]
    with pytest.raises(AssertionError):
        emulator.run(two_additions, schedule=schedules.replay(found.deviations))
