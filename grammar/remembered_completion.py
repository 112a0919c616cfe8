"""How an output ends where items or keys must not come again."""

from __future__ import annotations

from typing import Protocol

from syntagma.grammar.closing_tokens import MAX_CLOSING_BYTES
from syntagma.grammar.json_reading import Reading
from syntagma.grammar.matcher_state import MatcherState
from syntagma.grammar.remembered_state import RememberedState, remembered

MAX_DETOURS = 500
LAST_RESORTS = b",eE \n"


class Recognizing(Protocol):
    """What is asked of a recognizer."""

    def is_accepting(self, state: MatcherState) -> bool:
        """Whether the output may end in a state."""

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""

    def bytes_after(self, state: RememberedState) -> bytes:
        """The bytes that rules allow next."""

    def shortest_by_rules(self, state: RememberedState) -> bytes:
        """A shortest completion of the rules alone."""


def completion(recognizer: Recognizing, state: RememberedState) -> bytes:
    """The shortest completion of the rules, with detours where that is not allowed.

    Raises:
        ValueError: it is too long, or it takes too many detours.
    """
    text = b""
    num_detours = 0
    while not recognizer.is_accepting(state):
        shortest = recognizer.shortest_by_rules(state)
        whole = recognizer.read(state, shortest)
        if whole is not None:
            return text + shortest
        state, added = _as_far_as_possible(recognizer, state, shortest)
        text += added
        num_detours += 1
        if len(text) > MAX_CLOSING_BYTES or num_detours > MAX_DETOURS:
            raise ValueError(
                f"the completion has more than {MAX_CLOSING_BYTES} bytes, or none was found with "
                f"{MAX_DETOURS} detours; lower the grammar's minimum counts"
            )
    return text


def _as_far_as_possible(
    recognizer: Recognizing, state: RememberedState, text: bytes
) -> tuple[RememberedState, bytes]:
    """Read a text while that is allowed, then the best of other bytes."""
    for count in range(len(text)):
        after = recognizer.read(state, text[count : count + 1])
        if after is None:
            ways = [
                (recognizer.shortest_by_rules(remembered(way)), byte, remembered(way))
                for byte in recognizer.bytes_after(state)
                if (way := recognizer.read(state, bytes([byte]))) is not None
            ]
            assert ways, "a viable state leads nowhere"
            # Digits and letters look best; blanks, exponents and another member tell nothing apart.
            ways.sort(
                key=lambda way: (
                    LAST_RESORTS.find(way[1]),
                    len(way[0]),
                    not chr(way[1]).isalnum(),
                    way[1],
                )
            )
            ended = _ended_by(state.reading, text[count : count + 1])
            # 0.0 is no way out where 0 is not: rather one that ends what has come before.
            best = next((way for way in ways if _leads_past(recognizer, ended, way)), ways[0])
            return best[2], text[:count] + bytes([best[1]])
        state = remembered(after)
    return state, text


def _leads_past(
    recognizer: Recognizing,
    ended: set[tuple[bool, int]],
    way: tuple[bytes, int, RememberedState],
) -> bool:
    """Whether behind a way out the item or key ends that could not (`_ended_by`)."""
    text, _, state = way
    for count in range(len(text)):
        after = recognizer.read(state, text[count : count + 1])
        if after is None:
            return False
        if not ended or _ended_by(state.reading, text[count : count + 1]) & ended:
            return True
        state = remembered(after)
    return True


def _ended_by(reading: Reading, byte: bytes) -> set[tuple[bool, int]]:
    """What a byte ends: whether that is a key, or else an item, and how deep it stands."""
    after, ends = reading.read(byte)
    found = {(end.is_key, _depth(reading)) for end in ends}
    if after.is_new is not None and after.frame is not None:
        found.add((after.frame.is_object, _depth(after)))
    return found


def _depth(reading: Reading) -> int:
    depth, frame = 0, reading.frame
    while frame is not None:
        depth, frame = depth + 1, frame.outer
    return depth
