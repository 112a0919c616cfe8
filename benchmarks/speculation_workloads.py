"""Four kinds of requests for speculation: extraction with a schema, tool calls, JSON editing, free text.

The texts are the demo model's own, from the part of its corpus that it was not trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import demo_corpus

SEED = 7


@dataclass(frozen=True)
class Task:
    """One request.

    Attributes:
        messages: the chat.
        tools: shown to the model by its template.
        schema: what the output must fit; None: free text.
    """

    messages: list[dict[str, str]]
    tools: list[dict[str, Any]]
    schema: dict[str, Any] | None


def schema_of(value: Any) -> dict[str, Any]:
    """A schema that asks for values of the same shape."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: schema_of(part) for key, part in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}, "maxItems": 8}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer" if isinstance(value, int) else "number"}
    return {"type": "null"} if value is None else {"type": "string", "maxLength": 60}


def json_examples(kinds: list[str]) -> Iterator[tuple[demo_corpus.Example, Any]]:
    """Examples whose answer is JSON, and the answer."""
    for example in demo_corpus.generate(SEED, "held_out", kinds):
        try:
            value = json.loads(example.answer)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield example, value


def extraction() -> Iterator[Task]:
    for example, value in json_examples(["person", "record"]):
        yield Task(example.messages(), [], schema_of(value))


def tool_calls() -> Iterator[Task]:
    for example, value in json_examples(["call"]):
        schema = schema_of(value)
        schema["properties"]["name"] = {"const": value["name"]}
        yield Task(example.messages(), example.tools, schema)


def editing() -> Iterator[Task]:
    """The prompt holds a record; the answer is to repeat it with another value."""
    for _, value in json_examples(["record"]):
        text = json.dumps(value, ensure_ascii=False)
        key = next(iter(value))
        prompt = f"Repeat this: {text} Set {key} to null."
        schema = schema_of(value)
        schema["properties"][key] = {"anyOf": [schema["properties"][key], {"type": "null"}]}
        yield Task([{"role": "user", "content": prompt}], [], schema)


def free_text() -> Iterator[Task]:
    for example in demo_corpus.generate(SEED, "held_out", ["sentence", "sql", "label"]):
        yield Task(example.messages(), [], None)


WORKLOADS = {
    "extraction": extraction,
    "tool calls": tool_calls,
    "editing": editing,
    "free text": free_text,
}


def tasks(workload: str, count: int) -> list[Task]:
    """The first tasks of a workload, always the same."""
    return list(islice(WORKLOADS[workload](), count))
