"""JSON Schema masks against a recogniser that shares nothing with the engine."""

from __future__ import annotations

import random
from typing import Any

import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_regex import schema_regex
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler

VOCABULARY = byte_vocabulary(JSON_TOKENS)
SCALARS = ["a", "é", 'q"', 1, 12, -1, 0.5, True, None]


def _counted(draw: st.DrawFn, low_name: str, high_name: str) -> dict[str, int]:
    low = draw(st.integers(0, 2))
    bounds = {low_name: low, high_name: low + draw(st.integers(0, 3))}
    return {k: v for k, v in bounds.items() if draw(st.booleans())}


@st.composite
def regular_schemas(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Schemas that `schema_regex` understands."""
    kinds = ["string", "integer", "enum", "scalar", "array", "object", "anyOf"]
    kind = draw(st.sampled_from(kinds if depth else kinds[:4]))
    if kind == "string":
        return {"type": "string", **_counted(draw, "minLength", "maxLength")}
    if kind == "integer":
        low = draw(st.integers(-30, 30))
        return {"type": "integer", "minimum": low, "maximum": low + draw(st.integers(0, 120))}
    if kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3))}
    if kind == "scalar":
        return {"type": draw(st.sampled_from(["null", "boolean", "number"]))}
    if kind == "array":
        items = draw(regular_schemas(depth - 1))
        return {"type": "array", "items": items, **_counted(draw, "minItems", "maxItems")}
    if kind == "anyOf":
        parts = st.lists(regular_schemas(depth - 1), min_size=1, max_size=3)
        return {"anyOf": draw(parts)}
    names = draw(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3, unique=True))
    return {
        "type": "object",
        "properties": {name: draw(regular_schemas(depth - 1)) for name in names},
        "required": [name for name in names if draw(st.booleans())],
        "additionalProperties": False,
    }


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(regular_schemas(), st.randoms(use_true_random=False))
def test_masks_equal_the_viable_tokens(schema: dict[str, Any], rng: random.Random) -> None:
    pattern = regex.compile(schema_regex(schema))
    grammar = GrammarCompiler(VOCABULARY).compile_json_schema(schema, whitespace="compact")
    matcher = Matcher(grammar)
    text = b""
    for _ in range(9):
        expected = {
            i
            for i, token in enumerate(VOCABULARY.tokens)
            if token and pattern.fullmatch(text + token, partial=True)
        }
        if pattern.fullmatch(text):
            expected |= set(VOCABULARY.stop_ids)
        found = allowed_ids(matcher)
        assert found == expected, (text, [VOCABULARY.tokens[i] for i in found ^ expected])
        token_id = _choose(expected, rng)
        assert matcher.accept_token(token_id)
        if matcher.is_terminated():
            break
        text += VOCABULARY.tokens[token_id]


def _choose(allowed: set[int], rng: random.Random) -> int:
    """Prefer structure to the inside of strings, which is the same everywhere."""
    ids = sorted(allowed)
    structural = [
        i for i in ids if VOCABULARY.tokens[i][:1] in (b'"', b",", b"]", b"}", b"{", b"[")
    ]
    return rng.choice(structural if structural and rng.random() < 0.7 else ids)
