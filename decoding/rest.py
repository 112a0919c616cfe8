"""When to stop trying for a while: tries that were of no use, and rests that grow."""

from __future__ import annotations

from typing import Final

MAX_REST: Final = 16
"""After so many steps at the latest it is tried again."""


class Rest:
    """Exponential backing off, counted in steps.

    Args:
        patience: after so many useless tries in a row a rest begins. Those that follow are twice as long each, until
            tries are of use again.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._max_useless = patience + MAX_REST.bit_length() - 1
        self._num_useless = 0
        self._num_steps = 0

    def is_on(self) -> bool:
        """Whether to do without in this step; to be asked once a step."""
        if self._num_steps == 0:
            return False
        self._num_steps -= 1
        return True

    def end(self) -> None:
        """Try again in the next step."""
        self._num_steps = 0

    def note(self, was_useful: bool) -> None:
        """What a try has come to. A useful one takes back half of the patience lost."""
        if was_useful:
            self._num_useless //= 2
            return
        self._num_useless = min(self._num_useless + 1, self._max_useless)
        if self._num_useless >= self._patience:
            self._num_steps = 2 ** (self._num_useless - self._patience)
