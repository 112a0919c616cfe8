"""Absorption keeps the language and leaves nothing regular to the parser."""

from __future__ import annotations

import random

import pytest
from ebnf_strategies import ALPHABET, Writer, ebnf_rules, linear_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_grammar import NaiveGrammar
from naive_language import EbnfWords, IrWords, Tree, texts
from test_recognizer import ir_grammars, vocabularies
from toy import accepts, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    UnsatisfiableGrammarError,
    Vocabulary,
    absorb,
    ir,
)
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.limits import Budget

MAX_LENGTH = 4
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lowered(text: str) -> ir.Grammar:
    return ebnf_to_grammar(text, Budget(CompileLimits()))


def absorbed(text: str) -> ir.Grammar:
    return absorb.absorb(lowered(text), Budget(CompileLimits()))


def num_terminals(grammar: ir.Grammar) -> int:
    """The distinct terminals of a grammar."""
    found: set[bytes] = set()
    waiting = grammar.produce_all()
    while waiting:
        match waiting.pop():
            case ir.Terminal(language):
                found.add(language.key)
            case ir.Sequence(parts) | ir.Choice(parts):
                waiting += parts
            case ir.Repeat(part, _, _):
                waiting.append(part)
    return len(found)


@SETTINGS
@given(ebnf_rules(), st.randoms(use_true_random=False))
def test_words_stay_the_same(rules: list[Tree], rng: random.Random) -> None:
    text = Writer(rng).grammar(rules)
    expected = EbnfWords(rules, ALPHABET, MAX_LENGTH).known[0]
    assert IrWords(absorbed(text), ALPHABET, MAX_LENGTH).known[0] == expected, text


@SETTINGS
@given(linear_rules(), st.randoms(use_true_random=False))
def test_linear_rules_are_one_terminal(rules: list[Tree], rng: random.Random) -> None:
    text = Writer(rng).grammar(rules)
    with pytest.MonkeyPatch.context() as patch:
        # Else a part whose automaton is many times as large as its rules stays rules.
        patch.setattr(absorb, "FREE_STATES", 30_000)
        grammar = absorbed(text)
    assert num_terminals(grammar) <= 1
    expected = EbnfWords(rules, ALPHABET, MAX_LENGTH).known[0]
    assert IrWords(grammar, ALPHABET, MAX_LENGTH).known[0] == expected, text


@SETTINGS
@given(ir_grammars(), st.sampled_from([4, 12, 40]), st.sampled_from([6, 60]))
def test_words_stay_the_same_when_the_bounds_are_tight(
    grammar: ir.Grammar, part_size: int, total_size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(absorb, "MAX_PART_SIZE", part_size)
        patch.setattr(absorb, "MAX_TOTAL_SIZE", total_size)
        patch.setattr(absorb, "MAX_INLINE_NODES", 4)
        after = absorb.absorb(grammar, Budget(CompileLimits()))
    expected = IrWords(grammar, "abc,", MAX_LENGTH).known[0]
    assert IrWords(after, "abc,", MAX_LENGTH).known[0] == expected


@SETTINGS
@given(ebnf_rules(guarded=True), vocabularies(ALPHABET.encode()), st.randoms(use_true_random=False))
def test_masks_equal_brute_force(
    rules: list[Tree], vocabulary: Vocabulary, rng: random.Random
) -> None:
    """The oracle reads the rules before absorption."""
    text = Writer(rng).grammar(rules)
    naive = NaiveGrammar(lowered(text))
    rests = naive.start()
    try:
        matcher = Matcher(GrammarCompiler(vocabulary).compile_ebnf(text))
    except UnsatisfiableGrammarError:
        return
    for _ in range(6):
        expected = naive.mask(rests, vocabulary)
        assert allowed_ids(matcher) == expected, text
        token_id = rng.choice(sorted(expected))
        assert matcher.accept_token(token_id)
        if matcher.is_terminated():
            break
        rests = naive.read(rests, vocabulary.tokens[token_id])


@settings(SETTINGS, max_examples=30)
@given(ebnf_rules(), st.randoms(use_true_random=False))
def test_compiled_grammars_accept_the_words_of_any_rules(
    rules: list[Tree], rng: random.Random
) -> None:
    """Left recursion, ambiguity and empty rules included."""
    text = Writer(rng).grammar(rules)
    expected = EbnfWords(rules, ALPHABET, 3).known[0]
    try:
        grammar = GrammarCompiler(byte_vocabulary()).compile_ebnf(text)
    except UnsatisfiableGrammarError:
        assert not expected
        return
    assert {word for word in texts(ALPHABET, 3) if accepts(grammar, word)} == expected, text


ONE_TERMINAL = [
    r"""root ::= "\"" char* "\""
        char ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
        hex ::= [0-9a-fA-F]""",
    r"""root ::= "\"" rest
        rest ::= "\"" | [^"\\] rest | "\\" . rest""",
    "root ::= root ',' word | word\nword ::= [a-z]+",
    "root ::= 'a' even | 'b' odd | ''\neven ::= 'x' root\nodd ::= 'y' root | 'z' even",
    "root ::= root 'a' | other 'b' | 'c'\nother ::= root 'd' | 'e'",
    "root ::= name ws '=' ws [0-9]{1,3} ws ';'\nname ::= [a-z]+\nws ::= [ \\t]*",
    "root ::= '' | 'IS' ws ('NOT' ws)? 'NULL'\nws ::= ' '+",
]


@pytest.mark.parametrize("text", ONE_TERMINAL)
def test_a_regular_grammar_is_one_terminal(text: str) -> None:
    grammar = absorbed(text)
    assert len(grammar.rules) == 1
    assert num_terminals(grammar) == 1


# The same language, with rules for every detail and with none.
WORDINGS = [
    (
        """root ::= ws expr
        expr ::= term (("+" | "-") ws term)*
        term ::= number | name | name "(" ws expr ")" ws | "-" ws term
        number ::= digit+ ("." digit+)? ws
        name ::= letter (letter | digit)* ws
        letter ::= [a-z]
        digit ::= [0-9]
        ws ::= " "*""",
        """root ::= [ ]* expr
        expr ::= term ([-+] [ ]* term)*
        term ::= ([0-9]+ | [0-9]+ "." [0-9]+) [ ]* | [a-z] [a-z0-9]* [ ]*
            | [a-z] [a-z0-9]* "(" [ ]* expr ")" [ ]* | "-" [ ]* term""",
    ),
    (
        """root ::= list
        list ::= "[" ws (item (ws "," ws item)* ws)? "]"
        item ::= list | string | "null"
        string ::= quote char* quote
        quote ::= "'"
        char ::= [^'\\\\] | "\\\\" .
        ws ::= (" " | "\\n")*""",
        """root ::= "[" [ \\n]* (item ([ \\n]* "," [ \\n]* item)* [ \\n]*)? "]"
        item ::= root | "'" rest | "null"
        rest ::= "'" | [^'\\\\] rest | "\\\\" [^] rest""",
    ),
]


@pytest.mark.parametrize(("plain", "tuned"), WORDINGS)
def test_the_wording_does_not_matter(plain: str, tuned: str) -> None:
    compiler = GrammarCompiler(byte_vocabulary())
    plain_size, tuned_size = (
        (len(g.source_grammar.rules), g.automata.num_positions, g.automata.num_terminals)
        for g in map(compiler.compile_ebnf, (plain, tuned))
    )
    assert plain_size == tuned_size


def test_neighbours_of_a_recursive_rule_are_merged() -> None:
    grammar = absorbed(
        """root ::= ws value
        value ::= "[" ws (value ("," ws value)*)? "]" ws | word ws | number ws
        word ::= "true" | "false"
        number ::= "0" | [1-9] [0-9]*
        ws ::= [ ]*"""
    )
    # Left of the root: ws; [ with its space; comma with its space; ] with its space; the scalars.
    assert num_terminals(grammar) == 5
    assert len(grammar.rules) == 2


def test_what_would_explode_stays_apart() -> None:
    """The automaton of the n-th letter from the end has 2**n states."""
    grammar = absorbed("root ::= '(' root ')' | [ab]* 'a' [ab]{25}")
    assert num_terminals(grammar) >= 3
    assert all(
        language.dfa.num_states < 1000
        for language in [node.language for node in _terminals(grammar)]
    )


def _terminals(grammar: ir.Grammar) -> list[ir.Terminal]:
    found: list[ir.Terminal] = []
    waiting = grammar.produce_all()
    while waiting:
        match waiting.pop():
            case ir.Terminal() as node:
                found.append(node)
            case ir.Sequence(parts) | ir.Choice(parts):
                waiting += parts
            case ir.Repeat(part, _, _):
                waiting.append(part)
    return found


def test_long_chains_and_doubling_rules_stay_within_bounds() -> None:
    chain = "\n".join(f"r{i} ::= 'a' (r{i + 1} | 'b' root)" for i in range(3000))
    doubling = "\n".join(f"d{i} ::= d{i + 1} d{i + 1}" for i in range(60))
    compiler = GrammarCompiler(byte_vocabulary(), limits=CompileLimits(max_seconds=60))
    grammar = compiler.compile_ebnf(f"root ::= r0 | 'x'\n{chain}\nr3000 ::= 'c'")
    assert accepts(grammar, "a" * 3000 + "c") and accepts(grammar, "aabx")
    words = absorbed(f"root ::= d0\n{doubling}\nd60 ::= 'a'?")
    assert len(words.rules) < 64


def test_large_word_lists_are_few_terminals() -> None:
    words = [f"{i * 7919 % 100_003:05x}" for i in range(3000)]
    grammar = absorbed(
        "root ::= '(' root ')' | word root | 'end'\nword ::= " + " | ".join(f"'{w}'" for w in words)
    )
    assert num_terminals(grammar) <= 6
