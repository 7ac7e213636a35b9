"""The pytest plugin: `async def` tests under simulated time, and the `miniflare` fixture.

Promises: an `async def` test that uses `miniflare`, directly or through other fixtures, or
is marked `simulated`, runs with its function-scoped async fixtures on one simulated loop of
its own, whatever other async plugins are installed; every other test is left alone; a
failing test tells its seed, its last events and its logs. Leaves to others: the simulation
of one test (the simulated run), and the words (the report). Nothing heavy is imported until
such a test is met: this module is loaded by every pytest in whose environment we are.
"""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.fixtures import resolve_fixture_function
from _pytest.unittest import TestCaseFunction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from emulator.http.miniflare import Miniflare
    from emulator.testing.simulated_run import SimulatedRun

__all__ = ["SimulatedFunction", "SimulatedHooks", "miniflare", "miniflare_options"]

#: Marks by which other plugins claim a test; on a simulated one they mean nothing.
_OTHER_LOOPS: Final = ("anyio", "asyncio", "trio")

_PACKAGE: Final = Path(__file__).parents[1]
_MARKERS: Final = (
    "simulated(seed=0, start_time=None): run this `async def` test on a simulated loop; seed "
    "decides every random stream, start_time is epoch milliseconds or a datetime.",
    "miniflare(**options): options of the `miniflare` fixture, such as script_path (relative "
    "to the test's folder), worker, durable_objects, r2_buckets, d1_databases.",
)

_NO_OPTIONS: Final = (
    "the `miniflare` fixture does not know its worker: mark the test with "
    "@pytest.mark.miniflare(script_path='worker.py', durable_objects={'JOBS': 'Job'}), or "
    "define a fixture `miniflare_options` that returns such a dict"
)
_NO_LOOP: Final = (
    "the `miniflare` fixture needs simulated time: make this test `async def` and name "
    "`miniflare`, or a fixture that uses it, among its arguments; in a synchronous test, "
    "write emulator.run(async_function) instead"
)


# -- fixtures --------------------------------------------------------------------------------


@pytest.fixture
def miniflare_options() -> dict[str, Any]:
    """Options of the `miniflare` fixture, to be overridden; those of the mark go first."""
    return {}


@pytest.fixture
async def miniflare(
    request: pytest.FixtureRequest, miniflare_options: dict[str, Any]
) -> AsyncIterator[Miniflare]:
    """A fresh world: a worker with its bindings, disposed after the test."""
    from emulator.http.miniflare import Miniflare

    async with Miniflare(**_world_options(request.node, miniflare_options)) as world:
        yield world


def _world_options(node: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The fixture's options and, over them, those of the marks, the closest last."""
    merged = dict(options)
    for mark in reversed(list(node.iter_markers("miniflare"))):
        if mark.args:
            message = f"@pytest.mark.miniflare takes keyword arguments only, got {mark.args!r}"
            pytest.fail(message, pytrace=False)
        merged.update(mark.kwargs)
    if not merged:
        pytest.fail(_NO_OPTIONS, pytrace=False)
    script_path = merged.get("script_path")
    if isinstance(script_path, str | Path):
        merged["script_path"] = node.path.parent / script_path
    return merged


# -- items -----------------------------------------------------------------------------------


class SimulatedFunction(pytest.Function):
    """An `async def` test on a simulated loop. Made from a plain item by `adopt`."""

    simulated_run: SimulatedRun | None = None

    @classmethod
    def adopt(cls, item: pytest.Item) -> None:
        """Turn an item into one of ours, if it should be.

        Its class is exchanged, so that everything that pytest and others have hung on it
        stays. Another plugin may have made it an item of its own class before.
        """
        if not isinstance(item, pytest.Function) or isinstance(item, TestCaseFunction):
            return
        is_wanted = "miniflare" in item.fixturenames or item.get_closest_marker("simulated")
        if is_wanted and inspect.iscoroutinefunction(item.function):
            item.__class__ = cls
            vars(item).pop("_obj", None)  # The function as it was before.

    def setup(self) -> None:
        """Start the run before, and end it after, all fixtures."""
        from emulator.testing.simulated_run import SimulatedRun

        freezers, _ = self._split_function()
        for freezer in freezers:
            freezer.start()
            self.addfinalizer(freezer.stop)
        self.simulated_run = SimulatedRun(**self._run_options())
        self.addfinalizer(self.simulated_run.close)
        super().setup()

    def _run_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"seed": self.config.getoption("emulator_seed")}
        mark = self.get_closest_marker("simulated")
        if mark is None:
            return options
        if mark.args or mark.kwargs.keys() - {"seed", "start_time"}:
            message = f"@pytest.mark.simulated takes seed=... and start_time=..., got {mark}"
            pytest.fail(message, pytrace=False)
        options.update(mark.kwargs)
        return options

    def _split_function(self) -> tuple[list[Any], Callable[..., Any]]:
        from emulator.testing.freezing import freezers_of

        return freezers_of(super()._getobj())  # type: ignore[no-untyped-call]

    def _getobj(self) -> Callable[..., None]:
        """The test as a synchronous function, which no other plugin mistakes for its own."""
        _, function = self._split_function()

        @functools.wraps(function)
        def run_test(*_: Any, **arguments: Any) -> None:
            __tracebackhide__ = True
            assert self.simulated_run is not None, "the test has been set up"
            self.simulated_run.call(function, **arguments)

        instance = getattr(function, "__self__", None)
        return run_test if instance is None else MethodType(run_test, instance)

    def iter_markers_with_node(
        self, name: str | None = None
    ) -> Iterator[tuple[Any, pytest.Mark]]:
        """The marks, without those that would give this test to another loop."""
        for node, mark in super().iter_markers_with_node(name):
            if mark.name not in _OTHER_LOOPS:
                yield node, mark

    def _traceback_filter(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        """Without the machinery between pytest and the code of the test."""
        entries = super()._traceback_filter(excinfo)
        if self.config.getoption("fulltrace"):
            return entries
        return entries.filter(lambda entry: not _is_machinery(Path(entry.path))) or entries

    def _repr_failure_py(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> Any:
        """What the loop or the end of the run raised: only the message tells something."""
        from emulator.errors import SimulationDeadlock, SimulationRunaway
        from emulator.simulation.rules import UnusedFaultWarning

        if isinstance(
            excinfo.value, SimulationDeadlock | SimulationRunaway | UnusedFaultWarning
        ):
            return f"{excinfo.typename}: {excinfo.value}"
        return super()._repr_failure_py(excinfo, style)


def _is_machinery(path: Path) -> bool:
    return (
        path.parent.name == "asyncio"
        or path.name == "contextlib.py"
        or (path.is_relative_to(_PACKAGE) and path.parent.name in ("simulation", "testing"))
    )


# -- hooks -----------------------------------------------------------------------------------


class SimulatedHooks:
    """What must be decided before, or after, every other plugin has had its say."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Take our tests, when all marks have been set."""
        yield
        for item in items:
            SimulatedFunction.adopt(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        """Run the async fixtures of our tests on their loops."""
        function = fixturedef.func
        is_async = inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)
        if not is_async or fixturedef.scope != "function":
            return (yield)
        if isinstance(request.node, SimulatedFunction):
            own = resolve_fixture_function(fixturedef, request)
            fixturedef.func = _on_loop(request.node, own, request)
        elif function is _miniflare_function:
            fixturedef.func = _refuse
        try:
            return (yield)
        finally:
            fixturedef.func = function


_miniflare_function: Final = inspect.unwrap(miniflare)


def _refuse(**_: Any) -> None:
    pytest.fail(_NO_LOOP, pytrace=False)


def _on_loop(
    item: SimulatedFunction, function: Callable[..., Any], request: Any
) -> Callable[..., Iterator[Any]]:
    """An async fixture as pytest's own kind: a generator with one `yield`."""
    from emulator.testing.simulated_run import AsyncFixture

    def fixture(**arguments: Any) -> Iterator[Any]:
        __tracebackhide__ = True
        assert item.simulated_run is not None, "the test has been set up"
        life = AsyncFixture(item.simulated_run, request.fixturename, function, arguments)
        yield life.enter()
        life.leave()

    return fixture


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    parser.getgroup("emulator", "simulated time").addoption(
        "--emulator-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the simulated tests whose mark does not set one (default: 0)",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, and take the place outside of every other plugin's hooks."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(SimulatedHooks(), "emulator-hooks")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what happened in simulated time before a failure."""
    report = yield
    if report.failed and isinstance(item, SimulatedFunction):
        run = item.simulated_run
        if run is not None and run.simulation is not None:
            from emulator.testing.failure_report import describe

            report.sections.append(("simulated run", describe(run.simulation)))
    return report
