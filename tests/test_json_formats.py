"""String formats against the standard library."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import random
import re
import string
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syntagma.grammar import dfa as dfas
from syntagma.grammar.dfa import START, Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.json_formats import (
    FORMAT_LENGTHS,
    FORMATS,
    LOOSE_FORMATS,
    UNBOUNDED,
)
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex


@functools.cache
def compiled(name: str) -> Dfa:
    budget = Budget.unlimited()
    parts = (
        dfa_from_code_points(parse_regex(pattern, budget).tree, Encoder.UTF8, budget)
        for pattern in FORMATS[name]
    )
    return functools.reduce(lambda a, b: dfas.intersection(a, b, budget), parts)


def accepts(name: str, text: str) -> bool:
    """By the automaton; Python's `re`, which checks constants against formats, must agree."""
    is_match = compiled(name).accepts(text.encode())
    assert is_match == all(re.fullmatch(pattern, text) for pattern in FORMATS[name])
    return is_match


def is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def test_february_of_every_year() -> None:
    for year in range(10_000):
        for day in (28, 29, 30):
            text = f"{year:04d}-02-{day:02d}"
            assert compiled("date").accepts(text.encode()) == is_date(text), text


@pytest.mark.parametrize("year", [0, 1, 4, 100, 400, 999, 1000, 1900, 2000, 2023, 2024, 2100, 9999])
def test_every_day_of_some_years(year: int) -> None:
    for month in range(14):
        for day in range(34):
            text = f"{year:04d}-{month:02d}-{day:02d}"
            assert accepts("date", text) == is_date(text), text


@given(st.dates())
def test_dates(date: datetime.date) -> None:
    assert accepts("date", date.isoformat())


@pytest.mark.parametrize(
    "text",
    ["2024-1-01", "2024-01-1", "24-01-01", "20240101", "2024-W01-1", "2024/01/01", "2024-01-01 ",
     "+2024-01-01", "-2024-01-01", "12024-01-01", "2024-01-01T00:00:00Z", "٢٠٢٤-01-01", ""],
)  # fmt: skip
def test_not_dates(text: str) -> None:
    assert not accepts("date", text)


def time_texts() -> st.SearchStrategy[str]:
    """Texts in the shape of a time, most of them valid."""
    two = st.one_of(st.integers(0, 59), st.integers(0, 99)).map("{:02d}".format)
    hour = st.one_of(st.integers(0, 23), st.integers(0, 99)).map("{:02d}".format)
    fraction = st.one_of(st.just(""), st.from_regex(r"\.[0-9]{0,10}", fullmatch=True))
    zone = st.one_of(
        st.sampled_from(["Z", "z", "", "+00", "+0000"]),
        st.tuples(st.sampled_from("+-"), hour, st.just(":"), two).map("".join),
    )
    return st.tuples(hour, st.just(":"), two, st.just(":"), two, fraction, zone).map("".join)


@given(time_texts())
def test_times_are_those_of_rfc_3339(text: str) -> None:
    """Python reads them too, once the digits behind microseconds are cut off."""
    shape = re.fullmatch(
        r"(\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-](\d\d):(\d\d))", text, re.ASCII
    )
    is_time = shape is not None and (
        int(shape[1]) < 24
        and int(shape[2]) < 60
        and int(shape[3]) < 60
        and int(shape[6] or 0) < 24
        and int(shape[7] or 0) < 60
    )
    assert accepts("time", text) == is_time
    assert accepts("date-time", f"2024-02-29T{text}") == is_time
    assert accepts("date-time", f"2024-02-29t{text}") == is_time
    assert not accepts("date-time", f"2023-02-29T{text}")
    assert not accepts("date-time", f"2024-02-29 {text}")
    if shape is not None and is_time:
        python_text = text.replace(shape[4] or "\n", (shape[4] or "")[:7]).upper()
        assert datetime.time.fromisoformat(python_text).tzinfo is not None


@given(st.datetimes(timezones=st.timezones()))
def test_datetimes_with_an_offset(moment: datetime.datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    has_whole_minutes = offset.total_seconds() % 60 == 0
    assert accepts("date-time", moment.isoformat()) == has_whole_minutes
    assert not accepts("date-time", moment.replace(tzinfo=None).isoformat())


@given(st.lists(st.one_of(st.integers(0, 300).map(str), st.sampled_from(["", "00", "01", "025", "1a", "-1", "٣"])), min_size=3, max_size=5))  # fmt: skip
def test_ipv4(octets: list[str]) -> None:
    text = ".".join(octets)
    try:
        ipaddress.IPv4Address(text)
        is_address = True
    except ValueError:
        is_address = False
    assert accepts("ipv4", text) == is_address


def test_every_octet() -> None:
    for value in range(1000):
        for position in range(4):
            octets = ["1", "22", "133", "0"]
            octets[position] = str(value)
            assert compiled("ipv4").accepts(".".join(octets).encode()) == (value < 256)


@given(st.uuids(), st.booleans(), st.integers(0, 35), st.sampled_from("0aF-gG{} "))
def test_uuids(value: uuid.UUID, is_upper: bool, position: int, char: str) -> None:
    text = str(value).upper() if is_upper else str(value)
    assert accepts("uuid", text)
    assert not accepts("uuid", value.hex)
    assert not accepts("uuid", f"{{{text}}}")
    assert not accepts("uuid", text[:-1])
    changed = text[:position] + char + text[position + 1 :]
    is_dash = position in (8, 13, 18, 23)
    assert accepts("uuid", changed) == (char == "-" if is_dash else char in string.hexdigits)


@pytest.mark.parametrize(
    "text",
    ["a@b", "ada@example.com", "a.b.c@example.co.uk", "a+b@x.org", "1@2.3", "!#$%&'*+/=?^_`{|}~-@x.y",
     "a@xn--bcher-kva.example", "A@B.C", "a.b.c.d.e@f.g", "a" * 64 + "@b", "a" * 31 + "." + "b" * 32 + "@c"],
)  # fmt: skip
def test_emails(text: str) -> None:
    assert accepts("email", text)


@pytest.mark.parametrize(
    "text",
    ["", "@", "a", "a@", "@b", "a@b@c", ".a@b", "a.@b", "a..b@c", "a@.b", "a@b.", "a@b..c", "a@-b",
     "a@b-", "a@b-.c", "a b@c", "a@b c", '"a b"@c', "a@[127.0.0.1]", "é@b", "a@é", "a@b\n", "(c)a@b",
     "a@b_c", "a,b@c", "a" * 65 + "@b", "a@" + "b" * 64],
)  # fmt: skip
def test_not_emails(text: str) -> None:
    assert not accepts("email", text)


@given(st.from_regex(FORMATS["email"][0], fullmatch=True))
def test_emails_stay_within_rfc_5321(text: str) -> None:
    local, _, domain = text.partition("@")
    if not accepts("email", text):
        assert len(local) > 64
        return
    assert len(local) <= 64 and len(domain) <= 255
    assert all(0 < len(label) <= 63 for label in domain.split("."))


def test_lengths_of_every_format() -> None:
    """Shortest and longest words, counted on the automaton (all characters are ASCII)."""
    assert FORMAT_LENGTHS.keys() == FORMATS.keys() == LOOSE_FORMATS.keys()
    for name, (shortest, longest) in FORMAT_LENGTHS.items():
        dfa = compiled(name)
        if longest == UNBOUNDED:
            assert dfa.accepting[1] if shortest == 0 else dfa.shortest_length == shortest
            continue
        layers, lengths = {1}, []
        for length in range(longest + 2):
            if any(dfa.accepting[state] for state in layers):
                lengths.append(length)
            layers = {int(t) for state in layers for t in dfa.transitions[state] if t}
        assert (min(lengths), max(lengths)) == (shortest, longest)
        assert not layers


def test_formats_of_bounded_length_have_no_loop() -> None:
    """A model cannot write for ever inside any of them: no state can be met twice in a word."""
    for name, (_, longest) in FORMAT_LENGTHS.items():
        if longest == UNBOUNDED:
            continue
        table = compiled(name).transitions.tolist()
        bounded = {0}
        while len(bounded) < len(table):
            more = {s for s, row in enumerate(table) if set(row) <= bounded} - bounded
            assert more, f"{name} has a loop"
            bounded |= more


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_of_a_format_is_what_it_may_mean(name: str) -> None:
    """The loose patterns match all that the strict ones do."""
    budget = Budget.unlimited()
    loose = functools.reduce(
        lambda a, b: dfas.intersection(a, b, budget),
        (
            dfa_from_code_points(parse_regex(pattern, budget).tree, Encoder.UTF8, budget)
            for pattern in LOOSE_FORMATS[name]
        ),
    )
    assert dfas.difference(compiled(name), loose, budget).is_empty


@given(st.ip_addresses(v=6))
def test_addresses_of_version_6(address: ipaddress.IPv6Address) -> None:
    for text in (address.compressed, address.exploded, address.compressed.upper()):
        assert accepts("ipv6", text)


@given(st.text(st.sampled_from("0f:1.2"), max_size=14))
def test_not_addresses_of_version_6(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
        expected = True
    except ValueError:
        expected = False
    assert accepts("ipv6", text) == expected


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uri", ["a:", "http://a/b?c#d", "urn:x:y", "a://[::1]:80/"], ["", "a", "//b", "a:é", "a:#b#c", "1a:b", "http://[::1", "a:%z0"]),
        ("uri-reference", ["", "a", "../b", "//c", "?d", "#e", "a:b"], ["\\a", "é", "#a#b", "1:b"]),
        ("iri", ["http://é.test/ß"], ["é", "a:\\"]),
        ("hostname", ["a", "a.b-c.d", "a" * 63, ".".join(["a"] * 8)], ["", "-a", "a-", "a..b", "a.", "a" * 64, "a_b", "ab--c", "é"]),
        ("duration", ["P1Y2M3DT4H5M6S", "PT1S", "P2W", "P1M"], ["P", "PT", "P1", "P1Y1W", "P1DT", "P1Y3D", "1D"]),
        ("json-pointer", ["", "/", "/a/é~0~1"], ["a", "/~", "/~2"]),
        ("relative-json-pointer", ["0", "1/a", "12#"], ["", "01", "-1", "1a", "0##"]),
        ("uri-template", ["", "a{b}", "{+x,y*}", "{a:3}"], ["{", "{}", "a}b", "<", "{a:0}"]),
        ("regex", ["", "a+b", "^(?:[a-z]{2}|\\d*?)$", "((()))", "[^a-zA-Z]"], ["(", "a)", "a**", "[", "{1}", "[z-a]", "a{2,1}", "\\", "(((())))"]),
        ("uuid4", ["0b9ad11c-75f0-4dd8-9a5e-000000000000"], ["0b9ad11c-75f0-1dd8-9a5e-000000000000", "0b9ad11c-75f0-4dd8-ca5e-000000000000"]),
        ("byte", ["", "AAAA", "AA==", "AAA="], ["A", "AA", "A===", "é"]),
    ],
)  # fmt: skip
def test_texts_of_other_formats(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not accepts(name, text)] == []
    assert [text for text in bad if accepts(name, text)] == []


@given(st.lists(st.sampled_from("ab*+?()[]{},^$|.\\\\d-é19"), max_size=14).map("".join))
@example("a{2,}?|(?:b[^a-z1]+)*$")
@example("(a|b|)(c)+?")
def test_regular_expressions_are_some(text: str) -> None:
    """Python compiles them, warnings are errors, and we read them."""
    if accepts("regex", text):
        re.compile(text)
        parse_regex(text, Budget.unlimited())


def test_walks_through_regular_expressions() -> None:
    dfa, rng = compiled("regex"), random.Random(5)
    num_long = 0
    for _ in range(300):
        state, text = START, b""
        while not dfa.accepting[state] or (len(text) < 60 and rng.random() < 0.95):
            moves = [b for b in range(128) if dfa.step(state, b)]
            byte = rng.choice(moves)
            state, text = dfa.step(state, byte), text + bytes([byte])
        re.compile(text.decode())
        parse_regex(text.decode(), Budget.unlimited())
        num_long += len(text) > 20
    assert num_long > 100


@given(st.uuids(version=4) | st.uuids(version=1) | st.uuids(version=5))
def test_uuids_of_a_version(value: uuid.UUID) -> None:
    for version in range(1, 9):
        assert accepts(f"uuid{version}", str(value)) == (value.version == version)
