"""Misuses 13 to 22: `await` was forgotten, or there is nothing that could await."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator.errors import ForgottenAwait, WorldError
from emulator.simulation.calls import UnseenErrorWarning

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://localhost/"


def job(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName("a")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(lambda mf: mf.dispatch_fetch(URL), "Miniflare.dispatch_fetch", id="13"),
        pytest.param(lambda mf: mf.advance(1_000), "Miniflare.advance", id="14"),
        pytest.param(lambda mf: mf.run_until_idle(), "Miniflare.run_until_idle", id="15"),
        pytest.param(lambda mf: mf.get_worker().scheduled(), "WorkerHandle.scheduled", id="16"),
    ],
)
def test_a_call_that_is_never_awaited_fails_the_run_and_names_its_line(
    told: Callable[..., str], call: Callable[[Any], Any], name: str
) -> None:
    async def scenario(mf: Any) -> None:
        call(mf)

    line = call.__code__.co_firstlineno

    assert told(scenario, ForgottenAwait) == (
        f"{name}() in test_forgotten_awaits.py:{line} was never awaited: put `await` before it"
    )


def test_a_call_that_is_never_awaited_is_a_note_on_the_error_of_a_failing_run(
    told: Callable[..., str],
) -> None:
    async def scenario(mf: Any) -> None:
        mf.advance(1_000)
        message = "the real trouble"
        raise LookupError(message)

    assert "the real trouble | Miniflare.advance() in" in told(scenario, LookupError)


def test_17_a_call_taken_for_its_result_is_told_so(told: Callable[..., str]) -> None:
    async def scenario(mf: Any) -> None:
        assert mf.dispatch_fetch(URL).status_code == 200

    sentence = told(scenario, AttributeError)

    assert sentence.startswith("Miniflare.dispatch_fetch() in test_forgotten_awaits.py:")
    assert sentence.endswith(
        "has not been awaited, so it has no 'status_code': put `await` before it"
    )


def test_18_an_async_call_where_no_loop_runs_is_refused(try_out: Callable[..., Any]) -> None:
    async def scenario(mf: Any) -> Any:
        return mf

    mf = try_out(scenario)
    with pytest.raises(WorldError) as caught:
        mf.dispatch_fetch(URL)
    assert str(caught.value) == (
        "Miniflare.dispatch_fetch() is async, and no loop runs here: make the test `async def` "
        "and write `await`, or do it in an async function given to emulator.run()"
    )


@pytest.mark.parametrize(
    ("call", "what"),
    [
        pytest.param(lambda mf: job(mf).boom(), "JOBS.object.rpc('boom')", id="19 rpc"),
        pytest.param(
            lambda mf: mf.get_d1_database("DB").prepare("SELEC").all(),
            "DB.d1.all('SELEC')",
            id="19 D1",
        ),
    ],
)
def test_a_failed_call_that_nobody_awaits_is_a_warning_that_names_its_line(
    try_out: Callable[..., Any], call: Callable[[Any], Any], what: str
) -> None:
    async def scenario(mf: Any) -> None:
        call(mf)
        await mf.advance(1_000)

    with pytest.warns(UnseenErrorWarning) as caught:
        try_out(scenario)
    text = str(caught[0].message)
    assert text.startswith(f"{what} in test_forgotten_awaits.py:")
    assert "failed, and nobody awaited it" in text


def test_a_failed_call_that_somebody_saw_is_no_warning(try_out: Callable[..., Any]) -> None:
    async def scenario(mf: Any) -> None:
        call = job(mf).boom()
        results = await asyncio.gather(call, job(mf).boom(), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["JsException"] * 2
        with pytest.raises(Exception, match="boom"):
            await job(mf).boom()

    try_out(scenario)


def test_20_a_method_of_a_result_that_was_not_awaited_is_one_of_the_other_side(
    try_out: Callable[..., Any],
) -> None:
    async def scenario(mf: Any) -> None:
        job(mf).hello().upper()
        await mf.advance(1_000)

    with pytest.warns(UnseenErrorWarning) as caught:
        try_out(scenario)
    text = "JOBS.object.rpc('hello.upper') in test_forgotten_awaits.py:"
    assert text in str(caught[0].message)


def test_20_a_result_of_r2_that_was_not_awaited_names_the_call(
    told: Callable[..., str],
) -> None:
    async def scenario(mf: Any) -> None:
        mf.get_r2_bucket("BUCKET").head("k").size()

    assert told(scenario, AttributeError) == (
        "BUCKET.r2.head('k') has not been awaited, so it has no 'size': put `await` before it"
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return Response(self.env.JOBS.getByName('a').hello())", "RpcPromise"),
        ("return Response(self.env.BUCKET.get('k'))", "SimulationFuture"),
    ],
    ids=["21 rpc", "21 R2"],
)
def test_a_response_of_what_was_not_awaited_says_so(
    request_told: Callable[..., str], body: str, kind: str
) -> None:
    assert request_told(body, TypeError) == (
        f"Unsupported type in Response: {kind} | what was given to Response() has not "
        "been awaited: put `await` before it"
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(5, "run() takes an async function, got 5", id="22 number"),
        pytest.param(lambda: 5, "write `async def` before", id="22 function"),
    ],
)
def test_what_is_no_async_function_cannot_be_run(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match="async function") as caught:
        emulator.run(given)
    assert text in str(caught.value)


def test_a_call_may_be_awaited_in_every_way(try_out: Callable[..., Any]) -> None:
    async def scenario(mf: Any) -> list[int]:
        task = asyncio.create_task(mf.dispatch_fetch(URL))
        later = mf.dispatch_fetch(URL)
        both = await asyncio.gather(mf.dispatch_fetch(URL), mf.dispatch_fetch(URL))
        async with asyncio.timeout(5):
            last = await later
        await asyncio.wait_for(mf.advance(1), 1)
        return [response.status_code for response in (await task, *both, last)]

    assert try_out(scenario) == [200] * 4
