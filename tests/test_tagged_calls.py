"""Calls between tags: what vLLM's parsers read of them, what can be written, reading back, requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from call_events import gathered
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, validate
from server_fakes import error_of, says, serving, sse_events
from toy import JSON_TOKENS, accepts, byte_vocabulary, sample
from vllm_parsers import read_by_vllm

from syntagma.grammar import (
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.value_types import spelled_type, value_types
from syntagma.server.call_format import CallableFunction
from syntagma.server.tagged_formats import GLM45, GLM47, QWEN3_CODER, TaggedFormat

FORMS = (QWEN3_CODER, GLM45, GLM47)
by_form = pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
# vLLM has one parser for both of GLM's.
VLLM_NAMES = {"qwen3_coder": "qwen3_coder", "glm45": "glm45", "glm47": "glm47"}
TOKENS = [b"<parameter=", b"</parameter>\n", b"</par", b"<tool_call>", b"</tool_call>", b"<arg_key>",
          b"</arg_value>", b"</", b"null", b"\n", b"<function=", b"</function>"]  # fmt: skip
COMPILER = GrammarCompiler(byte_vocabulary([*JSON_TOKENS, *TOKENS]))

Call = tuple[str, Any]
SCHEMAS: dict[str, dict[str, Any]] = {
    "plan": {
        "type": "object",
        "description": "Plans.",
        "properties": {
            "city": {"type": "string", "maxLength": 6},
            "note": {"type": "string"},
            "days": {"type": "integer", "minimum": -3, "maximum": 40},
            "kind": {"enum": ["x", None, True, 3]},
            "maybe": {"type": ["string", "null"], "maxLength": 5},
            "deep": {
                "type": "object",
                "properties": {"s": {"enum": ["</parameter>", "</arg_value>", "<b>"]}, "t": {}},
                "required": ["s"],
            },
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
            "letters": {"type": "string", "pattern": "^[a-c</]{2,4}$"},
            "rate": {"type": "number"},
            "union": {"anyOf": [{"type": "string", "minLength": 2}, {"type": "array"}]},
        },
        "required": ["city", "days", "kind", "deep"],
    },
    "ping": {"type": "object"},
}


def functions_of(schemas: dict[str, Any]) -> list[CallableFunction]:
    return [
        CallableFunction(name, {"type": "json_schema", "json_schema": schema})
        for name, schema in schemas.items()
    ]


def read(
    form: TaggedFormat, pieces: Iterable[str], schemas: dict[str, Any] = SCHEMAS
) -> tuple[str, list[Call]]:
    """Text and calls that our reader finds."""
    text, calls = gathered(form.reader(functions_of(schemas)), pieces)
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


def written(form: TaggedFormat, name: str, arguments: dict[str, Any]) -> str:
    """A call as the chat templates of such models write it."""
    values = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in arguments.items()
    }
    if form is QWEN3_CODER:
        parts = [f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items()]
        return f"<tool_call>\n<function={name}>\n{''.join(parts)}</function>\n</tool_call>"
    gap = "\n" if form is GLM45 else ""
    parts = [
        f"<arg_key>{key}</arg_key>{gap}<arg_value>{value}</arg_value>{gap}"
        for key, value in values.items()
    ]
    return f"<tool_call>{name}{gap}{''.join(parts)}</tool_call>"


def drawn(
    form: TaggedFormat, schemas: dict[str, Any], seeds: Iterable[int], **policies: Any
) -> list[str]:
    """Answers of calls only, drawn through the masks."""
    tag, _ = form.tag(functions_of(schemas), is_forced=True, may_repeat=True)
    grammar = COMPILER.compile_structural_tag(tag, **policies)
    found = (sample(grammar, random.Random(seed), max_tokens=600) for seed in seeds)
    return [text.decode() for text in found if text is not None]


@by_form
def test_what_the_masks_allow_is_read_alike_and_valid(form: TaggedFormat) -> None:
    texts = drawn(form, SCHEMAS, range(100))
    assert len(texts) > 30
    names = set()
    for text in texts:
        content, calls = read(form, [text])
        assert content == "" and calls
        assert read(form, text) == ("", calls)
        for name, arguments in calls:
            names.add(name)
            validate(arguments, SCHEMAS[name])
    assert names == SCHEMAS.keys()


@by_form
def test_vllm_reads_the_same(form: TaggedFormat) -> None:
    for text in drawn(form, SCHEMAS, range(60)):
        assert read_by_vllm(VLLM_NAMES[form.name], SCHEMAS, text) == read(form, [text])


listed = st.lists(
    st.sampled_from(["a", "é<", "</b", "12a", "", 'q"\\', "null!", 3, 3.0, 2.5, -1, True, None]),
    min_size=1,
    max_size=3,
    unique_by=repr,
)
scalars = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 1, "maxLength": 2},
        {"type": "string", "pattern": "^[<a/]+$"},
        {"type": "string", "format": "date"},
        {"type": ["string", "null"], "maxLength": 6},
        {"type": ["string", "integer"], "maxLength": 3},
        {"type": ["string", "integer"], "enum": ["12a", 3.0, -1]},
        {"type": ["boolean", "string"], "maxLength": 5},
        {"type": ["string", "number", "null"], "pattern": "^[0-9.eE+-]{1,4}$"},
        {"type": "integer", "minimum": -20, "maximum": 200},
        {"type": "number"},
        {"type": "boolean"},
        {"type": ["null", "boolean"]},
    ]
)
values = st.recursive(
    scalars | listed.map(lambda items: {"enum": items}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 2})
        | inner.map(
            lambda value: {
                "type": "object",
                "properties": {"k<": value},
                "required": ["k<"],
                "additionalProperties": False,
            }
        )
        | st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"anyOf": parts})
    ),
    max_leaves=3,
)
parameters = st.dictionaries(st.sampled_from(["a", "bb", "c-d", "é f"]), values, max_size=3)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(FORMS), parameters, st.randoms(use_true_random=False))
def test_random_parameters(form: TaggedFormat, properties: dict[str, Any], rng: Any) -> None:
    """Whatever walks through the masks of random schemas write is valid, and vLLM reads the same."""
    required = [name for name in properties if rng.random() < 0.5]
    schema = {"type": "object", "properties": properties, "required": required}
    schemas = {"f": {**schema, "additionalProperties": False}}
    try:
        seeds = [rng.randrange(1 << 30) for _ in range(3)]
        texts = drawn(form, schemas, seeds, numbers=rng.choice(["canonical", "any"]))
    except (UnsupportedGrammarError, UnsatisfiableGrammarError):
        assume(False)
    for text in texts:
        calls = read(form, [text], schemas)
        cut = rng.randrange(len(text) + 1)
        assert read(form, [text[:cut], text[cut:]], schemas) == calls
        for _, arguments in calls[1]:
            validate(arguments, schemas["f"])
        assert read_by_vllm(VLLM_NAMES[form.name], schemas, text) == calls


def is_writable(form: TaggedFormat, value: Any, schema: dict[str, Any]) -> bool:
    """The slow way: whether a value, as templates write it, is a string without marks that stays one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    marks = (
        r"<[\s/]*(parameter|function|tool_call)"
        if form is QWEN3_CODER
        else "</?(arg_key|arg_value|tool_call)"
    )
    if re.search(marks, text):
        return False
    types = value_types(schema)
    if not isinstance(value, str):
        return types != {"string"}
    if "string" not in types:
        return False
    stripped = text.strip()
    tests = {
        "null": stripped.lower() == "null",
        "boolean": stripped.lower() in ("true", "false", "0", "1"),
        "integer": is_read_by(int, text),
        "number": is_read_by(float, text) and stripped[-1].isdigit() | (stripped[-1] == "."),
    }
    if types & {"array", "object"}:
        return not any(tests.values()) and stripped[:1] not in ("[", "{", '"')
    return not any(tests[name] for name in types - {"string"})


NOTHING = object()


def meant(text: str, schema: dict[str, Any]) -> Any:
    """What a text is under a schema: a number is text where only strings are; NOTHING: no value."""
    types = value_types(schema)
    found: Any = NOTHING
    if types != {"string"} and text == text.strip():
        with contextlib.suppress(ValueError):
            found = json.loads(text)
    if "string" not in types:
        return found
    is_known = found is not NOTHING and spelled_type(found) in types - {"string"}
    is_known |= found is not NOTHING and spelled_type(found) == "integer" and "number" in types
    return found if is_known else text


def is_read_by(convert: Any, text: str) -> bool:
    try:
        convert(text)
    except ValueError:
        return False
    return True


given_values = st.one_of(
    st.sampled_from(
        [
            "",
            "null",
            "NULL ",
            " true",
            "5",
            "+1_0",
            "１",
            "1.",
            ".5e3",
            "1e",
            "inf",
            "[x",
            '"q"',
            "<",
            "</",
            "< parameter",
            "</parameter>",
            "<param",
            "</ \nfunction",
            "<tool_call>",
            "</arg_value>",
            "<arg_",
            "a\n",
            "\n",
            "\ufeff1",
            "2024-01-02",
            "\x001",
        ]
    ),
    st.text("<a/ \n5", max_size=4),
    st.integers(-9, 9),
    st.booleans(),
    st.none(),
    st.lists(st.sampled_from(["<", "</parameter>", "a", 1]), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMS),
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "maxLength": 3},
            {"type": ["string", "null"]},
            {"type": ["string", "integer"]},
            {"type": ["string", "number"], "minLength": 1},
            {"type": ["string", "boolean"]},
            {"type": ["string", "array"]},
            {"type": "array"},
            {"type": ["integer", "null", "boolean"]},
            {},
        ]
    ),
    given_values,
)
def test_every_value_that_can_be_written(form: TaggedFormat, schema: Any, value: Any) -> None:
    whole = {"properties": {"a": schema}, "required": ["a"]}
    tag, _ = form.tag(functions_of({"f": whole}), is_forced=True, may_repeat=False)
    grammar = COMPILER.compile_structural_tag(tag)
    text = written(form, "f", {"a": value})
    value = meant(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), schema
    )
    is_valid = value is not NOTHING and Draft202012Validator(schema).is_valid(value)
    expected = is_valid and is_writable(form, value, schema)
    assert accepts(grammar, text) == expected
    if expected:
        assert read(form, text, {"f": whole}) == ("", [("f", {"a": value})])


@by_form
@pytest.mark.parametrize("numbers", ["canonical", "any"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["integer", "string"], "maxLength": 1, "maximum": 9},
        {"type": ["integer", "string"], "enum": [3.0, 1, "x"]},
        {
            "type": ["integer", "string", "null"],
            "maxLength": 2,
            "multipleOf": 5,
            "maximum": 99,
            "minimum": 0,
        },
        {"anyOf": [{"type": "integer", "enum": [2.0, 5]}, {"type": "string", "maxLength": 2}]},
        {"type": ["number", "string"], "maxLength": 1, "minimum": 0, "maximum": 9},
        {"enum": [4.0, "x"]},
    ],
)
def test_whole_numbers_beside_strings(form: TaggedFormat, numbers: Any, schema: Any) -> None:
    """To readers ``1.0`` is no integer, so where it would be a string it must not be written as one."""
    parameters = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    functions = functions_of({"f": parameters})
    tag, _ = form.tag(functions, is_forced=True, may_repeat=False)
    grammar = COMPILER.compile_structural_tag(tag, numbers=numbers)
    values = [str(i) for i in range(12)] + [
        "-5",
        "x",
        "3.0",
        "2.0",
        "1e0",
        "4.0",
        "4e0",
        "5E0",
        "1.50",
        "null",
    ]
    found = []
    for value in values:
        text = written(form, "f", {"a": value})
        if accepts(grammar, text):
            ((_, arguments),) = read(form, [text], {"f": parameters})[1]
            validate(arguments, parameters)
            found.append(arguments["a"])
    assert any(type(value) is int for value in found) and "x" in found


def arguments_of(schema: Any, style: str = "qwen_xml") -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": schema, "style": style}
    return {"type": "structural_tag", "format": form}


@pytest.mark.parametrize(
    ("schema", "kind", "pointer"),
    [
        ({"type": "array"}, GrammarError, "/type"),
        ({"properties": {"a>b": {}}}, UnsupportedGrammarError, "/properties/a>b"),
        ({"properties": {" a": {}}}, UnsupportedGrammarError, "/properties/ a"),
        ({"properties": {"": {}}}, UnsupportedGrammarError, "/properties/"),
        ({"properties": {"a": {}}, "minProperties": 1}, UnsupportedGrammarError, "/minProperties"),
        ({"properties": {"a": {"$ref": "#"}}}, UnsupportedGrammarError, ""),
        ({"properties": {"a": {"enum": ["x", "</parameter>"]}}}, UnsupportedGrammarError, "/properties/a"),
        ({"properties": {"a": {"enum": ["null", None]}}}, UnsupportedGrammarError, "/properties/a"),
        ({"properties": {"a": {"type": "string", "maxLength": 99999}}}, GrammarLimitError, "/properties/a"),
        ({"properties": {"a": {"type": "string", "maxLength": 9999}}}, GrammarLimitError, "/properties/a"),
        ({"properties": {"a": {"type": "word"}}}, GrammarError, "/properties/a"),
        (
            {"properties": {"a": {"type": "string", "pattern": "^</function$"}}, "required": ["a"]},
            UnsatisfiableGrammarError,
            "/properties/a",
        ),
        (
            {"properties": {"a": {"type": "string", "minLength": 2, "maxLength": 1}}, "required": ["a"]},
            UnsatisfiableGrammarError,
            "/properties/a",
        ),
        (
            {"properties": {"a": {"type": "array", "uniqueItems": True, "items": {}}}},
            UnsupportedGrammarError,
            "/properties/a",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(
    schema: Any, kind: type[GrammarError], pointer: str
) -> None:
    with pytest.raises(kind) as caught:
        COMPILER.compile_structural_tag(arguments_of(schema))
    assert (caught.value.pointer or "").startswith("/format/json_schema" + pointer)


def test_lengths_are_exact() -> None:
    schema = {"properties": {"a": {"type": "string", "maxLength": 700}}, "required": ["a"]}
    grammar = COMPILER.compile_structural_tag(arguments_of(schema))
    for text, is_allowed in [
        ("é" * 700, True), ("é" * 701, False), ("a" * 690 + "</b>", True), ("a" * 511 + "</parameter", False),
    ]:  # fmt: skip
        assert accepts(grammar, f"<parameter=a>\n{text}\n</parameter>\n") == is_allowed


def test_long_strings_within_json_hold_no_marks() -> None:
    inner = {"type": "string", "maxLength": 2000}
    schema = {"properties": {"a": {"type": "array", "items": inner}}, "required": ["a"]}
    grammar = COMPILER.compile_structural_tag(arguments_of(schema))
    for text, is_allowed in [
        ("a" * 1500, True), ("a" * 505 + "</parameter>", False), ("a" * 505 + r"\u003c/parameter>", True),
    ]:  # fmt: skip
        assert accepts(grammar, f'<parameter=a>\n["{text}"]\n</parameter>\n') == is_allowed


def test_references_are_followed() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/point"}, "b": {"$ref": "#/$defs/name"}},
        "$defs": {"point": {"type": "object", "required": ["x"]}, "name": {"const": "<i>"}},
    }
    grammar = COMPILER.compile_structural_tag(arguments_of(schema))
    point = '<parameter=a>\n{"x": 1}\n</parameter>\n'
    name = "<parameter=b>\n<i>\n</parameter>\n"
    for text in ("", point, name, point + name):
        assert accepts(grammar, text)
    assert not accepts(grammar, name + point)
    assert not accepts(grammar, name + name)
    call = f"<tool_call>\n<function=f>\n{point}{name}</function>\n</tool_call>"
    expected = [("f", {"a": {"x": 1}, "b": "<i>"})]
    assert read(QWEN3_CODER, call, {"f": schema}) == ("", expected)


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({}, "string"),
        (True, "string"),
        ({"minLength": 1}, "string"),
        ({"type": "integer"}, "integer"),
        ({"type": ["integer", "null"]}, "integer null"),
        ({"enum": [1, "a", None]}, "integer string null"),
        ({"type": "number", "enum": [1, 2.5, "a"]}, "integer number"),
        ({"const": [1]}, "array"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "string array"),
        ({"anyOf": [{}, {"type": "array"}]}, "string array"),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "null"}, {}]}, "null"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "object"}}}, "object"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "string"),
        ({"$ref": "#/$defs/none"}, "string"),
    ],
)  # fmt: skip
def test_value_types(schema: Any, types: str) -> None:
    assert value_types(schema) == set(types.split())


def test_value_types_of_deep_schemas() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(5000):
        schema = {"allOf": [schema]}
    assert value_types(schema) == {"string"}


CALLS: list[Call] = [
    ("plan", {"city": "a\n<b", "days": 3, "kind": None, "deep": {"s": "<b>"}}),
    ("plan", {"city": "", "note": "\n", "days": -1, "kind": "x", "maybe": None, "deep": {"s": "<b>", "t": [1]},
              "union": "[x"[1:] + "y"}),
    ("ping", {}),
]  # fmt: skip


@by_form
@pytest.mark.parametrize("is_forced", [False, True])
@pytest.mark.parametrize("may_repeat", [False, True])
def test_tags(form: TaggedFormat, is_forced: bool, may_repeat: bool) -> None:
    functions = functions_of(SCHEMAS)
    tag, pointers = form.tag(functions, is_forced=is_forced, may_repeat=may_repeat)
    for pointer, function in zip(pointers, functions, strict=True):
        place: Any = tag
        for step in pointer.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        assert place == {**function.arguments, "style": form.style}
    grammar = COMPILER.compile_structural_tag(tag)
    texts = [written(form, *call) for call in CALLS]
    for text in texts:
        assert accepts(grammar, text)
        assert accepts(grammar, "see <b> " + text) != is_forced
        assert accepts(grammar, text + " so") == (not is_forced and may_repeat)
        assert not accepts(grammar, text[:-1])
    assert accepts(grammar, "\n".join(texts)) == may_repeat
    assert accepts(grammar, "") != is_forced
    assert not accepts(grammar, written(form, "sub", {}))
    if form is QWEN3_CODER:
        assert not accepts(grammar, "text <function=")


contents = st.text("a <\n/", max_size=6)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(FORMS), contents, st.lists(st.sampled_from(CALLS), max_size=2), contents)
def test_reading_back_at_every_cut(
    form: TaggedFormat, before: str, calls: list[Call], after: str
) -> None:
    text = before + "\n".join(written(form, *call) for call in calls) + after
    assume("<tool_call" not in before + after)
    if calls:
        content = (before if before.strip() else "") + (after if after.strip() else "")
    else:
        content = before + after
    assert read(form, text) == (content, calls)
    for cut in range(len(text)):
        assert read(form, [text[:cut], text[cut:]]) == (content, calls)


TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "plan", "parameters": SCHEMAS["plan"]}},
    {"type": "custom", "custom": {"name": "note"}},
]


@by_form
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_requests(form: TaggedFormat, choice: str) -> None:
    calls = [CALLS[0], ("note", {"input": 'a\n"b"'})]
    said = "\n".join(written(form, *call) for call in calls)
    if choice == "auto":
        said = "Well " + said

    async def run() -> None:
        async with serving(says(*said), tool_call_parser=form.name) as server:
            response = await server.chat(tools=TOOLS, tool_choice=choice)
            answer = response.json()["choices"][0]
            assert answer["finish_reason"] == "tool_calls"
            assert answer["message"]["content"] == ("Well " if choice == "auto" else None)
            function, custom = answer["message"]["tool_calls"]
            assert json.loads(function["function"]["arguments"]) == CALLS[0][1]
            assert custom["custom"] == {"name": "note", "input": 'a\n"b"'}
            streamed = await server.chat(tools=TOOLS, tool_choice=choice, stream=True)
            pieces: dict[int, list[str]] = {}
            for event in sse_events(streamed):
                for entry in event.get("choices", []):
                    for call in entry["delta"].get("tool_calls", []):
                        body = call.get("function") or call["custom"]
                        more = body.get("arguments", body.get("input", ""))
                        pieces.setdefault(call["index"], []).append(more)
            assert json.loads("".join(pieces[0])) == CALLS[0][1]
            assert "".join(pieces[1]) == 'a\n"b"'
            # A string comes as it is written, not when it is complete.
            assert len(pieces[1]) > 3

    asyncio.run(run())


def test_named_calls_and_refusals() -> None:
    async def run() -> None:
        said = written(QWEN3_CODER, *CALLS[0])
        async with serving(says(*said), tool_call_parser="qwen3_xml") as server:
            named = {"type": "function", "function": {"name": "plan"}}
            answer = (await server.chat(tools=TOOLS, tool_choice=named)).json()["choices"][0]
            assert answer["finish_reason"] == "stop"
            (call,) = answer["message"]["tool_calls"]
            assert json.loads(call["function"]["arguments"]) == CALLS[0][1]
            format_ = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
            tools = [{"type": "custom", "custom": {"name": "note", "format": format_}}]
            response = await server.chat(tools=tools)
            assert response.status_code == 400
            assert "grammar" in error_of(response)["message"]

    asyncio.run(run())


def test_a_cut_call_is_told_as_far_as_it_came() -> None:
    said = "<tool_call>\n<function=plan>\n<parameter=city>\nPar"

    async def run() -> None:
        script = says(*said, finish_reason="length")
        async with serving(script, tool_call_parser="qwen3_coder") as server:
            answer = (await server.chat(tools=TOOLS)).json()["choices"][0]
            assert answer["finish_reason"] == "length"
            (call,) = answer["message"]["tool_calls"]
            assert call["function"] == {"name": "plan", "arguments": '{"city": "Par'}

    asyncio.run(run())
