"""Fakes at the SDK's real seam, httpx's transport, shared by the other client tests."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from syntagma.clients import AsyncClient, ChatResult, Client

CLIENT_TYPES = [Client, AsyncClient]
MODEL = "toy"


def chat_body(text: str | None = "hi", *, finish_reason: str = "stop", **message: Any) -> Any:
    """A chat completion as a server sends it."""
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def chat_reply(text: str | None = "hi", **options: Any) -> httpx.Response:
    return httpx.Response(200, json=chat_body(text, **options))


def error_reply(
    status: int, *, headers: dict[str, str] | None = None, **detail: Any
) -> httpx.Response:
    error = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    return httpx.Response(status, json={"error": error | detail}, headers=headers)


class ByteStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response body in chunks; may end in an error, and remembers being closed."""

    def __init__(self, chunks: list[bytes], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.num_sent = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.num_sent += 1
            yield chunk
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


class FakeServer:
    """Answers with its replies in turn; /v1/models is answered apart unless it has its own."""

    def __init__(self, *replies: httpx.Response | Exception, models: list[str] | None = None):
        self.replies = list(replies)
        self.models = models
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.models is not None and request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": name} for name in self.models]})
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    @property
    def body(self) -> Any:
        """The JSON body of the last request."""
        return json.loads(self.requests[-1].content)


class BlockingClient(Client):
    """A `Client` with one more method, for tests that serve both clients."""

    def streamed_result(self, *args: Any, **options: Any) -> ChatResult:
        with self.stream(*args, **options) as stream:
            return stream.result()


class BlockingAsyncClient:
    """Runs an `AsyncClient`'s methods to their end."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            async def run() -> Any:
                result = getattr(self._client, name)(*args, **options)
                return await result if inspect.isawaitable(result) else result

            return asyncio.run(run())

        return call

    def streamed_result(self, *args: Any, **options: Any) -> ChatResult:
        async def run() -> ChatResult:
            async with self._client.stream(*args, **options) as stream:
                return await stream.result()

        return asyncio.run(run())


def make_client(client_type: type, server: FakeServer, **options: Any) -> Any:
    """Make a client of either type, with blocking methods and without waiting between tries."""
    waits: list[float] = options.pop("waits", [])
    if client_type is Client:
        return BlockingClient(transport=server.transport, sleep=waits.append, **options)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return BlockingAsyncClient(AsyncClient(transport=server.transport, sleep=sleep, **options))


both_clients = pytest.mark.parametrize("client_type", CLIENT_TYPES)
