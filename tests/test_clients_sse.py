"""The parser of server-sent events: the standard's cases, cut at every place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syntagma.clients.sse import ServerSentEvent, SseParser

Event = ServerSentEvent


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


CASES = [
    (b"data: a\n\n", [Event("a")]),
    (b"data:a\n\n", [Event("a")]),
    (b"data:  a\n\n", [Event(" a")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event("a"), Event("b")]),
    (b"data: a\r\rdata: b\r\r", [Event("a"), Event("b")]),
    (b"data: a\r\n\ndata: b\n\r\n", [Event("a"), Event("b")]),
    (b"data: a\ndata: b\n\n", [Event("a\nb")]),
    (b"data\n\n", [Event("")]),
    (b"data:\ndata:\n\n", [Event("\n")]),
    (b": ping\n\n: ping\r\n\r\ndata: a\n\n", [Event("a")]),
    (b"data: a\n: ping\ndata: b\n\n", [Event("a\nb")]),
    (b"event: error\ndata: a\n\ndata: b\n\n", [Event("a", "error"), Event("b")]),
    (b"event: lost\n\ndata: a\n\n", [Event("a")]),
    (b"id: 1\nretry: 5\nother: x\ndata: a\n\n", [Event("a")]),
    (b"data: a:b: c\n\n", [Event("a:b: c")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
    (b"data: \xef\xbb\xbf\n\n", [Event("\ufeff")]),
    ("data: é漢😀\n\n".encode(), [Event("é漢😀")]),
    ("data: \u2028\x85\x0b\n\n".encode(), [Event("\u2028\x85\x0b")]),
    (b"data: \xff\n\n", [Event("\ufffd")]),
    (b"data: a\n\ndata: cut off\n", [Event("a")]),
    (b"data: a", []),
    (b"\n\n\r\n\r", []),
    (b"", []),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_case_cut_at_every_place(stream: bytes, events: list[ServerSentEvent]) -> None:
    assert parse(stream) == events
    assert parse(*(bytes([byte]) for byte in stream)) == events
    for cut in range(len(stream) + 1):
        assert parse(stream[:cut], b"", stream[cut:]) == events


line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
# No line ends inside, and no byte order mark where it would be taken for one.
data_lines = st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(st.lists(data_lines, min_size=1), line_ends)), st.data())
def test_any_events_in_any_chunks(
    messages: list[tuple[list[str], bytes]], draw: st.DataObject
) -> None:
    stream = b""
    for lines, line_end in messages:
        for line in lines:
            stream += b"data: " + line.encode() + line_end
        stream += line_end
    cuts = draw.draw(st.lists(st.integers(0, len(stream))).map(sorted))
    chunks = [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*chunks) == [Event("\n".join(lines)) for lines, _ in messages]


@given(st.lists(st.binary()))
def test_any_bytes_at_all(chunks: list[bytes]) -> None:
    assert parse(*chunks) == parse(b"".join(chunks))
