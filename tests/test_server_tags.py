"""Structural tags in requests: where they may stand, what is refused, how answers report them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from server_fakes import error_of, says, serving

from syntagma.clients.constraints import chat_constraint, check_constraint
from syntagma.decoding.grammar_spec import GrammarSpec, GrammarTicket
from syntagma.grammar import GrammarSyntaxError
from syntagma.server.cli import run

TAG = {
    "type": "structural_tag",
    "format": {
        "type": "tag",
        "begin": "<",
        "content": {"type": "json_schema", "json_schema": {"const": 7}},
        "end": ">",
    },
}
OLD = {
    "type": "structural_tag",
    "triggers": ["<"],
    "structures": [{"begin": "<f>", "schema": {}, "end": "</f>"}],
}


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"response_format": TAG}, TAG),
        ({"response_format": OLD}, OLD),
        ({"structured_outputs": {"structural_tag": TAG}}, TAG),
        ({"structured_outputs": {"structural_tag": json.dumps(OLD)}}, OLD),
    ],
)
def test_where_tags_may_stand(fields: dict[str, Any], source: Any) -> None:
    async def scenario() -> None:
        for is_chat in (True, False):
            async with serving(says("<7>")) as server:
                response = await (server.chat if is_chat else server.complete)(**fields)
                assert response.status_code == 200, response.text
                assert server.compiler.calls == [("structural_tag", source, "flexible")]
                told = response.json()["syntagma"]["constraint"]
                assert told["kind"] == "structural_tag"
                assert told["options"]["whitespace"] == "flexible"

    asyncio.run(scenario())


def test_policies_beside_a_tag() -> None:
    async def scenario() -> None:
        async with serving(says("<7>")) as server:
            outputs = {"structural_tag": TAG, "whitespace": "compact"}
            await server.chat(structured_outputs=outputs)
            assert server.compiler.calls == [("structural_tag", TAG, "compact")]
            await server.chat(
                response_format=TAG, structured_outputs={"whitespace": "compact", "max_string": 5}
            )
            assert server.compiler.policies[-1]["max_string"] == 5

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("outputs", "param"),
    [
        ({"structural_tag": 5}, "structured_outputs.structural_tag"),
        ({"structural_tag": "{"}, "structured_outputs.structural_tag"),
        ({"structural_tag": "[]"}, "structured_outputs.structural_tag"),
        ({"structural_tag": TAG, "schemas": {}}, "structured_outputs.schemas"),
        ({"structural_tag": TAG, "syntax": "lark"}, "structured_outputs.syntax"),
        ({"structural_tag": TAG, "regex": "a"}, "structured_outputs"),
    ],
)
def test_refusals(outputs: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.chat(structured_outputs=outputs)
            assert response.status_code == 400
            assert error_of(response)["param"] == param

    asyncio.run(scenario())


def test_errors_name_the_place() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.compiler.error = GrammarSyntaxError("it is wrong", pointer="/format/type")
            error = error_of(await server.chat(response_format=TAG))
            assert error["code"] == "invalid_structural_tag"
            assert error["param"] == "response_format"
            assert error["pointer"] == "/format/type"

    asyncio.run(scenario())


def test_checked_by_endpoint_and_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.client.post("/v1/grammars/check", json={"structural_tag": TAG})
            assert response.json()["ok"]

    asyncio.run(scenario())
    file = tmp_path / "tag.json"
    file.write_text(json.dumps(TAG))
    assert run(["check", str(file), "--kind", "structural_tag"]) == 0
    assert "<7>" in capsys.readouterr().out
    file.write_text(json.dumps({**TAG, "format": {"type": "any_txt"}}))
    assert run(["check", str(file), "--kind", "structural_tag"]) == 1
    assert "pointer /format/type" in capsys.readouterr().out


def test_tickets_carry_tags() -> None:
    spec = GrammarSpec("structural_tag", TAG, {"whitespace": "compact"})
    ticket = GrammarTicket("0", "1", spec)
    assert GrammarTicket.from_text(ticket.to_text()) == ticket


@pytest.mark.parametrize(
    "schema", [True, {"properties": {"é": {"enum": ["\\", 1.0, 10**30]}, "a": {}}}]
)
def test_tickets_carry_schemas_as_text(schema: Any) -> None:
    spec = GrammarSpec("json_schema", schema, schemas={"urn:x": {"type": "null"}})
    carried = GrammarTicket.from_text(GrammarTicket("0", "1", spec).to_text()).spec
    assert carried is not None and isinstance(carried.source, str)
    assert json.dumps(json.loads(carried.source)) == json.dumps(schema)
    assert (carried.schemas, carried.policies) == (spec.schemas, spec.policies)
    again = GrammarTicket("0", "1", carried)
    assert GrammarTicket.from_text(again.to_text()) == again


def test_the_sdk_sends_tags() -> None:
    expected = {"structured_outputs": {"structural_tag": TAG, "whitespace": "compact"}}
    assert chat_constraint({"structural_tag": TAG, "whitespace": "compact"}) == expected
    assert check_constraint({"structural_tag": json.dumps(TAG)}) == {
        "structural_tag": json.dumps(TAG)
    }
    with pytest.raises(TypeError, match="structural_tag"):
        check_constraint({"structural_tag": 5})
    with pytest.raises(ValueError, match="one constraint"):
        chat_constraint({"structural_tag": TAG, "regex": "a"})
