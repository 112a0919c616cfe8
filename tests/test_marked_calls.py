"""Calls between marks (DeepSeek, Kimi): what vLLM's parsers read of them, reading back, special tokens, requests."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from call_events import gathered
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import validate
from server_fakes import says, serving
from toy import JSON_TOKENS, accepts, byte_vocabulary, sample
from vllm_parsers import read_by_vllm

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler, Vocabulary
from syntagma.server.call_format import CallableFunction
from syntagma.server.marked_formats import (
    DEEPSEEK_V3,
    DEEPSEEK_V31,
    KIMI_K2,
    MARKED_FORMATS,
    MarkedFormat,
)

FORMS = list(MARKED_FORMATS.values())
by_form = pytest.mark.parametrize("form", FORMS, ids=list(MARKED_FORMATS))
COMPILER = GrammarCompiler(byte_vocabulary([*JSON_TOKENS, b"\n", b"```", b"\n```"]))

SCHEMAS: dict[str, dict[str, Any]] = {
    "plan": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 6},
            "days": {"type": "integer", "minimum": -3, "maximum": 40},
            "deep": {"type": "object", "properties": {"t": {"type": "boolean"}}, "maxProperties": 2},
            "tags": {"type": "array", "items": {"enum": ["}", '"', "```", "\n", None]}, "maxItems": 3},
        },
        "required": ["city", "deep"],
    },
    "ping-2": {"type": "object", "maxProperties": 0},
}  # fmt: skip
FUNCTIONS = [
    CallableFunction(name, {"type": "json_schema", "json_schema": schema})
    for name, schema in SCHEMAS.items()
]
Call = tuple[str, Any]


def read(form: MarkedFormat, pieces: Iterable[str]) -> tuple[str, list[Call]]:
    """Text and calls that our reader finds."""
    text, calls = gathered(form.reader(FUNCTIONS), pieces)
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


def written(form: MarkedFormat, calls: list[Call]) -> str:
    """Calls as the chat templates of such models write them."""
    parts = [
        {
            "deepseek_v3": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{0}\n```json\n{1}\n```<｜tool▁call▁end｜>",
            "deepseek_v31": "<｜tool▁call▁begin｜>{0}<｜tool▁sep｜>{1}<｜tool▁call▁end｜>",
            "kimi_k2": "<|tool_call_begin|>functions.{0}:{2}<|tool_call_argument_begin|>{1}<|tool_call_end|>",
        }[form.name].format(name, json.dumps(arguments), number)
        for number, (name, arguments) in enumerate(calls)
    ]
    if form is KIMI_K2:
        return f"<|tool_calls_section_begin|>{''.join(parts)}<|tool_calls_section_end|>"
    gap = "\n" if form is DEEPSEEK_V3 else ""
    return f"<｜tool▁calls▁begin｜>{gap.join(parts)}<｜tool▁calls▁end｜>"


CALLS: list[Call] = [
    ("plan", {"city": "}", "deep": {"t": True}, "tags": ['"', "```"]}),
    ("ping-2", {}),
]


@by_form
@pytest.mark.parametrize("is_forced", [False, True])
@pytest.mark.parametrize("may_repeat", [False, True])
def test_tags(form: MarkedFormat, is_forced: bool, may_repeat: bool) -> None:
    tag, pointers = form.tag(FUNCTIONS, is_forced=is_forced, may_repeat=may_repeat)
    for pointer, function in zip(pointers, FUNCTIONS, strict=True):
        place: Any = tag
        for step in pointer.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        assert place["json_schema"] is function.arguments["json_schema"]
    grammar = COMPILER.compile_structural_tag(tag)
    one, two = written(form, CALLS[:1]), written(form, CALLS)
    assert accepts(grammar, one)
    assert accepts(grammar, two) == may_repeat
    assert accepts(grammar, "see: " + one) != is_forced
    assert accepts(grammar, "") != is_forced
    assert not accepts(grammar, one + " so")
    assert not accepts(grammar, one[:-1])
    assert not accepts(grammar, written(form, [("ping", {})]))
    assert not accepts(grammar, written(form, [("plan", {"city": "x"})]))
    # Where the usual reader of calls takes one line, arguments have no line breaks.
    broken = one.replace('{"city"', '{\n"city"')
    assert accepts(grammar, broken) == (form is KIMI_K2)


def test_the_layout_of_one_line() -> None:
    tag, _ = DEEPSEEK_V31.tag(FUNCTIONS[1:], is_forced=True, may_repeat=False)
    grammar = COMPILER.compile_structural_tag(tag, whitespace="pretty")
    assert accepts(grammar, written(DEEPSEEK_V31, [("ping-2", {})]))


@by_form
def test_what_the_masks_allow_is_read_alike_and_valid(form: MarkedFormat) -> None:
    tag, _ = form.tag(FUNCTIONS, is_forced=True, may_repeat=True)
    grammar = COMPILER.compile_structural_tag(tag)
    found = (sample(grammar, random.Random(seed), max_tokens=800) for seed in range(60))
    texts = [text.decode() for text in found if text is not None]
    assert len(texts) > 30
    names = set()
    for text in texts:
        calls = read(form, [text])
        assert calls[0] == "" and read(form, text) == calls
        for name, arguments in calls[1]:
            names.add(name)
            validate(arguments, SCHEMAS[name])
    assert names == SCHEMAS.keys()
    for text in texts:
        assert read_by_vllm(form.name, SCHEMAS, text) == read(form, [text])


contents = st.text("a <｜|{\n", max_size=6)


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(FORMS), contents, st.lists(st.sampled_from(CALLS), min_size=1, max_size=3))
def test_reading_back_at_every_cut(form: MarkedFormat, before: str, calls: list[Call]) -> None:
    text = before + written(form, calls)
    expected = (before if before.strip() else "", calls)
    assert read(form, text) == expected
    for cut in range(len(text)):
        assert read(form, [text[:cut], text[cut:]]) == expected


@by_form
def test_text_without_calls_is_left_alone(form: MarkedFormat) -> None:
    for text in ("", " ", "\nhi \n", form.trigger[:-1], "{}", form.closing):
        assert read(form, [text]) == read(form, text) == (text, [])


@by_form
def test_marks_that_are_special_tokens(form: MarkedFormat) -> None:
    """The tokens stand for the marks, and the model cannot type their text where it matters."""
    marks = [part for part in _split(form, written(form, CALLS)) if part.startswith("<")]
    names = list(dict.fromkeys(marks))
    texts = [bytes([byte]) for byte in range(256)] + [b""] * len(names) + [b"</s>"]
    special = {name: 256 + number for number, name in enumerate(names)}
    stop_id = len(texts) - 1
    vocabulary = Vocabulary(
        texts, stop_ids=[stop_id], special_ids=list(special.values()), special_names=special
    )
    found = form.in_vocabulary(vocabulary.special_names)
    assert found.special == set(names)
    compiler = GrammarCompiler(vocabulary)

    def tokens(text: str) -> list[int]:
        return [
            token_id
            for part in _split(form, text)
            for token_id in ([special[part]] if part in special else part.encode())
        ]

    for is_forced in (False, True):
        tag, _ = found.tag(FUNCTIONS, is_forced=is_forced, may_repeat=True)
        grammar = compiler.compile_structural_tag(tag)
        assert Matcher(grammar).accept_tokens([*tokens(written(form, CALLS)), stop_id])
        assert not Matcher(grammar).accept_tokens([*form.trigger.encode()])
    text = b"".join(map(vocabulary.output_bytes, tokens("hi " + written(form, CALLS)))).decode()
    assert read(found, [text]) == ("hi ", CALLS)


def _split(form: MarkedFormat, text: str) -> list[str]:
    """A text at its marks."""
    marks = [form.trigger, form.closing, *_marks_of(form.head), *_marks_of(form.tail)]
    for mark in marks:
        text = text.replace(mark, f"\0{mark}\0")
    return [part for part in text.split("\0") if part]


def _marks_of(text: str) -> list[str]:
    pieces = text.replace("<", "\0<").replace(">", ">\0").split("\0")
    return [piece for piece in pieces if piece.startswith("<")]


@by_form
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_requests(form: MarkedFormat, choice: str) -> None:
    said = written(form, [("plan", CALLS[0][1]), ("note", {"input": "a\nb"})])
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": "plan", "parameters": SCHEMAS["plan"]}},
        {"type": "custom", "custom": {"name": "note"}},
    ]

    async def run() -> None:
        text = ("Well " if choice == "auto" else "") + said
        async with serving(says(*text), tool_call_parser=form.name) as server:
            response = await server.chat(tools=tools, tool_choice=choice)
            answer = response.json()["choices"][0]
            assert answer["finish_reason"] == "tool_calls"
            assert answer["message"]["content"] == ("Well " if choice == "auto" else None)
            function, custom = answer["message"]["tool_calls"]
            assert json.loads(function["function"]["arguments"]) == CALLS[0][1]
            assert custom["custom"] == {"name": "note", "input": "a\nb"}
            if form is KIMI_K2:
                # Its template tells results by the ids that the model gave.
                assert (function["id"], custom["id"]) == ("functions.plan:0", "functions.note:1")
            else:
                assert function["id"].startswith("call_")

    asyncio.run(run())
