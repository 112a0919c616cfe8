"""Finished outputs, kept as suffix automata for later drafts: per vocabulary, grammar and tenant.

What one tenant's requests produced is only ever looked at for the same tenant. A corpus that whoever runs
the server loads beforehand is there for all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.growing_lru import GrowingLru
from syntagma.decoding.suffix_automaton import BYTES_PER_TOKEN, START, SuffixAutomaton

DEFAULT_MAX_BYTES: Final = 256 << 20
SHARE_OF_ONE: Final = 8
"""One scope's texts take up to this fraction of all: one-eighth."""

ENTRY_BYTES: Final = 2048
"""What an entry takes besides its arrays, roughly."""


@dataclass(frozen=True, slots=True)
class StoreKey:
    """Whose texts, in whose tokens."""

    vocabulary_hash: str
    grammar_key: str
    tenant: str


class SharedTexts:
    """The documents of one key: the newer half and the older half.

    Automata forget nothing. When the newer half is full it becomes the older one, which is dropped. Hold
    ``lock`` while looking at an automaton.
    """

    def __init__(self, max_bytes: int) -> None:
        self.lock = threading.Lock()
        self._max_bytes = max_bytes
        self._halves = [SuffixAutomaton()]

    def add(self, token_ids: Sequence[int]) -> None:
        """A whole document; matches do not cross from one to another."""
        with self.lock:
            newest = self._halves[0]
            if newest.num_tokens and 2 * newest.num_bytes >= self._max_bytes:
                newest = SuffixAutomaton()
                self._halves = [newest, self._halves[0]]
            add_document(newest, token_ids)

    @property
    def automata(self) -> list[SuffixAutomaton]:
        """Newer and, if there is one, older half."""
        return self._halves

    @property
    def num_bytes(self) -> int:
        return sum(half.num_bytes for half in self._halves)

    @property
    def num_tokens(self) -> int:
        return sum(half.num_tokens for half in self._halves)


def add_document(automaton: SuffixAutomaton, token_ids: Sequence[int]) -> None:
    """Append a whole document; matches do not cross from one to another."""
    automaton.begin_document()
    automaton.append([START, *token_ids])


class DraftStore:
    """All tenants' texts within a bound of bytes; those not used for longest go first.

    May be used from any thread.

    Args:
        vocabulary_hash: of the tokens that all the texts are in.
        max_bytes: bound on all automata, the corpus apart.
        corpus: documents as tokens that all tenants are drafted from.

    Raises:
        ValueError: ``max_bytes`` is less than one entry takes.
    """

    def __init__(
        self,
        vocabulary_hash: str,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        corpus: Iterable[Sequence[int]] = (),
    ) -> None:
        if max_bytes < SHARE_OF_ONE * ENTRY_BYTES:
            raise ValueError(
                f"max_bytes must be at least {SHARE_OF_ONE * ENTRY_BYTES}, not {max_bytes!r}"
            )
        self._vocabulary_hash = vocabulary_hash
        self._texts: GrowingLru[StoreKey, SharedTexts] = GrowingLru(
            max_bytes, lambda texts: ENTRY_BYTES + texts.num_bytes
        )
        self._share = max_bytes // SHARE_OF_ONE
        self.corpus = SuffixAutomaton()
        for document in corpus:
            add_document(self.corpus, document)
        self.corpus.trim()

    def texts(self, scope: DraftScope) -> SharedTexts | None:
        """What there is for a scope, now the most recently used; None if nothing."""
        return self._texts.get(self._key(scope))

    def add(self, scope: DraftScope, token_ids: Sequence[int]) -> None:
        """Take in a finished output; so large a one that it alone would fill its share is left out."""
        if not token_ids or len(token_ids) * BYTES_PER_TOKEN > self._share:
            return
        key = self._key(scope)
        texts = self._texts.get_or_make(key, lambda: SharedTexts(self._share))
        texts.add(token_ids)
        self._texts.note_growth(key, texts)

    @property
    def num_bytes(self) -> int:
        """Memory of the texts, the corpus apart."""
        return self._texts.num_bytes

    @property
    def num_evicted(self) -> int:
        """Scopes whose texts were dropped."""
        return self._texts.num_evicted

    def __len__(self) -> int:
        return len(self._texts)

    def _key(self, scope: DraftScope) -> StoreKey:
        return StoreKey(self._vocabulary_hash, scope.grammar_key, scope.tenant)
