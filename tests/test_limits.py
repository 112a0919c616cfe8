"""Hostile patterns end in a `GrammarError` or compile; nothing else escapes."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import accepts, byte_vocabulary

from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
    ir,
)
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_document import SchemaDocument

VOCABULARY = byte_vocabulary()


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    """Without a deadline, so that a slow machine changes no outcome."""
    return GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=600))


def outcome(compiler: GrammarCompiler, pattern: Any) -> CompiledGrammar | GrammarError:
    try:
        return compiler.compile_regex(pattern)
    except GrammarError as error:
        return error


def check_limit(result: CompiledGrammar | GrammarError, limit: str) -> None:
    assert isinstance(result, GrammarLimitError)
    assert result.limit == limit
    assert result.limit in {field.name for field in dataclasses.fields(CompileLimits)}


# A1: nesting


@pytest.mark.parametrize("count", [50_000, 60_000])
@pytest.mark.parametrize(
    ("opening", "inner", "closing"),
    [
        ("(", "a", ")"),
        ("(?:", "a", ")*"),
        ("(", "", ""),
        ("(a|", "b", "){1,2}"),
        ("(?<n>", "x", ")?"),
    ],
)
def test_nested_groups(
    compiler: GrammarCompiler, count: int, opening: str, inner: str, closing: str
) -> None:
    check_limit(outcome(compiler, opening * count + inner + closing * count), "max_regex_depth")


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        (")" * 60_000, GrammarSyntaxError),
        ("[" * 60_000, GrammarSyntaxError),
        ("a" + "*" * 60_000, GrammarSyntaxError),
        ("\\" * 60_001, GrammarSyntaxError),
        ("(?=" * 60_000, UnsupportedGrammarError),
        ("a{2}" * 2 + "{3}" * 60_000, GrammarSyntaxError),
        ("[]" * 1000, UnsatisfiableGrammarError),
    ],
)
def test_long_malformed_patterns(
    compiler: GrammarCompiler, pattern: str, error: type[GrammarError]
) -> None:
    assert isinstance(outcome(compiler, pattern), error)


@pytest.mark.parametrize(
    "pattern",
    ["(" * 200 + "a" + ")" * 200, "()" * 20_000, "a|" * 20_000, "{" * 20_000, "}" * 20_000],
)
def test_long_patterns_that_are_fine(compiler: GrammarCompiler, pattern: str) -> None:
    assert isinstance(outcome(compiler, pattern), CompiledGrammar)


# A5: loops over the empty word


@pytest.mark.parametrize(
    ("pattern", "accepted", "rejected"),
    [
        ('("a"*)*', ['"a', '"a"', '"a""a', ""], ["a", '"aa']),
        ('(""*)*', ['"', '""', ""], ["a"]),
        ("(|a)*", ["", "aaa"], ["b"]),
        ("(a*)*", ["", "aaa"], ["b"]),
        ("((a?)+)*b", ["b", "aab"], ["a"]),
        ("(()*)*", [""], ["a"]),
        ("(|){1000}", [""], ["a"]),
        ("((^)*)*|a", ["", "a"], ["b"]),
        ("((a*)*|(b*)*)*", ["abba"], ["c"]),
        ("(a*)+(b*)+(a*)+", ["aabba", ""], ["abab"]),
    ],
)
def test_nullable_loops(
    compiler: GrammarCompiler, pattern: str, accepted: list[str], rejected: list[str]
) -> None:
    grammar = compiler.compile_regex(pattern)
    assert all(accepts(grammar, text) for text in accepted)
    assert not any(accepts(grammar, text) for text in rejected)


# A7: state explosion


@pytest.mark.parametrize(
    "pattern", [".*a.{30}", ".*a.{2000}", "(.*a){20}.{20}", "(a|b)*a(a|b){25}", ".*a.{14}b.{14}c.*"]
)
def test_subset_explosion(compiler: GrammarCompiler, pattern: str) -> None:
    check_limit(outcome(compiler, pattern), "max_dfa_states")


def test_many_counted_gaps(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_regex(".*x{0,999}" * 5)
    assert accepts(grammar, "x" * 3000 + "é")


def test_explosions_stop_at_the_limit_that_is_set() -> None:
    tight = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=600, max_dfa_states=100))
    check_limit(outcome(tight, "a{200}"), "max_dfa_states")
    check_limit(outcome(tight, "(a|b)*a(a|b){8}"), "max_dfa_states")
    assert isinstance(outcome(tight, "a{50}"), CompiledGrammar)
    few = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=600, max_nfa_states=100))
    check_limit(outcome(few, "a{200}"), "max_nfa_states")


# A8: nested quantifiers and huge counts


@pytest.mark.parametrize("pattern", ["((a+)+)+b", "(((a*)*)*)*b", "((a?){3}){3}b", "(a+a+)+b"])
def test_nested_quantifiers(compiler: GrammarCompiler, pattern: str) -> None:
    grammar = compiler.compile_regex(pattern)
    assert accepts(grammar, "aaaab")
    assert not accepts(grammar, "aaaa")


def test_nested_plus_stays_small(compiler: GrammarCompiler) -> None:
    """The automaton grows with the pattern's length, not exponentially with its depth."""
    grammar = compiler.compile_regex("(" * 100 + "a" + ")+" * 100 + "b")
    assert accepts(grammar, "aaab")
    assert not accepts(grammar, "b")


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        ("((a{0,100}){0,100}){0,100}", "max_nfa_states"),
        ("((a{100}){100}){100}", "max_nfa_states"),
        ("a{1,1000000}", "max_nfa_states"),
        ("a{999999999}", "max_nfa_states"),
        ("a{0,999999999}", "max_nfa_states"),
        ("(){999999999}", "max_nfa_states"),
        ("(a{0}){999999999}", "max_nfa_states"),
        ("([]){999999999}", "max_nfa_states"),
        ("a{50000}", "max_dfa_states"),
    ],
)
def test_repetition_is_bounded(compiler: GrammarCompiler, pattern: str, limit: str) -> None:
    check_limit(outcome(compiler, pattern), limit)


@pytest.mark.parametrize(
    "pattern",
    ["a{2147483648}", "a{100000000000000000000}", "a{1," + "9" * 5000 + "}", "a{1000000000}"],
)
def test_counts_beyond_all_reason_are_syntax_errors(
    compiler: GrammarCompiler, pattern: str
) -> None:
    error = outcome(compiler, pattern)
    assert isinstance(error, GrammarSyntaxError)
    assert error.column is not None


# A9: wide classes many times over


@pytest.mark.parametrize("pattern", [r"\p{L}{500}", r"[\p{L}\p{N}_]{1000}"])
def test_wide_classes_repeated(compiler: GrammarCompiler, pattern: str) -> None:
    check_limit(outcome(compiler, pattern), "max_dfa_states")


@pytest.mark.parametrize("pattern", [r"\p{L}{20}", r"[^\p{Lu}]{5}\P{N}", ".{0,2000}", "[^a]{2000}"])
def test_wide_classes_repeated_a_little(compiler: GrammarCompiler, pattern: str) -> None:
    assert isinstance(outcome(compiler, pattern), CompiledGrammar)


@pytest.mark.parametrize("template", ["{}", "[^{}]", "({})?"])
def test_many_distinct_characters(compiler: GrammarCompiler, template: str) -> None:
    """Each character is a class of its own; either that fits or a limit says so."""
    text = "".join(template.format(chr(0x4E00 + i)) for i in range(600))
    result = outcome(compiler, text)
    assert isinstance(result, CompiledGrammar | GrammarLimitError)
    shorter = "".join(template.format(chr(0x4E00 + i)) for i in range(60))
    assert isinstance(outcome(compiler, shorter), CompiledGrammar)


@pytest.mark.parametrize(
    "pattern",
    [
        "".join(f"[^{chr(0x4E00 + i)}]" for i in range(8000)),
        ".{0,29000}" + "".join(chr(0x4E00 + i) for i in range(300)),
        "|".join(f"[{chr(0x4E00 + i)}-{chr(0x6000 + i)}]" for i in range(6000)),
    ],
)
def test_many_classes_in_many_states(compiler: GrammarCompiler, pattern: str) -> None:
    check_limit(outcome(compiler, pattern), "max_nfa_states")


def test_optional_chains(compiler: GrammarCompiler) -> None:
    """Each state of the chain is as large as what is left of it."""
    grammar = compiler.compile_regex("(a?){800}")
    assert accepts(grammar, "a" * 800)
    assert not accepts(grammar, "a" * 801)
    check_limit(outcome(compiler, "(a?){29000}"), "max_dfa_states")
    check_limit(outcome(compiler, "(a?){60000}"), "max_nfa_states")


# Sources and deadlines


def test_source_size() -> None:
    small = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_source_bytes=100))
    assert isinstance(outcome(small, "a" * 100), CompiledGrammar)
    error = outcome(small, "a" * 101)
    check_limit(error, "max_source_bytes")
    assert isinstance(error, GrammarLimitError) and error.given == 101


@pytest.mark.parametrize("source", [None, 5, b"a", ["a"], {"pattern": "a"}, True])
def test_sources_of_the_wrong_type(compiler: GrammarCompiler, source: Any) -> None:
    assert isinstance(outcome(compiler, source), GrammarSyntaxError)


@pytest.mark.parametrize("pattern", ["\0", "a\0b", r"\0", r"\x00", r"\u0000", "[\0-\1]"])
def test_nul_is_a_character(compiler: GrammarCompiler, pattern: str) -> None:
    assert isinstance(outcome(compiler, pattern), CompiledGrammar)


@pytest.mark.parametrize("pattern", ["[]", "a[]", r"[^\s\S]", "a^b", "$a", r"\ud800"])
def test_patterns_without_words(compiler: GrammarCompiler, pattern: str) -> None:
    error = outcome(compiler, pattern)
    assert isinstance(error, UnsatisfiableGrammarError)
    assert error.pointer is None


def test_a_deadline_in_the_past_ends_the_compilation() -> None:
    hurried = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=-1.0))
    check_limit(outcome(hurried, "a"), "max_seconds")
    with pytest.raises(GrammarLimitError, match="longer than -1 s"):
        Budget(CompileLimits(max_seconds=-1.0)).check_time()


def test_budget_messages_name_the_limit_and_what_was_given() -> None:
    budget = Budget(CompileLimits(max_rules=3))
    budget.check("max_rules", 3, "rules")
    with pytest.raises(GrammarLimitError) as caught:
        budget.check("max_rules", 4, "rules of the grammar", pointer="/a")
    assert (caught.value.limit, caught.value.given, caught.value.pointer) == ("max_rules", 4, "/a")
    assert str(caught.value) == "rules of the grammar: 4 exceeds the limit max_rules = 3 (at /a)"
    Budget.unlimited().check_time()


def test_a_refused_pattern_leaves_nothing_behind(compiler: GrammarCompiler) -> None:
    """The same compiler goes on to work, with the same terminals as before."""
    compiler.compile_regex("warm[a-z]+")
    before = compiler.store.pool.num_states
    for pattern in (".*a.{30}", "(" * 300, "a{1000000}", "[]", "(?=a)"):
        assert isinstance(outcome(compiler, pattern), GrammarError)
    assert compiler.store.pool.num_states == before
    assert accepts(compiler.compile_regex("warm[a-z]+"), "warmth")


# EBNF


def ebnf_outcome(text: str, **limits: Any) -> CompiledGrammar | GrammarError:
    compiler = GrammarCompiler(VOCABULARY, limits=CompileLimits(**{"max_seconds": 600} | limits))
    try:
        return compiler.compile_ebnf(text)
    except GrammarError as error:
        return error


def rules(count: int, body: str, last: str) -> str:
    """``count`` rules in a row; ``{n}``, ``{next}`` and ``{first}`` stand for names in the body."""
    lines = [
        f"r{n} ::= " + body.format(n=f"r{n}", next=f"r{n + 1}", first="r0") for n in range(count)
    ]
    return "\n".join(["root ::= r0", *lines, f"r{count} ::= {last}"])


def clique(size: int) -> str:
    """Rules that all begin with each other, each called from outside as well."""
    names = range(size)
    lines = [
        f"r{n} ::= " + " | ".join(f'r{m} "x" root' for m in names) + f' | "a{n}"' for n in names
    ]
    return "\n".join(["root ::= " + " | ".join(f'"s{n}" r{n}' for n in names), *lines])


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("root ::= " + "(" * 60_000 + '"a"' + ")" * 60_000, {}),
        ("root ::= " + "(" * 60 + '"a"' + ")*" * 60, {"max_regex_depth": 50}),
        ('root ::= "' + "a" * 1000 + '"', {"max_source_bytes": 500}),
        (rules(100, "{next}", '"a"'), {"max_rules": 50}),
        (rules(100, '"(" {next}? ")" {first}?', '"a"'), {"max_positions": 50}),
        (clique(20), {"max_positions": 2000}),
        ('root ::= [a-z]* - ([a-z]* "a" [a-z]{16})', {"max_dfa_states": 300}),
    ],
)  # fmt: skip
def test_large_ebnf_ends_at_the_limit_that_is_set(text: str, limits: dict[str, int]) -> None:
    check_limit(ebnf_outcome(text, **limits), next(iter(limits), "max_regex_depth"))


@pytest.mark.parametrize(
    ("text", "limits", "words", "other"),
    [
        (
            'root ::= "(" root? ")" | [a-z]* "a" [a-z]{12} "!"',
            {"max_dfa_states": 300},
            ["()", "((ba" + "c" * 12 + "!))"],
            "(ba" + "c" * 11 + "!)",
        ),
        (
            'root ::= "(" root ")" | [a-z]{90} "."',
            {"max_nfa_states": 60},
            ["k" * 90 + ".", "(" + "k" * 90 + ".)"],
            "k" * 91 + ".",
        ),
    ],
)
def test_regular_parts_that_are_too_large_stay_rules(
    text: str, limits: dict[str, int], words: list[str], other: str
) -> None:
    grammar = ebnf_outcome(text, **limits)
    assert isinstance(grammar, CompiledGrammar)
    assert all(accepts(grammar, word) for word in words)
    assert not accepts(grammar, other)


@pytest.mark.parametrize(
    ("text", "words", "other"),
    [
        ('root ::= root "a" | "a"', ["a", "a" * 300], "b"),
        ('root ::= x root "a" | "a"\nx ::= "b"?', ["a", "aaa", "b" * 20 + "a" * 21], "ba"),
        ('root ::= root root "a"? | "b"', ["b", "bb", "bba" * 40], "ab"),
        ('root ::= (""*)* "a"', ["a"], ""),
        ('root ::= (("a"?){0,50}){0,50}', ["", "a" * 100], "b"),
        (rules(60, "{next} {next}", '"a"?'), ["", "a" * 50], "b"),
        (rules(300, '{next} | "b" {next}', '"a"'), ["a", "b" * 300 + "a"], "b" * 301 + "a"),
        (rules(50, '{first} "x" | {next}', '"a"'), ["a", "a" + "x" * 100], "x"),
        ("root ::= " + "(" * 150 + '"a"' + ")*" * 150, ["", "a" * 100], "b"),
        ('root ::= root root root | "a" | "aa" | "aaa"', ["a" * 3, "a" * 60], "b"),
    ],
)
def test_ambiguous_ebnf_is_served(text: str, words: list[str], other: str) -> None:
    grammar = ebnf_outcome(text)
    assert isinstance(grammar, CompiledGrammar)
    for word in words:
        assert accepts(grammar, word)
    assert not accepts(grammar, other)
    assert grammar.shortest_bytes <= len(words[0])


@pytest.mark.parametrize(
    "text",
    ["root ::= root", "root ::= a\na ::= b\nb ::= a", 'root ::= root root "a"?', "root ::= []"],
)
def test_ebnf_without_words(text: str) -> None:
    assert isinstance(ebnf_outcome(text), UnsatisfiableGrammarError | GrammarSyntaxError)


def test_a_doubling_chain_has_an_exact_length() -> None:
    """2^60 bytes, counted and never written out."""
    grammar = ebnf_outcome(rules(60, "{next} {next}", '"a"'))
    assert isinstance(grammar, CompiledGrammar)
    assert grammar.shortest_bytes == 2**60


EBNF_PIECES = ["root", "x", "(", ")", '"a"', '"b"', "[ab]", "|", "*", "+", "?", "{2,3}", "{0,40}", "-", '""',
               "\nx ::=", "\nroot ::="]  # fmt: skip


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.sampled_from(EBNF_PIECES), max_size=16))
def test_random_ebnf_compiles_or_fails_with_our_errors(pieces: list[str]) -> None:
    text = "root ::= " + " ".join(pieces)
    grammar = ebnf_outcome(text, max_positions=2000, max_dfa_states=500)
    if isinstance(grammar, GrammarError):
        return
    for word in ("", "a", "ab" * 10, "b" * 20):
        if accepts(grammar, word):
            assert len(word) >= grammar.shortest_bytes


# What a compiled grammar puts off

NESTED = {"type": "object", "properties": {"a": {"type": "object"}}}
TEXTS = ['{"x": [1, {"b": null}]}', '{"a": {"c": [[]]}, "y": -1.5}', "{}"]


def test_no_deadline_ends_the_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are produced when an output gets there, long after the compilation."""
    grammar = GrammarCompiler(VOCABULARY).compile_json_schema(NESTED)
    assert grammar.source_grammar.is_proper
    later = time.thread_time() + 1e6
    monkeypatch.setattr(time, "thread_time", lambda: later)
    for text in TEXTS:
        assert accepts(grammar, text)
    assert grammar.shortest_bytes == 2


def test_the_deadline_is_no_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine refuses nothing that an idle one accepts."""
    budget = Budget(CompileLimits())
    later = time.monotonic() + 1e6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    budget.check_time()
    grammar = GrammarCompiler(VOCABULARY).compile_json_schema(NESTED)
    assert accepts(grammar, TEXTS[0])


def test_no_limit_on_positions_ends_the_decoding() -> None:
    limits = CompileLimits(max_seconds=600, max_positions=5)
    grammar = GrammarCompiler(VOCABULARY, limits=limits).compile_json_schema(NESTED)
    for text in TEXTS:
        assert accepts(grammar, text)
    assert grammar.automata.num_positions > 5


def test_counted_rounds_are_no_limit_either() -> None:
    limits = CompileLimits(max_seconds=600, max_positions=100)
    compiler = GrammarCompiler(VOCABULARY, limits=limits)
    grammar = compiler.compile_json_schema({"type": "array", "items": True, "maxItems": 300})
    assert accepts(grammar, "[" + ", ".join(["[]"] * 300) + "]")
    assert not accepts(grammar, "[" + ", ".join(["[]"] * 301) + "]")


def test_a_finished_budget_checks_nothing() -> None:
    budget = Budget(CompileLimits(max_seconds=-1, max_rules=1))
    with pytest.raises(GrammarLimitError):
        budget.check_time()
    with pytest.raises(GrammarLimitError):
        budget.check("max_rules", 2, "rules")
    budget.finish()
    budget.check_time()
    budget.check("max_rules", 2, "rules")


def test_a_rule_whose_production_failed_can_be_produced_again() -> None:
    """As when memory was short for a moment."""
    budget = Budget(CompileLimits(max_seconds=600))
    grammar = json_schema_to_grammar(SchemaDocument.load(NESTED, budget), JsonOptions(), budget)
    assert grammar.is_proper
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ir, "choice", _out_of_memory)
        with pytest.raises(MemoryError):
            grammar.body(0)
    assert grammar.body(0) != ir.NOTHING


def _out_of_memory(*parts: ir.Node) -> ir.Node:
    raise MemoryError(f"no room for {len(parts)} parts")


def test_hashes_depend_on_source_options_and_kind() -> None:
    compiler, again = GrammarCompiler(VOCABULARY), GrammarCompiler(byte_vocabulary())
    schema: dict[str, Any] = {"enum": ["a"]}
    grammar = compiler.compile_json_schema(schema)
    schema["enum"].append("b")
    hashes = [
        grammar.hash,
        compiler.compile_json_schema(schema).hash,
        compiler.compile_json_schema(schema, whitespace="compact").hash,
        compiler.compile_regex("a").hash,
        compiler.compile_choice(["a"]).hash,
        compiler.compile_ebnf('root ::= "a"').hash,
        GrammarCompiler(byte_vocabulary([b"ab"])).compile_regex("a").hash,
    ]
    assert len(set(hashes)) == len(hashes)
    assert again.compile_json_schema({"enum": ["a"]}).hash == hashes[0]
    assert again.compile_json_schema('{ "enum": ["a"] }').hash == hashes[0]


@pytest.mark.parametrize("is_open", [True, False])
def test_objects_and_text_of_a_schema_have_one_hash(is_open: bool) -> None:
    compiler = GrammarCompiler(byte_vocabulary())
    schema = {"properties": {"ä": {"enum": ["\x01é"]}}}
    forms = [schema, json.dumps(schema), json.dumps(schema, ensure_ascii=False, indent=1)]
    hashes = {
        compiler.compile_json_schema(form, additional_properties_default=is_open).hash
        for form in forms
    }
    assert len(hashes) == 1


PIECES = ["(", ")", "(?:", "|", "*", "+", "?", "{2,3}", "{0,40}", "{30}", ".", "a", "[ab]", "[^a]", "^", "$",
          r"\p{L}", r"\d", "é", "[]", "\\"]  # fmt: skip


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.integers(0, 2**32))
def test_random_patterns_compile_or_fail_with_our_errors(pieces: list[str], seed: int) -> None:
    """Under tight limits; what compiles accepts the walks that its own states allow."""
    limits = CompileLimits(max_seconds=600, max_nfa_states=3000, max_dfa_states=500)
    grammar = outcome(GrammarCompiler(VOCABULARY, limits=limits), "".join(pieces))
    if isinstance(grammar, GrammarError):
        return
    recognizer, rng = grammar.recognizer, random.Random(seed)
    state, text = recognizer.initial, b""
    while not (recognizer.is_accepting(state) and rng.random() < 0.3) and len(text) < 60:
        followers = [b for b in range(256) if recognizer.read(state, bytes([b]))]
        if not followers:
            break
        text += bytes([rng.choice(followers)])
        after = recognizer.read(state, text[-1:])
        assert after is not None
        state = after
    assert recognizer.is_accepting(state) or len(text) == 60
    assert len(text) >= grammar.shortest_bytes or not recognizer.is_accepting(state)
