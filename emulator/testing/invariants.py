"""Invariants: what the platform promises of every worker, ready to be watched.

    emulator.explore(scenario, invariants=[*invariants.standard(), job_is_done])

    async with watching(mf, *invariants.standard()):
        ...

Each is made by a call, is a monitor, and serves many runs. What holds on Cloudflare holds here,
so most of them fail only for a worker that asks for less (`allowUnconfirmed`), that leaves
something behind, or that waits for ever.

Promises: each says what the platform promises and where. They observe through the trace and
the lives of the objects; none walks through a world while it runs. Leaves to others: watching.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from emulator.testing.alarm_book import AlarmBook
from emulator.testing.books import Book, BookMonitor
from emulator.testing.life_books import AnswerBook, HandlerBook, LeakBook
from emulator.testing.pending_book import PendingBook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emulator.http.miniflare import Miniflare
    from emulator.simulation.monitors import Monitor

__all__ = [
    "acknowledged_writes_survive",
    "every_alarm_runs",
    "no_leaked_write",
    "no_open_upload",
    "nothing_is_forgotten",
    "one_handler_at_a_time",
    "standard",
]


def one_handler_at_a_time(*bindings: str) -> Monitor:
    """At most one handler of an object runs at a time, where the platform promises it.

    An object has one living instance; nothing enters it in a critical section of
    `blockConcurrencyWhile` but what the section itself has asked for (Cloudflare docs, Durable
    Object State, `blockConcurrencyWhile`; workerd's io-gate.h); the alarm handler never runs
    beside itself (Cloudflare docs, Alarms).

    Args:
        bindings: Namespaces that need more than that: no two handlers of one object interleave
            at all, not even while one waits for R2 or another object. The platform does not
            promise this; a worker brings it about, or relies on it by mistake.
    """
    told = ", ".join(map(repr, bindings))
    return BookMonitor(
        f"one_handler_at_a_time({told})", partial(HandlerBook, bindings=bindings)
    )


def acknowledged_writes_survive() -> Monitor:
    """What an object had written when it answered is there after a power cut.

    The output gate holds an answer until the writes before it are durable (Cloudflare docs,
    Transactional storage API: "any outgoing network messages will be held until the write has
    been flushed to disk"; workerd's io-gate.h). `allowUnconfirmed` gives that up: this fails
    when a power cut then belies an answer that has left.
    """
    return BookMonitor("acknowledged_writes_survive()", AnswerBook)


def every_alarm_runs(*, may_give_up: bool = True) -> Monitor:
    """Every alarm that was set runs, at its time or later.

    At least once, until its handler has succeeded (Cloudflare docs, Alarms: "guaranteed at-
    least-once execution"). It need not if another one replaces it, it is deleted, or its
    handler has failed seven times (the first run and six retries).

    Args:
        may_give_up: False demands that no alarm is given up after its last retry: on the
            platform nothing would wake the object any more.
    """
    told = "" if may_give_up else "may_give_up=False"
    return BookMonitor(f"every_alarm_runs({told})", partial(AlarmBook, may_give_up=may_give_up))


def nothing_is_forgotten() -> Monitor:
    """At rest, nothing that was accepted is still pending.

    Every request and call has its answer, every handler and all work handed to `waitUntil` has
    ended, nobody waits at a gate. The platform breaks such a wait off sooner or later, and
    tells the caller of an error (Cloudflare docs, Limits; Lifecycle of a Durable Object). The
    failure says who waits for whom.
    """
    return BookMonitor("nothing_is_forgotten()", PendingBook)


def no_leaked_write() -> Monitor:
    """Nothing that an instance tries after its end takes effect.

    After a power cut, a reset or an eviction nothing of the instance runs again (Cloudflare
    docs, Lifecycle of a Durable Object); calls which had left before still arrive.
    """
    return BookMonitor("no_leaked_write()", LeakBook)


def no_open_upload(*buckets: str, but: str | Iterable[str] = ()) -> Monitor:
    """At rest, no multipart upload is open: each was completed or aborted.

    An upload that nobody ends is kept, and charged for, until R2 aborts it after seven days
    (Cloudflare docs, R2, Multipart upload and Object lifecycles).

    Args:
        buckets: The names of the bindings; none is all of them.
        but: Keys, or globs over them, whose uploads may stay open.
    """
    globs = (but,) if isinstance(but, str) else tuple(but)
    told = [*map(repr, buckets), *([f"but={globs!r}"] if globs else [])]
    return BookMonitor(
        f"no_open_upload({', '.join(told)})",
        partial(_UploadBook, buckets=buckets, globs=globs),
    )


def standard() -> tuple[Monitor, ...]:
    """All of them, each as it is without arguments."""
    return (
        one_handler_at_a_time(),
        acknowledged_writes_survive(),
        every_alarm_runs(),
        nothing_is_forgotten(),
        no_leaked_write(),
        no_open_upload(),
    )


class _UploadBook(Book):
    """Looks into the buckets at rest."""

    def __init__(
        self, mf: Miniflare, name: str, buckets: tuple[str, ...], globs: tuple[str, ...]
    ) -> None:
        super().__init__(mf, name)
        for binding in buckets:
            mf.get_r2_bucket(binding)  # Says which there are, if this is none.
        self._bindings = buckets or tuple(self.world.buckets)
        self._globs = globs

    def close(self) -> None:
        """Complain of every upload that is open."""
        storage, names = self.world.storage, self.world.options.r2_buckets
        if storage is None:
            return
        found = [
            f"{upload.key!r} in {binding}"
            for binding in self._bindings
            for upload in storage.store(names[binding]).uploads.values()
            if upload.is_open and not self._is_allowed(upload.key)
        ]
        if found:
            raise self.failure(
                f"an upload was neither completed nor aborted: {', '.join(found)}"
            )

    def _is_allowed(self, key: str) -> bool:
        return any(key == glob or fnmatchcase(key, glob) for glob in self._globs)
