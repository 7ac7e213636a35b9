"""Events of a plain worker. Texts and outcomes are those measured on workerd."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import pytest
from workers import Response, WorkerEntrypoint

import emulator
from emulator.errors import JsException
from emulator.web.streams import ReadableStream


def module(**names: Any) -> ModuleType:
    """A worker of module-level handlers."""
    made = ModuleType("made")
    vars(made).update(names)
    return made


def answer(worker: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with emulator.Miniflare(worker=worker, **options) as mf:
            return (await mf.dispatch_fetch("http://localhost/")).json()

    return emulator.run(main)


def test_each_request_meets_a_fresh_instance() -> None:
    class Counter(WorkerEntrypoint):
        count = 0

        async def fetch(self, request: Any) -> Any:
            self.count += 1
            return Response.json(self.count)

    async def main() -> list[int]:
        async with emulator.Miniflare(worker=Counter) as mf:
            return [(await mf.dispatch_fetch("http://x/")).json() for _ in range(2)]

    assert emulator.run(main) == [1, 1]


async def one(request: Any) -> Any:
    return Response.json([request.method])


async def two(request: Any, env: Any) -> Any:
    return Response.json([request.method, env.VAR])


def three(request: Any, env: Any, ctx: Any) -> Any:
    return Response.json([request.method, env.VAR, hasattr(ctx, "waitUntil")])


async def any_number(*arguments: Any) -> Any:
    return Response.json([arguments[0].method, len(arguments)])


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (one, ["GET"]),
        (two, ["GET", "v"]),
        (three, ["GET", "v", True]),
        (any_number, ["GET", 3]),
    ],
)
def test_a_handler_of_a_module_takes_as_many_arguments_as_it_names(
    handler: Any, expected: list[Any]
) -> None:
    assert answer(module(on_fetch=handler), bindings={"VAR": "v"}) == expected


def test_a_module_with_an_entrypoint_class_answers_by_it() -> None:
    class Default(WorkerEntrypoint):
        def fetch(self, request: Any) -> Any:
            return Response.json([request.url, self.env.VAR])

    made = module(Default=Default, on_fetch=one)

    assert answer(made, bindings={"VAR": "v"}) == ["http://localhost/", "v"]


def test_a_worker_without_the_handler_says_so() -> None:
    with pytest.raises(JsException, match=r"Handler does not export a fetch\(\) function\."):
        answer(module())
    with pytest.raises(JsException, match=r"Handler does not export a fetch\(\) function\."):
        answer(WorkerEntrypoint)


NO_RESPONSE = r"Incorrect type for Promise: the Promise did not resolve to 'Response'\."


async def used_body() -> Any:
    response = Response("x")
    await response.text()
    return response


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: "text", NO_RESPONSE),
        (lambda: None, NO_RESPONSE),
        (lambda: {"status": 200}, NO_RESPONSE),
        (Response.error, "must not be an error response"),
        (used_body, r"Body has already been used\. It can only be used once\."),
    ],
    ids=["text", "None", "dict", "error", "used"],
)
def test_an_answer_that_the_platform_would_not_send_is_refused(make: Any, text: str) -> None:
    async def on_fetch() -> Any:
        made = make()
        return await made if asyncio.iscoroutine(made) else made

    with pytest.raises(TypeError, match=text):
        answer(module(on_fetch=on_fetch))


def test_the_headers_of_a_request_that_came_in_do_not_change() -> None:
    async def on_fetch(request: Any) -> Any:
        with pytest.raises(TypeError, match="Can't modify immutable headers"):
            request.headers.set("a", "b")
        return Response.json(request.redirect)

    assert answer(module(on_fetch=on_fetch)) == "manual"


def test_an_exception_of_the_worker_arrives_with_the_workers_traceback() -> None:
    class Trouble(Exception):
        pass

    async def on_fetch() -> Any:
        await asyncio.sleep(1)
        raise Trouble("here")

    with pytest.raises(Trouble, match="here") as caught:
        answer(module(on_fetch=on_fetch))
    assert "on_fetch" in [entry.name for entry in caught.traceback]


def test_work_after_the_answer_goes_on_and_its_errors_reach_the_trace_only() -> None:
    done: list[int] = []

    async def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
        async def later() -> None:
            await asyncio.sleep(60)
            done.append(1)
            raise RuntimeError("late")

        ctx.waitUntil(later())
        ctx.passThroughOnException()
        return Response("now")

    async def main() -> list[str]:
        async with emulator.Miniflare(worker=module(on_fetch=on_fetch)) as mf:
            await mf.dispatch_fetch("http://x/")
            assert not done
            await mf.run_until_idle()
            return [str(event.facts) for event in mf.trace.events if "rejected" in event.kind]

    (event,) = emulator.run(main)

    assert done == [1]
    assert "RuntimeError: late" in event


def test_a_body_goes_on_streaming_after_the_handler_has_returned() -> None:
    async def on_fetch() -> Any:
        async def start(controller: Any) -> None:
            for number in range(3):
                await asyncio.sleep(1)
                controller.enqueue(b"%d" % number)
            controller.close()

        return Response(ReadableStream({"start": start}))

    async def main() -> tuple[str, int]:
        async with emulator.Miniflare(worker=module(on_fetch=on_fetch)) as mf:
            before_ms = mf.clock.now_ms
            text = (await mf.dispatch_fetch("http://x/")).text
            return text, mf.clock.now_ms - before_ms

    assert emulator.run(main) == ("012", 3_001)


# -- cron ------------------------------------------------------------------------------------


def scheduled(worker: Any, **options: Any) -> tuple[dict[str, Any], list[str]]:
    async def main() -> tuple[dict[str, Any], list[str]]:
        async with emulator.Miniflare(worker=worker) as mf:
            outcome = await mf.get_worker().scheduled(**options)
            return outcome, [
                str(event.facts["error"])
                for event in mf.trace.events
                if event.kind == "scheduled.failed"
            ]

    return emulator.run(main)


def test_a_cron_run_is_told_its_expression_and_its_time() -> None:
    seen: list[Any] = []

    class Default(WorkerEntrypoint):
        async def scheduled(self, controller: Any, env: Any, ctx: Any) -> None:
            seen.append((controller.cron, controller.scheduledTime, env is self.env))

    outcome, _ = scheduled(Default, cron="0 3 * * *", scheduled_time=5_000)
    scheduled(Default)

    assert outcome == {"outcome": "ok", "noRetry": False}
    # Without a time of its own, a run is due now.
    assert seen == [("0 3 * * *", 5_000, True), ("", 1_767_225_600_000, True)]


def raises(controller: Any) -> None:
    raise RuntimeError("boom")


def refuses_retry(controller: Any) -> None:
    controller.noRetry()


def refuses_retry_and_raises(controller: Any) -> None:
    controller.noRetry()
    raise RuntimeError("boom")


async def raises_later(controller: Any, env: Any, ctx: Any) -> None:
    async def later() -> None:
        await asyncio.sleep(1)
        raise RuntimeError("boom")

    ctx.waitUntil(later())


@pytest.mark.parametrize(
    ("names", "outcome", "no_retry", "errors"),
    [
        ({"on_scheduled": raises}, "exception", False, ["RuntimeError: boom"]),
        ({"on_scheduled": refuses_retry}, "ok", True, []),
        ({"on_scheduled": refuses_retry_and_raises}, "exception", True, ["RuntimeError: boom"]),
        ({"on_scheduled": raises_later}, "exception", False, ["RuntimeError: boom"]),
        (
            {},
            "exception",
            True,
            ["JsException: Error: Handler does not export a scheduled() function."],
        ),
    ],
    ids=["raises", "noRetry", "noRetry and raises", "raises later", "no handler"],
)
def test_a_cron_run_ends_as_miniflare_says(
    names: dict[str, Any],
    outcome: str,
    no_retry: bool,  # noqa: FBT001  # pytest hands it by name.
    errors: list[str],
) -> None:
    assert scheduled(module(**names)) == ({"outcome": outcome, "noRetry": no_retry}, errors)


def test_a_power_cut_ends_a_request_and_its_background_work() -> None:
    done: list[str] = []

    async def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
        async def later() -> None:
            await asyncio.sleep(10)
            done.append("later")

        ctx.waitUntil(later())
        try:
            await env.OUT.fetch("http://out/")
        finally:
            done.append("finally")

    async def main() -> None:
        async with emulator.Miniflare(
            worker=module(on_fetch=on_fetch),
            service_bindings={"OUT": one},
            faults=[emulator.faults.crash(before="OUT.*")],
        ) as mf:
            with pytest.raises(JsException, match=r"Network connection lost\.") as caught:
                await mf.dispatch_fetch("http://x/")
            assert caught.value.retryable
            died_ms = mf.clock.now_ms
            await mf.run_until_idle()
            # Time does not pass for what the dead were waiting for.
            assert mf.clock.now_ms == died_ms
            assert done == []

    emulator.run(main)
