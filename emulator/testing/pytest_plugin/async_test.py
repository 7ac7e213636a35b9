"""The async test: an `async def` test on a loop of ours.

Promises: pytest and all other plugins see a synchronous function, so that none of them runs
it on another loop; `@freeze_time` is in force before the first fixture; a failure shows the
code of the test, without the machinery. Leaves to others: the loop (the loops), fixtures
(the hooks), Hypothesis (given).
"""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.unittest import TestCaseFunction

from emulator.testing.pytest_plugin.freezing import freezers_of
from emulator.testing.pytest_plugin.loops import LOOPS, Loops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.testing.pytest_plugin.simulated_run import Run

__all__ = ["PACKAGE", "AsyncTest"]

#: Marks by which other plugins claim a test; on one of ours they mean nothing.
_OTHER_LOOPS: Final = ("anyio", "asyncio", "trio")
#: Who uses one of these is ours.
_OUR_FIXTURES: Final = frozenset({"miniflare", "miniflare_factory"})

#: Where the machinery lies, which no failure shall show.
PACKAGE: Final = Path(__file__).parents[2]
#: Floors that a traceback need not show.
_MACHINERY: Final = ("simulation", "testing")


class AsyncTest(pytest.Function):
    """An `async def` test on a loop of ours. Made from a plain item by `adopt`."""

    run: Run | None = None

    @classmethod
    def adopt(cls, item: pytest.Item) -> bool:
        """Turn an item into one of ours, if it should be; says whether it is.

        Its class is exchanged, so that everything that pytest and others have hung on it
        stays. Another plugin may have made it an item of its own class before.
        """
        if not isinstance(item, pytest.Function) or isinstance(item, TestCaseFunction):
            return False
        is_wanted = not _OUR_FIXTURES.isdisjoint(item.fixturenames)
        if not is_wanted and not item.get_closest_marker("simulated"):
            return False
        kind = cls
        if hasattr(item.function, "hypothesis"):
            from emulator.testing.pytest_plugin.given import GivenTest

            kind = GivenTest
        if not inspect.iscoroutinefunction(kind.written_function(item.function)):
            return False
        item.__class__ = kind
        vars(item).pop("_obj", None)  # The function as it was before.
        return True

    @staticmethod
    def written_function(function: Any) -> Any:
        """The test as its author wrote it."""
        return function

    @property
    def loops(self) -> Loops:
        """The loops of the session."""
        return self.config.stash[LOOPS]

    def setup(self) -> None:
        """Begin the run before, and end it after, all fixtures."""
        freezers, _ = self.split_function()
        if not self.loops.is_simulated:
            self._skip_if_simulated(is_frozen=bool(freezers))
        elif freezers and self.loops.is_shared(self):
            message = (
                f"@freeze_time on {self.nodeid} cannot set the clock of a simulation that it "
                "shares with other tests: write @pytest.mark.simulated(start_time=...) where "
                "its owner is, or freeze time in a fixture that comes before all async ones"
            )
            pytest.fail(message, pytrace=False)
        for freezer in freezers:
            freezer.start()
            self.addfinalizer(freezer.stop)
        self.run = self.loops.open(self)
        self.set_up_fixtures()

    def set_up_fixtures(self) -> None:
        """Set up all fixtures, on this test's run where they are async."""
        super().setup()

    def _skip_if_simulated(self, *, is_frozen: bool) -> None:
        if is_frozen or self.get_closest_marker("simulated") is not None:
            what = "@freeze_time" if is_frozen else "mark `simulated`"
            target = self.config.getoption("emulator_target")
            reason = f"needs simulated time ({what}), and the target is {target}"
            raise pytest.skip.Exception(reason, _use_item_location=True)

    def split_function(self) -> tuple[list[Any], Callable[..., Any]]:
        """The test's `@freeze_time` decorators, and its function without them."""
        return freezers_of(super()._getobj())  # type: ignore[no-untyped-call]

    def _getobj(self) -> Callable[..., Any]:
        """The test as a synchronous function, which no other plugin mistakes for its own."""
        _, function = self.split_function()

        @functools.wraps(function)
        def run_test(*_: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            assert self.run is not None, "the test has been set up"
            return self.run.call(self.followed(function), **arguments)

        instance = getattr(function, "__self__", None)
        return run_test if instance is None else MethodType(run_test, instance)

    def runtest(self) -> None:
        """Run the test; with `--trace`, stop at its first line and not at one of ours."""
        manager = self.config.pluginmanager
        tracer = manager.get_plugin("pdbtrace")
        if tracer is None:
            super().runtest()
        else:
            call = manager.subset_hook_caller("pytest_pyfunc_call", [tracer])
            call(pyfuncitem=self)

    def followed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A coroutine function, followed by pdb if `--trace` asks for it."""
        if not self.config.getoption("trace"):
            return function
        from _pytest.debugging import pytestPDB

        async def follow(*args: Any, **arguments: Any) -> Any:
            debugger = pytestPDB._init_pdb("runcall")  # type: ignore[no-untyped-call]
            debugger.reset()
            # The next frame that begins is the function's: pdb stops at its first line.
            sys.settrace(debugger.trace_dispatch)
            try:
                return await function(*args, **arguments)
            finally:
                sys.settrace(None)

        return follow

    def describe(self) -> str | None:
        """What happened before a failure."""
        return None if self.run is None else self.run.describe()

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
        return entries.filter(lambda entry: not _is_machinery(Path(entry.path))) or entries[-1:]

    def _repr_failure_py(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> Any:
        """What the loop or the end of the run raised: only the message tells something."""
        from emulator.errors import ForgottenAwait, SimulationDeadlock, SimulationRunaway
        from emulator.simulation.rules import UnusedFaultWarning

        error = excinfo.value
        told = SimulationDeadlock | SimulationRunaway | ForgottenAwait | UnusedFaultWarning
        if isinstance(error, told):
            notes = getattr(error, "__notes__", [])  # Hypothesis writes the example there.
            return "\n".join([f"{excinfo.typename}: {error}", *notes])
        return super()._repr_failure_py(excinfo, style)


def _is_machinery(path: Path) -> bool:
    return (
        path.parent.name == "asyncio"
        or path.name == "contextlib.py"
        or (
            path.is_relative_to(PACKAGE)
            and path.parent.name in ("simulation", "testing", "pytest_plugin")
        )
    )
