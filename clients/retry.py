"""When a failed request is sent again, and after how long.

A generation costs the server work and may have been carried out although its answer was lost. So
it is repeated only if the server cannot have begun it (no connection) or has said itself that it
did not (the statuses below). Once a byte of a successful answer has been read, nothing is retried.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from syntagma.clients.errors import (
    APIStatusError,
    BadRequestError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    SyntagmaError,
)

# 500 is not among them: a request that crashes one replica must not be carried to the next.
RETRIED_STATUSES = frozenset({408, 409, 429, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently to retry.

    Attributes:
        max_retries: tries after the first; 0 switches retrying off.
        first_delay_s: the first wait; each further one is twice as long.
        max_delay_s: the longest wait of our own choosing.
        max_server_delay_s: the longest wait a server may ask for; beyond it we give up at once.
        resend_unanswered: also repeat a generation that was sent and never answered (read
            time-out, lost connection). The server may then do the work twice.
        jitter: uniform on [0, 1); spreads clients that failed together.
    """

    max_retries: int = 2
    first_delay_s: float = 0.5
    max_delay_s: float = 8.0
    max_server_delay_s: float = 60.0
    resend_unanswered: bool = False
    jitter: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("max_retries", "first_delay_s", "max_delay_s", "max_server_delay_s"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value!r}")

    def delay_s(
        self, failure: SyntagmaError, *, num_retries: int, is_repeatable: bool
    ) -> float | None:
        """Return how long to wait before the next try, or None to give up.

        Args:
            failure: what happened.
            num_retries: how many retries there have been.
            is_repeatable: the request changes nothing and costs little.
        """
        if num_retries >= self.max_retries or not self._may_retry(failure, is_repeatable):
            return None
        asked_s = failure.retry_after_s if isinstance(failure, APIStatusError) else None
        if asked_s is not None:
            return asked_s if asked_s <= self.max_server_delay_s else None
        # The exponent is capped because 2.0**1024 overflows.
        delay_s = min(self.first_delay_s * 2.0 ** min(num_retries, 64), self.max_delay_s)
        return delay_s * (1 - self.jitter() / 2)

    def _may_retry(self, failure: SyntagmaError, is_repeatable: bool) -> bool:
        match failure:
            case ConnectionFailedError():
                return True
            case RequestTimeoutError() | ConnectionLostError():
                return is_repeatable or self.resend_unanswered
            case BadRequestError():
                return False
            case APIStatusError(should_retry=None):
                return failure.status_code in RETRIED_STATUSES
            case APIStatusError():
                return failure.should_retry is True
            case _:
                return False
