"""The hooks: where pytest asks, and other plugins listen too.

Promises: our tests are taken when all marks have been set; an async fixture that one of them
asks for is set up on that test's run, one that another test asks for is left alone; a wider
one that both kinds use is set up anew when the kind changes, so that nobody gets a value of
another loop; a failure tells what happened before. Leaves to others: what it delegates.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, final

import pytest

from emulator.testing.pytest_plugin.async_test import AsyncTest
from emulator.testing.pytest_plugin.closure import fixtures_of, is_async
from emulator.testing.pytest_plugin.loops import LOOPS, Loops
from emulator.testing.pytest_plugin.timeouts import carry_out, interrupt_simulations
from emulator.testing.pytest_plugin.world_fixtures import (
    PLACE,
    TOLD,
    Place,
    anchored,
    miniflare,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from emulator.testing.pytest_plugin.simulated_run import Run

__all__ = ["Hooks"]

_miniflare_function: Final = inspect.unwrap(miniflare)
_OPTIONS: Final = "miniflare_options"


@final
class Hooks:
    """What must be decided before, or after, every other plugin has had its say.

    Args:
        config: Of pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._loops = config.stash[LOOPS] = Loops(config)
        self._place = config.stash[PLACE] = Place()
        #: The async fixtures that live on a run of ours, and on which.
        self._ours: dict[Any, Run] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Take our tests, and decide which of them share a loop."""
        yield
        self._loops.plan([item for item in items if AsyncTest.adopt(item)])  # type: ignore[misc]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Know which test is under way."""
        self._place.item = self._place.node = item

    # Wrappers of the older style see every test, and are in no traceback of those that fail.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, None]:
        """A set-up may be interrupted."""
        carry_out((yield))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        """The end of a test may be interrupted, too."""
        carry_out((yield))

    @pytest.hookimpl(specname="pytest_runtest_setup", tryfirst=True)
    def pytest_change_kind(self, item: pytest.Item) -> None:
        """End the wider async fixtures that live on a loop of the other kind.

        Inside of all wrappers: one whose set-up was cut off would fail in the teardown.
        """
        if not isinstance(item, pytest.Function):
            return
        is_ours = isinstance(item, AsyncTest)
        if not is_ours:
            _refuse_marks(item)
        for fixturedef in fixtures_of(item):
            is_other = (fixturedef in self._ours) is not is_ours
            if is_other and fixturedef.cached_result is not None and is_async(fixturedef):
                fixturedef.finish(item._request)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_timeout_set_timer(self) -> Generator[None, object, object]:
        """A hook of pytest-timeout: it has set its signal handler."""
        result = yield
        interrupt_simulations()
        return result

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Refuse a test that got hold of another loop's fixture behind pytest's back."""
        patience: Any = nullcontext()
        fixtures = getattr(item, "fixturenames", ())
        if "miniflare_factory" in fixtures and hasattr(item.obj, "hypothesis"):  # type: ignore[attr-defined]
            from emulator.testing.pytest_plugin.given import without_default_deadline

            patience = without_default_deadline(item.obj)  # type: ignore[attr-defined]
        with patience:
            outcome = yield
        carry_out(outcome)
        if not isinstance(item, pytest.Function) or outcome.exception is not None:
            return
        run = item.run if isinstance(item, AsyncTest) else None
        for name, fixturedef in item._request._fixture_defs.items():
            if is_async(fixturedef) and self._ours.get(fixturedef) is not run:
                message = _asked_late(item, fixturedef.scope, name)
                outcome.force_exception(pytest.fail.Exception(message, pytrace=False))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, None]:
        """Run the async fixtures of our tests on their loops."""
        function, outer = fixturedef.func, self._place.node
        self._place.node = request.node
        if is_async(fixturedef):
            item = request._pyfuncitem
            message = ""
            if isinstance(item, AsyncTest):
                message = self._refusal(item, fixturedef, request.node)
                fixturedef.func = self._on_loop(item, fixturedef, request)
            elif function is _miniflare_function:
                message = _not_ours(request)
            if message:
                # Raised where pytest expects it, and keeps it: in the fixture's function.
                fixturedef.func = partial(_fail, message)
        outcome = yield
        fixturedef.func = function
        self._place.node = outer
        if fixturedef.argname == _OPTIONS and outcome.exception is None:
            options = anchored(outcome.get_result(), _folder_of(function, request.node))
            fixturedef.cached_result = (options, *fixturedef.cached_result[1:])
            outcome.force_result(options)
        if fixturedef.cached_result is None:
            # An async fixture that nobody serves: pytest fails, and would fail again with
            # an AssertionError in the next test that asks for it, which may be ours.
            fixturedef._finalizers.clear()

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        """A fixture has ended."""
        self._ours.pop(fixturedef, None)

    def _refusal(self, item: AsyncTest, fixturedef: Any, node: Any) -> str:
        """Why a fixture comes too late for its loop; empty if it does not."""
        import asyncio  # 20 ms, which a pytest without tests of ours need not pay.

        name = fixturedef.argname
        if asyncio._get_running_loop() is not None:
            return (
                f"{item.nodeid} asks for the async fixture `{name}` while it runs, and its "
                "loop is busy with it: name the fixture among the arguments"
            )
        if not self._loops.owns(item, node):
            return _asked_late(item, fixturedef.scope, name)
        return ""

    def _on_loop(
        self, item: AsyncTest, fixturedef: Any, request: Any
    ) -> Callable[..., Iterator[Any]]:
        """An async fixture as pytest's own kind: a generator with one `yield`."""
        from emulator.testing.pytest_plugin.async_fixture import AsyncFixture

        run, is_wide = item.run, request.node is not item
        assert run is not None, "the test has been set up"
        scope = request.scope if is_wide else "test"
        bound_to = getattr(fixturedef.func, "__self__", None)
        function = fixturedef.func if bound_to is None else fixturedef.func.__func__

        def fixture(*instance: Any, **arguments: Any) -> Iterator[Any]:
            __tracebackhide__ = True
            life = AsyncFixture(
                run,
                name=request.fixturename,
                scope=scope,
                function=partial(function, *instance),
                arguments=arguments,
            )
            value = life.enter()
            if is_wide:
                run.keep_faults()
            yield value
            life.leave()

        self._ours[fixturedef] = run
        # A method stays one: pytest binds it to the instance of the test.
        return fixture if bound_to is None else MethodType(fixture, bound_to)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell what happened in simulated time before a failure."""
        report = yield
        if report.failed:
            told = item.stash.get(TOLD, None)
            if isinstance(item, AsyncTest):
                told = item.describe() or told
            if told is not None:
                report.sections.append(("simulated run", told))
        if report.when == "teardown" and isinstance(item, AsyncTest):
            item.run = None  # pytest keeps its items, and a run keeps all that happened.
        return report

    def pytest_leave_pdb(self) -> None:
        """The worker goes on, and pytest captures again."""
        console = sys.modules.get("emulator.runtime.console")
        if console is not None:
            console.catch_again()


def _fail(message: str, *_: Any, **__: Any) -> None:
    pytest.fail(message, pytrace=False)


def _folder_of(function: Any, node: Any) -> Path:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return node.path.parent if code is None else Path(code.co_filename).parent


def _refuse_marks(item: pytest.Function) -> None:
    """Refuse a mark of ours on a test that it cannot make one of ours."""
    own = {mark.name for mark in item.own_markers}
    if "simulated" in own:
        message = (
            f"{item.nodeid} is marked `simulated`, and is no `async def` function: nothing "
            "of it would run on a simulated loop"
        )
        pytest.fail(message, pytrace=False)
    if "miniflare" in own and inspect.iscoroutinefunction(item.function):
        message = (
            f"{item.nodeid} is marked `miniflare`, and uses no world: name `miniflare` among "
            "its arguments, or mark it `simulated` if it shall only run in simulated time"
        )
        pytest.fail(message, pytrace=False)


def _asked_late(item: pytest.Item, scope: str, name: str) -> str:
    return (
        f"{item.nodeid} asks for the {scope}-scoped async fixture `{name}` by "
        "request.getfixturevalue, and it lives on another loop than the test: name the fixture "
        "among the arguments, or in @pytest.mark.usefixtures"
    )


def _not_ours(request: Any) -> str:
    """Why a test that is not ours gets no `miniflare`."""
    if inspect.isasyncgenfunction(request.function):
        return f"{request.node.nodeid} has a `yield`: a test cannot give a value to anybody"
    path = [one.fixturename for one in request._iter_chain()][1:]
    through = f" (through `{'`, `'.join(reversed(path))}`)" if path else ""
    return (
        f"{request.node.nodeid} asks for the `miniflare` fixture{through}, which needs "
        "simulated time: make this test `async def` and name `miniflare`, or a fixture that "
        "uses it, among its arguments; in a synchronous test, write "
        "miniflare_factory.run(async_function), or emulator.run(async_function), instead"
    )
