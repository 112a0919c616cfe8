"""What becomes of request fields that are not served: nothing is ignored silently.

Each is refused by name, with what to use instead where there is something. The few OpenAI fields
that cannot change the output are accepted and listed here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from syntagma.server.constraint_kinds import POLICY_FIELDS
from syntagma.server.constraint_reader import CONTEXT_FREE_ADVICE
from syntagma.server.errors import ApiError, bad_request, shorten

# Bookkeeping, billing, caching and latency hints: the output is the same with and without.
WITHOUT_EFFECT = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
        "store",
    }
)

# Fields that would change the output, with the values that ask for nothing (null always does).
NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "functions": ([],),
    "function_call": ("none",),
    "modalities": (["text"],),
    "suffix": ("",),
}

_JSON_SCHEMA = '"structured_outputs": {"json": <schema>} or "response_format"'
_REGEX = '"structured_outputs": {"regex": <pattern>}'
_CHOICE = '"structured_outputs": {"choice": [<text>, ...]}'
_WHITESPACE = '"structured_outputs": {..., "whitespace": "flexible", "compact" or "pretty"}'
_TOOLS = '"tools" and "tool_choice"'

INSTEAD: dict[str, str] = {
    "guided_json": f"use {_JSON_SCHEMA}",
    "guided_regex": f"use {_REGEX}",
    "guided_choice": f"use {_CHOICE}",
    "guided_json_object": 'use "structured_outputs": {"json_object": true}',
    "guided_grammar": CONTEXT_FREE_ADVICE,
    "guided_whitespace_pattern": f"use {_WHITESPACE}",
    "guided_decoding_backend": "there is one backend; leave it out",
    "grammar": CONTEXT_FREE_ADVICE,
    "ebnf": CONTEXT_FREE_ADVICE,
    "gbnf": CONTEXT_FREE_ADVICE,
    "lark": CONTEXT_FREE_ADVICE,
    "cfg": CONTEXT_FREE_ADVICE,
    "regex": f"use {_REGEX}",
    "pattern": f"use {_REGEX}",
    "choice": f"use {_CHOICE}",
    "choices": f"use {_CHOICE}",
    "json": f"use {_JSON_SCHEMA}",
    "json_object": 'use "response_format": {"type": "json_object"}',
    "json_schema": f"use {_JSON_SCHEMA}",
    "schema": f"use {_JSON_SCHEMA}",
    "response_schema": f"use {_JSON_SCHEMA}",
    "output_schema": f"use {_JSON_SCHEMA}",
    "output_format": f"use {_JSON_SCHEMA}",
    "format": f"use {_JSON_SCHEMA}",
    "text_format": f"use {_JSON_SCHEMA}",
    "structural_tag": 'use "structured_outputs": {"structural_tag": <tag>} or "response_format"',
    "structured_output": "the field is called structured_outputs",
    "whitespace": f"use {_WHITESPACE}",
    **{
        name: f'use "structured_outputs": {{..., "{name}": ...}}'
        for name in (*POLICY_FIELDS[1:], "schemas")
    },
    "extra_body": "its content belongs into the body itself",
    "functions": f"use {_TOOLS}",
    "function_call": f"use {_TOOLS}",
    "chat_template": "the template comes with the model",
    "chat_template_kwargs": "the template is used as the model brings it",
    "best_of": "ask for n outputs",
    "echo": "the prompt is not repeated in the answer",
    "suffix": "text is continued at its end only",
    "modalities": "the output is text",
    "audio": "the output is text",
    "logits_processors": "code is not accepted from requests",
    "speculative_config": 'use "speculation": {"enabled": ..., "max_tokens": ..., "sources": [...]}',
    "reasoning_effort": "the model has no such switch; leave it out",
    "verbosity": "the model has no such switch; leave it out",
    "web_search_options": "the model has no access to the web; leave it out",
}


def refuse_unserved_fields(body: Mapping[str, Any], served: Iterable[str]) -> dict[str, Any]:
    """`body` with its served fields only.

    Raises:
        ApiError: 400 for a field that would be ignored otherwise.
    """
    known = frozenset(served)
    for field, value in body.items():
        if field in known or field in WITHOUT_EFFECT or _asks_for_nothing(field, value):
            continue
        raise _unserved(field, known)
    return {field: value for field, value in body.items() if field in known}


def _asks_for_nothing(field: str, value: Any) -> bool:
    if value is None:
        return field in INSTEAD
    # `1 == True` in Python, but not in JSON
    return any(
        value == neutral and type(value) is type(neutral)
        for neutral in NEUTRAL_VALUES.get(field, ())
    )


def _unserved(field: str, known: frozenset[str]) -> ApiError:
    name = shorten(field, 80)
    advice = INSTEAD.get(field)
    if advice is None:
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        advice = f"did you mean {near[0]}?" if near else "leave it out"
    end = "" if advice.endswith("?") else "."
    message = f"The field {name} is not supported here: {advice}{end}"
    return bad_request(message, param=name, code="unknown_field")
