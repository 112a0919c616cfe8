"""Masks of wide lexer states, which come from the mask store, against plain walks with the configs."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import allowed_ids as ids_of
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompileLimits, GrammarCompiler, Vocabulary
from syntagma.grammar.edge_kernels import differing_nodes
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.terminals import OtherStrings, WordList
from syntagma.grammar.token_trie import TokenTrie

KEYS = ["a", "ab", "abc", "b", "é", 'q"', "a\\"]
KEY_TOKENS = [b'"a', b'ab', b'"abc', b'":', b'": 1', b'b":', b'c": ', b"\\u0061", b"\\\\", b'\\"":',
              b'":1', b'":true', b'": "', b'","a', b'1,"', b'}', b'":{"', "é".encode(), b"\\u00e9"]  # fmt: skip
VOCABULARY = byte_vocabulary([*JSON_TOKENS, *(t for t in KEY_TOKENS if t not in JSON_TOKENS)])
SETTINGS = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))


@st.composite
def open_objects(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Objects that allow other keys, or say what those must be, and alternatives of them."""
    if depth == 0:
        return draw(
            st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {}])
        )
    if draw(st.integers(0, 3)) == 0:
        return {"anyOf": draw(st.lists(open_objects(depth), min_size=2, max_size=3))}
    names = draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: draw(open_objects(depth - 1)) for name in names},
        "required": [name for name in names if draw(st.booleans())],
    }
    others = draw(st.sampled_from(["any", "of a schema", "by pattern"]))
    if others == "of a schema":
        schema["additionalProperties"] = draw(open_objects(depth - 1))
    elif others == "by pattern":
        # Names that do not match are no other keys: beside the pattern they fall back on nothing.
        schema["patternProperties"] = {"^c": draw(open_objects(depth - 1))}
        schema["additionalProperties"] = False
    return schema


@SETTINGS
@given(open_objects(), st.randoms(use_true_random=False))
def test_wide_or_walked_masks_are_the_same(schema: dict[str, Any], rng: random.Random) -> None:
    matchers = []
    for max_width, min_wide_nodes in ((0, 0), (10, 4000), (1 << 40, 4000)):
        # On a busy machine some schemas take longer than the usual limit, now and then.
        compiler = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=600))
        compiler._store = MaskStore(VOCABULARY, max_width=max_width, min_wide_nodes=min_wide_nodes)
        matchers.append(Matcher(compiler.compile_json_schema(schema)))
    text = b""
    for _ in range(12):
        found = [allowed_ids(matcher) for matcher in matchers]
        tokens = [{VOCABULARY.tokens[i] for i in ids} for ids in found]
        assert found[0] == found[2], (text, tokens[0] ^ tokens[2])
        assert found[1] == found[2], (text, tokens[1] ^ tokens[2])
        assert all(
            matchers[2].fork().accept_token(i) == (i in found[2]) for i in range(VOCABULARY.size)
        )
        token_id = rng.choice(sorted(found[2]))
        for matcher in matchers:
            assert matcher.accept_token(token_id)
        if matchers[0].is_terminated():
            break
        text += VOCABULARY.tokens[token_id]


def test_a_name_beside_a_pattern_that_does_not_match_it() -> None:
    """The pattern's state falls dead behind the name's first letter, where the name goes on."""
    schema = {
        "properties": {"foo": {}, "bar": {}},
        "patternProperties": {"^v": {}},
        "additionalProperties": False,
    }
    vocabulary = byte_vocabulary(
        [b'{"', b"foo", b"ba", b"va", b"fox", *(b"v%d" % i for i in range(40))]
    )
    found = []
    for max_width in (0, 20, 1 << 40):
        compiler = GrammarCompiler(vocabulary)
        compiler._store = MaskStore(vocabulary, max_width=max_width, min_wide_nodes=4000)
        matcher = Matcher(compiler.compile_json_schema(schema))
        assert matcher.accept_token(vocabulary.tokens.index(b'{"'))
        found.append({vocabulary.tokens[i] for i in allowed_ids(matcher)})
    assert {b"foo", b"ba", b"va", b"v7", b"f"} <= found[2]
    assert found[0] == found[1] == found[2]


SUM = """
root ::= ws sum
sum  ::= term (("+" | "-") ws term)*
term ::= (name | number | name "(" ws sum ("," ws sum)* ")" | "(" ws sum ")") ws
name ::= [ab] [ab0-9]*
number ::= [0-9]+ ("." [0-9]+)?
ws ::= " "*
"""
SUM_TOKENS = [b" a", b" ab", b" abba", b" b0", b" a+", b" ab -", b" b(", b" (", b"((", b" 1", b" 10", b"+ a",
              b"+ ba", b"- b", b"-  a", b"  a", b"  ab", b" ba (", b"a(b", b"ab,", b", a", b", ab", b"1 + a",
              b" a + b", b" b)", b")) +", b" 0.5", b"  ", b"   "]  # fmt: skip


@SETTINGS
@given(st.integers(0, 20), st.sampled_from([0, 4000]), st.randoms(use_true_random=False))
def test_operands_behind_a_blank(max_width: int, min_wide_nodes: int, rng: random.Random) -> None:
    """Narrow at the root, wide below the blank: the rest of the row comes from the store as well."""
    vocabulary = byte_vocabulary(SUM_TOKENS)
    matchers = []
    for width, nodes in ((max_width, min_wide_nodes), (1 << 40, 4000)):
        compiler = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=600))
        compiler._store = MaskStore(vocabulary, max_width=width, min_wide_nodes=nodes)
        matchers.append(Matcher(compiler.compile_ebnf(SUM)))
    text = b""
    for _ in range(16):
        found, expected = ({vocabulary.tokens[i] for i in allowed_ids(m)} for m in matchers)
        assert found == expected, (text, found ^ expected)
        token_id = rng.choice(sorted(allowed_ids(matchers[1])))
        for matcher in matchers:
            assert matcher.accept_token(token_id)
        if matchers[0].is_terminated():
            break
        text += vocabulary.tokens[token_id]


def test_entries_below_the_root() -> None:
    """What comes behind a blank is worked out once for all states in which an operand begins there."""
    vocabulary = byte_vocabulary(SUM_TOKENS)
    compiler = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=600))
    compiler._store = MaskStore(vocabulary, max_width=6, min_wide_nodes=0)
    matcher = Matcher(compiler.compile_ebnf(SUM))
    counts = []
    for token in (b"a", b"+", b"b", b"-", b"(", b"a", b"+"):
        assert matcher.accept_token(vocabulary.tokens.index(token))
        allowed_ids(matcher)
        counts.append(compiler.store.statistics.num_computed)
    assert counts[0] < counts[1] == counts[3]


@SETTINGS
@given(
    st.lists(st.sampled_from(KEYS), max_size=4, unique=True),
    st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
    st.lists(st.text('ab"\\:c', min_size=1, max_size=6), min_size=1, max_size=30, unique=True),
)
def test_where_a_key_is_not_any_other_key(
    excluded: list[str], declared: list[str], texts: list[str]
) -> None:
    """A token goes the base's way unless it passes one of the nodes found."""
    tokens = [text.encode() for text in texts]
    trie = TokenTrie.from_vocabulary(Vocabulary([*tokens, b""], stop_ids=[len(tokens)]))
    pool = LexerPool()
    terminals = [pool.terminal_id(OtherStrings([*excluded, *declared]))]
    terminals += [pool.terminal_id(WordList([f'"{name}":'.encode()])) for name in declared]
    pool.lexer(tuple(sorted(terminals)))
    for state in range(1, pool.num_states):
        base = pool.fallback_of(state)
        if not base or pool.complete_in(state) != pool.complete_in(base):
            continue
        row, nodes = np.full(8, -1, np.int32), np.zeros(64, np.int32)
        count = differing_nodes(trie.with_children, pool.arrays, state, base, row, nodes)
        found = nodes[:count].tolist()
        assert found == sorted(set(found))
        left, right = ({t for t in tokens if run(pool, s, t)} for s in (state, base))
        cut = {
            t for t in tokens
            if any(parts(pool, run(pool, state, t[:n]), run(pool, base, t[:n])) for n in range(1, len(t)))
        }  # fmt: skip
        kept = {tokens[i] for i in ids_of(row, 256) if i < len(tokens)}
        assert kept & cut == set()
        assert {t for t in tokens if t not in cut} - kept == right - left - cut
        below = {
            i
            for n in found
            for i in trie.token_ids[trie.token_start[n] : trie.token_start[trie.subtree_end[n]]]
        }
        assert {t for t in cut if t in left} <= {tokens[i] for i in below}


def run(pool: LexerPool, state: int, text: bytes) -> int:
    """The lexer state after a text."""
    for byte in text:
        state = pool.step(state, byte)
    return state


def parts(pool: LexerPool, state: int, base: int) -> bool:
    """Whether from here on a state is no longer like the other one but for some edges."""
    if state == base:
        return False
    if not base:
        return True  # No token goes the dead state's way.
    return pool.fallback_of(state) != base or pool.complete_in(state) != pool.complete_in(base)
