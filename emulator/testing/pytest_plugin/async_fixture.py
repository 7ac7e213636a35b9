"""The async fixture: its life, from set-up to end.

Promises: a fixture lives in one task, so that it may hold a task group or a timeout across
its `yield`; what it does to context variables reaches the test. Leaves to others: the loop
(the run), and when it begins and ends (the plugin).
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NoReturn, final

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context, ContextVar, Token

    from emulator.testing.pytest_plugin.simulated_run import Run

__all__ = ["AsyncFixture"]

_UNSET = object()


@final
class AsyncFixture:
    """One async fixture, set up once.

    Args:
        run: What it runs on.
        name: The fixture's name.
        scope: "test", "class", "module", "package" or "session": what it outlives.
        function: A coroutine function or an async generator function.
        arguments: Its arguments.
    """

    def __init__(
        self,
        run: Run,
        *,
        name: str,
        scope: str,
        function: Callable[..., Any],
        arguments: dict[str, Any],
    ) -> None:
        self._run = run
        self._name = name
        self._scope = scope
        self._function = function
        self._arguments = arguments
        self._task: asyncio.Task[None] | None = None
        self._leave: asyncio.Future[None] | None = None
        self._variables: list[tuple[ContextVar[Any], Token[Any]]] = []

    def enter(self) -> Any:
        """Set it up.

        Returns:
            What the fixture returns or yields.
        """
        __tracebackhide__ = True
        context = copy_context()
        try:
            value = self._run.call(self._enter, context)
        except KeyboardInterrupt:
            # It stopped the loop before anybody could look at the task that raised it.
            if self._task is not None and self._task.done() and not self._task.cancelled():
                self._task.exception()
            raise
        self._take_variables(context)
        return value

    def leave(self) -> None:
        """Let it go on after its `yield`, to its end."""
        __tracebackhide__ = True
        for variable, token in reversed(self._variables):
            variable.reset(token)
        self._run.call(self._await_end)

    async def _enter(self, context: Context) -> Any:
        name = f"fixture {self._name}"
        entered = self._run.future(f"the {name}")
        self._leave = self._run.future(f"the end of the {self._scope}")
        self._task = asyncio.get_running_loop().create_task(
            self._live(entered, self._leave), name=name, context=context
        )

        def ended(task: asyncio.Task[None]) -> None:
            if entered.done():
                return  # What it raised now is for `leave`.
            if task.cancelled():
                entered.cancel()
            elif (error := task.exception()) is not None:
                entered.set_exception(error)

        self._task.add_done_callback(ended)
        return await entered

    async def _live(self, entered: asyncio.Future[Any], leave: asyncio.Future[None]) -> None:
        if not inspect.isasyncgenfunction(self._function):
            entered.set_result(await self._function(**self._arguments))
            return
        generator = self._function(**self._arguments)
        value = await _next(anext(generator))
        if value is _UNSET:
            self._fail("ended before its `yield`")
        entered.set_result(value)
        try:
            await leave
        except asyncio.CancelledError as error:
            # By a timeout or a task group that it holds across its `yield`.
            rest = await _next(generator.athrow(error))
        else:
            rest = await _next(anext(generator))
        if rest is not _UNSET:
            await generator.aclose()
            self._fail("has more than one `yield`")

    def _fail(self, told: str) -> NoReturn:
        pytest.fail(f"the async fixture `{self._name}` {told}", pytrace=False)

    async def _await_end(self) -> None:
        assert self._task is not None
        assert self._leave is not None
        if not self._leave.done():
            self._leave.set_result(None)
        await self._task

    def _take_variables(self, context: Context) -> None:
        for variable, value in context.items():
            if variable.get(_UNSET) is not value:
                self._variables.append((variable, variable.set(value)))


async def _next(step: Awaitable[Any]) -> Any:
    """What a step of an async generator yields; `_UNSET` if it has ended instead."""
    try:
        return await step
    except StopAsyncIteration:
        return _UNSET
