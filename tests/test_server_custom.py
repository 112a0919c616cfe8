"""Custom tools: input in a grammar, forced or the model's choice, in every format of calls."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_fakes import error_of, says, serving, sse_events
from toy import accepts, byte_vocabulary

from syntagma.clients.request_builder import chat_request
from syntagma.clients.wire import WireToolCall, WireToolCallDelta
from syntagma.grammar import GrammarCompiler, GrammarSyntaxError
from syntagma.server.constraint_kinds import JsonPolicy
from syntagma.server.protocol import ChatBody
from syntagma.server.tool_formats import HERMES, JSON_FORMATS, ToolFormat
from syntagma.server.tool_text import JsonStringReader
from syntagma.server.tools import CallsInText, ForcedCall, wanted_calls

LARK = 'start: "say" STRING\nSTRING: /"[a-z\\n]*"/'
ADD = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
FUNCTION = {"type": "function", "function": {"name": "add", "parameters": ADD}}


def custom(name: str, form: Any = None) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": name, "format": form, "description": "Talks."}}


SAY = custom("say", {"type": "grammar", "grammar": {"syntax": "lark", "definition": LARK}})
FLAT = custom("flat", {"type": "grammar", "syntax": "regex", "definition": 'x"+\\\\'})
FREE = custom("free", {"type": "text"})
TOOLS = [FUNCTION, SAY, FLAT, FREE]


def named(name: str) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": name}}


def body(tools: list[Any], **fields: Any) -> ChatBody:
    return ChatBody(messages=[{"role": "user", "content": "x"}], tools=tools, **fields)


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(byte_vocabulary())


def call(form: ToolFormat, name: str, arguments: str) -> str:
    return form.opening + form.head % name + arguments + "}" + form.closing


@pytest.mark.parametrize("form", list(JSON_FORMATS.values()), ids=list(JSON_FORMATS))
def test_inputs_within_text(compiler: GrammarCompiler, form: ToolFormat) -> None:
    found = wanted_calls(body(TOOLS), JsonPolicy(), form)
    assert isinstance(found, CallsInText)
    assert found.custom_names == {"say", "flat", "free"}
    grammar = found.constraint.compile(compiler)
    for name, text, is_good in [
        ("say", 'say"a\nb"', True),
        ("say", 'say"A"', False),
        ("flat", 'x""\\', True),
        ("flat", "x", False),
        ("free", 'anything "\\ \n\x00', True),
    ]:
        arguments = json.dumps({"input": text})
        assert accepts(grammar, call(form, name, arguments)) == is_good, (name, text)
    assert accepts(grammar, call(form, "add", '{"a": 1}'))
    assert not accepts(grammar, call(form, "add", '{"input": "x"}'))


@pytest.mark.parametrize("form", [None, HERMES], ids=["plain", "hermes"])
def test_a_forced_input_is_the_output(compiler: GrammarCompiler, form: ToolFormat | None) -> None:
    for name, text, is_good in [
        ("say", 'say"a\nb"', True),
        ("say", 'say"A"', False),
        ("flat", 'x""\\', True),
        ("free", 'anything "\\ \n\x00', True),
        ("free", "", True),
    ]:
        found = wanted_calls(body(TOOLS, tool_choice=named(name)), JsonPolicy(), form)
        assert isinstance(found, ForcedCall) and found.is_custom
        assert accepts(found.constraint.compile(compiler), text) == is_good, (name, text)


def test_one_of_several_without_a_format(compiler: GrammarCompiler) -> None:
    found = wanted_calls(body(TOOLS, tool_choice="required"), JsonPolicy(), None)
    assert isinstance(found, CallsInText)
    grammar = found.constraint.compile(compiler)
    assert accepts(grammar, '{"name": "add", "arguments": {"a": 1}}')
    assert accepts(grammar, r'{"name": "say", "arguments": {"input": "say\"a\""}}')
    assert not accepts(grammar, "text")
    assert wanted_calls(body(TOOLS), JsonPolicy(), None) is None


INPUT = 'say"a\nb"'
TALK = "Well: " + call(HERMES, "say", json.dumps({"input": INPUT})) + call(HERMES, "add", "{}")


def test_answers_in_text() -> None:
    async def scenario() -> None:
        async with serving(says(*TALK), tool_call_parser="hermes") as server:
            choice = (await server.chat(tools=TOOLS)).json()["choices"][0]
            first, second = choice["message"]["tool_calls"]
            assert choice["message"]["content"] == "Well: "
            assert (first["type"], first["custom"]) == ("custom", {"name": "say", "input": INPUT})
            assert second["function"] == {"name": "add", "arguments": "{}"}
            # The model is told of the tool as of a function, and of its grammar.
            assert '"input"' in server.engine.prompts[0] and "Lark" in server.engine.prompts[0]

            response = await server.chat(tools=TOOLS, stream=True)
            deltas = [event["choices"][0]["delta"] for event in sse_events(response)]
            calls = [d["tool_calls"][0] for d in deltas if "tool_calls" in d]
            mine = [c for c in calls if c["index"] == 0]
            assert mine[0]["type"] == "custom" and mine[0]["id"].startswith("call_")
            assert mine[0]["custom"] == {"name": "say", "input": ""}
            assert "".join(c["custom"]["input"] for c in mine) == INPUT
            assert next(c for c in calls if c["index"] == 1)["type"] == "function"

    asyncio.run(scenario())


@pytest.mark.parametrize("parser", ["none", "hermes"])
def test_forced_answers(parser: str) -> None:
    async def scenario() -> None:
        async with serving(says(*INPUT), tool_call_parser=parser) as server:
            response = await server.chat(tools=TOOLS, tool_choice=named("say"))
            assert server.compiler.calls == [("lark", LARK, None)]
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "stop"
            (found,) = choice["message"]["tool_calls"]
            assert found["custom"] == {"name": "say", "input": INPUT} and found["type"] == "custom"
            again = [
                {"role": "user", "content": "x"},
                choice["message"],
                {"role": "tool", "content": "done", "tool_call_id": found["id"]},
            ]
            assert (await server.chat(messages=again)).status_code == 200
            if parser == "hermes":
                return
            response = await server.chat(tools=[FLAT], tool_choice="required")
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            assert choice["message"]["tool_calls"][0]["custom"]["name"] == "flat"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"type": "json"}, "tools[0].custom.format.type"),
        ({}, "tools[0].custom.format.type"),
        ({"type": "grammar"}, "tools[0].custom.format"),
        ({"type": "grammar", "syntax": "lark"}, "tools[0].custom.format"),
        ({"type": "grammar", "syntax": "ebnf", "definition": ""}, "tools[0].custom.format.syntax"),
        (
            {"type": "grammar", "grammar": {"syntax": "ebnf", "definition": ""}},
            "tools[0].custom.format.grammar.syntax",
        ),
        (
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": "", "x": 1}},
            "tools[0].custom.format.grammar",
        ),
    ],
)
def test_formats_that_cannot_be_meant(form: Any, param: str) -> None:
    async def scenario() -> None:
        for fields in ({}, {"tool_choice": named("a")}):
            async with serving() as server:
                error = error_of(await server.chat(tools=[custom("a", form)], **fields))
                assert error["param"] == param

    asyncio.run(scenario())


def test_errors_name_the_tool() -> None:
    async def scenario() -> None:
        async with serving(tool_call_parser="hermes") as server:
            pointer = "/format/tags/1/content/elements/1/content/grammar"
            server.compiler.error = GrammarSyntaxError("it is wrong", pointer=pointer)
            error = error_of(await server.chat(tools=TOOLS))
            assert error["param"] == "tools[1].custom.format"
            assert error["code"] == "invalid_tool_format" and error["pointer"] == ""
            server.compiler.error = GrammarSyntaxError("it is wrong", line=1, column=2)
            error = error_of(await server.chat(tools=TOOLS, tool_choice=named("say")))
            assert error["param"] == "tools[1].custom.format" and error["line"] == 1
            choice = {"type": "function", "function": {"name": "say"}}
            error = error_of(await server.chat(tools=TOOLS, tool_choice=choice))
            assert error["param"] == "tool_choice"

    asyncio.run(scenario())


def test_the_sdk_reads_and_names_them() -> None:
    written = {"id": "call_1", "type": "custom", "custom": {"name": "say", "input": "x"}}
    assert WireToolCall.model_validate(written).to_result().arguments == "x"
    delta = WireToolCallDelta.model_validate({"index": 0, **written}).to_result()
    assert (delta.name, delta.arguments) == ("say", "x")
    with pytest.raises(ValueError, match="either"):
        WireToolCall.model_validate({"id": "call_1"})
    sent = chat_request("Hi", {"tools": TOOLS, "tool_choice": "say"}).body
    assert sent is not None and sent["tool_choice"] == named("say")
    sent = chat_request("Hi", {"tools": TOOLS, "tool_choice": "add"}).body
    assert sent is not None
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}


@given(st.text(max_size=8), st.booleans(), st.data())
def test_strings_are_read_at_every_cut(text: str, ensure_ascii: bool, data: st.DataObject) -> None:
    written = json.dumps({"input": text}, ensure_ascii=ensure_ascii)
    for cut in range(len(written) + 1):
        reader = JsonStringReader()
        assert reader.feed(written[:cut]) + reader.feed(written[cut:]) == text
    reader = JsonStringReader()
    assert "".join(map(reader.feed, written.replace("/", "\\/"))) == text
