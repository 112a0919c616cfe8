"""The whole house over real sockets: demo model, grammar engine, and the ``openai`` package."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import httpx
import openai
import pytest
import uvicorn
from pydantic import BaseModel, Field

from syntagma.server.app import create_app
from syntagma.server.loading import load
from syntagma.server.metrics import Metrics
from syntagma.server.serve import server_config
from syntagma.server.settings import Settings

MODEL = "syntagma-demo"
ENDLESS = {"prompt": "x", "stream": True, "max_tokens": 2000, "ignore_eos": True}


# Bounded everywhere, so that no model can write for ever.
Name = Annotated[str, Field(max_length=20)]


class Pet(BaseModel):
    name: Name
    kind: Literal["cat", "dog"]


class Person(BaseModel):
    name: Name
    age: Annotated[int, Field(ge=0, le=150)]
    pets: Annotated[list[Pet], Field(max_length=2)]


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"who": {"$ref": "#/$defs/who"}},
                "required": ["who"],
                "additionalProperties": False,
                "$defs": {"who": {"enum": ["Ann", "Bo"]}},
            },
        },
    }
    for name in ("greet", "dismiss")
]


class SignallingServer(uvicorn.Server):
    """Sets an event once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    settings = Settings(port=0, log_level="warning", max_active=4)
    metrics = Metrics(MODEL)
    engine, compiler = load(settings, metrics)
    app = create_app(settings, engine, compiler, metrics)
    server = SignallingServer(server_config(settings, app))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.listens.wait(120)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def metric(url: str, name: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    found = re.search(rf"^syntagma_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found.group(1))


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_parse(client: openai.OpenAI) -> None:
    completion = client.chat.completions.parse(
        model=MODEL,
        messages=user("Sofia Chen is 29 years old."),
        response_format=Person,
        temperature=0,
        max_tokens=400,
    )
    choice = completion.choices[0]
    assert choice.finish_reason == "stop"
    assert isinstance(choice.message.parsed, Person)
    assert completion.usage is not None and completion.usage.completion_tokens > 0


def test_drafts_are_accounted_for_and_can_be_left_out(client: openai.OpenAI, url: str) -> None:
    texts = []
    for enabled in (True, False):
        completion = client.chat.completions.create(
            model=MODEL,
            messages=user("Repeat: Ada Lovelace 1815 Ada Lovelace 1815"),
            temperature=0,
            max_tokens=60,
            extra_body={"speculation": {"enabled": enabled}},
        )
        assert completion.usage is not None
        texts.append(completion.choices[0].message.content)
        told = (completion.usage.model_extra or {}).get("speculation")
        assert (told is not None) == enabled
        if told is not None:
            assert 0 < told["steps"] <= completion.usage.completion_tokens
            assert metric(url, "speculation_steps_total") >= told["steps"]
    assert texts[0] == texts[1]


def test_drafts_from_a_source_that_is_not_there_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no drafts from 'model'"):
        client.chat.completions.create(
            model=MODEL,
            messages=user("Hi"),
            extra_body={"speculation": {"sources": ["model"]}},
        )


def test_stream_with_events(client: openai.OpenAI) -> None:
    kinds = set()
    with client.chat.completions.stream(
        model=MODEL, messages=user("Bo has a dog."), response_format=Pet, seed=3
    ) as stream:
        for event in stream:
            kinds.add(event.type)
        final = stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert isinstance(final.choices[0].message.parsed, Pet)


def test_choice_and_regex(client: openai.OpenAI) -> None:
    text = client.completions.create(
        model=MODEL,
        prompt=["a", "b"],
        n=2,
        logprobs=2,
        extra_body={"structured_outputs": {"choice": ["grün", "日本", "😀"]}},
    )
    assert len(text.choices) == 4
    assert {choice.text for choice in text.choices} <= {"grün", "日本", "😀"}
    chat = client.chat.completions.create(
        model=MODEL,
        messages=user("When?"),
        n=3,
        logprobs=True,
        top_logprobs=2,
        extra_body={"structured_outputs": {"regex": "[0-9]{4}-[0-9]{2}"}},
    )
    for choice in chat.choices:
        assert re.fullmatch("[0-9]{4}-[0-9]{2}", choice.message.content or "")
        assert choice.logprobs is not None and choice.logprobs.content


def test_streamed_text_is_whole(client: openai.OpenAI) -> None:
    texts = ["", ""]
    reasons = set()
    for chunk in client.chat.completions.create(
        model=MODEL,
        messages=user("Say it."),
        n=2,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"structured_outputs": {"choice": ["naïve 日本 😀!", "Ünïcödé"]}},
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons.add(choice.finish_reason)
    assert set(texts) <= {"naïve 日本 😀!", "Ünïcödé"}
    assert reasons == {None, "stop"}
    assert chunk.usage is not None


def test_named_tool(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=user("Greet Ann."),
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "greet"}},
    )
    choice = completion.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is not None
    call: Any = choice.message.tool_calls[0]
    assert call.function.name == "greet"
    assert json.loads(call.function.arguments)["who"] in ("Ann", "Bo")


def test_required_tools_streamed(client: openai.OpenAI) -> None:
    names, done = set(), []
    with client.chat.completions.stream(
        model=MODEL, messages=user("Greet Ann."), tools=TOOLS, tool_choice="required", n=1
    ) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                names.add(event.name)
            if event.type == "tool_calls.function.arguments.done":
                done.append(event)
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    assert names <= {"greet", "dismiss"} and len(names) == 1
    assert json.loads(done[0].arguments)["who"] in ("Ann", "Bo")


def test_answers_go_back_in(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(
        model=MODEL, messages=user("Greet Ann."), tools=TOOLS[:1], tool_choice="required"
    )
    message: Any = first.choices[0].message
    assert message.tool_calls
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "done"}
    second = client.chat.completions.create(
        model=MODEL,
        messages=[*user("Greet Ann."), message.model_dump(), result],
        tools=TOOLS[:1],
        max_tokens=5,
    )
    assert second.choices[0].finish_reason in ("stop", "length")


def test_refusals(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": "("}}}
    format_: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=user("x"), response_format=format_)
    assert caught.value.code == "invalid_json_schema"
    assert caught.value.param == "response_format.json_schema.schema"
    assert caught.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=user("x"))
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model=MODEL, messages=user("x"), response_format=Person, max_tokens=2
        )


HOSTILE: dict[str, dict[str, Any]] = {
    "nested groups": {"regex": "(" * 50_000 + "a" + ")" * 50_000},
    "deep JSON text": {"json": '{"items":' * 1000 + "{}" + "}" * 1000},
    "a million characters": {"json": {"type": "string", "maxLength": 10**6}},
    "remote reference": {"json": {"$ref": "http://127.0.0.1:1/schema.json"}},
    "file reference": {"json": {"$ref": "file:///etc/passwd"}},
    "100,000 values": {"json": {"enum": [f"value {i}" for i in range(100_000)]}},
    "self reference": {"json": {"$ref": "#"}},
    "nested repetition": {"regex": "((a{0,100}){0,100}){0,100}"},
    "huge repetition": {"regex": "a{2147483648}"},
    "state explosion": {"regex": ".*a.{2000}"},
    "not a schema": {"json": {"type": 5}},
    "NUL": {"regex": "\x00"},
    "empty choice": {"choice": [""]},
}


def test_hostile_requests_beside_a_stream(url: str, client: openai.OpenAI) -> None:
    """Each gets a 400 or a success in good time, and the stream goes on to its end."""

    def attack(constraint: dict[str, Any]) -> tuple[int, float]:
        body = {"prompt": "x", "max_tokens": 1, "structured_outputs": constraint}
        started = time.perf_counter()
        response = httpx.post(f"{url}/v1/completions", json=body, timeout=60)
        return response.status_code, time.perf_counter() - started

    stream = client.completions.create(
        model=MODEL,
        prompt="x",
        stream=True,
        max_tokens=200,
        extra_body={"structured_outputs": {"regex": "[a-z]{400}"}},
    )
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(HOSTILE, pool.map(attack, HOSTILE.values()), strict=True))
    assert {status for status, _ in results.values()} <= {200, 400}, results
    assert "".join(chunk.choices[0].text for chunk in stream).isalpha()
    assert httpx.get(f"{url}/ready").status_code == 200


def test_leaving_frees_the_place(url: str) -> None:
    """Four clients fill all places and leave; a fifth is served although none of them finished."""
    aborted = metric(url, "aborted_total")
    for _ in range(4):
        with httpx.stream("POST", f"{url}/v1/completions", json=ENDLESS, timeout=60) as response:
            assert response.status_code == 200
            next(response.iter_bytes())
    finished = {"prompt": "x", "max_tokens": 2}
    assert httpx.post(f"{url}/v1/completions", json=finished, timeout=60).status_code == 200
    assert metric(url, "aborted_total") == aborted + 4
    assert metric(url, "requests_active") == 0


def test_many_streams_at_once(client: openai.OpenAI) -> None:
    def one(number: int) -> str:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=user(f"Number {number}"),
            stream=True,
            seed=number,
            extra_body={"structured_outputs": {"regex": "[a-z]{5,20}"}},
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    with ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(one, range(16)))
    assert all(re.fullmatch("[a-z]{5,20}", text) for text in texts)
