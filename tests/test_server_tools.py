"""Forced tool calls: the grammar that is compiled, and the call that is read from the text."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from server_fakes import error_of, says, serving, sse_events

from syntagma.grammar import UnsupportedGrammarError
from syntagma.server.schema_refs import move_local_references
from syntagma.server.tool_text import CallReader

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}
REQUIRED_TEXT = '{ "name" : "add",\n "arguments": {"b": [{"c": "}\\""}], "d": 1} }'
ARGUMENTS = '{"b": [{"c": "}\\""}], "d": 1}'


def tool(name: str, parameters: Any = WEATHER) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def test_named_function() -> None:
    async def scenario() -> None:
        async with serving(says('{"city": ', '"Oslo"}')) as server:
            response = await server.chat(
                tools=[tool("other"), tool("weather")],
                tool_choice=named("weather"),
                parallel_tool_calls=True,
            )
            assert server.compiler.calls == [("json_schema", WEATHER, "flexible")]
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "stop"
            assert choice["message"]["content"] is None
            (call,) = choice["message"]["tool_calls"]
            assert call["id"].startswith("call_")
            assert call["type"] == "function"
            assert call["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}

    asyncio.run(scenario())


def test_required_with_one_function() -> None:
    async def scenario() -> None:
        async with serving(says("{}")) as server:
            response = await server.chat(tools=[tool("f", None)], tool_choice="required")
            assert server.compiler.calls == [("json_schema", NO_PARAMETERS, "flexible")]
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            assert choice["message"]["tool_calls"][0]["function"]["arguments"] == "{}"

    asyncio.run(scenario())


def test_required_with_several_functions() -> None:
    async def scenario() -> None:
        async with serving(says(REQUIRED_TEXT)) as server:
            response = await server.chat(tools=[tool("f"), tool("add")], tool_choice="required")
            ((kind, schema, _),) = server.compiler.calls
            assert kind == "json_schema"
            assert [branch["properties"]["name"] for branch in schema["anyOf"]] == [
                {"const": "f"},
                {"const": "add"},
            ]
            branch = schema["anyOf"][1]
            assert list(branch["properties"]) == ["name", "arguments"]
            assert branch["properties"]["arguments"] == WEATHER
            assert branch["required"] == ["name", "arguments"]
            assert branch["additionalProperties"] is False
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            function = choice["message"]["tool_calls"][0]["function"]
            assert function == {"name": "add", "arguments": ARGUMENTS}

    asyncio.run(scenario())


def test_required_is_streamed() -> None:
    async def scenario() -> None:
        async with serving(says(*REQUIRED_TEXT)) as server:
            response = await server.chat(
                tools=[tool("f"), tool("add")], tool_choice="required", stream=True, n=2
            )
            choices = [event["choices"][0] for event in sse_events(response)]
            for index in (0, 1):
                mine = [choice for choice in choices if choice["index"] == index]
                assert mine[0]["delta"] == {"role": "assistant", "content": None}
                assert mine[-1]["finish_reason"] == "tool_calls"
                calls = [c["delta"]["tool_calls"][0] for c in mine if "tool_calls" in c["delta"]]
                assert calls[0]["id"].startswith("call_")
                assert calls[0]["type"] == "function"
                assert calls[0]["function"] == {"name": "add", "arguments": ""}
                assert all(call.keys() == {"index", "function"} for call in calls[1:])
                arguments = "".join(call["function"]["arguments"] for call in calls)
                assert arguments == ARGUMENTS

    asyncio.run(scenario())


def test_cut_calls() -> None:
    async def scenario() -> None:
        for text, arguments in [('{"na', None), ('{"name": "f", "arguments": {"a', '{"a')]:
            async with serving(says(text, finish_reason="length")) as server:
                tools = [tool("f"), tool("g")]
                response = await server.chat(tools=tools, tool_choice="required")
                choice = response.json()["choices"][0]
                assert choice["finish_reason"] == "length"
                calls = choice["message"].get("tool_calls")
                assert (calls and calls[0]["function"]["arguments"]) == arguments

    asyncio.run(scenario())


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_free_text_beside_tools(choice: str | None) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(tools=[tool("weather")], tool_choice=choice)
            message = response.json()["choices"][0]["message"]
            assert message == {"role": "assistant", "content": "Hello world", "refusal": None}
            assert not server.compiler.calls
            assert ("weather" in server.engine.prompts[0]) == (choice != "none")

    asyncio.run(scenario())


def test_auto_leaves_room_for_a_format() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(tools=[tool("f")], response_format={"type": "json_object"})
            assert server.compiler.calls == [("json_object", None, "flexible")]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": named("g")}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [tool("f"), tool("f")]}, "tools[1].function.name"),
        ({"tools": [tool("f g")]}, "tools[0].function.name"),
        ({"tools": [tool("f", {"type": "string"})]}, "tools[0].function.parameters"),
        ({"tools": [tool("f", "x")]}, "tools[0].function.parameters"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        ({"tools": [tool(f"f{i}") for i in range(129)]}, "tools"),
        (
            {
                "tools": [tool("f")],
                "tool_choice": "required",
                "response_format": {"type": "json_object"},
            },
            "tools[0].function.parameters",
        ),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**fields)
            assert response.status_code == 400
            assert error_of(response)["param"] == param

    asyncio.run(scenario())


def test_a_bad_tool_is_named() -> None:
    async def scenario() -> None:
        async with serving() as server:
            pointer = "/anyOf/1/properties/arguments/properties/x/not"
            server.compiler.error = UnsupportedGrammarError(
                "the keyword is not enforced", keyword="not", pointer=pointer
            )
            response = await server.chat(tools=[tool("f"), tool("g")], tool_choice="required")
            assert response.status_code == 400
            error = error_of(response)
            assert error["param"] == "tools[1].function.parameters"
            assert error["pointer"] == "/properties/x/not"
            assert error["keyword"] == "not"
            assert error["code"] == "invalid_json_schema"
            assert error["grammar_code"] == "grammar_unsupported"
            assert "anyOf" not in error["message"]

    asyncio.run(scenario())


def test_parameters_without_a_type_are_an_object() -> None:
    async def scenario() -> None:
        async with serving(says("{}")) as server:
            open_schema = {"properties": {"a": {}}}
            reference = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}
            await server.chat(tools=[tool("f", open_schema)], tool_choice="required")
            await server.chat(tools=[tool("f", reference)], tool_choice="required")
            sources = [source for _, source, _ in server.compiler.calls]
            assert sources == [{"type": "object", **open_schema}, reference]

    asyncio.run(scenario())


def test_references_move_with_their_schema() -> None:
    schema = {
        "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}},
        "properties": {"$ref": {"$ref": "#"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}, True]}},
        "items": {"not": {"$ref": "#anchor"}},
        "enum": [{"$ref": "#/untouched"}],
        "additionalProperties": {"$id": "urn:x", "$ref": "#/own"},
    }
    original = json.dumps(schema)
    assert move_local_references(schema, "/at") == {
        "$defs": {"a": {"items": {"$ref": "#/at/$defs/a"}}},
        "properties": {
            "$ref": {"$ref": "#/at"},
            "b": {"anyOf": [{"$ref": "#/at/$defs/a"}, True]},
        },
        "items": {"not": {"$ref": "#anchor"}},
        "enum": [{"$ref": "#/untouched"}],
        "additionalProperties": {"$id": "urn:x", "$ref": "#/own"},
    }
    assert json.dumps(schema) == original


@pytest.mark.parametrize(
    "arguments",
    ["{}", "[]", "3", '"}"', '{"a": "\\\\"}', '[1, {"b": "\\u007d"}]', "null", '{"a": {"b": {}}}'],
)
@pytest.mark.parametrize("space", ["", " ", "\n  "])
def test_call_reader_at_every_cut(arguments: str, space: str) -> None:
    text = (
        f'{space}{{{space}"name"{space}:{space}"f\\u0022"{space},{space}'
        f'"arguments"{space}:{space}{arguments}{space}}}{space}'
    )
    for cut in range(len(text) + 1):
        reader = CallReader()
        assert reader.feed(text[:cut]) + reader.feed(text[cut:]) == arguments
        assert reader.name == 'f"'
    reader = CallReader()
    assert "".join(map(reader.feed, text)) == arguments
