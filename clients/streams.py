"""Streamed answers: the events of one chat, read as they come.

Decoding is `StreamDecoder`'s; here the connection is opened, read and closed, once blocking and
once async.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from types import TracebackType
from typing import Self

import httpx

from syntagma.clients.results import ChatResult, StreamEvent
from syntagma.clients.stream_decoder import StreamDecoder


class ChatStream:
    """The events of one streamed answer, in order.

    Leaving the ``with`` block closes the connection, which aborts the generation if it still
    runs. The request is sent on entering it, or with the first event.

    Example:
        >>> with client.stream("Tell me a story.", max_tokens=200) as stream:
        ...     for event in stream:
        ...         print(event.text, end="")
        ...     print(stream.result().usage)
    """

    def __init__(self, open_response: Callable[[], httpx.Response]) -> None:
        self._open_response = open_response
        self._decoder = StreamDecoder()
        self._response: httpx.Response | None = None
        self._events = self._read()

    @property
    def partial(self) -> ChatResult:
        """What has been read so far."""
        return self._decoder.result()

    def result(self) -> ChatResult:
        """Read what is left and return the whole answer.

        Raises:
            StreamInterruptedError: it did not arrive in full, or the stream was closed before.
        """
        for _ in self:
            pass
        self._decoder.connection_ended()
        return self._decoder.result()

    def close(self) -> None:
        """Close the connection; harmless to repeat."""
        self._events.close()
        if self._response is not None:
            self._response.close()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        return next(self._events)

    def _open(self) -> httpx.Response:
        if self._response is None:
            self._response = self._open_response()
        return self._response

    def _read(self) -> Generator[StreamEvent, None, None]:
        response = self._open()
        failure: httpx.RequestError | None = None
        try:
            # Read on after the end mark: a connection read to its end can be used again.
            for chunk in response.iter_bytes():
                yield from self._decoder.feed(chunk)
        except httpx.RequestError as error:
            failure = error
        finally:
            response.close()
        self._decoder.connection_ended(failure)


class AsyncChatStream:
    """The events of one streamed answer, in order.

    Leaving the ``async with`` block closes the connection, which aborts the generation if it still
    runs. The request is sent on entering it, or with the first event.

    Example:
        >>> async with client.stream("Tell me a story.", max_tokens=200) as stream:
        ...     async for event in stream:
        ...         print(event.text, end="")
        ...     print((await stream.result()).usage)
    """

    def __init__(self, open_response: Callable[[], Awaitable[httpx.Response]]) -> None:
        self._open_response = open_response
        self._decoder = StreamDecoder()
        self._response: httpx.Response | None = None
        self._events = self._read()

    @property
    def partial(self) -> ChatResult:
        """What has been read so far."""
        return self._decoder.result()

    async def result(self) -> ChatResult:
        """Read what is left and return the whole answer.

        Raises:
            StreamInterruptedError: it did not arrive in full, or the stream was closed before.
        """
        async for _ in self:
            pass
        self._decoder.connection_ended()
        return self._decoder.result()

    async def close(self) -> None:
        """Close the connection; harmless to repeat."""
        await self._events.aclose()
        if self._response is not None:
            await self._response.aclose()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        return await anext(self._events)

    async def _open(self) -> httpx.Response:
        if self._response is None:
            self._response = await self._open_response()
        return self._response

    async def _read(self) -> AsyncGenerator[StreamEvent, None]:
        response = await self._open()
        failure: httpx.RequestError | None = None
        try:
            # Read on after the end mark: a connection read to its end can be used again.
            async for chunk in response.aiter_bytes():
                for event in self._decoder.feed(chunk):
                    yield event
        except httpx.RequestError as error:
            failure = error
        finally:
            await response.aclose()
        self._decoder.connection_ended(failure)
