"""What the clients' methods do, written once for the blocking and the async client.

A flow is a generator: it yields an `Attempt`, is sent the `httpx.Response` (or has the
`httpx.RequestError` thrown into it), and returns the method's result. The clients only drive it:
wait, send, pass back. httpx shares its authentication between its two clients in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import httpx
from pydantic import ValidationError

from syntagma.clients import request_builder, wire
from syntagma.clients.constraints import choice_options, type_adapter
from syntagma.clients.errors import (
    AnswerMalformedError,
    ConnectionFailedError,
    ConnectionLostError,
    GrammarRejectedError,
    NotFoundError,
    OutputInvalidError,
    OutputTruncatedError,
    RequestTimeoutError,
    ServerError,
    SyntagmaError,
)
from syntagma.clients.failures import from_request_error, from_response
from syntagma.clients.options import (
    CallOptions,
    ChatOptions,
    CheckOptions,
    CompletionOptions,
    Messages,
    Schema,
    Timeout,
)
from syntagma.clients.request_builder import RequestSpec
from syntagma.clients.results import (
    ChatResult,
    CheckResult,
    CompletionResult,
    ModelInfo,
    ParsedResult,
)
from syntagma.clients.retry import RetryPolicy

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Send ``request`` after ``wait_s`` seconds.

    The response is to be read to its end, unless ``is_stream`` and it is a success.
    """

    request: RequestSpec
    is_stream: bool = False
    wait_s: float = 0.0


Flow = Generator[Attempt, httpx.Response, T]


class Flows:
    """The flows of one client, and the default model it has learnt."""

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._retry_policy = retry_policy
        self._default_model: str | None = None

    def chat(self, messages: Messages, options: ChatOptions) -> Flow[ChatResult]:
        request = request_builder.chat_request(messages, options)
        return (yield from self._fetch(request, wire.chat_result))

    def complete(self, prompt: str, options: CompletionOptions) -> Flow[CompletionResult]:
        request = request_builder.completion_request(prompt, options)
        return (yield from self._fetch(request, wire.completion_result))

    def open_stream(self, messages: Messages, options: ChatOptions) -> Flow[httpx.Response]:
        # Not a generator itself: wrong arguments are refused when the stream is made.
        request = request_builder.chat_request(messages, options, is_stream=True)
        return self._exchange(request, is_stream=True)

    def parse(
        self, output_type: Any, messages: Messages, options: CallOptions
    ) -> Flow[ParsedResult[Any]]:
        adapter = type_adapter(output_type)
        result = yield from self._constrained_chat(messages, options, {"schema": adapter})
        try:
            return ParsedResult(value=adapter.validate_json(result.text), result=result)
        except ValidationError as error:
            raise OutputInvalidError(f"the output does not fit: {error}", result) from error

    def choice(self, messages: Messages, choices: Sequence[str], options: CallOptions) -> Flow[str]:
        choices = choice_options(choices)
        result = yield from self._constrained_chat(messages, options, {"choice": choices})
        if result.text not in choices:
            raise OutputInvalidError(f"{result.text!r} is not one of {choices!r}", result)
        return result.text

    def regex(self, messages: Messages, pattern: str, options: CallOptions) -> Flow[str]:
        result = yield from self._constrained_chat(messages, options, {"regex": pattern})
        # Not matched again here: the server's regex dialect is not Python's.
        return result.text

    def models(self, timeout: Timeout | None) -> Flow[tuple[ModelInfo, ...]]:
        request = request_builder.models_request(timeout)
        return (yield from self._fetch(request, wire.models_result))

    def check(
        self,
        schema: Schema | None,
        regex: str | None,
        choice: Sequence[str] | None,
        self_test: int | None,
        timeout: Timeout | None,
        policies: CheckOptions,
    ) -> Flow[CheckResult]:
        request = request_builder.check_request(schema, regex, choice, self_test, timeout, policies)
        try:
            return (yield from self._fetch(request, wire.check_result))
        except GrammarRejectedError as error:
            return CheckResult(ok=False, error=error.detail)

    def health(self, timeout: Timeout | None) -> Flow[bool]:
        request = request_builder.health_request(timeout)
        attempt = Attempt(request=request)
        try:
            # One try: who polls wants to know how things are now.
            yield from _send(attempt)
        except (ConnectionFailedError, ConnectionLostError, RequestTimeoutError, ServerError):
            return False
        return True

    def _constrained_chat(
        self, messages: Messages, options: CallOptions, constraint: Mapping[str, object]
    ) -> Flow[ChatResult]:
        request_builder.refuse_unknown(options, request_builder.CALL_OPTIONS)
        result = yield from self.chat(messages, cast(ChatOptions, {**options, **constraint}))
        # Even if the text happens to be valid: 12 may be the beginning of 1234.
        if result.finish_reason == "length":
            raise OutputTruncatedError(
                f"the output was cut at max_tokens after {result.text!r:.200}", result
            )
        return result

    def _fetch(self, request: RequestSpec, read: Callable[[Mapping[str, Any]], T]) -> Flow[T]:
        response = yield from self._exchange(request)
        try:
            return read(response.json())
        except ValueError as error:
            raise AnswerMalformedError(
                f"{request.path} answered {response.status_code} in an unexpected form: {error}"
            ) from error

    def _exchange(self, request: RequestSpec, *, is_stream: bool = False) -> Flow[httpx.Response]:
        """Send until there is a success, or a failure that is not to be retried."""
        if request.lacks_model:
            request = request.with_model((yield from self._model()))
        attempt = Attempt(request=request, is_stream=is_stream)
        num_retries = 0
        while True:
            try:
                return (yield from _send(attempt))
            except SyntagmaError as failure:
                if isinstance(failure, NotFoundError):
                    # The server may have been restarted with another model; ask again next time.
                    self._default_model = None
                delay_s = self._retry_policy.delay_s(
                    failure, num_retries=num_retries, is_repeatable=request.is_repeatable
                )
                if delay_s is None:
                    raise
            attempt = replace(attempt, wait_s=delay_s)
            num_retries += 1

    def _model(self) -> Flow[str]:
        if self._default_model is None:
            models = yield from self.models(None)
            if not models:
                raise AnswerMalformedError("the server offers no model")
            self._default_model = models[0].id
        return self._default_model


def _send(attempt: Attempt) -> Flow[httpx.Response]:
    try:
        response = yield attempt
    except httpx.RequestError as error:
        raise from_request_error(error) from error
    if not response.is_success:
        raise from_response(response)
    return response
