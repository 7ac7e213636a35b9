"""Events: what a handler is handed when a test calls it by hand.

    ctx = create_execution_context()
    response = await Default(ctx, env).fetch(Request("http://localhost/"))
    await wait_on_execution_context(ctx)

Promises: `create_execution_context`, `wait_on_execution_context` and
`create_scheduled_controller` of `cloudflare:test`, with their defaults, limits and errors
(workers-sdk's vitest-pool-workers, events.ts and wait-until.ts). Leaves to others: running a
worker as the platform does (`mf.dispatch_fetch`). A handler called by hand is the test's own
code: its bindings work, but nobody counts its subrequests, keeps its logs, or answers its
`fetch` to the outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, final

from emulator.runtime.worker import ScheduledController
from emulator.simulation.calls import awaited
from emulator.simulation.clock import instant_ms
from emulator.simulation.runner import current_simulation
from emulator.testing.arguments import wrong_argument

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

__all__ = [
    "ExecutionContext",
    "create_execution_context",
    "create_scheduled_controller",
    "wait_on_execution_context",
]

#: The platform's limit for work after the answer, which wait-until.ts has too.
WAIT_UNTIL_S_MAX: Final = 30

_logger = logging.getLogger("emulator.testing")


@final
class ExecutionContext:
    """What a handler is handed as `ctx`. Made by `create_execution_context`.

    Attributes:
        props: Empty, as without a binding's `props`.
    """

    def __init__(self) -> None:
        self.props: dict[str, Any] = {}
        self._background: list[asyncio.Future[Any]] = []

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Let work go on after the answer; `wait_on_execution_context` waits for it."""
        self._background.append(asyncio.ensure_future(awaitable))

    def passThroughOnException(self) -> None:
        """Accepted; there is no origin to pass through to."""

    def __repr__(self) -> str:
        return f"<ExecutionContext, {len(self._background)} waitUntil>"


def create_execution_context() -> ExecutionContext:
    """A context to call a worker's handler with.

    Returns:
        The `ctx` of `on_fetch(request, env, ctx)` or `Default(ctx, env)`.
    """
    return ExecutionContext()


@awaited
async def wait_on_execution_context(ctx: ExecutionContext) -> None:
    """Wait for all work that was handed to `ctx.waitUntil`, also for what that hands over.

    What is not done after thirty seconds is left to itself, with a warning of the logger
    "emulator.testing".

    Args:
        ctx: What `create_execution_context` gave.

    Raises:
        TypeError: If it is something else.
        BaseException: What the work raised, as it was.
        BaseExceptionGroup: If several pieces raised.
    """
    if not isinstance(ctx, ExecutionContext):
        error = wrong_argument("wait_on_execution_context", 1, "ExecutionContext")
        message = (
            f"{error}\nYou must call 'create_execution_context()' to get an "
            "'ExecutionContext' instance."
        )
        raise TypeError(message)
    errors: list[BaseException] = []
    while ctx._background:
        batch, ctx._background = ctx._background, []
        _, pending = await asyncio.wait(batch, timeout=WAIT_UNTIL_S_MAX)
        if pending:
            ctx._background.clear()
            _logger.warning(
                "%d waitUntil promise(s) did not resolve within %ds and will be abandoned. "
                "This normally means your Worker's waitUntil handler has a bug that prevents "
                "it from settling (e.g. a fetch that never completes or a missing "
                "resolve/reject call).",
                len(batch),
                WAIT_UNTIL_S_MAX,
            )
            break
        errors += [error for task in batch if (error := _error_of(task)) is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        message = "several waitUntil promises were rejected"
        raise BaseExceptionGroup(message, errors)


def _error_of(task: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def create_scheduled_controller(
    options: Mapping[str, Any] | None = None,
    *,
    scheduled_time: int | datetime | None = None,
    cron: str | None = None,
) -> ScheduledController:
    """A controller to call a cron handler with.

    Args:
        options: `scheduledTime` and `cron`, as Cloudflare has them; or by keyword:
        scheduled_time: Epoch milliseconds or a datetime; now if None.
        cron: The expression; "" if None.

    Returns:
        The first argument of `on_scheduled(controller, env, ctx)`.

    Raises:
        TypeError: If `options` is no mapping.
        WorldError: If it needs to know what time is now, and no simulation runs.
    """
    if options is not None and not isinstance(options, Mapping):
        raise wrong_argument("create_scheduled_controller", 1, "ScheduledOptions")
    given = options or {}
    if scheduled_time is None:
        scheduled_time = given.get("scheduledTime")
    if cron is None:
        cron = given.get("cron")
    if scheduled_time is None:
        scheduled_time = current_simulation().clock.now_ms
    return ScheduledController("" if cron is None else str(cron), instant_ms(scheduled_time))
