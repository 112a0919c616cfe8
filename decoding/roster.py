"""Which choices take part in the embedded engine's steps, and how much each of them reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from syntagma.decoding.sequence import Sequence


class Roster:
    """The running choices, and those that wait to start from another choice's prefill.

    Args:
        max_active: choices that run together, at most.
        prefill_chunk: prompt tokens read in one step, over all choices.
    """

    def __init__(self, *, max_active: int, prefill_chunk: int) -> None:
        self._max_active = max_active
        self._prefill_chunk = prefill_chunk
        self._running: list[Sequence] = []
        self._forks: deque[Sequence] = deque()

    @property
    def has_room(self) -> bool:
        """Whether another choice may run."""
        return len(self._running) < self._max_active

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Let choices run, but those that have ended already."""
        self._running += [sequence for sequence in sequences if not sequence.is_finished]

    def add_forks(self, sequences: Iterable[Sequence]) -> None:
        """Line up choices whose prompt was read by another one."""
        self._forks += sequences

    def next_fork(self) -> Sequence | None:
        """Take the first of these out of the line."""
        return self._forks.popleft() if self._forks else None

    def drop_finished(self) -> None:
        """Free the places of choices that have ended."""
        self._running = [sequence for sequence in self._running if not sequence.is_finished]
        self._forks = deque(sequence for sequence in self._forks if not sequence.is_finished)

    def schedule(self, *, in_parts: bool) -> list[tuple[Sequence, int]]:
        """Which choices read on in this step, and at most how many tokens.

        Args:
            in_parts: whether the model can read a prompt in parts.
        """
        decoding = [sequence for sequence in self._running if sequence.num_uncached == 1]
        plan = [(sequence, 1) for sequence in decoding]
        reading = deque(sequence for sequence in self._running if sequence.num_uncached > 1)
        budget = self._prefill_chunk
        for sequence in list(reading):
            if budget <= 0:
                break
            num_tokens = sequence.num_uncached
            if in_parts:
                num_tokens = min(num_tokens, budget)
            plan.append((sequence, num_tokens))
            budget -= num_tokens
            # To the end of the line: a short prompt behind a long one waits for one step of it.
            reading.rotate(-1)
        self._running = [*decoding, *reading]
        return plan
