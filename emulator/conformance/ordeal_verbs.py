"""Ordeal verbs: what a test may do to a world while a program runs, and laws about it.

Promises: each verb of `emulator.testing` by a name of its own; where the platform, or the
verb, promises something that can be seen from outside, it is looked at, and a promise that
is broken is a `BrokenLaw`. Leaves to others: when a verb is done (ordeal), and running the
program (torture).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator import testing
from emulator.conformance.ordeal_dialect import INSIDE, BrokenLaw, holds, late, same
from emulator.durable_objects.life_observer import observe_lives
from emulator.errors import JsException, WorldError
from emulator.testing.durable_objects import run_inside
from emulator.testing.failure_report import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.conformance.program import Program
    from emulator.durable_objects.instance import Instance
    from emulator.durable_objects.storage import DurableObjectStorage
    from emulator.http.miniflare import Miniflare
    from emulator.runtime.snapshot import WorldSnapshot
    from emulator.sdk.workers import Response
    from emulator.simulation.randomness import Stream

__all__ = ["REFUSALS", "VERBS", "Hands"]

#: Keys of our own, beside those of programs.
_FIRST: Final = "ordeal/1"
_SECOND: Final = "ordeal/2"
_DAY_MS: Final = 86_400_000


@final
class Hands:
    """What a test holds of a world.

    Args:
        mf: The world.
        program: Which runs in it.
        stream: Decides whatever a verb leaves open.
    """

    def __init__(self, mf: Miniflare, program: Program, stream: Stream) -> None:
        self.mf = mf
        self.namespace = mf.get_durable_object_namespace(program.class_name.upper())
        self.stream = stream
        self.kept: WorldSnapshot | None = None
        self.bookmark: str | None = None
        self.number = 0
        #: Whether no step of the program runs, which might write meanwhile.
        self.is_alone = False

    @property
    def stub(self) -> Any:
        """A fresh stub of the program's main object."""
        return self.namespace.getByName("main")

    @property
    def record(self) -> Any:
        """What is known of that object."""
        return self.namespace.record(self.namespace.idFromName("main"))

    def next_number(self) -> int:
        """A number that was never given before."""
        self.number += 1
        return self.number

    async def inside(self, function: Callable[[DurableObjectStorage], Awaitable[Any]]) -> Any:
        """What a function gives that has the object's storage."""

        async def run(instance: object, state: Any) -> Any:
            return await function(state.storage)

        return await run_inside(self.stub, "object.run", run)


async def _evict(hands: Hands) -> None:
    await testing.evict_durable_object(hands.stub)


async def _evict_all(hands: Hands) -> None:
    await testing.evict_all_durable_objects(hands.mf)


async def _abort_all(hands: Hands) -> None:
    await testing.abort_all_durable_objects(hands.mf)


async def _crash(hands: Hands) -> None:
    """Nothing durable is lost, and nothing else is kept."""
    before = hands.record.snapshot()
    await testing.crash_durable_object(hands.stub)
    after = hands.record.snapshot()
    same("a crash keeps what is durable, and nothing else", _bytes(before), _bytes(after))


def _bytes(snapshot: Any) -> tuple[bytes | None, int | None]:
    stored = snapshot.stored
    return (None if stored.sqlite is None else stored.sqlite.image, stored.alarm_time_ms)


async def _confirmed(hands: Hands) -> None:
    """What was confirmed outlives a crash in the same instant."""
    number = hands.next_number()

    async def put(storage: DurableObjectStorage) -> None:
        await storage.put({_FIRST: number, _SECOND: number})

    await hands.inside(put)
    if hands.record.instance is not None:
        await testing.crash_durable_object(hands.stub)
    found = await hands.inside(_both)
    if hands.is_alone:
        same("what was confirmed is there", found, (number, number))


async def _both(storage: DurableObjectStorage) -> Any:
    return await storage.get(_FIRST), await storage.get(_SECOND)


async def _unconfirmed(hands: Hands) -> None:
    """Writes of one turn are kept together or lost together."""
    number = hands.next_number()
    was = await hands.inside(_both)

    async def put(storage: DurableObjectStorage) -> None:
        storage.put(_FIRST, number)
        storage.put(_SECOND, number)
        if hands.stream.randrange(2):
            await storage.sync()
        hands.record.power_cut("a crash amid its writes")

    try:
        await hands.inside(put)
    except JsException:
        found = await hands.inside(_both)
        if hands.is_alone and found not in (was, (number, number)):
            message = f"writes of one turn fell apart: {was}, then {number}, then {found}"
            raise BrokenLaw(message) from None


async def _bookmark(hands: Hands) -> None:
    """The number that goes with a bookmark is stored, so that it comes back with it."""
    hands.bookmark = None
    number = hands.next_number()

    async def take(storage: DurableObjectStorage) -> str:
        await storage.put(_FIRST, number)
        return str(await storage.getCurrentBookmark())

    hands.bookmark = f"{number} {await hands.inside(take)}"


async def _recover(hands: Hands) -> None:
    """A bookmark brings back what was stored when it was taken."""
    if hands.bookmark is None:
        await _bookmark(hands)
    assert hands.bookmark is not None
    number, _, bookmark = hands.bookmark.partition(" ")

    async def restore(storage: DurableObjectStorage) -> None:
        await storage.put(_FIRST, -1)
        await storage.onNextSessionRestoreBookmark(bookmark)

    try:
        await hands.inside(restore)
    except JsException:
        hands.bookmark = None  # It may have been of another life, or not be had here.
        raise
    await testing.abort_all_durable_objects(hands.mf)
    [found, _] = await hands.inside(_both)
    if hands.is_alone:
        same("a bookmark brings back what was there", found, int(number))


async def _past(hands: Hands) -> None:
    """Ask for times, most of them of another age."""
    now_ms = hands.mf.clock.now_ms
    time_ms = now_ms - hands.stream.choice((-1, 0, 1, 5, 60_000, 31 * _DAY_MS))

    async def take(storage: DurableObjectStorage) -> str:
        return str(await storage.getBookmarkForTime(time_ms))

    bookmark = await hands.inside(take)

    async def restore(storage: DurableObjectStorage) -> str:
        return str(await storage.onNextSessionRestoreBookmark(bookmark))

    await hands.inside(restore)
    # Else the next crash would go back, and lose what was confirmed since.
    await testing.abort_all_durable_objects(hands.mf)
    await hands.inside(_both)


async def _snapshot(hands: Hands) -> None:
    hands.kept = testing.snapshot(hands.mf)
    repr(hands.kept)


async def _restore(hands: Hands) -> None:
    """A snapshot that was put back is what a new one tells."""
    if hands.kept is None:
        await _snapshot(hands)
    assert hands.kept is not None
    testing.restore(hands.mf, hands.kept)
    hands.bookmark = None
    again = testing.snapshot(hands.mf)
    for binding, objects in hands.kept.namespaces.items():
        told = {str(one.id): _bytes(one) for one in again.namespaces[binding]}
        for one in objects:
            same("a snapshot can be put back", told[str(one.id)], _bytes(one))


async def _fork(hands: Hands) -> None:
    """A fork holds what is durable, and what is written to it is nobody else's."""
    fork = testing.fork(hands.mf)
    mine = _bytes(hands.record.snapshot())
    async with fork:
        theirs = Hands(fork, _program_of(hands), hands.stream)
        same("a fork holds what is durable", _bytes(theirs.record.snapshot()), mine)
        await theirs.inside(lambda storage: storage.put(_FIRST, "forked"))
        found = await hands.inside(_both)
        holds("a fork writes for itself", found[0] != "forked")
        stub, namespace = theirs.stub, theirs.namespace
    await late(lambda: stub.run(0))
    await late(lambda: namespace.getByName("main").fetch("http://object/"))
    await late(lambda: theirs.inside(_both))


def _program_of(hands: Hands) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(class_name=hands.namespace.binding_name)


async def _reset(hands: Hands) -> None:
    """Nothing is left."""
    await testing.reset(hands.mf)
    hands.bookmark = None
    left = [record.name for record in hands.namespace.records() if record.was_started]
    same("a reset leaves nothing", left, [])


async def _alarm(hands: Hands) -> None:
    testing.list_alarms(hands.mf)
    await testing.run_durable_object_alarm(hands.stub, retries=hands.stream.randrange(2))


async def _advance(hands: Hands) -> None:
    await hands.mf.advance(hands.stream.choice((0, 1, 250, 3_000, 11_000, 160_000)))


async def _idle(hands: Hands) -> None:
    await hands.mf.advance(_DAY_MS)


async def _look(hands: Hands) -> None:
    """To look changes nothing."""
    mf = hands.mf
    before = mf.trace.digest()
    mf.world.statistics()
    mf.limits.report()
    describe(mf.world.simulation)
    for part in _parts(mf.world):
        repr(part)
    await testing.list_durable_object_ids(hands.namespace)
    same("to look changes nothing", mf.trace.digest(), before)


def _parts(root: object) -> list[object]:
    """Everything of the emulator that can be reached from an object, as a debugger would."""
    seen: list[object] = []
    rest = [root]
    while rest:
        part = rest.pop()
        if any(part is other for other in seen):
            continue
        if isinstance(part, dict):
            rest += part.values()
        elif isinstance(part, (list, tuple, set)):
            rest += part
        elif type(part).__module__.startswith("emulator.durable_objects"):
            names = [
                name for cls in type(part).__mro__ for name in cls.__dict__.get("__slots__", ())
            ]
            own = getattr(part, "__dict__", {})
            rest += own.values()
            for name in names:
                try:
                    rest.append(object.__getattribute__(part, name))
                except AttributeError:
                    continue  # A slot that is empty, or private to its class.
        elif part is not root:
            continue
        else:
            rest += vars(part).values()
        seen.append(part)
    return [part for part in seen if not isinstance(part, (dict, list, tuple, set))]


@final
class _Lives:
    """What is told of each instance."""

    def __init__(self) -> None:
        self.told: dict[Instance, list[str]] = {}

    def __getattr__(self, what: str) -> Callable[..., None]:
        def note(instance: Instance, *_: object) -> None:
            self.told.setdefault(instance, []).append(what)

        return note


async def _observe(hands: Hands) -> None:
    """Whoever observes instances hears of each from its beginning to its end."""
    lives = _Lives()
    stop = observe_lives(hands.mf.world.simulation, lives)
    try:
        await testing.abort_all_durable_objects(hands.mf)
        await hands.inside(_both)
        await testing.abort_all_durable_objects(hands.mf)
    finally:
        stop()
    holds("a life is told", lives.told)
    for told in lives.told.values():
        same("a life begins once, at first", [told[0], told.count(told[0])], ["life_began", 1])
        holds("nothing follows its end", "life_ended" not in told[:-1])


async def _ids(hands: Hands) -> None:
    """Ids of a jurisdiction stay there; equal ids are equal."""
    namespace = hands.namespace
    place = hands.stream.choice(("eu", "us", "fedramp"))
    part = namespace.jurisdiction(place)
    new = part.newUniqueId()
    again = part.idFromString(str(new))
    holds("an id is its text", again == new and again.equals(new))
    holds("an id is no text", again != str(again))
    same("an id is its bytes", len({again, new, bytes(new)}), 2)
    same("JSON shows no digits", new.toJSON(), {"jurisdiction": place})
    same("a long name is not told", namespace.idFromName("x" * 1_025).seen_inside().name, None)
    same("an id stays in its jurisdiction", again.jurisdiction, place)
    holds("no other has its names", part.idFromName("x") != namespace.idFromName("x"))
    repr([part, new, part.get(new)])
    namespace.jurisdiction("us" if place == "eu" else "eu").get(new)
    message = "an id of one jurisdiction was taken by another"
    raise BrokenLaw(message)


async def _many_timers(hands: Hands) -> None:
    """More than one connection, timer and subrequest at once, within an object."""
    import asyncio

    async def wait(storage: DurableObjectStorage) -> None:
        await asyncio.gather(*(asyncio.sleep(ms / 1_000) for ms in (1, 2, 3)))
        await asyncio.gather(*(storage.put(_SECOND, ms) for ms in (1, 2, 3)))
        await storage.get(_FIRST, {"allowConcurrency": True})

    await hands.inside(wait)


async def _request(hands: Hands) -> None:
    """A request of the test's own, beside those of the program."""
    answer: Response = await hands.stub.fetch("http://object/", method="POST", body="-1")
    await answer.text()


async def _nothing(hands: Hands) -> None:
    """A request for nothing is refused, and the object hears nothing of it."""
    await hands.stub.fetch()
    raise BrokenLaw("a request for nothing was answered")


async def _stubs(hands: Hands) -> None:
    """A stub of a function, and the promise of a call, end with their block."""
    from emulator.durable_objects.rpc_stub import RpcStub

    with RpcStub(lambda number: number + 1) as stub:
        same("a function is called by its stub", await stub(1), 2)
        other = stub.dup()
        repr([stub, other])
        with other(2) as promise:
            repr(promise)
            same("its promise can be awaited", await promise, 3)
    repr(stub)
    same("a duplicate lives on", await other(3), 4)
    same("what is given up gives duplicates that are", repr(stub.dup()), repr(stub))
    with hands.stub.run(-1) as call:
        repr(call)  # Given up before it is made.
    for wrong in (5, None):
        try:
            RpcStub(wrong)
        except JsException:
            continue
        message = f"there is a stub of {wrong!r}"
        raise BrokenLaw(message)
    await stub(4)
    message = "a stub that was given up still works"
    raise BrokenLaw(message)


def _inside(name: str) -> Callable[[Hands], Awaitable[None]]:
    async def verb(hands: Hands) -> None:
        async def run(instance: object, state: Any) -> None:
            try:
                await INSIDE[name](state)
            except BrokenLaw:
                if hands.is_alone:
                    raise  # Else it may be the program's doing.

        await run_inside(hands.stub, "object.run", run)

    return verb


async def _scheduled(hands: Hands) -> None:
    await hands.mf.get_worker().scheduled()


#: What a test may do, by name.
VERBS: Final[dict[str, Callable[[Hands], Awaitable[None]]]] = {
    "abort_all": _abort_all,
    "advance": _advance,
    "alarm": _alarm,
    "bookmark": _bookmark,
    "confirmed": _confirmed,
    "crash": _crash,
    "evict": _evict,
    "evict_all": _evict_all,
    "fork": _fork,
    "idle": _idle,
    "ids": _ids,
    "look": _look,
    "many_timers": _many_timers,
    "nothing": _nothing,
    "observe": _observe,
    "past": _past,
    "recover": _recover,
    "request": _request,
    "reset": _reset,
    "restore": _restore,
    "scheduled": _scheduled,
    "snapshot": _snapshot,
    "stubs": _stubs,
    "unconfirmed": _unconfirmed,
    **{name: _inside(name) for name in INSIDE},
}

#: What a verb may be told: by the platform, or that the object does not run now.
REFUSALS: Final = (JsException, WorldError)
