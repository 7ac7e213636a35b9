"""What every law may ask for.

On the emulator each law has a world of its own, which costs a few milliseconds. Where real
time passes, the laws of a session share one, each with users of its own, and those that only
look at an export share that too.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from amber_worker.contract.options import TARGET
from amber_worker.contract.patience import Patience
from amber_worker.contract.seeds import garden
from amber_worker.contract.user import WrongAnswer
from amber_worker.contract.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from amber_worker.contract.archive import Archive
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.target import Target
    from amber_worker.contract.user import Export, User

_FAILURES = Path(__file__).with_name("test_failures.py")
_NO_STORAGE = "a deployed worker's D1 and R2 cannot be reached, and this law has to seed files"
_NO_STRANGER = "this law needs a second user, and a deployed worker has one"
_ONE_WORLD = "a deployed worker has the variables that it has"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes two minutes where real time passes begins with the world: look at it last."""
    items.sort(key=lambda item: item.path == _FAILURES)


def _scope(fixture_name: str, config: pytest.Config) -> Literal["function", "session"]:
    return config.stash[TARGET].scope


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """Who is judged."""
    return pytestconfig.stash[TARGET]


# By its name the plugin knows that a test runs on one of its loops.
@pytest.fixture(scope=_scope)
async def miniflare(target: Target) -> AsyncIterator[Any]:
    """The target, running."""
    async with target.handle() as handle:
        yield handle


@pytest.fixture(scope=_scope)
def patience(target: Target) -> Patience:
    """How long the target is waited for, in all its worlds."""
    return Patience(target.wait_ms)


@pytest.fixture(scope=_scope)
async def world(target: Target, miniflare: Any, patience: Patience) -> World:
    """A running worker."""
    made = World(target, miniflare, patience)
    if target.kind == "workerd":
        await made.begin_failing_export()
    return made


@pytest.fixture
def world_with(target: Target, miniflare: Any, patience: Patience) -> Callable[..., Any]:
    """Makes another running worker, with other variables."""
    if target.is_deployed:
        pytest.skip(_ONE_WORLD)

    @asynccontextmanager
    async def make(**bindings: str | None) -> AsyncIterator[World]:
        async with target.handle(**bindings) as handle:
            yield World(target, handle, patience)

    return make


@pytest.fixture
async def user(world: World) -> User:
    """A user whom no other law meets, without files."""
    return await world.user()


@pytest.fixture
def storage(world: World) -> Storage:
    """The worker's D1 and R2."""
    if world.target.is_deployed:
        pytest.skip(_NO_STORAGE)
    return world.storage


@pytest.fixture
async def stranger(world: World) -> User:
    """Another user whom no other law meets."""
    if world.target.is_deployed:
        pytest.skip(_NO_STRANGER)
    return await world.user()


@pytest.fixture(scope=_scope)
async def finished(world: World) -> Export:
    """A completed export of everything, with what `garden` holds where we may seed it.

    While it was on its way, a second one was asked for. Nobody may change anything of it.
    """
    user = await world.user()
    files = None if world.target.is_deployed else await user.add(*garden())
    try:
        export = await user.begin()
    except WrongAnswer as wrong:
        if world.target.is_deployed and wrong.status == 409:
            # Nothing is known of the worker yet, but of its user.
            pytest.fail("this user has an export on its way already: wait for its end")
        raise
    export.second = await user.post_export()
    export.files = files
    return await export.complete()


@pytest.fixture
def with_archive(finished: Export) -> Export:
    """The export that everybody looks at, if it has an archive."""
    if not finished.has_archive:
        pytest.skip("the user has no files, and the export stored nothing")
    return finished


@pytest.fixture
async def archive(with_archive: Export) -> Archive:
    """The archive of the export that everybody looks at."""
    return await with_archive.archive()


@pytest.fixture(scope=_scope)
async def failed(world: World) -> Export:
    """An export that has ended, and that could not complete."""
    if world.target.is_deployed:
        pytest.skip(_NO_STORAGE)
    return await world.failed_export()


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Notes what the worker does where README and worker differ: topic, and what it does."""
    node: pytest.Item = request.node

    def note(topic: str, spoken: str) -> None:
        node.user_properties.append(("dialect", (topic, spoken)))

    return note
