"""Clients that leave, and failures after the first chunk."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from server_fakes import FakeEngine, says, serving, sse_events, text_deltas

from syntagma.decoding.engine import EngineError


class RawClient:
    """Speaks ASGI to an app, so that it can leave at any point.

    Attributes:
        sent: the events the app sent.
        chunk_seen: set once a body chunk has arrived.
    """

    def __init__(self, app: Any, body: dict[str, Any]) -> None:
        self._app = app
        self._to_receive: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_receive.put_nowait(
            {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}
        )
        self.sent: list[dict[str, Any]] = []
        self.chunk_seen = asyncio.Event()

    async def run(self) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 1),
            "server": ("server", 80),
        }
        await self._app(scope, self._to_receive.get, self._send)

    def leave(self) -> None:
        self._to_receive.put_nowait({"type": "http.disconnect"})

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and message["body"]:
            self.chunk_seen.set()


def chat_body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}]} | fields


def is_closed(engine: FakeEngine) -> bool:
    return engine.ended == [request.request_id for request in engine.requests]


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_aborts_the_generation(stream: bool) -> None:
    async def scenario() -> None:
        async with serving(says("a", "b", "c")) as server:
            server.engine.gate = asyncio.Event()
            client = RawClient(server.app, chat_body(stream=stream))
            running = asyncio.create_task(client.run())
            await server.engine.waiting.wait()
            if stream:
                await client.chunk_seen.wait()
            assert not server.engine.ended
            client.leave()
            await running
            assert len(server.engine.requests) == 1
            assert is_closed(server.engine)
            metrics = (await server.client.get("/metrics")).text
            assert 'syntagma_aborted_total{model_name="fake"} 1.0' in metrics

    asyncio.run(scenario())


def test_leaving_before_the_first_token() -> None:
    async def scenario() -> None:
        async with serving() as server:
            never = asyncio.Event()

            async def stuck(request: Any) -> Any:
                server.engine.waiting.set()
                try:
                    await never.wait()
                    yield text_deltas("a")[0]
                finally:
                    server.engine.ended.append(request.request_id)

            server.engine.generate = stuck  # type: ignore[method-assign]
            client = RawClient(server.app, chat_body(stream=True))
            running = asyncio.create_task(client.run())
            await server.engine.waiting.wait()
            client.leave()
            await running
            assert len(server.engine.ended) == 1

    asyncio.run(scenario())


def test_leaving_one_of_two_requests() -> None:
    async def scenario() -> None:
        async with serving(says("a", "b")) as server:
            server.engine.gate = asyncio.Event()
            leaver = RawClient(server.app, chat_body())
            leaving = asyncio.create_task(leaver.run())
            staying = asyncio.create_task(server.chat(stream=True))
            await server.engine.waiting.wait()
            leaver.leave()
            await leaving
            server.engine.gate.set()
            events = sse_events(await staying)
            assert events[-1]["choices"][0]["finish_reason"] == "stop"
            assert server.engine.ended == [server.engine.requests[0].request_id]

    asyncio.run(scenario())


def test_cancelled_by_the_server() -> None:
    async def scenario() -> None:
        async with serving(says("a", "b")) as server:
            server.engine.gate = asyncio.Event()
            client = RawClient(server.app, chat_body(stream=True))
            running = asyncio.create_task(client.run())
            await client.chunk_seen.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert is_closed(server.engine)

    asyncio.run(scenario())


def test_failure_in_the_middle_of_a_stream() -> None:
    async def scenario() -> None:
        broken = [*text_deltas("a", "b")[:1], EngineError("out of memory at /secret")]
        async with serving(lambda request: broken) as server:
            response = await server.chat(stream=True)
            assert response.status_code == 200
            events = sse_events(response)
            assert events[-1]["error"]["type"] == "server_error"
            assert "secret" not in response.text
            whole = await server.chat()
            assert whole.status_code == 500

    asyncio.run(scenario())


def test_one_failing_prompt_ends_the_others() -> None:
    async def scenario() -> None:
        def script(request: Any) -> Any:
            if request.prompt_token_ids == (97,):
                return [*text_deltas("a", "b")[:1], EngineError("broken")]
            return text_deltas(*"abcdef")

        async with serving(script) as server:
            response = await server.complete(prompt=["a", "b"])
            assert response.status_code == 500
            assert server.engine.num_active == 0
            assert server.engine.requests[0].request_id in server.engine.ended

    asyncio.run(scenario())


def test_characters_and_line_ends_stay_whole() -> None:
    async def scenario() -> None:
        async with serving(says("é", "\n\n", "\u2028😀")) as server:
            client = RawClient(server.app, chat_body(stream=True))
            running = asyncio.create_task(client.run())
            await running
            bodies = [m["body"] for m in client.sent if m["type"] == "http.response.body"]
            texts = [body.decode("utf-8") for body in bodies if body]
            assert all(text.endswith("\n\n") and text.count("\n") == 2 for text in texts)
            contents = [json.loads(text[6:])["choices"][0]["delta"] for text in texts[:-1]]
            assert "".join(c.get("content", "") for c in contents) == "é\n\n\u2028😀"

    asyncio.run(scenario())
