"""Random programs under everything that may go wrong, and that broken laws are noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.conformance import ordeal_verbs
from emulator.conformance.differential import drawn_programs
from emulator.conformance.ordeal import Act, Ordeal, ordeal
from emulator.conformance.program import checked
from emulator.conformance.torture import broken_laws, suffer
from emulator.durable_objects.kv_backed import Overlay
from emulator.durable_objects.units import WriteUnits

if TYPE_CHECKING:
    from emulator.conformance.program import Program

SEED = 17
COUNT = 150


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return drawn_programs(COUNT, SEED)


def an_ordeal(verb: str, *, source: Any = None, limits: str = "paid") -> Ordeal:
    """A calm ordeal with one verb behind each step."""
    program = checked(source or {"name": "p", "steps": [{"rpc": [["storage.put", "a", 1]]}]})
    acts = tuple(Act(verb, None) for _ in program.steps)
    return Ordeal(program, limits, 1, False, (), acts)


def test_no_random_program_breaks_a_law(programs):
    broken = [text for program in programs for text in broken_laws(program, SEED)]

    assert broken == []


def test_an_ordeal_follows_from_its_program_and_a_seed(programs):
    told = [str(ordeal(program, SEED)) for program in programs]

    assert told == [str(ordeal(program, SEED)) for program in programs]
    assert told != [str(ordeal(program, SEED + 1)) for program in programs]


@pytest.mark.parametrize("verb", ordeal_verbs.VERBS)
@pytest.mark.parametrize("kind", ["sql", "kv"])
def test_every_verb_holds_on_a_program_that_does_little(verb, kind):
    steps = [{"rpc": [["storage.put", "a", 1]]}, {"rpc": [["storage.setAlarm", 0]]}]

    suffered = suffer(an_ordeal(verb, source={"name": "p", "class": kind, "steps": steps}))

    assert suffered.broken == ()


def test_a_crash_that_loses_what_was_confirmed_is_noticed(monkeypatch):
    monkeypatch.setattr(WriteUnits, "_hold_words", lambda self: None)

    [text] = suffer(an_ordeal("confirmed")).broken

    assert "what was confirmed is there" in text


def test_a_transaction_that_undoes_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr(Overlay, "roll_back", Overlay.commit)
    source = {"name": "p", "class": "kv", "steps": [{"rpc": [["storage.get", "a"]]}]}

    [text] = suffer(an_ordeal("transactions", source=source)).broken

    assert "a rollback undoes all" in text


def test_an_error_of_our_own_code_is_noticed(monkeypatch):
    def broken(self: object, **_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(WriteUnits, "begin_write", broken)

    assert "a program is told of KeyError: 'oops'" in suffer(an_ordeal("look")).broken


def test_a_wrong_call_in_our_own_code_is_noticed(monkeypatch):
    monkeypatch.setattr(WriteUnits, "begin_write", lambda self, *, wrong: None)

    [text, *_] = suffer(an_ordeal("look")).broken

    assert "unexpected keyword argument" in text
