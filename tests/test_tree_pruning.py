"""Pruned trees against trying each path; forced text against the tokenizer and all continuations."""

from __future__ import annotations

import functools
import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding import Matcher
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.tree_pruning import Guess, prune
from syntagma.grammar import CompiledGrammar, GrammarCompiler, Vocabulary

VOCABULARY = byte_vocabulary(JSON_TOKENS)
STOP = VOCABULARY.stop_ids[0]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "ok": {"type": "boolean"}},
    "required": ["name", "ok"],
    "additionalProperties": False,
}


@functools.cache
def compiler() -> GrammarCompiler:
    return GrammarCompiler(VOCABULARY)


@functools.cache
def grammar() -> CompiledGrammar:
    return compiler().compile_json_schema(SCHEMA)


def walk(matcher: Matcher, rng: random.Random, most: int) -> list[int]:
    """Random tokens that the grammar allows; the matcher follows."""
    path: list[int] = []
    for _ in range(rng.randrange(most)):
        path.append(rng.choice(sorted(allowed_ids(matcher))))
        assert matcher.accept_token(path[-1])
        if matcher.is_terminated():
            break
    return path


def random_tree(matcher: Matcher, rng: random.Random) -> DraftTree:
    """Some allowed paths and some that go wrong somewhere."""
    places: dict[tuple[int, int], int] = {}
    for _ in range(rng.randrange(1, 8)):
        probe = matcher.fork()
        tokens = walk(probe, rng, 6)
        if rng.random() < 0.6:
            tokens.insert(rng.randrange(len(tokens) + 1), rng.randrange(VOCABULARY.size))
        parent = ROOT
        for token in tokens:
            parent = places.setdefault((parent, token), len(places))
    return DraftTree(
        token_ids=np.array([token for _, token in places], np.int32),
        parents=np.array([parent for parent, _ in places], np.int32),
        probabilities=np.array([rng.random() / 4 for _ in places]),
        sources=np.zeros(len(places), np.int8),
    )


def paths(tree: DraftTree) -> set[tuple[int, ...]]:
    return {tuple(tree.token_ids[tree.path(n)].tolist()) for n in range(tree.num_nodes)}


@given(st.integers(0, 1 << 30))
def test_what_stays_is_what_the_grammar_allows(seed: int) -> None:
    rng = random.Random(seed)
    matcher = Matcher(grammar())
    walk(matcher, rng, 8)
    if matcher.is_terminated():
        matcher.rollback(1)
    before = matcher.num_tokens, allowed_ids(matcher)
    tree = random_tree(matcher, rng)
    pruned = prune(tree, matcher, VOCABULARY)
    assert (matcher.num_tokens, allowed_ids(matcher)) == before
    assert paths(pruned) == {
        path
        for path in paths(tree)
        if STOP not in path[:-1] and matcher.validate_tokens(path) == len(path)
    }
    assert all(parent < node for node, parent in enumerate(pruned.parents.tolist()))


def test_siblings_inherit_what_was_given_to_the_forbidden() -> None:
    matcher = Matcher(grammar())
    brace, bracket = VOCABULARY.tokens.index(b"{"), VOCABULARY.tokens.index(b"[")
    tree = DraftTree(
        token_ids=np.array([brace, bracket], np.int32),
        parents=np.array([ROOT, ROOT], np.int32),
        probabilities=np.array([0.2, 0.6]),
        sources=np.zeros(2, np.int8),
    )
    pruned = prune(tree, matcher, VOCABULARY)
    assert pruned.token_ids.tolist() == [brace]
    assert pruned.probabilities.tolist() == pytest.approx([0.5])
    assert prune(EMPTY_TREE, matcher, VOCABULARY) is EMPTY_TREE


def test_without_a_grammar_nothing_follows_a_stop_token() -> None:
    vocabulary = Vocabulary([b"a", b"b", b"", b""], stop_ids=[2], special_ids=[3])
    tree = DraftTree.chain([0, 2, 1], [0.9] * 3, "prompt")
    assert prune(tree, None, vocabulary).token_ids.tolist() == [0, 2]
    assert prune(DraftTree.chain([0, 3, 1], [0.9] * 3, "prompt"), None, vocabulary).num_nodes == 1
    assert prune(DraftTree.chain([0, 9], [0.9] * 2, "prompt"), None, vocabulary).num_nodes == 1
    whole = DraftTree.chain([0, 1], [0.9] * 2, "prompt")
    assert prune(whole, None, vocabulary) is whole


# Forced text


def greedy(vocabulary: Vocabulary, text: bytes) -> list[int]:
    """The longest token at each place: a tokenizer whose tokens depend on nothing before them."""
    token_ids = []
    while text:
        best = max((t for t in vocabulary.tokens if t and text.startswith(t)), key=len)
        token_ids.append(vocabulary.tokens.index(best))
        text = text[len(best) :]
    return token_ids


def forced_text(vocabulary: Vocabulary = VOCABULARY) -> ForcedText:
    return ForcedText(vocabulary, lambda text: greedy(vocabulary, text.encode()))


def test_forced_keys_are_drafted_up_to_where_the_grammar_is_open() -> None:
    compact = compiler().compile_json_schema(SCHEMA, whitespace="compact")
    found = forced_text().tokens_after(Matcher(compact), b"", 16)
    assert [VOCABULARY.tokens[t] for t in found] == [b'{"', *(bytes([b]) for b in b"name"), b'":']
    assert forced_text().tokens_after(Matcher(compact), b"", 2) == found[:2]


@pytest.mark.parametrize("extra", [(), (b"ab",), (b"bc", b"cab"), (b"abc", b"ca", b"bx")])
@pytest.mark.parametrize(
    "pattern", ["abcab[cx]*", "abc[abx]{0,2}", "ab(c|ca|cab)", "abcab", "[ab]c"]
)
def test_the_boundary_rule(extra: tuple[bytes, ...], pattern: str) -> None:
    """What is kept begins every text of the grammar, longest tokens first; one more would not."""
    vocabulary = byte_vocabulary(extra, alphabet=b"abcx")
    found_grammar = GrammarCompiler(vocabulary).compile_regex(pattern)
    matcher = Matcher(found_grammar)
    kept = forced_text(vocabulary).tokens_after(matcher, b"", 16)
    texts = [
        bytes(word)
        for size in range(9)
        for word in itertools.product(b"abcx", repeat=size)
        if accepts_bytes(found_grammar, bytes(word))
    ]
    encodings = [greedy(vocabulary, text) for text in texts]
    assert texts
    assert all(encoding[: len(kept)] == kept for encoding in encodings)
    common = max(
        n for n in range(10) if all(encoding[:n] == encodings[0][:n] for encoding in encodings)
    )
    forced = len(matcher.forced_bytes())
    # Common beginnings that reach beyond the forced text are a matter of what follows it.
    lengths = np.cumsum([len(vocabulary.tokens[t]) for t in encodings[0][:common]])
    assert len(kept) == int((lengths <= forced).sum())


def accepts_bytes(found_grammar: CompiledGrammar, text: bytes) -> bool:
    matcher = Matcher(found_grammar)
    ids = [found_grammar.vocabulary.tokens.index(bytes([b])) for b in text]
    return matcher.accept_tokens(ids) and matcher.is_accepting()


def test_what_a_tokenizer_cannot_write_is_written_with_the_longest_tokens() -> None:
    def upper(text: str) -> list[int]:
        return greedy(VOCABULARY, text.upper().encode())

    changed = ForcedText(VOCABULARY, upper)
    assert changed.canonical(b"", b'{"name') == greedy(VOCABULARY, b'{"name')
    assert forced_text().canonical(b"", b"\xa9x") == greedy(VOCABULARY, b"\xa9x")


def test_the_text_before_decides_where_words_begin() -> None:
    """A tokenizer that joins a blank with the word before it."""
    vocabulary = byte_vocabulary([b"x ", b"ab"])
    found = ForcedText(vocabulary, lambda text: greedy(vocabulary, text.encode()))
    assert found.canonical(b"q", b" ab") == greedy(vocabulary, b" ab")
    # Behind an x the tokenizer would have written the blank already.
    assert found.canonical(b"x", b" ab") == greedy(vocabulary, b" ab")


def test_forced_text_is_appended_to_leaves() -> None:
    compact = compiler().compile_json_schema(SCHEMA, whitespace="compact")
    matcher = Matcher(compact)
    start = greedy(VOCABULARY, b'{"name":"')
    assert matcher.accept_tokens(start)
    tree = DraftTree.chain(greedy(VOCABULARY, b'x"'), [0.5, 0.5], "prompt")
    found = prune(
        tree,
        matcher,
        VOCABULARY,
        after_leaf=lambda path: [
            Guess(token_id, 0.9, "forced")
            for token_id in forced_text().tokens_after(matcher, b"", 16)
        ],
    )
    text = b"".join(VOCABULARY.tokens[t] for t in found.token_ids)
    assert text == b'x","ok":'
    assert [SOURCES[s] for s in found.sources[2:]] == ["forced"] * (found.num_nodes - 2)
    assert matcher.num_tokens == len(start)
