"""Where the server is and how to authenticate: checked once, when a client is made."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import httpx

from syntagma.clients.options import Timeout
from syntagma.clients.request_builder import RequestSpec, checked_timeout
from syntagma.clients.retry import RetryPolicy

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A server's root URL (without ``/v1``), the API key and the default time-out."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout: httpx.Timeout

    @classmethod
    def from_arguments(
        cls, base_url: str | None, api_key: str | None, timeout: Timeout | None
    ) -> Connection:
        """Fill what is not given from the environment, then from the defaults."""
        base_url = base_url or os.environ.get("SYNTAGMA_BASE_URL") or DEFAULT_BASE_URL
        return cls(
            base_url=_checked_base_url(base_url),
            api_key=_checked_api_key(api_key or os.environ.get("SYNTAGMA_API_KEY") or None),
            timeout=DEFAULT_TIMEOUT if timeout is None else checked_timeout(timeout),
        )

    def http_request(
        self, http_client: httpx.Client | httpx.AsyncClient, request: RequestSpec
    ) -> httpx.Request:
        headers = {"accept": "application/json, text/event-stream"}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key}"
        if request.content is not None:
            headers["content-type"] = "application/json"
        return http_client.build_request(
            request.method,
            self.base_url + request.path,
            content=request.content,
            headers=headers,
            timeout=request.timeout or self.timeout,
        )


def checked_retry_policy(max_retries: int | RetryPolicy) -> RetryPolicy:
    if isinstance(max_retries, RetryPolicy):
        return max_retries
    return RetryPolicy(max_retries=max_retries)


def _checked_base_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url is not a URL: {error}") from error
    # Not quoted in the message: it may hold a password.
    if url.userinfo:
        raise ValueError("base_url must not contain a user name or password; use api_key")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError(f"base_url must look like {DEFAULT_BASE_URL}, got {base_url!r}")
    # OpenAI's clients want the /v1 in the base URL; accept what works there.
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def _checked_api_key(api_key: str | None) -> str | None:
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        # A line end from the file the key was read from, most often.
        raise ValueError("api_key must be printable ASCII without line ends")
    return api_key
