"""Random schemas through the running server and the demo model at temperature 1."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, note, settings
from schema_strategies import schemas
from test_json_schema import is_valid
from test_server_live import MODEL, client, url

__all__ = ["client", "url"]

NUM_SCHEMAS = max(25, settings().max_examples // 18)


def outcome(client: openai.OpenAI, schema: dict[str, Any]) -> str:
    """What became of one request: refused, cut at its length, or a checked answer."""
    try:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Ada Moss is 36 years old and lives in Oslo."}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "random", "schema": schema},
            },
            temperature=1.0,
            max_tokens=300,
        )
    except openai.BadRequestError as error:
        body: Any = error.body
        assert body["grammar_code"] in ("grammar_unsatisfiable", "grammar_limit"), body
        return "refused"
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        return "cut"
    assert choice.finish_reason == "stop"
    assert is_valid(schema, json.loads(choice.message.content or "")) in (True, None)
    return "valid"


@pytest.mark.usefixtures("url")
def test_finished_answers_are_valid(client: openai.OpenAI) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=NUM_SCHEMAS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(schemas())
    def ask(schema: dict[str, Any]) -> None:
        outcomes[outcome(client, schema)] += 1
        note(str(outcomes))

    ask()
    print(dict(outcomes))
    assert outcomes["valid"] > outcomes["cut"]
