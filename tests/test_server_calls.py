"""Calls within text: formats as grammars, reading them back at every cut, requests, the demo model."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from call_events import gathered
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import validate
from server_fakes import error_of, says, serving, sse_events
from toy import accepts, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler, UnsupportedGrammarError, Vocabulary
from syntagma.server.app import create_app
from syntagma.server.call_text import CallTextReader, Text
from syntagma.server.constraint_kinds import JsonPolicy
from syntagma.server.loading import load
from syntagma.server.metrics import Metrics
from syntagma.server.protocol import ChatBody
from syntagma.server.settings import Settings
from syntagma.server.template_format import tool_format
from syntagma.server.tool_formats import (
    HERMES,
    JSON_FORMATS,
    LLAMA3_JSON,
    MISTRAL,
    CallableFunction,
    ToolFormat,
)
from syntagma.server.tools import CallsInText, wanted_calls

ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["}", '"', "</tool_call>"]}},
    "required": ["a"],
    "additionalProperties": False,
}
PING = {"type": "object", "properties": {}, "additionalProperties": False}
SCHEMAS = {"add": ADD, "ping": PING}
FUNCTIONS = [
    CallableFunction(name, {"type": "json_schema", "json_schema": schema})
    for name, schema in SCHEMAS.items()
]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
Call = tuple[str, str]
FORMAT_LIST = list(JSON_FORMATS.values())
by_format = pytest.mark.parametrize("form", FORMAT_LIST, ids=list(JSON_FORMATS))


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(byte_vocabulary())


def written(form: ToolFormat, calls: list[Call]) -> str:
    """Calls as the format's templates write them."""
    bodies = [form.head % name + arguments + "}" for name, arguments in calls]
    if form.is_list:
        return form.opening + form.separator.join(bodies) + form.closing
    return form.separator.join(form.opening + body + form.closing for body in bodies)


def read(form: ToolFormat, pieces: Iterable[str]) -> tuple[str, list[Call]]:
    """Text and calls that a reader finds."""
    return gathered(CallTextReader(form), pieces)


def test_what_templates_write() -> None:
    calls = [("add", '{"a": 1}'), ("ping", "{}")]
    assert written(HERMES, calls) == (
        '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n'
        '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'
    )
    assert written(LLAMA3_JSON, calls[:1]) == '{"name": "add", "parameters": {"a": 1}}'
    assert written(MISTRAL, calls) == (
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}, {"name": "ping", "arguments": {}}]'
    )


@by_format
@pytest.mark.parametrize("is_forced", [False, True])
@pytest.mark.parametrize("may_repeat", [False, True])
def test_tags_of_formats(
    compiler: GrammarCompiler, form: ToolFormat, is_forced: bool, may_repeat: bool
) -> None:
    tag, pointers = form.tag(FUNCTIONS, is_forced=is_forced, may_repeat=may_repeat)
    for pointer, function in zip(pointers, FUNCTIONS, strict=True):
        place: Any = tag
        for step in pointer.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        assert place is function.arguments
    grammar = compiler.compile_structural_tag(tag)
    one, two = [("add", '{"a": 1}')], [("add", '{"a": -2}'), ("ping", "{}")]
    assert accepts(grammar, written(form, one))
    assert accepts(grammar, written(form, two)) == may_repeat
    assert accepts(grammar, "just text") != is_forced
    assert accepts(grammar, "") != is_forced
    assert accepts(grammar, "see: " + written(form, one)) != is_forced
    assert not accepts(grammar, written(form, [("add", '{"a": "1"}')]))
    assert not accepts(grammar, written(form, [("sub", '{"a": 1}')]))
    assert not accepts(grammar, written(form, one)[:-1])


def test_a_mark_that_is_a_special_token() -> None:
    """Mistral's `[TOOL_CALLS]`: the token begins calls, and the model cannot type its text."""
    texts = [bytes([byte]) for byte in range(256)] + [b"", b"[TOOL_CALLS]", b"</s>"]
    vocabulary = Vocabulary(
        texts, stop_ids=[258], special_ids=[257], special_names={"[TOOL_CALLS]": 257}
    )
    special_compiler = GrammarCompiler(vocabulary)
    form = tool_format("mistral", None, vocabulary.special_names)
    assert isinstance(form, ToolFormat) and form.is_special
    calls = b'[{"name": "add", "arguments": {"a": 1}}, {"name": "ping", "arguments": {}}]'
    for is_forced in (False, True):
        tag, pointers = form.tag(FUNCTIONS, is_forced=is_forced, may_repeat=True)
        for pointer, function in zip(pointers, FUNCTIONS, strict=True):
            place: Any = tag
            for step in pointer.split("/")[1:]:
                place = place[int(step) if step.isdigit() else step]
            assert place is function.arguments
        grammar = special_compiler.compile_structural_tag(tag)
        assert Matcher(grammar).accept_tokens([257, *calls, 258])
        assert Matcher(grammar).accept_tokens([*b"[TOOL] hi", 257, *calls, 258]) != is_forced
        assert not Matcher(grammar).accept_tokens([*b"[TOOL_CALLS]"])
        assert not Matcher(grammar).accept_tokens([257, *calls, *b"hi"])
        assert not Matcher(grammar).accept_tokens([257, *b"hi"])
    text = b"".join(map(vocabulary.output_bytes, [*b"hi", 257, *calls])).decode()
    assert read(form, [text]) == ("hi", [("add", '{"a": 1}'), ("ping", "{}")])


contents = st.text("a <{[;\n", max_size=6)
calls_of_models = st.lists(
    st.sampled_from(
        [
            ("add", '{"a": 1}'),
            ("add", '{"a":2,"b":"}"}'),
            ("add", '{"b": "</tool_call>"}'),
            ("ping", "{}"),
            ("ping", '{"x": [{"y": "\\""}]}'),
        ]
    ),
    min_size=1,
    max_size=2,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(FORMAT_LIST), contents, calls_of_models, contents, st.randoms())
def test_reading_back_at_every_cut(
    form: ToolFormat, before: str, calls: list[Call], after: str, rng: Any
) -> None:
    behind = "" if form.is_list else after
    text = before + written(form, calls) + behind
    glue = " \t\r\n" + form.separator
    expected = (before if before.strip(glue) else "") + (behind if behind.strip(glue) else "")
    # The whole text at once, every single cut, single characters, random pieces.
    assert read(form, [text]) == (expected, calls)
    assert read(form, text) == (expected, calls)
    for cut in range(len(text)):
        assert read(form, [text[:cut], text[cut:]]) == (expected, calls)
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(4))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(form, pieces) == (expected, calls)


@by_format
def test_text_without_calls_is_left_alone(form: ToolFormat) -> None:
    for text in ("", " ", "\n\nhi \n", form.trigger[:-1], "a" + form.trigger[:3] + "b", " " * 5000):
        assert read(form, [text]) == (text, [])
        assert read(form, text) == (text, [])


@by_format
def test_text_comes_at_once(form: ToolFormat) -> None:
    reader = CallTextReader(form)
    assert reader.feed("Hello") == [Text("Hello")]
    assert reader.feed(" ") == [Text(" ")]
    assert reader.feed(form.trigger[0]) == []
    assert reader.feed("!") == [Text(form.trigger[0] + "!")]


def test_long_outputs_take_linear_time() -> None:
    for piece in ("<", " ", "<tool_call", "x"):
        text = piece * (1_000_000 // len(piece))
        assert read(HERMES, (text[i : i + 10] for i in range(0, len(text), 10))) == (text, [])


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (None, None),
        ("{{ messages }}", None),
        ("...<tool_call></tool_call>...", "hermes"),
        ("<tool_call><function=f><parameter=a>", "qwen3_coder"),
        ("<tool_call><function=f>{}", None),
        ("<tool_call>{name}<arg_key>a</arg_key>\n<arg_value>", "glm45"),
        ("<tool_call>{name}<arg_key>a</arg_key><arg_value>", "glm47"),
        ("<｜tool▁calls▁begin｜>\n```json", "deepseek_v3"),
        ("<｜tool▁calls▁begin｜>", "deepseek_v31"),
        ("<|tool_calls_section_begin|>", "kimi_k2"),
        ("[TOOL_CALLS] [", "mistral"),
        ("[TOOL_CALLS]f[ARGS]{}", None),
        ('<|python_tag|> {"name": f, "parameters": {}}', "llama3_json"),
        ("<|python_tag|>", None),
    ],
)
def test_formats_of_templates(template: str | None, name: str | None) -> None:
    found = tool_format("auto", template)
    assert (found.name if found else None) == name
    assert tool_format("none", template) is None
    assert tool_format("mistral", template) is MISTRAL


def body(**fields: Any) -> ChatBody:
    return ChatBody(messages=[{"role": "user", "content": "x"}], tools=TOOLS, **fields)


def test_choices_and_their_grammars(compiler: GrammarCompiler) -> None:
    def accepted(text: str, **fields: Any) -> bool:
        found = wanted_calls(body(**fields), JsonPolicy(), HERMES)
        assert isinstance(found, CallsInText)
        return accepts(found.constraint.compile(compiler), text)

    one, two = written(HERMES, [("ping", "{}")]), written(HERMES, [("ping", "{}")] * 2)
    named = {"type": "function", "function": {"name": "add"}}
    for choice in ({}, {"tool_choice": "auto"}):
        assert accepted("hi", **choice) and accepted(one, **choice) and accepted(two, **choice)
        assert not accepted(two, parallel_tool_calls=False, **choice)
    assert not accepted("hi", tool_choice="required") and accepted(two, tool_choice="required")
    assert not accepted(two, tool_choice="required", parallel_tool_calls=False)
    assert not accepted(one, tool_choice=named)
    assert accepted(written(HERMES, [("add", '{"a": 1}')]), tool_choice=named)
    assert not accepted(written(HERMES, [("add", '{"a": 1}')] * 2), tool_choice=named)
    assert wanted_calls(body(tool_choice="none"), JsonPolicy(), HERMES) is None
    assert wanted_calls(body(), JsonPolicy(), None) is None


TALK = "Let me see.\n" + written(HERMES, [("add", '{"a": 1}'), ("ping", "{}")]) + "\nDone < it."


def test_an_answer_with_text_and_calls() -> None:
    async def scenario() -> None:
        async with serving(says(*TALK), tool_call_parser="hermes") as server:
            response = await server.chat(tools=TOOLS)
            ((kind, source, _),) = server.compiler.calls
            assert kind == "structural_tag" and source["format"]["triggers"] == ["<tool_call>"]
            assert response.json()["syntagma"]["constraint"]["kind"] == "structural_tag"
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            message = choice["message"]
            assert message["content"] == "Let me see.\n\nDone < it."
            functions = [call["function"] for call in message["tool_calls"]]
            assert functions == [
                {"name": "add", "arguments": '{"a": 1}'},
                {"name": "ping", "arguments": "{}"},
            ]
            assert len({call["id"] for call in message["tool_calls"]}) == 2

    asyncio.run(scenario())


def test_an_answer_is_streamed() -> None:
    async def scenario() -> None:
        async with serving(says(*TALK), tool_call_parser="hermes") as server:
            response = await server.chat(tools=TOOLS, stream=True, n=2)
            choices = [event["choices"][0] for event in sse_events(response)]
            for index in (0, 1):
                mine = [choice for choice in choices if choice["index"] == index]
                assert mine[0]["delta"] == {"role": "assistant", "content": ""}
                assert mine[-1]["finish_reason"] == "tool_calls"
                content = "".join(c["delta"].get("content") or "" for c in mine)
                assert content == "Let me see.\n\nDone < it."
                deltas = [c["delta"]["tool_calls"][0] for c in mine if "tool_calls" in c["delta"]]
                for number, name, arguments in [(0, "add", '{"a": 1}'), (1, "ping", "{}")]:
                    first, *more = [d for d in deltas if d["index"] == number]
                    assert first["type"] == "function" and first["id"].startswith("call_")
                    assert first["function"] == {"name": name, "arguments": ""}
                    assert all(d.keys() == {"index", "function"} for d in more)
                    assert "".join(d["function"]["arguments"] for d in more) == arguments
                # A call is complete before the next one begins.
                assert [d["index"] for d in deltas] == sorted(d["index"] for d in deltas)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("Hello", "Hello", None),
        ("Hello <tool_", "Hello <tool_", None),
        ("<tool_call>", "", None),
        ('<tool_call>\n{"na', "", None),
        ('a<tool_call>\n{"name": "add", "arguments": {"a"', "a", [("add", '{"a"')]),
    ],
)
def test_cut_answers(text: str, content: str, calls: list[Call] | None) -> None:
    async def scenario() -> None:
        script = says(*text, finish_reason="length")
        async with serving(script, tool_call_parser="hermes") as server:
            choice = (await server.chat(tools=TOOLS)).json()["choices"][0]
            assert choice["finish_reason"] == "length"
            assert choice["message"]["content"] == content
            found = choice["message"].get("tool_calls")
            assert (found and [tuple(c["function"].values()) for c in found]) == calls

    asyncio.run(scenario())


def test_forced_calls_have_no_content() -> None:
    async def scenario() -> None:
        text = written(HERMES, [("add", '{"a": 1}')])
        for choice, reason in [
            ("required", "tool_calls"),
            ({"type": "function", "function": {"name": "add"}}, "stop"),
        ]:
            async with serving(says(*text), tool_call_parser="hermes") as server:
                answer = (await server.chat(tools=TOOLS, tool_choice=choice)).json()["choices"][0]
                assert answer["message"]["content"] is None
                assert answer["finish_reason"] == reason
                assert len(answer["message"]["tool_calls"]) == 1

    asyncio.run(scenario())


def test_text_alone_ends_with_stop() -> None:
    async def scenario() -> None:
        async with serving(says("No", " need"), tool_call_parser="llama3_json") as server:
            choice = (await server.chat(tools=TOOLS)).json()["choices"][0]
            assert choice["finish_reason"] == "stop"
            assert choice["message"] == {"role": "assistant", "content": "No need", "refusal": None}

    asyncio.run(scenario())


def test_other_fields_beside_calls() -> None:
    async def scenario() -> None:
        async with serving(says("{}"), tool_call_parser="hermes") as server:
            # A format that is asked for wins over calls that are only allowed.
            response = await server.chat(tools=TOOLS, response_format={"type": "json_object"})
            assert response.json()["choices"][0]["message"]["content"] == "{}"
            assert server.compiler.calls == [("json_object", None, "flexible")]
            response = await server.chat(
                tools=TOOLS, tool_choice="required", response_format={"type": "json_object"}
            )
            assert error_of(response)["code"] == "conflicting_constraints"
            await server.chat(tools=TOOLS, structured_outputs={"whitespace": "compact"})
            assert server.compiler.calls[-1][2] == "compact"
            assert error_of(await server.chat(tools=TOOLS, stop="x"))["param"] == "stop"

    asyncio.run(scenario())


def test_a_bad_tool_is_named() -> None:
    async def scenario() -> None:
        async with serving(tool_call_parser="hermes") as server:
            server.compiler.error = UnsupportedGrammarError(
                "it is not enforced",
                keyword="x",
                pointer="/format/tags/1/content/json_schema/properties/y",
            )
            error = error_of(await server.chat(tools=TOOLS))
            assert error["param"] == "tools[1].function.parameters"
            assert error["pointer"] == "/properties/y"
            assert error["code"] == "invalid_json_schema"

    asyncio.run(scenario())


@pytest.fixture(scope="module")
def demo() -> Iterator[Any]:
    """Asks the demo model through the server, with calls in a format."""
    settings = Settings(log_level="warning", max_active=4)
    engine, compiler = load(settings, Metrics("demo"))

    def ask(form: ToolFormat, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        async def scenario() -> list[dict[str, Any]]:
            app = create_app(
                Settings(tool_call_parser=form.name), engine, compiler, Metrics("demo")
            )
            context = app.state.context
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://x", timeout=300
            )
            async with client:
                answers = await asyncio.gather(
                    *(client.post("/v1/chat/completions", json=request) for request in requests)
                )
            context.compiling.shutdown()
            return [answer.json()["choices"][0] for answer in answers]

        return asyncio.run(scenario())

    asyncio.run(engine.start())
    yield ask
    asyncio.run(engine.shutdown())


SMALL = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "n": {"type": "integer", "minimum": -9, "maximum": 99},
        "kinds": {"type": "array", "items": {"enum": ["a", "b", None]}, "maxItems": 2},
    },
    "required": ["name", "n"],
    "additionalProperties": False,
}


DROP = {"type": "function", "function": {"name": "drop"}}


@by_format
def test_the_demo_model_calls(demo: Any, form: ToolFormat) -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": SMALL}}
        for name in ("save", "drop")
    ]
    requests = [
        {
            "messages": [{"role": "user", "content": "Ann Lee is 30. Write JSON with her name."}],
            "tools": tools,
            "tool_choice": choice,
            "temperature": 1.5,
            "seed": seed,
            "parallel_tool_calls": seed > 1,
            "max_tokens": 150,
        }
        for choice, num_seeds in [("auto", 5), ("required", 3), (DROP, 2)]
        for seed in range(num_seeds)
    ]
    num_calls = num_texts = num_own = 0
    for request, choice in zip(requests, demo(form, requests), strict=True):
        message = choice["message"]
        calls = message.get("tool_calls") or []
        if request["tool_choice"] != "auto":
            assert message["content"] is None
            assert calls or choice["finish_reason"] == "length"
        if choice["finish_reason"] == "length":
            continue
        num_calls += len(calls)
        num_own += len(calls) if request["tool_choice"] == "auto" else 0
        num_texts += bool(message["content"])
        for call in calls:
            validate(json.loads(call["function"]["arguments"]), SMALL)
            assert call["function"]["name"] in ("save", "drop")
            if isinstance(request["tool_choice"], dict):
                assert call["function"]["name"] == "drop"
        assert form.trigger not in (message["content"] or "")
        assert not re.search("tool_call|TOOL_CALLS", message["content"] or "")
    assert num_calls >= 2
    assert num_texts >= 1
    # Its own idea of JSON begins like a call of this format.
    assert num_own >= 1 or form is not LLAMA3_JSON


def test_the_openai_package_reads_streams() -> None:
    """Its events for calls within text; each call's arguments are whole JSON at its end."""
    openai = pytest.importorskip("openai")

    async def scenario() -> None:
        async with serving(says(*TALK), tool_call_parser="hermes") as server:
            client = openai.AsyncOpenAI(
                base_url="http://server/v1", api_key="none", http_client=server.client
            )
            strict = [{**t, "function": {**t["function"], "strict": True}} for t in TOOLS]
            arguments = []
            async with client.chat.completions.stream(
                model="fake", messages=[{"role": "user", "content": "x"}], tools=strict
            ) as stream:
                async for event in stream:
                    if event.type == "tool_calls.function.arguments.done":
                        arguments.append((event.name, json.loads(event.arguments)))
                final = await stream.get_final_completion()
            assert arguments == [("add", {"a": 1}), ("ping", {})]
            message = final.choices[0].message
            assert message.content == "Let me see.\n\nDone < it."
            assert [call.function.name for call in message.tool_calls] == ["add", "ping"]
            assert final.choices[0].finish_reason == "tool_calls"
            # The answer goes back in as it came.
            again = [{"role": "user", "content": "x"}, message.model_dump(exclude_none=True)]
            again += [
                {"role": "tool", "content": "ok", "tool_call_id": call.id}
                for call in message.tool_calls
            ]
            await client.chat.completions.create(model="fake", messages=again, tools=TOOLS)

    asyncio.run(scenario())


def test_the_template_decides() -> None:
    async def scenario() -> None:
        async with serving(says("Hi")) as server:
            server.engine.tokenizer.chat_template = "...<tool_call>{...}</tool_call>"
            await server.chat(tools=TOOLS)
            assert server.compiler.calls[0][0] == "structural_tag"
        async with serving(says("Hi"), tool_call_parser="none") as server:
            server.engine.tokenizer.chat_template = "...<tool_call>{...}</tool_call>"
            await server.chat(tools=TOOLS)
            assert not server.compiler.calls

    asyncio.run(scenario())
