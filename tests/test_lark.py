"""Lark grammars: what they mean, against Lark itself; what is refused, and where."""

from __future__ import annotations

import random
import re

import pytest

pytest.importorskip("lark")

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lark_strategies import (
    ALPHABET,
    WIDE_ALPHABET,
    LarkLoopsError,
    is_read,
    lark_of,
    lark_words,
    random_grammar,
    random_pattern,
    random_wide_grammar,
)
from naive_language import IrWords
from toy import accepts, allowed_ids, byte_vocabulary, sample

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar import code_points as cp
from syntagma.grammar.classed_nfa import ClassedNfa
from syntagma.grammar.conditions import Conditions
from syntagma.grammar.from_lark import lark_to_grammar
from syntagma.grammar.lalr import LalrBuilder
from syntagma.grammar.lark_loader import load_lark
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_subsets import PatternSubsets
from syntagma.grammar.python_regex import CHAR, PatternBuilder, PatternNfa

SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(byte_vocabulary(), limits=CompileLimits(max_seconds=60))


def unlimited() -> Budget:
    return Budget(CompileLimits.unlimited())


@SETTINGS
@given(SEEDS)
def test_lexed_grammars_have_the_words_that_lark_accepts(seed: int) -> None:
    text = random_grammar(random.Random(seed))
    lark = lark_of(text)
    assume(lark is not None)
    assert lark is not None
    try:
        grammar = lark_to_grammar(text, unlimited())
    except UnsupportedGrammarError:
        assume(False)
    try:
        expected, failed = lark_words(lark, ALPHABET, 4)
    except LarkLoopsError:
        assume(False)
    assert IrWords(grammar, ALPHABET, 4).known[0] - failed == expected, text


# Some grammars of this kind take a judge very long, so these are always the same ones.
@settings(SETTINGS, derandomize=True)
@given(SEEDS)
def test_all_of_larks_syntax_means_what_it_means_to_lark(seed: int) -> None:
    text = random_wide_grammar(random.Random(seed))
    lark = lark_of(text)
    assume(lark is not None)
    assert lark is not None
    try:
        grammar = lark_to_grammar(text, unlimited())
        expected, failed = lark_words(lark, WIDE_ALPHABET, 4)
    except (UnsupportedGrammarError, LarkLoopsError):
        assume(False)
    assert IrWords(grammar, WIDE_ALPHABET, 4).known[0] - failed == expected, text


@settings(SETTINGS, derandomize=True, max_examples=15)
@given(SEEDS)
def test_outputs_and_changed_outputs_are_texts_to_lark_or_not(seed: int) -> None:
    rng = random.Random(seed)
    text = random_wide_grammar(rng)
    lark = lark_of(text)
    assume(lark is not None)
    assert lark is not None
    compiler = GrammarCompiler(
        byte_vocabulary([b"ab", b" a", b"b\n"], alphabet=WIDE_ALPHABET.encode()),
        limits=CompileLimits(max_seconds=60),
    )
    try:
        grammar = compiler.compile_lark(text)
    except (UnsupportedGrammarError, UnsatisfiableGrammarError):
        assume(False)
    for _ in range(5):
        output = sample(grammar, rng, max_tokens=20, eager=0.3)
        if output is None:
            continue
        word = output.decode()
        at = rng.randrange(len(word) + 1)
        inserted = rng.choice(["", rng.choice(WIDE_ALPHABET)])
        changed = word[:at] + inserted + word[at + rng.randint(0, 1) :]
        try:
            assert is_read(lark, word), (text, word)
            assert is_read(lark, changed) == accepts(grammar, changed), (text, changed)
        except (RuntimeError, LarkLoopsError):
            continue


@SETTINGS
@given(SEEDS)
def test_tables_are_those_of_lark(seed: int) -> None:
    text = re.sub(r"(?m)^%ignore.*$", "", random_grammar(random.Random(seed)))
    lark = lark_of(text)
    assume(lark is not None)
    assert lark is not None
    try:
        grammar, _ = load_lark(text, unlimited())
    except GrammarError:
        assume(False)
    table = LalrBuilder(grammar, unlimited()).table()
    assume(table.loop is None)
    assert table.is_lalr == (lark.options.parser == "lalr"), text
    if not table.is_lalr:
        return
    theirs = lark.parser.parser._parse_table
    names = [terminal.name for terminal in grammar.terminals] + list(grammar.rule_names)
    terminals = set(names[: len(grammar.terminals)])
    same = {0: theirs.start_states["start"]}
    waiting = [0]
    for state in waiting:
        actions = theirs.states[same[state]]
        assert {names[t] for t in table.accepts[state]} == actions.keys() & terminals, text
        for symbol, target in table.gotos[state].items():
            assert same.setdefault(target, actions[names[symbol]][1]) == actions[names[symbol]][1]
            if target not in waiting:
                waiting.append(target)
        for production, refused in table.refused[state].items():
            origin = names[grammar.productions[production].origin]
            right = [names[symbol] for symbol in grammar.productions[production].symbols]
            for symbol in refused:
                action, rule = actions["$END" if symbol == table.end else names[symbol]]
                reduced = action.name == "Reduce" and (
                    rule.origin.name,
                    [part.name for part in rule.expansion],
                )
                assert reduced != (origin, right), text


@SETTINGS
@given(SEEDS, st.lists(st.text(ALPHABET, max_size=8), min_size=1, max_size=20))
def test_patterns_match_first_what_python_matches_first(seed: int, texts: list[str]) -> None:
    pattern = random_pattern(random.Random(seed))
    nfa = PatternNfa()
    start = PatternBuilder(nfa, unlimited()).add(pattern, 0)
    classed = ClassedNfa(nfa, unlimited())
    conditions = Conditions(nfa, classed, unlimited())
    subsets = PatternSubsets(nfa, classed, conditions, unlimited(), is_ordered=True)
    try:
        first = subsets.start((start,))
    except UnsupportedGrammarError:
        return
    symbols = classed.symbols
    for text in texts:
        intervals = [int((symbols.bounds <= ord(char)).sum()) - 1 for char in text]
        read = [int(symbols.of_interval[interval]) for interval in intervals]
        lengths = []
        state = first
        for length in range(len(text) + 1):
            for _, guard in subsets.subsets[state].matched:
                for symbol in read[length:]:
                    guard = int(conditions.row(guard)[symbol])
                lengths += [length] if conditions.holds_at_end(guard) else []
            if length < len(text):
                state = int(subsets.row(state)[read[length]])
        found = re.compile(pattern).match(text)
        assert lengths == ([] if found is None else [found.end()]), (pattern, text)


CHARACTERS = [
    "(?i:a)", "(?i:k)", "(?i:s)", "(?i:i)", "(?i:[a-z])", "(?i:[^a-z])", "(?i:ı)", "(?i:İ)", "(?i:µ)",
    r"(?i:[^\W_k])", r"\w", r"\W", r"\d", r"\s", r"[^\d\s]", ".", "(?s:.)", "(?ia:k)", r"(?a:\w)",
    "(?i:[İ-Ÿ])", "(?i:Σ)", r"(?i:[\dk])", "(?i:ß)", "(?i:ﬅ)", "(?i:[^ﬅ])", "(?i:ͅ)", "(?i:ΐ)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CHARACTERS)
def test_characters_are_those_of_python(pattern: str) -> None:
    nfa = PatternNfa()
    PatternBuilder(nfa, unlimited()).add(pattern, 0)
    (points,) = (nfa.labels[s] for s, kind in enumerate(nfa.kinds) if kind == CHAR)
    found = re.compile(f"(?:{pattern})+").finditer("".join(map(chr, range(0x110000))))
    assert points == cp.from_ranges((match.start(), match.end() - 1) for match in found)


GUARDS = r"""
start: (NUMBER | DOTS | NAME | "if" NAME)+
NUMBER: /[0-9]+(\.[0-9]+)?/
DOTS: ".."
NAME: /[a-z]+/
%ignore " "
"""
CASES = [
    # grammar, words, other texts
    (GUARDS, ["1..2", "1.5", "if x", "iff", "1.5 ..2", "a1", " a "], ["if", "1.", "1. 5", ""]),
    ('start: "a" "b"\n%ignore " "', ["ab", " a  b "], ["ba", "a", "a b c"]),
    ('start: A B\nA: "a"+\nB: "a"', [], ["aa", "aaa", "a"]),
    ('start: A B | "x"\nA: /a+?/\nB: /a+/', ["aa", "aaa", "x"], ["a"]),
    ("%import common (ESCAPED_STRING, WS)\nstart: ESCAPED_STRING+\n%ignore WS",
     ['"a"', r'"a\"b"', r'"\\" "x"', '""'], [r'"a\"', '"a', '"\n"']),
    ("start: sep{item, \",\"}\nsep{x, y}: x (y x)*\nitem: /[a-z]/", ["a,b,c", "a"], ["a,", ",a"]),
    ("start: KEY NAME\nKEY.1: \"let\"i\nNAME: /[a-z]+/\n%ignore / +/", ["LET x", "letx"], ["le x"]),
    ('start: "é" /./ ("日"|"本")~2', ["é!日本", "éé本本"], ["é!日", "é\n日本"]),
    ("start: /(?i)a/x", [], ["b"]),
    ('start: (A | "b" | "c")+\nA: /a(?=b)/', ["ab", "cabb", "b"], ["a", "ac", "aab"]),
    ("start: /a(?=b)/", [], ["a", "ab"]),
    ('start: (NAME | "1")+\nNAME: /(?!if\\b)[a-z]+/\n%ignore " "', ["iff", "in 1", "i f"], ["if", "a if"]),
    ('start: (IF | NAME)+\nIF.1: /if\\b/\nNAME: /[a-z]{2}/', ["if", "iffi", "abif"], ["iff", "abi"]),
    ('start: (A | "\\n")+\nA: /a$/', ["a", "a\n", "\na"], ["aa", "a\na", "a\n\n"]),
    ('start: (A | "\\n")+\nA: /a$/m', ["a", "a\na", "a\n\n"], ["aa", "\naa"]),
    ('start: (A | B)+\nA: /a(?!b)|ab(?!c)/\nB: /[abc]/', ["a", "ab", "abc", "aa"], ["d"]),
    ("start: COMMENT\nCOMMENT: /\\/\\*(\\*(?!\\/)|[^*])*\\*\\//", ["/**/", "/* a * **/"], ["/**/*/", "/*/"]),
    ('%import python (STRING, LONG_STRING)\nstart: (STRING | LONG_STRING)+\n%ignore " "',
     ["''", '"a" ""', '"""a"b"""', '"" ""', "'a'\"b\""], ['"""', '"""a"', "'a\nb'"]),
    ("%import python (DEC_NUMBER, NAME)\nstart: (DEC_NUMBER | NAME)+", ["0", "10_0", "0a", "00"], ["01", "a01 "]),
    ('start: "(" start ")" | "x" -> leaf', ["x", "((x))"], ["(x"]),
    ("!?start: [_a] B\n_a: \"a\"\nB: \"b\"", ["ab", "b"], ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "others"), [c for c in CASES if "(?i)" not in c[0]])
def test_wording(compiler: GrammarCompiler, text: str, words: list[str], others: list[str]) -> None:
    if not words:
        with pytest.raises(GrammarError, match="no output fits"):
            compiler.compile_lark(text)
        return
    grammar = compiler.compile_lark(text)
    lark = lark_of(text)
    assert lark is not None
    for other in others:
        assert not is_read(lark, other), other
    for word in words:
        lark.parse(word)
        assert accepts(grammar, word), word
    assert [w for w in others if accepts(grammar, w)] == []
    assert grammar.kind == "lark"


def test_line_feeds_behind_literals_are_read_as_the_installed_lark_reads_them(
    compiler: GrammarCompiler,
) -> None:
    text = 'start: A "x" | B "y"\nA: "a"\nB: /a\\n?/'
    grammar, lark = compiler.compile_lark(text), lark_of(text)
    assert lark is not None
    found = {word: accepts(grammar, word) for word in ("ax", "ay", "a\nx", "a\ny", "a\n\nx")}
    assert found == {word: is_read(lark, word) for word in found}
    assert found["a\nx"] != found["a\ny"]


def test_scannerless_grammars_know_no_lexer(compiler: GrammarCompiler) -> None:
    text = 'start: A B\nA: "a"+\nB: "a"\n%ignore " "'
    grammar = compiler.compile_lark(text, semantics="scannerless")
    assert accepts(grammar, "aa") and accepts(grammar, " aa  a ") and not accepts(grammar, "a")


def test_files_may_be_imported(compiler: GrammarCompiler) -> None:
    text = "%import .lib.names.NAME\n%import numbers.number\nstart: NAME number"
    files = {"lib/names.lark": "NAME: /[a-z]/", "numbers.lark": "number: DIGIT+\nDIGIT: /[0-9]/"}
    grammar = compiler.compile_lark(text, files=files)
    assert accepts(grammar, "a12") and not accepts(grammar, "12")
    with pytest.raises(GrammarSyntaxError, match="there is no file to import 'names' from"):
        compiler.compile_lark(text)


ARITHMETIC = r"""
?start: sum | NAME "=" sum -> assign
?sum: product | sum ("+"|"-") product
?product: atom | product ("*"|"/") atom
?atom: NUMBER | "-" atom | NAME | "(" sum ")"
%import common.CNAME -> NAME
%import common.NUMBER
%import common.WS_INLINE
%ignore WS_INLINE
"""
JSON = r"""
?start: value
?value: object | array | ESCAPED_STRING | SIGNED_NUMBER | "true" | "false" | "null"
array: "[" [value ("," value)*] "]"
object: "{" [pair ("," pair)*] "}"
pair: ESCAPED_STRING ":" value
%import common (ESCAPED_STRING, SIGNED_NUMBER, WS)
%ignore WS
"""


@pytest.mark.parametrize("text", [ARITHMETIC, JSON, GUARDS])
def test_walks_through_the_masks_end_in_texts_that_lark_accepts(text: str) -> None:
    tokens = [b"1.", b"..", b"a=", b"if", b" +", b'",', b'{"', b"1 2", b"e1", b"-a", b"ab", b'\\"']
    compiler = GrammarCompiler(
        byte_vocabulary(tokens, alphabet=bytes(range(32, 127)) + b"\n\t"),
        limits=CompileLimits(max_seconds=60),
    )
    grammar = compiler.compile_lark(text)
    lark = lark_of(text)
    assert lark is not None
    rng = random.Random(5)
    outputs = [sample(grammar, rng, max_tokens=60) for _ in range(60)]
    found = [output.decode() for output in outputs if output is not None]
    assert len(found) > 20
    for output in found:
        lark.parse(output)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_masks_allow_what_begins_a_word_and_nothing_else(seed: int) -> None:
    text = random_grammar(random.Random(seed))
    lark = lark_of(text)
    assume(lark is not None)
    assert lark is not None
    try:
        words, failed = lark_words(lark, ALPHABET, 4)
    except LarkLoopsError:
        assume(False)
    assume(words and not failed)
    tokens = [b"ab", b"aa", b"a ", b" b", b"bab"]
    compiler = GrammarCompiler(
        byte_vocabulary(tokens, alphabet=ALPHABET.encode()), limits=CompileLimits(max_seconds=60)
    )
    try:
        grammar = compiler.compile_lark(text)
    except UnsupportedGrammarError:
        assume(False)
    vocabulary = grammar.vocabulary
    for begin in sorted({word[:length] for word in words for length in range(len(word) + 1)}):
        matcher = Matcher(grammar)
        assert all(matcher.accept_token(vocabulary.tokens.index(c.encode())) for c in begin), text
        allowed = allowed_ids(matcher)
        for token_id, token in enumerate(vocabulary.tokens):
            longer = begin + token.decode()
            if token_id in vocabulary.stop_ids:
                assert (token_id in allowed) == (begin in words), (text, begin)
            elif token_id not in allowed:
                assert not any(word.startswith(longer) for word in words), (text, longer)
            else:
                after = matcher.fork()
                assert after.accept_token(token_id)
                rest = b"".join(vocabulary.tokens[t] for t in after.closing_tokens())
                lark.parse(longer + rest.decode())


SYNTAX_ERRORS = [
    # grammar, line, column, part of the message
    ("start: a", 1, 8, "used but not defined"),
    ('start: "a"\nother: ("b"', 2, 8, "'(' is never closed"),
    ('start: "a"\n  | "b', 2, 5, "never closed on its line"),
    ("start: /a", 1, 8, "never closed with /"),
    ('start: "a" )', 1, 12, "closes nothing"),
    ("start: X\nX: Y\nY: X", 2, 1, "recursion in terminal"),
    ('start: X\nX: "a"?', 2, 1, "zero-width"),
    ('begin: "a"', 1, 1, "no rule 'start'"),
    ('strt: "a"', 1, 1, "did you mean 'strt'?"),
    ('start: "a" -> "b"', 1, 15, "alias"),
    ("start: A -> x\nA: /a(/", 2, 1, "cannot compile 'A'"),
    ("%import nothing.X\nstart: X", 1, 9, "no file to import"),
    ('start: "a" ??', 1, 13, "misplaced operator"),
    ('start: "a"~3..1', 1, 11, "bad Range"),
    ("start: %other", 1, 8, "no directive"),
]


@pytest.mark.parametrize(("text", "line", "column", "told"), SYNTAX_ERRORS)
def test_malformed_grammars(
    compiler: GrammarCompiler, text: str, line: int, column: int, told: str
) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        compiler.compile_lark(text)
    assert told in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column), caught.value.message


UNSUPPORTED = [
    ("start: X\n%declare X", "%declare", "line 2, column 1"),
    ("start: A\nA: /a(?<!ab)/", "(?<=", "line 2, column 1"),
    (r"start: /\ba/", "(?<=", "line 1, column 8"),
    ("start: /(?>a)/", "(?>", "line 1, column 8"),
    (r"start: /(a)\1/", "\\1", "line 1, column 8"),
    ("start: /(?<=a)b/", "(?<=", "line 1, column 8"),
    ("start: %json {}", "%json", "line 1, column 8"),
    ("start: <|end|>", "<...>", "line 1, column 8"),
    ('start: x\nx: x* x* "a" |', "lexed", "line 2"),
]


@pytest.mark.parametrize(("text", "keyword", "place"), UNSUPPORTED)
def test_unsupported_grammars(
    compiler: GrammarCompiler, text: str, keyword: str, place: str
) -> None:
    with pytest.raises(UnsupportedGrammarError) as caught:
        compiler.compile_lark(text)
    assert caught.value.keyword == keyword
    assert place in caught.value.message


HOSTILE = [
    "start: A\n" + "\n".join(f"{chr(65 + i)}: {chr(66 + i)} {chr(66 + i)}" for i in range(24)),
    "start: " + " ".join(f'"{chr(97 + i)}"?' for i in range(26)),
    'start: t{t{a}}\na: "a"\nt{x}: x t{t{x}}',
    "start: " + "(" * 300 + '"a"' + ")" * 300,
    "start: " + '("a") ' * 2000,
    "start: /" + "(" * 5000 + "a" + ")" * 5000 + "/",
    "start: /(a{1000}){1000}/",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_grammars_meet_a_limit(text: str) -> None:
    compiler = GrammarCompiler(byte_vocabulary(), limits=CompileLimits(max_seconds=5))
    with pytest.raises((GrammarLimitError, GrammarSyntaxError)):
        compiler.compile_lark(text)


@pytest.mark.parametrize("text", ['start: "' + "\\" * 60, "start: /" + "\\" * 61, "\n" * 3000])
def test_what_larks_own_reader_would_read_for_ever(text: str) -> None:
    with pytest.raises(GrammarSyntaxError):
        load_lark(text, unlimited())
