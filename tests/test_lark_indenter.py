"""Lark grammars whose blocks are told by indentation, against Lark with its `Indenter`."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lark")

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lark_strategies import LarkLoopsError, indented_lark, is_read, random_indented_grammar
from toy import accepts, allowed_ids, byte_vocabulary, sample

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.from_regex import regex_to_grammar
from syntagma.grammar.indentation import of_width, width_of, widths_of
from syntagma.grammar.limits import Budget

SEEDS = st.integers(0, 2**32)
LETTERS = b"ab() \n\t#"
TOKENS = [
    b"\n  a",
    b"a\n ",
    b" \n",
    b"\n\n",
    b"\n a\n a",
    b"(a\n)",
    b"a\n\t",
    b"\n  a\n a",
    b"\n\n  a\n\n",
]


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    vocabulary = byte_vocabulary(TOKENS, alphabet=bytes(range(32, 127)) + b"\n\t\r")
    return GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=60))


def words(grammar: CompiledGrammar, alphabet: str, max_length: int) -> set[str]:
    """The outputs up to a length, read byte by byte."""
    ids = {char: grammar.vocabulary.tokens.index(char.encode()) for char in alphabet}
    found = set()
    waiting = [("", Matcher(grammar))]
    while waiting:
        text, matcher = waiting.pop()
        if matcher.is_accepting():
            found.add(text)
        if len(text) < max_length:
            for char, token_id in ids.items():
                after = matcher.fork()
                if after.accept_token(token_id):
                    waiting.append((text + char, after))
    return found


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_outputs_are_what_lark_reads(seed: int) -> None:
    rng = random.Random(seed)
    text, indenter = random_indented_grammar(rng)
    lark = indented_lark(text, indenter)
    assume(lark is not None)
    assert lark is not None
    limits = CompileLimits(max_seconds=60)
    compiler = GrammarCompiler(byte_vocabulary(TOKENS, alphabet=LETTERS), limits=limits)
    alphabet = "a\n " + rng.choice(["b", "\t", "()"])
    try:
        expected = {
            word
            for length in range(6)
            for word in map("".join, itertools.product(alphabet, repeat=length))
            if is_read(lark, word)
        }
        try:
            grammar = compiler.compile_lark(text, indenter=indenter)
        except UnsatisfiableGrammarError:
            assert not expected, text
            return
        assert words(grammar, alphabet, 5) == expected, text
        for _ in range(6):
            output = sample(grammar, rng, max_tokens=25)
            if output is not None:
                assert is_read(lark, output.decode()), (text, output)
                changed = list(output.decode())
                changed[rng.randrange(len(changed) + 1) :][:1] = rng.choice(
                    ["", " ", "\n", "\n ", "a"]
                )
                other = "".join(changed)
                assert accepts(grammar, other) == is_read(lark, other), (text, other)
    except (LarkLoopsError, UnsupportedGrammarError):
        assume(False)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_masks_allow_what_can_be_read(seed: int) -> None:
    rng = random.Random(seed)
    text, indenter = random_indented_grammar(rng)
    limits = CompileLimits(max_seconds=60)
    compiler = GrammarCompiler(byte_vocabulary(TOKENS, alphabet=LETTERS), limits=limits)
    try:
        grammar = compiler.compile_lark(text, indenter=indenter)
    except GrammarError:
        assume(False)
    tokens = grammar.vocabulary.tokens
    recognizer = grammar.recognizer
    for _ in range(4):
        matcher = Matcher(grammar)
        output = b""
        for _ in range(12):
            allowed = allowed_ids(matcher)
            readable = set()
            for token_id, token in enumerate(tokens):
                state = recognizer.initial
                for byte in output + token:
                    after = recognizer.read(state, bytes([byte]))
                    if after is None:
                        break
                    state = after
                else:
                    if token or recognizer.is_accepting(state):
                        readable.add(token_id)
            assert allowed == readable, (text, output)
            choices = [token_id for token_id in sorted(allowed) if tokens[token_id]]
            if not choices:
                break
            token_id = rng.choice(choices)
            assert matcher.accept_token(token_id)
            output += tokens[token_id]


TREE = r"""
?start: _NL* tree
tree: NAME _NL [_INDENT tree+ _DEDENT]
%import common.CNAME -> NAME
%import common.WS_INLINE
%declare _INDENT _DEDENT
%ignore WS_INLINE
_NL: /(\r?\n[\t ]*)+/
"""
CALLS = r"""
start: (_NEWLINE | statement)*
?statement: call _NEWLINE | "if" call ":" block ("else" ":" block)?
block: call _NEWLINE | _NEWLINE _INDENT statement+ _DEDENT
call: NAME "(" [call ("," call)*] ")" | NAME
NAME: /[a-z]+/
COMMENT: /#[^\n]*/
_NEWLINE: (/\r?\n[\t ]*/ | COMMENT)+
%declare _INDENT _DEDENT
%ignore /[ \t]+/
%ignore COMMENT
"""
CASES = [
    (TREE, {}, ["a\n", "a", "a\n    b\n    c\n        d\n", "a\n  b\n\n  c", "a\n  b\n \n", "\na\n", "a\n\tb\n        c\n",
                "a\n  b\n c\n", "a\nb\n", "a\n  b\n    ", "a\n    b\n  c\n"]),
    (TREE, {"tab_length": 4}, ["a\n\tb\n    c\n", "a\n\tb\n        c\n", "a\n  \tb\n      c\n"]),
    (CALLS, {}, ["f(a,\n  b)\n", "f(a\n", "if f:\n  g\n  # no\n# nor\n  h(\n1)\n", "if f:\n  g\nelse: h\n",
                 "if f:\n  if g:\n    h\n  else:\n    i\nelse:\n  j\n", "if f:\n  g\n else: h\n", "f # c\n", "# c", "f)\n",
                 "if f:\n  g", "if f:\n\tg\n        h\n", "f(\n)(\n", "if f:\n  g\n  # c d", "if f:\n  g # c\n"]),
    (CALLS, {"open": [], "close": []}, ["f(a,\n  b)\n", "if f:\n  g\n"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "outputs"), CASES)
def test_texts(
    compiler: GrammarCompiler, text: str, options: dict[str, Any], outputs: list[str]
) -> None:
    usual = {
        "newline": "_NL" if "_NL:" in text else "_NEWLINE",
        "open": ["LPAR"],
        "close": ["RPAR"],
        "tab_length": 8,
    }
    lark = indented_lark(text, usual | options)
    assert lark is not None
    grammar = compiler.compile_lark(text, indenter=options or None)
    for output in outputs:
        assert accepts(grammar, output) == is_read(lark, output), output


@pytest.mark.parametrize("text", [TREE, CALLS])
def test_walks_end_in_texts_that_lark_reads(compiler: GrammarCompiler, text: str) -> None:
    grammar = compiler.compile_lark(text)
    lark = indented_lark(
        text,
        {
            "newline": "_NL" if "_NL:" in text else "_NEWLINE",
            "open": ["LPAR"],
            "close": ["RPAR"],
            "tab_length": 8,
        },
    )
    assert lark is not None
    rng = random.Random(3)
    outputs = [sample(grammar, rng, max_tokens=60, eager=0.1) for _ in range(40)]
    found = [output.decode() for output in outputs if output is not None]
    assert len(found) > 10
    for output in found:
        assert is_read(lark, output), output


def test_names_are_for_the_caller_to_choose(compiler: GrammarCompiler) -> None:
    text = r"""
    start: (A EOL [IN start OUT])+
    A: "a"
    EOL: /\n */
    %declare IN OUT
    """
    indenter = {"newline": "EOL", "indent": "IN", "dedent": "OUT"}
    grammar = compiler.compile_lark(text, indenter=indenter)
    assert accepts(grammar, "a\n a\n  a\na\n") and not accepts(grammar, "a\n  a\n a\n")
    with pytest.raises(UnsupportedGrammarError, match="'IN' is made by code beside the grammar"):
        compiler.compile_lark(text)


def test_structural_tags_hold_blocks(compiler: GrammarCompiler) -> None:
    def tag(content: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "structural_tag",
            "format": {"type": "tag", "begin": "<", "content": content, "end": ">"},
        }

    inner = {"type": "grammar", "syntax": "lark", "grammar": TREE}
    grammar = compiler.compile_structural_tag(tag(inner))
    assert accepts(grammar, "<a\n  b\n  c\n>") and not accepts(grammar, "<a\n  b\n c\n>")
    with pytest.raises(UnsupportedGrammarError, match="inside JSON strings"):
        compiler.compile_structural_tag(tag({"type": "json_string", "content": inner}))


def test_blocks_go_through_files(compiler: GrammarCompiler, tmp_path: Path) -> None:
    grammar = compiler.compile_lark(TREE, indenter={"tab_length": 4})
    grammar.save(tmp_path / "tree")
    loaded = compiler.load(tmp_path / "tree")
    for output in ["a\n\tb\n    c\n", "a\n\tb\n        c\n", "a\n  b\n c\n", "a\n    b\n      a\n"]:
        assert accepts(loaded, output) == accepts(grammar, output), output


REFUSED = [
    # indenter, grammar, error, part of the message
    ({}, TREE.replace("_NL", "BREAK"), GrammarSyntaxError, "there is no _NEWLINE or _NL"),
    ({}, TREE + "_NEWLINE: /\\n/", GrammarSyntaxError, "the grammar has '_NEWLINE' and '_NL'"),
    ({}, TREE + "%ignore _NL", GrammarSyntaxError, "an indenter never gets to see it"),
    ({"indent": "IN"}, TREE, GrammarError, "'_INDENT' is made by code beside the grammar"),
    ({"dedent": "NAME"}, TREE.replace("_INDENT _DEDENT\n", "_INDENT\n").replace("_DEDENT", "NAME"), GrammarSyntaxError, "'NAME', which an indenter"),
    ({"open": ["NONE"]}, TREE, GrammarSyntaxError, "no rule uses a terminal 'NONE'"),
    ({"opens": ["A"]}, TREE, GrammarSyntaxError, "did you mean 'open'"),
    ({"open": "A"}, TREE, GrammarSyntaxError, "must be a list"),
    ({"newline": 1}, TREE, GrammarSyntaxError, "must be a terminal's name"),
    ({"tab_length": 0}, TREE, GrammarSyntaxError, "must be 1 to 64"),
    ({"tab_length": True}, TREE, GrammarSyntaxError, "must be 1 to 64"),
    ({}, TREE.replace("[\\t ]*", " ?"), UnsupportedGrammarError, "any number of blanks"),
    ({}, TREE.replace("[\\t ]*", ""), UnsupportedGrammarError, "any number of blanks"),
    ({}, TREE.replace("tree+ _DEDENT", "rest").replace("tree:", "rest: tree+ _DEDENT\ntree:"),
     UnsupportedGrammarError, "blocks must begin and end in the same alternative"),
    ({}, CALLS.replace('")"', "end") + 'end: ")"', UnsupportedGrammarError, "brackets must begin and end"),
    ({}, TREE.replace("?start: _NL*", "start: x | y |") + "x: NAME\ny: NAME", UnsupportedGrammarError, "reduce/reduce"),
]  # fmt: skip


@pytest.mark.parametrize(("indenter", "text", "error", "told"), REFUSED)
def test_what_is_refused(
    compiler: GrammarCompiler,
    indenter: dict[str, Any],
    text: str,
    error: type[GrammarError],
    told: str,
) -> None:
    with pytest.raises(error) as caught:
        compiler.compile_lark(text, indenter=indenter)
    assert told in caught.value.message


def test_scannerless_grammars_have_no_indenter(compiler: GrammarCompiler) -> None:
    with pytest.raises(UnsupportedGrammarError, match="works with the lexer"):
        compiler.compile_lark(TREE, semantics="scannerless")


PATTERNS = [
    "\\n[ \\t]*",
    "\\n( {2})*",
    "\\n( {3}| {5}| {7})*x",
    "\\n\\t*",
    "\\n(\\t| )?a? *",
    "\\n( x){0,3}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("tab_length", [1, 3, 8])
def test_widths(pattern: str, tab_length: int) -> None:
    budget = Budget(CompileLimits.unlimited())
    (terminal,) = regex_to_grammar(pattern, budget).produce_all()
    dfa = terminal.language.dfa
    same, more = (
        [of_width(dfa, tab_length, width, is_more=is_more) for width in range(4)]
        for is_more in (False, True)
    )
    found = set()
    for length in range(8):
        for rest in itertools.product(b"\t ax", repeat=length):
            word = b"\n" + bytes(rest)
            width = width_of(word, tab_length)
            is_word = dfa.accepts(word)
            if is_word:
                found.add(width)
            for other in range(4):
                assert same[other].accepts(word) == (is_word and width == other)
                assert more[other].accepts(word) == (is_word and width > other)
    first, again = widths_of(dfa, tab_length, budget)
    expected = [*first, *again * 80]
    assert all(expected[width] for width in found)
    assert all(width in found for width in range(4) if expected[width])
