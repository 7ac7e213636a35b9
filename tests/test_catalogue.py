"""Laws of the catalogue: what may go wrong with everything that a worker does."""

from __future__ import annotations

import ast
import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emulator
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.simulation.fault_kinds import overlaps
from emulator.simulation.rules import Operation, Verdict

#: What is no call of a worker, or can fail in no way of its own.
SILENT = {"object.run", "object.alarm", "storage.sync", "storage.read", "websocket.lost",
          "websocket.error", "timer.fire"}  # fmt: skip


def operation(name: str, key: str = "k", binding: str = "B") -> Operation:
    return Operation(binding, name, key, "JOBS#1", "JOBS#2")


def names_in_sources() -> set[str]:
    """The names of operations that the sources spell out."""
    root, found = Path(emulator.__file__).parent, set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Operation"):
                named = node.args[1] if len(node.args) > 1 else None
                if isinstance(named, ast.Constant):
                    found.add(named.value)
    return found


def test_every_operation_that_the_sources_name_can_meet_a_fault_or_is_known_not_to():
    unknown = {name for name in names_in_sources() if not CATALOGUE.kinds_of(operation(name))}

    assert unknown <= SILENT
    assert {"storage.flush", "alarm.ack", "alarm.deliver", "object.rpc"} <= names_in_sources()


CALLS = sorted(CATALOGUE.names_of("call") | CATALOGUE.names_of("own"))


@pytest.mark.parametrize("name", CALLS)
def test_each_kind_has_one_name_a_verdict_and_a_sentence_with_its_page(name):
    op = operation(name)
    kinds = CATALOGUE.kinds_of(op)

    assert len(set(kinds)) == len(kinds) > 0
    for kind in kinds:
        assert CATALOGUE.verdict_of(kind, op) != Verdict()
        said, _, page = CATALOGUE.sentence_of(kind, op).partition(": ")
        assert "JOBS#1" in said
        assert "{" not in said + page
        assert page


def test_a_kind_that_an_operation_cannot_meet_is_refused_with_those_that_it_can():
    with pytest.raises(ConfigurationError, match="did you mean 'crash before'"):
        CATALOGUE.verdict_of("crash_before", operation("r2.put"))
    with pytest.raises(ConfigurationError, match="it meets none"):
        CATALOGUE.sentence_of("missing", operation("nobody.knows"))


def test_a_statement_that_only_reads_has_no_effect_to_be_told_of_wrongly():
    read, write = operation("d1.all", "SELECT * FROM t"), operation("d1.all", "DELETE FROM t")

    assert "error after" not in CATALOGUE.kinds_of(read)
    assert "error after" in CATALOGUE.kinds_of(write)


# -- conflicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "is_conflict"),
    [
        (operation("r2.put", "a"), operation("r2.get", "a"), True),
        (operation("r2.put", "a"), operation("r2.get", "b"), False),
        (operation("r2.get", "a"), operation("r2.head", "a"), False),
        (operation("r2.put", "a"), operation("r2.put", "a", "OTHER"), False),
        (operation("r2.list", "x"), operation("r2.put", "a"), True),
        (operation("r2.list", "x"), operation("r2.list", ""), False),
        (operation("r2.delete", "a,b"), operation("r2.get", "c"), True),
        (operation("r2.uploadPart", "a"), operation("r2.abort", "a"), True),
        (operation("r2.uploadPart", "a"), operation("r2.get", "a"), False),
        (operation("r2.complete", "a"), operation("r2.get", "a"), True),
        (operation("d1.run", "DELETE FROM t"), operation("d1.all", "SELECT * FROM T"), True),
        (operation("d1.run", "DELETE FROM t"), operation("d1.all", "SELECT 1 FROM u"), False),
        (operation("d1.all", "SELECT * FROM t"), operation("d1.raw", "SELECT * FROM t"), False),
        (operation("d1.exec", "DROP TABLE t"), operation("d1.first", "SELECT 1 FROM u"), True),
        (operation("object.rpc"), operation("object.fetch"), True),
        (operation("object.rpc"), operation("object.rpc")._replace(target="JOBS#3"), False),
        (operation("object.rpc"), operation("stub.rpc"), True),
        (operation("storage.flush"), operation("storage.flush"), True),
        (operation("storage.flush"), operation("alarm.ack"), False),
        (operation("service.fetch"), operation("service.rpc"), True),
        (operation("service.fetch"), operation("outbound.fetch"), False),
        (operation("worker.fetch"), operation("worker.fetch"), False),
    ],
)  # fmt: skip
def test_two_operations_conflict_if_one_writes_what_the_other_touches(one, other, is_conflict):
    assert CATALOGUE.conflict(one, other) is is_conflict
    assert CATALOGUE.conflict(other, one) is is_conflict


@given(st.text("ab/.", max_size=6), st.text("ab/.", max_size=6), st.booleans(), st.booleans())
def test_a_resource_holds_what_is_named_below_it(one, other, is_written, is_too):
    holds = one == other or one.startswith((other + "/", other + "."))
    held = other.startswith((one + "/", one + "."))

    expected = (is_written or is_too) and (holds or held)
    assert overlaps((one, is_written), (other, is_too)) is expected


# -- carrying out ----------------------------------------------------------------------------


class Jobs(DurableObject):
    """Does one of everything."""

    async def all(self) -> None:
        bucket, storage = self.env.BUCKET, self.ctx.storage
        await storage.put("begun", 1)
        await bucket.put("k", "bytes")
        with suppress(Exception):
            await bucket.head("k")
            await (await bucket.get("k")).text()
            await bucket.list()
            upload = await bucket.createMultipartUpload("big")
            await upload.complete([await upload.uploadPart(1, "part")])
            await (await bucket.createMultipartUpload("other")).abort()
            await bucket.delete("k")
        with suppress(Exception):
            await self.env.DB.prepare("INSERT INTO t VALUES (1)").run()
            await self.env.DB.prepare("SELECT * FROM t").all()
            await self.env.DB.prepare("SELECT * FROM t").first()
            await self.env.DB.prepare("SELECT * FROM t").raw()
            await self.env.DB.batch([self.env.DB.prepare("DELETE FROM t")])
            await self.env.DB.exec("DELETE FROM t")
        with suppress(Exception):
            await (await self.env.AUTH.fetch("https://auth/")).text()
        with suppress(Exception):
            await self.env.JOBS.getByName("b").hello()
            await (await self.env.JOBS.getByName("b").fetch("http://b/")).text()
        await storage.setAlarm(1)

    async def hello(self) -> str:
        return "hello"

    async def fetch(self, request: Any) -> Response:
        return Response("0123456789")

    async def alarm(self, info: Any) -> None:
        await self.ctx.storage.put("rung", (await self.ctx.storage.get("rung") or 0) + 1)

    async def rung(self) -> Any:
        return await self.ctx.storage.get("rung")


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Response:
        await self.env.JOBS.getByName("a").all()
        return Response("ok")


@dataclass
class At:
    """Injects a kind at the nth operation; remembers all of them."""

    nth: int = 0
    kind: str = ""

    def __post_init__(self) -> None:
        self.seen: list[Operation] = []

    def decide(self, operation: Operation) -> Verdict | None:
        self.seen.append(operation)
        if len(self.seen) != self.nth:
            return None
        return CATALOGUE.verdict_of(self.kind, operation)


async def answers(mf: Any) -> bool:
    try:
        await mf.dispatch_fetch("http://localhost/")
    except Exception:
        return False
    return True


def play(rule: At) -> tuple[int, Any]:
    """Ask until it has worked, and until all is at rest: how often, and what was rung."""

    async def auth(_: Any) -> Response:
        return Response("0123456789")

    async def main() -> tuple[int, Any]:
        async with emulator.Miniflare(
            worker=sys.modules[__name__],
            durable_objects={"JOBS": "Jobs"},
            r2_buckets=["BUCKET"],
            d1_databases=["DB"],
            service_bindings={"AUTH": auth},
        ) as mf:
            await mf.get_d1_database("DB").exec("CREATE TABLE t(x)")
            mf.faults.add(rule)
            attempt = 1
            while not await answers(mf) and attempt < 3:
                await asyncio.sleep(60)
                attempt += 1
            await mf.run_until_idle()
            mf.faults.remove(rule)
            rung = await mf.get_durable_object_namespace("JOBS").getByName("a").rung()
            return attempt, rung

    return emulator.run(main)


def test_every_kind_of_every_operation_can_be_carried_out_and_leaves_a_world_that_works():
    calm = At(0)
    assert play(calm) == (1, 1)
    names = {one.name for one in calm.seen}
    assert names >= {name for name in CALLS if name.split(".")[0] in ("r2", "d1", "alarm")}
    pairs = [
        (nth, kind) for nth, one in enumerate(calm.seen, 1) for kind in CATALOGUE.kinds_of(one)
    ]
    assert len(pairs) > 200

    for nth, kind in pairs:
        rule = At(nth, kind)
        attempt, rung = play(rule)
        said = f"{kind} at {calm.seen[nth - 1]}"
        assert len(rule.seen) >= nth, said
        assert attempt <= 2, said
        assert rung in (1, 2), said
