"""Texts that must come again, against a recogniser with explicit stacks."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_captures import NaiveCaptures
from test_recognizer import compile_ir, vocabularies
from toy import allowed_ids

from syntagma.grammar import UnsatisfiableGrammarError, Vocabulary, ir
from syntagma.grammar import dfa as dfas
from syntagma.grammar.absorb import absorb
from syntagma.grammar.captures import Captured, Extended, Fresh, Same
from syntagma.grammar.from_regex import regex_to_grammar
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import Language, WordList

SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
LETTERS = b"ab"
ALPHABET = b"ab<>"


def pattern(text: str) -> Language:
    """The language of a regular expression."""
    node = absorb(regex_to_grammar(text, Budget.unlimited()), Budget.unlimited()).body(0)
    assert isinstance(node, ir.Terminal)
    return node.language


def word(text: str) -> ir.Node:
    return ir.Terminal(dfas.literal(text.encode()))


NAME = pattern("[ab]+")
# Its words have endings of one kind only.
OTHER = pattern("a|ba*")
SHORT = WordList([b"a", b"ab"])
LEAVES = [
    Captured(NAME),
    Captured(SHORT),
    Captured(OTHER),
    Extended(NAME),
    Extended(SHORT),
    Same(NAME),
    Same(NAME),
    Fresh(NAME),
    Fresh(OTHER),
]


@st.composite
def grammars(draw: st.DrawFn) -> ir.Grammar:
    """Rules that capture and recall in all orders; the first one captures before anything else."""
    num_rules = draw(st.integers(1, 4))
    words = st.lists(
        st.sampled_from([b"a", b"b", b"<", b">", b"<a", b"b>", b"><"]), min_size=1, max_size=2
    )
    plain = words.map(lambda found: ir.Terminal(WordList(found)))
    call = st.integers(0, num_rules - 1).map(ir.Call)
    guarded = st.tuples(plain, call).map(ir.Sequence)
    leaf = st.one_of(
        plain, st.sampled_from([ir.Terminal(leaf) for leaf in LEAVES]), guarded, st.just(ir.EMPTY)
    )

    def extend(children: st.SearchStrategy[ir.Node]) -> st.SearchStrategy[ir.Node]:
        parts = st.lists(children, min_size=1, max_size=4).map(tuple)
        return st.one_of(
            parts.map(ir.Sequence),
            parts.map(ir.Choice),
            children.map(lambda part: ir.Repeat(part, 0, None)),
        )

    grammar = ir.Grammar()
    first = ir.Terminal(draw(st.sampled_from(LEAVES[:3])))
    for index in range(num_rules):
        body = draw(st.recursive(leaf, extend, max_leaves=8))
        # Rule 0 is called from within as well.
        grammar.add(f"rule {index}", body if index else ir.Sequence((word("<"), first, body)))
    return grammar


def test_a_text_that_is_made_longer_may_begin_unlike_what_makes_it_longer() -> None:
    """Behind a caught ``b`` comes ``ba``, or ``bb`` on the way to ``b`` and then ``ba`` or ``bab``."""
    grammar = ir.Grammar()
    parts = (word("<"), ir.Terminal(Captured(OTHER)), ir.Terminal(Extended(SHORT)))
    grammar.add("rule", ir.Sequence(parts))
    vocabulary = Vocabulary([b"a", b"b", b"<", b"bb", b""], stop_ids=[4])
    matcher = compile_ir(vocabulary, grammar)
    assert matcher.accept_tokens([2, 1])
    assert allowed_ids(matcher) == {0, 1}
    assert matcher.accept_tokens([1, 0, 1])
    assert allowed_ids(matcher) == {4}


@SETTINGS
@given(
    grammars(),
    vocabularies(alphabet=ALPHABET, max_size=40),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_masks_equal_those_of_explicit_stacks(
    grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random, is_absorbed: bool
) -> None:
    naive = NaiveCaptures(grammar, LETTERS)
    if is_absorbed:
        grammar = absorb(grammar, Budget.unlimited())
    if naive.is_empty:
        with pytest.raises(UnsatisfiableGrammarError):
            compile_ir(vocabulary, grammar)
        return
    start = compile_ir(vocabulary, grammar)
    for _ in range(3):
        matcher, text = start.fork(), b""
        for _ in range(6):
            expected = naive.mask(text, vocabulary)
            assert allowed_ids(matcher) == expected
            assert matcher.fork().accept_tokens(matcher.closing_tokens())
            forced = matcher.forced_bytes()
            assert naive.is_viable(text + forced)
            token_id = rng.choice(sorted(expected))
            assert matcher.accept_token(token_id)
            if matcher.is_terminated():
                break
            text += vocabulary.tokens[token_id]
