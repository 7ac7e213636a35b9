"""Laws of WebSocket, WebSocketPair and their side of `ctx`. Texts measured on workerd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from js import Response as JsResponse
from js import WebSocket, WebSocketPair, WebSocketRequestResponsePair
from workers import DurableObject, Response

from emulator.errors import JsException, WorldError
from emulator.testing import run_in_durable_object
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_ACCEPTED = (
    "You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending "
    "messages."
)
ACCEPTED = (
    "Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`"
)
PAIR_IN_USE = (
    "Cannot call `acceptWebSocket()` on this WebSocket because its pair has already been "
    "accepted or used in a Response."
)


def pair() -> tuple[Any, Any]:
    one, other = WebSocketPair.new().object_values()
    return one, other


def opened() -> tuple[Any, Any]:
    one, other = pair()
    one.accept()
    other.accept()
    return one, other


def taken(ctx: Any, *tags: Any) -> Any:
    one, _ = pair()
    ctx.acceptWebSocket(one, *tags)
    return one


@pytest.fixture(scope="module")
def inside(in_object: Callable[..., Any]) -> Callable[..., Any]:
    """Gives `inside(program, **options)`: runs `program(ctx)`, sync or async, in an object."""

    def run(program: Callable[[Any], Any], **options: Any) -> Any:
        async def event(ctx: Any) -> Any:
            value = program(ctx)
            return await value if asyncio.iscoroutine(value) else value

        return in_object(event, **options)

    return run


def refusal(inside: Callable[..., Any], program: Callable[[Any], Any]) -> str:
    def tried(ctx: Any) -> str:
        with pytest.raises(JsException) as caught:
            program(ctx)
        return f"{caught.value.name}: {caught.value.message}"

    text: str = inside(tried)
    return text


# -- a pair --------------------------------------------------------------------------------


def test_a_pair_gives_its_two_ends_in_every_way(inside):
    def program(_: Any) -> Any:
        made = WebSocketPair.new()
        one, other = made
        assert [one, other] == list(made.object_values()) == [made[0], made["1"]]
        assert list(made.object_keys()) == ["0", "1"]
        assert [list(entry) for entry in made.object_entries()] == [["0", one], ["1", other]]
        return one.readyState, one.url, one.protocol, one.extensions, one.constructor.name

    assert inside(program) == (1, None, "", "", "WebSocket")


def test_states_are_constants_of_the_class():
    names = ("CONNECTING", "OPEN", "CLOSING", "CLOSED")

    assert [getattr(WebSocket, name) for name in names] == [0, 1, 2, 3]
    assert [getattr(WebSocket, f"READY_STATE_{name}") for name in names] == [0, 1, 2, 3]


def test_a_test_has_no_pairs_of_its_own():
    with pytest.raises(WorldError, match=r"mf\.connect"):
        WebSocketPair.new()


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (lambda _: pair()[0].send("x"), f"TypeError: {NOT_ACCEPTED}"),
        (lambda _: pair()[0].close(), f"TypeError: {NOT_ACCEPTED}"),
        (
            lambda _: opened()[0].send(),
            "TypeError: Failed to execute 'send' on 'WebSocket': parameter 1 is not of type "
            "'ArrayBuffer or ArrayBufferView or string'.",
        ),
        (
            lambda _: opened()[0].close(reason="r"),
            "InvalidAccessError: If you specify a WebSocket close reason, you must also "
            "specify a code.",
        ),
        (
            lambda _: opened()[0].close(1000, "é" * 62),
            "SyntaxError: WebSocket close reason must not be longer than 123 bytes when UTF-8 "
            "encoded.",
        ),
        (
            lambda ctx: taken(ctx).accept(),
            "TypeError: Can't accept() WebSocket after enabling hibernation.",
        ),
    ],
)
def test_what_a_websocket_refuses(inside, program, text):
    assert refusal(inside, program) == text


@pytest.mark.parametrize(
    ("code", "told"),
    [(999, 999), (1004, 1004), (1005, 1005), (1006, 1006), (1015, 1015), (5000, 5000), (0, 0),
     (-1, -1), (70000, 70000), ("x", 0), (None, 0), (float("nan"), 0)],
)  # fmt: skip
def test_a_code_that_no_frame_may_bear_is_refused(inside, code, told):
    text = f"InvalidAccessError: Invalid WebSocket close code: {told}."

    assert refusal(inside, lambda _: opened()[0].close(code)) == text


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 1016, 2999, 4999, "1000", 1000.5])
def test_every_other_code_is_sent_as_a_whole_number(inside, code):
    async def program(_: Any) -> Any:
        one, other = opened()
        heard: list[Any] = []
        other.addEventListener("close", lambda event: heard.append((event.code, event.reason)))
        one.close(code, 5)
        one.close(4000)
        assert one.readyState == 2
        with pytest.raises(TypeError, match=r"after close\(\)"):
            one.send("x")
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == [(int(float(code)), "5")]


def test_a_close_without_a_code_is_1005(inside):
    async def program(_: Any) -> Any:
        one, other = opened()
        heard: list[Any] = []
        other.onclose = lambda event: heard.append((event.code, event.reason, event.wasClean))
        one.close()
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == [(1005, "", True)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (None, "null"), (undefined, "undefined"), ({}, "[object Object]"), ([1], "1"),
     (True, "true")],
)  # fmt: skip
def test_what_is_neither_text_nor_bytes_is_sent_as_its_text(inside, value, text):
    async def program(_: Any) -> Any:
        one, other = opened()
        heard: list[Any] = []
        other.addEventListener("message", lambda event: heard.append(event.data))
        one.send(value)
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == [text]


@pytest.mark.parametrize(
    ("date", "kind"), [("2026-03-16", "arraybuffer"), ("2026-03-17", "blob")]
)
def test_bytes_are_told_as_the_binary_type_says(inside, date, kind):
    async def program(_: Any) -> Any:
        one, other = opened()
        assert other.binaryType == kind
        other.binaryType = "nonsense"
        heard: list[Any] = []
        other.addEventListener("message", lambda event: heard.append(event.data))
        for wanted in ("arraybuffer", "blob"):
            other.binaryType = wanted
            one.send(bytearray(b"ab"))
            await asyncio.sleep(0.01)
        return heard[0].to_bytes(), await heard[1].bytes()

    assert inside(program, compatibility_date=date) == (b"ab", b"ab")


def test_what_was_sent_before_the_accept_waits_and_keeps_its_order(inside):
    async def program(_: Any) -> Any:
        one, other = pair()
        heard: list[Any] = []
        one.accept()
        for number in range(3):
            one.send(number)
        await asyncio.sleep(0.01)
        one.send(3)
        other.addEventListener("message", lambda event: heard.append(event.data))
        other.accept()
        other.accept()
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == ["0", "1", "2", "3"]


def test_what_nobody_listens_to_is_lost(inside):
    async def program(_: Any) -> Any:
        one, other = opened()
        heard: list[Any] = []
        one.send("lost")
        await asyncio.sleep(0.01)
        other.addEventListener("message", lambda event: heard.append(event.data))
        one.send("heard")
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == ["heard"]


def test_listeners_of_every_kind_are_called_in_order(inside):
    async def program(_: Any) -> Any:
        one, other = opened()
        heard: list[Any] = []

        class Listener:
            def handleEvent(self, event: Any) -> None:
                heard.append(("object", event.data, event.target is other))

        async def later(event: Any) -> None:
            await asyncio.sleep(0)
            heard.append(("async", event.data, event.currentTarget is other))

        def never(event: Any) -> None:
            heard.append(("never", event.data))

        def once(event: Any) -> None:
            heard.append(("once", event.data, event.type))

        other.addEventListener("message", once, {"once": True})
        other.addEventListener("message", Listener())
        other.addEventListener("message", later)
        other.addEventListener("message", never)
        other.removeEventListener("message", never)
        one.send("1")
        one.send("2")
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == [
        ("once", "1", "message"),
        ("object", "1", True),
        ("async", "1", True),
        ("object", "2", True),
        ("async", "2", True),
    ]


@pytest.mark.parametrize(
    ("date", "states"), [("2026-04-06", (2, 2, 3)), ("2026-04-07", (3, 3, 3))]
)
def test_both_sides_close_one_after_the_other(inside, date, states):
    async def program(_: Any) -> Any:
        one, other = opened()
        seen: list[int] = []
        other.addEventListener("close", lambda event: seen.append(other.readyState))
        one.close(4000, "bye")
        await asyncio.sleep(0.01)
        seen.append(one.readyState)
        if one.readyState == 2:
            other.send("a last word is allowed until its own close")
        other.close(4001, "bye too")
        await asyncio.sleep(0.01)
        seen.append(one.readyState)
        return tuple(seen)

    assert inside(program, compatibility_date=date) == states


def test_half_open_sockets_answer_no_close_frame_by_themselves(inside):
    async def program(_: Any) -> Any:
        one, other = pair()
        one.accept()
        other.accept({"allowHalfOpen": True})
        one.close(4000)
        await asyncio.sleep(0.01)
        return one.readyState, other.readyState

    assert inside(program, compatibility_date="2026-04-20") == (2, 2)


def test_a_message_is_heard_after_the_section_in_which_it_was_accepted(inside):
    async def program(ctx: Any) -> Any:
        one, other = pair()
        heard: list[Any] = []
        other.addEventListener("message", lambda event: heard.append(event.data))

        async def section() -> None:
            other.accept()

        await ctx.blockConcurrencyWhile(section)
        one.accept()
        one.send("x")
        await asyncio.sleep(0.01)
        return heard

    assert inside(program) == ["x"]


def test_an_end_that_has_closed_on_both_sides_is_over(inside):
    async def program(ctx: Any) -> Any:
        one, other = opened()
        one.close()
        await asyncio.sleep(0.01)
        other.close(4000)
        await asyncio.sleep(0.01)
        with pytest.raises(TypeError, match="that was already used in a response"):
            one.accept()
        with pytest.raises(JsException, match="you must call 'acceptWebSocket"):
            ctx.getTags(one)
        with pytest.raises(JsException, match="Invalid WebSocket close code: 5"):
            one.close(5)
        return one.readyState, other.readyState

    assert inside(program) == (3, 3)


def test_an_error_of_a_listener_for_errors_is_not_told_again(inside):
    async def program(_: Any) -> Any:
        one, other = opened()
        told: list[str] = []

        def fail(event: Any) -> None:
            told.append(event.type)
            raise ValueError("again")

        other.addEventListener("message", fail)
        other.addEventListener("error", fail)
        one.send("a")
        await asyncio.sleep(0.01)
        other.send("lost")
        other.close()
        return told, other.readyState

    assert inside(program) == (["message", "error"], 3)


def test_what_is_said_on_a_lost_connection_is_lost(inside):
    async def program(_: Any) -> Any:
        one, other = opened()
        other.lose()
        await asyncio.sleep(0.01)
        one.send("x")
        one.close()
        return one.readyState

    # As in browsers it is no error; and it never comes to be closed.
    assert inside(program) == 2


# -- in a Response ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (
            lambda _: Response(None, web_socket=pair()[0]),
            "RangeError: Responses with a WebSocket must have status code 101.",
        ),
        (
            lambda _: Response(None, status=101),
            "RangeError: Responses may only be constructed with status codes in the range 200 "
            "to 599, inclusive.",
        ),
        (
            lambda _: Response(None, status=101, web_socket="x"),
            "TypeError: Incorrect type for the 'webSocket' field on 'InitializerDict': the "
            "provided value is not of type 'WebSocket'.",
        ),
        (
            lambda _: Response("x", status=101, web_socket=pair()[0]),
            "TypeError: Response with null body status (101, 204, 205, or 304) cannot have a "
            "body.",
        ),
        (
            lambda _: Response(None, status=101, web_socket=pair()[0]).clone(),
            "TypeError: Cannot clone a response to a WebSocket handshake.",
        ),
    ],
)
def test_what_a_response_refuses(inside, program, text):
    assert refusal(inside, program) == text


def test_a_response_carries_a_websocket_in_both_dialects(inside):
    def program(_: Any) -> Any:
        one, _other = pair()
        response = Response(None, status=101, web_socket=one)
        same = JsResponse.new(None, status=101, webSocket=one)
        return [(r.status, r.statusText, r.webSocket is one, r.ok) for r in (response, same)]

    assert inside(program) == [(101, "Switching Protocols", True, False)] * 2


class Echo(DurableObject):
    async def fetch(self, request: Any) -> Any:
        one, other = pair()
        path = request.url.rpartition("/")[2]
        if path == "accepted":
            one.accept()
        elif path == "plain":
            other.accept()
            other.addEventListener("message", lambda event: other.send(f"{event.data}!"))
        elif path == "through":
            target = self.env.JOBS.getByName("target")
            return await target.fetch("http://x/plain", headers={"Upgrade": "websocket"})
        elif path == "client":
            return Response(await self.talk())
        return Response(None, status=101, web_socket=one)

    async def talk(self) -> str:
        target = self.env.JOBS.getByName("target")
        response = await target.fetch("http://x/plain", headers={"Upgrade": "websocket"})
        answers: asyncio.Queue[str] = asyncio.Queue()
        response.webSocket.addEventListener(
            "message", lambda event: answers.put_nowait(event.data)
        )
        response.webSocket.accept()
        response.webSocket.send("hello")
        return await answers.get()

    async def hand_out(self) -> Any:
        return pair()[0]


def ask(with_jobs: Callable[..., Any], path: str, **headers: str) -> Any:
    async def scenario(_: Any, stub: Any) -> Any:
        response = await stub.fetch(f"http://x/{path}", headers=headers)
        if response.webSocket is None:
            return await response.text()
        socket = response.webSocket
        heard: list[Any] = []
        socket.addEventListener("message", lambda event: heard.append(event.data))
        socket.addEventListener("close", lambda event: heard.append(event.code))
        with pytest.raises(TypeError, match="You must call one of accept"):
            socket.send("too soon")
        socket.accept()
        socket.send("hey")
        await asyncio.sleep(0.01)
        return heard

    return with_jobs(Echo, scenario)


def test_a_test_may_hold_an_end_itself(with_jobs):
    assert ask(with_jobs, "plain", upgrade="WebSocket") == ["hey!"]


def test_an_object_may_be_the_client_of_another(with_jobs):
    assert ask(with_jobs, "client") == "hello!"


def test_a_response_with_a_websocket_may_be_handed_on(with_jobs):
    assert ask(with_jobs, "through", upgrade="websocket") == ["hey!"]


def test_an_end_that_was_accepted_breaks_when_it_is_handed_over(with_jobs):
    assert ask(with_jobs, "accepted", upgrade="websocket") == [1006]


@pytest.mark.parametrize("headers", [{}, {"upgrade": "h2c"}])
def test_who_did_not_ask_for_a_websocket_gets_none(with_jobs, headers):
    with pytest.raises(JsException) as caught:
        ask(with_jobs, "plain", **headers)

    assert caught.value.remote
    assert caught.value.message == (
        "Worker tried to return a WebSocket in a response to a request which did not contain "
        'the header "Upgrade: websocket".'
    )


def test_a_websocket_does_not_cross_rpc(with_jobs):
    async def scenario(_: Any, stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.hand_out()
        return f"{caught.value.name}: {caught.value.message}"

    assert with_jobs(Echo, scenario) == (
        'DataCloneError: Could not serialize object of type "WebSocket". This type does not '
        "support serialization."
    )


# -- ctx -----------------------------------------------------------------------------------


def wrong(method: str, kind: str, position: int = 1, owner: str = "DurableObjectState") -> str:
    return (
        f"TypeError: Failed to execute '{method}' on '{owner}': parameter {position} is not of "
        f"type '{kind}'."
    )


def accept_twice(ctx: Any) -> None:
    ctx.acceptWebSocket(taken(ctx))


def accept_both(ctx: Any) -> None:
    for end in pair():
        ctx.acceptWebSocket(end)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (lambda ctx: ctx.acceptWebSocket(), wrong("acceptWebSocket", "WebSocket")),
        (lambda ctx: ctx.acceptWebSocket("x"), wrong("acceptWebSocket", "WebSocket")),
        (lambda ctx: taken(ctx, "tag"), wrong("acceptWebSocket", "Array", 2)),
        (lambda ctx: taken(ctx, None), wrong("acceptWebSocket", "Array", 2)),
        (lambda ctx: ctx.acceptWebSocket(opened()[0]), f"Error: {ACCEPTED}"),
        (accept_twice, f"Error: {ACCEPTED}"),
        (accept_both, f"Error: {PAIR_IN_USE}"),
        (
            lambda ctx: taken(ctx, [str(n) for n in range(11)]),
            "Error: a Hibernatable WebSocket cannot have more than 10 tags",
        ),
        (
            # The eleventh is refused before it is seen to be there already.
            lambda ctx: taken(ctx, [*map(str, range(10)), "0"]),
            "Error: a Hibernatable WebSocket cannot have more than 10 tags",
        ),
        (
            lambda ctx: taken(ctx, ["é" * 129]),
            f'Error: "{"é" * 129}" is longer than the max tag length (256 characters).',
        ),
        (lambda ctx: ctx.getTags("x"), wrong("getTags", "WebSocket")),
        (
            lambda ctx: ctx.getTags(pair()[0]),
            "Error: you must call 'acceptWebSocket()' before attempting to access the tags of "
            "a WebSocket.",
        ),
        (
            lambda ctx: ctx.getTags(opened()[0]),
            "Error: only hibernatable websockets can have tags.",
        ),
        (
            lambda ctx: ctx.setWebSocketAutoResponse("x"),
            wrong("setWebSocketAutoResponse", "WebSocketRequestResponsePair"),
        ),
        (
            lambda ctx: ctx.setWebSocketAutoResponse(
                WebSocketRequestResponsePair.new("é" * 1025, "b")
            ),
            "RangeError: Request cannot be larger than 2048 bytes. A request of size 2050 was "
            "provided.",
        ),
        (
            lambda ctx: ctx.setWebSocketAutoResponse(
                WebSocketRequestResponsePair.new("a", "b" * 2049)
            ),
            "RangeError: Response cannot be larger than 2048 bytes. A response of size 2049 "
            "was provided.",
        ),
        (
            lambda _: WebSocketRequestResponsePair.new("a"),
            "TypeError: Failed to construct 'WebSocketRequestResponsePair': constructor "
            "parameter 2 is not of type 'string'.",
        ),
        (
            lambda ctx: ctx.getWebSocketAutoResponseTimestamp("x"),
            wrong("getWebSocketAutoResponseTimestamp", "WebSocket"),
        ),
        (
            lambda ctx: ctx.setHibernatableWebSocketEventTimeout(604_800_001),
            "Error: Event timeout should not exceed 604800000 ms.",
        ),
        (
            lambda ctx: ctx.setHibernatableWebSocketEventTimeout(-1),
            "TypeError: The value cannot be converted because it is negative and this API "
            "expects a positive number.",
        ),
        (
            lambda ctx: ctx.setHibernatableWebSocketEventTimeout("x"),
            "TypeError: The value cannot be converted because it is not an integer.",
        ),
        (
            lambda ctx: ctx.setHibernatableWebSocketEventTimeout(2**32),
            "TypeError: Value out of range. Must be less than or equal to 4294967295.",
        ),
        (
            lambda _: pair()[0].serializeAttachment(),
            wrong("serializeAttachment", "JsValue", owner="WebSocket"),
        ),
        (
            lambda _: pair()[0].serializeAttachment("x" * 16_380),
            "Error: A WebSocket 'attachment' cannot be larger than 16384 bytes.'attachment' "
            "was 16385 bytes.",
        ),
        (lambda ctx: ctx.waitUntil(), wrong("waitUntil", "Promise")),
    ],
)
def test_what_the_state_refuses(inside, program, text):
    assert refusal(inside, program) == text


@pytest.mark.parametrize(
    ("tags", "kept"),
    [(["z", "a", "z", "b"], ["z", "a", "b"]), ([1, None, "b", "1"], ["1", "null", "b"]),
     (["t"] * 11, ["t"]), (["x" * 256], ["x" * 256]), ([], [])],
)  # fmt: skip
def test_tags_collapse_and_keep_their_order(inside, tags, kept):
    assert inside(lambda ctx: list(ctx.getTags(taken(ctx, tags)))) == kept


def test_sockets_of_a_tag_come_oldest_first_and_all_of_them_newest_first(inside):
    def program(ctx: Any) -> Any:
        sockets = [taken(ctx, ["t"]) for _ in range(3)]
        other = taken(ctx)
        assert list(ctx.getWebSockets("none")) == []
        assert list(ctx.getWebSockets("t")) == sockets
        return list(ctx.getWebSockets()) == [other, *reversed(sockets)]

    assert inside(program) is True


def test_an_object_takes_32768_sockets(inside):
    def program(ctx: Any) -> Any:
        for _ in range(32_768):
            taken(ctx)
        with pytest.raises(JsException) as caught:
            taken(ctx)
        return caught.value.message

    assert inside(program) == (
        "only 32768 websockets can be accepted on a single Durable Object instance"
    )


def test_an_automatic_answer_is_told_back_and_taken_away(inside):
    def program(ctx: Any) -> Any:
        assert ctx.getWebSocketAutoResponse() is None
        ctx.setWebSocketAutoResponse(WebSocketRequestResponsePair.new(1, None))
        answer = ctx.getWebSocketAutoResponse()
        ctx.setWebSocketAutoResponse()
        return answer.request, answer.response, ctx.getWebSocketAutoResponse()

    assert inside(program) == ("1", "null", None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0, None), (None, None), (1, 1), ("5", 5), (1.5, 1), (604_800_000, 604_800_000)],
)
def test_the_limit_of_events_is_told_back(inside, given, kept):
    def program(ctx: Any) -> Any:
        ctx.setHibernatableWebSocketEventTimeout(9)
        ctx.setHibernatableWebSocketEventTimeout(given)
        return ctx.getHibernatableWebSocketEventTimeout()

    assert inside(program) == kept


def test_an_attachment_is_a_copy(inside):
    def program(ctx: Any) -> Any:
        one, _ = pair()
        assert one.deserializeAttachment() is None
        value = {"a": [1]}
        one.serializeAttachment(value)
        value["a"].append(2)
        ctx.acceptWebSocket(one)
        return one.deserializeAttachment(), one.deserializeAttachment() is value

    assert inside(program) == ({"a": [1]}, False)


def test_a_peer_of_a_hibernatable_socket_may_listen_in_the_same_object(with_jobs):
    class Both(DurableObject):
        async def start(self) -> None:
            one, other = pair()
            self.heard: list[Any] = []
            self.ctx.acceptWebSocket(one)
            other.addEventListener("message", lambda event: self.heard.append(event.data))
            other.accept()
            other.send("a")

        async def webSocketMessage(self, ws: Any, message: str) -> None:
            ws.send(f"{message}!")

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.start()
        await mf.advance(10)
        return await run_in_durable_object(stub, lambda instance, _: instance.heard)

    assert with_jobs(Both, scenario) == ["a!"]
