"""ASGI layers around every route: request ids, last-resort errors and the API key.

Plain ASGI, because wrappers that re-package the body would hide a client's disconnect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syntagma.server.errors import ApiError, as_api_error, error_response
from syntagma.server.metrics import Metrics

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class RequestMiddleware:
    """Gives every response an ``x-request-id``, counts it, and turns a stray exception into a 500.

    A client's own id is kept if it is short and harmless; it goes back to the client, nowhere else.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SAFE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        has_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
                self._metrics.requests.add(1, endpoint_label(scope), str(message["status"]))
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            if has_started:
                raise
            await error_response(as_api_error(error))(scope, receive, send_with_id)


def endpoint_label(scope: Scope) -> str:
    """The route's pattern; whatever a client may ask for beyond the routes is one label."""
    return getattr(scope.get("route"), "path", "other")


class ApiKeyMiddleware:
    """Asks for ``Authorization: Bearer <key>`` below ``/v1``; probes and metrics stay open."""

    def __init__(self, app: ASGIApp, *, api_key: str) -> None:
        self.app = app
        self._digest = _digest(api_key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_protected(scope) and not self._is_allowed(scope):
            refusal = ApiError(
                401,
                "Missing or wrong API key: send it as 'Authorization: Bearer <key>'.",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
            await error_response(refusal)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_protected(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path == "/v1" or path.startswith("/v1/")

    def _is_allowed(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        # Digests have one length, so the comparison tells neither the key's bytes nor its length.
        matches = hmac.compare_digest(_digest(key.strip().encode("latin-1")), self._digest)
        return scheme.lower() == "bearer" and matches


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
