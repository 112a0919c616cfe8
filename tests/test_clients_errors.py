"""Every way a call can fail, as the exception it becomes."""

from __future__ import annotations

import pickle
from typing import Any

import httpx
import pytest
from test_clients_fakes import (
    ByteStream,
    FakeServer,
    both_clients,
    chat_body,
    error_reply,
    make_client,
)

from syntagma.clients import (
    AnswerMalformedError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ChatChoice,
    ChatResult,
    Client,
    ConnectionFailedError,
    ConnectionLostError,
    ErrorDetail,
    GrammarRejectedError,
    NotFoundError,
    OutputTruncatedError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    StreamInterruptedError,
    SyntagmaError,
)
from syntagma.clients.failures import retry_after_s


@both_clients
@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (302, APIStatusError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (408, APIStatusError),
        (409, APIStatusError),
        (413, APIStatusError),
        (422, BadRequestError),
        (429, RateLimitedError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
    ],
)
@pytest.mark.parametrize("method", ["chat", "streamed_result"])
def test_status(client_type: type, status: int, error_type: type, method: str) -> None:
    server = FakeServer(error_reply(status, message="why", code="c", param="p", type="t"))
    client = make_client(client_type, server, max_retries=0)
    with pytest.raises(APIStatusError) as caught:
        getattr(client, method)("hi", model="m")
    error = caught.value
    assert type(error) is error_type
    assert (error.status_code, error.message) == (status, "why")
    assert (error.code, error.param, error.type) == ("c", "p", "t")
    assert str(error) == f"{status} c: why (param p)"


@both_clients
def test_grammar_rejected(client_type: type) -> None:
    reply = error_reply(
        400,
        headers={"x-should-retry": "false"},
        message="'contains' cannot be enforced (at /properties/a)",
        code="invalid_json_schema",
        param="response_format",
        grammar_code="unsupported_grammar",
        pointer="/properties/a",
        keyword="contains",
        line=None,
        column=None,
        limit=10,
        given=11,
        conflict=["a", "b"],
        something_newer=True,
    )
    with pytest.raises(GrammarRejectedError) as caught:
        make_client(client_type, FakeServer(reply)).chat("hi", model="m")
    error = caught.value
    assert (error.pointer, error.keyword) == ("/properties/a", "contains")
    assert (error.line, error.column) == (None, None)
    assert (error.limit, error.given, error.conflict) == (10, 11, ("a", "b"))
    assert error.grammar_code == "unsupported_grammar"
    assert error.should_retry is False


@pytest.mark.parametrize(
    ("detail", "is_grammar"),
    [
        ({"code": "invalid_json_schema"}, True),
        ({"code": "invalid_regex"}, True),
        ({"code": "invalid_choice"}, True),
        ({"pointer": ""}, True),
        ({"line": 1, "column": 2}, True),
        ({"grammar_code": "grammar_syntax"}, True),
        ({"code": "invalid_value", "param": "temperature"}, False),
        ({"limit": 5}, False),
    ],
)
def test_which_bad_requests_concern_the_grammar(
    detail: dict[str, object], is_grammar: bool
) -> None:
    server = FakeServer(error_reply(400, **detail))
    with pytest.raises(BadRequestError) as caught:
        make_client(Client, server).chat("hi", model="m")
    assert isinstance(caught.value, GrammarRejectedError) is is_grammar


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (httpx.Response(500), "Internal Server Error"),
        (httpx.Response(500, text="<h1>Oops</h1>"), "<h1>Oops</h1>"),
        (httpx.Response(500, text="x" * 1000), "x" * 199 + "…"),
        (httpx.Response(500, json={"detail": "d"}), '{"detail":"d"}'),
        (httpx.Response(500, json=[1]), "[1]"),
        (httpx.Response(500, json={"error": "just text"}), "just text"),
        (httpx.Response(500, json={"error": {"message": "m", "code": ["odd"]}}), "m"),
    ],
)
def test_odd_error_bodies_still_give_a_message(reply: httpx.Response, message: str) -> None:
    with pytest.raises(ServerError) as caught:
        make_client(Client, FakeServer(reply)).chat("hi", model="m")
    assert caught.value.message == message
    assert str(caught.value) == f"500: {message}"


@both_clients
@pytest.mark.parametrize(
    ("failure", "error_type", "builtin"),
    [
        (httpx.ConnectError("refused"), ConnectionFailedError, ConnectionError),
        (httpx.ConnectTimeout("slow"), ConnectionFailedError, ConnectionError),
        (httpx.PoolTimeout("full"), ConnectionFailedError, ConnectionError),
        (httpx.ProxyError("proxy"), ConnectionFailedError, ConnectionError),
        (httpx.ReadTimeout("slow"), RequestTimeoutError, TimeoutError),
        (httpx.WriteTimeout("slow"), RequestTimeoutError, TimeoutError),
        (httpx.ReadError("reset"), ConnectionLostError, ConnectionError),
        (httpx.RemoteProtocolError("closed"), ConnectionLostError, ConnectionError),
    ],
)
def test_transport_failure(
    client_type: type, failure: Exception, error_type: type, builtin: type
) -> None:
    client = make_client(client_type, FakeServer(failure), max_retries=0, base_url="http://x")
    with pytest.raises(builtin, match=str(failure)) as caught:
        client.chat("hi", model="m")
    assert type(caught.value) is error_type
    assert isinstance(caught.value, SyntagmaError)
    assert "POST http://x/v1/chat/completions" in str(caught.value)
    assert caught.value.__cause__ is failure


@both_clients
def test_connection_lost_in_the_middle_of_the_body(client_type: type) -> None:
    body = ByteStream([b'{"id":'], httpx.ReadError("reset"))
    server = FakeServer(httpx.Response(200, stream=body))
    with pytest.raises(ConnectionLostError):
        make_client(client_type, server).chat("hi", model="m")
    assert body.is_closed
    assert len(server.requests) == 1


@both_clients
@pytest.mark.parametrize(
    "content",
    [
        {"text": "<html>"},
        {"json": []},
        {"json": {"id": "x"}},
        {"json": {**chat_body(), "choices": []}},
        {"text": ""},
    ],
)
def test_success_in_another_form(client_type: type, content: dict[str, Any]) -> None:
    server = FakeServer(httpx.Response(200, **content))
    with pytest.raises(AnswerMalformedError, match="/v1/chat/completions answered 200"):
        make_client(client_type, server).chat("hi", model="m")


@both_clients
def test_server_without_models(client_type: type) -> None:
    with pytest.raises(AnswerMalformedError, match="no model"):
        make_client(client_type, FakeServer(models=[])).chat("hi")


@both_clients
def test_learnt_model_is_forgotten_when_the_server_no_longer_has_it(client_type: type) -> None:
    server = FakeServer(error_reply(404), error_reply(404), models=["old"])
    client = make_client(client_type, server)
    with pytest.raises(NotFoundError):
        client.chat("hi")
    server.models = ["new"]
    with pytest.raises(NotFoundError):
        client.chat("hi")
    assert server.body["model"] == "new"


@both_clients
@pytest.mark.parametrize(
    ("reply", "is_well"),
    [
        (200, True),
        (503, False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("slow"), False),
        (httpx.ReadError("reset"), False),
    ],
)
def test_health(client_type: type, reply: int | Exception, is_well: bool) -> None:
    server = FakeServer(reply if isinstance(reply, Exception) else httpx.Response(reply))
    assert make_client(client_type, server).health() is is_well
    assert len(server.requests) == 1


@both_clients
def test_health_of_something_else(client_type: type) -> None:
    with pytest.raises(NotFoundError):
        make_client(client_type, FakeServer(error_reply(404))).health()


@both_clients
def test_check_returns_the_rejection(client_type: type) -> None:
    server = FakeServer(
        error_reply(400, pointer="/not", keyword="not"),
        httpx.Response(200, json={"ok": False, "error": {"message": "no", "pointer": "/a"}}),
        error_reply(400, param="structured_outputs"),
    )
    client = make_client(client_type, server)
    rejected = client.check(schema={"not": {}})
    assert not rejected.ok
    assert rejected.error.keyword == "not"
    assert client.check(schema={"not": {}}).error.pointer == "/a"
    with pytest.raises(BadRequestError):
        client.check(regex="a")


@pytest.mark.parametrize(
    "error",
    [
        GrammarRejectedError(400, ErrorDetail(message="m", pointer="/a"), False, 1.0),
        ConnectionFailedError("m"),
        StreamInterruptedError(
            "m", ChatResult(id="", model="", choices=(ChatChoice(text="a"),)), None
        ),
        OutputTruncatedError("m", ChatResult(id="", model="", choices=(ChatChoice(),))),
    ],
)
def test_errors_survive_pickling(error: SyntagmaError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(httpx.Headers(headers), now=10.0) == seconds
