"""From httpx's failures and error statuses to the SDK's exceptions."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from syntagma.clients.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ConnectionLostError,
    GrammarRejectedError,
    NotFoundError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    SyntagmaError,
)
from syntagma.clients.results import ErrorDetail

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    422: BadRequestError,
    429: RateLimitedError,
}
_GRAMMAR_CODES = (
    "invalid_json_schema",
    "invalid_regex",
    "invalid_choice",
    "invalid_lark",
    "invalid_ebnf",
)
_ERROR_DETAIL = TypeAdapter(ErrorDetail)
_MAX_EXCERPT_LENGTH = 200


def from_request_error(error: httpx.RequestError) -> SyntagmaError:
    """Classify a request without an answer by how far it got."""
    reason = str(error) or type(error).__name__
    where = f"{error.request.method} {error.request.url}"
    if isinstance(error, _NOTHING_SENT):
        return ConnectionFailedError(f"cannot connect for {where}: {reason}")
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"no answer in time to {where}: {reason}")
    return ConnectionLostError(f"connection lost during {where}: {reason}")


def from_response(response: httpx.Response) -> APIStatusError:
    """Classify a response, read to its end, whose status is not a success."""
    detail = _detail_of_response(response)
    error_type = _BY_STATUS.get(response.status_code)
    if error_type is None:
        error_type = ServerError if response.status_code >= 500 else APIStatusError
    if error_type is BadRequestError and _concerns_grammar(detail):
        error_type = GrammarRejectedError
    return error_type(
        response.status_code,
        detail,
        {"true": True, "false": False}.get(response.headers.get("x-should-retry", "")),
        retry_after_s(response.headers, now=time.time()),
    )


def error_detail(error: object) -> ErrorDetail:
    """Read an ``error`` object as far as it has the form of one."""
    try:
        return _ERROR_DETAIL.validate_python(error)
    except ValidationError:
        message = error.get("message") if isinstance(error, Mapping) else None
        return ErrorDetail(message=_excerpt(str(message or error)))


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """How long the server asks to wait: milliseconds, seconds or an HTTP date; None if unsaid."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, date.timestamp() - now)


def _detail_of_response(response: httpx.Response) -> ErrorDetail:
    try:
        body: Any = response.json()
    except ValueError:
        return ErrorDetail(message=_excerpt(response.text) or response.reason_phrase)
    if isinstance(body, Mapping) and body.get("error"):
        return error_detail(body["error"])
    return ErrorDetail(message=_excerpt(response.text))


def _concerns_grammar(detail: ErrorDetail) -> bool:
    located = (detail.grammar_code, detail.pointer, detail.line, detail.keyword)
    return detail.code in _GRAMMAR_CODES or any(field is not None for field in located)


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _MAX_EXCERPT_LENGTH:
        return text
    return text[: _MAX_EXCERPT_LENGTH - 1] + "…"
