"""Laws of the named random streams, the clock and the trace."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.simulation.clock import START_MS_DEFAULT, Clock, duration_ms, instant_ms
from emulator.simulation.patches import Patches
from emulator.simulation.randomness import Randomness
from emulator.simulation.rules import Operation
from emulator.simulation.schedules import JITTER_MS_MAX, fifo
from emulator.simulation.schedules import random as random_schedule
from emulator.simulation.trace import Trace

# -- streams ---------------------------------------------------------------------------------


@given(st.integers(), st.integers(0, 50))
def test_a_draw_from_one_stream_never_shifts_the_luck_of_another(seed, draws):
    disturbed, calm = Randomness(seed), Randomness(seed)
    for _ in range(draws):
        disturbed.stream("latency").random()

    assert disturbed.token_hex("alarms.jitter", 8) == calm.token_hex("alarms.jitter", 8)


def test_a_stream_is_the_same_object_at_each_call_and_another_for_each_name_and_seed():
    randomness = Randomness(1)

    assert randomness.stream("a") is randomness.stream("a")
    first = [Randomness(s).token_bytes(n, 16) for s in (1, 2, -1) for n in ("a", "b", "")]
    assert len(set(first)) == 9


def test_the_luck_of_a_seed_is_the_same_for_ever():
    randomness = Randomness(0)

    assert [randomness.token_hex("a", 4) for _ in range(2)] == ["ac75ac72", "9af31c41"]
    assert Randomness(0).stream("alarms.jitter").randrange(10**6) == FIRST_JITTER


FIRST_JITTER = random.Random(
    int.from_bytes(__import__("hashlib").sha256(b"0\0alarms.jitter").digest(), "big")
).randrange(10**6)


# -- schedules -------------------------------------------------------------------------------


def test_the_calm_schedule_never_deviates():
    schedule = fifo()
    schedule.bind(Randomness(1))

    assert schedule.is_calm
    assert schedule.extra_ms(Operation("B", "r2.get")) == 0
    assert schedule.tie_break() == 0


def test_the_random_schedule_stays_within_its_bounds_and_reaches_them():
    schedule = random_schedule(3)
    schedule.bind(Randomness(1))
    extra = {schedule.extra_ms(Operation("B", "r2.get")) for _ in range(500)}

    assert extra == set(range(JITTER_MS_MAX + 1))
    assert all(0 <= schedule.tie_break() < 2**16 for _ in range(500))


# -- the clock -------------------------------------------------------------------------------


def test_the_clock_starts_on_a_fixed_day_and_tells_aware_time():
    clock = Clock()

    assert clock.now == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now_ms == clock.start_ms == START_MS_DEFAULT
    assert repr(clock) == "<Clock 2026-01-01T00:00:00.000+00:00>"


def test_an_observer_hears_of_each_move_until_it_stops():
    clock, heard = Clock(0), []
    stop = clock.observe(heard.append)
    clock.move_to(5)
    clock.move_to(5)
    stop()
    clock.move_to(9)

    assert heard == [5, 5]
    assert clock.elapsed_ms == 9


@pytest.mark.parametrize(
    ("instant", "expected_ms"),
    [
        (5, 5),
        (5.9, 5),
        (datetime(1970, 1, 1, 0, 0, 1), 1000),  # noqa: DTZ001  # Naive means UTC.
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC), -1),
    ],
)
def test_an_instant_is_whole_milliseconds_and_a_naive_one_is_utc(instant, expected_ms):
    assert instant_ms(instant) == expected_ms


@pytest.mark.parametrize(
    ("duration", "expected_ms"),
    [(0, 0), (5, 5), (0.1, 1), (timedelta(seconds=2), 2000), (timedelta(microseconds=1), 1)],
)
def test_a_duration_is_rounded_up_to_whole_milliseconds(duration, expected_ms):
    assert duration_ms(duration) == expected_ms


@pytest.mark.parametrize("duration", [-1, timedelta(seconds=-1)])
def test_a_negative_duration_is_refused(duration):
    with pytest.raises(ValueError, match="cannot be negative"):
        duration_ms(duration)


# -- the trace -------------------------------------------------------------------------------


def _trace(*subjects: str) -> Trace:
    trace = Trace(Clock(0))
    for subject in subjects:
        trace.record("step", subject, count=1, note=None)
    return trace


def test_equal_traces_have_equal_digests_and_others_have_others():
    assert _trace("a", "b").digest() == _trace("a", "b").digest()
    digests = {
        _trace().digest(),
        _trace("a").digest(),
        _trace("b").digest(),
        _trace("a", "b").digest(),
        _trace("b", "a").digest(),
        _trace("a", "b", "").digest(),
    }
    assert len(digests) == 6


def test_the_order_in_which_facts_are_named_does_not_matter_to_the_digest():
    one, two = Trace(Clock(0)), Trace(Clock(0))
    one.record("step", "a", x=1, y=2)
    two.record("step", "a", y=2, x=1)

    assert one.digest() == two.digest()


def test_a_trace_tells_time_kind_subject_and_facts():
    trace = _trace("a", "b")

    assert [str(event) for event in trace] == [
        "0 step a count=1 note=None", "0 step b count=1 note=None",
    ]  # fmt: skip
    assert trace.of_kind("other") == []
    assert len(trace.of_kind("step", "other")) == len(trace) == 2


# -- patches ---------------------------------------------------------------------------------


def test_patches_put_own_and_inherited_attributes_back_in_reverse_order():
    class Base:
        def say(self) -> str:
            return "base"

    class Derived(Base):
        own = 1

    patches = Patches()
    patches.replace(Derived, "say", lambda self: "patched")
    patches.replace(Derived, "own", 2)
    patches.replace(Derived, "own", 3)

    assert (Derived().say(), Derived.own) == ("patched", 3)
    assert "Derived.own" in repr(patches)
    patches.restore()
    assert (Derived().say(), Derived.own) == ("base", 1)
    assert "say" not in vars(Derived)
