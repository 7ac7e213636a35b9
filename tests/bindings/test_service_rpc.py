"""Laws of the methods of a service binding, which are called as those of an object are."""

from __future__ import annotations

import types
from typing import Any

import pytest

import emulator
from emulator.durable_objects.rpc_target import RpcTarget
from emulator.errors import JsException, JsTypeError
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.web.streams import ReadableStream

LOG: list[str] = []


class Session(RpcTarget):
    def __init__(self, env: Any) -> None:
        self.env = env

    def who(self) -> str:
        return f"user of {self.env.NAME}"

    def __dispose__(self) -> None:
        LOG.append("session over")


class Auth(WorkerEntrypoint):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.count = 0

    async def fetch(self, request: Any) -> Any:
        return Response("auth")

    def validate(self, token: str, *, strict: bool = False) -> Any:
        self.count += 1
        return {"valid": token == "t", "strict": strict, "count": self.count}

    def session(self) -> Session:
        return Session(self.env)

    def stream(self) -> Any:
        return ReadableStream.from_bytes(b"streamed")

    async def map(self, function: Any) -> Any:
        return [await function(value) for value in (1, 2)]

    def fail(self) -> None:
        raise ValueError("no")

    @property
    def version(self) -> str:
        return "v1"


class Job(DurableObject):
    async def ask(self) -> Any:
        return [(await self.env.AUTH.validate("t")).valid, await self.env.AUTH.session().who()]


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        auth = self.env.AUTH
        session = await auth.session()
        return Response.json(
            {
                "validate": await auth.validate("t", strict=True),
                "again": await auth.validate("u"),
                "session": [await session.who(), await session.who()],
                "pipelined": await auth.session().who(),
                "map": await auth.map(lambda value: value * 2),
                "version": await auth.version,
                "stream": (await (await auth.stream()).read_all()).decode(),
                "object": await self.env.JOBS.getByName("a").ask(),
            }
        )


@pytest.fixture
def in_world() -> Any:
    """Gives `in_world(scenario, auth)`, whose `await scenario(mf)` runs in a world."""
    module = types.ModuleType("module")
    module.Default, module.Job = Default, Job  # type: ignore[attr-defined]

    def run(scenario: Any, auth: Any = Auth) -> Any:
        LOG.clear()

        async def main() -> Any:
            async with emulator.Miniflare(
                worker=module,
                durable_objects={"JOBS": "Job"},
                service_bindings={"AUTH": auth},
                bindings={"NAME": "world"},
            ) as mf:
                return await scenario(mf)

        return emulator.run(main)

    return run


def test_methods_properties_targets_callbacks_and_streams_of_a_service(in_world):
    async def scenario(mf: Any) -> Any:
        return (await mf.dispatch_fetch("http://x/")).json()

    assert in_world(scenario) == {
        "validate": {"valid": True, "strict": True, "count": 1},
        "again": {"valid": False, "strict": False, "count": 1},  # A fresh instance a call.
        "session": ["user of world"] * 2,
        "pipelined": "user of world",
        "map": [2, 4],
        "version": "v1",
        "stream": "streamed",
        "object": [True, "user of world"],
    }


def test_what_a_service_hands_out_lives_until_the_caller_lets_go(in_world):
    async def scenario(mf: Any) -> Any:
        auth = mf.get_bindings()["AUTH"]
        session = await auth.session()
        await mf.advance(60_000)
        found = [await session.who(), list(LOG)]
        session.__dispose__()
        await mf.advance(1)
        return [*found, LOG]

    assert in_world(scenario) == ["user of world", [], ["session over"]]


def test_an_error_of_a_service_is_remote(in_world):
    async def scenario(mf: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await mf.get_bindings()["AUTH"].fail()
        return caught.value.message, caught.value.remote

    assert in_world(scenario) == ("ValueError: no", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", 'The RPC receiver does not implement the method "count".'),
        ("alarm", "'alarm' is a reserved method and cannot be called over RPC."),
    ],
)
def test_other_names_are_refused(in_world, name, text):
    async def scenario(mf: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await getattr(mf.get_bindings()["AUTH"], name)()
        return caught.value.message

    assert in_world(scenario) == text


def test_a_function_has_no_methods(in_world):
    async def scenario(mf: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await mf.get_bindings()["AUTH"].validate("t")
        return caught.value.message, caught.value.__notes__

    message, notes = in_world(scenario, lambda request: Response("x"))

    assert message == 'The RPC receiver does not implement the method "validate".'
    assert "bind it to a WorkerEntrypoint" in notes[0]
