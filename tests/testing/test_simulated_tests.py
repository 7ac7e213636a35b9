"""The laws of the pytest plugin that this suite's own tests can show, since it runs them."""

from __future__ import annotations

import asyncio
import contextvars
import time
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from workers import DurableObject, Response, WorkerEntrypoint

from emulator.simulation.clock import START_MS_DEFAULT
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import current_simulation

COLOUR = contextvars.ContextVar("COLOUR", default="none")


class Reminder(DurableObject):
    async def remind(self, delay_ms):
        await self.ctx.storage.setAlarm(int(time.time() * 1000) + delay_ms)

    async def alarm(self, info=None):
        print("reminded at", datetime.now(UTC).isoformat())  # noqa: T201  # A worker's print.


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.REMINDERS.getByName("a").remind(86_400_000)
        return Response(f"{datetime.now(UTC).year} {int(time.time() * 1000)}")


pytestmark = pytest.mark.miniflare(worker=Default, durable_objects={"REMINDERS": "Reminder"})


@pytest.fixture
async def before_a_day():
    return current_simulation()


@pytest.fixture
async def a_day_later(before_a_day):
    await asyncio.sleep(86_400)
    yield asyncio.get_running_loop()
    await asyncio.sleep(86_400)


@pytest.fixture
async def with_a_task_group_across_its_yield():
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        yield group


@pytest.fixture
async def coloured():
    COLOUR.set("red")
    yield
    assert COLOUR.get() == "red"


@pytest.fixture
def world_through_another_fixture(miniflare):
    return miniflare


@pytest.fixture
def namespace(miniflare):
    return miniflare.get_durable_object_namespace("REMINDERS")


@pytest.fixture
def frozen_first():
    with freeze_time("2031-03-03") as frozen:
        yield frozen


# -- which loop ------------------------------------------------------------------------------


async def test_a_test_with_miniflare_runs_on_the_loop_of_its_world(miniflare):
    assert asyncio.get_running_loop() is miniflare.world.simulation.loop
    assert isinstance(asyncio.get_running_loop(), SimulationLoop)


async def test_a_test_that_uses_miniflare_through_another_fixture_is_simulated(
    world_through_another_fixture,
):
    assert current_simulation() is world_through_another_fixture.world.simulation


async def test_a_synchronous_fixture_may_ask_the_world_for_its_bindings(namespace, miniflare):
    assert namespace is miniflare.get_bindings()["REMINDERS"]


@pytest.mark.simulated
async def test_a_marked_test_is_simulated_without_a_world():
    await asyncio.sleep(3600)
    assert current_simulation().clock.elapsed_ms == 3_600_000


@pytest.mark.simulated
async def test_a_fixture_runs_on_the_loop_of_its_test_and_time_goes_on(
    before_a_day, a_day_later
):
    assert current_simulation() is before_a_day
    assert asyncio.get_running_loop() is a_day_later
    assert current_simulation().clock.elapsed_ms == 86_400_000


def test_a_synchronous_test_is_left_alone():
    assert asyncio._get_running_loop() is None
    assert time.time() > START_MS_DEFAULT / 1000
    assert COLOUR.get() == "none"


class TestInAClass:
    @pytest.fixture
    async def bound(self):
        return self, asyncio.get_running_loop()

    @pytest.mark.simulated
    async def test_a_fixture_of_a_class_is_bound_to_the_instance_of_the_test(self, bound):
        assert bound == (self, asyncio.get_running_loop())

    @pytest.mark.parametrize("hours", [1, 2])
    async def test_a_parametrized_test_has_a_fresh_world_each_time(self, miniflare, hours):
        assert miniflare.clock.elapsed_ms == 0
        await miniflare.advance(timedelta(hours=hours))
        assert miniflare.clock.elapsed_ms == hours * 3_600_000


# -- fixtures --------------------------------------------------------------------------------


@pytest.mark.simulated
async def test_a_fixture_may_hold_a_task_group_and_a_timeout_across_its_yield(
    with_a_task_group_across_its_yield,
):
    with_a_task_group_across_its_yield.create_task(asyncio.sleep(5))
    await asyncio.sleep(1)


@pytest.mark.simulated
async def test_a_test_sees_the_context_variables_that_its_fixture_set(coloured):
    assert COLOUR.get() == "red"


@pytest.mark.simulated
async def test_and_the_next_test_does_not_see_them():
    assert COLOUR.get() == "none"


# -- mark and seed ---------------------------------------------------------------------------


@pytest.mark.simulated(start_time=datetime(2040, 1, 1, tzinfo=UTC))
async def test_a_mark_says_where_the_clock_starts(miniflare):
    response = await miniflare.dispatch_fetch("http://localhost/")
    assert response.text.startswith("2040 ")


@pytest.mark.simulated(seed=7)
async def test_a_mark_says_which_seed():
    assert current_simulation().seed == 7


# -- the worker's output -----------------------------------------------------------------------


async def test_what_a_worker_prints_is_in_the_logs_and_in_caplog(miniflare, caplog, capsys):
    await miniflare.dispatch_fetch("http://localhost/remind", method="POST")
    await miniflare.advance(timedelta(days=1))
    print("what a test prints")  # noqa: T201  # It must go where it always goes.

    line = "reminded at 2026-01-02T00:00:00.002000+00:00"
    assert [record.message for record in miniflare.logs] == [line]
    assert caplog.messages == [line]
    assert capsys.readouterr().out == "what a test prints\n"


# -- freezegun -------------------------------------------------------------------------------


@freeze_time("2030-05-05 12:00:00")
async def test_a_frozen_test_starts_the_clock_of_its_world_there(miniflare):
    assert miniflare.clock.now.isoformat() == "2030-05-05T12:00:00+00:00"
    response = await miniflare.dispatch_fetch("http://localhost/")

    assert response.text == f"2030 {miniflare.clock.now_ms}"
    assert datetime.now(UTC) == miniflare.clock.now
    await miniflare.advance(timedelta(days=300))
    assert datetime.now(UTC).year == 2031
    assert time.time() * 1000 == miniflare.clock.now_ms


@freeze_time("2029-01-01")
@freeze_time("2032-02-02")
@pytest.mark.simulated
async def test_the_inner_freeze_wins():
    assert datetime.now(UTC) == current_simulation().clock.now
    assert datetime.now(UTC).year == 2032


async def test_a_fixture_that_freezes_time_starts_the_clock_there(frozen_first, miniflare):
    response = await miniflare.dispatch_fetch("http://localhost/")
    assert response.text.startswith("2031 ")
    assert frozen_first().replace(tzinfo=UTC) == miniflare.clock.now


@freeze_time("2033-01-01")
class TestAFrozenClass:
    async def test_is_frozen_test_by_test(self, miniflare):
        assert miniflare.clock.now.year == 2033


def test_after_a_frozen_test_time_is_real_again():
    assert type(datetime.now(UTC)) is datetime
    assert datetime.now(UTC).year < 2029


async def test_worker_code_reads_simulated_time_without_any_freeze(miniflare):
    await miniflare.advance(timedelta(days=400))
    response = await miniflare.dispatch_fetch("http://localhost/")
    assert response.text == f"2027 {miniflare.clock.now_ms}"
