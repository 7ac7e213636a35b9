"""The words of the failure report."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, closing
from itertools import takewhile

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator import Miniflare, faults
from emulator.durable_objects.ids import IdFactory
from emulator.errors import SimulationDeadlock, SimulationRunaway
from emulator.simulation import loop
from emulator.simulation.clock import START_MS_DEFAULT
from emulator.simulation.runner import Simulation, current_simulation
from emulator.simulation.trace import TraceEvent
from emulator.testing.failure_report import describe, in_words


@pytest.mark.parametrize(
    ("kind", "subject", "facts", "words"),
    [
        ("start", "JOBS#1", {}, "JOBS#1: a new instance starts"),
        ("alarm", "JOBS#1", {"retry": 0}, "JOBS#1: the alarm runs"),
        ("alarm", "JOBS#1", {"retry": 2}, "JOBS#1: the alarm runs, retry 2"),
        (
            "alarm.failed",
            "JOBS#1",
            {"retry": 2, "error": "KeyError"},
            "JOBS#1: the alarm has failed with KeyError",
        ),
        ("crash", "JOBS#1", {"cause": "by hand"}, "JOBS#1: power cut (by hand)"),
        ("restart", "worker", {"cause": "it"}, "worker: the process restarts (it)"),
        (
            "fault",
            "BUCKET.r2.get('k')",
            {"actor": "JOBS#1", "rule": "faults.missing(key='k')"},
            "fault at BUCKET.r2.get('k') of JOBS#1: faults.missing(key='k')",
        ),
        ("r2.head", "BUCKET", {"key": "k", "actor": "JOBS#1"}, "JOBS#1 calls BUCKET.head('k')"),
        (
            "d1.first",
            "DB",
            {"key": "SELECT 1", "actor": "worker", "outcome": "error before"},
            "worker calls DB.first('SELECT 1'): error before",
        ),
        (
            "storage.sync",
            "storage",
            {"key": "", "actor": "JOBS#1"},
            "JOBS#1 calls storage.sync()",
        ),
        ("news", "JOBS#1", {"size": 3}, "JOBS#1: news, size 3"),
    ],
)
def test_an_event_is_told_in_words(kind, subject, facts, words):
    assert in_words(TraceEvent(0, kind, subject, facts)) == words


def test_only_the_last_events_are_told_and_all_are_counted():
    simulation = Simulation(seed=4)
    for number in range(30):
        simulation.trace.record("start", f"JOBS#{number}")
    simulation.clock.move_to(START_MS_DEFAULT + 1500)

    lines = describe(simulation).splitlines()

    assert lines[1] == "now 2026-01-01T00:00:01.500+00:00, +1.500 s after the start"
    assert lines[2] == "the last 20 of 30 events:"
    assert lines[3] == "  +0.000 s  JOBS#10: a new instance starts"
    assert lines[-1] == "  +0.000 s  JOBS#29: a new instance starts"
    assert len(lines) == 23
    simulation.close()


# -- the objects -----------------------------------------------------------------------------


class Job(DurableObject):
    async def put(self, entries):
        await self.ctx.storage.put(entries)

    async def remind(self, delay_ms):
        await self.ctx.storage.setAlarm(
            await self.ctx.storage.getAlarm() or now_ms() + delay_ms
        )

    async def alarm(self):
        message = "as the test said"
        raise LookupError(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("")


def name_of(binding, name, class_name="Job"):
    return f"{binding}#{str(IdFactory(f'-{class_name}', bytes).id_from_name(name))[:8]}"


def now_ms():
    return current_simulation().clock.now_ms


def reported(act, *, worlds=1, **options):
    """The report inside of the world, after what `act` does, and the one after its failure."""
    simulation = Simulation()
    inside = []

    async def main():
        async with AsyncExitStack() as stack:
            for _ in range(worlds):
                mf = Miniflare(worker=Default, durable_objects={"JOBS": "Job"}, **options)
                await stack.enter_async_context(mf)
                await act(mf, mf.get_durable_object_namespace("JOBS"))
            inside.append(describe(simulation))
            raise KeyError

    with closing(simulation), pytest.raises(KeyError):
        simulation.run(main)
    return inside[0].splitlines(), describe(simulation).splitlines()


def part(lines, start):
    """The lines from the one that begins so, up to the next that is not indented."""
    first = next(n for n, line in enumerate(lines) if line.startswith(start))
    rest = lines[first + 1 :]
    return [lines[first], *takewhile(lambda line: line.startswith("  "), rest)]


def test_the_report_shows_each_objects_storage_and_alarm():
    async def act(mf, jobs):
        await jobs.getByName("a").put({"count": 4, "list": [1, "b"]})
        await jobs.getByName("a").remind(60_000)
        await jobs.getByName("b").remind(100)
        await mf.advance(500)

    inside, after = reported(act)

    a, b = (name_of("JOBS", name) for name in "ab")
    shown = part(inside, "the objects")
    assert shown[0] == "the objects:"
    assert set(shown[1:]) > {"    'count': 4", "    'list': [1, 'b']"}
    assert f"  {a} 'a': running, alarm at +60.002 s" in shown
    (line,) = [line for line in shown if b in line]
    assert line.startswith(f"  {b} 'b': running, alarm of +0.103 s has failed, retry 1 at +2.")
    # A world that an error has ended is shown as it was.
    assert part(after, "the objects") == ["the objects, as the world ended:", *shown[1:]]


def test_the_report_shows_the_objects_of_every_world():
    async def act(mf, jobs):
        await jobs.getByName("a").put({"k": 1})

    inside, after = reported(act, worlds=2, name="shop")

    assert [line for line in inside if line.startswith("the objects")] == [
        "the objects of world 1 'shop':",
        "the objects of world 2 'shop':",
    ]
    assert sum(line == "    'k': 1" for line in after) == 2


def test_a_world_that_ended_well_is_not_in_the_report():
    simulation = Simulation()

    async def main():
        async with Miniflare(worker=Default, durable_objects={"JOBS": "Job"}) as mf:
            await mf.get_durable_object_namespace("JOBS").getByName("a").put({"k": 1})

    simulation.run(main)
    assert "the objects" not in describe(simulation)
    simulation.close()


def test_writes_that_are_not_durable_are_shown():
    async def act(mf, jobs):
        mf.faults.add(faults.latency(1_000, operation="storage.flush"))
        jobs.getByName("a").put({"k": "under way"})
        await mf.advance(10)

    inside, _ = reported(act)
    assert "    'k': 'under way'" in inside


def test_hostile_content_cannot_break_or_flood_the_report():
    deep = []
    for _ in range(150):
        deep = [deep]

    async def act(mf, jobs):
        for number in range(60):
            stub = jobs.getByName(f"\x1b[31m\n{number}" * 40)
            await stub.put({f"\x1b[31m\n{n:03}" * 20: "v\n" * 2_000 for n in range(50)})
            await stub.put({"\x00": deep, "\x00large": "x" * 50_000, "\x00torn": ""})
        for record in mf.world.namespaces["JOBS"].records():
            torn = "UPDATE _cf_KV SET value = x'ff7f' WHERE key = ?"
            record.database.opened().execute(torn, ("\x00torn",))

    inside, after = reported(act)

    for lines in (inside, after):
        text = "\n".join(lines)
        assert len(text) < 50_000
        assert "\x1b" not in text
        assert "the objects" in text
        assert "20 of 60" in text
        assert "  and more, which are not shown" in lines
        assert any("and 43 more keys" in line for line in lines)
        assert any(line.endswith(": 50006 bytes") for line in lines)
        assert "    '\\x00torn': 2 bytes (JsException)" in lines


def test_a_long_log_line_is_cut():
    simulation = Simulation()
    simulation.trace.record("start", "x" * 5_000)
    assert max(len(line) for line in describe(simulation).splitlines()) < 600
    simulation.close()


def test_a_log_line_stays_one_line_and_cannot_steer_the_terminal():
    class Logger(WorkerEntrypoint):
        async def fetch(self, request):
            logging.getLogger("any").warning("\x1b[31mred\nseed 9, ümläut")
            return Response("ok")

    async def main():
        async with Miniflare(worker=Logger) as mf:
            await mf.dispatch_fetch("http://localhost/")
            return describe(mf.world.simulation)

    told = emulator.run(main).splitlines()
    assert told[-1].endswith("WARNING worker: \\x1b[31mred\\nseed 9, ümläut")


# -- nobody hangs ----------------------------------------------------------------------------


class Hanging(DurableObject):
    async def ping(self):
        return "pong"

    async def hang(self):
        await asyncio.Event().wait()

    async def block(self):
        await self.ctx.blockConcurrencyWhile(self.hang)

    async def transact(self):
        async def never_ends(txn):
            await txn.put("k", 1)
            await self.env.JOBS.getByName("other").hang()

        await self.ctx.storage.transaction(never_ends)

    async def again(self):
        await self.ctx.storage.setAlarm(1)

    async def alarm(self):
        await self.again()


def outcome(act):
    """What a run that hangs is told, with the report."""
    simulation = Simulation()

    async def main():
        async with Miniflare(worker=Default, durable_objects={"JOBS": "Hanging"}) as mf:
            await act(mf, mf.get_durable_object_namespace("JOBS"))

    with closing(simulation), pytest.raises(Exception) as caught:
        simulation.run(main)
    return caught.value, describe(simulation)


def test_a_section_that_never_ends_is_named_with_what_it_waits_for():
    async def act(mf, jobs):
        await jobs.getByName("a").block()

    error, report = outcome(act)
    a = name_of("JOBS", "a", "Hanging")
    assert "waited for too long" in str(error)
    assert (
        f"WARNING {a}: the input gate was shut for 30 s and 0 events wait at it: a critical "
        f"section of {a} in Hanging.hang (test_failure_report.py:"
    ) in report
    assert "waits for Event.wait()" in report


def test_who_waits_at_a_shut_gate_is_told_with_what_shuts_it():
    async def act(mf, jobs):
        transacting = jobs.getByName("a").transact()
        await mf.advance(10)
        await asyncio.gather(transacting, jobs.getByName("a").ping())

    error, report = outcome(act)
    assert "waited for too long" in str(error)
    assert "and 1 events wait at it" in report
    assert "never_ends (test_failure_report.py:" in report
    assert "waits for JOBS.object.rpc('hang')" in report
    assert "test calls JOBS.rpc('ping')" in report


def test_a_call_that_never_answers_is_a_deadlock_that_names_both_sides():
    async def act(mf, jobs):
        await jobs.getByName("a").hang()

    error, _ = outcome(act)
    assert isinstance(error, SimulationDeadlock)
    first, second = error.waiters
    a = name_of("JOBS", "a", "Hanging")
    assert first.endswith(f"waits for JOBS.object.rpc('hang') at {a}")
    assert second.startswith(f"{name_of('JOBS', 'a', 'Hanging')} in Hanging.hang (")


@pytest.mark.parametrize("wait", ["advance", "run_until_idle"])
def test_an_alarm_that_always_sets_itself_again_is_a_runaway_that_names_it(wait, monkeypatch):
    monkeypatch.setattr(loop, "INSTANT_DELIVERIES_MAX", 20_000)

    async def act(mf, jobs):
        await jobs.getByName("a").again()
        await (mf.advance(1_000) if wait == "advance" else mf.run_until_idle())

    error, report = outcome(act)
    a = name_of("JOBS", "a", "Hanging")
    assert isinstance(error, SimulationRunaway)
    assert f"What goes on: of the last 1,000 events 334 alarm of {a}" in str(error)
    goal = "the end of advance()" if wait == "advance" else "idleness"
    assert str(error).endswith(f"waits for {goal}")
    assert f"{a} 'a': running, alarm" in report
