"""Races and crash points, read off runs that are written down here step by step."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.simulation.deviations import Hold, Site
from emulator.simulation.fault_points import fault_points
from emulator.simulation.playing import Step
from emulator.simulation.races import Experience, Race, RunOrder
from emulator.simulation.rules import Operation


def step(
    actor: str,
    name: str,
    departed: int,
    effect: int,
    arrival: int,
    *touches: tuple[str, bool],
    target: str = "",
    state: Any = 0,
    nth: int = 1,
    cause: int = -1,
) -> Step:
    operation = Operation("B", name, "", actor, target)
    site = Site(actor, f"B.{name}", nth)
    return Step(site, operation, departed, effect, arrival, state, touches, cause)


def order(*steps: Step) -> RunOrder:
    return RunOrder(steps, (), Experience())


def races(*steps: Step) -> list[tuple[int, int, str]]:
    return [race[:3] for race in order(*steps).races()]


WRITE, READ = ("key", True), ("key", False)


def test_two_writes_of_one_key_race() -> None:
    assert races(step("A", "put", 1, 3, 4, WRITE), step("B", "put", 2, 5, 6, WRITE)) == [
        (0, 1, "effect")
    ]


def test_two_reads_do_not_race() -> None:
    assert races(step("A", "get", 1, 3, 4, READ), step("B", "get", 2, 5, 6, READ)) == []


def test_steps_of_different_keys_do_not_race() -> None:
    other = ("other", True)
    assert races(step("A", "put", 1, 3, 4, WRITE), step("B", "put", 2, 5, 6, other)) == []


@pytest.mark.parametrize(
    ("one", "other", "do_race"),
    [
        ("r2:B", "r2:B/u1/a", True),
        ("r2:B/u1/a", "r2:B", True),
        ("r2:B", "r2:BUCKET/a", False),
        ("d1:DB", "d1:DB.rows", True),
        ("d1:DB.rows", "d1:DB.other", False),
    ],
)
def test_a_resource_holds_what_is_named_below_it(
    one: str, other: str, *, do_race: bool
) -> None:
    found = races(
        step("A", "put", 1, 3, 4, (one, True)), step("B", "list", 2, 5, 6, (other, False))
    )

    assert bool(found) is do_race


def test_what_departs_after_an_answer_of_its_own_actor_does_not_race_with_it() -> None:
    after = step("A", "put", 4, 5, 6, WRITE, cause=3)
    assert races(step("A", "get", 1, 2, 3, READ), after) == []


def test_what_departs_later_in_another_chain_of_one_object_races() -> None:
    # Two calls are under way in one object; the second chain departs after the first arrival.
    found = races(
        step("A", "put", 1, 3, 4, WRITE),
        step("A", "other", 2, 5, 6),
        step("A", "put", 7, 8, 9, WRITE, nth=2, cause=6),
    )

    # It departed in the turn that "other" began, so the first put did not cause it.
    assert found == [(0, 2, "effect")]


def test_a_cause_is_followed_through_a_call_and_its_answer() -> None:
    # The test calls an object, which puts and answers; what the test then does comes after.
    found = races(
        step("test", "rpc", 1, 2, 6, ("object:O#1", True), target="O#1"),
        step("O#1", "put", 3, 4, 5, WRITE, cause=2),
        step("test", "put", 7, 8, 9, WRITE, cause=6),
    )

    assert found == []


def test_the_arrivals_of_one_object_race() -> None:
    found = races(
        step("test", "rpc", 1, 3, 9, ("object:O#1", True), target="O#1", nth=1),
        step("test", "rpc", 2, 4, 10, ("object:O#1", True), target="O#1", nth=2),
        step("O#1", "get", 5, 7, 8, cause=3),
        step("O#1", "get", 6, 11, 12, nth=2, cause=4),
    )

    assert (0, 1, "effect") in found
    assert (2, 3, "arrival") in found


def test_what_departs_after_time_alone_races_with_what_came_before() -> None:
    # A test starts a call, lets time pass, and starts another before the first is answered.
    found = races(step("test", "put", 1, 3, 4, WRITE), step("test", "get", 5, 6, 7, READ))

    assert found == [(0, 1, "effect")]


def test_a_hold_that_never_came_about_is_a_cause_from_then_on() -> None:
    experience = Experience()
    one, two = step("A", "put", 1, 3, 4, WRITE), step("B", "get", 2, 5, 6, READ)
    three = step("B", "put", 7, 8, 9, WRITE, cause=6)
    steps = one, two, three
    assert [race[:2] for race in RunOrder(steps, (), experience).races()] == [(0, 1), (0, 2)]

    experience.learn(Hold(one.site, two.site))

    assert RunOrder(steps, (), experience).races() == []


def test_a_call_that_comes_in_races_with_an_answer() -> None:
    found = races(
        step("test", "rpc", 1, 2, 9, ("object:O#1", True), target="O#1"),
        step("O#1", "get", 3, 4, 5, cause=2),
        step("test", "rpc", 6, 7, 8, ("object:O#1", True), target="O#1", nth=2),
    )

    # The answer may come when the second call has come in, or when that was answered.
    assert [race for race in found if race[:2] == (1, 2)] == [
        (1, 2, "effect"),
        (1, 2, "arrival"),
    ]


def test_a_held_pair_is_not_turned_back() -> None:
    steps = step("A", "put", 2, 3, 4, WRITE), step("B", "put", 1, 5, 6, WRITE)
    held = RunOrder(steps, (Hold(steps[1].site, steps[0].site),), Experience())

    assert held.races() == []


def test_races_come_nearest_first() -> None:
    found = order(
        step("A", "put", 1, 4, 5, WRITE),
        step("B", "put", 2, 6, 7, WRITE),
        step("C", "put", 3, 8, 9, WRITE),
    ).races()

    assert found == [
        Race(0, 1, "effect", "key", 1),
        Race(1, 2, "effect", "key", 1),
        Race(0, 2, "effect", "key", 2),
    ]


# -- one number for an order -------------------------------------------------------------------


def signature(*steps: Step) -> int:
    return order(*steps).signature()


def test_an_order_of_what_does_not_conflict_is_no_other_order() -> None:
    one = step("A", "put", 1, 3, 4, ("a", True)), step("B", "put", 2, 5, 6, ("b", True))
    other = step("A", "put", 1, 5, 6, ("a", True)), step("B", "put", 2, 3, 4, ("b", True))

    assert signature(*one) == signature(*other)


def test_another_order_of_what_conflicts_is_another_order() -> None:
    one = step("A", "put", 1, 3, 4, WRITE), step("B", "get", 2, 5, 6, READ)
    other = step("A", "put", 1, 5, 6, WRITE), step("B", "get", 2, 3, 4, READ)

    assert signature(*one) != signature(*other)


def test_the_order_of_two_reads_between_writes_does_not_matter() -> None:
    def reads(first: int, second: int) -> tuple[Step, ...]:
        return (
            step("A", "get", 1, first, first + 1, READ),
            step("B", "get", 2, second, second + 1, READ),
            step("C", "put", 3, 8, 9, WRITE),
        )

    assert signature(*reads(4, 6)) == signature(*reads(6, 4))


def test_holds_lead_to_the_order_of_another_run() -> None:
    one = step("A", "put", 1, 3, 4, WRITE), step("B", "get", 2, 5, 6, READ)
    other = step("A", "put", 1, 5, 6, WRITE), step("B", "get", 2, 3, 4, READ)

    assert order(*one).holds_towards(order(*other)) == (Hold(one[0].site, one[1].site),)
    assert order(*one).holds_towards(order(*one)) == ()


# -- crash points ------------------------------------------------------------------------------


def crash_points(*steps: Step, kinds: tuple[str, ...] = ("crash before", "crash after")) -> Any:
    found, pruned_count = fault_points(steps, range(len(steps)), lambda _: kinds)
    return [point[:2] for point in found], pruned_count


def test_a_crash_after_one_step_is_a_crash_before_the_next() -> None:
    found, pruned_count = crash_points(
        step("A", "put", 1, 2, 3, state=0),
        step("A", "put", 4, 5, 6, state=1, nth=2),
        step("A", "put", 7, 8, 9, state=2, nth=3),
    )

    assert found == [
        (0, "crash before"),
        (0, "crash after"),
        (1, "crash after"),
        (2, "crash after"),
    ]
    assert pruned_count == 2


def test_crash_points_of_one_state_with_another_call_under_way_are_two() -> None:
    found, _ = crash_points(
        step("A", "get", 1, 4, 5),
        step("A", "get", 2, 3, 8, nth=2),
        step("A", "get", 6, 7, 9, nth=3),
        kinds=("crash before",),
    )

    # The second had its effect while the first was still under way; the third alone is like
    # the first, and crashes as that would.
    assert [index for index, _ in found] == [0, 1]


def test_crash_points_of_two_actors_are_two() -> None:
    found, _ = crash_points(
        step("A", "get", 1, 2, 3), step("B", "get", 4, 5, 6), kinds=("crash before",)
    )

    assert len(found) == 2


def test_crash_points_with_another_caller_waiting_are_two() -> None:
    found, _ = crash_points(
        step("test", "rpc", 1, 2, 5, ("object:O", True), target="O"),
        step("O", "get", 3, 4, 6),
        step("test", "rpc", 7, 8, 11, ("object:O", True), target="O", nth=2),
        step("O", "get", 9, 10, 12, nth=2),
        kinds=("crash before",),
    )

    assert [index for index, _ in found if index in (1, 3)] == [1, 3]


def test_an_error_is_never_left_out() -> None:
    found, pruned_count = crash_points(
        step("A", "get", 1, 2, 3), step("A", "get", 4, 5, 6, nth=2), kinds=("error before",)
    )

    assert len(found) == 2
    assert pruned_count == 0
