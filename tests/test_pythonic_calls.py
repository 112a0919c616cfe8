"""Calls in Python's notation: what Python and vLLM's parser read of them, reading them back, requests."""

from __future__ import annotations

import ast
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
from server_fakes import error_of, says, serving, sse_events
from toy import JSON_TOKENS, accepts, byte_vocabulary, sample

from syntagma.grammar import (
    GrammarCompiler,
    GrammarError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.server.pythonic_format import PYTHONIC
from syntagma.server.pythonic_text import PythonicTextReader
from syntagma.server.template_format import format_of_template
from syntagma.server.tool_formats import CallableFunction

TREE = {
    "type": "object",
    "properties": {"more": {"$ref": "#/$defs/tree"}, "leaf": {"type": "boolean"}},
    "required": ["leaf"],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "plan": {
        "type": "object",
        "description": "Plans.",
        "properties": {
            "days": {"type": "integer", "minimum": -3, "maximum": 40},
            "city": {"type": ["string", "null"], "maxLength": 8},
            "tree": {"$ref": "#/$defs/tree"},
            "kind": {"enum": ["x", None, True, 3, {"k": [False, 'é"\n\\']}]},
            "rate": {"type": "number"},
        },
        "required": ["days", "kind"],
        "$defs": {"tree": TREE},
    },
    "search": {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "items": {"enum": ["(", ")]", '", ', "N"]}, "maxItems": 3},
            "when": {"type": "string", "format": "date"},
        },
        "additionalProperties": False,
    },
    "ping": {"type": "object"},
}
FUNCTIONS = [
    CallableFunction(name, {"type": "json_schema", "json_schema": schema})
    for name, schema in SCHEMAS.items()
]
Call = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    tokens = [b"[plan(", b"[search(", b"), ", b"=", b"days=", b"True", b'="', b", kind=", b")]"]
    return GrammarCompiler(byte_vocabulary([*JSON_TOKENS, *tokens]))


def read(pieces: Iterable[str], names: Iterable[str] = SCHEMAS) -> tuple[str, list[Call]]:
    """Text and calls that our reader finds."""
    text, calls = gathered(PythonicTextReader(PYTHONIC, list(names)), pieces)
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


def read_by_python(text: str) -> list[Call]:
    """The calls of a list, as `ast` and `ast.literal_eval` read them."""
    found = ast.parse(text, mode="eval").body
    assert isinstance(found, ast.List)
    calls = []
    for call in found.elts:
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
        arguments = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        calls.append((call.func.id, arguments))
    return calls


def drawn(compiler: GrammarCompiler, count: int) -> list[str]:
    """Lists of calls, drawn through the masks."""
    tag, _ = PYTHONIC.tag(FUNCTIONS, is_forced=True, may_repeat=True)
    grammar = compiler.compile_structural_tag(tag)
    found = (sample(grammar, random.Random(seed)) for seed in range(count))
    return [text.decode() for text in found if text is not None]


def test_what_the_masks_allow_is_read_alike_and_valid(compiler: GrammarCompiler) -> None:
    texts = drawn(compiler, 400)
    assert len(texts) > 300
    names = set()
    for text in texts:
        calls = read_by_python(text)
        assert calls
        assert read([text]) == read(text) == ("", calls)
        for name, arguments in calls:
            names.add(name)
            validate(arguments, SCHEMAS[name])
    assert names == SCHEMAS.keys()


def test_vllm_reads_the_same(compiler: GrammarCompiler) -> None:
    """A parser of other people, with an expression of its own for what a call is."""
    parsers = pytest.importorskip(
        "vllm.tool_parsers.pythonic_tool_parser", reason="vLLM is not installed"
    )

    class Tokenizer:
        def get_vocab(self) -> dict[str, int]:
            return {}

    parser = parsers.PythonicToolParser(Tokenizer())
    for text in drawn(compiler, 100):
        found = parser.extract_tool_calls(text, request=None)
        assert found.tools_called, text
        calls = [
            (call.function.name, json.loads(call.function.arguments)) for call in found.tool_calls
        ]
        assert calls == read_by_python(text)


WRITTEN: list[tuple[str, list[Call]]] = [
    ("[ping()]", [("ping", {})]),
    ("[plan(days=1, kind=None), ping()]", [("plan", {"days": 1, "kind": None}), ("ping", {})]),
    ('[search(text="a)], \\"[ping()]")]', [("search", {"text": 'a)], "[ping()]'})]),
    (
        '[plan(days=-3, city="TrueNone", tree={"more": {"leaf": False}, "leaf": True}, kind="x")]',
        [
            (
                "plan",
                {
                    "days": -3,
                    "city": "TrueNone",
                    "tree": {"more": {"leaf": False}, "leaf": True},
                    "kind": "x",
                },
            )
        ],
    ),
    ('[search(tags=["(", ")]", "N"])]', [("search", {"tags": ["(", ")]", "N"]})]),
]


@pytest.mark.parametrize(("text", "calls"), WRITTEN)
@pytest.mark.parametrize("is_forced", [False, True])
@pytest.mark.parametrize("may_repeat", [False, True])
def test_tags(
    compiler: GrammarCompiler, text: str, calls: list[Call], is_forced: bool, may_repeat: bool
) -> None:
    assert read_by_python(text) == calls
    tag, pointers = PYTHONIC.tag(FUNCTIONS, is_forced=is_forced, may_repeat=may_repeat)
    for pointer, function in zip(pointers, FUNCTIONS, strict=True):
        place: Any = tag
        for step in pointer.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        assert place == {**function.arguments, "style": "pythonic"}
    grammar = compiler.compile_structural_tag(tag)
    assert accepts(grammar, text) == (may_repeat or len(calls) == 1)
    assert accepts(grammar, "") != is_forced
    assert accepts(grammar, "see [1] and [pin(") != is_forced
    assert accepts(grammar, "see [1]: [" + text) == (
        not is_forced and (may_repeat or len(calls) == 1)
    )
    assert not accepts(grammar, text[:-1])
    assert not accepts(grammar, text + " done")
    assert not accepts(grammar, text.replace("(", "(other=1", 1))


contents = st.text("a [p(;\n", max_size=6)


@settings(deadline=None, max_examples=150)
@given(contents, st.sampled_from(WRITTEN))
def test_reading_back_at_every_cut(before: str, written: tuple[str, list[Call]]) -> None:
    text, calls = before + written[0], written[1]
    expected = (before if before.strip(" \n,") else ""), calls
    assert read([text]) == expected
    assert read(text) == expected
    for cut in range(len(text)):
        assert read([text[:cut], text[cut:]]) == expected


def test_text_without_calls_is_left_alone() -> None:
    for text in ("", " ", "\n\nhi \n", "[", "[1]", "[pin", "[ping", "[[ping", "[other()]", "a[b]c"):
        assert read([text]) == read(text) == (text, [])


def arguments_of(schema: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": schema, "style": "pythonic"}
    return {"type": "structural_tag", "format": form}


@pytest.mark.parametrize(
    ("schema", "kind", "pointer"),
    [
        ({"type": "array"}, GrammarError, "/type"),
        ({"properties": {"a-b": {}}}, UnsupportedGrammarError, "/properties/a-b"),
        ({"properties": {"a": {}}, "anyOf": [{}]}, UnsupportedGrammarError, "/anyOf"),
        ({"properties": {"a": {"$ref": "#"}}}, UnsupportedGrammarError, ""),
        ({"required": ["a"]}, UnsupportedGrammarError, "/required/0"),
        ({"required": 1}, GrammarError, "/required"),
        ({"properties": []}, GrammarError, "/properties"),
        (
            {
                "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}},
                "required": ["a"],
            },
            UnsatisfiableGrammarError,
            "/properties/a",
        ),
        ({"properties": {"a": {"type": "word"}}}, GrammarError, "/properties/a"),
        (
            {"properties": {"a": {"type": "array", "uniqueItems": True, "items": {}}}},
            UnsupportedGrammarError,
            "/properties/a",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(
    compiler: GrammarCompiler, schema: Any, kind: type[GrammarError], pointer: str
) -> None:
    with pytest.raises(kind) as caught:
        compiler.compile_structural_tag(arguments_of(schema))
    assert (caught.value.pointer or "").startswith("/format/json_schema" + pointer)


def test_arguments_without_values_are_left_out(compiler: GrammarCompiler) -> None:
    schema = {"properties": {"a": False, "b": True, "c": {"const": 1}}}
    grammar = compiler.compile_structural_tag(arguments_of(schema))
    for text in ("", "b=1", "c=1", "b=[None], c=1"):
        assert accepts(grammar, text)
    for text in ("a=1", "c=1, b=1", "b=1,c=1", ", c=1", "b=null", "b=true"):
        assert not accepts(grammar, text)


def test_templates() -> None:
    sentence = "put it in the format of [func_name1(params_name1=params_value1, ...)]"
    assert format_of_template(sentence) is PYTHONIC
    assert format_of_template("<|python_tag|> " + sentence) is PYTHONIC


TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "plan", "parameters": {"properties": {"days": {}}}}},
    {"type": "custom", "custom": {"name": "note"}},
]


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_requests(choice: str) -> None:
    async def run() -> None:
        talk = ["Well", " [", "pl", "an(days=", "Tr", "ue", "), no", 'te(input="a\\n', 'b")', "]"]
        said = talk if choice == "auto" else ["[", *talk[2:]]
        async with serving(says(*said), tool_call_parser="pythonic") as server:
            response = await server.chat(tools=TOOLS, tool_choice=choice)
            answer = response.json()["choices"][0]
            assert answer["finish_reason"] == "tool_calls"
            assert answer["message"]["content"] == ("Well " if choice == "auto" else None)
            function, custom = answer["message"]["tool_calls"]
            assert function["function"]["name"] == "plan"
            assert json.loads(function["function"]["arguments"]) == {"days": True}
            assert custom["custom"] == {"name": "note", "input": "a\nb"}
            streamed = await server.chat(tools=TOOLS, tool_choice=choice, stream=True)
            pieces: dict[int, str] = {}
            for event in sse_events(streamed):
                for entry in event.get("choices", []):
                    for call in entry["delta"].get("tool_calls", []):
                        body = call.get("function") or call["custom"]
                        more = body.get("arguments", body.get("input", ""))
                        pieces[call["index"]] = pieces.get(call["index"], "") + more
            assert json.loads(pieces[0]) == {"days": True}
            assert pieces[1] == "a\nb"

    asyncio.run(run())


def test_names_that_python_cannot_read() -> None:
    async def run() -> None:
        async with serving(says("x"), tool_call_parser="pythonic") as server:
            tool = {"type": "function", "function": {"name": "a-b", "parameters": {}}}
            response = await server.chat(tools=[tool])
            assert response.status_code == 400
            assert "identifier" in error_of(response)["message"]

    asyncio.run(run())
