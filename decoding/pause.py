"""When an output is not worth drafting for: asking the sources and teaching them costs time on the host."""

from __future__ import annotations

from typing import Final

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.decoding.rest import Rest
from syntagma.grammar import Vocabulary

PATIENCE: Final = 8
"""After so many steps in a row to which drafts have added nothing no source is asked for a while."""

NARROWED: Final = 0.25
"""Where the grammar leaves so small a share of the choice there was, something else has begun."""


class Pause:
    """Says whether drafting pauses, for one output.

    Args:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._rest = Rest(PATIENCE)
        self._bitmask = np.zeros((1, vocabulary.num_words), np.int32)
        self._vocabulary = vocabulary
        self._num_allowed = 0

    def is_on(self, matcher: Matcher | None) -> bool:
        """Whether to draft nothing in this step; to be asked once a step.

        A string that nobody can guess ends, and what the grammar wants behind it may be certain. So a pause ends
        early where far fewer tokens are allowed than in the last step that was drafted for.
        """
        is_on = self._rest.is_on()
        num_allowed = self._vocabulary.size if matcher is None else self._count(matcher)
        if is_on and num_allowed < NARROWED * self._num_allowed:
            self._rest.end()
            is_on = False
        if not is_on:
            self._num_allowed = num_allowed
        return is_on

    def note(self, num_accepted: int, some_source_was_right: bool) -> None:
        """What came of a step that was drafted for.

        A source that was right and not verified may soon be trusted, so there is no pause then either.
        """
        if num_accepted or not some_source_was_right:
            self._rest.note(num_accepted > 0)

    def _count(self, matcher: Matcher) -> int:
        """How many tokens the grammar allows."""
        matcher.fill_bitmask(self._bitmask)
        return int(np.bitwise_count(self._bitmask.view(np.uint32)).sum())
