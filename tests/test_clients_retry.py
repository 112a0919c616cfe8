"""What is sent again, what is not, and after how long."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from test_clients_fakes import (
    ByteStream,
    FakeServer,
    both_clients,
    chat_reply,
    error_reply,
    make_client,
)

from syntagma.clients import RateLimitedError, RetryPolicy, SyntagmaError
from syntagma.clients.failures import from_response

Reply = Callable[[], httpx.Response | Exception]


def policy(**options: object) -> RetryPolicy:
    return RetryPolicy(jitter=lambda: 0.0, **options)


def num_tries(client_type: type, reply: Reply, method: str = "chat", **options: object) -> int:
    """Count how often a request that always fails in the same way is sent."""
    server = FakeServer(*(reply() for _ in range(5)))
    args = {"chat": ["hi"], "streamed_result": ["hi"], "models": [], "check": []}[method]
    named = {"check": {"regex": "a"}, "models": {}}.get(method, {"model": "m"})
    with pytest.raises(SyntagmaError):
        getattr(make_client(client_type, server, **options), method)(*args, **named)
    return len(server.requests)


@both_clients
@pytest.mark.parametrize("method", ["chat", "streamed_result", "models", "check"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, 1),
        (401, 1),
        (403, 1),
        (404, 1),
        (408, 3),
        (409, 3),
        (413, 1),
        (422, 1),
        (429, 3),
        (500, 1),
        (502, 3),
        (503, 3),
        (504, 3),
    ],
)
def test_by_status(client_type: type, method: str, status: int, expected: int) -> None:
    assert num_tries(client_type, lambda: error_reply(status), method) == expected


@both_clients
@pytest.mark.parametrize(
    ("failure", "generation", "repeatable", "allowed"),
    [
        (httpx.ConnectError, 3, 3, 3),
        (httpx.ConnectTimeout, 3, 3, 3),
        (httpx.PoolTimeout, 3, 3, 3),
        (httpx.ReadTimeout, 1, 3, 3),
        (httpx.WriteTimeout, 1, 3, 3),
        (httpx.ReadError, 1, 3, 3),
        (httpx.RemoteProtocolError, 1, 3, 3),
    ],
)
def test_by_failure(
    client_type: type,
    failure: Callable[[str], Exception],
    generation: int,
    repeatable: int,
    allowed: int,
) -> None:
    def reply() -> Exception:
        return failure("broken")

    may_resend = policy(resend_unanswered=True)
    assert num_tries(client_type, reply) == generation
    assert num_tries(client_type, reply, "streamed_result") == generation
    assert num_tries(client_type, reply, "models") == repeatable
    assert num_tries(client_type, reply, "check") == repeatable
    assert num_tries(client_type, reply, max_retries=may_resend) == allowed


@both_clients
@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (500, "true", 3),
        (503, "false", 1),
        (429, "false", 1),
        (400, "true", 1),
        (422, "true", 1),
        (503, "maybe", 3),
    ],
)
def test_server_says_whether(client_type: type, status: int, said: str, expected: int) -> None:
    def reply() -> httpx.Response:
        return error_reply(status, headers={"x-should-retry": said})

    assert num_tries(client_type, reply) == expected


@both_clients
@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_number_of_retries(client_type: type, max_retries: int) -> None:
    assert num_tries(client_type, lambda: error_reply(503), max_retries=max_retries) == (
        max_retries + 1
    )


@both_clients
def test_success_after_failures(client_type: type) -> None:
    waits: list[float] = []
    server = FakeServer(httpx.ConnectError("refused"), error_reply(503), chat_reply("done"))
    client = make_client(client_type, server, waits=waits, max_retries=policy())
    assert client.chat("hi", model="m").text == "done"
    assert waits == [0.5, 1.0]
    bodies = {request.content for request in server.requests}
    assert len(bodies) == 1


@both_clients
def test_backoff_is_exponential_and_capped(client_type: type) -> None:
    waits: list[float] = []
    server = FakeServer(*(error_reply(503) for _ in range(8)))
    client = make_client(client_type, server, waits=waits, max_retries=policy(max_retries=7))
    with pytest.raises(SyntagmaError):
        client.chat("hi", model="m")
    assert waits == [0.5, 1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(("random", "expected"), [(0.0, 0.5), (0.5, 0.375), (0.999, 0.25025)])
def test_jitter_takes_away_up_to_half(random: float, expected: float) -> None:
    server_failure = from_response(error_reply(503))
    delay_s = RetryPolicy(jitter=lambda: random).delay_s(
        server_failure, num_retries=0, is_repeatable=False
    )
    assert delay_s == pytest.approx(expected)


def test_many_retries_do_not_overflow() -> None:
    patient = policy(max_retries=10_000)
    failure = from_response(error_reply(503))
    assert patient.delay_s(failure, num_retries=9_999, is_repeatable=False) == 8.0


@both_clients
def test_server_says_how_long(client_type: type) -> None:
    waits: list[float] = []
    server = FakeServer(
        error_reply(429, headers={"retry-after": "7"}),
        error_reply(503, headers={"retry-after-ms": "125"}),
        chat_reply("done"),
    )
    make_client(client_type, server, waits=waits).chat("hi", model="m")
    assert waits == [7.0, 0.125]


@both_clients
def test_server_asks_for_too_long(client_type: type) -> None:
    waits: list[float] = []
    server = FakeServer(error_reply(429, headers={"retry-after": "3600"}))
    with pytest.raises(RateLimitedError) as caught:
        make_client(client_type, server, waits=waits).chat("hi", model="m")
    assert caught.value.retry_after_s == 3600
    assert waits == []


@both_clients
def test_nothing_is_retried_once_a_stream_has_begun(client_type: type) -> None:
    body = ByteStream([b": ping\n\n"], httpx.ReadError("reset"))
    server = FakeServer(httpx.Response(200, stream=body))
    client = make_client(client_type, server, max_retries=policy(resend_unanswered=True))
    with pytest.raises(SyntagmaError):
        client.streamed_result("hi", model="m")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "options",
    [{"max_retries": -1}, {"first_delay_s": -0.1}, {"max_delay_s": float("nan")}],
)
def test_policy_refuses(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RetryPolicy(**options)


@both_clients
def test_negative_max_retries_is_refused(client_type: type) -> None:
    with pytest.raises(ValueError, match="max_retries"):
        client_type(max_retries=-1)
