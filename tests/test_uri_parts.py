"""URIs of bounded length: each is one, none is longer, and the usual ones are among them."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from toy import JSON_TOKENS, accepts, byte_vocabulary

from syntagma.decoding.self_test import draw
from syntagma.grammar import GrammarCompiler, UnsatisfiableGrammarError
from syntagma.grammar.dfa import START, Dfa
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_cache import StringConstraints
from syntagma.grammar.uri_parts import PARTED_FORMATS, uri_variants

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
LENGTHS = [33, 47, 64, 150, 270, 2083, 100_000]
WAYS: list[dict[str, Any]] = [{}, {"numbers": "any"}]


def longest_word(dfa: Dfa) -> int:
    """Bytes of a longest word of a finite language."""
    longest = {START: 0}
    # States are numbered breadth-first, which is no topological order: relax until nothing changes.
    waiting = [START]
    while waiting:
        state = waiting.pop()
        for target in {int(t) for t in dfa.transitions[state] if t}:
            if longest[state] + 1 > longest.get(target, -1):
                longest[target] = longest[state] + 1
                waiting.append(target)
    return max(length for state, length in longest.items() if dfa.accepting[state])


@pytest.mark.parametrize("name", ["uri", "uri-reference"])
@pytest.mark.parametrize("max_length", [33, 47, 64, 150])
def test_parts_stay_below_the_bound_together(name: str, max_length: int) -> None:
    budget = Budget.unlimited()
    for parts in uri_variants(name, max_length):
        automata = [
            StringConstraints(
                matched=(part.pattern,), max_length=part.max_length, encoder=Encoder.UTF8
            ).build(budget)
            for part in parts
        ]
        assert all(dfa.is_finite for dfa in automata)
        assert sum(map(longest_word, automata)) <= max_length


@pytest.mark.parametrize("name", PARTED_FORMATS)
@pytest.mark.parametrize("max_length", LENGTHS)
def test_outputs_are_uris_within_the_bound(name: str, max_length: int) -> None:
    schema = {"type": "string", "format": name, "maxLength": max_length}
    grammar = COMPILER.compile_json_schema(schema)
    rng = random.Random(max_length)
    for _ in range(30):
        text = draw(grammar, rng)
        assert text is not None
        value = json.loads(text)
        assert len(value) <= max_length
        assert re.fullmatch(FORMATS[name][0], value), value


@pytest.mark.parametrize("policies", WAYS)
def test_usual_ones_are_accepted(policies: dict[str, Any]) -> None:
    usual = [
        "https://example.org/", "http://127.0.0.1:8080/a/b?c=d&e=%20#f", "mailto:ada@example.org", "a:", "urn:isbn:0451450523",
        "https://example.org/a/rather/long/path/with/many/segments/that/goes/on?and=a&query=too#and-a-fragment",
    ]  # fmt: skip
    schema = {"type": "string", "format": "uri", "maxLength": 2083, "minLength": 1}
    grammar = COMPILER.compile_json_schema(schema, **policies)
    assert [text for text in usual if not accepts(grammar, json.dumps(text))] == []
    wrong = ["", "//example.org", "https://a b", "x" * 2083 + ":"]
    assert [text for text in wrong if accepts(grammar, json.dumps(text))] == []
    schema = {"type": "string", "format": "iri-reference", "maxLength": 2083}
    grammar = COMPILER.compile_json_schema(schema, **policies)
    for text in (*usual, "//é.test/ß", "../a", "?b"):
        assert accepts(grammar, json.dumps(text, ensure_ascii=False))


@pytest.mark.parametrize("policies", WAYS)
def test_short_ones_are_counted_as_a_whole(policies: dict[str, Any]) -> None:
    for max_length in (32, 33):
        schema = {"type": "string", "format": "uri", "maxLength": max_length}
        grammar = COMPILER.compile_json_schema(schema, **policies)
        assert accepts(grammar, f'"{"s" * 31}:"')
        assert accepts(grammar, '"x://u:p@[::1]:1/a?b#c"')
        assert not accepts(grammar, f'"{"s" * 33}:"')
    with pytest.raises(UnsatisfiableGrammarError):
        COMPILER.compile_json_schema(
            {"type": "string", "format": "uri", "maxLength": 1}, **policies
        )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("most", [40, 5000])
def test_bounds_of_ours_fit_every_format(name: str, most: int) -> None:
    schema = {"type": "string", "format": name}
    for policies in ({}, {"string_escapes": "canonical"}):
        grammar = COMPILER.compile_json_schema(schema, max_string=most, **policies)
        text = draw(grammar, random.Random(most))
        assert text is not None
        assert all(re.fullmatch(pattern, json.loads(text)) for pattern in FORMATS[name])
