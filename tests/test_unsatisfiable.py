"""Schemas that no value fits are refused with a minimal conflict; their twins have a witness."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from toy import JSON_TOKENS, byte_vocabulary
from unsatisfiable_schemas import PAIRS

from syntagma.grammar import (
    GrammarCompiler,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
    schema_conflict,
)
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_judge import SchemaJudge

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
NUMBERS = range(len(PAIRS))

SCALARS = [
    None, False, True, 0, 1, 2, 3, 4, 5, 6, -1, 0.5, 1.5, "", "a", "b", "c", "x", "ab", "ba", "aa", "aaa", "aaaa", "abc", "1.2.3.4",
    "2024-02-29", "00000000-0000-0000-0000-000000000000",
]  # fmt: skip
FEW = [None, True, 0, 1, 2, 0.5, "", "a", "ab", [], {}, [1], {"a": 1}]
NAMES = ["a", "b", "c", "ab", "next"]


@pytest.fixture(autouse=True, scope="module")
def _has_time() -> Iterator[None]:
    """A busy machine must not make conflicts larger than need be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema_conflict, "MAX_SECONDS", 60.0)
        yield


def small_values() -> list[Any]:
    """Scalars, and arrays and objects of few parts, all of them up to a size."""
    values: list[Any] = list(SCALARS)
    for size in range(4):
        values += map(list, itertools.product(FEW[:8] if size == 3 else FEW, repeat=size))
    for size in range(3):
        for names in itertools.combinations(NAMES, size):
            values += [
                dict(zip(names, parts, strict=True))
                for parts in itertools.product(FEW, repeat=size)
            ]
    values += (
        [{"a": {"b": inner}} for inner in FEW]
        + [{"next": {"next": inner}} for inner in FEW]
        + [[[inner]] for inner in FEW]
    )
    return values


TEXTS = [json.dumps(value) for value in small_values()]


def refusal(schema: Any) -> UnsatisfiableGrammarError:
    with pytest.raises(UnsatisfiableGrammarError) as caught:
        COMPILER.compile_json_schema(schema)
    return caught.value


def fitting(schema: Any) -> list[str]:
    """The small values that are valid, by the judge; where references loop it has no verdict."""
    judge = SchemaJudge(schema, {}, JsonOptions())
    if judge.verdict("null") is None:
        assert '"$ref"' in json.dumps(schema), "a verdict is to be had"
        pytest.skip("the judge follows a loop of references")
    return [text for text in TEXTS if judge.verdict(text) is True]


def without(schema: Any, pointer: str) -> Any:
    """A schema less one keyword."""
    *path, keyword = [s.replace("~1", "/").replace("~0", "~") for s in pointer[1:].split("/")]
    left = copy.deepcopy(schema)
    holder: Any = left
    for step in path:
        holder = holder[int(step) if isinstance(holder, list) else step]
    del holder[keyword]
    return left


def test_there_are_enough_and_none_is_twice() -> None:
    assert len(PAIRS) >= 60
    texts = [json.dumps(schema, sort_keys=True) for pair in PAIRS for schema in pair]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("number", NUMBERS)
def test_conflicts_are_told(number: int) -> None:
    schema = PAIRS[number][0]
    conflict = refusal(schema).conflict
    assert conflict
    assert len(set(conflict)) == len(conflict)


@pytest.mark.parametrize("number", [i for i in NUMBERS if PAIRS[i][0] is not False])
def test_conflicts_are_minimal(number: int) -> None:
    """Without any one of them there is an instance (or more is asked for than is enforced)."""
    schema = PAIRS[number][0]
    for pointer in refusal(schema).conflict:
        with contextlib.suppress(UnsupportedGrammarError):
            COMPILER.compile_json_schema(without(schema, pointer))


@pytest.mark.parametrize("number", NUMBERS)
def test_no_small_value_fits(number: int) -> None:
    assert fitting(PAIRS[number][0]) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_twins_have_a_witness(number: int) -> None:
    twin = PAIRS[number][1]
    witness = COMPILER.compile_json_schema(twin).witness
    assert SchemaJudge(twin, {}, JsonOptions()).verdict(witness) is not False
    if isinstance(twin, dict) and "$ref" not in json.dumps(twin):
        validator = jsonschema.validators.validator_for(twin)(twin)
        assert validator.is_valid(json.loads(witness))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_search_finds_what_fits_the_twins(number: int) -> None:
    """So that it would find something for the others, if there were."""
    assert fitting(PAIRS[number][1])
