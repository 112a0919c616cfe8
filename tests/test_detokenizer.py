from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_sampling import naive_stop

from syntagma.decoding.detokenizer import Detokenizer

PIECES = ["a", "b", "ab", "é", "€", "😀", "END", "\n"]
RAW = [b"\xe2", b"\x82", b"\xac", b"\xff", b"\xf0\x9f", b"\x98\x80", b"\xc3", b""]


def run(detokenizer: Detokenizer, pieces: list[bytes]) -> list[str]:
    return [*(detokenizer.add(piece) for piece in pieces), detokenizer.finish()]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(c % (len(data) + 1) for c in cuts), len(data)]
    starts = [0, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def test_characters_are_never_split() -> None:
    pieces = [bytes([byte]) for byte in "a€😀".encode()]
    assert run(Detokenizer(), pieces) == ["a", "", "", "€", "", "", "", "😀", ""]


def test_an_unfinished_character_becomes_a_replacement_at_the_end() -> None:
    assert run(Detokenizer(), [b"a\xe2\x82"]) == ["a", "\ufffd"]


@given(st.lists(st.sampled_from([p.encode() for p in PIECES] + RAW), max_size=12))
def test_text_is_what_bytes_decode_gives(pieces: list[bytes]) -> None:
    assert "".join(run(Detokenizer(), pieces)) == b"".join(pieces).decode(errors="replace")


def test_a_stop_string_may_span_tokens() -> None:
    detokenizer = Detokenizer(("END",))
    assert [detokenizer.add(piece) for piece in (b"xE", b"N", b"EN", b"D", b"y")] == [
        "x", "", "EN", "", "",
    ]  # fmt: skip
    assert detokenizer.stop_reason == "END"
    assert detokenizer.finish() == ""


def test_a_held_beginning_is_released_at_the_end() -> None:
    detokenizer = Detokenizer(("END",))
    assert run(detokenizer, [b"xEN"]) == ["x", "EN"]
    assert detokenizer.stop_reason is None


def test_the_first_stop_string_to_complete_counts_and_the_longest_of_those() -> None:
    for stop, output, reason in [
        (("abcd", "bc"), "a", "bc"),
        (("c", "bc", "abc"), "", "abc"),
        (("aab",), "a", "aab"),
    ]:
        detokenizer = Detokenizer(stop)
        text = b"aaabx" if stop == ("aab",) else b"abcdx"
        assert "".join(run(detokenizer, [text])) == output
        assert detokenizer.stop_reason == reason


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Detokenizer(("x", ""))


@given(
    text=st.text(alphabet="abé", max_size=20),
    stop=st.lists(st.text(alphabet="abé", min_size=1, max_size=5), max_size=3),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_stop_strings_do_not_depend_on_how_the_text_is_cut(
    text: str, stop: list[str], cuts: list[int]
) -> None:
    detokenizer = Detokenizer(tuple(stop))
    output = "".join(run(detokenizer, cut(text.encode(), cuts)))
    assert (output, detokenizer.stop_reason) == naive_stop(text, stop)


@given(
    text=st.text(alphabet="ab", max_size=20),
    stop=st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=3),
)
def test_exactly_the_beginnings_of_stop_strings_are_held_back(text: str, stop: list[str]) -> None:
    detokenizer = Detokenizer(tuple(stop))
    sent = ""
    for end in range(1, len(text) + 1):
        sent += detokenizer.add(text[end - 1].encode())
        if detokenizer.stop_reason is not None:
            return
        held = text[len(sent) : end]
        suffixes = [text[start:end] for start in range(end + 1)]
        begun = [s for s in suffixes if any(whole.startswith(s) for whole in stop)]
        assert held == max(begun, key=len)
