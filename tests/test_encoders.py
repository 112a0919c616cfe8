"""Spellings of code points: UTF-8 against Python's codec, JSON escapes against `json.loads`."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from naive import check_canonical, naive_match

from syntagma.grammar import code_points as cp
from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import (
    dfa_from_all,
    dfa_from_code_points,
    strings_other_than,
)
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.spelling_kernels import SHORT_ESCAPES as ESCAPED_LETTERS

BUDGET = Budget.unlimited()
SHORT_ESCAPES = {int(point): bytes([letter]) for letter, point in ESCAPED_LETTERS.reshape(-1, 2)}
ANY_CHAR = ast.CharSet(cp.ANY)
# Where the length of UTF-8, a digit of an escape, or a surrogate changes, and JSON's own characters.
BORDERS = [
    0, 0x1F, 0x20, 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0xFF, 0x100, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF,
    0xE000, 0xFFFF, 0x10000, 0x103FF, 0x10400, 0x1F600, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF,
]  # fmt: skip
NEAR_BORDERS = sorted(
    {q for p in BORDERS for q in (p - 1, p, p + 1) if cp.contains(cp.ANY, q)} | set(SHORT_ESCAPES)
)
scalars = st.one_of(
    st.sampled_from(NEAR_BORDERS), st.characters(exclude_categories=["Cs"]).map(ord)
)
sets = st.lists(st.tuples(scalars, scalars), min_size=1, max_size=4).map(
    lambda pairs: cp.from_ranges((min(p), max(p)) for p in pairs)
)


def one_of(points: cp.CodePointSet, encoder: Encoder) -> Dfa:
    return dfa_from_code_points(ast.CharSet(points), encoder, BUDGET)


def cases(text: str) -> list[str]:
    """Hexadecimal digits in both cases, mixed ones included."""
    mixed = "".join(c.upper() if i % 2 else c for i, c in enumerate(text))
    return [text, text.upper(), mixed]


def json_spellings(point: int) -> set[bytes]:
    """Every way to spell a scalar value in a JSON string, straight from RFC 8259."""
    found: set[bytes] = set()
    if point >= 0x20 and chr(point) not in '"\\':
        found.add(chr(point).encode())
    if point in SHORT_ESCAPES:
        found.add(b"\\" + SHORT_ESCAPES[point])
    units = chr(point).encode("utf-16-be").hex()
    for digits in cases(units):
        found.add("".join(f"\\u{digits[i : i + 4]}" for i in range(0, len(digits), 4)).encode())
    return found


def spellings(point: int, encoder: Encoder) -> set[bytes]:
    return json_spellings(point) if encoder is Encoder.JSON else {chr(point).encode()}


def random_word(dfa: Dfa, rng: random.Random) -> bytes:
    """A random word of a finite language."""
    state, word = 1, b""
    while not dfa.accepting[state]:
        byte = rng.choice([b for b in range(256) if dfa.step(state, b)])
        state = dfa.step(state, byte)
        word += bytes([byte])
    return word


def test_short_escapes_are_those_of_json() -> None:
    for point, char in SHORT_ESCAPES.items():
        assert json.loads(b'"\\' + char + b'"') == chr(point)
    for other in set(range(0x20, 0x7F)) - {char[0] for char in SHORT_ESCAPES.values()}:
        with pytest.raises(json.JSONDecodeError):
            json.loads(f'"\\{chr(other)}"')


@pytest.mark.parametrize("encoder", Encoder)
def test_any_character_is_spelled_in_every_way(encoder: Encoder) -> None:
    """All borders, and a sample of all code points."""
    dfa = one_of(cp.ANY, encoder)
    sample = [*NEAR_BORDERS, *range(0, 0xD800, 97), *range(0xE000, cp.MAX_CODE_POINT, 1009)]
    for point in sample:
        known = spellings(point, encoder)
        for spelling in json_spellings(point) | known:
            assert dfa.accepts(spelling) == (spelling in known), spelling


def test_utf8_is_exactly_what_python_decodes() -> None:
    """All texts of up to two bytes; of three and four, all combinations of border bytes."""
    dfa = one_of(cp.ANY, Encoder.UTF8)
    border_bytes = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                    0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]  # fmt: skip
    texts = [bytes(t) for n in (1, 2) for t in itertools.product(range(256), repeat=n)]
    tails = [0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
    for n in (2, 3):
        texts += [bytes(t) for t in itertools.product(border_bytes, *[tails] * n)]
    for text in texts:
        try:
            is_character = len(text.decode()) == 1
        except UnicodeDecodeError:
            is_character = False
        assert dfa.accepts(text) == is_character, text


def test_json_never_spells_a_lone_surrogate() -> None:
    """Every escape of four digits, alone and before others; pairs only in the right order."""
    body = dfa_from_code_points(ast.Repeat(ANY_CHAR, 0, None), Encoder.JSON, BUDGET)
    for unit in range(0xD700, 0xE100, 7):
        is_surrogate = 0xD800 <= unit <= 0xDFFF
        for digits in cases(f"{unit:04x}"):
            escape = f"\\u{digits}".encode()
            assert body.accepts(escape) != is_surrogate
            for tail in (b"a", b"\\n", b"\\u0041", b"\\ud83d", b"\\uD800", b"\\", b'"'):
                assert not (is_surrogate and body.accepts(escape + tail))
            is_high = 0xD800 <= unit <= 0xDBFF
            assert body.accepts(escape + b"\\udc00") == (is_high)
            assert body.accepts(b"\\uDBFF" + escape) == (0xDC00 <= unit <= 0xDFFF)


@pytest.mark.parametrize(
    "spelling",
    [b"\\x41", b"\\a", b"\\'", b"\\0", b"\\u", b"\\u12", b"\\u123g", b"\\U0041", b"\\u{41}", b'"',
     b"\\", b"\n", b"\t", b"\x00", b"\x1f", b"\xff", b"\xed\xa0\xbd", b"\xc0\x80", b"", b"\\\n"],
)  # fmt: skip
def test_what_json_does_not_spell(spelling: bytes) -> None:
    assert not one_of(cp.ANY, Encoder.JSON).accepts(spelling)


@pytest.mark.parametrize("encoder", Encoder)
def test_ranges_between_borders(encoder: Encoder) -> None:
    for low, high in itertools.combinations_with_replacement(BORDERS, 2):
        dfa = one_of(cp.from_ranges([(low, high)]), encoder)
        for point in (p for border in (low, high) for p in (border - 1, border, border + 1)):
            if not cp.contains(cp.ANY, point):
                continue
            known = spellings(point, encoder)
            for spelling in json_spellings(point) | known:
                assert dfa.accepts(spelling) == (spelling in known and low <= point <= high)


@given(sets, st.randoms(use_true_random=False))
def test_every_spelled_form_decodes_into_the_set(
    points: cp.CodePointSet, rng: random.Random
) -> None:
    """Random words of the automaton, read back by `json.loads` and by the UTF-8 codec."""
    for encoder in Encoder:
        dfa = one_of(points, encoder)
        for _ in range(10):
            word = random_word(dfa, rng)
            text = word.decode() if encoder is Encoder.UTF8 else json.loads(b'"' + word + b'"')
            assert len(text) == 1 and cp.contains(points, ord(text)), word


@given(st.lists(sets, min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_spelled_words_are_the_words_of_symbols(
    given: list[cp.CodePointSet], num_states: int, data: st.DataObject
) -> None:
    """Random automata over sets: each spelling of each word is accepted as the word is, and what is
    spelled in no way is refused."""
    parts = st.sampled_from([ast.CharSet(points) for points in given])
    trees = st.recursive(
        parts,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda p: ast.Concat(tuple(p))),
            st.lists(inner, min_size=1, max_size=3).map(lambda p: ast.Union(tuple(p))),
            st.tuples(inner, st.sampled_from([None, 1, 2])).map(
                lambda pair: ast.Repeat(pair[0], 0, pair[1])
            ),
        ),
        max_leaves=5,
    )
    tree = data.draw(trees)
    points = data.draw(st.lists(st.sampled_from(NEAR_BORDERS), min_size=1, max_size=4))
    for encoder in Encoder:
        dfa = dfa_from_code_points(tree, encoder, BUDGET)
        check_canonical(dfa)
        for length in range(num_states):
            for word in itertools.product(points, repeat=length):
                expected = naive_match(tree, word)
                for spelled in itertools.product(*(spellings(p, encoder) for p in word)):
                    assert dfa.accepts(b"".join(spelled)) == expected


@given(st.lists(sets, min_size=1, max_size=3))
def test_intersections_and_quotes_in_one_go(given: list[cp.CodePointSet]) -> None:
    """The same automata as from the algebra of bytes."""
    trees = [
        ast.Concat((ast.Repeat(ANY_CHAR, i, None), ast.Repeat(ast.CharSet(points), 0, 2)))
        for i, points in enumerate(given)
    ]
    for encoder in Encoder:
        bodies = [dfa_from_code_points(tree, encoder, BUDGET) for tree in trees]
        expected = bodies[0]
        for body in bodies[1:]:
            expected = dfas.intersection(expected, body, BUDGET)
        found = dfa_from_all(trees, encoder, BUDGET)
        assert found == expected
        check_canonical(found)
    quoted = dfa_from_all(trees, Encoder.JSON, BUDGET, is_quoted=True)
    assert quoted == dfas.surrounded(expected, ord('"'))
    check_canonical(quoted)


@pytest.mark.parametrize("pattern", ["", "[]", '"', "[^]*", '("|\\\\)*', 'a"?', '"a|b'])
def test_quotes_around_quotation_marks(pattern: str) -> None:
    tree = parse_regex(pattern, BUDGET).tree
    quoted = dfa_from_all([tree], Encoder.JSON, BUDGET, is_quoted=True)
    body = dfa_from_code_points(tree, Encoder.JSON, BUDGET)
    assert quoted == dfas.surrounded(body, ord('"'))
    check_canonical(quoted)


@given(st.sets(st.text(st.sampled_from('ab"é\u20ac\U0001f600\n'), max_size=4), max_size=8))
@example(set())
@example({""})
@example({"a", "ab", "abc", "b"})
@example({"\ud800", "\0", "\U0010ffff"})
def test_strings_other_than_some(texts: set[str]) -> None:
    spellable = [text for text in texts if "\ud800" not in text]
    everything = ast.Repeat(ANY_CHAR, 0, None)
    for encoder in Encoder:
        excluded = dfa_from_code_points(
            ast.Union(tuple(ast.literal(text) for text in spellable)), encoder, BUDGET
        )
        body = dfas.difference(dfa_from_code_points(everything, encoder, BUDGET), excluded, BUDGET)
        assert strings_other_than(texts, encoder, BUDGET) == body
        check_canonical(body)
    quoted = strings_other_than(texts, Encoder.JSON, BUDGET, is_quoted=True)
    assert quoted == dfas.surrounded(body, ord('"'))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_a_text_in_json_is_what_dumps_writes(text: str) -> None:
    dfa = dfa_from_code_points(ast.literal(text), Encoder.JSON, BUDGET)
    for ensure_ascii in (True, False):
        assert dfa.accepts(json.dumps(text, ensure_ascii=ensure_ascii).encode()[1:-1])
    assert not dfa.accepts(json.dumps(text + "x").encode()[1:-1])
