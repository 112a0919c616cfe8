"""What depends on values that have come before: masks against languages that are written out in full.

The schemas have finitely many instances over small alphabets. `jsonschema` picks the valid ones, all their
spellings are listed, and a mask must allow exactly the tokens with which one of those goes on.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import regex
from toy import JSON_TOKENS, accepts, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompiledGrammar,
    GrammarCompiler,
    UnsupportedGrammarError,
    Vocabulary,
    remembering_recognizer,
)

CROSSING = [
    b'["', b'",', b'","', b'"]', b',"', b'a"', b'a","', b'"a","b"', b'"a"]', b'b","a', b"]]", b"],[", b"0,", b"0,1",
    b"1,1", b"1]", b",1", b",2,", b"10", b"11,", b"[0", b"[[", b"},{", b'},{"a":', b'{"a":1', b'{"a":0}', b"1}", b'"a":1},',
    b":1}]", b'"b":', b'{"', b"],", b"true", b"true,", b"true,f", b"alse", b"e,t", b"[true,", b"e]", b"null,0", b"\\u006",
    b"61", b"\\u0061", b'1"', b"[]", b"[],", b"[],[0", b"1,0]", b'}}', b'{}', b'{},',
]  # fmt: skip


def small_vocabulary(alphabet: bytes) -> Vocabulary:
    """The bytes and the longer tokens that are made of them."""
    return byte_vocabulary([t for t in CROSSING if set(t) <= set(alphabet)], alphabet=alphabet)


def spellings(value: Any, escapes: dict[str, list[str]]) -> Iterator[str]:
    """A value in all spellings without white space, with some characters escaped or not."""
    match value:
        case str():
            for parts in itertools.product(*(escapes.get(c, [c]) for c in value)):
                yield '"' + "".join(parts) + '"'
        case list():
            for parts in itertools.product(*(list(spellings(v, escapes)) for v in value)):
                yield "[" + ",".join(parts) + "]"
        case dict():
            members = [
                [f'"{name}":{spelled}' for spelled in spellings(member, escapes)]
                for name, member in value.items()
            ]
            for parts in itertools.product(*members):
                yield "{" + ",".join(parts) + "}"
        case _:
            yield json.dumps(value)


class Language:
    """Texts, and their beginnings."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = {text.encode() for text in texts}
        self.beginnings = {text[:n] for text in self.texts for n in range(len(text) + 1)}

    def holds(self, text: bytes) -> bool:
        return text in self.texts

    def begins(self, text: bytes) -> bool:
        return text in self.beginnings


class KeyedObjects(Language):
    """Objects of three or four members with different keys out of infinitely many."""

    PATTERN = regex.compile(rb'\{"[ab]+":[01](,"[ab]+":[01]){2,3}\}')

    def __init__(self) -> None:
        pass

    def holds(self, text: bytes) -> bool:
        return self.PATTERN.fullmatch(text) is not None and self._is_distinct(text)

    def begins(self, text: bytes) -> bool:
        return bool(self.PATTERN.fullmatch(text, partial=True)) and self._is_distinct(text)

    def _is_distinct(self, text: bytes) -> bool:
        keys = regex.findall(rb'"[ab]+"', text)
        return len(keys) == len(set(keys))


def arrays(items: list[Any], most: int) -> Iterator[list[Any]]:
    for length in range(most + 1):
        yield from map(list, itertools.product(items, repeat=length))


def language_of(
    schema: Any, candidates: Iterable[Any], escapes: dict[str, list[str]] | None = None
) -> Language:
    validator = jsonschema.Draft202012Validator(schema)
    valid = [value for value in candidates if validator.is_valid(value)]
    return Language(text for value in valid for text in spellings(value, escapes or {}))


def check_walks(
    grammar: CompiledGrammar, language: Language, rng: random.Random, num_walks: int
) -> None:
    """Masks along random walks; the walks prefer what is rare, and repeat what they have written."""
    vocabulary = grammar.vocabulary
    for _ in range(num_walks):
        matcher = Matcher(grammar)
        text = b""
        while True:
            expected = {
                i for i, t in enumerate(vocabulary.tokens) if t and language.begins(text + t)
            }
            if language.holds(text):
                expected |= set(vocabulary.stop_ids)
            found = allowed_ids(matcher)
            assert found == expected, (
                text,
                "missing", [vocabulary.tokens[i] for i in expected - found],
                "wrong", [vocabulary.tokens[i] for i in found - expected],
            )  # fmt: skip
            assert matcher.is_accepting() == language.holds(text)
            choices = sorted(expected)
            if len(choices) > 1 and rng.random() < 0.8:
                choices = [i for i in choices if i not in vocabulary.stop_ids]
            token_id = rng.choice(choices)
            for refused in set(range(vocabulary.size)) - expected:
                if rng.random() < 0.02:
                    assert not matcher.accept_token(refused)
            assert matcher.accept_token(token_id)
            if matcher.is_terminated():
                break
            text += vocabulary.tokens[token_id]


TEXTS = ["".join(t) for n in range(3) for t in itertools.product("abc", repeat=n)]
PAIRS = [
    {k: v for k, v in (("a", a), ("b", b)) if v is not None}
    for a in (None, 0, 1)
    for b in (None, True, False)
]

CASES: dict[str, tuple[Any, bytes, list[Any], dict[str, list[str]]]] = {
    "strings": (
        {"type": "array", "items": {"type": "string", "pattern": "^[abc]{0,2}$"}, "uniqueItems": True, "maxItems": 3},
        b'[],"abc', list(arrays(TEXTS, 3)), {},
    ),
    "escapes": (
        {"type": "array", "items": {"type": "string", "pattern": "^a{0,3}$"}, "uniqueItems": True, "maxItems": 2},
        b'[],"a\\u016', list(arrays(["", "a", "aa", "aaa"], 2)), {"a": ["a", "\\u0061"]},
    ),
    "integers": (
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 12}, "uniqueItems": True, "minItems": 1, "maxItems": 3},
        b"[],0123456789", list(arrays(list(range(13)), 3)), {},
    ),
    "as many items as values": (
        {"type": "array", "items": {"enum": ["aa", "ab", "ba", *range(8)]}, "uniqueItems": True, "minItems": 2, "maxItems": 3},
        b'[],"ab01234567', list(arrays(["aa", "ab", "ba", *range(8)], 3)), {},
    ),
    "closed objects": (
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"a": {"enum": [0, 1]}, "b": {"type": "boolean"}},
                "additionalProperties": False,
            },
            "uniqueItems": True,
            "maxItems": 3,
        },
        b'[],{}:"ab01truefalse', list(arrays(PAIRS, 3)), {},
    ),
    "arrays of booleans": (
        {
            "type": "array",
            "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
            "uniqueItems": True,
            "maxItems": 3,
        },
        b"[],truefalse", list(arrays(list(arrays([True, False], 2)), 3)), {},
    ),
    "distinct items inside distinct items": (
        {
            "type": "array",
            "items": {"type": "array", "items": {"enum": list(range(12))}, "uniqueItems": True, "minItems": 1, "maxItems": 2},
            "uniqueItems": True,
            "minItems": 2,
            "maxItems": 2,
        },
        b"[],01", list(arrays(list(arrays([0, 1, 10, 11], 2)), 2)), {},
    ),
    "either distinct or of one kind": (
        {
            "type": "array",
            "maxItems": 3,
            "anyOf": [
                {"items": {"type": "integer", "minimum": 0, "maximum": 11}, "uniqueItems": True},
                {"items": {"enum": [1, 11]}},
            ],
        },
        b"[],0123456789", list(arrays(list(range(12)), 3)), {},
    ),
    "members with distinct items": (
        {
            "type": "object",
            "properties": {
                "a": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 11}, "uniqueItems": True, "maxItems": 2},
                "b": {"type": "array", "items": {"enum": [0, 1]}, "maxItems": 2},
            },
            "additionalProperties": False,
        },
        b'[]{}:,"ab01', [
            {k: v for k, v in (("a", a), ("b", b)) if v is not None}
            for a in [None, *arrays([0, 1, 10, 11], 2)]
            for b in [None, *arrays([0, 1], 2)]
        ], {},
    ),
    "prefix": (
        {"type": "array", "prefixItems": [{"enum": list(range(12))}, {"type": "boolean"}], "items": {"enum": [True, False, *range(12)]}, "uniqueItems": True, "maxItems": 3, "minItems": 1},
        b"[],01truefalse", list(arrays([0, 1, 10, 11, True, False], 3)), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_masks_are_those_of_the_language(name: str) -> None:
    schema, alphabet, candidates, escapes = CASES[name]
    vocabulary = small_vocabulary(alphabet)
    grammar = GrammarCompiler(vocabulary).compile_json_schema(schema, whitespace="compact")
    language = language_of(schema, candidates, escapes)
    check_walks(grammar, language, random.Random(name), 150)


def test_counted_keys_are_different() -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^[ab]+$": {"enum": [0, 1]}},
        "additionalProperties": False,
        "minProperties": 3,
        "maxProperties": 4,
    }
    vocabulary = byte_vocabulary(
        [*CROSSING, b'{"a":0,"', b'":0,"a', b'a":1,"a":', b'0,"b":1}', b'"b":0,"a":0}'],
        alphabet=b'{}:,"ab01',
    )
    grammar = GrammarCompiler(vocabulary).compile_json_schema(schema, whitespace="compact")
    check_walks(grammar, KeyedObjects(), random.Random(1), 100)


@pytest.mark.parametrize("keyword", ["minProperties", "patternProperties"])
def test_keys_that_could_run_out_are_refused(keyword: str) -> None:
    keys = {"propertyNames": {"pattern": "^[ab]{2}$"}, "type": "object"}
    needed = {"patternProperties": {"^a": {"not": {"const": 1}}}}
    other = {"patternProperties": {"^a": {"not": {"const": 2}}}}
    schemas = {
        "minProperties": {**keys, "minProperties": 2},
        "patternProperties": {**keys, "allOf": [{"not": needed}, {"not": other}]},
    }
    with pytest.raises(UnsupportedGrammarError) as caught:
        GrammarCompiler(byte_vocabulary()).compile_json_schema(schemas[keyword])
    assert caught.value.keyword == keyword


FULL = byte_vocabulary([*JSON_TOKENS, *CROSSING])


def test_instances_of_others_are_accepted() -> None:
    """`jsonschema` and the grammar agree about listed values."""
    values: list[Any] = [
        1,
        2,
        "a",
        None,
        True,
        [1],
        [2],
        {"a": 1},
        {"b": 1, "a": 1},
        {"a": 1, "b": 1},
        1.5,
    ]
    rng = random.Random(5)
    for schema in (
        {"type": "array", "uniqueItems": True, "minItems": 2},
        {"items": {"uniqueItems": True}},
        {"uniqueItems": True, "prefixItems": [{"type": ["integer", "object"]}]},
        {"type": ["array", "object"], "minProperties": 2, "uniqueItems": True},
    ):
        validator = jsonschema.Draft202012Validator(schema)
        grammar = GrammarCompiler(FULL).compile_json_schema(schema, property_order="any")
        for _ in range(60):
            instance: Any = [rng.choice(values) for _ in range(rng.randint(0, 4))]
            if rng.random() < 0.3:
                instance = {rng.choice("abc"): v for v in instance}
            elif rng.random() < 0.3:
                instance = [instance, [rng.choice(values), rng.choice(values)]]
            assert accepts(grammar, json.dumps(instance)) == validator.is_valid(instance), instance


def test_forks_and_rollback_keep_what_has_come() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    grammar = GrammarCompiler(FULL).compile_json_schema(schema, whitespace="compact")
    ids = {token: i for i, token in enumerate(FULL.tokens)}
    matcher = Matcher(grammar)
    assert matcher.accept_tokens([ids[b'["'], ids[b"a"], ids[b'","'], ids[b"b"]])
    fork = matcher.fork()
    assert fork.accept_tokens([ids[b'","'], ids[b"c"]])
    assert not fork.accept_tokens([ids[b'","'], ids[b"c"], ids[b'"']])
    assert not matcher.accept_tokens([ids[b'","'], ids[b"a"], ids[b'"']])
    assert matcher.validate_tokens([ids[b'","'], ids[b"c"], ids[b'","'], ids[b"b"], ids[b'"']]) == 4
    matcher.rollback(2)
    assert matcher.accept_tokens([ids[b'","'], ids[b"c"], ids[b'","'], ids[b"b"], ids[b'"]']])
    assert matcher.is_accepting()


def test_saved_grammars_remember(tmp_path: Path) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    compiler = GrammarCompiler(FULL)
    compiler.compile_json_schema(schema).save(tmp_path / "grammar")
    loaded = compiler.load(tmp_path / "grammar")
    assert accepts(loaded, "[1, 2]")
    assert not accepts(loaded, "[1, 1]")


def test_outputs_leave_nothing_in_the_grammar() -> None:
    """Other outputs of the same shape need no states of the grammar that the first one has not made."""
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    grammar = GrammarCompiler(FULL).compile_json_schema(schema, whitespace="compact")
    sizes = []
    for word in ("aaaa", "bcba", "zzyx"):
        text = json.dumps(
            [word[:n] for n in range(5)] + [word[n:] + "!" for n in range(5)], separators=(",", ":")
        )
        assert accepts(grammar, text)
        sizes.append((grammar.recognizer.num_states, grammar.recognizer.store.pool.num_states))
    assert sizes[0] == sizes[1] == sizes[2]


@pytest.mark.parametrize(
    "items",
    [
        {"type": "string"},
        {"type": "integer", "minimum": 3},
        {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]},
        {"type": "array", "items": {"type": "boolean"}},
    ],
)
def test_completions_repeat_nothing(items: Any) -> None:
    schema = {"type": "array", "items": items, "uniqueItems": True, "minItems": 4}
    witness = json.loads(GrammarCompiler(FULL).compile_json_schema(schema).witness)
    jsonschema.Draft202012Validator(schema).validate(witness)


def test_zeros_with_exponents_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind [0,0 an exponent leads nowhere, by 1,110 spellings; another digit does."""
    monkeypatch.setattr(remembering_recognizer, "MAX_SEARCH_STEPS", 100)
    vocabulary = byte_vocabulary(JSON_TOKENS)
    compiled = GrammarCompiler(vocabulary).compile_json_schema({"uniqueItems": True})
    byte_ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    matcher = Matcher(compiled)
    for byte in b"[0,":
        assert matcher.accept_token(byte_ids[bytes([byte])])
    assert byte_ids[b"0"] in allowed_ids(matcher)
    assert matcher.accept_token(byte_ids[b"0"])
    allowed = allowed_ids(matcher)
    assert byte_ids[b"."] in allowed
    assert not allowed & {byte_ids[b"e"], byte_ids[b"]"], byte_ids[b","]}
