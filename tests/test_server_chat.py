"""Chat completions: sampling fields, constraints, answers whole and streamed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from server_fakes import MODEL, Server, error_of, says, serving, sse_events

from syntagma.decoding.engine import Delta, GenerationRequest, StepReport
from syntagma.decoding.speculation import SourceUsage, SpeculationOptions, SpeculationUsage
from syntagma.server.errors import ApiError
from syntagma.server.metrics import Metrics
from syntagma.server.protocol import ChatBody
from syntagma.server.validation import parse_body

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def json_schema_format(schema: Any = SCHEMA, **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema} | fields}


def test_whole_answer() -> None:
    async def scenario() -> None:
        async with serving(says("Hel", "lo")) as server:
            response = await server.chat(model=MODEL)
            assert response.status_code == 200
            body = response.json()
            assert body["object"] == "chat.completion"
            assert body["model"] == MODEL
            assert body["id"].startswith("chatcmpl-")
            assert body["choices"] == [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                    "stop_reason": None,
                }
            ]
            prompt = "<|user|>Hi<|end|><|assistant|>"
            assert server.engine.prompts == [prompt]
            assert body["usage"] == {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 7,
            }

    asyncio.run(scenario())


def test_sampling_fields_reach_the_engine() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(
                temperature=0.5,
                top_p=0.9,
                top_k=-1,
                min_p=0.1,
                seed=-3,
                presence_penalty=1,
                frequency_penalty=-1,
                repetition_penalty=1.2,
                logit_bias={"65": -100},
                stop="x",
                max_completion_tokens=7,
                n=2,
                ignore_eos=True,
                logprobs=True,
                top_logprobs=3,
            )
            sampling = server.engine.requests[0].sampling
            assert sampling.temperature == 0.5
            assert (sampling.top_p, sampling.top_k, sampling.min_p) == (0.9, 0, 0.1)
            assert sampling.seed == -3
            assert (sampling.presence_penalty, sampling.frequency_penalty) == (1, -1)
            assert sampling.repetition_penalty == 1.2
            assert sampling.logit_bias == {65: -100}
            assert sampling.stop == ("x",)
            assert (sampling.max_tokens, sampling.n) == (7, 2)
            assert sampling.ignore_eos
            assert sampling.logprobs == 3
            assert server.engine.requests[0].grammar is None

    asyncio.run(scenario())


def test_defaults_are_the_models_own_law() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(temperature=None, stop=[], n=None, user="u", metadata={"a": "b"})
            sampling = server.engine.requests[0].sampling
            assert (sampling.temperature, sampling.top_p, sampling.n) == (1, 1, 1)
            assert sampling.max_tokens is None

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"n": 10**9}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"259": 1}}, "logit_bias"),
        ({"logit_bias": {"²": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"logit_bias": {"1": "2"}}, "logit_bias"),
        ({"logit_bias": {"1": True}}, "logit_bias"),
        ({"logit_bias": {str(i): 0 for i in range(1025)}}, "logit_bias"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": 5}, "stop"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 5}, "logprobs"),
        ({"stream_options": {"include_usge": True}}, "stream_options.include_usge"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "a"}]}, "messages[0]"),
        ({"messages": [{"role": "function", "content": "a"}]}, "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "text": "a"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": "a", "contnt": "b"}]}, "messages[0].contnt"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ],
)
def test_values_that_cannot_be_meant(fields: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**fields)
            assert response.status_code == 400
            error = error_of(response)
            assert error["param"] == param
            assert param.split("[")[0].split(".")[0] in error["message"]
            assert not server.engine.requests

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "message",
    [
        1,
        {"role": "user", "content": [1] * 300_000},
        {"role": "user", "content": "a"} | {f"k{i}": 1 for i in range(50_000)},
    ],
)
def test_one_fault_is_enough(message: Any) -> None:
    """Collecting every fault of such a body would take gigabytes."""
    messages = [message] * (300_000 if message == 1 else 1)
    with pytest.raises(ApiError) as caught:
        parse_body(ChatBody, {"messages": messages})
    assert caught.value.param in ("messages[0]", "messages[0].content[0]")


def test_missing_messages() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.client.post("/v1/chat/completions", json={})
            assert error_of(response)["code"] == "missing_field"
            assert error_of(response)["param"] == "messages"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("guided_json", {}, "structured_outputs"),
        ("guided_regex", "a", "structured_outputs"),
        ("guided_choice", ["a"], "structured_outputs"),
        ("guided_grammar", "a", "syntax"),
        ("grammar", "root ::= a", "syntax"),
        ("ebnf", "root ::= a", "syntax"),
        ("regex", "a", "structured_outputs"),
        ("json_schema", {}, "response_format"),
        ("format", {}, "response_format"),
        ("structural_tag", {}, "structured_outputs"),
        ("structured_output", {"regex": "a"}, "structured_outputs"),
        ("functions", [{}], "tools"),
        ("echo", True, "prompt"),
        ("temprature", 1, "temperature"),
        ("whatever_this_is", 1, "leave it out"),
        ("whatever_this_is", None, "leave it out"),
        ("reasoning_effort", "high", "leave it out"),
    ],
)
def test_fields_that_would_be_ignored(field: str, value: Any, told: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**{field: value})
            assert response.status_code == 400
            error = error_of(response)
            assert error["param"] == field
            assert error["code"] == "unknown_field"
            assert field in error["message"] and told in error["message"]

    asyncio.run(scenario())


def test_fields_that_ask_for_nothing() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(
                guided_json=None, functions=[], modalities=["text"], best_of=1, store=True
            )
            assert response.status_code == 200
            assert (await server.chat(best_of=True)).status_code == 400

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "call"),
    [
        ({"response_format": json_schema_format()}, ("json_schema", SCHEMA, "flexible")),
        ({"response_format": json_schema_format(True)}, ("json_schema", True, "flexible")),
        ({"response_format": {"type": "json_object"}}, ("json_object", None, "flexible")),
        ({"structured_outputs": {"json": SCHEMA}}, ("json_schema", SCHEMA, "flexible")),
        ({"structured_outputs": {"json": '{"a": 1}'}}, ("json_schema", {"a": 1}, "flexible")),
        ({"structured_outputs": {"json": False}}, ("json_schema", False, "flexible")),
        (
            {"structured_outputs": {"json": SCHEMA, "whitespace": "compact"}},
            ("json_schema", SCHEMA, "compact"),
        ),
        ({"structured_outputs": {"json_object": True}}, ("json_object", None, "flexible")),
        ({"structured_outputs": {"regex": "a+"}}, ("regex", "a+", None)),
        (
            {
                "structured_outputs": {
                    "regex": "a",
                    "json": None,
                    "grammar": None,
                    "disable_any_whitespace": False,
                }
            },
            ("regex", "a", None),
        ),
        ({"structured_outputs": {"choice": ["a", "b"]}}, ("choice", ["a", "b"], None)),
        (
            {"structured_outputs": {"grammar": "root ::= 'a'", "syntax": "ebnf"}},
            ("ebnf", "root ::= 'a'", "root"),
        ),
        (
            {"structured_outputs": {"grammar": "x ::= 'a'", "syntax": "ebnf", "start": "x"}},
            ("ebnf", "x ::= 'a'", "x"),
        ),
        (
            {"structured_outputs": {"grammar": 'start: "a"', "syntax": "lark"}},
            ("lark", 'start: "a"', None),
        ),
        (
            {"structured_outputs": {"language": "csv", "columns": 2, "max_rows": None}},
            ("language", {"language": "csv", "columns": 2}, None),
        ),
    ],
)
def test_constraints_are_compiled(fields: dict[str, Any], call: tuple[Any, ...]) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**fields)
            assert response.status_code == 200
            assert server.compiler.calls == [call]
            assert server.engine.requests[0].grammar is not None

    asyncio.run(scenario())


def test_whitespace_default_is_a_setting() -> None:
    async def scenario() -> None:
        async with serving(whitespace="compact") as server:
            await server.chat(response_format={"type": "json_object"})
            assert server.compiler.calls == [("json_object", None, "compact")]

    asyncio.run(scenario())


TOOLS = [{"type": "function", "function": {"name": name}} for name in "fg"]
POLICIES = {
    "whitespace": "pretty",
    "property_order": "any",
    "numbers": "any",
    "formats": "known",
    "slips": "annotate",
    "additional_properties_default": False,
    "string_escapes": "canonical",
    "max_digits": None,
    "max_string": 100,
}


@pytest.mark.parametrize(
    "fields",
    [
        {"structured_outputs": {"json": SCHEMA, **POLICIES}},
        {"structured_outputs": {"json_object": True, **POLICIES}},
        {"structured_outputs": POLICIES, "response_format": {"type": "json_object"}},
        {"structured_outputs": POLICIES, "response_format": json_schema_format()},
        {"structured_outputs": POLICIES, "tools": [TOOLS[0]], "tool_choice": "required"},
        {
            "structured_outputs": POLICIES,
            "tools": [TOOLS[0], TOOLS[1]],
            "tool_choice": "required",
        },
    ],
)
def test_policies_of_a_request(fields: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**fields)
            (policies,) = server.compiler.policies
            assert {name: policies[name] for name in POLICIES} == POLICIES
            constraint = response.json()["syntagma"]["constraint"]
            assert constraint["kind"] in ("json_schema", "json_object")
            assert constraint["options"] == POLICIES

    asyncio.run(scenario())


def test_policies_are_settings_too_and_null_means_not_said() -> None:
    async def scenario() -> None:
        async with serving(**POLICIES) as server:
            nothing = dict.fromkeys(POLICIES)
            said = {"max_string": 100, "whitespace": "compact"}
            await server.chat(response_format={"type": "json_object"})
            await server.chat(structured_outputs={"json": {}, **nothing, **said})
            first, second = server.compiler.policies
            assert first == POLICIES
            assert second == POLICIES | said | {"schemas": {}}

    asyncio.run(scenario())


def test_what_applied_is_told() -> None:
    async def scenario() -> None:
        async with serving() as server:
            answer = (await server.chat()).json()
            assert "syntagma" not in answer
            answer = (await server.chat(structured_outputs={"regex": "a"})).json()
            assert answer["syntagma"] == {"constraint": {"kind": "regex"}}
            for send in (server.chat, server.complete):
                stream = await send(structured_outputs={"json": {}, "max_string": 7}, stream=True)
                first, *others = sse_events(stream)
                assert first["syntagma"]["constraint"]["options"]["max_string"] == 7
                assert not [event for event in others if "syntagma" in event]

    asyncio.run(scenario())


def test_documents_beside_a_schema() -> None:
    async def scenario() -> None:
        async with serving() as server:
            schemas = {"http://a.test/b": {"type": "null"}, "http://a.test/c": "true"}
            given = {"json": {"$ref": "http://a.test/b"}, "schemas": schemas}
            assert (await server.chat(structured_outputs=given)).status_code == 200
            assert server.compiler.policies[0]["schemas"] == schemas | {"http://a.test/c": True}

    asyncio.run(scenario())


def test_text_format_is_no_constraint() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(response_format={"type": "text"})
            assert response.status_code == 200
            assert not server.compiler.calls

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": ["json_object"]}}, "response_format.type"),
        ({"response_format": {"type": "regex", "regex": "a"}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {"response_format": json_schema_format(strict="yes")},
            "response_format.json_schema.strict",
        ),
        ({"response_format": json_schema_format([])}, "response_format.json_schema.schema"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"json_object": False}}, "structured_outputs"),
        ({"structured_outputs": {"json_object": 1}}, "structured_outputs.json_object"),
        ({"structured_outputs": {"json": ""}}, "structured_outputs.json"),
        ({"structured_outputs": {"json": "[" * 1000}}, "structured_outputs.json"),
        ({"structured_outputs": {"json": 5}}, "structured_outputs.json"),
        ({"structured_outputs": {"regex": 5}}, "structured_outputs.regex"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
        ({"structured_outputs": {"choice": "ab"}}, "structured_outputs.choice"),
        ({"structured_outputs": {"choice": ["a", 1]}}, "structured_outputs.choice[1]"),
        ({"structured_outputs": {"regex": "a", "json": {}}}, "structured_outputs"),
        ({"structured_outputs": {"grammar": "a"}}, "structured_outputs.grammar"),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "gbnf"}},
            "structured_outputs.grammar",
        ),
        (
            {"structured_outputs": {"grammar": 5, "syntax": "lark"}},
            "structured_outputs.grammar",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "ebnf", "semantics": "lexed"}},
            "structured_outputs.semantics",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "lark", "semantics": "other"}},
            "structured_outputs.semantics",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "lark", "files": ["b"]}},
            "structured_outputs.files",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "lark", "indenter": "_NL"}},
            "structured_outputs.indenter",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "ebnf", "indenter": {}}},
            "structured_outputs.indenter",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "lark", "start": 1}},
            "structured_outputs.start",
        ),
        (
            {"structured_outputs": {"grammar": "a", "syntax": "lark", "numbers": "any"}},
            "structured_outputs.numbers",
        ),
        ({"structured_outputs": {"regex": "a", "syntax": "lark"}}, "structured_outputs.syntax"),
        ({"structured_outputs": {"language": 5}}, "structured_outputs.language"),
        ({"structured_outputs": {"language": "csv", "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {"regx": "a"}}, "structured_outputs.regx"),
        (
            {"structured_outputs": {"regex": "a", "whitespace": "compact"}},
            "structured_outputs.whitespace",
        ),
        (
            {"structured_outputs": {"json": {}, "whitespace": "none"}},
            "structured_outputs.whitespace",
        ),
        ({"structured_outputs": {"max_digits": 5}}, "structured_outputs"),
        (
            {"structured_outputs": {"max_digits": 5}, "response_format": {"type": "text"}},
            "structured_outputs",
        ),
        ({"structured_outputs": {"json": {}, "max_digits": 0}}, "structured_outputs.max_digits"),
        ({"structured_outputs": {"json": {}, "max_string": "9"}}, "structured_outputs.max_string"),
        (
            {"structured_outputs": {"json": {}, "additional_properties_default": 1}},
            "structured_outputs.additional_properties_default",
        ),
        ({"structured_outputs": {"json": {}, "schemas": []}}, "structured_outputs.schemas"),
        ({"structured_outputs": {"json": {}, "schemas": {"a": 5}}}, "structured_outputs.schemas"),
        ({"structured_outputs": {"choice": ["a"], "numbers": "any"}}, "structured_outputs.numbers"),
        (
            {"structured_outputs": {"json_object": True, "schemas": {"a": {}}}},
            "structured_outputs.schemas",
        ),
        ({"structured_outputs": {"ebnf": "root ::= 1"}}, "structured_outputs.ebnf"),
        ({"numbers": "any"}, "numbers"),
        (
            {"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
            "structured_outputs.regex",
        ),
        ({"structured_outputs": {"regex": "a"}, "stop": ["b"]}, "stop"),
        ({"structured_outputs": {"regex": "a"}, "ignore_eos": True}, "ignore_eos"),
    ],
)
def test_constraints_that_are_refused(fields: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(**fields)
            assert response.status_code == 400
            assert error_of(response)["param"] == param
            assert not server.engine.requests

    asyncio.run(scenario())


def test_refused_grammar_says_where() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(structured_outputs={"regex": "("})
            assert response.status_code == 400
            error = error_of(response)
            assert error["code"] == "invalid_regex"
            assert error["grammar_code"] == "grammar_syntax"
            assert error["param"] == "structured_outputs.regex"
            assert (error["line"], error["column"]) == (1, 1)
            assert "line 1, column 1" in error["message"]

    asyncio.run(scenario())


def test_cut_output_says_length() -> None:
    async def scenario() -> None:
        async with serving(says('{"a', finish_reason="length")) as server:
            response = await server.chat(response_format={"type": "json_object"})
            assert response.json()["choices"][0]["finish_reason"] == "length"

    asyncio.run(scenario())


def test_stream() -> None:
    async def scenario() -> None:
        async with serving(says("Grüße", "", " 😀")) as server:
            response = await server.chat(stream=True, stream_options={"include_usage": True})
            assert response.headers["content-type"].startswith("text/event-stream")
            events = sse_events(response)
            assert {event["object"] for event in events} == {"chat.completion.chunk"}
            assert len({event["id"] for event in events}) == 1
            deltas = [event["choices"][0]["delta"] for event in events[:-1]]
            assert deltas == [
                {"role": "assistant", "content": ""},
                {"content": "Grüße"},
                {"content": " 😀"},
                {},
            ]
            assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [
                None,
                None,
                None,
                "stop",
            ]
            assert all(event["usage"] is None for event in events[:-1])
            assert events[-1]["choices"] == []
            assert events[-1]["usage"]["completion_tokens"] == 3

    asyncio.run(scenario())


def test_stream_announces_choices_in_order() -> None:
    async def scenario() -> None:
        async with serving(says("a", "b")) as server:
            events = sse_events(await server.chat(stream=True, n=3))
            first = [event["choices"][0] for event in events[:3]]
            assert [choice["index"] for choice in first] == [0, 1, 2]
            assert all(choice["delta"]["role"] == "assistant" for choice in first)
            assert "usage" not in events[0]
            ends = [e["choices"][0] for e in events if e["choices"][0]["finish_reason"]]
            assert sorted(choice["index"] for choice in ends) == [0, 1, 2]

    asyncio.run(scenario())


def test_logprobs_are_finite_and_marked() -> None:
    async def check(server: Server, stream: bool) -> dict[str, Any]:
        response = await server.chat(logprobs=True, top_logprobs=2, stream=stream)
        if not stream:
            return dict(response.json()["choices"][0]["logprobs"])
        choices = [event["choices"][0] for event in sse_events(response)]
        content = [entry for c in choices if c["logprobs"] for entry in c["logprobs"]["content"]]
        return {"content": content, "refusal": None}

    async def scenario() -> None:
        async with serving(says("é", "b", logprobs=True)) as server:
            for stream in (False, True):
                logprobs = await check(server, stream)
                entry = logprobs["content"][0]
                assert len(logprobs["content"]) == 2
                assert entry["token"] == "é"
                assert entry["bytes"] == [0xC3, 0xA9]
                assert entry["forced"] is True
                impossible = entry["top_logprobs"][1]
                assert (impossible["token"], impossible["logprob"]) == ("\ufffd", -9999.0)
                assert impossible["bytes"] == [255]

    asyncio.run(scenario())


def test_message_forms() -> None:
    async def scenario() -> None:
        async with serving() as server:
            parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
            call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            response = await server.chat(
                messages=[
                    {"role": "developer", "content": "D"},
                    {"role": "user", "content": parts},
                    {
                        "role": "assistant",
                        "content": None,
                        "refusal": None,
                        "annotations": [],
                        "audio": None,
                        "function_call": None,
                        "tool_calls": [call],
                    },
                    {"role": "tool", "content": "T", "tool_call_id": "1"},
                ]
            )
            assert response.status_code == 200
            (prompt,) = server.engine.prompts
            assert prompt.startswith("<|system|>D<|end|><|user|>a\nb<|end|><|assistant|><|end|>")
            assert prompt.endswith("<|tool|>T<|end|><|assistant|>")

    asyncio.run(scenario())


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"a":' * 1000])
def test_past_calls_must_hold_json(arguments: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            call = {"id": "1", "type": "function", "function": {"name": "f"}}
            call["function"] = {"name": "f", "arguments": arguments}
            message = {"role": "assistant", "tool_calls": [call]}
            response = await server.chat(messages=[message])
            assert response.status_code == 400
            param = "messages[0].tool_calls[0].function.arguments"
            assert error_of(response)["param"] == param

    asyncio.run(scenario())


def test_model_without_chat_template() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.engine.tokenizer.chat_template = None
            response = await server.chat()
            assert response.status_code == 400
            assert error_of(response)["code"] == "chat_template_missing"

    asyncio.run(scenario())


def test_template_that_refuses_the_messages() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(messages=[{"role": "user", "content": "refuse me"}])
            assert response.status_code == 400
            assert "roles must alternate" in error_of(response)["message"]

    asyncio.run(scenario())


def test_prompt_that_does_not_fit() -> None:
    async def scenario() -> None:
        async with serving() as server:
            for length in (990, 5000):
                message = {"role": "user", "content": "x" * length}
                response = await server.chat(messages=[message])
                assert response.status_code == 400
                assert error_of(response)["code"] == "context_length_exceeded"
                assert error_of(response)["param"] == "messages"

    asyncio.run(scenario())


def test_other_model() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(model="gpt-9")
            assert response.status_code == 404
            assert error_of(response)["code"] == "model_not_found"

    asyncio.run(scenario())


# ---------------------------------------------------------------------------------- speculation


def test_speculation_reaches_the_engine() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(
                speculation={"enabled": True, "max_tokens": 5, "sources": ["forced", "prompt"]},
                user="someone",
            )
            await server.chat(speculation={"enabled": False}, safety_identifier="someone")
            await server.chat(speculation={})
            await server.chat(user="another")
            said, off, empty, silent = server.engine.requests
            assert said.speculation == SpeculationOptions(
                max_tokens=5, sources=frozenset({"forced", "prompt"})
            )
            assert off.speculation == SpeculationOptions(enabled=False)
            assert empty.speculation == SpeculationOptions()
            assert silent.speculation is None
            assert said.tenant == off.tenant != silent.tenant
            assert "someone" not in said.tenant
            assert empty.tenant == ""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (True, "speculation"),
        ({"enabled": 1}, "speculation.enabled"),
        ({"max_tokens": 0}, "speculation.max_tokens"),
        ({"max_tokens": "4"}, "speculation.max_tokens"),
        ({"sources": []}, "speculation.sources"),
        ({"sources": "forced"}, "speculation.sources"),
        ({"sources": ["guess"]}, "speculation.sources[0]"),
        ({"max_token": 4}, "speculation.max_token"),
    ],
)
def test_speculation_that_cannot_be_meant_is_refused(value: Any, param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(speculation=value)
            assert response.status_code == 400
            assert error_of(response)["param"] == param

    asyncio.run(scenario())


def drafted(request: GenerationRequest) -> list[Delta]:
    """Two choices, each of which says what became of its drafts."""
    return [
        Delta(
            index=index,
            text="Hi",
            token_ids=(1, 2, 3),
            finish_reason="stop",
            speculation=SpeculationUsage(
                steps=2, by_source={"forced": SourceUsage(4, 1), "prompt": SourceUsage(index, 0)}
            ),
        )
        for index in range(2)
    ]


DRAFTED = {
    "steps": 4,
    "drafted": 9,
    "accepted": 2,
    "by_source": {
        "forced": {"drafted": 8, "accepted": 2},
        "prompt": {"drafted": 1, "accepted": 0},
    },
}


def test_usage_tells_what_became_of_drafts() -> None:
    async def scenario() -> None:
        async with serving(drafted) as server:
            body = (await server.chat(n=2)).json()
            assert body["usage"]["completion_tokens"] == 6
            assert body["usage"]["speculation"] == DRAFTED
            options = {"include_usage": True}
            response = await server.chat(n=2, stream=True, stream_options=options)
            assert sse_events(response)[-1]["usage"]["speculation"] == DRAFTED

    asyncio.run(scenario())


def test_steps_are_counted_by_source() -> None:
    metrics = Metrics("m")
    usage = SpeculationUsage(steps=3, by_source={"corpus": SourceUsage(7, 5)})
    metrics.observe_step(StepReport(speculation=usage))
    metrics.observe_step(StepReport())
    text = metrics.render().decode()
    assert 'syntagma_speculation_steps_total{model_name="m"} 3.0' in text
    assert 'syntagma_drafted_tokens_total{model_name="m",source="corpus"} 7.0' in text
    assert 'syntagma_accepted_tokens_total{model_name="m",source="corpus"} 5.0' in text
