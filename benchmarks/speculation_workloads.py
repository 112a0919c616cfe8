"""Four kinds of requests for speculation: extraction with a schema, tool calls, JSON editing, free text.

The texts are the demo model's own, from the part of its corpus that it was not trained on.
"""

from __future__ import annotations

import argparse
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


def schema_of(value: Any, *, is_bounded: bool = True) -> dict[str, Any]:
    """A schema that asks for values of the same shape, short ones if it is bounded."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {
                key: schema_of(part, is_bounded=is_bounded) for key, part in value.items()
            },
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        items = schema_of(value[0], is_bounded=is_bounded) if value else {}
        return {"type": "array", "items": items} | ({"maxItems": 8} if is_bounded else {})
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer" if isinstance(value, int) else "number"}
    if value is None:
        return {"type": "null"}
    return {"type": "string"} | ({"maxLength": 60} if is_bounded else {})


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


def prompt_of(tokenizer: Any, task: Task) -> tuple[int, ...]:
    """The chat as the model's template writes it."""
    text = tokenizer.apply_chat_template(
        task.messages, tools=task.tools or None, add_generation_prompt=True, tokenize=False
    )
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def new_parser(doc: str | None, *, num_tasks: int) -> argparse.ArgumentParser:
    """What all scripts that run the workloads are told."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0] if doc else None)
    parser.add_argument("--model", help="Hugging Face folder or name; default: the demo model")
    parser.add_argument("--tasks", type=int, default=num_tasks, help="requests per workload")
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    return parser
