"""The scenario: one export of one case, from the request to the verdict.

Promises: what a user does, who asks again when the connection is lost and looks how far it is;
a verdict by the laws alone. The files are written once and shared by all worlds of a process.
Leaves to others: what goes wrong meanwhile (`emulator.explore`), what must be true
(amber_worker.laws).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

import emulator
from amber_worker.chaos.client import OTHER, USER, Client
from amber_worker.chaos.watch import Watch
from amber_worker.chaos.witness import stored_in
from amber_worker.contract.seeds import Storage
from amber_worker.laws import Expected
from emulator.testing import restore, run_in_durable_object, snapshot

if TYPE_CHECKING:
    from amber_worker.chaos.cases import Case
    from amber_worker.chaos.witness import Stored
    from amber_worker.contract.target import Target
    from emulator.runtime.snapshot import WorldSnapshot

__all__ = ["Run", "Scenario"]

#: So often somebody looks at an export that does not end, and so long he waits in between.
LOOKS_MAX: Final = 4
LOOK_DELAY_S: Final = 60
IDLE_MS_MAX: Final = 3_600_000
#: Rows that are added later have ids behind those of all others.
ADDED_FIRST: Final = 100_000


@final
class Run:
    """One world of a scenario.

    Args:
        scenario: Whose.
        mf: The world.
    """

    #: The one that runs now or has run last.
    latest: Run | None = None

    def __init__(self, scenario: Scenario, mf: Any) -> None:
        self.target = scenario.target
        self.fresh_storage = scenario.fresh_storage
        self.versions = scenario.versions
        self.expected = scenario.expected
        self.mf = mf
        self.client = Client(mf, scenario.target, scenario.case.body)
        self.watch = Watch(mf, scenario.target)
        self._case = scenario.case
        self._content = scenario.content

    @staticmethod
    def of(mf: Any) -> Run:
        """The run of a world, which is the latest of this process."""
        run = Run.latest
        assert run is not None, "a scenario has been entered"
        assert run.mf is mf, "worlds of scenarios take turns"
        return run

    async def wait(self) -> None:
        """Wait until every export has ended, and look at those that do not."""
        for _ in range(LOOKS_MAX):
            await self._become_idle()
            unfinished = self.watch.unfinished()
            if not unfinished:
                return
            for export_id in unfinished:
                await self.client.look(export_id)
            await asyncio.sleep(LOOK_DELAY_S)

    async def _become_idle(self) -> None:
        """Wait until nothing happens any more, or for an hour: some alarms never end."""
        loop = self.mf.world.simulation.loop
        idle = loop.idle_waiter()
        timer = loop.deliver(
            loop.clock.now_ms + IDLE_MS_MAX,
            lambda: None if idle.done() else idle.set_result(None),
            is_background=True,
        )
        await idle
        timer.cancel()

    async def change_rows(self) -> None:
        """Add and trash files while the export runs."""
        content = self._content
        await asyncio.sleep(self._case.changes_ms / 1_000)
        storage = storage_of(self.mf, self.target, first=ADDED_FIRST)
        await storage.add_files(USER, list(content.added))
        await storage.trash(list(content.trashed))


@final
class Scenario:
    """One case on one worker. Called, it runs it once.

    Args:
        target: The worker, on the emulator.
        case: What is exported.
    """

    def __init__(self, target: Target, case: Case) -> None:
        self.target = replace(target, options={**target.options, "limits": case.limits})
        self.case = case
        self.content = case.content().keyed()
        content = self.content
        trashed = {file.key for file in content.trashed}
        self.expected = Expected(
            files=tuple(file for file in content.live if file.key not in trashed),
            perhaps=content.added + content.trashed,
            strange=content.left + content.others,
        )
        self.fresh_storage: Stored = (frozenset(), {})
        #: Of the users' objects, by key.
        self.versions: dict[str, str] = {}
        self._seeded: WorldSnapshot | None = None
        #: The world that runs now or has run last.
        self.run: Run | None = None

    async def __call__(self) -> None:
        """Run it in a world of its own."""
        assert self._seeded is not None, "seed() comes first, outside of every simulation"
        async with self.target.handle() as mf:
            restore(mf, self._seeded)
            run = self.run = Run.latest = Run(self, mf)
            with run.watch:
                requests = [run.client.request() for _ in range(self.case.request_count)]
                if self.content.added or self.content.trashed:
                    requests.append(run.change_rows())
                await asyncio.gather(*requests)
                await run.wait()

    def seed(self) -> None:
        """Write the files, once for all worlds. Nothing happens the second time.

        Raises:
            ConfigurationError: If the worker cannot be loaded.
        """
        if self._seeded is None:
            self._seeded = emulator.run(self._seed)

    async def _seed(self) -> WorldSnapshot:
        async with self.target.handle() as mf:
            storage = storage_of(mf, self.target)
            content = self.content
            for user_id, files in (
                (USER, (*content.live, *content.left)),
                (OTHER, content.others),
            ):
                await storage.add_user(user_id)
                await storage.add_files(user_id, list(files))
            seeded = snapshot(mf)
            bucket = Watch(mf, self.target).bucket
            for key in bucket.sorted_keys():
                found = bucket.find(key)
                assert found is not None
                self.versions[key] = found.version
            self.fresh_storage = await self._fresh_storage(mf)
            return seeded

    async def _fresh_storage(self, mf: Any) -> Stored:
        """What an object stores by its constructor alone."""
        binding = next(iter(self.target.options["durable_objects"]))
        namespace = mf.get_durable_object_namespace(binding)
        stub = namespace.get(namespace.idFromName("an object that never did anything"))
        await run_in_durable_object(stub, lambda instance, state: None)
        (record,) = mf.world.namespaces[binding].records()
        return stored_in(record)


def storage_of(mf: Any, target: Target, first: int = 0) -> Storage:
    """D1 and R2 past the worker."""
    database, bucket = mf.get_d1_database(target.database), mf.get_r2_bucket(target.bucket)
    return Storage(database, bucket, first=first)
