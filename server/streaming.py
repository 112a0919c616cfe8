"""Server-sent events: chunks as ``data: {...}`` lines, closed by ``data: [DONE]``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from syntagma.server.disconnect import until_disconnect
from syntagma.server.errors import as_api_error
from syntagma.server.generation import Generation

DONE = b"data: [DONE]\n\n"
# The second keeps proxies such as nginx from holding events back.
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(StreamingResponse):
    """The streamed answer of a generation that is open; it is closed when the response ends,
    whether by itself, by the client or by the server's shutdown."""

    def __init__(self, generation: Generation, chunks: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(events(chunks), headers=HEADERS, media_type="text/event-stream")
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(ClientDisconnect):
                await until_disconnect(receive, self.stream_response(send))
        finally:
            await self._generation.aclose()


async def events(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Each chunk as one event; a failure after the first becomes an event too."""
    try:
        async for chunk in chunks:
            yield event(chunk)
    except Exception as error:  # noqa: BLE001 - the status is sent; this is the way left
        yield event(as_api_error(error).body())
    yield DONE


def event(content: dict[str, Any]) -> bytes:
    """One event; JSON has no raw line breaks, and characters are never split between events."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()
