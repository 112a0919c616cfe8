"""What a check tells: keywords, remarks, self-tests; over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import schemas
from server_fakes import FakeEngine, error_of
from toy import JSON_TOKENS, accepts, byte_vocabulary
from wide_schemas import wide_schemas

from syntagma.decoding import self_test as self_tests
from syntagma.decoding.self_test import SelfTest, draw, self_test
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
)
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_examination import SchemaExamination
from syntagma.grammar.schema_judge import SchemaJudge
from syntagma.server.app import create_app
from syntagma.server.settings import Settings

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


def examination(schema: Any, **policies: Any) -> SchemaExamination:
    return SchemaExamination(
        schema, options=JsonOptions(**policies), limits=CompileLimits(max_seconds=20)
    )


def lints(schema: Any) -> list[tuple[str, str]]:
    found = examination(schema).lints()
    return [(lint.code, lint.pointer) for lint in found if lint.code != "not_strict"]


def run(schema: Any, num_samples: int = 20, **policies: Any) -> SelfTest:
    grammar = COMPILER.compile_json_schema(schema, **policies)
    return self_test(
        grammar, examination(schema, **policies), COMPILER, num_samples=num_samples, max_seconds=60
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"a": {"max_length": 3}}}, [("unknown_keyword", "/properties/a/max_length")]),
        ({"minLen": 1, "x-order": 2, "order": 1}, [("unknown_keyword", "/minLen")]),
        ({"properties": {"a": {}}, "required": ["a", "b"]}, [("required_undeclared", "/required")]),
        ({"properties": {"a": {}}, "required": ["b"], "patternProperties": {"b": {}}}, []),
        ({"enum": list(range(1001))}, [("large", "/enum")]),
        ({"type": "string", "maxLength": 20_000}, [("large", "/maxLength")]),
        ({"pattern": "^(.{300}a|b.{300})$"}, [("large", "/pattern")]),
        ({"properties": {"a": {"type": "string", "enum": [1]}}}, [("unsatisfiable", "/properties/a"), ("invalid_value", "/properties/a/enum/0")]),
        ({"anyOf": [{"type": "null"}, {"properties": {"a": {"minimum": 2, "maximum": 1, "type": "integer"}}, "required": ["a"], "type": "object"}]}, [("unsatisfiable", "/anyOf/1/properties/a")]),
        ({"$defs": {"loop": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/loop"}}}}, [("unsatisfiable", "/$defs/loop/items")]),
        ({"type": "integer", "default": 1.5}, [("invalid_default", "/default")]),
        ({"items": {"type": "string", "examples": ["a", 1, None]}}, [("invalid_example", "/items/examples/1"), ("invalid_example", "/items/examples/2")]),
        ({"const": "abc", "maxLength": 3, "enum": ["abc", "abcd"]}, [("invalid_value", "/enum/1")]),
        ({"multipleOf": 0.1, "default": 0.3}, []),
        ({"type": "object", "additionalProperties": False, "required": [], "properties": {}}, []),
    ],
)  # fmt: skip
def test_lints(schema: Any, expected: list[tuple[str, str]]) -> None:
    assert lints(schema) == expected


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {}}, "required": ["a"]}, "additionalProperties is not false"),
        ({"properties": {"a": {}}, "additionalProperties": False}, "not required: 'a'"),
        ({"properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, None),
        ({"type": "string"}, None),
    ],
)
def test_strictness(schema: Any, said: str | None) -> None:
    found = [lint.message for lint in examination(schema).lints() if lint.code == "not_strict"]
    assert [said in message for message in found if said] == ([True] if said else [])
    assert bool(found) == bool(said)


def test_what_could_not_be_checked_is_said() -> None:
    limits = CompileLimits(max_seconds=0)
    schema = {"properties": {"a": {"type": "string", "default": 1}}}
    found = SchemaExamination(schema, options=JsonOptions(), limits=limits).lints()
    assert [lint.code for lint in found if lint.code != "not_strict"] == ["unchecked"]


def test_keywords_in_place() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {
            "a/b": {"format": "date", "title": "t", "odd": 1},
            "c": {"format": "color", "prefixItems": [], "minLenght": 2},
            "d": {"$ref": "#", "type": "null"},
            "e": {"items": [{"const": 1}], "additionalItems": {"not": {}}},
            "f": {"additionalItems": {}},
        },
    }
    found = {use.pointer: use.treatment for use in examination(schema).keywords()}
    assert found == {
        "/$schema": "annotation",
        "/properties": "enforced",
        "/properties/a~1b/format": "enforced",
        "/properties/a~1b/title": "annotation",
        "/properties/a~1b/odd": "annotation",
        "/properties/c/format": "refused",
        "/properties/c/prefixItems": "refused",
        "/properties/c/minLenght": "refused",
        "/properties/d/$ref": "enforced",
        "/properties/d/type": "annotation",
        "/properties/e/items": "enforced",
        "/properties/e/items/0/const": "enforced",
        "/properties/e/additionalItems": "enforced",
        "/properties/e/additionalItems/not": "enforced",
        "/properties/f/additionalItems": "annotation",
    }
    for formats in ("known", "annotate"):
        uses = examination(schema, formats=formats).keywords()
        (use,) = [use for use in uses if use.pointer == "/properties/c/format"]
        assert use.treatment == "annotation"
    uses = examination(schema, slips="annotate").keywords()
    (use,) = [use for use in uses if use.pointer == "/properties/c/minLenght"]
    assert use.treatment == "annotation"


def test_slips_that_are_not_refused_are_remarked_on() -> None:
    schema = {"properties": {"a": {"type": "string", "minLenght": 2}}, "anyof": [], "odd": 1}
    found = examination(schema, slips="annotate").lints()
    remarks = [(lint.pointer, lint.message) for lint in found if lint.code == "unknown_keyword"]
    assert remarks == [
        ("/anyof", "'anyof' is no keyword and has no effect; was 'anyOf' meant?"),
        (
            "/properties/a/minLenght",
            "'minLenght' is no keyword and has no effect; was 'minLength' meant?",
        ),
    ]
    assert [code for code, _ in lints(schema)] == ["unchecked"]


@SETTINGS
@given(wide_schemas())
def test_keywords_that_are_refused_are_refused(schema: Any) -> None:
    """A schema with a keyword that is listed as refused where it counts does not compile."""
    try:
        COMPILER.compile_json_schema(schema)
    except GrammarError:
        return
    if isinstance(schema, dict):
        assert not [u for u in examination(schema).keywords() if u.treatment == "refused"]


@SETTINGS
@given(wide_schemas())
def test_schemas_called_unsatisfiable_have_no_instance(schema: Any) -> None:
    try:
        COMPILER.compile_json_schema(schema)
        found = examination(schema).lints()
    except GrammarError:
        return
    for lint in found:
        if lint.code == "unsatisfiable":
            documents = {"urn:test:all": schema}
            with pytest.raises(UnsatisfiableGrammarError):
                COMPILER.compile_json_schema(
                    {"$ref": f"urn:test:all#{lint.pointer}"}, schemas=documents
                )


@SETTINGS
@given(schemas(), st.integers(0, 1000))
def test_random_schemas_pass_their_self_test(schema: dict[str, Any], seed: int) -> None:
    try:
        grammar = COMPILER.compile_json_schema(schema)
    except (UnsatisfiableGrammarError, GrammarLimitError):
        return
    found = self_test(grammar, examination(schema), COMPILER, num_samples=3, seed=seed)
    assert found.is_passed, found


@SETTINGS
@given(
    wide_schemas(),
    st.sampled_from(
        [
            {},
            {"whitespace": "pretty"},
            {"property_order": "any"},
            {"numbers": "any"},
            {"additional_properties_default": False},
            {"string_escapes": "canonical", "max_string": 9, "max_digits": 4},
        ]
    ),
)
def test_wide_schemas_pass_their_self_test(schema: Any, policies: dict[str, Any]) -> None:
    try:
        grammar = COMPILER.compile_json_schema(schema, **policies)
    except GrammarError:
        return
    found = self_test(grammar, examination(schema, **policies), COMPILER, num_samples=3)
    assert not found.invalid, found


def test_a_self_test_counts() -> None:
    schema = {
        "properties": {"b": {"type": "number", "default": 1.0}, "a": {"enum": ["x", 2, [0.5]]}},
        "examples": [{"a": "x", "b": 1}, {"b": 2.5, "a": [0.5]}, {"a": 7}],
        "type": "object",
    }
    for whitespace in ("flexible", "compact", "pretty"):
        found = run(schema, whitespace=whitespace)
        assert found == SelfTest(20, 0, (), 6, (), True)
    assert run(schema, 5) == run(schema, 5)


def test_a_self_test_can_fail() -> None:
    loose = COMPILER.compile_json_schema({"type": "integer"})
    strict = examination({"type": "integer", "minimum": 0, "examples": [5]})
    found = self_test(loose, strict, COMPILER, num_samples=100)
    assert found.invalid and all(int(text) < 0 for text in found.invalid)
    assert not found.is_passed

    class WrongCompiler:
        def compile_json_schema(self, schema: Any, **options: Any) -> Any:
            return COMPILER.compile_json_schema({"type": "null"})

    found = self_test(loose, strict, WrongCompiler(), num_samples=0)
    assert found.rejected == ("/examples/0",)
    assert not found.is_passed


def test_a_self_test_ends_in_time() -> None:
    grammar = COMPILER.compile_json_schema({})
    found = self_test(grammar, examination({}), COMPILER, num_samples=10**6, max_seconds=0.05)
    assert not found.is_complete
    assert found.num_samples < 10**6


@SETTINGS
@given(st.randoms(use_true_random=False))
def test_outputs_drawn_are_outputs(rng: random.Random) -> None:
    grammar = COMPILER.compile_regex('[ab"]{2,9}|(x[,:])*')
    text = draw(grammar, rng)
    assert text is not None and accepts(grammar, text)


def test_the_judge_calculates_exactly() -> None:
    judge = SchemaJudge({"multipleOf": 0.1}, {}, JsonOptions())
    assert [judge.verdict(text) for text in ("0.3", "0.7", "0.35", "1", "1e30")] == [
        True, True, False, True, True,
    ]  # fmt: skip
    assert SchemaJudge({"type": "integer"}, {}, JsonOptions()).verdict("1.0") is True
    assert SchemaJudge({"enum": [0.1, 2]}, {}, JsonOptions()).verdict("0.1") is True
    assert SchemaJudge({"format": "time"}, {}, JsonOptions()).verdict('"00:00:00Z"') is True
    assert SchemaJudge({"format": "date"}, {}, JsonOptions()).verdict('"2024-02-30"') is False
    assert SchemaJudge({"format": "date-time"}, {}, JsonOptions()).verdict('"today"') is False
    annotated = JsonOptions(formats="annotate")
    assert SchemaJudge({"format": "date"}, {}, annotated).verdict('"2024-02-30"') is True
    assert SchemaJudge({"$ref": "#"}, {}, JsonOptions()).verdict("1") is None
    deep = {"items": {"$ref": "#"}, "anyOf": [{"type": "array"}, {"type": "null"}]}
    nested = ["[" * depth + "null" + "]" * depth for depth in (9, 400)]
    assert [SchemaJudge(deep, {}, JsonOptions()).verdict(text) for text in nested] == [True, None]
    named_id = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "items": {"properties": {"id": {}, "type": {"type": "null"}}},
    }
    judge = SchemaJudge(named_id, {}, JsonOptions())
    assert judge.verdict("1", pointer="/items/properties/type") is None
    assert judge.verdict('[{"type": 1}]') is False
    assert SchemaJudge({"pattern": "\\p{L}"}, {}, JsonOptions()).verdict('"a"') is None


@SETTINGS
@given(
    wide_schemas(), st.sampled_from(["1", '"a"', "{}", "[]", "null", '{"a": 1}', "[1, 2]", "0.5"])
)
def test_the_judge_is_the_package(schema: Any, text: str) -> None:
    try:
        COMPILER.compile_json_schema(schema)
    except GrammarError:
        return
    verdict = SchemaJudge(schema, {}, JsonOptions()).verdict(text)
    if verdict is not None:
        validator = jsonschema.Draft202012Validator(schema)
        assert verdict == validator.is_valid(json.loads(text))


def posted(*bodies: dict[str, Any], **settings: Any) -> list[httpx.Response]:
    """The answers of a server with a real compiler."""

    async def scenario() -> list[httpx.Response]:
        app = create_app(Settings(**settings), FakeEngine(), COMPILER)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            return [await client.post("/v1/grammars/check", json=body) for body in bodies]

    return asyncio.run(scenario())


def test_the_endpoint_reports() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    first, again, regex, choice, rules = posted(
        {"json_schema": schema, "self_test": 10, "max_digits": 2, "whitespace": "compact"},
        {"json_schema": schema, "self_test": 0},
        {"regex": "a{3}|bb"},
        {"choice": ["yes", "no"]},
        {"ebnf": 'root ::= "(" root ")" | "x"'},
    )
    report = first.json()
    assert report["ok"] is True
    assert report["witness"] == '{"a":0}'
    assert report["min_bytes"] == 7
    assert report["witness_tokens"] == 5
    assert report["options"]["max_digits"] == 2
    assert [use["pointer"] for use in report["keywords"]] == [
        "/type", "/properties", "/required", "/properties/a/type",
    ]  # fmt: skip
    assert [lint["code"] for lint in report["lints"]] == ["not_strict"]
    assert report["self_test"]["is_passed"] is True
    assert report["self_test"]["num_samples"] == 10
    assert "self_test" not in again.json()
    assert again.json()["hash"] != report["hash"]
    for answer, witness in ((regex, "bb"), (choice, "no"), (rules, "x")):
        report = answer.json()
        assert report["witness"] == witness
        assert not {"keywords", "lints", "options"} & report.keys()


def test_the_endpoint_explains_refusals() -> None:
    unsatisfiable, unsupported, slip, malformed, rules = posted(
        {"json_schema": {"properties": {"a": {"type": "string", "enum": [1]}}, "required": ["a", "b"], "type": "object"}},
        {"json_schema": {"items": {"pattern": "(?<=a)b"}}},
        {"json_schema": {"minLenght": 1}},
        {"json_schema": {"type": "text"}},
        {"ebnf": "root ::= missing"},
    )  # fmt: skip
    report = unsatisfiable.json()
    assert report["ok"] is False
    assert "/properties/a/enum" in report["error"]["conflict"]
    assert ("required_undeclared", "/required") in [
        (lint["code"], lint["pointer"]) for lint in report["lints"]
    ]
    report = unsupported.json()
    refused = [use["pointer"] for use in report["keywords"] if use["treatment"] == "refused"]
    assert refused == [report["error"]["pointer"]] == ["/items/pattern"]
    report = slip.json()
    assert report["keywords"] == [
        {"pointer": "/minLenght", "keyword": "minLenght", "treatment": "refused"}
    ]
    assert malformed.json()["error"]["pointer"] == "/type"
    assert rules.json()["error"]["code"] == "invalid_ebnf"


@pytest.mark.parametrize(
    "body",
    [
        {"regex": "a", "self_test": 1},
        {"json_schema": {}, "self_test": -1},
        {"json_schema": {}, "self_test": True},
        {"json_schema": {}, "self_test": 1001},
        {"json_schema": {}, "self_test": "9"},
    ],
)
def test_self_tests_that_are_refused(body: dict[str, Any]) -> None:
    (answer,) = posted(body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "self_test"


def test_checks_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        app = create_app(Settings(compile_queue=1), FakeEngine(), COMPILER)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            context = app.state.context
            gate = asyncio.Event()
            loop = asyncio.get_running_loop()

            def work() -> dict[str, Any]:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
                return {"done": True}

            running = asyncio.create_task(context.checking.run(work))
            await asyncio.sleep(0)
            answer = await client.post("/v1/grammars/check", json={"regex": "a"})
            assert answer.status_code == 429
            gate.set()
            assert await running == {"done": True}
            answer = await client.post("/v1/grammars/check", json={"regex": "a"})
            assert answer.status_code == 200

    asyncio.run(scenario())


def test_long_values_of_a_self_test_are_cut() -> None:
    assert self_tests.MAX_FREE_TOKENS < 100
    big = {"type": "string", "minLength": 70_000}
    (answer,) = posted({"json_schema": big, "self_test": 2})
    report = answer.json()
    assert report["witness"] is None
    assert report["min_bytes"] == 70_002
    assert report["self_test"]["num_unjudged"] == 2
