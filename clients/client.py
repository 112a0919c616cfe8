"""The blocking client: drives the flows with httpx.Client."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
from syntagma.clients.streams import ChatStream

T = TypeVar("T")


class Client:
    """A client of one syntagma server; safe to share between threads.

    Example:
        >>> class Person(BaseModel):
        ...     name: str
        ...     age: int
        >>> with Client("http://127.0.0.1:8000") as client:
        ...     client.parse(Person, "Ada Lovelace is 36 years old.").value
        Person(name='Ada Lovelace', age=36)

    Args:
        base_url: the server's root, with or without ``/v1``. Not given: the environment variable
            SYNTAGMA_BASE_URL, else ``http://127.0.0.1:8000``.
        api_key: not given: the environment variable SYNTAGMA_API_KEY, else none is sent.
        timeout: seconds of silence to bear, 600 if not given; a connection must come within 5.
        max_retries: tries after the first, where it is safe; a `RetryPolicy` says it in detail.
        http_client: an httpx client of your own (proxies, certificates); stays yours to close.
        transport: an httpx transport for the client's own httpx client.
        sleep: how to wait between tries.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | RetryPolicy = 2,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if http_client is not None and transport is not None:
            raise ValueError("give http_client or transport, not both")
        self._connection = Connection.from_arguments(base_url, api_key, timeout)
        self._flows = Flows(checked_retry_policy(max_retries))
        self._sleep = sleep
        self._owns_http = http_client is None
        self._http = http_client or httpx.Client(transport=transport)

    def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatResult:
        """Answer a chat; a string is one user message. Options: `ChatOptions`."""
        return self._run(self._flows.chat(messages, options))

    def complete(self, prompt: str, **options: Unpack[CompletionOptions]) -> CompletionResult:
        """Continue a text. Options: `CompletionOptions`."""
        return self._run(self._flows.complete(prompt, options))

    def stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatStream:
        """Answer a chat piece by piece; see `ChatStream`. Options: `ChatOptions`."""
        return ChatStream(partial(self._run, self._flows.open_stream(messages, options)))

    @overload
    def parse(
        self,
        output_type: type[T] | TypeAdapter[T],
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> ParsedResult[T]: ...
    @overload
    def parse(
        self, output_type: Any, messages: Messages, **options: Unpack[CallOptions]
    ) -> ParsedResult[Any]: ...
    def parse(
        self, output_type: Any, messages: Messages, **options: Unpack[CallOptions]
    ) -> ParsedResult[Any]:
        """Answer a chat with a value of a type: a pydantic model, ``list[Model]``, an enum, ...

        Raises:
            OutputTruncatedError: ``max_tokens`` did not suffice.
            OutputInvalidError: the output breaks a rule that the type's JSON schema does not
                express, such as a validator's.
        """
        return self._run(self._flows.parse(output_type, messages, options))

    def choice(
        self, messages: Messages, choices: Sequence[str], **options: Unpack[CallOptions]
    ) -> str:
        """Answer a chat with one of ``choices``."""
        return self._run(self._flows.choice(messages, choices, options))

    def regex(self, messages: Messages, pattern: str, **options: Unpack[CallOptions]) -> str:
        """Answer a chat with a text that matches ``pattern`` as a whole."""
        return self._run(self._flows.regex(messages, pattern, options))

    def models(self, *, timeout: Timeout | None = None) -> tuple[ModelInfo, ...]:
        """List the models the server offers."""
        return self._run(self._flows.models(timeout))

    def check(
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
        return self._run(self._flows.check(schema, regex, choice, self_test, timeout, policies))

    def health(self, *, timeout: Timeout | None = 5.0) -> bool:
        """Say whether the server answers and is well; never retried."""
        return self._run(self._flows.health(timeout))

    def close(self) -> None:
        """Close the connections, unless they belong to an ``http_client`` of your own."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.base_url!r})"

    def _run(self, flow: Flow[T]) -> T:
        try:
            attempt = next(flow)
            while True:
                try:
                    response = self._send(attempt)
                except httpx.RequestError as error:
                    attempt = flow.throw(error)
                else:
                    attempt = flow.send(response)
        except StopIteration as finished:
            value: T = finished.value
            return value

    def _send(self, attempt: Attempt) -> httpx.Response:
        if attempt.wait_s:
            self._sleep(attempt.wait_s)
        request = self._connection.http_request(self._http, attempt.request)
        response = self._http.send(request, stream=True)
        if not (attempt.is_stream and response.is_success):
            try:
                response.read()
            finally:
                response.close()
        return response
