"""The async client: drives the flows with httpx.AsyncClient."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx
from pydantic import TypeAdapter

from syntagma.clients.connection import Connection, checked_retry_policy
from syntagma.clients.flows import Attempt, Flow, Flows
from syntagma.clients.options import (
    CallOptions,
    ChatOptions,
    CheckOptions,
    CompletionOptions,
    Messages,
    Schema,
    Timeout,
)
from syntagma.clients.results import (
    ChatResult,
    CheckResult,
    CompletionResult,
    ModelInfo,
    ParsedResult,
)
from syntagma.clients.retry import RetryPolicy
from syntagma.clients.streams import AsyncChatStream

T = TypeVar("T")


class AsyncClient:
    """A client of one syntagma server, for one event loop.

    The methods and arguments are those of `Client`; all but `stream` are to be awaited.

    Example:
        >>> async with AsyncClient("http://127.0.0.1:8000") as client:
        ...     parsed = await client.parse(Person, "Ada Lovelace is 36 years old.")
        ...     async with client.stream("Tell me a story.", max_tokens=200) as stream:
        ...         async for event in stream:
        ...             print(event.text, end="")
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | RetryPolicy = 2,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if http_client is not None and transport is not None:
            raise ValueError("give http_client or transport, not both")
        self._connection = Connection.from_arguments(base_url, api_key, timeout)
        self._flows = Flows(checked_retry_policy(max_retries))
        self._sleep = sleep
        self._owns_http = http_client is None
        self._http = http_client or httpx.AsyncClient(transport=transport)

    async def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatResult:
        """Answer a chat; a string is one user message. Options: `ChatOptions`."""
        return await self._run(self._flows.chat(messages, options))

    async def complete(self, prompt: str, **options: Unpack[CompletionOptions]) -> CompletionResult:
        """Continue a text. Options: `CompletionOptions`."""
        return await self._run(self._flows.complete(prompt, options))

    def stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> AsyncChatStream:
        """Answer a chat piece by piece; see `AsyncChatStream`. Options: `ChatOptions`."""
        return AsyncChatStream(partial(self._run, self._flows.open_stream(messages, options)))

    @overload
    async def parse(
        self,
        output_type: type[T] | TypeAdapter[T],
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> ParsedResult[T]: ...
    @overload
    async def parse(
        self, output_type: Any, messages: Messages, **options: Unpack[CallOptions]
    ) -> ParsedResult[Any]: ...
    async def parse(
        self, output_type: Any, messages: Messages, **options: Unpack[CallOptions]
    ) -> ParsedResult[Any]:
        """Answer a chat with a value of a type: a pydantic model, ``list[Model]``, an enum, ...

        Raises:
            OutputTruncatedError: ``max_tokens`` did not suffice.
            OutputInvalidError: the output breaks a rule that the type's JSON schema does not
                express, such as a validator's.
        """
        return await self._run(self._flows.parse(output_type, messages, options))

    async def choice(
        self, messages: Messages, choices: Sequence[str], **options: Unpack[CallOptions]
    ) -> str:
        """Answer a chat with one of ``choices``."""
        return await self._run(self._flows.choice(messages, choices, options))

    async def regex(self, messages: Messages, pattern: str, **options: Unpack[CallOptions]) -> str:
        """Answer a chat with a text that matches ``pattern`` as a whole."""
        return await self._run(self._flows.regex(messages, pattern, options))

    async def models(self, *, timeout: Timeout | None = None) -> tuple[ModelInfo, ...]:
        """List the models the server offers."""
        return await self._run(self._flows.models(timeout))

    async def check(
        self,
        *,
        schema: Schema | None = None,
        regex: str | None = None,
        choice: Sequence[str] | None = None,
        self_test: int | None = None,
        timeout: Timeout | None = None,
        **policies: Unpack[CheckOptions],
    ) -> CheckResult:
        """Ask whether the server can enforce a grammar, without generating anything.

        ``self_test`` is a number of outputs to draw from it and to validate.
        """
        return await self._run(
            self._flows.check(schema, regex, choice, self_test, timeout, policies)
        )

    async def health(self, *, timeout: Timeout | None = 5.0) -> bool:
        """Say whether the server answers and is well; never retried."""
        return await self._run(self._flows.health(timeout))

    async def close(self) -> None:
        """Close the connections, unless they belong to an ``http_client`` of your own."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.base_url!r})"

    async def _run(self, flow: Flow[T]) -> T:
        try:
            attempt = next(flow)
            while True:
                try:
                    response = await self._send(attempt)
                except httpx.RequestError as error:
                    attempt = flow.throw(error)
                else:
                    attempt = flow.send(response)
        except StopIteration as finished:
            value: T = finished.value
            return value

    async def _send(self, attempt: Attempt) -> httpx.Response:
        if attempt.wait_s:
            await self._sleep(attempt.wait_s)
        request = self._connection.http_request(self._http, attempt.request)
        response = await self._http.send(request, stream=True)
        if not (attempt.is_stream and response.is_success):
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response
