"""What can go wrong between a call and its result, sorted by when it happened.

    SyntagmaError
    ├─ ConnectionFailedError        before sending: no connection (also a ConnectionError)
    ├─ RequestTimeoutError          after sending: no answer in time (also a TimeoutError)
    ├─ ConnectionLostError          after sending: the connection broke (also a ConnectionError)
    ├─ APIStatusError               answered, with an error status
    │  ├─ BadRequestError           400, 422: the request is wrong
    │  │  └─ GrammarRejectedError   ... because of its schema, regex, choice or grammar
    │  ├─ AuthenticationError       401, 403
    │  ├─ NotFoundError             404
    │  ├─ RateLimitedError          429
    │  └─ ServerError               5xx
    ├─ AnswerMalformedError         answered with success, but not in the expected form
    ├─ StreamInterruptedError       in the middle of a stream
    └─ OutputError                  answered in full, but the text does not serve
       ├─ OutputTruncatedError      it was cut at ``max_tokens``
       └─ OutputInvalidError        it does not fit what was asked for

Arguments that cannot be sent at all (two constraints, no messages) raise ``ValueError`` or
``TypeError`` before anything is sent.
"""

from __future__ import annotations

from syntagma.clients.results import ChatResult, ErrorDetail


class SyntagmaError(Exception):
    """Root of everything the SDK raises about a request it has tried to send."""


class ConnectionFailedError(SyntagmaError, ConnectionError):
    """No connection was established; the server has seen nothing of the request."""


class RequestTimeoutError(SyntagmaError, TimeoutError):
    """The request was sent, or partly, and no whole answer came in time."""


class ConnectionLostError(SyntagmaError, ConnectionError):
    """The connection broke before the whole answer was there; the server may have worked."""


class APIStatusError(SyntagmaError):
    """The server answered with an error status.

    Attributes:
        status_code: of the HTTP answer.
        detail: the error object, or what could be made of the body.
        should_retry: what the header ``x-should-retry`` says, None without one.
        retry_after_s: how long the server asks to wait, None if it does not say.
    """

    def __init__(
        self,
        status_code: int,
        detail: ErrorDetail,
        should_retry: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        # Every argument goes to `args`, so that the error survives pickling (process pools).
        super().__init__(status_code, detail, should_retry, retry_after_s)
        self.status_code = status_code
        self.detail = detail
        self.should_retry = should_retry
        self.retry_after_s = retry_after_s

    @property
    def message(self) -> str:
        return self.detail.message

    @property
    def type(self) -> str | None:
        return self.detail.type

    @property
    def param(self) -> str | None:
        return self.detail.param

    @property
    def code(self) -> str | None:
        return self.detail.code

    def __str__(self) -> str:
        head = f"{self.status_code} {self.code}" if self.code else str(self.status_code)
        tail = f" (param {self.param})" if self.param else ""
        return f"{head}: {self.message}{tail}"


class BadRequestError(APIStatusError):
    """400 or 422: the same request will fail again."""


class GrammarRejectedError(BadRequestError):
    """The schema, regex, choice or grammar cannot be enforced; the properties say where and why."""

    @property
    def grammar_code(self) -> str | None:
        return self.detail.grammar_code

    @property
    def pointer(self) -> str | None:
        return self.detail.pointer

    @property
    def line(self) -> int | None:
        return self.detail.line

    @property
    def column(self) -> int | None:
        return self.detail.column

    @property
    def keyword(self) -> str | None:
        return self.detail.keyword

    @property
    def limit(self) -> str | int | float | None:
        return self.detail.limit

    @property
    def given(self) -> str | int | float | None:
        return self.detail.given

    @property
    def conflict(self) -> tuple[str, ...]:
        return self.detail.conflict


class AuthenticationError(APIStatusError):
    """401 or 403: the API key is missing, wrong or not allowed to do this."""


class NotFoundError(APIStatusError):
    """404: no such path, or no such model."""


class RateLimitedError(APIStatusError):
    """429: too many requests; ``retry_after_s`` says when to come back."""


class ServerError(APIStatusError):
    """5xx: the server or a proxy before it failed."""


class AnswerMalformedError(SyntagmaError):
    """A success status with a body that is not the protocol's; is ``base_url`` right?"""


class StreamInterruptedError(SyntagmaError):
    """A stream ended before its end.

    Attributes:
        partial: what had arrived.
        detail: the server's error object, if it sent one.
    """

    def __init__(
        self, message: str, partial: ChatResult, detail: ErrorDetail | None = None
    ) -> None:
        super().__init__(message, partial, detail)
        self.message = message
        self.partial = partial
        self.detail = detail

    def __str__(self) -> str:
        return self.message


class OutputError(SyntagmaError):
    """The generation ended, but its text is not what was asked for; ``result`` has all of it."""

    def __init__(self, message: str, result: ChatResult) -> None:
        super().__init__(message, result)
        self.message = message
        self.result = result

    def __str__(self) -> str:
        return self.message


class OutputTruncatedError(OutputError):
    """The text was cut at ``max_tokens`` (finish reason ``length``)."""


class OutputInvalidError(OutputError):
    """The text does not fit the type or the options; for a type, the cause says where."""
