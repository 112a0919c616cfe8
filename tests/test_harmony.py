"""Answers in channels (gpt-oss): what OpenAI's parser reads of them, reading back, special tokens, requests."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from harmony_judge import read_by_openai
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from server_fakes import error_of, says, serving, sse_events
from toy import JSON_TOKENS, accepts, byte_vocabulary, sample_ids

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler, Vocabulary
from syntagma.server.call_format import CallableFunction
from syntagma.server.call_text import Arguments, CallBegins, Event, Reasoning, Text
from syntagma.server.harmony_format import FINAL, HARMONY, MARKS
from syntagma.server.harmony_text import HarmonyTextReader
from syntagma.server.template_format import format_of_template

Call = tuple[str, Any]
Answer = tuple[str, str, list[Call]]

SCHEMAS: dict[str, dict[str, Any]] = {
    "plan": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 6},
            "days": {"type": "integer", "minimum": -3, "maximum": 40},
            "tags": {"type": "array", "items": {"enum": ["}", "<|end|>", None]}, "maxItems": 3},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
    "plan-2": {"type": "object", "properties": {}, "additionalProperties": False},
}
EXTRA = [
    *JSON_TOKENS,
    b"analysis",
    b"commentary",
    b" to=functions.",
    b"final",
    b"json",
    b" plan",
    b"<|end",
]
TEXTS = [bytes([byte]) for byte in range(256)] + EXTRA
SPECIAL = {mark: len(TEXTS) + number for number, mark in enumerate(MARKS)}
STOP_ID = len(TEXTS) + len(MARKS)
VOCABULARY = Vocabulary(
    [*TEXTS, *(b"" for _ in MARKS), b""],
    stop_ids=[STOP_ID],
    special_ids=list(SPECIAL.values()),
    special_names=SPECIAL,
)
COMPILER = GrammarCompiler(VOCABULARY)
FORM = HARMONY.in_vocabulary(VOCABULARY.special_names)


def functions_of(schemas: dict[str, dict[str, Any]]) -> list[CallableFunction]:
    return [
        CallableFunction(name, {"type": "json_schema", "json_schema": schema})
        for name, schema in schemas.items()
    ]


def tokens(text: str) -> list[int]:
    """Marks as their tokens, all else as bytes."""
    pieces = re.split(f"({'|'.join(map(re.escape, MARKS))})", text)
    return [
        i for piece in pieces for i in ([SPECIAL[piece]] if piece in SPECIAL else piece.encode())
    ]


def pieces_of(token_ids: list[int]) -> list[str]:
    """The special tokens of an output, and the text between them."""
    names = {token_id: mark for mark, token_id in SPECIAL.items()}
    found: list[bytes] = [b""]
    for token_id in token_ids:
        if token_id in names:
            found += [names[token_id].encode(), b""]
        else:
            found[-1] += VOCABULARY.tokens[token_id]
    return [piece.decode(errors="replace") for piece in found]


def read(pieces: Iterable[str]) -> Answer:
    """Reasoning, text and calls that our reader finds."""
    reader = HarmonyTextReader()
    events: list[Event] = [event for piece in pieces for event in reader.feed(piece)]
    told = {Reasoning: "", Text: "", Arguments: ""}
    names = []
    for event in events + reader.finish():
        if isinstance(event, CallBegins):
            names.append(event.name)
        else:
            told[type(event)] += event.text
    assert len(names) <= 1
    calls = [(name, json.loads(told[Arguments])) for name in names]
    return told[Reasoning], told[Text], calls


def message(channel: str, text: str) -> str:
    return f"<|channel|>{channel}<|message|>{text}"


def then(*messages: str) -> str:
    return "<|end|><|start|>assistant".join(messages)


CALL = '<|channel|>commentary to=functions.plan <|constrain|>json<|message|>{"city": "P"}'
# As chat templates write it.
PAST_CALL = " to=functions.plan-2<|channel|>commentary json<|message|>{}"
THOUGHT, PREAMBLE = message("analysis", "We\nmust."), message("commentary", "I look.")
ANSWERS: dict[str, Answer] = {
    message("final", "Yes"): ("", "Yes", []),
    message("final", ""): ("", "", []),
    then(THOUGHT, message("final", "<b>")): ("We\nmust.", "<b>", []),
    then(THOUGHT, PREAMBLE, message("final", "So.")): ("We\nmust.", "I look.\nSo.", []),
    then(THOUGHT, THOUGHT, CALL): ("We\nmust.\nWe\nmust.", "", [("plan", {"city": "P"})]),
    then(PREAMBLE, THOUGHT, PAST_CALL): ("We\nmust.", "I look.", [("plan-2", {})]),
    CALL: ("", "", [("plan", {"city": "P"})]),
}  # fmt: skip


@pytest.mark.parametrize("is_special", [False, True])
@pytest.mark.parametrize("is_forced", [False, True])
def test_tags(is_forced: bool, is_special: bool) -> None:
    form, compiler = FORM, COMPILER
    if not is_special:
        form, compiler = HARMONY, GrammarCompiler(byte_vocabulary())
        assert HARMONY.in_vocabulary({}) == HARMONY
    tag, pointers = form.tag(functions_of(SCHEMAS), is_forced=is_forced, may_repeat=True)
    for pointer, schema in zip(pointers, SCHEMAS.values(), strict=True):
        place: Any = tag
        for step in pointer.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        assert place["json_schema"] is schema
    grammar = compiler.compile_structural_tag(tag)

    def is_taken(text: str) -> bool:
        if not is_special:
            return accepts(grammar, text)
        return Matcher(grammar).accept_tokens([*tokens(text), STOP_ID])

    for text, (_, content, calls) in ANSWERS.items():
        assert is_taken(text) == (not is_forced or (bool(calls) and not content)), text
        assert not is_taken(text + "<|call|>x") or not calls
    for text in ("", "Yes", '{"city": "P"}', THOUGHT, then(CALL, CALL), then(message("final", "a"), CALL) * is_special,
                 CALL.replace("plan", "plan-3"), CALL.replace('"P"', "1"), message("other", "a")):  # fmt: skip
        assert not is_taken(text), text


def test_the_text_of_a_mark_is_not_written_where_it_would_end_a_message() -> None:
    tag, _ = FORM.tag([], is_forced=False, may_repeat=False)
    grammar = COMPILER.compile_structural_tag(tag)
    matcher = Matcher(grammar)
    assert matcher.accept_tokens([*tokens(message("analysis", "a")), *b"<|end|"])
    assert not matcher.accept_tokens([*b">"])
    # Nothing can end the last one.
    assert Matcher(grammar).accept_tokens([*tokens(FINAL), *b"<|end|><|start|>", STOP_ID])


def random_schema(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    kinds = ["string", "integer", "boolean", "enum", "union"] + ["array", "object"] * (depth > 0)
    match rng.choice(kinds):
        case "string":
            return {"type": "string", "maxLength": rng.randrange(6)}
        case "integer":
            return {"type": "integer", "minimum": -9, "maximum": rng.randrange(99)}
        case "boolean":
            return {"type": "boolean"}
        case "enum":
            return {"enum": rng.sample(["<|call|>", "}", "a\n", 1, None, "<|end|>"], 2)}
        case "union":
            return {"type": ["null", "integer"], "minimum": 0, "maximum": 5}
        case "array":
            return {"type": "array", "items": random_schema(rng, depth - 1), "maxItems": 2}
    return random_object(rng, depth - 1)


def random_object(rng: random.Random, depth: int) -> dict[str, Any]:
    names = rng.sample(["a", "to", "b c", "<|message|>", "é"], rng.randrange(4))
    properties = {name: random_schema(rng, depth) for name in names}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in names if rng.random() < 0.5],
        "additionalProperties": False,
    }


Schemas = dict[str, dict[str, Any]]


@functools.cache
def drawn(is_forced: bool) -> list[tuple[Schemas, list[str]]]:
    """Answers of random masks, in pieces, with the schemas of their tools."""
    found = []
    for seed in range(20):
        rng = random.Random(seed)
        names = ("f", "f2", "final")[: rng.randint(1, 3)]
        schemas = {name: random_object(rng, 2) for name in names}
        tag, _ = FORM.tag(functions_of(schemas), is_forced=is_forced, may_repeat=True)
        grammar = COMPILER.compile_structural_tag(tag)
        walks = (sample_ids(grammar, rng, max_tokens=500) for _ in range(6))
        # Bytes that are no text cannot be compared as text.
        pieces = [pieces_of(walk) for walk in walks if walk]
        found += [(schemas, given) for given in pieces if "\ufffd" not in "".join(given)]
    return found


@pytest.mark.parametrize("is_forced", [False, True])
def test_what_the_masks_allow_is_valid(is_forced: bool) -> None:
    answers = []
    for schemas, pieces in drawn(is_forced):
        _, content, calls = answer = read(["".join(pieces)])
        assert read("".join(pieces)) == answer
        for name, arguments in calls:
            Draft202012Validator(schemas[name]).validate(arguments)
        assert not is_forced or (calls and not content)
        answers.append(answer)
    assert len(answers) > 60
    assert any(reasoning for reasoning, _, _ in answers)
    assert sum(bool(calls) for _, _, calls in answers) > 10


@pytest.mark.parametrize("is_forced", [False, True])
def test_openai_reads_the_same(is_forced: bool) -> None:
    for _, pieces in drawn(is_forced):
        assert read(["".join(pieces)]) == read_by_openai(pieces)
    for text, answer in ANSWERS.items():
        assert read_by_openai(pieces_of(tokens(text))) == answer


contents = st.text("a <|en\n", max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(list(ANSWERS)), contents)
def test_reading_back_at_every_cut(text: str, thought: str) -> None:
    reasoning, content, calls = ANSWERS[text]
    text = then(message("analysis", thought), text)
    expected = ("\n".join(filter(None, [thought, reasoning])), content, calls)
    assert read([text]) == read(text) == expected
    for cut in range(len(text)):
        assert read([text[:cut], text[cut:]]) == expected


TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "plan", "parameters": SCHEMAS["plan"]}},
    {"type": "custom", "custom": {"name": "note"}},
]


def test_requests() -> None:
    said = then(THOUGHT, PREAMBLE, CALL)

    async def run() -> None:
        async with serving(says(*said), tool_call_parser="harmony") as server:
            answer = (await server.chat(tools=TOOLS)).json()["choices"][0]
            assert answer["finish_reason"] == "tool_calls"
            assert answer["message"]["reasoning"] == "We\nmust."
            assert answer["message"]["content"] == "I look."
            (call,) = answer["message"]["tool_calls"]
            assert call["function"] == {"name": "plan", "arguments": '{"city": "P"}'}
            told = {"reasoning": "", "content": "", "arguments": ""}
            for event in sse_events(await server.chat(tools=TOOLS, stream=True)):
                for entry in event.get("choices", []):
                    delta = entry["delta"]
                    for key in ("reasoning", "content"):
                        told[key] += delta.get(key) or ""
                    for call in delta.get("tool_calls", []):
                        told["arguments"] += call["function"]["arguments"]
            assert told == {
                "reasoning": "We\nmust.",
                "content": "I look.",
                "arguments": '{"city": "P"}',
            }

    asyncio.run(run())


def test_a_custom_tool_and_a_cut_call() -> None:
    call = CALL.replace("plan", "note").replace('{"city": "P"}', '{"input": "a\\nb')

    async def run() -> None:
        script = says(*then(THOUGHT, call), finish_reason="length")
        async with serving(script, tool_call_parser="harmony") as server:
            answer = (await server.chat(tools=TOOLS, tool_choice="required")).json()["choices"][0]
            assert answer["finish_reason"] == "length"
            assert answer["message"]["content"] is None
            (found,) = answer["message"]["tool_calls"]
            assert found["custom"] == {"name": "note", "input": "a\nb"}

    asyncio.run(run())


def test_answers_without_tools_are_in_channels_too() -> None:
    async def run() -> None:
        text = then(THOUGHT, message("final", "Yes"))
        async with serving(says(*text), tool_call_parser="harmony") as server:
            for fields in ({}, {"tools": TOOLS, "tool_choice": "none"}):
                whole = (await server.chat(**fields)).json()
                assert "syntagma" not in whole
                answer = whole["choices"][0]
                assert answer["finish_reason"] == "stop"
                assert answer["message"] == {
                    "role": "assistant",
                    "content": "Yes",
                    "reasoning": "We\nmust.",
                    "refusal": None,
                }
            (kind, tag, _) = server.compiler.calls[-1]
            assert kind == "structural_tag"
            assert tag == HARMONY.tag([], is_forced=False, may_repeat=False)[0]
            assert server.engine.prompts[-1].endswith("<|assistant|>")

    asyncio.run(run())


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object"}, "tools": TOOLS},
        {"structured_outputs": {"regex": "a+"}},
        {"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "note"}}},
        {"stop": "b"},
        {"ignore_eos": True},
    ],
)
def test_other_outputs_begin_in_the_final_channel(fields: dict[str, Any]) -> None:
    async def run() -> None:
        async with serving(says("{", "}"), tool_call_parser="harmony") as server:
            response = await server.chat(**fields)
            assert response.status_code == 200, response.text
            message = response.json()["choices"][0]["message"]
            if message["content"] is None:
                assert message["tool_calls"][0]["custom"]["input"] == "{}"
            else:
                assert message["content"] == "{}"
            assert server.engine.prompts[-1].endswith("<|assistant|><|channel|>final<|message|>")
            kinds = [kind for kind, _, _ in server.compiler.calls]
            assert "structural_tag" not in kinds

    asyncio.run(run())


def test_stop_beside_tools_is_refused() -> None:
    async def run() -> None:
        async with serving(says("x"), tool_call_parser="harmony") as server:
            response = await server.chat(tools=TOOLS, stop="b")
            assert response.status_code == 400
            assert error_of(response)["param"] == "stop"

    asyncio.run(run())


def test_the_template_tells() -> None:
    template = (
        "{{- '<|start|>assistant to=functions.' ~ name ~ '<|channel|>commentary json<|message|>' }}"
    )
    assert format_of_template(template) is HARMONY
