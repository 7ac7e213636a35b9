"""A fault that never matched anything does not pass unnoticed, whoever added it."""

from __future__ import annotations

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator import faults
from emulator.simulation.rules import UnusedFaultWarning


class Job(DurableObject):
    async def start(self):
        await self.env.BUCKET.head("key")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.JOBS.getByName("a").start()
        return Response("ok")


def world(**options):
    return emulator.Miniflare(
        worker=Default, durable_objects={"JOBS": "Job"}, r2_buckets=["BUCKET"], **options
    )


UNUSED = faults.missing(key="nobody")
SENTENCE = r"no operation ever matched the fault faults\.missing\(key='nobody'\)"


def test_an_option_is_reported_when_its_world_ends():
    async def main():
        with pytest.warns(UnusedFaultWarning, match=SENTENCE):
            async with world(faults=[UNUSED, faults.missing(key="key")]) as mf:
                await mf.dispatch_fetch("http://localhost/")

    emulator.run(main)


def test_an_added_one_is_reported_when_the_simulation_ends():
    async def main():
        async with world() as mf:
            mf.faults.add(UNUSED)
        async with world():
            pass  # It could still match here.

    with pytest.warns(UnusedFaultWarning, match=SENTENCE):
        emulator.run(main)


def test_it_is_reported_when_the_faults_are_cleared():
    async def main():
        async with world() as mf:
            mf.faults.add(UNUSED, faults.missing(key="key"))
            await mf.dispatch_fetch("http://localhost/")
            with pytest.warns(UnusedFaultWarning, match=SENTENCE):
                mf.faults.clear()
            assert len(mf.faults) == 0

    emulator.run(main)


def test_the_end_of_one_world_leaves_the_faults_of_another_in_force():
    async def main():
        async with world(faults=[faults.missing(key="key")]) as mf:
            async with world(name="other"):
                pass
            await mf.dispatch_fetch("http://localhost/")

    emulator.run(main)


@pytest.mark.parametrize("is_option", [False, True])
def test_a_failing_run_keeps_its_own_error_and_the_report_is_a_note_on_it(is_option):
    async def main():
        async with world(faults=[UNUSED] if is_option else []) as mf:
            if not is_option:
                mf.faults.add(UNUSED)
            message = "the real trouble"
            raise LookupError(message)

    with pytest.raises(LookupError) as caught:
        emulator.run(main)
    assert caught.value.__notes__ == [
        "no operation ever matched the fault faults.missing(key='nobody'): check its binding, "
        "operation, key and nth"
    ]
