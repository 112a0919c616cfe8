"""OpenAI-shaped error bodies, and the exception handlers that make every failure look like one.

A 4xx is final (``x-should-retry: false``): the same request would fail again, and the OpenAI SDK
would otherwise send some of them three times. Overload (429) may be retried, after a pause.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from syntagma.decoding.engine import EngineError, EngineOverloadedError, EngineStoppedError
from syntagma.grammar import GrammarError

logger = logging.getLogger(__name__)

ENGINE_STOPPED = "The engine has stopped; the server's log says why, and it must be restarted."

MAX_MESSAGE_CHARS = 1000
MAX_POINTER_CHARS = 300
CLIENT_CLOSED_REQUEST = 499  # nginx's number; nobody receives it, but it is counted
HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
RETRYABLE_CLIENT_ERRORS = frozenset({408, 409, 429})
GRAMMAR_DETAILS = ("pointer", "line", "column", "keyword", "limit", "given", "conflict")


class ApiError(Exception):
    """A request that is refused or failed.

    Attributes:
        status: HTTP status.
        message: for the person who sent the request; cut at ``MAX_MESSAGE_CHARS``.
        code, param: OpenAI's machine-readable cause and the field it is about.
        kind: OpenAI's error ``type``.
        details: further keys of the error object, such as ``pointer``.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = shorten(message, MAX_MESSAGE_CHARS)
        self.code = code
        self.param = param
        self.kind = kind
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The response body: ``{"error": {...}}``."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error | self.details}


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """A 400 about one field."""
    return ApiError(400, message, param=param, code=code)


def grammar_details(error: GrammarError) -> dict[str, Any]:
    """Where and why a grammar was refused, as far as the error knows."""
    details: dict[str, Any] = {"grammar_code": error.code}
    for name in GRAMMAR_DETAILS:
        value = getattr(error, name, None)
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = [shorten(str(part), MAX_POINTER_CHARS) for part in value[:10]]
        details[name] = shorten(value, MAX_POINTER_CHARS) if isinstance(value, str) else value
    return details


def shorten(text: str, limit: int) -> str:
    """`text`, cut in the middle of nothing: at most `limit` characters and marked as cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def as_api_error(error: Exception) -> ApiError:
    """What the client may know about any exception; internals stay in the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, EngineOverloadedError):
        return ApiError(
            429,
            "The server has as many requests as it can hold; try again in a moment.",
            code="engine_overloaded",
            kind="rate_limit_error",
            headers={"retry-after": "1"},
        )
    if isinstance(error, HTTPException):
        return ApiError(
            error.status_code,
            error.detail,
            code=HTTP_CODES.get(error.status_code),
            headers=error.headers,
        )
    if isinstance(error, ClientDisconnect):
        return ApiError(CLIENT_CLOSED_REQUEST, "The client left.", code="client_disconnected")
    if isinstance(error, EngineStoppedError):
        logger.error("the engine does not run: %s", error)
        return ApiError(503, ENGINE_STOPPED, code="engine_stopped", kind="server_error")
    if isinstance(error, EngineError):
        logger.error("the engine failed: %s", error)
        return ApiError(
            500,
            "The engine could not finish this request.",
            code="engine_error",
            kind="server_error",
        )
    logger.error("a request failed", exc_info=error)
    return ApiError(
        500, "The server failed on this request.", code="internal_error", kind="server_error"
    )


def error_response(error: ApiError) -> JSONResponse:
    """The HTTP response for an error."""
    headers = dict(error.headers)
    if 400 <= error.status < 500 and error.status not in RETRYABLE_CLIENT_ERRORS:
        headers["x-should-retry"] = "false"
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every failure, also unknown paths and methods, in OpenAI's form."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return error_response(as_api_error(error))

    for kind in (ApiError, HTTPException, EngineError, ClientDisconnect):
        app.add_exception_handler(kind, handle)
