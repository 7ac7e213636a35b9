"""Laws of bookmarks: the way back to what was stored once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.sdk.workers import DurableObject
from emulator.testing import (
    crash_durable_object,
    evict_durable_object,
    fork,
    run_in_durable_object,
)

FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}\Z")
NO_RECOVERY = (
    "This Durable Object's storage back-end does not implement point-in-time recovery."
)


class Job(DurableObject):
    """It stores one pair and one row, and can go back."""

    ran: ClassVar[list[int]] = []

    async def write(self, value: Any) -> None:
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t(x)")
        self.ctx.storage.sql.exec("INSERT INTO t VALUES (?)", str(value))
        await self.ctx.storage.put("value", value)

    async def read(self) -> Any:
        tables = self.ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 't'")
        rows = []
        if tables.toArray():
            rows = [row.x for row in self.ctx.storage.sql.exec("SELECT x FROM t")]
        return [await self.ctx.storage.get("value"), rows]

    async def set(self, time_ms: int) -> None:
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self, info: Any) -> None:
        Job.ran.append(info.scheduledTime)

    async def bookmark(self) -> str:
        return str(await self.ctx.storage.getCurrentBookmark())

    async def written_bookmark(self, value: Any) -> str:
        await self.write(value)
        return str(await self.ctx.storage.getCurrentBookmark())

    async def go_back(self, bookmark: Any) -> str:
        return str(await self.ctx.storage.onNextSessionRestoreBookmark(bookmark))

    async def restart(self) -> None:
        self.ctx.abort("restart")


class Historian(Job):
    """It asks for times, so all its past is kept."""

    async def bookmark_at(self, time: Any) -> str:
        return str(await self.ctx.storage.getBookmarkForTime(time))


def fresh(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName("a")


async def restarted(mf: Any) -> Any:
    """A new stub, after the instance was reset."""
    with pytest.raises(JsException, match="restart"):
        await fresh(mf).restart()
    return fresh(mf)


def test_bookmarks_have_the_documented_form_and_grow(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        found = [await stub.bookmark()]
        for number in range(3):
            await stub.write(number)
            found += [await stub.bookmark(), await stub.bookmark()]
        stub = await restarted(mf)
        found.append(await stub.bookmark())
        undo = await stub.go_back(found[3])
        found += [await stub.bookmark(), undo]
        stub = await restarted(mf)
        found.append(await stub.bookmark())
        assert all(map(FORM.match, found))
        assert found == sorted(set(found))
        return True

    assert with_jobs(Job, scenario)


@pytest.mark.parametrize("way", ["abort", "evict", "crash"])
def test_the_next_start_goes_back_to_the_bookmark(with_jobs, way):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        bookmark = await stub.bookmark()
        await stub.write(2)
        await stub.go_back(bookmark)
        before = await stub.read()
        if way == "abort":
            await restarted(mf)
        elif way == "evict":
            await evict_durable_object(stub)
        else:
            await crash_durable_object(stub)
        return [before, await fresh(mf).read()]

    assert with_jobs(Job, scenario) == [[2, ["1", "2"]], [1, ["1"]]]


def test_a_bookmark_holds_what_was_written_before_it_in_the_same_turn(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        bookmark = await stub.written_bookmark(1)
        await stub.write(2)
        await stub.go_back(bookmark)
        return await (await restarted(mf)).read()

    assert with_jobs(Job, scenario) == [1, ["1"]]


def test_a_restore_can_be_undone_and_done_again(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        first = await stub.bookmark()
        await stub.write(2)
        undo = await stub.go_back(first)
        # Still before the restart, so it is undone as well.
        await stub.write(3)
        stub = await restarted(mf)
        found = [await stub.read()]
        await stub.write(4)
        fourth = await stub.bookmark()
        for bookmark in (undo, first, fourth):
            await stub.go_back(bookmark)
            stub = await restarted(mf)
            found.append(await stub.read())
        return [value for value, _ in found]

    assert with_jobs(Job, scenario) == [1, 3, 1, 4]


def test_an_object_can_go_back_to_when_it_had_nothing(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        bookmark = await stub.bookmark()
        await stub.write(1)
        await stub.go_back(bookmark)
        stub = await restarted(mf)
        found = [await stub.read()]
        await stub.write(2)
        return [*found, await stub.read()]

    assert with_jobs(Job, scenario) == [[None, []], [2, ["2"]]]


def test_the_present_can_be_gone_back_to(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        undo = await stub.go_back(await stub.bookmark())
        stub = await restarted(mf)
        await stub.go_back(undo)
        return await (await restarted(mf)).read()

    assert with_jobs(Job, scenario) == [1, ["1"]]


def test_the_last_bookmark_asked_for_wins_and_once_only(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        first = await stub.bookmark()
        await stub.write(2)
        second = await stub.bookmark()
        await stub.write(3)
        await stub.go_back(first)
        await stub.go_back(second)
        stub = await restarted(mf)
        found = [await stub.read()]
        await stub.write(4)
        return [value for value, _ in [*found, await (await restarted(mf)).read()]]

    assert with_jobs(Job, scenario) == [2, 4]


# -- alarms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "now", "runs"),
    [(60_000, None, [60_000]), (None, 60_000, []), (1_000, None, [1_000])],
)
def test_the_alarm_goes_back_with_the_rest(with_jobs, then, now, runs):
    """Also to a time that is over, for which it runs at once."""

    async def scenario(mf: Any, stub: Any) -> Any:
        Job.ran.clear()
        start_ms = mf.clock.now_ms
        await stub.write(1)
        if then is not None:
            await stub.set(start_ms + then)
        bookmark = await stub.bookmark()
        await mf.advance(2_000)
        ran = len(Job.ran)
        await delete_alarm(stub)
        if now is not None:
            await stub.set(start_ms + now)
        await stub.go_back(bookmark)
        await restarted(mf)
        await fresh(mf).read()
        await mf.run_until_idle()
        return [time_ms - start_ms for time_ms in Job.ran[ran:]]

    assert with_jobs(Job, scenario) == runs


async def delete_alarm(stub: Any) -> None:
    await run_in_durable_object(stub, lambda _, state: state.storage.deleteAlarm())


def test_an_alarm_that_starts_the_object_finds_the_past(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        Job.ran.clear()
        start_ms = mf.clock.now_ms
        await stub.set(start_ms + 90_000)
        bookmark = await stub.bookmark()
        await stub.set(start_ms + 60_000)
        await stub.go_back(bookmark)
        await restarted(mf)
        await mf.run_until_idle()
        return [time_ms - start_ms for time_ms in Job.ran]

    assert with_jobs(Job, scenario) == [90_000]


# -- times ---------------------------------------------------------------------------------


def test_a_time_finds_what_was_durable_then(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        times = [mf.clock.now_ms]
        for number in range(1, 4):
            await mf.advance(1_000)
            await stub.write(number)
            times.append(mf.clock.now_ms)
        bookmarks = [await stub.bookmark_at(time_ms) for time_ms in times]
        assert bookmarks == sorted(bookmarks)
        bookmarks.append(
            await stub.bookmark_at(datetime.fromtimestamp((times[1] + 999) / 1_000, UTC))
        )
        found = []
        for bookmark in bookmarks:
            await stub.go_back(bookmark)
            stub = await restarted(mf)
            found.append((await stub.read())[0])
        return found

    assert with_jobs(Historian, scenario) == [None, 1, 2, 3, 1]


def test_thirty_days_are_kept_and_no_more(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        early = await stub.bookmark()
        early_ms = mf.clock.now_ms
        await mf.advance(timedelta(days=1))
        await stub.write(2)
        await mf.advance(timedelta(days=29, seconds=-1))
        await stub.write(3)
        await stub.bookmark_at(early_ms)
        await mf.advance(timedelta(days=2))
        await stub.write(4)
        messages = []
        for call in (
            lambda: stub.bookmark_at(early_ms),
            lambda: stub.bookmark_at(mf.clock.now_ms + 5_000),
            lambda: stub.go_back(early),
        ):
            with pytest.raises(JsException) as caught:
                await call()
            messages.append(caught.value.message)
        return [re.sub(r"[-+:T.\d]{20,}|'.*'", "...", message) for message in messages]

    assert with_jobs(Historian, scenario) == [
        "getBookmarkForTime(): ... is more than 30 days ago",
        "getBookmarkForTime(): ... is in the future",
        "onNextSessionRestoreBookmark(): ... is no bookmark that this object gave in the last "
        "30 days",
    ]


def test_a_time_that_was_not_kept_is_told_and_not_guessed(with_jobs):
    class Helped(Job):
        async def bookmark_at(self, time: Any) -> str:
            return str(await getattr(self.ctx.storage, "getBookmark" + "ForTime")(time))

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        await stub.bookmark()
        kept_ms = mf.clock.now_ms
        await mf.advance(1_000)
        await stub.write(2)
        lost_ms = mf.clock.now_ms
        await mf.advance(1_000)
        await stub.write(3)
        await stub.go_back(await stub.bookmark_at(kept_ms))
        with pytest.raises(JsException, match="is a moment of which nothing was kept: every"):
            await stub.bookmark_at(lost_ms)
        return await (await restarted(mf)).read()

    assert with_jobs(Helped, scenario) == [1, ["1"]]


# -- refusals ------------------------------------------------------------------------------


def test_what_is_no_bookmark_of_this_object_is_refused(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        other = mf.get_durable_object_namespace("JOBS").getByName("b")
        foreign = await other.bookmark()
        await stub.write(1)
        for wrong in (foreign, "", "x", 5):
            with pytest.raises(JsException, match="is no bookmark that this object gave"):
                await stub.go_back(wrong)
        return await (await restarted(mf)).read()

    assert with_jobs(Job, scenario) == [1, ["1"]]


@pytest.mark.parametrize("limits", ["paid", "workerd"])
def test_arguments_are_checked_as_on_workerd(in_object, limits):
    async def program(state: Any) -> Any:
        messages = []
        for call in (
            state.storage.getBookmarkForTime,
            lambda: state.storage.getBookmarkForTime("x"),
            state.storage.onNextSessionRestoreBookmark,
        ):
            with pytest.raises(JsTypeError) as caught:
                await call()
            messages.append(caught.value.message)
        return messages

    refused = (
        "Failed to execute '{}' on 'DurableObjectStorage': parameter 1 is not of type '{}'."
    )
    assert in_object(program, limits=limits) == [
        refused.format("getBookmarkForTime", "date"),
        refused.format("getBookmarkForTime", "date"),
        refused.format("onNextSessionRestoreBookmark", "string"),
    ]


def test_the_local_runtime_only_counts(in_object):
    async def program(state: Any) -> Any:
        found = [await state.storage.getCurrentBookmark() for _ in range(2)]
        for call in (
            lambda: state.storage.getBookmarkForTime(1),
            lambda: state.storage.onNextSessionRestoreBookmark(found[0]),
        ):
            with pytest.raises(JsException) as caught:
                await call()
            assert caught.value.message == NO_RECOVERY
        return found

    tail = f"00000000-{'0' * 32}"
    assert in_object(program, limits="workerd") == [
        f"00000000-00000000-{tail}",
        f"00000000-00000001-{tail}",
    ]


# -- snapshots -----------------------------------------------------------------------------


def test_a_fork_has_the_bookmarks_and_a_past_of_its_own(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.write(1)
        bookmark = await stub.bookmark()
        await stub.write(2)
        present = await stub.bookmark()
        await stub.go_back(bookmark)
        async with fork(mf) as other:
            await fresh(other).write(3)
            found = [await fresh(other).read()]
            await fresh(other).go_back(present)
            found.append(await (await restarted(other)).read())
        await stub.write(4)
        found += [await stub.read(), await (await restarted(mf)).read()]
        return [value for value, _ in found]

    assert with_jobs(Job, scenario) == [3, 2, 4, 1]
