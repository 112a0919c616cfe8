"""Streamed chats: events, the collected result, every way of ending early."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_clients_fakes import (
    MODEL,
    ByteStream,
    FakeServer,
    both_clients,
    chat_reply,
    error_reply,
    make_client,
)

from syntagma.clients import (
    AsyncClient,
    BadRequestError,
    ChatResult,
    Client,
    StreamEvent,
    StreamInterruptedError,
    ToolCall,
    Usage,
)
from syntagma.clients.stream_decoder import StreamDecoder


def chunk(delta: dict[str, Any], *, index: int = 0, **choice: Any) -> bytes:
    choices = [{"index": index, "delta": delta, "finish_reason": None, **choice}]
    return message({"id": "s", "model": MODEL, "choices": choices, "usage": None})


def message(body: Any) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
USAGE_CHUNK = message({"id": "s", "model": MODEL, "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
HELLO = [
    chunk({"role": "assistant", "content": ""}),
    b": ping\n\n",
    chunk({"content": "hé"}),
    chunk({"content": "llo"}),
    chunk({}, finish_reason="stop"),
    USAGE_CHUNK,
    DONE,
]
HELLO_EVENTS = [
    StreamEvent(),
    StreamEvent(text="hé"),
    StreamEvent(text="llo"),
    StreamEvent(finish_reason="stop"),
    StreamEvent(usage=Usage(**USAGE)),
]


def decode(*chunks: bytes) -> tuple[list[StreamEvent], ChatResult]:
    decoder = StreamDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    decoder.connection_ended()
    return events, decoder.result()


def stream_server(
    chunks: list[bytes], error: Exception | None = None
) -> tuple[FakeServer, ByteStream]:
    body = ByteStream(chunks, error)
    return FakeServer(httpx.Response(200, stream=body)), body


def test_decoder_cut_at_every_place() -> None:
    stream = b"".join(HELLO)
    events, result = decode(stream)
    assert events == HELLO_EVENTS
    assert (result.text, result.finish_reason) == ("héllo", "stop")
    assert (result.id, result.model, result.usage) == ("s", MODEL, Usage(**USAGE))
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == (events, result)


@given(st.lists(st.integers(0, len(b"".join(HELLO)))).map(sorted))
def test_decoder_cut_anywhere(cuts: list[int]) -> None:
    stream = b"".join(HELLO)
    chunks = [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks)[0] == HELLO_EVENTS


def test_choices_and_tool_calls_are_collected_apart() -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments, **more.pop("function", {})}
        return {"tool_calls": [{"index": index, "function": function, **more}]}

    events, result = decode(
        chunk({"content": "a"}, index=1),
        chunk(call(0, "", id="c0", type="function", function={"name": "f"})),
        chunk(call(0, '{"x":')),
        chunk({"content": "b"}, index=1, finish_reason="stop"),
        chunk(call(0, "1}")),
        chunk(call(1, "{}", id="c1", type="function", function={"name": "g"})),
        chunk({}, finish_reason="tool_calls"),
        DONE,
    )
    assert [event.index for event in events] == [1, 0, 0, 1, 0, 0, 0]
    assert result.tool_calls == (
        ToolCall(id="c0", name="f", arguments='{"x":1}'),
        ToolCall(id="c1", name="g", arguments="{}"),
    )
    assert result.finish_reason == "tool_calls"
    assert [choice.text for choice in result.choices] == ["", "ab"]


def test_logprobs_are_collected() -> None:
    top = {"token": "b", "logprob": -2.0, "bytes": [98]}
    entry = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [top]}
    _, result = decode(chunk({"content": "a"}, logprobs={"content": [entry]}), DONE)
    (logprob,) = result.logprobs
    assert (logprob.token, logprob.logprob, logprob.token_bytes) == ("a", -1.0, b"a")
    assert logprob.top[0].token_bytes == b"b"


def test_nothing_after_the_end_mark_counts() -> None:
    assert decode(*HELLO, message({"error": {"message": "late"}}))[0] == HELLO_EVENTS


@both_clients
def test_request_and_result(client_type: type) -> None:
    server, body = stream_server(HELLO)
    result = make_client(client_type, server).streamed_result("hi", model="m", schema={})
    assert result.text == "héllo"
    assert result.raw is None
    assert body.is_closed
    assert server.body["stream"] is True
    assert server.body["stream_options"] == {"include_usage": True}
    assert server.body["response_format"]["type"] == "json_schema"


@both_clients
@pytest.mark.parametrize(
    ("last", "error", "message"),
    [
        (message({"error": {"message": "broke", "code": "c"}}), None, "broke"),
        (message({"error": "broke"}), None, "broke"),
        (b"event: error\n" + message({"error": {"message": "broke"}}), None, "broke"),
        (b"", None, "closed the connection"),
        (b"data: [DONE]\n", None, "closed the connection"),
        (b"", httpx.ReadError("reset"), "reset"),
        (b"", httpx.ReadTimeout("too slow"), "too slow"),
        (b"", httpx.RemoteProtocolError("incomplete"), "incomplete"),
        (b"data: {\n\n", None, "unreadable stream message '{'"),
        (message({"choices": 5}), None, "unreadable"),
        (message([]), None, "unreadable"),
    ],
)
def test_interrupted(client_type: type, last: bytes, error: Exception | None, message: str) -> None:
    server, body = stream_server([*HELLO[:4], last], error)
    with pytest.raises(StreamInterruptedError, match=message) as caught:
        make_client(client_type, server).streamed_result("hi", model="m")
    assert caught.value.partial.text == "héllo"
    assert caught.value.partial.finish_reason is None
    assert body.is_closed
    assert len(server.requests) == 1


def test_server_error_keeps_its_detail() -> None:
    server, _ = stream_server([message({"error": {"message": "broke", "code": "c"}})])
    with pytest.raises(StreamInterruptedError) as caught:
        Client(transport=server.transport).stream("hi", model="m").result()
    assert caught.value.detail is not None
    assert caught.value.detail.code == "c"


def test_events_before_an_error_in_the_same_bytes_are_delivered() -> None:
    server, _ = stream_server([HELLO[2] + message({"error": {"message": "broke"}})])
    seen = []
    with (
        Client(transport=server.transport).stream("hi", model="m") as stream,
        pytest.raises(StreamInterruptedError),
    ):
        for event in stream:
            seen.append(event.text)
    assert seen == ["hé"]


def test_failure_after_the_end_mark_is_no_failure() -> None:
    server, _ = stream_server(HELLO, httpx.ReadError("reset"))
    with Client(transport=server.transport).stream("hi", model="m") as stream:
        assert stream.result().text == "héllo"


def test_leaving_closes_the_connection() -> None:
    server, body = stream_server(HELLO)
    with Client(transport=server.transport).stream("hi", model="m") as stream:
        assert [next(stream).text, next(stream).text] == ["", "hé"]
        assert not body.is_closed
    assert body.is_closed
    assert body.num_sent == 3
    assert list(stream) == []
    assert stream.partial.text == "hé"
    with pytest.raises(StreamInterruptedError):
        stream.result()


def test_leaving_at_once_closes_the_connection() -> None:
    server, body = stream_server(HELLO)
    with Client(transport=server.transport).stream("hi", model="m"):
        assert len(server.requests) == 1
    assert body.is_closed


def test_an_exception_inside_closes_the_connection() -> None:
    server, body = stream_server(HELLO)
    with (
        pytest.raises(KeyError),
        Client(transport=server.transport).stream("hi", model="m") as stream,
    ):
        next(stream)
        raise KeyError("mine")
    assert body.is_closed


def test_iterating_without_with() -> None:
    server, body = stream_server(HELLO)
    stream = Client(transport=server.transport).stream("hi", model="m")
    assert server.requests == []
    assert list(stream) == HELLO_EVENTS
    assert body.is_closed


def test_closing_before_the_start_sends_nothing() -> None:
    server, _ = stream_server(HELLO)
    stream = Client(transport=server.transport).stream("hi", model="m")
    stream.close()
    stream.close()
    assert list(stream) == []
    assert server.requests == []


def run_async(server: FakeServer, use: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(transport=server.transport) as client:
            return await use(client.stream("hi", model="m"))

    return asyncio.run(run())


def test_async_leaving_closes_the_connection() -> None:
    async def use(stream: Any) -> None:
        async with stream:
            async for event in stream:
                if event.text:
                    break
            assert not body.is_closed
        assert body.is_closed
        assert body.num_sent == 3
        assert [event async for event in stream] == []
        assert stream.partial.text == "hé"
        with pytest.raises(StreamInterruptedError):
            await stream.result()

    server, body = stream_server(HELLO)
    run_async(server, use)


def test_async_leaving_at_once_closes_the_connection() -> None:
    async def use(stream: Any) -> None:
        async with stream:
            assert len(server.requests) == 1

    server, body = stream_server(HELLO)
    run_async(server, use)
    assert body.is_closed


def test_async_iterating_without_with() -> None:
    async def use(stream: Any) -> list[StreamEvent]:
        return [event async for event in stream]

    server, body = stream_server(HELLO)
    assert run_async(server, use) == HELLO_EVENTS
    assert body.is_closed


def test_async_cancelling_closes_the_connection() -> None:
    class Endless(ByteStream):
        async def __aiter__(self):
            yield HELLO[2]
            reached.set()
            await asyncio.Event().wait()

    async def use(stream: Any) -> None:
        async def consume() -> None:
            async with stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(consume())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    reached = asyncio.Event()
    body = Endless([])
    run_async(FakeServer(httpx.Response(200, stream=body)), use)
    assert body.is_closed


@both_clients
def test_rejected_request_raises_on_entering(client_type: type) -> None:
    server = FakeServer(error_reply(400))
    with pytest.raises(BadRequestError):
        make_client(client_type, server).streamed_result("hi", model="m")


@both_clients
def test_answer_that_is_no_stream(client_type: type) -> None:
    with pytest.raises(StreamInterruptedError):
        make_client(client_type, FakeServer(chat_reply())).streamed_result("hi", model="m")


@both_clients
def test_stream_asks_for_the_model_too(client_type: type) -> None:
    server, _ = stream_server(HELLO)
    server.models = ["first"]
    make_client(client_type, server).streamed_result("hi")
    assert server.paths == ["/v1/models", "/v1/chat/completions"]
    assert server.body["model"] == "first"
