"""Given: an `async def` test under Hypothesis.

Promises: each example has a simulation of its own, with its function-scoped async fixtures
set up and torn down on it; Hypothesis's check for function-scoped fixtures lets these pass
and no others; the failure report is that of the failing example. Hypothesis measures its
deadline in real time, so the default one, which the first example of a cold start would
miss, does not count; a deadline which the test or a profile sets does. Leaves to others:
examples, shrinking, the database (Hypothesis), and stateful tests.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final

import pytest
from _pytest.scope import Scope

from emulator.testing.pytest_plugin.async_test import PACKAGE, AsyncTest
from emulator.testing.pytest_plugin.closure import fixtures_of, is_async, scope_of, uses_async
from emulator.testing.pytest_plugin.freezing import freezers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["GivenTest", "without_default_deadline"]

_PER_EXAMPLE: Final = (
    "each example of an async @given test gets a simulation of its own, and its async "
    "fixtures anew"
)


class GivenTest(AsyncTest):
    """An `async def` test under `@given`."""

    _told: str | None = None

    @staticmethod
    def written_function(function: Any) -> Any:
        """What `@given` decorates."""
        return function.hypothesis.inner_test

    def split_function(self) -> tuple[list[Any], Callable[..., Any]]:
        """The `@freeze_time` decorators over and under `@given`, and Hypothesis's function."""
        freezers, function = super().split_function()
        inner, _ = freezers_of(self.written_function(function))
        return freezers + inner, function

    def _getobj(self) -> Callable[..., Any]:
        _, function = self.split_function()
        return function

    def set_up_fixtures(self) -> None:
        """Set up the synchronous fixtures; the async ones wait for the examples."""
        self._told = None
        for name in self.fixturenames:
            self._check(name)
        self._set_aside()
        for name in self._names:
            self.funcargs[name] = _Placeholder(name)
        super().set_up_fixtures()

    @functools.cached_property
    def _names(self) -> list[str]:
        """The async fixtures, in the order of their set-up."""
        return [name for name in self.fixturenames if uses_async(self, name)]

    def _check(self, name: str) -> None:
        for fixturedef in fixtures_of(self, name):
            if not uses_async(self, name):
                continue
            sentence = None
            if scope_of(self, fixturedef) is not Scope.Function:
                sentence = (
                    f"and `{name}` is a {fixturedef.scope}-scoped fixture: make it "
                    "function-scoped"
                )
            elif not is_async(fixturedef):
                sentence = (
                    f"and the synchronous fixture `{name}` depends on one of these: make it "
                    "`async def`"
                )
            if sentence is not None:
                pytest.fail(f"{self.nodeid}: {_PER_EXAMPLE}, {sentence}", pytrace=False)

    def _set_aside(self) -> None:
        """Between examples, pytest and Hypothesis find a word in place of each fixture."""
        for name in self._names:
            self._request._fixture_defs[name] = _Absent(name)  # type: ignore[assignment]

    def runtest(self) -> None:
        """Let Hypothesis call a synchronous function, once for each example."""
        handle = self.obj.hypothesis
        written = handle.inner_test
        handle.inner_test = self._example_of(written)
        try:
            with without_default_deadline(self.obj), _our_lines_explain_nothing():
                super().runtest()
        finally:
            handle.inner_test = written

    def _example_of(self, written: Callable[..., Any]) -> Callable[..., Any]:
        freezers, _ = self.split_function()
        _, function = freezers_of(written)

        # Hypothesis keeps failing examples under the name and source of what it calls.
        @functools.wraps(written)
        def run_example(*args: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            for freezer in reversed(freezers):
                freezer.stop()  # The example before has moved its time.
            for freezer in freezers:
                freezer.start()
            if self.loops.is_simulated:
                self.run = self.loops.new(self)
            assert self.run is not None, "the test has been set up"
            with self._settled():
                values = self._enter_fixtures()
                arguments.update({name: values[name] for name in arguments if name in values})
                return self.run.call(self.followed(function), *args, **arguments)

        return run_example

    def _enter_fixtures(self) -> dict[str, Any]:
        for name in self._names:
            self._request._fixture_defs.pop(name, None)
        return {name: self._request.getfixturevalue(name) for name in self._names}

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """End the example's fixtures and its run, whatever happens."""
        assert self.run is not None, "the example has begun"
        try:
            yield
        except BaseException as error:
            if not type(error).__module__.startswith("hypothesis"):
                self._told = self.run.describe()
            for another in self._leave():
                error.add_note(f"and then, while the example was torn down: {another!r}")
            raise
        errors = self._leave()
        if errors:
            self._told = self.run.describe()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            message = f"errors while an example of {self.name} was torn down"
            raise BaseExceptionGroup(message, errors)

    def _leave(self) -> list[BaseException]:
        assert self.run is not None, "the example has begun"
        defined = [one for name in self._names for one in fixtures_of(self, name)]
        endings: list[Callable[[], None]] = [
            functools.partial(fixturedef.finish, self._request)
            for fixturedef in reversed(defined)
            if is_async(fixturedef)
        ]
        if self.loops.is_simulated:
            endings.append(self.run.close)
        errors: list[BaseException] = []
        for end in endings:
            try:
                end()
            except BaseException as error:  # All of them shall end; the caller raises it.
                errors.append(error)
        self._set_aside()
        return errors

    def describe(self) -> str | None:
        """What happened in the last example that failed; Hypothesis runs the minimal last."""
        return self._told


@contextmanager
def _our_lines_explain_nothing() -> Iterator[None]:
    """Hypothesis lists the lines that only failing examples run: pytest's it leaves out."""
    import hypothesis.internal.scrutineer as scrutineer

    locations = getattr(scrutineer, "UNHELPFUL_LOCATIONS", None)
    if not isinstance(locations, tuple):
        yield
        return
    scrutineer.UNHELPFUL_LOCATIONS = (*locations, f"{PACKAGE.as_posix()}/**")
    try:
        yield
    finally:
        scrutineer.UNHELPFUL_LOCATIONS = locations


@contextmanager
def without_default_deadline(test: Any) -> Iterator[None]:
    """Let the examples of a test take their time, unless somebody has set a deadline."""
    from hypothesis import settings as Settings

    function = getattr(test, "__func__", test)
    settings = function._hypothesis_internal_use_settings
    if settings.deadline != Settings.get_profile("default").deadline:
        yield
        return
    patient = Settings(parent=settings, deadline=None)
    function._hypothesis_internal_use_settings = patient
    try:
        yield
    finally:
        function._hypothesis_internal_use_settings = settings


@final
class _Placeholder:
    """What Hypothesis shows as the argument, since the fixture is made in the example."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}, anew for each example>"


@final
class _Absent:
    """Stands for a fixture between examples, where pytest keeps the definitions in use."""

    scope = "example"  # Hypothesis complains about "function".
    _scope = Scope.Session
    func = None

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def cached_result(self) -> Any:
        """Asked for by `request.getfixturevalue`."""
        message = f"{_PER_EXAMPLE}: `{self._name}` does not exist outside of the examples"
        pytest.fail(message, pytrace=False)
