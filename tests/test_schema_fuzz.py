"""Random schemas and random instances: accepted exactly if an independent judge says valid.

The instances come from three places: made at random, drawn from the schema's own grammar, and drawn ones with
one thing changed, which are nearly valid. The order of members is put aside: some order must be accepted.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import NAMES, instances, schemas
from toy import JSON_TOKENS, accepts, byte_vocabulary, orders
from wide_schemas import wide_schemas

from syntagma.decoding.self_test import draw, spellings
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    UnsatisfiableGrammarError,
)
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_judge import SchemaJudge

COMPILER = GrammarCompiler(
    byte_vocabulary(JSON_TOKENS), limits=CompileLimits(max_seconds=5, max_branches=2048)
)
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
MAX_ORDERS = 60
# Together with other digits it may take one digit more to write the number again.
LONG_EXPONENT = re.compile(rb"[eE][+-]?[0-9]{2}")
REPLACEMENTS = [None, True, 0, 1, -3, 2.5, "", "a", "ab", [], {}, [1], {"a": 1}]

# Formats that the judge cannot check without further packages, or reads more freely than we do.
LOOSE_FORMATS = re.compile('"format": "(time|date-time|email)"')

# What has been compared, by verdict; for whoever wants to know how much that was.
COMPARED: Counter[str] = Counter()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Where something stands in a value: what holds it, and its key or index."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


def changed(value: Any, rng: random.Random) -> Any:
    """The value with one part replaced, left out or added."""
    value = copy.deepcopy(value)
    found = places(value)
    if not found or rng.random() < 0.2:
        holders = [value] + [holder[key] for holder, key in found]
        holder = rng.choice(holders)
        if isinstance(holder, dict):
            holder[rng.choice(NAMES)] = rng.choice(REPLACEMENTS)
        elif isinstance(holder, list):
            holder.insert(rng.randint(0, len(holder)), rng.choice(REPLACEMENTS))
        else:
            return rng.choice(REPLACEMENTS)
        return value
    holder, key = rng.choice(found)
    part = holder[key]
    if rng.random() < 0.3:
        del holder[key]
    elif isinstance(part, bool) or not isinstance(part, int | float | str):
        holder[key] = copy.deepcopy(rng.choice(REPLACEMENTS))
    elif isinstance(part, str):
        holder[key] = part + "a" if rng.random() < 0.5 else part[:-1]
    else:
        holder[key] = part + rng.choice([1, -1, 0.5])
    return value


def drawn(grammar: CompiledGrammar, rng: random.Random, count: int) -> list[Any]:
    """Values that the grammar writes, those left out whose text says more than the value."""
    texts = (draw(grammar, rng) for _ in range(count))
    found = []
    for text in texts:
        if text is None or len(text) > 300 or LONG_EXPONENT.search(text):
            continue
        value = json.loads(text)
        if json.loads(json.dumps(value), object_pairs_hook=list) == json.loads(
            text, object_pairs_hook=list
        ):
            # Otherwise an undeclared key came twice.
            found.append(value)
    return found


def compare(schema: Any, values: list[Any], rng: random.Random, policies: dict[str, Any]) -> None:
    """Raises AssertionError over a difference."""
    policies = policies | {"max_digits": None}
    options = JsonOptions(**policies)
    judge = SchemaJudge(schema, {}, options)
    if judge.verdict("null") is None:
        return
    try:
        grammar = COMPILER.compile_json_schema(schema, **policies)
    except UnsatisfiableGrammarError:
        for value in values:
            assert judge.verdict(json.dumps(value)) is not True, value
            COMPARED["unsatisfiable"] += 1
        return
    except GrammarError:
        return
    own = drawn(grammar, rng, 4)
    if LOOSE_FORMATS.search(json.dumps(schema)):
        others = []
    else:
        others = [*values, *(changed(value, rng) for value in own for _ in range(2))]
    for value in [*own, *others]:
        expected = judge.verdict(json.dumps(value))
        written = orders(value, MAX_ORDERS)
        if expected is None or len(written) > MAX_ORDERS:
            continue
        found = any(accepts(grammar, text) for form in written for text in spellings(form, options))
        assert found == expected, (value, expected)
        COMPARED["valid" if expected else "invalid"] += 1


@SETTINGS
@given(schemas(), st.lists(instances(), max_size=6), st.randoms(use_true_random=False))
def test_schemas_of_the_fast_way(schema: Any, values: list[Any], rng: random.Random) -> None:
    compare(schema, values, rng, {"whitespace": "flexible"})


@SETTINGS
@given(
    wide_schemas(),
    st.lists(instances(), max_size=6),
    st.randoms(use_true_random=False),
    st.sampled_from([{}, {"numbers": "any"}, {"property_order": "any"}, {"whitespace": "compact"}]),
)
def test_schemas_of_all_keywords(
    schema: Any, values: list[Any], rng: random.Random, policies: dict[str, Any]
) -> None:
    compare(schema, values, rng, policies)


def test_a_difference_is_noticed() -> None:
    other = COMPILER.compile_json_schema({"type": "integer", "minimum": 1})

    class Wrong:
        def compile_json_schema(self, schema: Any, **policies: Any) -> CompiledGrammar:
            return other

    rng = random.Random(0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError):
        patch.setitem(globals(), "COMPILER", Wrong())
        compare({"type": "integer"}, [0, 1, -1], rng, {})
