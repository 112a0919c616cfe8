"""Forced bytes and shortest completions against searches that try every byte."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from grammar_strategies import plain_grammars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import schemas
from test_recognizer import ALPHABET, compile_ir, ir_grammars, vocabularies
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    UnsatisfiableGrammarError,
    Vocabulary,
    ir,
)
from syntagma.grammar import dfa as dfas
from syntagma.grammar.closing_kernels import fewest_tokens
from syntagma.grammar.closing_tokens import MAX_CLOSING_BYTES, MAX_FORCED_BYTES
from syntagma.grammar.matcher_state import MatcherState
from syntagma.grammar.token_trie import TokenTrie

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
MAX_STATES = 2_000
CLOSERS = [b'"}]}', b"]]]", b'"}]', b"]}", b"}]]]", b":0", b"0}", b'":']
VOCABULARY = byte_vocabulary([*JSON_TOKENS, *CLOSERS])


def successors(matcher: Matcher, state: MatcherState) -> dict[int, MatcherState]:
    """The states behind every single byte."""
    read = matcher.grammar.recognizer.read
    found = {byte: read(state, bytes([byte])) for byte in range(256)}
    return {byte: after for byte, after in found.items() if after is not None}


def naive_shortest(matcher: Matcher) -> int | None:
    """Bytes of a shortest completion by breadth-first search; None if there are too many states."""
    recognizer = matcher.grammar.recognizer
    layer, distance = [matcher._states[-1]], 0
    seen = set(layer)
    while len(seen) < MAX_STATES:
        if any(recognizer.is_accepting(state) for state in layer):
            return distance
        reached = {after for state in layer for after in successors(matcher, state).values()}
        layer = list(reached - seen)
        assert layer
        seen.update(layer)
        distance += 1
    return None


def naive_forced(matcher: Matcher, max_bytes: int) -> bytes:
    """Follow the only byte, found by trying all."""
    state, forced = matcher._states[-1], b""
    while len(forced) < max_bytes and not matcher.grammar.recognizer.is_accepting(state):
        after = successors(matcher, state)
        if len(after) != 1:
            break
        ((byte, state),) = after.items()
        forced += bytes([byte])
    return forced


def naive_fewest(vocabulary: Vocabulary, text: bytes) -> int | None:
    """The fewest tokens that spell a text; None if no tokens do."""
    tokens = {token for token in vocabulary.tokens if token}
    fewest: dict[int, int] = {0: 0}
    for end in range(1, len(text) + 1):
        counts = [fewest[b] + 1 for b in range(end) if b in fewest and text[b:end] in tokens]
        if counts:
            fewest[end] = min(counts)
    return fewest.get(len(text))


def spelled(matcher: Matcher, token_ids: list[int]) -> bytes:
    return b"".join(matcher.grammar.vocabulary.tokens[i] for i in token_ids)


def check(matcher: Matcher) -> None:
    """All three answers in the matcher's state."""
    num_tokens = matcher.num_tokens
    token_ids = matcher.closing_tokens()
    assert matcher.closing_cost() == len(token_ids)
    forced = matcher.forced_bytes()
    assert matcher.num_tokens == num_tokens
    text = spelled(matcher, token_ids)
    assert text.startswith(forced)
    assert forced == naive_forced(matcher, MAX_FORCED_BYTES)
    assert len(token_ids) == naive_fewest(matcher.grammar.vocabulary, text)
    twin = matcher.fork()
    assert twin.accept_tokens(token_ids)
    assert twin.is_accepting()
    shortest = naive_shortest(matcher)
    if shortest is not None:
        assert len(text) == shortest


def check_walk(matcher: Matcher, rng: random.Random, num_tokens: int) -> None:
    for _ in range(num_tokens):
        check(matcher)
        assert matcher.accept_token(rng.choice(sorted(allowed_ids(matcher))))
        if matcher.is_terminated():
            break
    check_terminated(matcher)


def check_terminated(matcher: Matcher) -> None:
    """After a stop token nothing is missing."""
    if matcher.is_terminated():
        assert matcher.closing_tokens() == []
        assert matcher.closing_cost() == 0
        assert matcher.forced_bytes() == b""


@SETTINGS
@given(
    st.one_of(ir_grammars(), plain_grammars()), vocabularies(), st.randoms(use_true_random=False)
)
def test_random_rules(grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random) -> None:
    try:
        matcher = compile_ir(vocabulary, grammar)
    except UnsatisfiableGrammarError:
        return
    check_walk(matcher, rng, num_tokens=5)


@settings(SETTINGS, max_examples=40)
@given(schemas(), st.randoms(use_true_random=False))
def test_random_schemas(schema: dict[str, Any], rng: random.Random) -> None:
    try:
        compiler = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=60))
        matcher = Matcher(compiler.compile_json_schema(schema, whitespace="compact"))
    except GrammarError:
        return
    check_walk(matcher, rng, num_tokens=6)


@SETTINGS
@given(vocabularies(), st.lists(st.sampled_from(list(ALPHABET + b"d")), max_size=40).map(bytes))
def test_fewest_tokens_equal_the_naive_count(vocabulary: Vocabulary, text: bytes) -> None:
    byte, _, *rest = TokenTrie.from_vocabulary(vocabulary).arrays
    is_spelled, found = fewest_tokens(byte, *rest, np.frombuffer(text, np.uint8))
    expected = naive_fewest(vocabulary, text)
    assert is_spelled == (expected is not None)
    if expected is not None:
        assert len(found) == expected
        assert b"".join(vocabulary.tokens[i] for i in found) == text


def test_closers_of_several_levels_are_one_token() -> None:
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_json_schema({}))
    assert matcher.accept_tokens(list(b'[[[{"a":['))
    token_ids = matcher.closing_tokens()
    assert spelled(matcher, token_ids) == b"]}]]]"
    assert matcher.closing_cost() == 2
    assert matcher.accept_tokens(token_ids)
    assert matcher.is_accepting()


def test_the_nearest_end_of_a_terminal_may_be_a_detour() -> None:
    """Behind ``a`` much is missing, behind ``bbb`` nothing."""
    grammar = ir.Grammar()
    a, bbb = (ir.Terminal(dfas.literal(word)) for word in (b"a", b"bbb"))
    grammar.add("root", ir.choice(ir.sequence(a, ir.Repeat(bbb, 9, 9)), bbb))
    vocabulary = byte_vocabulary([b"bbbb"], alphabet=ALPHABET)
    matcher = compile_ir(vocabulary, grammar)
    assert spelled(matcher, matcher.closing_tokens()) == b"bbb"
    assert matcher.accept_token(ALPHABET.index(b"a"))
    assert matcher.forced_bytes() == b"b" * 27
    assert matcher.closing_cost() == 9


def test_a_longer_key_may_be_nearer() -> None:
    """The key ``ab`` could end at once, but then its value is long."""
    schema = {"type": "object", "properties": {"ab": {"type": "string", "minLength": 9}}}
    grammar = GrammarCompiler(VOCABULARY).compile_json_schema(schema, whitespace="compact")
    matcher = Matcher(grammar)
    assert matcher.accept_tokens(list(b'{"ab'))
    check(matcher)
    text = spelled(matcher, matcher.closing_tokens())
    assert text[1:] == b'":0}'


def test_huge_completions_are_not_written_out() -> None:
    grammar = ir.Grammar()
    grammar.add("root", ir.Repeat(ir.Terminal(dfas.literal(b"ab")), 10**9, None))
    matcher = compile_ir(byte_vocabulary([b"abab"], alphabet=ALPHABET), grammar)
    assert matcher.accept_token(ALPHABET.index(b"a"))
    assert matcher.closing_cost() == 2 * 10**9 - 1
    with pytest.raises(ValueError, match="lower the grammar's minimum counts"):
        matcher.closing_tokens()
    assert matcher.forced_bytes() == (b"ba" * MAX_FORCED_BYTES)[:MAX_FORCED_BYTES]


def test_long_completions_are_written_out_to_the_limit() -> None:
    grammar = ir.Grammar()
    count = MAX_CLOSING_BYTES // 2
    grammar.add("root", ir.Repeat(ir.Terminal(dfas.literal(b"ab")), count, None))
    matcher = compile_ir(byte_vocabulary([b"abab"], alphabet=ALPHABET), grammar)
    assert matcher.closing_cost() == count // 2
    assert matcher.accept_tokens(matcher.closing_tokens())
    assert matcher.is_accepting()


def test_forced_bytes_cross_terminals_and_stop_at_a_choice() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"const": True}, "id": {"type": "integer"}},
        "required": ["name", "id"],
        "additionalProperties": False,
    }
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_json_schema(schema, whitespace="compact"))
    assert matcher.forced_bytes() == b'{"name":true,"id":'
    assert matcher.accept_tokens(list(matcher.forced_bytes()))
    assert matcher.forced_bytes() == b""
    assert spelled(matcher, matcher.closing_tokens()) == b"0}"
    assert matcher.closing_cost() == 1


def test_nothing_is_forced_where_the_output_may_end() -> None:
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_regex("(ab)*"))
    assert matcher.forced_bytes() == b""
    assert matcher.closing_tokens() == []
    assert matcher.accept_token(ord("a"))
    assert matcher.forced_bytes() == b"b"
    assert matcher.closing_cost() == 1
