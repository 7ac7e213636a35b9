"""The page on Durable Objects: its examples print what it shows, its table is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import pytest
from js import Date, setInterval
from workers import DurableObject

import emulator
from emulator.errors import JsException
from emulator.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    #: It is handed a world and an object of it, and tells what happened.
    Probe: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

PAGE = (Path(__file__).parents[1] / "docs" / "durable-objects.md").read_text(encoding="utf-8")
#: The files of the page, by the name in the first line of each.
FILES = dict(re.findall(r"```python\n((?:# (\S+))\n.*?)```", PAGE, re.DOTALL))
#: What each command of the page prints.
PRINTED = dict(re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL))
ROWS = re.findall(r"^\| (\S.*?) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    for text, name in FILES.items():
        (made / name).write_text(text)
    return made


def untimed(printed: str) -> str:
    return re.sub(r"in [\d.]+s", "in 0.00s", printed)


@pytest.mark.parametrize("command", PRINTED)
def test_an_example_prints_what_the_page_shows(
    output_of: Callable[..., str], folder: Path, command: str
) -> None:
    program, *arguments = command.split()
    module = ["-m", "pytest", "-p", "no:cacheprovider"] if program == "pytest" else []
    printed = output_of(folder, *module, *arguments)
    assert untimed(printed) == untimed(PRINTED[command])


def test_every_block_is_part_of_an_example() -> None:
    assert PAGE.count("```python") == len(FILES)
    assert PAGE.count("```console") == len(PRINTED)
    for text, name in FILES.items():
        others = [*PRINTED, *(other for other in FILES if other != text)]
        assert any(name in other for other in others), name


# -- the table ---------------------------------------------------------------------------------


class Job(DurableObject):
    """It does what the rows of the table tell of."""

    plan: ClassVar[str] = ""
    run_ms: ClassVar[list[int]] = []

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.calls = 0

    async def count(self) -> int:
        self.calls += 1
        return self.calls

    async def put_pairs(self, count: int) -> None:
        await self.ctx.storage.put({str(number): 0 for number in range(count)})

    async def put(self, key_size: int, value_size: int) -> None:
        await self.ctx.storage.put("k" * key_size, b"x" * value_size)

    async def in_transaction(self) -> Any:
        async def write(txn: Any) -> Any:
            await txn.put("k", 1)
            return await self.ctx.storage.get("k")

        return await self.ctx.storage.transaction(write)

    async def go_back(self) -> None:
        bookmark = await self.ctx.storage.getCurrentBookmark()
        await self.ctx.storage.onNextSessionRestoreBookmark(bookmark)

    async def sql(self, text: str) -> None:
        self.ctx.storage.sql.exec(text)

    async def abort(self, reason: Any) -> None:
        self.ctx.abort(reason)

    async def tick(self) -> None:
        setInterval(lambda: None, 1_000)

    async def deep(self) -> Any:
        found: Any = 7
        for _ in range(66):
            found = {"a": found}
        return found

    async def set_alarm(self, time_ms: int) -> None:
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self, info: Any) -> None:
        Job.run_ms.append(Date.now())
        if len(Job.run_ms) > 1:
            return
        if Job.plan == "again":
            await self.ctx.storage.setAlarm(info.scheduledTime)
        elif Job.plan == "abort":
            self.ctx.abort("no more", retryAlarm=False)
        elif Job.plan == "fail":
            raise ValueError("once")


async def error_of(call: Awaitable[Any]) -> str | None:
    """The text of a call's error; None if it succeeds."""
    try:
        await call
    except JsException as error:
        return error.message
    return None


async def alarm_runs(mf: Any, job: Any, plan: str, sooner_ms: int | None = None) -> int:
    """How often the handler runs by three seconds after its time."""
    Job.plan, Job.run_ms = plan, []
    due_ms = mf.clock.now_ms + 1_000
    await job.set_alarm(due_ms)
    await mf.advance(1_500)
    if sooner_ms is not None:
        job = mf.get_durable_object_namespace("JOBS").getByName("a")
        await job.set_alarm(mf.clock.now_ms + sooner_ms)
        await mf.advance(sooner_ms + 10)
    else:
        await mf.advance(3_000)
    return len(Job.run_ms)


async def old_class(mf: Any, _: Any) -> Any:
    old = mf.get_durable_object_namespace("OLD").getByName("a")
    return [
        await error_of(old.put(2_048, 1)),
        await error_of(old.put(2_049, 1)),
        await error_of(old.put(1, 140_000)),
        await old.in_transaction(),
    ]


async def jurisdiction(mf: Any, _: Any) -> Any:
    try:
        namespace = mf.get_durable_object_namespace("JOBS").jurisdiction("eu")
        return namespace.idFromName("a").jurisdiction
    except JsException as error:
        return error.message


async def evicted_after(mf: Any, job: Any) -> bool:
    await job.count()
    await job.tick()
    await mf.advance(150_000)
    return bool(await job.count() == 1)


async def reserved(mf: Any, job: Any) -> Any:
    texts = ["CREATE TABLE _cf_x(y)", "CREATE TABLE _CF_x(y)"]
    return [await error_of(job.sql(text)) is None for text in texts]


async def deep_path(mf: Any, job: Any) -> Any:
    found = job.deep()
    try:
        for _ in range(66):
            found = found.a
        return await found
    except JsException as error:
        return error.message


def calls(method: str, *arguments: Any) -> Probe:
    async def probe(_: Any, job: Any) -> Any:
        return await error_of(getattr(job, method)(*arguments))

    return probe


def runs(plan: str, sooner_ms: int | None = None) -> Probe:
    async def probe(mf: Any, job: Any) -> Any:
        return await alarm_runs(mf, job, plan, sooner_ms)

    return probe


_PAIRS = "Maximum number of key value pairs is 128. 129 pairs were provided."
_TOO_BIG = "string or blob too big: SQLITE_TOOBIG"
_KEY = "Keys cannot be larger than 2048 bytes. A key of size 2049 was provided."
_VALUE = "Values cannot be larger than 131072 bytes. A value of size 140013 was provided."
_NO_WAY_BACK = (
    "This Durable Object's storage back-end does not implement point-in-time recovery."
)
_NOT_IMPLEMENTED = "Jurisdiction restrictions are not implemented in workerd."
_ABORTED = "Application called abort() to reset Durable Object."
_TOO_DEEP = "RPC pipelined property path is too deep (max 64)."

#: What shows a row: on the documented platform, and as the local runtime has it.
PROBES: dict[str, tuple[Probe, Any, Any]] = {
    "keys of one `get`, `put` or `delete`": (calls("put_pairs", 129), _PAIRS, None),
    "key and value of a pair, with SQLite": (calls("put", 1, 2_100_000), _TOO_BIG, None),
    "a class without SQLite": (
        old_class,
        [None, _KEY, _VALUE, None],
        [None, None, None, 1],
    ),
    "bookmarks, with SQLite": (calls("go_back"), None, _NO_WAY_BACK),
    "jurisdictions": (jurisdiction, "eu", _NOT_IMPLEMENTED),
    "`setAlarm` for the present instant, in the handler of an alarm of that instant": (
        runs("again"),
        2,
        1,
    ),
    "an alarm set sooner than the coming retry": (runs("fail", 100), 2, 1),
    "an idle object that holds a running timer": (evicted_after, True, False),
    "`ctx.abort(None)`": (calls("abort", None), _ABORTED, "null"),
    "`ctx.abort(reason, retryAlarm=False)`": (runs("abort"), 1, 2),
    "names in SQL that are reserved": (reserved, [False, False], [False, True]),
    "names in one pipelined property path": (deep_path, _TOO_DEEP, 7),
}
#: Rows of which nothing can be shown quickly: the limit, in "paid", "free" and "workerd".
NUMBERS = {
    "subrequests of one invocation": ("subrequests_max", 10_000, 1_000, None),
    "connections that wait for an answer at once": ("connections_max", 6, 6, None),
    "storage of one object": ("storage_bytes_max", 10 * 10**9, 5 * 10**9, None),
}


@pytest.mark.parametrize("profile", ["paid", "free", "workerd"])
@pytest.mark.parametrize("row", PROBES)
def test_a_row_of_the_table_is_true(row: str, profile: str) -> None:
    probe, documented, local = PROBES[row]

    async def main() -> Any:
        old = {"className": "Job", "useSQLite": False, "unsafeUniqueKey": "old"}
        async with emulator.Miniflare(
            worker=Job, durable_objects={"JOBS": "Job", "OLD": old}, limits=profile
        ) as mf:
            return await probe(mf, mf.get_durable_object_namespace("JOBS").getByName("a"))

    assert emulator.run(main) == (local if profile == "workerd" else documented)


def test_the_numbers_of_the_table_are_those_in_force() -> None:
    for name, *expected in NUMBERS.values():
        profiles = [Limits.named(profile) for profile in ("paid", "free", "workerd")]
        assert [getattr(limits, name) for limits in profiles] == expected


def test_every_row_of_the_table_is_looked_at() -> None:
    assert sorted(row for row, _, _ in ROWS) == sorted([*PROBES, *NUMBERS])
