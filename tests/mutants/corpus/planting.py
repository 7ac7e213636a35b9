"""Planting: what a planted bug is, the world it lives in, and the client that meets it.

Promises: a bug and its repaired twin share scenario and law, and differ in a few lines of one
worker; the client does what a sensible one does: it may ask again, it notes what it was told,
and a lost answer is no failure. A law is asked at rest, when nothing goes wrong any more.
Leaves to others: the bugs (the rooms beside), finding them (recall).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, final

import emulator
from emulator.errors import EmulatorError
from emulator.sdk.workers import Response, WorkerEntrypoint
from emulator.testing import restore, snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from emulator.runtime.snapshot import WorldSnapshot

__all__ = ["MUTANTS", "Mutant", "Subject", "World", "now_ms", "planted", "read", "text_of"]

_SCHEMA: Final = Path(__file__).with_name("schema.sql")

_STORED: Final[dict[str, WorldSnapshot]] = {}

#: Every planted bug, in the order of the rooms.
MUTANTS: Final[list[Mutant]] = []


def now_ms() -> int:
    """The time, as a worker asks for it."""
    return int(time.time() * 1_000)


async def text_of(bucket: Any, key: str) -> str | None:
    """An object of R2 as text; None if there is none."""
    found = await bucket.get(key)
    return None if found is None else await found.text()


async def read(bucket: Any, key: str) -> str:
    """An object of R2 as text.

    Raises:
        LookupError: If there is none: somebody has deleted what must be there.
    """
    text = await text_of(bucket, key)
    if text is None:
        raise LookupError(key)
    return text


@final
class World:
    """One world of a scenario, and what its clients were told.

    Args:
        mf: The world.
    """

    def __init__(self, mf: Any) -> None:
        self.mf = mf
        #: What a client was answered, in order.
        self.told: list[Any] = []
        #: What a client has asked for, in order, answered or not.
        self.asked: list[Any] = []
        #: What it got instead of answers, in words.
        self.lost: list[str] = []
        self.bucket = mf.get_r2_bucket("BUCKET")

    async def call(self, name: str, method: str, *args: Any, attempts: int = 1) -> Any:
        """Call an object; a client asks again after a second, and gives up in the end.

        Args:
            name: The object's.
            method: Its method.
            args: Go to the method.
            attempts: How often it asks.

        Returns:
            The answer; None if the last attempt was lost.
        """
        self.asked.append(args)
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(1)
            try:
                # A stub that saw its object break stays broken.
                stub = self.mf.get_durable_object_namespace("JOBS").getByName(name)
                answer = await getattr(stub, method)(*args)
            except EmulatorError:
                raise
            except Exception as error:
                self.lost.append(f"{type(error).__name__}: {error}")
                continue
            self.told.append(args)
            return answer
        return None

    async def fetch(self, path: str, attempts: int = 1) -> str | None:
        """Send the worker a request, as `call` does an object."""
        self.asked.append(path)
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(1)
            try:
                answer = await self.mf.dispatch_fetch(f"http://localhost{path}")
            except EmulatorError:
                raise
            except Exception as error:
                self.lost.append(f"{type(error).__name__}: {error}")
                continue
            if answer.status_code == 200:
                self.told.append(path)
                return str(answer.text)
            self.lost.append(f"status {answer.status_code}")
        return None

    async def ask(self, name: str, method: str, *args: Any) -> Any:
        """Call an object past the client; for laws, since at rest nothing is lost."""
        stub = self.mf.get_durable_object_namespace("JOBS").getByName(name)
        return await getattr(stub, method)(*args)

    async def text(self, key: str) -> str | None:
        """An object of R2 as text; None if there is none."""
        return await text_of(self.bucket, key)

    async def keys(self, prefix: str = "") -> list[str]:
        """The keys in R2."""
        return [one.key for one in (await self.bucket.list(prefix=prefix)).objects]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What D1 holds, past the corridor."""
        return [tuple(row) for row in self.mf.get_d1_database("DB").peek(sql)]

    def open_uploads(self) -> list[str]:
        """Keys of multipart uploads with a part that are neither completed nor aborted."""
        world = self.mf.world
        store = world.storage.store(world.options.r2_buckets["BUCKET"])
        return [
            upload.key
            for upload in store.uploads.values()
            if upload.is_open and upload.snapshot().parts
        ]


@final
class Subject:
    """One of two workers of a bug, as a scenario with its law.

    Args:
        mutant: Whose.
        worker: The worker's class: a Durable Object, or an entrypoint.

    Attributes:
        world: The one that runs now or has run last.
    """

    def __init__(self, mutant: Mutant, worker: type) -> None:
        self._mutant = mutant
        self._worker = worker
        self.world: World | None = None
        self.__qualname__ = self.__name__ = worker.__qualname__

    @property
    def invariants(self) -> list[Callable[[Any], Awaitable[None]]]:
        """What `emulator.explore` is given."""

        async def law(mf: Any) -> None:
            assert self.world is not None
            assert self.world.mf is mf
            assert self._mutant.law is not None
            await self._mutant.law(self.world)

        return [law]

    async def __call__(self) -> None:
        """Run it in a world of its own."""
        async with emulator.Miniflare(**self.options()) as mf:
            if self._mutant.objects:
                restore(mf, _STORED[self._mutant.name])
            world = self.world = World(mf)
            assert self._mutant.drive is not None
            await self._mutant.drive(world)
            await mf.run_until_idle()

    def options(self) -> dict[str, Any]:
        """What `emulator.Miniflare` is given."""
        module = ModuleType("planted")
        objects = {}
        if issubclass(self._worker, WorkerEntrypoint):
            vars(module).update(Default=self._worker)
        else:
            vars(module).update(Default=_Nobody, Job=self._worker)
            objects["JOBS"] = "Job"
        return {
            "worker": module,
            "durable_objects": objects,
            "r2_buckets": ["BUCKET"],
            "d1_databases": {"DB": {"schema": _SCHEMA}},
            **self._mutant.options,
        }


class _Nobody(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Response:
        return Response("not found", status=404)


@final
@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A planted bug.

    Attributes:
        name: What the worker does wrong, in a sentence.
        theme: The room's.
        needs: How many deviations it takes to see it.
        kinds: What kinds of deviations show it: names of kinds, their first words, "hold".
        broken: The worker with the bug.
        repaired: The same without.
        drive: What clients do.
        law: What must be true at rest; it asserts.
        make: Makes a scenario with a law of a worker, where `drive` and `law` do not.
        objects: What is in R2 from the start: texts by key.
        options: What else the world is made of.
    """

    name: str
    theme: str
    needs: int
    kinds: tuple[str, ...]
    broken: type
    repaired: type
    drive: Callable[[World], Awaitable[None]] | None = None
    law: Callable[[World], Awaitable[None]] | None = None
    make: Callable[[type], Any] | None = None
    objects: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def store(self) -> None:
        """Write what is in R2 from the start, once in a process, past all exploration."""
        if not self.objects or self.name in _STORED:
            return

        async def store() -> WorldSnapshot:
            async with emulator.Miniflare(**Subject(self, self.repaired).options()) as mf:
                for key, text in self.objects.items():
                    await mf.get_r2_bucket("BUCKET").put(key, text)
                return snapshot(mf)

        _STORED[self.name] = emulator.run(store)

    def subject(self, *, is_repaired: bool) -> Any:
        """The scenario with one of the two workers."""
        worker = self.repaired if is_repaired else self.broken
        if self.make is not None:
            return self.make(worker)
        self.store()
        return Subject(self, worker)


def planted(name: str, *, needs: int = 1, kinds: Sequence[str] = ()) -> Callable[[type], type]:
    """Plant a bug: a class with `Broken`, `Repaired`, `drive` and `law`.

    Args:
        name: What `Broken` does wrong, in a sentence.
        needs: How many deviations it takes to see it.
        kinds: What kinds of deviations show it: names of kinds, their first words, "hold".
    """

    def plant(made: type) -> type:
        facts: Any = made
        MUTANTS.append(
            Mutant(
                name=name,
                theme=made.__module__.rpartition(".")[2].replace("_", " "),
                needs=needs,
                kinds=(kinds,) if isinstance(kinds, str) else tuple(kinds),
                broken=facts.Broken,
                repaired=facts.Repaired,
                drive=getattr(made, "drive", None),
                law=getattr(made, "law", None),
                make=getattr(made, "make", None),
                objects=getattr(made, "objects", {}),
                options=getattr(made, "options", {}),
            )
        )
        return made

    return plant
