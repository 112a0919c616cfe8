"""A state of a grammar that asks for facts about the output."""

from __future__ import annotations

from syntagma.grammar.json_reading import Reading
from syntagma.grammar.matcher_state import MatcherState


class RememberedState(MatcherState):
    """A state of both grammars and what has been read.

    Attributes:
        marked, unmarked: the states.
        reading: the text, as far as it matters.
    """

    __slots__ = ("marked", "reading", "unmarked")

    def __init__(self, marked: MatcherState, unmarked: MatcherState, reading: Reading) -> None:
        # Moves of such states are not remembered: no two outputs share them for long.
        super().__init__(0, marked.key, marked.is_accepting)
        self.marked = marked
        self.unmarked = unmarked
        self.reading = reading


def remembered(state: MatcherState) -> RememberedState:
    """A state that such a recognizer has handed out."""
    assert isinstance(state, RememberedState), "a state of another recognizer"
    return state
