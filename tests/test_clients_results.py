"""What comes back: results read from answers, and typed values parsed from them."""

from __future__ import annotations

import enum
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator
from test_clients_fakes import FakeServer, both_clients, chat_body, chat_reply, make_client

from syntagma.clients import (
    ChatChoice,
    DraftUsage,
    OutputError,
    OutputInvalidError,
    OutputTruncatedError,
    SpeculationUsage,
    TokenLogprob,
    ToolCall,
    Usage,
)


class City(BaseModel):
    name: str


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    home: City | None = None

    @field_validator("name")
    @classmethod
    def _is_capitalised(cls, name: str) -> str:
        if not name[:1].isupper():
            raise ValueError("a name begins with a capital")
        return name


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


ADA = Person(name="Ada", age=36, home=City(name="London"))


@both_clients
def test_chat_result(client_type: type) -> None:
    body = chat_body("hi")
    result = make_client(client_type, FakeServer(chat_reply("hi"))).chat("x", model="m")
    assert (result.text, result.finish_reason) == ("hi", "stop")
    assert (result.tool_calls, result.logprobs) == ((), ())
    assert result.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert (result.id, result.model) == ("chat-1", "toy")
    assert result.raw == body


@both_clients
def test_usage_of_drafts(client_type: type) -> None:
    body = chat_body("hi")
    part = {"drafted": 6, "accepted": 4}
    body["usage"]["speculation"] = {"steps": 3, **part, "by_source": {"forced": part}}
    server = FakeServer(httpx.Response(200, json=body))
    result = make_client(client_type, server).chat("x", model="m")
    assert result.usage.speculation == SpeculationUsage(
        steps=3, **part, by_source={"forced": DraftUsage(**part)}
    )


@both_clients
def test_chat_result_with_everything(client_type: type) -> None:
    body = chat_body(
        None,
        finish_reason="tool_calls",
        tool_calls=[
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ],
    )
    top = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    body["choices"][0]["logprobs"] = {"content": [{**top, "top_logprobs": [top]}]}
    body["choices"].append({"index": 1, "message": {"content": "b"}, "finish_reason": "length"})
    body["something_newer"] = True
    del body["usage"]
    server = FakeServer(httpx.Response(200, json=body))
    result = make_client(client_type, server).chat("x", model="m")
    assert result.text == ""
    assert result.tool_calls == (ToolCall(id="c", name="f", arguments="{}"),)
    best = TokenLogprob(token="é", logprob=-0.5, token_bytes="é".encode())
    assert result.logprobs == (
        TokenLogprob(token="é", logprob=-0.5, token_bytes="é".encode(), top=(best,)),
    )
    assert result.choices[1] == ChatChoice(index=1, text="b", finish_reason="length")
    assert result.usage is None


@both_clients
def test_completion_result(client_type: type) -> None:
    logprobs = {
        "tokens": ["a", "b"],
        "token_logprobs": [-1.0, -2.0],
        "top_logprobs": [{"a": -1.0, "c": -3.0}, None],
        "text_offset": [0, 1],
    }
    choices = [
        {"index": 0, "text": "ab", "finish_reason": "stop", "logprobs": logprobs},
        {"index": 1, "text": "c", "finish_reason": "length", "logprobs": None},
    ]
    body = {"id": "i", "model": "m", "choices": choices}
    server = FakeServer(httpx.Response(200, json=body))
    result = make_client(client_type, server).complete("x", model="m")
    assert (result.text, result.finish_reason) == ("ab", "stop")
    assert [choice.text for choice in result.choices] == ["ab", "c"]
    assert [entry.token for entry in result.logprobs] == ["a", "b"]
    assert [other.token for other in result.logprobs[0].top] == ["a", "c"]
    assert result.logprobs[1].top == ()


@both_clients
@pytest.mark.parametrize(
    ("output_type", "text", "value"),
    [
        (Person, ADA.model_dump_json(), ADA),
        (TypeAdapter(Person), ADA.model_dump_json(), ADA),
        (list[Person], f"[{ADA.model_dump_json()}]", [ADA]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int, "42", 42),
        (Literal["a", "b"], '"b"', "b"),
        (Colour, '"blue"', Colour.BLUE),
        (Person | None, "null", None),
        (tuple[int, str], '[1, "x"]', (1, "x")),
    ],
)
def test_parse(client_type: type, output_type: Any, text: str, value: Any) -> None:
    server = FakeServer(chat_reply(text))
    parsed = make_client(client_type, server).parse(output_type, "x", model="m", max_tokens=9)
    assert parsed.value == value
    assert parsed.result.text == text
    adapter = output_type if isinstance(output_type, TypeAdapter) else TypeAdapter(output_type)
    sent = server.body["response_format"]["json_schema"]
    assert sent["schema"] == adapter.json_schema()
    assert sent["strict"] is True
    assert server.body["max_tokens"] == 9


@both_clients
@pytest.mark.parametrize("text", ['{"name": "Ad', "12"])
def test_parse_truncated(client_type: type, text: str) -> None:
    output_type = int if text == "12" else Person
    server = FakeServer(chat_reply(text, finish_reason="length"))
    with pytest.raises(OutputTruncatedError, match="max_tokens") as caught:
        make_client(client_type, server).parse(output_type, "x", model="m")
    assert isinstance(caught.value, OutputError)
    assert caught.value.result.text == text


@both_clients
@pytest.mark.parametrize("text", ["", "no json", '{"name": "Ada"}', '{"name": "ada", "age": 1}'])
def test_parse_invalid(client_type: type, text: str) -> None:
    with pytest.raises(OutputInvalidError, match="does not fit") as caught:
        make_client(client_type, FakeServer(chat_reply(text))).parse(Person, "x", model="m")
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.result.text == text


@both_clients
def test_choice(client_type: type) -> None:
    replies = [chat_reply("no"), chat_reply("n", finish_reason="length"), chat_reply("maybe")]
    client = make_client(client_type, FakeServer(*replies))
    options = ("yes", "no")
    assert client.choice("x", options, model="m") == "no"
    with pytest.raises(OutputTruncatedError):
        client.choice("x", options, model="m")
    with pytest.raises(OutputInvalidError, match=r"'maybe' is not one of \['yes', 'no'\]"):
        client.choice("x", iter(options), model="m")


@both_clients
def test_regex(client_type: type) -> None:
    replies = [chat_reply("2024"), chat_reply("20", finish_reason="length")]
    client = make_client(client_type, FakeServer(*replies))
    assert client.regex("x", r"\d{4}", model="m") == "2024"
    with pytest.raises(OutputTruncatedError):
        client.regex("x", r"\d{4}", model="m")


def test_results_are_frozen() -> None:
    with pytest.raises(AttributeError):
        ChatChoice().text = "x"
