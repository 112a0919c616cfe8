"""What a lexer state does to a vocabulary: the content of the mask store."""

from __future__ import annotations

from dataclasses import dataclass

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.token_trie import TokenTrie


class Residuals:
    """What may follow some nodes of the token trie; equal nodes are the same object.

    Args:
        nodes: int32[N], ascending.
    """

    def __init__(self, trie: TokenTrie, nodes: Int32Array) -> None:
        self.nodes = nodes
        self._whole = trie
        self._merged: TokenTrie | None = None

    @property
    def trie(self) -> TokenTrie:
        """The merged trie of the nodes' subtrees."""
        if self._merged is None:
            self._merged = self._whole.below(self.nodes)
        return self._merged

    @property
    def num_bytes(self) -> int:
        """Memory, the merged trie included."""
        return self.nodes.nbytes + (0 if self._merged is None else self._merged.num_bytes)


Exits = tuple[tuple[int, Residuals], ...]


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        exits: (terminal, residuals): the terminal may be complete there, inside a token.
    """

    interior: Int32Array
    exits: Exits

    @property
    def num_bytes(self) -> int:
        """Memory of the entry by itself."""
        return self.interior.nbytes + 300
