"""The matcher's bookkeeping: accept, fork, rollback, validate, stop tokens."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary, sample

from syntagma.decoding.batch import fill_bitmasks
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar, GrammarCompiler, Vocabulary
from syntagma.grammar.config_kernels import NUM_MISSING
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.row_arena import RowArena

VOCABULARY = byte_vocabulary(JSON_TOKENS)
STOP = VOCABULARY.stop_ids[0]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "integer"}},
        "b": {"$ref": "#"},
        "c": {"type": "string", "maxLength": 5},
    },
    "required": ["a"],
}


def compiled() -> CompiledGrammar:
    return compiled_by(GrammarCompiler(VOCABULARY))


def compiled_by(compiler: GrammarCompiler) -> CompiledGrammar:
    return compiler.compile_json_schema(SCHEMA)


def token(text: bytes) -> int:
    return VOCABULARY.tokens.index(text)


@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 6), max_size=8))
def test_rollback_restores_every_mask(rng: random.Random, cuts: list[int]) -> None:
    matcher = Matcher(compiled())
    history = [allowed_ids(matcher)]
    for cut in cuts:
        for _ in range(cut):
            assert matcher.accept_token(rng.choice(sorted(history[-1])))
            history.append(allowed_ids(matcher))
        back = rng.randrange(cut + 1)
        matcher.rollback(back)
        history = history[: len(history) - back]
        assert allowed_ids(matcher) == history[-1]
        assert matcher.num_tokens == len(history) - 1


def test_forks_are_independent() -> None:
    matcher = Matcher(compiled())
    assert matcher.accept_token(token(b'{"'))
    before = allowed_ids(matcher)
    twin = matcher.fork()
    assert twin.accept_token(token(b"a"))
    assert allowed_ids(matcher) == before
    assert matcher.num_tokens == 1
    assert twin.num_tokens == 2


def test_refused_tokens_change_nothing() -> None:
    matcher = Matcher(compiled())
    before = allowed_ids(matcher)
    for token_id in (token(b"}"), STOP, -1, VOCABULARY.size, 10**9):
        assert not matcher.accept_token(token_id)
    assert allowed_ids(matcher) == before
    good = [token(b'{"'), token(b"a"), token(b'":')]
    assert not matcher.accept_tokens([*good, token(b"}")])
    assert matcher.num_tokens == 0
    assert matcher.validate_tokens([*good, token(b"}")]) == 3
    assert matcher.num_tokens == 0
    assert matcher.accept_tokens(good)


def test_stop_tokens_end_the_output_and_only_then() -> None:
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_regex("a{1,2}"))
    assert not matcher.is_accepting()
    assert matcher.accept_token(token(b"a"))
    assert matcher.is_accepting()
    assert not matcher.is_terminated()
    assert STOP in allowed_ids(matcher)
    assert matcher.accept_token(STOP)
    assert matcher.is_terminated()
    assert allowed_ids(matcher) == {STOP}
    assert not matcher.accept_token(token(b"a"))
    assert matcher.accept_token(STOP)
    matcher.rollback(2)
    assert not matcher.is_terminated()
    assert matcher.accept_token(token(b"a"))
    assert allowed_ids(matcher) == {STOP}


def test_the_empty_output_may_be_the_only_one() -> None:
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_regex(""))
    assert matcher.is_accepting()
    assert allowed_ids(matcher) == {STOP}


def test_several_stop_tokens_and_special_tokens_with_text() -> None:
    vocabulary = Vocabulary([b"a", b"<s>", b"b", b""], stop_ids=[1, 3], special_ids=[2])
    matcher = Matcher(GrammarCompiler(vocabulary).compile_regex("[a<s>b]*"))
    assert allowed_ids(matcher) == {0, 1, 3}


def test_tokens_without_text_are_refused() -> None:
    """Their empty bytes would leave the state as it is; the mask forbids them, so accepting does too."""
    vocabulary = Vocabulary([b"a", b"</s>", b"<pad>", b""], stop_ids=[1], special_ids=[2])
    matcher = Matcher(GrammarCompiler(vocabulary).compile_regex("a+"))
    for _ in range(2):
        assert [matcher.accept_token(i) for i in (2, 3)] == [False, False]
        assert matcher.validate_tokens([2]) == 0
        assert matcher.accept_token(0)


def test_only_one_row_is_written() -> None:
    matcher = Matcher(compiled())
    bitmask = np.full((3, VOCABULARY.num_words), 7, np.int32)
    matcher.fill_bitmask(bitmask, 1)
    assert (bitmask[[0, 2]] == 7).all()
    assert not (bitmask[1] == 7).all()


@pytest.mark.parametrize(
    "bitmask",
    [
        np.zeros((1, VOCABULARY.num_words), np.int64),
        np.zeros((1, VOCABULARY.num_words + 1), np.int32),
        np.zeros(VOCABULARY.num_words, np.int32),
    ],
)
def test_bitmasks_of_the_wrong_shape_are_refused(bitmask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bitmask must be int32"):
        Matcher(compiled()).fill_bitmask(bitmask, 0)


@pytest.mark.parametrize("count", [-1, 1])
def test_rollback_beyond_the_beginning_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="cannot take back"):
        Matcher(compiled()).rollback(count)


def test_many_threads_may_share_a_grammar() -> None:
    """Walks that race through the same fresh grammar agree with a walk alone."""
    expected = [sample(compiled(), random.Random(seed)) for seed in range(8)]
    grammar = compiled()
    found: list[bytes | None] = [None] * 8

    def walk(seed: int) -> None:
        found[seed] = sample(grammar, random.Random(seed))

    threads = [threading.Thread(target=walk, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_many_threads_may_walk_by_many_grammars() -> None:
    """Threads that go through fresh grammars of one store by turns, token by token, agree with walks alone."""
    schemas = [SCHEMA | {"properties": SCHEMA["properties"] | {f"d{i}": {}}} for i in range(4)]

    def walks(compiler: GrammarCompiler, seed: int) -> Iterator[Iterator[int]]:
        for number, schema in enumerate(schemas):
            matcher = Matcher(compiler.compile_json_schema(schema))
            yield random_walk(matcher, random.Random(10 * seed + number))

    def random_walk(matcher: Matcher, rng: random.Random) -> Iterator[int]:
        while not matcher.is_terminated() and matcher.num_tokens < 40:
            token_id = rng.choice(sorted(allowed_ids(matcher)))
            assert matcher.accept_token(token_id)
            yield token_id

    expected = [[list(walk) for walk in walks(GrammarCompiler(VOCABULARY), s)] for s in range(4)]
    compiler = GrammarCompiler(VOCABULARY)
    grammars = [compiler.compile_json_schema(schema) for schema in schemas]
    found: list[list[list[int]]] = [[[] for _ in schemas] for _ in range(4)]

    def work(seed: int) -> None:
        waiting = {
            number: random_walk(Matcher(grammar), random.Random(10 * seed + number))
            for number, grammar in enumerate(grammars)
        }
        while waiting:
            for number, walk in list(waiting.items()):
                token_id = next(walk, None)
                if token_id is None:
                    del waiting[number]
                else:
                    found[seed][number].append(token_id)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert found == expected


def test_what_one_grammar_lacked_is_not_looked_for_in_another() -> None:
    """A walk may note parser states that are missing and end without them; they are its own parser's."""
    compiler = GrammarCompiler(VOCABULARY)
    expected = sample(compiled(), random.Random(3))
    first, second = compiler.compile_json_schema({"type": "array"}), compiled_by(compiler)
    memory = compiler.store.walk_memories.mine
    first.recognizer.row(first.recognizer.initial)
    memory.progress[NUM_MISSING] = 1
    memory.missing[0] = 1_000_000
    assert sample(second, random.Random(3)) == expected


def test_caches_do_not_change_answers() -> None:
    """The same walk with every cache as small as it can be."""
    grammar = compiled()
    compiler = GrammarCompiler(VOCABULARY)
    compiler._store = MaskStore(VOCABULARY, max_bytes=0)
    uncached = compiler.compile_json_schema(SCHEMA)
    recognizer = uncached.recognizer
    for seed in range(5):
        matcher, twin = Matcher(grammar), Matcher(uncached)
        rng = random.Random(seed)
        for _ in range(25):
            recognizer.forget_moves()
            allowed = allowed_ids(matcher)
            assert allowed_ids(twin) == allowed
            token_id = rng.choice(sorted(allowed))
            assert matcher.accept_token(token_id)
            assert twin.accept_token(token_id)
            if matcher.is_terminated():
                break


def test_names_longer_than_any_token() -> None:
    """No token tells the beginning of such a key from any other key; their rows must not wait for
    each other."""
    name = "a_property_whose_name_is_longer_than_every_token_of_the_vocabulary"
    schema = {"type": "object", "properties": {name: {"type": "null"}}}
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_json_schema(schema))
    for byte in b'{"' + name.encode() + b'":n':
        allowed = allowed_ids(matcher)
        assert allowed == {i for i in range(VOCABULARY.size) if matcher.fork().accept_token(i)}
        assert matcher.accept_token(byte)


@given(st.randoms(use_true_random=False), st.integers(0, 12))
def test_a_batch_is_its_matchers(rng: random.Random, size: int) -> None:
    """Grammars of two stores, one with space for four rows only, and outputs that have ended."""
    tight = GrammarCompiler(VOCABULARY)
    tight._store = MaskStore(VOCABULARY, max_bytes=0)
    grammars = [compiled(), tight.compile_json_schema(SCHEMA), tight.compile_choice(["a", "ab"])]
    matchers = []
    for _ in range(size):
        matcher = Matcher(rng.choice(grammars))
        for _ in range(rng.randrange(6)):
            matcher.accept_token(rng.choice(sorted(allowed_ids(matcher))))
        matchers.append(matcher)
    rows = rng.sample(range(size + 2), size)
    bitmask = np.full((size + 2, VOCABULARY.num_words), 7, np.int32)
    expected = bitmask.copy()
    for matcher, row in zip(matchers, rows, strict=True):
        matcher.fill_bitmask(expected, row)
    fill_bitmasks(matchers, bitmask, rows)
    assert bitmask.tolist() == expected.tolist()


def test_a_batch_that_does_not_fit() -> None:
    matcher = Matcher(compiled())
    bitmask = np.zeros((2, VOCABULARY.num_words), np.int32)
    with pytest.raises(ValueError, match="1 matchers, but 2 rows"):
        fill_bitmasks([matcher], bitmask, [0, 1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        fill_bitmasks([matcher, matcher, matcher], bitmask)
    with pytest.raises(ValueError, match="bitmask must be"):
        fill_bitmasks([matcher], bitmask[:, 1:])


def test_short_rows_are_kept_in_greater_number() -> None:
    """Of long ones 16 MB are touched at start."""
    for num_words, max_bytes, capacity in (
        (64, 64 << 20, 8192),
        (500, 64 << 20, (4 << 20) // 2000),
        (4096, 64 << 20, 1024),
        (64, 1 << 20, 4096),
        (64, 0, 4),
    ):
        assert RowArena(num_words, max_bytes).capacity == capacity
