"""Laws of the loop: order, time, turns, deadlock and runaway."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import SimulationDeadlock, SimulationEscape, SimulationRunaway
from emulator.simulation import loop as loop_module
from emulator.simulation.clock import START_MS_DEFAULT, Clock
from emulator.simulation.handles import OWNER, SimulationFuture
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import current_simulation, run
from emulator.simulation.schedules import random as random_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.handles import Handle


def here() -> SimulationLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulationLoop)
    return loop


# -- time ------------------------------------------------------------------------------------


def test_thirty_simulated_years_cost_no_real_time():
    async def main() -> float:
        await asyncio.sleep(30 * 365 * 86_400)
        return asyncio.get_running_loop().time()

    assert run(main) == 30 * 365 * 86_400


def test_the_clock_stands_still_within_a_turn():
    async def main() -> set[int]:
        clock, seen = here().clock, set()
        for _ in range(100):
            await asyncio.sleep(0)
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
            seen.add(clock.now_ms)
        return seen

    assert run(main) == {START_MS_DEFAULT}


@pytest.mark.parametrize(
    ("delay_s", "expected_ms"),
    [(0.001, 1), (0.0001, 1), (0.035, 35), (0.1, 100), (1.0005, 1001), (2.3, 2300), (1e-9, 0)],
)
def test_a_delay_is_rounded_up_to_a_millisecond_but_not_by_the_noise_of_floats(
    delay_s, expected_ms
):
    async def main() -> int:
        await asyncio.sleep(delay_s)
        return here().clock.elapsed_ms

    assert run(main) == expected_ms


@given(st.integers(1, 10**12), st.integers(0, 10**10))
def test_any_whole_count_of_milliseconds_is_slept_exactly(delay_ms, offset_ms):
    loop = SimulationLoop(Clock(offset_ms))
    handle = loop.call_later(delay_ms / 1000, int)
    at = loop.call_at(loop.time() + delay_ms / 1000, int)

    assert handle.due_ms == at.due_ms == offset_ms + delay_ms
    assert handle.when() == delay_ms / 1000
    loop.close()


def test_a_delay_in_the_past_means_now():
    async def main() -> list[int]:
        fired: list[int] = []
        loop = here()
        loop.call_later(-5, lambda: fired.append(loop.clock.elapsed_ms))
        loop.call_at(-5, lambda: fired.append(loop.clock.elapsed_ms))
        loop.deliver(0, lambda: fired.append(loop.clock.elapsed_ms))
        loop.deliver_last(0, lambda: fired.append(loop.clock.elapsed_ms))
        await loop.wait_idle()
        return fired

    assert run(main) == [0, 0, 0, 0]


# -- order -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=40))
def test_equal_deadlines_fire_in_the_order_in_which_they_were_set(delays):
    async def main() -> list[tuple[int, int]]:
        fired: list[tuple[int, int]] = []
        loop = here()
        for index, delay in enumerate(delays):
            loop.call_later(delay, fired.append, (delay, index))
        await loop.wait_idle()
        return fired

    assert run(main) == sorted((delay, index) for index, delay in enumerate(delays))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=40))
def test_deliveries_and_timers_share_one_order_and_cancelled_ones_never_run(plan):
    async def main() -> list[tuple[int, int]]:
        fired: list[tuple[int, int]] = []
        loop = here()
        handles = []
        for index, (delay, is_delivery, _) in enumerate(plan):
            if is_delivery:
                due_ms = loop.clock.now_ms + delay * 1000
                handles.append(loop.deliver(due_ms, fired.append, (delay, index)))
            else:
                handles.append(loop.call_later(delay, fired.append, (delay, index)))
        for handle, (_, _, is_cancelled) in zip(handles, plan, strict=True):
            if is_cancelled:
                handle.cancel()
                handle.cancel()
        kept = sum(not is_cancelled for _, _, is_cancelled in plan)
        assert loop.pending_count == kept
        await loop.wait_idle()
        assert loop.pending_count == 0
        return fired

    expected = sorted((delay, i) for i, (delay, _, gone) in enumerate(plan) if not gone)
    assert run(main) == expected


def test_ready_callbacks_run_first_in_first_out():
    async def main() -> list[int]:
        seen: list[int] = []
        for index in range(50):
            asyncio.get_running_loop().call_soon(seen.append, index)
        await asyncio.sleep(0)
        return seen

    assert run(main) == list(range(50))


def test_a_delivery_enters_only_when_every_ready_callback_has_run_dry():
    async def main() -> list[str]:
        seen: list[str] = []
        loop = here()

        def chain(name: str, left: int) -> None:
            seen.append(name)
            if left:
                loop.call_soon(chain, name, left - 1)

        loop.deliver(loop.clock.now_ms, chain, "a", 2)
        loop.deliver(loop.clock.now_ms, chain, "b", 2)
        await loop.wait_idle()
        return seen

    assert run(main) == ["a", "a", "a", "b", "b", "b"]


def test_what_waits_for_the_end_of_a_turn_runs_between_two_deliveries():
    async def main() -> list[str]:
        seen: list[str] = []
        loop = here()

        def event(name: str) -> None:
            seen.append(name)
            loop.at_turn_end(lambda: seen.append(f"end of {name}"))
            loop.call_soon(seen.append, f"rest of {name}")

        loop.deliver(loop.clock.now_ms, event, "a")
        loop.deliver(loop.clock.now_ms, event, "b")
        await loop.wait_idle()
        return seen

    assert run(main) == [
        "a", "rest of a", "end of a", "b", "rest of b", "end of b",
    ]  # fmt: skip


def test_deliver_last_comes_behind_everything_due_by_then_even_what_is_added_later():
    async def main() -> list[str]:
        seen: list[str] = []
        loop = here()
        due_ms = loop.clock.now_ms + 1000
        loop.deliver_last(due_ms, lambda: seen.append("last"))
        loop.deliver_late(due_ms, lambda: seen.append("late"))
        loop.deliver(due_ms, lambda: loop.deliver(due_ms, seen.append, "later"))
        loop.deliver(due_ms, seen.append, "first")
        loop.call_later(1, seen.append, "timer")
        await loop.wait_idle()
        return seen

    assert run(main) == ["first", "timer", "later", "late", "last"]


def test_two_nested_timeouts_with_one_deadline_have_both_expired():
    async def main() -> tuple[bool, bool]:
        when = asyncio.get_running_loop().time() + 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(when) as outer, asyncio.timeout_at(when) as inner:
                await asyncio.sleep(9)
        return outer.expired(), inner.expired()

    assert run(main) == (True, True)


def test_a_timeout_due_with_the_sleep_it_guards_wins_as_in_asyncio():
    async def main() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        run(main)


# -- lanes -----------------------------------------------------------------------------------

LANES = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z", None]), st.integers(0, 3)), max_size=60
)


@given(LANES, st.one_of(st.none(), st.integers(0, 2**32)))
def test_a_lane_keeps_its_order_under_every_schedule(plan, seed):
    async def main() -> list[tuple[str | None, int]]:
        seen: list[tuple[str | None, int]] = []
        loop = here()
        for index, (lane, delay_ms) in enumerate(plan):
            loop.deliver(loop.clock.now_ms + delay_ms, seen.append, (lane, index), lane=lane)
        await loop.wait_idle()
        return seen

    seen = run(main, schedule=None if seed is None else random_schedule(seed))

    assert sorted(index for _, index in seen) == list(range(len(plan)))
    for lane in ("x", "y", "z"):
        order = [index for name, index in seen if name == lane]
        assert order == sorted(order)


@given(LANES)
def test_nothing_arrives_before_it_is_due(plan):
    async def main() -> None:
        loop = here()
        for lane, delay_ms in plan:
            due_ms = loop.clock.now_ms + delay_ms

            def arrive(due_ms: int = due_ms) -> None:
                assert here().clock.now_ms >= due_ms

            loop.deliver(due_ms, arrive, lane=lane)
        await loop.wait_idle()

    run(main, schedule=random_schedule(1))


def test_lanes_of_the_past_are_forgotten():
    async def main() -> int:
        loop = here()
        for index in range(5 * loop_module.LANES_KEPT_MAX):
            loop.deliver(loop.clock.now_ms + index, int, lane=index)
        await loop.wait_idle()
        return len(loop._lanes)

    assert run(main) <= loop_module.LANES_KEPT_MAX + 1


def test_a_random_schedule_changes_the_order_of_what_is_free():
    async def main() -> list[int]:
        seen: list[int] = []
        loop = here()
        for index in range(20):
            loop.deliver(loop.clock.now_ms, seen.append, index)
        await loop.wait_idle()
        return seen

    orders = {tuple(run(main, schedule=random_schedule(seed))) for seed in range(5)}

    assert len(orders) == 5
    assert run(main, schedule=random_schedule(3)) == run(main, schedule=random_schedule(3))
    assert run(main, seed=4, schedule=random_schedule()) == run(
        main, seed=9, schedule=random_schedule(4)
    )


# -- idleness --------------------------------------------------------------------------------


def test_a_background_delivery_does_not_keep_the_simulation_from_being_idle():
    async def main() -> tuple[int, int]:
        loop = here()
        loop.deliver(loop.clock.now_ms + 10_000, int, is_background=True)
        gone = loop.deliver(loop.clock.now_ms + 20_000, int, is_background=True)
        gone.cancel()
        loop.deliver(loop.clock.now_ms + 100, int)
        await loop.wait_idle()
        return loop.clock.elapsed_ms, loop.pending_count

    assert run(main) == (100, 0)


def test_a_thousand_cancelled_timers_leave_no_weight():
    async def main() -> int:
        loop = here()
        for _ in range(1000):
            loop.call_later(1000, int).cancel()
        assert loop.pending_count == 0
        return len(loop._heap)

    assert run(main) < 210


def test_cancelling_a_timer_that_has_fired_changes_nothing():
    async def main() -> int:
        loop = here()
        handle = loop.call_later(1, int)
        await asyncio.sleep(2)
        handle.cancel()
        loop.call_later(1, int)
        return loop.pending_count

    assert run(main) == 1


# -- deadlock and runaway --------------------------------------------------------------------


def test_a_deadlock_names_who_waits_for_what_and_where():
    async def worker(lock: asyncio.Lock) -> None:
        await lock.acquire()

    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        future: SimulationFuture = asyncio.get_running_loop().create_future()
        future.waits_for = "the answer of BUCKET.r2.get('a')"
        blocked = asyncio.create_task(worker(lock), name="blocked worker")
        watcher = asyncio.create_task(_await(blocked), name="watcher")
        await future
        await watcher

    with pytest.raises(SimulationDeadlock) as caught:
        run(main)

    main_line, worker_line, watcher_line = caught.value.waiters
    assert main_line.startswith("main in ")
    assert main_line.endswith("waits for the answer of BUCKET.r2.get('a')")
    assert worker_line.startswith("blocked worker in ")
    assert "worker (test_loop.py:" in worker_line
    assert worker_line.endswith("waits for Lock.acquire()")
    assert watcher_line.endswith("waits for the task blocked worker")
    assert "2026-01-01T00:00:00.000+00:00" in str(caught.value)


def test_background_deliveries_that_never_end_hide_no_deadlock():
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        def look() -> None:
            loop.deliver(loop.clock.now_ms + 10_000, look, is_background=True)

        look()
        future: SimulationFuture = loop.create_future()
        future.waits_for = "what never comes"
        await future

    with pytest.raises(SimulationDeadlock, match="waits for what never comes"):
        run(main)


def test_a_background_delivery_may_wake_somebody_late():
    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        future = loop.create_future()
        left = 1_000

        def look() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.deliver(loop.clock.now_ms + 10_000, look, is_background=True)
            else:
                future.set_result(7)

        look()
        return await future  # type: ignore[no-any-return]

    assert run(main) == 7


def test_an_error_that_nobody_listens_to_is_still_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        future: SimulationFuture = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("in the last turn"))

    run(main)
    gc.collect()

    assert "never retrieved" in caplog.text


async def poll_for_ever(delay_s: float) -> None:
    """What a polling loop does whose condition never comes true."""
    is_done = False
    while not is_done:  # noqa: ASYNC110  # The livelock is what is tested.
        await asyncio.sleep(delay_s)


async def _await(task: asyncio.Task[Any]) -> None:
    await task


def test_a_deadlock_runs_the_finally_blocks_of_who_waited():
    seen: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            seen.append("cleaned up")

    with pytest.raises(SimulationDeadlock):
        run(main)

    assert seen == ["cleaned up"]


def test_a_turn_without_end_is_a_runaway(monkeypatch):
    monkeypatch.setattr(loop_module, "TURN_STEPS_MAX", 1000)

    async def main() -> None:
        await poll_for_ever(0)

    with pytest.raises(SimulationRunaway, match=r"one turn ran 1,000 steps.*real delay"):
        run(main)


def test_events_without_end_at_one_instant_are_a_runaway(monkeypatch):
    monkeypatch.setattr(loop_module, "COLLECT_INTERVAL", 100)
    monkeypatch.setattr(loop_module, "INSTANT_DELIVERIES_MAX", 1000)

    async def main() -> None:
        loop = here()

        def again() -> None:
            loop.deliver(loop.clock.now_ms, again)

        again()
        await asyncio.Event().wait()

    with pytest.raises(SimulationRunaway, match="1,000 events at one instant"):
        run(main)


def test_time_without_end_is_a_runaway():
    async def main() -> None:
        await poll_for_ever(86_400 * 365)

    with pytest.raises(SimulationRunaway, match="a hundred years"):
        run(main)


def test_sleeping_for_ever_is_a_runaway_and_not_an_overflow():
    async def main() -> None:
        await asyncio.sleep(float("inf"))

    with pytest.raises(SimulationRunaway, match="a hundred years"):
        run(main)


# -- stable hashes ---------------------------------------------------------------------------


def _disturb_the_heap(amount: int) -> list[object]:
    kept = [object() for _ in range(amount)]
    return kept[::3]


def _orders(main: Callable[[], Any]) -> set[tuple[Any, ...]]:
    orders, kept = set(), []
    for round_number in range(30):
        kept.append(_disturb_the_heap(round_number * 37 + 11))
        orders.add(tuple(run(main)))
    return orders


def test_a_task_group_cancels_its_children_in_one_order_in_every_run():
    async def main() -> list[int]:
        cancelled: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        async def failing() -> None:
            await asyncio.sleep(1)
            raise ValueError

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(20):
                    group.create_task(child(number))
                group.create_task(failing())

        with pytest.raises(ExceptionGroup):
            await together()
        return cancelled

    (order,) = _orders(main)
    assert sorted(order) == list(range(20))


def test_asyncio_wait_returns_sets_that_iterate_in_one_order_in_every_run():
    async def main() -> list[str]:
        tasks = [asyncio.create_task(asyncio.sleep(n % 3), name=str(n)) for n in range(20)]
        done, pending = await asyncio.wait(tasks, timeout=1.5)
        return [t.get_name() for t in done] + [t.get_name() for t in pending]

    assert len(_orders(main)) == 1


def test_sets_of_futures_and_all_tasks_iterate_in_one_order_in_every_run():
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(50)]
        place = {future: index for index, future in enumerate(futures)}
        tasks = [asyncio.create_task(asyncio.sleep(1), name=str(n)) for n in range(9)]
        names = [int(t.get_name()) for t in asyncio.all_tasks() if t.get_name() != "main"]
        await asyncio.wait(tasks)
        return [place[future] for future in set(futures)] + names

    assert len(_orders(main)) == 1


def test_tasks_are_named_by_the_count_of_their_own_loop():
    async def main() -> list[str]:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        await asyncio.gather(*tasks)
        return [task.get_name() for task in tasks]

    assert run(main) == run(main) == ["Task-1", "Task-2", "Task-3"]


# -- what asyncio has and a simulation has not -----------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: asyncio.to_thread(print),
        lambda loop: loop.getaddrinfo("example.com", 80),
        lambda loop: asyncio.open_connection("example.com", 80),
        lambda loop: asyncio.start_server(print, "127.0.0.1", 0),
        lambda loop: asyncio.create_subprocess_exec("true"),
        lambda loop: asyncio.create_subprocess_shell("true"),
        lambda loop: loop.sock_recv(None, 1),
        lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol),
    ],
    ids=[
        "run_in_executor", "to_thread", "getaddrinfo", "open_connection", "start_server",
        "subprocess_exec", "subprocess_shell", "sock_recv", "create_datagram_endpoint",
    ],
)  # fmt: skip
def test_asyncio_ways_out_are_refused_where_they_are_asked_for(call):
    async def main() -> None:
        await call(asyncio.get_running_loop())

    with pytest.raises(SimulationEscape):
        run(main)


@pytest.mark.parametrize(
    "call",
    [lambda loop: loop.add_reader(0, print), lambda loop: loop.add_signal_handler(2, int)],
)
def test_readers_and_signal_handlers_are_refused(call):
    async def main() -> None:
        call(asyncio.get_running_loop())

    with pytest.raises(SimulationEscape, match=r"loop\.add_"):
        run(main)


def test_call_soon_threadsafe_is_call_soon_on_the_own_thread():
    async def main() -> list[int]:
        seen: list[int] = []
        asyncio.get_running_loop().call_soon_threadsafe(seen.append, 1)
        await asyncio.sleep(0)
        return seen

    assert run(main) == [1]


# -- exceptions ------------------------------------------------------------------------------


def test_an_exception_in_a_callback_is_told_without_an_address_and_the_loop_goes_on(caplog):
    class Faulty:
        def __call__(self) -> None:
            message = "boom"
            raise ValueError(message)

    async def main() -> str:
        asyncio.get_running_loop().call_soon(Faulty())
        asyncio.get_running_loop().call_later(1, Faulty())
        await asyncio.sleep(2)
        return "went on"

    assert run(main) == "went on"
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert record.name == "asyncio"
        assert "Faulty" in record.getMessage()
        assert "0x" not in record.getMessage()


def test_the_exception_of_a_task_that_nobody_awaited_is_told_without_an_address(caplog):
    async def boom() -> None:
        raise ValueError

    async def main() -> None:
        task = asyncio.create_task(boom())
        await asyncio.sleep(1)
        del task
        gc.collect()

    run(main)

    (record,) = caplog.records
    assert "Task exception was never retrieved" in record.getMessage()
    assert "Task-1" in record.getMessage()
    assert "0x" not in record.getMessage()


def test_a_closed_loop_refuses_new_work():
    loop = SimulationLoop()
    loop.close()
    loop.close()

    for call in (
        lambda: loop.call_soon(int),
        lambda: loop.call_later(1, int),
        lambda: loop.call_at(1, int),
        lambda: loop.deliver(0, int),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_a_stopped_loop_does_not_let_time_go_on():
    loop = SimulationLoop()
    loop.call_later(5, int)
    loop.call_soon(loop.stop)
    loop.run_forever()

    assert loop.clock.elapsed_ms == 0
    assert loop.pending_count == 1
    loop.close()


# -- owners ----------------------------------------------------------------------------------


class Gate:
    """An owner whose timers wait until its gate is opened."""

    def __init__(self, loop: SimulationLoop) -> None:
        self.loop = loop
        self.waiting: list[Handle] = []

    def admit(self, handle: Handle) -> None:
        self.waiting.append(handle)

    def open(self) -> None:
        for handle in self.waiting:
            self.loop.enqueue(handle)


def test_a_timer_of_an_owner_enters_by_the_owners_gate():
    async def main() -> tuple[list[str], list[str]]:
        seen: list[str] = []
        loop = here()
        gate = Gate(loop)
        OWNER.set(gate)
        loop.call_later(1, seen.append, "timer")
        assert gate in loop.owners()
        assert loop.owners() == [gate]
        OWNER.set(None)
        await asyncio.sleep(2)
        before = list(seen)
        gate.open()
        await asyncio.sleep(0)
        return before, seen

    assert run(main) == ([], ["timer"])


def test_an_owner_without_tasks_and_timers_has_no_work():
    async def main() -> tuple[bool, bool, list[Any]]:
        loop = here()
        gate = Gate(loop)
        context = loop.platform_context.copy()
        context.run(OWNER.set, gate)
        task = loop.create_task(asyncio.sleep(0), context=context)
        during = gate in loop.owners()
        await task
        return during, gate in loop.owners(), loop.owners()

    assert run(main) == (True, False, [])


def test_the_simulation_of_the_running_loop_is_found():
    async def main() -> bool:
        return current_simulation().loop is asyncio.get_running_loop()

    assert run(main)
