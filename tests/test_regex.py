"""The regex front end: its dialect, its errors, and its language against three other matchers."""

from __future__ import annotations

import itertools
import re

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive import check_canonical, naive_completion, naive_match

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsupportedGrammarError,
)
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.pattern_cache import StringConstraints
from syntagma.grammar.regex_parser import parse_regex

LIMITS = CompileLimits(max_seconds=60)


def compiled(pattern: str) -> Dfa:
    budget = Budget(LIMITS)
    return dfa_from_code_points(parse_regex(pattern, budget).tree, Encoder.UTF8, budget)


def matches(pattern: str, text: str) -> bool:
    return compiled(pattern).accepts(text.encode())


@pytest.mark.parametrize(
    ("pattern", "accepted", "rejected"),
    [
        ("", [""], ["a"]),
        ("|", [""], ["|"]),
        ("a||b", ["", "a", "b"], ["ab", "|"]),
        ("()", [""], ["()"]),
        ("(|a)", ["", "a"], ["aa"]),
        ("ab|cd", ["ab", "cd"], ["abd", "acd"]),
        (".", ["a", "\0", "é", "\U0001f600", "\x85"], ["\n", "\r", "\u2028", "\u2029", "", "ab"]),
        # ECMA-262: an empty class matches nothing, its complement anything.
        ("a[]|b", ["b"], ["a", "a[]"]),
        ("[^]", ["\n", "]", "\U0010ffff"], ["", "ab"]),
        ("[]]|b", ["b"], ["]", "]]"]),
        ("[^]]", ["a]", "]]"], ["a", "]"]),
        ("[]*", [""], ["a"]),
        # Outside classes, and unless they form a repetition, brackets and braces are literals.
        ("]", ["]"], []),
        ("}", ["}"], []),
        ("a{", ["a{"], ["a"]),
        ("a{,3}", ["a{,3}"], ["", "a", "aaa"]),
        ("a{}", ["a{}"], ["a"]),
        ("a{x}", ["a{x}"], []),
        ("a{1", ["a{1"], ["a"]),
        ("a{1,2", ["a{1,2"], ["a"]),
        ("a{1,x}", ["a{1,x}"], ["a"]),
        ("a{ 1}", ["a{ 1}"], ["a"]),
        ("a{1,2,3}", ["a{1,2,3}"], ["a"]),
        ("a{-1}", ["a{-1}"], ["a"]),
        ("a{١}", ["a{١}"], ["a"]),
        ("{", ["{"], []),
        ("{a}", ["{a}"], []),
        ("{{}}", ["{{}}"], []),
        ("a{2}", ["aa"], ["a", "aaa", "a{2}"]),
        ("a{02}", ["aa"], ["a"]),
        ("a{0}", [""], ["a"]),
        ("a{0,0}b", ["b"], ["ab"]),
        ("a{2,}", ["aa", "aaaa"], ["a"]),
        ("a{1,2}", ["a", "aa"], ["", "aaa"]),
        ("a{1}{", ["a{"], ["a"]),
        ("a{1}{,2}", ["a{,2}"], ["a"]),
        # Laziness changes nothing.
        ("a+?b??c*?d{1,2}?", ["ad", "aabccdd"], ["d", "abbd"]),
        ("(?:a)(b)(?<name>c)(?P<other>d)", ["abcd"], []),
        ("(?<é>c)", ["c"], []),
        # Escapes.
        (r"\d", list("0189"), ["a", "٣", "-"]),
        (r"\D", ["a", "٣", "\n"], ["0"]),
        (r"\w", list("az09AZ_"), ["é", "-", " "]),
        (r"\W", ["é", "-", "\n"], ["a", "_"]),
        (r"\s", list(" \t\n\v\f\r\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\ufeff"),
         ["a", "\u200b", "\x1c", "\x85"]),
        (r"\S", ["a", "\x1c", "\x85", "\u200b"], [" ", "\ufeff"]),
        (r"\t\n\v\f\r\0", ["\t\n\v\f\r\0"], []),
        (r"\x41\u00e9\u{1F600}", ["Aé\U0001f600"], []),
        (r"\u{41}\u{00000041}", ["AA"], []),
        (r"\ud83d\ude00", ["\U0001f600"], []),
        (r"[\ud83d\ude00-\ud83d\ude02]", ["\U0001f601"], ["\U0001f603", "\ufffd"]),
        (r"\uD7FF\uE000", ["\ud7ff\ue000"], []),
        (r"\u0041\u0042", ["AB"], []),
        (r"\cA\cz", ["\x01\x1a"], []),
        (r"\.\*\+\?\(\)\[\]\{\}\|\^\$\\\/\-\_\"", ['.*+?()[]{}|^$\\/-_"'], []),
        (r"\é\ ", ["é "], []),
        # Classes.
        ("[a-cx]", list("abcx"), ["d", "-"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[a-a]", ["a"], ["-"]),
        ("[a-c-e]", list("abc-e"), ["d"]),
        ("[+--]", list("+,-"), ["."]),
        ("[a^]", ["a", "^"], []),
        ("[.*+?(){}|$]", list(".*+?(){}|$"), ["a"]),
        (r"[\^\]\-\\]", list("^]-\\"), []),
        (r"[\d.]", list("0."), ["d"]),
        (r"[^\d]", ["a", "\n"], ["0"]),
        (r"[\D\d]", ["a", "0"], []),
        (r"[^\D\d]|x", ["x"], ["a", "0"]),
        (r"[\b]", ["\b"], ["b"]),
        (r"[\x41-\x43]", list("ABC"), ["D"]),
        (r"[\u{1F600}-\u{1F602}]", ["\U0001f601"], ["\U0001f603"]),
        (r"[\s-]", [" ", "-"], ["a"]),
        (r"[\ud800]|a", ["a"], []),
        (r"[\0-\u{10FFFF}]", ["\0", "\ud7ff", "\ue000", "\U0010ffff"], [""]),
        # Unicode properties.
        (r"\p{L}", ["a", "é", "中"], ["1", "_"]),
        (r"\p{Lu}\p{Ll}", ["Ab", "Éé"], ["aB"]),
        (r"\P{L}", ["1", "\n"], ["a"]),
        (r"[\p{N}\p{Lu}]", ["1", "Ⅷ", "A"], ["a"]),
        (r"\p{gc=Nd}\p{General_Category=Nd}\p{Decimal_Number}", ["1٣2"], ["ⅷ12"]),
        # Anchors mean both ends of the text; in the middle they match nothing.
        ("^a$", ["a"], ["^a$"]),
        (r"\Aa\z|\Ab\Z", ["a", "b"], []),
        ("a^b|c$d|e", ["e"], ["ab", "cd", "a^b"]),
        ("^^a$$", ["a"], []),
        ("$^|^$x", [""], ["x"]),
        ("(^a|b)+", ["a", "ab", "b", "bb"], ["aa", "ba"]),
        ("(a|b$)*", ["aab", "b", "", "a"], ["ba", "bb"]),
        ("(^|a)b(c|$)", ["b", "bc", "ab", "abc"], ["a", "bcc"]),
        ("(?:^)*a(?:$)+", ["a"], ["", "aa"]),
        ("a$\n", [], ["a\n", "a"]),
        ("a$", ["a"], ["a\n"]),
    ],
)  # fmt: skip
def test_dialect(pattern: str, accepted: list[str], rejected: list[str]) -> None:
    dfa = compiled(pattern)
    check_canonical(dfa)
    assert [text for text in accepted if not dfa.accepts(text.encode())] == []
    assert [text for text in rejected if dfa.accepts(text.encode())] == []


@pytest.mark.parametrize(
    ("pattern", "line", "column", "message"),
    [
        ("a)", 1, 2, "closes no group"),
        ("(a))", 1, 4, "closes no group"),
        ("a(b", 1, 2, "never closed"),
        ("x((a)", 1, 2, "never closed"),
        ("a\nbc)", 2, 3, "closes no group"),
        ("\n\n(", 3, 1, "never closed"),
        ("é\U0001f600)", 1, 3, "closes no group"),
        ("*a", 1, 1, "'*' repeats nothing"),
        ("a|+", 1, 3, "'+' repeats nothing"),
        ("(?:?)", 1, 4, "'?' repeats nothing"),
        ("{3}", 1, 1, "'{' repeats nothing"),
        ("a|{1,}", 1, 3, "'{' repeats nothing"),
        ("a**", 1, 3, "cannot be repeated"),
        ("a+*", 1, 3, "cannot be repeated"),
        ("a{2}{3}", 1, 5, "cannot be repeated"),
        ("a???", 1, 4, "cannot be repeated"),
        ("^*", 1, 3, "anchor cannot be repeated"),
        (r"\z{2}", 1, 6, "anchor cannot be repeated"),
        ("a{3,2}", 1, 2, "run backwards"),
        ("a{1000000000}", 1, 2, "below"),
        ("a{1,99999999999999999999}", 1, 2, "below"),
        ("ab[c", 1, 3, "never closed"),
        ("[", 1, 1, "never closed"),
        ("[^", 1, 1, "never closed"),
        ("[a-", 1, 1, "never closed"),
        (r"[\]", 1, 1, "never closed"),
        ("[b-a]", 1, 5, "backwards"),
        (r"[a-\d]", 1, 6, "single characters"),
        (r"[\d-a]", 1, 6, "single characters"),
        ("\\", 1, 2, "middle of an escape"),
        ("[\\", 1, 3, "middle of an escape"),
        (r"\x4", 1, 3, "2 hexadecimal digits"),
        (r"\xg0", 1, 3, "2 hexadecimal digits"),
        (r"\u12", 1, 3, "4 hexadecimal digits"),
        (r"\u{110000}", 1, 4, "code point"),
        (r"\u{}", 1, 4, "code point"),
        (r"\u{12", 1, 4, "code point"),
        (r"\u{-1}", 1, 4, "code point"),
        (r"\ud83d\u00", 1, 9, "4 hexadecimal digits"),
        (r"\pL", 1, 3, "braces"),
        (r"\p{L", 1, 4, "braces"),
        ("(?<1>a)", 1, 4, "group name"),
        ("(?<a", 1, 4, "group name"),
        ("(?P<>a)", 1, 5, "group name"),
        ("a\ud800", 1, 3, "lone surrogate"),
    ],
)  # fmt: skip
def test_syntax_errors(pattern: str, line: int, column: int, message: str) -> None:
    with pytest.raises(GrammarSyntaxError, match=re.escape(message)) as caught:
        compiled(pattern)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).endswith(f"(line {line}, column {column})")


PIECES = st.lists(
    st.sampled_from(["a", "b", ".", "[^a]", "(?:ab|b)", "a*", "b+", "(?:a|$)", "^", "$"]),
    max_size=4,
).map("".join)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["(?=", "(?!"]), PIECES), min_size=1, max_size=3),
    PIECES,
    st.booleans(),
)
def test_look_ahead_is_that_of_re(
    ahead: list[tuple[str, str]], rest: str, is_alternative: bool
) -> None:
    """At the beginning of a text, searched or as a whole, on all short texts."""
    found = "".join(f"{mark}{piece})" for mark, piece in ahead)
    found += f"(?:{rest}|ba)" if is_alternative else rest
    searched = StringConstraints(searched=(f"^{found}",), encoder=Encoder.UTF8)
    whole = StringConstraints(matched=(found,), encoder=Encoder.UTF8)
    automata = [constraints.build(Budget(LIMITS)) for constraints in (searched, whole)]
    for length in range(5):
        for text in map("".join, itertools.product("ab\n", repeat=length)):
            # Python's $ also matches before a last line feed.
            python = found.replace("$", r"\Z")
            expected = [re.search(f"^{python}", text), re.fullmatch(python, text)]
            assert [dfa.accepts(text.encode()) for dfa in automata] == list(map(bool, expected))


@pytest.mark.parametrize(
    ("pattern", "keyword"),
    [
        ("a(?=b)", "(?="),
        ("a(?!b)", "(?!"),
        ("a|(?=b)", "(?="),
        ("(?:(?=b))", "(?="),
        ("^(?=(?!b))", "(?!"),
        ("$(?=b)", "(?="),
        ("(?=b)a", "(?="),
        ("^(?=b)a|b", "|"),
        ("(?<=a)b", "(?<="),
        ("(?<!a)b", "(?<!"),
        ("(?>a)", "(?>"),
        ("(?i)a", "(?"),
        ("(?i:a)", "(?"),
        ("(?#note)a", "(?"),
        ("(?P=name)", "(?"),
        ("(?)", "(?"),
        ("(?", "(?"),
        (r"(a)\1", r"\1"),
        (r"(?<n>a)\k<n>", r"\k"),
        (r"\9", r"\9"),
        (r"\bword\b", r"\b"),
        (r"\Bx", r"\B"),
        ("a++", "possessive"),
        ("a*+", "possessive"),
        ("a{2}+", "possessive"),
        ("a?+", "possessive"),
        (r"\p{Script=Greek}", r"\p{Script=Greek}"),
        (r"\p{Greek}", r"\p{Greek}"),
        (r"\P{Emoji}", r"\P{Emoji}"),
        (r"\p{}", r"\p{}"),
        (r"\p{gc=}", r"\p{gc=}"),
        (r"\q", r"\q"),
        (r"\Q.\E", r"\Q"),
        (r"\X", r"\X"),
        (r"\00", r"\0"),
        (r"\012", r"\0"),
        (r"[\1]", r"\1"),
        (r"[\B]", r"\B"),
        (r"[\A]", r"\A"),
        (r"\c1", r"\c"),
    ],
)
def test_refused_by_name(pattern: str, keyword: str) -> None:
    with pytest.raises(UnsupportedGrammarError) as caught:
        compiled(pattern)
    assert caught.value.keyword == keyword
    assert repr(keyword) in str(caught.value)
    assert "line 1, column" in str(caught.value)


def test_a_lone_surrogate_as_an_escape_matches_nothing() -> None:
    for escape in (r"\ud83d", r"\ude00", r"\ud83d\u0041", r"\u{D800}", r"\ude00\ud83d"):
        assert compiled(escape).is_empty


def test_depth_is_bounded_by_the_budget_alone() -> None:
    budget = Budget(CompileLimits(max_regex_depth=3))
    assert isinstance(parse_regex("(((a)))(((b)))", budget).tree, ast.Concat)
    with pytest.raises(GrammarLimitError) as caught:
        parse_regex("((((a))))", budget)
    assert (caught.value.limit, caught.value.given) == ("max_regex_depth", 4)


@pytest.mark.parametrize("opening", ["(", "(?:", "(?<n>", "a|(", "(^", "(a{0,2}"])
def test_deep_nesting_is_a_limit_error(opening: str) -> None:
    """Neither parsing 60,000 groups nor compiling as many as are allowed exhausts the stack."""
    for pattern in (opening * 60_000, opening * 60_000 + "a" + ")" * 60_000):
        with pytest.raises(GrammarLimitError) as caught:
            compiled(pattern)
        assert caught.value.limit == "max_regex_depth"
    depth = LIMITS.max_regex_depth
    assert not compiled("(" * depth + "a" + ")" * depth).is_empty


def test_deep_groups_compile_if_the_limit_is_raised() -> None:
    budget = Budget(CompileLimits(max_regex_depth=20_000, max_seconds=60))
    tree = parse_regex("(?:" * 20_000 + "ab" + ")?" * 20_000, budget).tree
    dfa = dfa_from_code_points(tree, Encoder.UTF8, budget)
    assert dfa == compiled("(?:ab)?")


ALPHABET = "abé\U0001f600"
CHARS = st.sampled_from(ALPHABET)
Parsed = tuple[str, ast.Node]
Counts = tuple[int, int | None, str]


def char_set(chars: str) -> ast.CharSet:
    return ast.CharSet(tuple((ord(c), ord(c)) for c in sorted(set(chars))))


def complement_in_alphabet(chars: str) -> ast.CharSet:
    return char_set("".join(set(ALPHABET) - set(chars)))


def repeated(part: Parsed, counts: Counts) -> Parsed:
    low, high, suffix = counts
    return f"(?:{part[0]}){suffix}", ast.Repeat(part[1], low, high)


GREEDY = st.one_of(
    st.sampled_from([(0, None, "*"), (1, None, "+"), (0, 1, "?")]),
    st.integers(0, 3).map(lambda n: (n, n, f"{{{n}}}")),
    st.integers(0, 3).map(lambda n: (n, None, f"{{{n},}}")),
    st.tuples(st.integers(0, 2), st.integers(0, 2)).map(
        lambda nm: (nm[0], sum(nm), f"{{{nm[0]},{sum(nm)}}}")
    ),
)
PLAIN_LEAVES: st.SearchStrategy[Parsed] = st.one_of(
    CHARS.map(lambda c: (c, char_set(c))),
    st.text(CHARS, max_size=3).map(lambda s: (s, ast.literal(s))),
    st.text(CHARS, min_size=1, max_size=3).map(lambda s: (f"[{s}]", char_set(s))),
    st.text(CHARS, min_size=1, max_size=3).map(lambda s: (f"[^{s}]", complement_in_alphabet(s))),
    st.just(("[a-é]", char_set("abé"))),
    st.just((".", char_set(ALPHABET))),
    st.just((r"\w", char_set("ab"))),
    st.just((r"\W", char_set("é\U0001f600"))),
)
LAZY = GREEDY.map(lambda counts: (*counts[:2], counts[2] + "?"))
ANCHORS: st.SearchStrategy[Parsed] = st.sampled_from([("^", ast.Begin()), ("$", ast.End())])


def patterns(
    leaves: st.SearchStrategy[Parsed], repetitions: st.SearchStrategy[Counts]
) -> st.SearchStrategy[Parsed]:
    """Pattern texts with their trees; over the alphabet, the tree says what the text means."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(
                lambda parts: (
                    "".join(f"(?:{text})" for text, _ in parts),
                    ast.Concat(tuple(tree for _, tree in parts)),
                )
            ),
            st.lists(inner, min_size=2, max_size=3).map(
                lambda parts: (
                    "(" + "|".join(text for text, _ in parts) + ")",
                    ast.Union(tuple(tree for _, tree in parts)),
                )
            ),
            st.tuples(inner, repetitions).map(lambda pair: repeated(*pair)),
        ),
        max_leaves=7,
    )


PATTERNS = patterns(st.one_of(PLAIN_LEAVES, ANCHORS), st.one_of(GREEDY, LAZY))


def texts_up_to(length: int) -> list[str]:
    found = [""]
    for text in found:
        if len(text) < length:
            found += [text + char for char in ALPHABET]
    return found


TEXTS = texts_up_to(4)
SHORT_TEXTS = texts_up_to(3)


@given(PATTERNS)
def test_same_language_as_re_and_the_definition(parsed: Parsed) -> None:
    pattern, tree = parsed
    dfa = compiled(pattern)
    check_canonical(dfa)
    accepted = [text for text in TEXTS if dfa.accepts(text.encode())]
    found = re.compile(pattern, re.ASCII)
    assert accepted == [t for t in TEXTS if found.fullmatch(t)]
    short = [t for t in SHORT_TEXTS if naive_match(tree, [ord(c) for c in t])]
    assert short == [t for t in accepted if len(t) < 4]


@given(patterns(PLAIN_LEAVES, GREEDY))
@example(("([^a]|[^b])", ast.NOTHING))
def test_alive_exactly_on_viable_prefixes(parsed: Parsed) -> None:
    """What `regex` calls a possible beginning is alive, and what is alive can be completed.

    `regex` says no too often (``([^a]|[^b])`` and ``a``), hence a completion as the second witness;
    with anchors and laziness it says yes too often, hence the plain patterns.
    """
    pattern, _ = parsed
    dfa = compiled(pattern)
    found = regex.compile(pattern, regex.ASCII)
    for text in SHORT_TEXTS:
        state = 1
        for byte in text.encode():
            state = dfa.step(state, byte)
        if found.fullmatch(text, partial=True) and not dfa.is_empty:
            assert state != 0, text
        if state != 0:
            whole = text.encode() + naive_completion(dfa, state)
            assert re.fullmatch(pattern, whole.decode(), re.ASCII), text


@given(PATTERNS)
def test_json_spelling_keeps_the_language(parsed: Parsed) -> None:
    """The same tree inside a JSON string, spelled raw or with escapes."""
    budget = Budget(LIMITS)
    pattern, tree = parsed
    dfa = dfa_from_code_points(parse_regex(pattern, budget).tree, Encoder.JSON, budget)
    check_canonical(dfa)
    for text in SHORT_TEXTS:
        escaped = "".join(rf"\u{ord(c):04X}" if ord(c) < 0x10000 else c for c in text)
        is_match = naive_match(tree, [ord(c) for c in text])
        assert dfa.accepts(text.encode()) == is_match
        assert dfa.accepts(escaped.encode()) == is_match


@given(st.text(st.sampled_from("ab[]{}()^$|?*+.\\,-0159dwupx:<=!>P\n é"), max_size=12))
@example("[a-b-c]")
@example("a{1,2}{")
@example("(?P<a>)")
def test_any_text_is_a_pattern_or_an_error_of_ours(pattern: str) -> None:
    """No other exception; and what both accept, Python's `re` reads in the same way."""
    try:
        dfa = compiled(pattern)
    except GrammarError:
        return
    check_canonical(dfa)
    if re.search(r"\{,|\[\]|\[\^\]|\\[AZzcpu]|\[.*\[|\$|--|&&|~~|\|\|", pattern):
        return  # the dialects differ: see `regex_parser` and `test_dialect`
    try:
        found = re.compile(pattern, re.ASCII)
    except re.error:
        return
    for text in ("", "a", "b", "ab", "aab", "0", "15", "]", "-", "{", "a{", "}", "a,", "\\", "é"):
        assert dfa.accepts(text.encode()) == (found.fullmatch(text) is not None), text


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=40))
def test_an_escaped_text_matches_itself_only(text: str) -> None:
    dfa = compiled(re.escape(text))
    assert dfa.accepts(text.encode())
    assert dfa.shortest_length == len(text.encode())
    assert not dfa.accepts(text.encode() + b"x")
    assert dfa.num_states == len(text.encode()) + 2
