"""The laws of what a handler is handed when a test calls it by hand."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from workers import Request, Response, WorkerEntrypoint

from emulator.errors import WorldError
from emulator.testing import (
    create_execution_context,
    create_scheduled_controller,
    wait_on_execution_context,
)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.passThroughOnException()
        self.ctx.waitUntil(self.write())
        return Response(f"asked for {request.url}")

    async def write(self):
        await asyncio.sleep(2)
        await self.env.BUCKET.put("k", "v")


async def on_fetch(request, env, ctx):
    ctx.waitUntil(env.BUCKET.put("k", request.method))
    return Response("")


async def on_scheduled(controller, env, ctx):
    ctx.waitUntil(env.BUCKET.put(controller.cron, str(controller.scheduledTime)))


pytestmark = pytest.mark.miniflare(worker=Default, r2_buckets=["BUCKET"])


async def test_a_worker_is_called_by_hand_and_its_background_work_awaited(miniflare):
    ctx = create_execution_context()
    env = miniflare.world.env

    response = await Default(ctx, env).fetch(Request("http://localhost/x"))

    assert await response.text() == "asked for http://localhost/x"
    assert await env.BUCKET.head("k") is None
    await wait_on_execution_context(ctx)
    assert (await env.BUCKET.head("k")).size == 1
    assert 2_000 <= miniflare.clock.elapsed_ms < 2_100


async def test_a_handler_of_a_module_is_called_by_hand(miniflare):
    ctx = create_execution_context()
    await on_fetch(Request("http://localhost/", method="PUT"), miniflare.world.env, ctx)
    await wait_on_execution_context(ctx)
    assert await (await miniflare.get_r2_bucket("BUCKET").get("k")).text() == "PUT"


@pytest.mark.simulated
async def test_work_that_hands_over_more_work_is_awaited_too():
    ctx, done = create_execution_context(), []

    async def second():
        await asyncio.sleep(1)
        done.append("second")

    async def first():
        await asyncio.sleep(1)
        ctx.waitUntil(second())

    ctx.waitUntil(first())
    await wait_on_execution_context(ctx)
    assert done == ["second"]
    await wait_on_execution_context(ctx)


@pytest.mark.simulated
async def test_the_one_error_of_the_work_comes_out_as_it_was():
    ctx, error = create_execution_context(), KeyError("k")

    async def fail():
        raise error

    ctx.waitUntil(fail())
    ctx.waitUntil(asyncio.sleep(1))
    with pytest.raises(KeyError) as caught:
        await wait_on_execution_context(ctx)
    assert caught.value is error


@pytest.mark.simulated
async def test_several_errors_of_the_work_come_out_as_a_group():
    ctx = create_execution_context()

    async def fail(error):
        await asyncio.sleep(1)
        raise error

    ctx.waitUntil(fail(KeyError("k")))
    ctx.waitUntil(fail(ValueError("v")))
    with pytest.raises(ExceptionGroup) as caught:
        await wait_on_execution_context(ctx)
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]


@pytest.mark.simulated
async def test_work_that_never_ends_is_left_after_thirty_seconds_with_a_warning(caplog):
    ctx, loop = create_execution_context(), asyncio.get_running_loop()
    ctx.waitUntil(asyncio.Event().wait())

    with caplog.at_level(logging.WARNING, "emulator.testing"):
        await wait_on_execution_context(ctx)

    assert loop.time() == 30
    assert caplog.messages == [
        "1 waitUntil promise(s) did not resolve within 30s and will be abandoned. This "
        "normally means your Worker's waitUntil handler has a bug that prevents it from "
        "settling (e.g. a fetch that never completes or a missing resolve/reject call)."
    ]


@pytest.mark.simulated
async def test_only_a_context_of_ours_can_be_waited_on():
    with pytest.raises(TypeError) as caught:
        await wait_on_execution_context({})
    assert str(caught.value) == (
        "Failed to execute 'wait_on_execution_context': parameter 1 is not of type "
        "'ExecutionContext'.\n"
        "You must call 'create_execution_context()' to get an 'ExecutionContext' instance."
    )


async def test_a_cron_handler_is_called_by_hand_with_now_and_no_expression(miniflare):
    await miniflare.advance(1_500)
    ctx, controller = create_execution_context(), create_scheduled_controller()
    assert (controller.cron, controller.scheduledTime) == ("", miniflare.clock.now_ms)
    controller.noRetry()

    controller = create_scheduled_controller({"scheduledTime": 5, "cron": "0 3 * * *"})
    await on_scheduled(controller, miniflare.world.env, ctx)
    await wait_on_execution_context(ctx)
    found = await miniflare.get_r2_bucket("BUCKET").get("0 3 * * *")
    assert await found.text() == "5"


def test_a_controller_takes_keywords_and_datetimes():
    time = datetime(2026, 1, 1, tzinfo=UTC)
    controller = create_scheduled_controller(scheduled_time=time, cron="* * * * *")
    assert (controller.cron, controller.scheduledTime) == ("* * * * *", 1_767_225_600_000)


def test_a_controller_for_now_needs_a_simulation():
    with pytest.raises(WorldError, match="this needs simulated time"):
        create_scheduled_controller()


def test_what_is_no_mapping_is_refused_in_the_platforms_words():
    with pytest.raises(TypeError) as caught:
        create_scheduled_controller(5)
    assert str(caught.value) == (
        "Failed to execute 'create_scheduled_controller': parameter 1 is not of type "
        "'ScheduledOptions'."
    )
