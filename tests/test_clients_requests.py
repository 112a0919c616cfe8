"""What the clients send: paths, bodies, headers, and what they refuse to send."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, TypeAdapter
from test_clients_fakes import MODEL, FakeServer, both_clients, chat_reply, make_client

from syntagma.clients import AsyncClient, Client
from syntagma.clients.constraints import (
    chat_constraint,
    check_constraint,
    completion_constraint,
)

USER_HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


class Person(BaseModel):
    name: str
    age: int


PERSON_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "Person", "schema": Person.model_json_schema(), "strict": True},
}


def completion_reply() -> httpx.Response:
    choice = {"index": 0, "text": "yes", "finish_reason": "stop", "logprobs": None}
    return httpx.Response(200, json={"id": "c", "model": MODEL, "choices": [choice]})


def sent_body(client_type: type, method: str, *args: Any, **options: Any) -> Any:
    reply = completion_reply() if method == "complete" else chat_reply("yes")
    server = FakeServer(reply)
    getattr(make_client(client_type, server), method)(*args, model=MODEL, **options)
    return server.body


@both_clients
@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {}),
        ({"max_tokens": 5, "temperature": 0.0}, {"max_tokens": 5, "temperature": 0.0}),
        (
            {"top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 0, "n": 2},
            {"top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 0, "n": 2},
        ),
        (
            {"presence_penalty": 1.0, "frequency_penalty": -1.0, "repetition_penalty": 1.1},
            {"presence_penalty": 1.0, "frequency_penalty": -1.0, "repetition_penalty": 1.1},
        ),
        ({"stop": "x"}, {"stop": "x"}),
        ({"stop": ("x", "y")}, {"stop": ["x", "y"]}),
        ({"logit_bias": {7: -1.5}}, {"logit_bias": {"7": -1.5}}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"logprobs": True}, {"logprobs": True, "top_logprobs": 0}),
        ({"logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"logprobs": False}, {}),
        ({"ignore_eos": True}, {"ignore_eos": True}),
        ({"extra_body": {"metadata": {}}}, {"metadata": {}}),
        ({"user": "me"}, {"user": "me"}),
        (
            {"speculation": {"enabled": True, "max_tokens": 4, "sources": ("forced",)}},
            {"speculation": {"enabled": True, "max_tokens": 4, "sources": ["forced"]}},
        ),
        ({"max_tokens": None, "regex": None, "tools": None}, {}),
        ({"regex": "a+"}, {"structured_outputs": {"regex": "a+"}}),
        ({"choice": ("a", "b")}, {"structured_outputs": {"choice": ["a", "b"]}}),
        ({"schema": Person}, {"response_format": PERSON_FORMAT}),
        ({"schema": TypeAdapter(Person)}, {"response_format": PERSON_FORMAT}),
        (
            {"schema": {"title": "A b", "type": "null"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "A_b",
                        "schema": {"title": "A b", "type": "null"},
                        "strict": True,
                    },
                }
            },
        ),
        (
            {"schema": True},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "schema", "schema": True, "strict": True},
                }
            },
        ),
        (
            {"response_format": {"type": "json_object"}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"response_format": {"type": "json_object"}, "max_digits": "none"},
            {
                "response_format": {"type": "json_object"},
                "structured_outputs": {"max_digits": None},
            },
        ),
        (
            {"schema": True, "schemas": {"a:b": True}, "formats": "known"},
            {"structured_outputs": {"json": True, "schemas": {"a:b": True}, "formats": "known"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": "required", "whitespace": "compact"},
            {
                "tools": [TOOL],
                "tool_choice": "required",
                "structured_outputs": {"whitespace": "compact"},
            },
        ),
        ({"tools": [TOOL]}, {"tools": [TOOL]}),
        (
            {"tools": [TOOL], "tool_choice": "required"},
            {"tools": [TOOL], "tool_choice": "required"},
        ),
        (
            {"tools": [TOOL], "tool_choice": "add"},
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "add"}},
            },
        ),
    ],
)
def test_chat_body(client_type: type, options: dict[str, Any], fields: dict[str, Any]) -> None:
    body = sent_body(client_type, "chat", "hi", **options)
    assert body == {"model": MODEL, "messages": USER_HI, **fields}


@both_clients
@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"max_tokens": 1, "n": 2}, {"max_tokens": 1, "n": 2}),
        ({"logprobs": 2}, {"logprobs": 2}),
        ({"schema": {"type": "null"}}, {"structured_outputs": {"json": {"type": "null"}}}),
        ({"regex": "a"}, {"structured_outputs": {"regex": "a"}}),
        ({"choice": ["a"]}, {"structured_outputs": {"choice": ["a"]}}),
        (
            {"schema": True, "whitespace": "pretty", "numbers": None},
            {"structured_outputs": {"json": True, "whitespace": "pretty"}},
        ),
    ],
)
def test_completion_body(
    client_type: type, options: dict[str, Any], fields: dict[str, Any]
) -> None:
    body = sent_body(client_type, "complete", "Once", **options)
    assert body == {"model": MODEL, "prompt": "Once", **fields}


@both_clients
def test_choice_and_regex_bodies(client_type: type) -> None:
    choice = sent_body(client_type, "choice", "hi", ["yes", "no"], temperature=0)
    assert choice["structured_outputs"] == {"choice": ["yes", "no"]}
    assert choice["temperature"] == 0
    regex = sent_body(client_type, "regex", USER_HI, "yes|no")
    assert regex == {
        "model": MODEL,
        "messages": USER_HI,
        "structured_outputs": {"regex": "yes|no"},
    }


@both_clients
@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"schema": Person}, {"json_schema": Person.model_json_schema()}),
        ({"schema": False}, {"json_schema": False}),
        ({"regex": "a"}, {"regex": "a"}),
        ({"choice": ["a"]}, {"choice": ["a"]}),
        (
            {"schema": True, "self_test": 5, "max_string": "none", "numbers": "any"},
            {"json_schema": True, "self_test": 5, "max_string": None, "numbers": "any"},
        ),
    ],
)
def test_check_body(client_type: type, options: dict[str, Any], body: Any) -> None:
    server = FakeServer(httpx.Response(200, json={"ok": True, "states": 3}))
    result = make_client(client_type, server).check(**options)
    assert server.paths == ["/v1/grammars/check"]
    assert server.body == body
    assert result.ok
    assert result.raw["states"] == 3


@both_clients
def test_models_and_health_paths(client_type: type) -> None:
    models = {"data": [{"id": "a", "max_model_len": 9, "object": "model"}, {"id": "b"}]}
    server = FakeServer(httpx.Response(200, json=models), httpx.Response(200))
    client = make_client(client_type, server)
    assert [model.id for model in client.models()] == ["a", "b"]
    assert client.health()
    assert [(request.method, request.url.path) for request in server.requests] == [
        ("GET", "/v1/models"),
        ("GET", "/health"),
    ]
    assert not any("content-type" in request.headers for request in server.requests)


@both_clients
def test_first_model_is_asked_for_once(client_type: type) -> None:
    server = FakeServer(chat_reply(), chat_reply(), models=["first", "second"])
    client = make_client(client_type, server)
    client.chat("hi")
    client.chat("hi")
    assert server.paths == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert server.body["model"] == "first"


@both_clients
def test_a_model_in_extra_body_is_used(client_type: type) -> None:
    server = FakeServer(chat_reply())
    make_client(client_type, server).chat("hi", extra_body={"model": "mine"})
    assert server.body["model"] == "mine"


@both_clients
@pytest.mark.parametrize(
    ("error_type", "message", "method", "args", "options"),
    [
        (ValueError, "schema and regex", "chat", ["hi"], {"schema": {}, "regex": "a"}),
        (
            ValueError,
            "response_format and choice",
            "chat",
            ["hi"],
            {"response_format": {}, "choice": ["a"]},
        ),
        (ValueError, "schema and choice", "complete", ["hi"], {"schema": {}, "choice": ["a"]}),
        (ValueError, "must not be empty", "chat", [[]], {}),
        (ValueError, r"messages\[0\]", "chat", [[{"content": "x"}]], {}),
        (TypeError, "list of messages", "chat", [{"role": "user"}], {}),
        (TypeError, "list of messages", "chat", [b"hi"], {}),
        (TypeError, "prompt", "complete", [["a"]], {}),
        (TypeError, "choice must be a list", "choice", ["hi", "abc"], {}),
        (TypeError, "choice must be a list", "choice", ["hi", [1]], {}),
        (ValueError, "at least one", "choice", ["hi", []], {}),
        (TypeError, "regex must be a string", "regex", ["hi", 5], {}),
        (TypeError, "not text", "chat", ["hi"], {"schema": "{}"}),
        (TypeError, "for a type use schema", "chat", ["hi"], {"response_format": Person}),
        (TypeError, "'temprature'", "chat", ["hi"], {"temprature": 0}),
        (TypeError, "'tools'", "complete", ["hi"], {"tools": []}),
        (TypeError, "'n'", "parse", [Person, "hi"], {"n": 2}),
        (TypeError, "'regex'", "choice", ["hi", ["a"]], {"regex": "a"}),
        (TypeError, "'schema'", "regex", ["hi", "a"], {"schema": {}}),
        (ValueError, "'sub' is not among", "chat", ["hi"], {"tool_choice": "sub"}),
        (ValueError, "repeats 'seed'", "chat", ["hi"], {"seed": 1, "extra_body": {"seed": 2}}),
        (ValueError, "repeats 'model'", "chat", ["hi"], {"model": "a", "extra_body": {"model": 1}}),
        (ValueError, "timeout", "chat", ["hi"], {"timeout": 0}),
        (ValueError, "timeout", "chat", ["hi"], {"timeout": math.inf}),
        (ValueError, "JSON", "chat", ["hi"], {"temperature": math.nan}),
        (ValueError, "surrogates", "chat", ["\ud83d"], {}),
        (TypeError, "JSON serializable", "chat", ["hi"], {"schema": {"const": object()}}),
        (ValueError, "schema, regex, choice or grammar", "check", [], {}),
        (ValueError, "schema and regex", "check", [], {"schema": {}, "regex": "a"}),
        (ValueError, "schema and regex", "stream", ["hi"], {"schema": {}, "regex": "a"}),
    ],
)
def test_refused_before_anything_is_sent(
    client_type: type,
    error_type: type[Exception],
    message: str,
    method: str,
    args: list[Any],
    options: dict[str, Any],
) -> None:
    server = FakeServer()
    with pytest.raises(error_type, match=message):
        getattr(make_client(client_type, server), method)(*args, **options)
    assert server.requests == []


@both_clients
@pytest.mark.parametrize(
    "base_url", ["http://x:1", "http://x:1/", "http://x:1/v1", "http://x:1/v1/"]
)
def test_base_url_with_or_without_v1(client_type: type, base_url: str) -> None:
    server = FakeServer(models=["m"])
    make_client(client_type, server, base_url=base_url).models()
    assert str(server.requests[0].url) == "http://x:1/v1/models"


@both_clients
@pytest.mark.parametrize(
    "base_url", ["x:1", "ftp://x", "http://", "http://x/?a=1", "http://x:port", "x"]
)
def test_base_url_refused(client_type: type, base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        client_type(base_url)


def test_password_in_base_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        Client("http://me:hunter2@x")
    assert "hunter2" not in str(caught.value)


@both_clients
def test_environment_gives_url_and_key(client_type: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTAGMA_BASE_URL", "http://from-env:7/v1")
    monkeypatch.setenv("SYNTAGMA_API_KEY", "env-key")
    server = FakeServer(models=["m"])
    make_client(client_type, server).models()
    assert server.requests[0].url.host == "from-env"
    assert server.requests[0].headers["authorization"] == "Bearer env-key"
    make_client(client_type, server, base_url="http://given", api_key="given-key").models()
    assert server.requests[1].url.host == "given"
    assert server.requests[1].headers["authorization"] == "Bearer given-key"


@both_clients
def test_defaults_without_environment(client_type: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTAGMA_BASE_URL", raising=False)
    monkeypatch.delenv("SYNTAGMA_API_KEY", raising=False)
    server = FakeServer(models=["m"])
    make_client(client_type, server).models()
    assert str(server.requests[0].url) == "http://127.0.0.1:8000/v1/models"
    assert "authorization" not in server.requests[0].headers
    timeouts = server.requests[0].extensions["timeout"]
    assert (timeouts["read"], timeouts["connect"]) == (600.0, 5.0)


@both_clients
def test_timeout_of_client_and_call(client_type: type) -> None:
    server = FakeServer(models=["m"])
    client = make_client(client_type, server, timeout=30)
    client.models()
    client.models(timeout=2)
    client.models(timeout=httpx.Timeout(None))
    sent = [request.extensions["timeout"] for request in server.requests]
    assert [timeout["read"] for timeout in sent] == [30, 2, None]
    assert [timeout["connect"] for timeout in sent] == [5.0, 2, None]


@both_clients
@pytest.mark.parametrize("api_key", ["key\n", "schlüssel", "a\tb"])
def test_api_key_that_is_no_header_is_refused_unseen(client_type: type, api_key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        client_type(api_key=api_key)
    assert api_key not in str(caught.value)


@both_clients
def test_api_key_is_not_in_the_repr(client_type: type) -> None:
    client = client_type("http://x", api_key="secret", transport=FakeServer().transport)
    assert repr(client) == f"{client_type.__name__}('http://x')"


def test_own_http_client_is_used_and_left_open() -> None:
    server = FakeServer(models=["m"])
    with httpx.Client(transport=server.transport) as http_client:
        with Client("http://x", http_client=http_client) as client:
            client.models()
        assert not http_client.is_closed
    assert server.paths == ["/v1/models"]


async def _use_own_async_client(server: FakeServer) -> bool:
    async with httpx.AsyncClient(transport=server.transport) as http_client:
        async with AsyncClient("http://x", http_client=http_client) as client:
            await client.models()
        return http_client.is_closed


def test_own_async_http_client_is_used_and_left_open() -> None:
    server = FakeServer(models=["m"])
    assert not asyncio.run(_use_own_async_client(server))
    assert server.paths == ["/v1/models"]


def test_closing_closes_the_own_connections() -> None:
    client = Client("http://x", transport=FakeServer().transport)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.models()


@both_clients
def test_http_client_and_transport_exclude_each_other(client_type: type) -> None:
    transport = FakeServer().transport
    with pytest.raises(ValueError, match="not both"):
        client_type(http_client=object(), transport=transport)


def test_grammars_name_their_syntax() -> None:
    grammar = {"grammar": "root ::= 'a'", "syntax": "ebnf", "start": "root"}
    assert completion_constraint(grammar) == {"structured_outputs": grammar}
    assert chat_constraint(grammar) == {"structured_outputs": grammar}
    assert check_constraint({**grammar, "schema": None}) == grammar
    with pytest.raises(ValueError, match="grammar needs syntax"):
        completion_constraint({"grammar": "start: A"})
    with pytest.raises(ValueError, match="syntax says how a grammar is read"):
        completion_constraint({"regex": "a", "syntax": "lark"})
    with pytest.raises(TypeError, match="grammar must be a string"):
        completion_constraint({"grammar": 5, "syntax": "lark"})


@both_clients
def test_unknown_options_of_speculation_are_refused(client_type: type) -> None:
    server = FakeServer(chat_reply("yes"))
    client = make_client(client_type, server)
    with pytest.raises(TypeError, match="max_token'"):
        client.chat("Hi", model=MODEL, speculation={"max_token": 4})


def test_languages_have_their_options_beside_them() -> None:
    constraint = {"language": "csv", "language_options": {"columns": 2}}
    wanted = {"structured_outputs": {"language": "csv", "columns": 2}}
    assert completion_constraint(constraint) == wanted
    assert chat_constraint(constraint) == wanted
    assert check_constraint({"language": "json"}) == {"language": "json"}
    with pytest.raises(ValueError, match="language_options are options of a language"):
        completion_constraint({"regex": "a", "language_options": {}})
    with pytest.raises(ValueError, match="language_options repeats 'language'"):
        completion_constraint({"language": "csv", "language_options": {"language": "json"}})
    with pytest.raises(TypeError, match="language must be a string"):
        completion_constraint({"language": 5})
    with pytest.raises(TypeError, match="language_options must be a mapping"):
        completion_constraint({"language": "csv", "language_options": ["columns"]})
