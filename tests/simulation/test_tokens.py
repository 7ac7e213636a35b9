"""Laws of tokens: what is read is what was made, and nothing else is read."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import faults
from emulator.errors import ConfigurationError
from emulator.simulation import schedules
from emulator.simulation.deviations import At, Hold, Inject, Site, from_json, to_json
from emulator.simulation.tokens import (
    TOKEN_LENGTH_MAX,
    Token,
    name_of,
    read_token,
    resolve,
    token,
)

PUT = Site("JOBS#1f3a9c02", "BUCKET.r2.put", 2)
FLUSH = Site("JOBS#1f3a9c02", "storage.flush", 1)
DEVIATIONS = (Hold(PUT, FLUSH, "arrival"), Inject(FLUSH, "crash after"), At(7, 1))

texts = st.text(max_size=12)
sites = st.builds(Site, texts, texts, st.integers(1, 10**6))
holds = st.tuples(sites, sites, st.sampled_from(["effect", "arrival"]))
deviations = st.lists(
    holds.filter(lambda it: it[0] != it[1]).map(lambda it: Hold(*it))
    | st.builds(Inject, sites, texts)
    | st.builds(At, st.integers(1, 10**6), st.integers(0, 99)),
    max_size=6,
).map(tuple)


async def scenario() -> None:
    """What the tokens here are of."""


def law() -> None:
    """A function that must hold."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- deviations ----------------------------------------------------------------------------


@given(deviations)
def test_deviations_go_to_json_and_come_back(drawn):
    assert from_json(to_json(drawn)) == drawn


@given(deviations)
def test_the_repr_of_a_deviation_is_the_line_that_makes_it(drawn):
    assert eval(repr(drawn)) == drawn


def test_deviations_of_one_kind_sort_and_all_of_them_hash():
    later = Hold(PUT, FLUSH, "effect")

    assert sorted([later, DEVIATIONS[0]]) == [DEVIATIONS[0], later]
    assert len({*DEVIATIONS, *DEVIATIONS}) == 3


@pytest.mark.parametrize(
    "told",
    [
        "hold",
        [["hold"]],
        [["hold", "a", "b", 1, "a", "c", 1, "sometime"]],
        [["hold", "a", "b", 0, "a", "c", 1, "effect"]],
        [["inject", "a", "b", "1", "latency"]],
        [["inject", "a", "b", 1, 5]],
        [["at", 0, 0]],
        [["at", True, 0]],
        [["jump", 1]],
        [5],
    ],
)
def test_json_that_is_no_deviation_is_refused(told):
    with pytest.raises(ConfigurationError):
        from_json(told)


# -- there and back ------------------------------------------------------------------------


@given(deviations, st.integers(-(2**63), 2**63))
def test_a_token_is_read_as_it_was_made(drawn, seed):
    read = read_token(token(drawn, seed=seed, scenario="tests.test_jobs:scenario"))

    assert (read.deviations, read.seed) == (drawn, seed)
    assert read.scenario == "tests.test_jobs:scenario"


def test_a_token_holds_all_that_was_not_as_usual():
    rule = faults.error("DB", nth=2)
    word = token(
        DEVIATIONS,
        seed=5,
        scenario=scenario,
        schedule=schedules.random(9),
        start_ms=1_000,
        rest_ms=2_000,
        invariants=[law],
        rules=[rule],
    )

    assert read_token(word) == Token(
        scenario=f"{__name__}:scenario",
        seed=5,
        deviations=DEVIATIONS,
        jitter=9,
        start_ms=1_000,
        rest_ms=2_000,
        invariants=(f"{__name__}:law",),
        rules=(rule.to_json(),),
    )
    assert str(read_token(word)) == word


def test_what_pct_drew_is_among_the_deviations():
    from emulator.simulation.playing import play

    schedule = schedules.pct(3, 2, 50)
    play(scenario, schedule=schedule)
    read = read_token(token(DEVIATIONS[:1], schedule=schedule))

    assert read.deviations == (DEVIATIONS[0], *schedule.deviations)
    assert read.jitter is None


def test_a_random_schedule_without_a_seed_of_its_own_has_that_of_the_run():
    assert read_token(token((), seed=4, schedule=schedules.random())).jitter == 4


def test_a_schedule_that_is_none_of_ours_has_no_token():
    class Other:
        is_calm = False

    with pytest.raises(ConfigurationError, match="can hold schedules of"):
        token((), schedule=Other())  # type: ignore[arg-type]


def test_what_has_no_name_or_json_is_counted():
    rule = faults.missing("BUCKET", key=lambda key: key == "k")

    read = read_token(token((), invariants=[lambda mf: None, law], rules=[rule]))

    assert (read.invariants, read.rules, read.left_out) == ((f"{__name__}:law",), (), 2)


def test_three_deviations_fit_into_one_line():
    word = token(DEVIATIONS, scenario="tests.amber_worker.test_chaos:one_export")

    assert len(word) <= TOKEN_LENGTH_MAX
    assert set(word) <= set(string.ascii_letters + string.digits + "-_")
    assert not Path(".emulator").exists()


def test_a_schedule_tells_the_token_that_makes_it():
    word = token(DEVIATIONS, seed=3)

    assert repr(schedules.replay(word)) == f"schedules.replay({word!r})"


# -- damage --------------------------------------------------------------------------------


def test_a_token_that_was_copied_with_a_line_end_in_it_is_read():
    word = token(DEVIATIONS)

    assert read_token(f"  {word[:30]}\n  {word[30:]}\n") == read_token(word)


def test_a_token_with_any_character_changed_or_missing_is_refused():
    word = token(DEVIATIONS, seed=3)

    for place in range(1, len(word)):
        other = "A" if word[place] != "A" else "B"
        for damaged in (word[:place] + other + word[place + 1 :], word[:place]):
            if damaged != word:
                with pytest.raises(ConfigurationError, match=r"damaged|begins with"):
                    read_token(damaged)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("", "a token begins with its version"),
        ("crash", "a token begins with its version"),
        ("9abc", "of version 9"),
        ("1", "is damaged"),
        ("1!!!", "is damaged"),
        ("1ä", "is damaged"),
        ("10123456789abcdef@nowhere.json", "cannot be read"),
    ],
)
def test_what_is_no_token_is_refused_with_the_reason(word, told):
    with pytest.raises(ConfigurationError, match=told):
        read_token(word)


def test_a_replay_of_something_broken_is_refused_before_it_runs():
    with pytest.raises(ConfigurationError, match="is damaged"):
        schedules.replay("1abc")


# -- files ---------------------------------------------------------------------------------


def many() -> tuple[Inject, ...]:
    actors = [f"JOBS#{number * 2_654_435_761 % 2**32:08x}" for number in range(1, 60)]
    return tuple(Inject(Site(actor, "storage.flush", 1), "crash after") for actor in actors)


def test_what_does_not_fit_is_in_a_file_that_the_token_names():
    word = token(many(), seed=3)

    assert len(word) <= TOKEN_LENGTH_MAX
    assert read_token(word).deviations == many()
    assert len(list(Path(".emulator").iterdir())) == 1
    assert token(many(), seed=3) == word


def test_a_file_that_was_changed_is_refused():
    word = token(many())
    [path] = Path(".emulator").iterdir()
    path.write_bytes(path.read_bytes().replace(b"crash after", b"crash before", 1))

    with pytest.raises(ConfigurationError, match="was changed"):
        read_token(word)


def test_a_file_that_is_not_there_is_told_by_its_name():
    word = token(many())
    [path] = Path(".emulator").iterdir()
    path.unlink()

    with pytest.raises(ConfigurationError, match=rf"{path.name} cannot be read"):
        read_token(word)


# -- names ---------------------------------------------------------------------------------


def test_a_function_of_a_module_is_found_by_its_name():
    assert name_of(asyncio.sleep) == "asyncio.tasks:sleep"
    assert resolve("asyncio.tasks:sleep") is asyncio.sleep


def test_a_method_of_a_class_is_found_as_well():
    assert resolve(name_of(Token.to_json)) is Token.to_json


def test_a_function_inside_of_another_has_no_name():
    async def inner() -> None:
        pass

    assert name_of(inner) == name_of(lambda: None) == name_of(5) == ""


def test_a_function_of_a_file_is_found_by_the_file():
    Path("jobs.py").write_text("async def scenario(): return 'here'\n")

    assert asyncio.iscoroutinefunction(resolve("jobs.py:scenario"))


@pytest.mark.parametrize(
    "name", ["", "no_such_module:f", "asyncio:nope", "nowhere.py:f", "asyncio"]
)
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(ConfigurationError, match="there is no"):
        resolve(name)
