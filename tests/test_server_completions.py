"""Completions: raw prompts, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from server_fakes import SPECIAL, error_of, says, serving, sse_events, text_deltas

from syntagma.decoding.engine import Delta, GenerationRequest


def echoes(request: GenerationRequest) -> Iterable[Delta]:
    """Each choice says the prompt's first byte and its own number."""
    for index in range(request.sampling.n):
        yield from text_deltas(chr(request.prompt_token_ids[0]), str(index), index=index)


def test_one_prompt() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.complete()
            body = response.json()
            assert body["object"] == "text_completion"
            assert body["id"].startswith("cmpl-")
            assert body["choices"] == [
                {
                    "index": 0,
                    "text": "Hello world",
                    "logprobs": None,
                    "finish_reason": "stop",
                    "stop_reason": None,
                }
            ]
            assert server.engine.requests[0].prompt_token_ids == tuple(b"Hi")
            assert server.engine.requests[0].sampling.max_tokens == 16

    asyncio.run(scenario())


def test_constrained_output_is_not_cut_by_default() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.complete(structured_outputs={"regex": "a"})
            await server.complete(response_format={"type": "json_object"})
            limits = [request.sampling.max_tokens for request in server.engine.requests]
            assert limits == [None, None]
            kinds = [kind for kind, _, _ in server.compiler.calls]
            assert kinds == ["regex", "json_object"]

    asyncio.run(scenario())


def test_a_raw_prompt_may_hold_control_tokens() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.complete(prompt="<|user|>")
            assert server.engine.requests[0].prompt_token_ids == (SPECIAL["<|user|>"],)

    asyncio.run(scenario())


@pytest.mark.parametrize("prompt", [["a", "b"], [[97], [98]]])
def test_several_prompts_number_their_choices_through(prompt: Any) -> None:
    async def scenario() -> None:
        async with serving(echoes) as server:
            body = (await server.complete(prompt=prompt, n=2)).json()
            assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
            assert [choice["text"] for choice in body["choices"]] == ["a0", "a1", "b0", "b1"]
            assert body["usage"]["prompt_tokens"] == 2
            assert body["usage"]["completion_tokens"] == 8

    asyncio.run(scenario())


def test_several_prompts_streamed() -> None:
    async def scenario() -> None:
        async with serving(echoes) as server:
            response = await server.complete(
                prompt=["a", "b"], n=2, stream=True, stream_options={"include_usage": True}
            )
            *events, last = sse_events(response)
            texts = ["", "", "", ""]
            for event in events:
                (choice,) = event["choices"]
                texts[choice["index"]] += choice["text"]
            assert texts == ["a0", "a1", "b0", "b1"]
            assert last["usage"]["total_tokens"] == 10

    asyncio.run(scenario())


def test_logprobs() -> None:
    async def scenario() -> None:
        async with serving(says("ab", "é", "c", logprobs=True)) as server:
            logprobs = (await server.complete(logprobs=1)).json()["choices"][0]["logprobs"]
            assert logprobs["tokens"] == ["ab", "é", "c"]
            assert logprobs["text_offset"] == [0, 2, 3]
            assert logprobs["token_logprobs"] == [-0.5] * 3
            assert logprobs["top_logprobs"][0] == {"ab": -0.5, "bytes:\\xff": -9999.0}
            assert logprobs["forced"] == [True] * 3
            events = sse_events(await server.complete(logprobs=1, stream=True))
            offsets = [event["choices"][0]["logprobs"]["text_offset"] for event in events]
            assert offsets == [[0], [2], [3]]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [259]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [[1.0]]}, "prompt"),
        ({"prompt": [{}]}, "prompt"),
        ({"prompt": ["a"] * 17}, "prompt"),
        ({"prompt": ["a"] * 4, "n": 5}, "n"),
        ({"prompt": "x" * 1000}, "prompt"),
        ({"max_tokens": 999}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"echo": True}, "echo"),
        ({"suffix": "s"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"messages": []}, "messages"),
        ({"tools": []}, "tools"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.complete(**fields)
            assert response.status_code == 400
            assert error_of(response)["param"] == param
            assert not server.engine.requests

    asyncio.run(scenario())


def test_neutral_values_pass() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.complete(echo=False, best_of=1, suffix=None, user="u")
            assert response.status_code == 200

    asyncio.run(scenario())
