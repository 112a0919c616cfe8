"""What a lexer state does to a vocabulary: the content of the mask store."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.token_trie import ALL_BYTES, TokenTrie


class Residuals:
    """What may follow some nodes of the token trie; equal nodes are the same object.

    Args:
        trie: the token trie.
        nodes: int32[N], ascending.
        max_nodes: subtrees of more nodes than this are merged only as far as somebody can read on there.
    """

    def __init__(self, trie: TokenTrie, nodes: Int32Array, max_nodes: int) -> None:
        self.nodes = nodes
        self._whole = trie
        self._max_nodes = max_nodes
        self._merged: tuple[int, TokenTrie] | None = None

    @functools.cached_property
    def is_large(self) -> bool:
        """Whether all subtrees together are large: an identifier may end anywhere in most tokens."""
        return int((self._whole.subtree_end[self.nodes] - self.nodes).sum()) > self._max_nodes

    def trie_from(self, first_bytes: int) -> TokenTrie:
        """The merged trie of the nodes' subtrees, or a part that has all that begins with some bytes.

        Args:
            first_bytes: a bit for each byte.
        """
        merged = self._merged
        if merged is None or first_bytes & ~merged[0]:
            if not self.is_large:
                first_bytes = ALL_BYTES
            elif merged is not None:
                first_bytes |= merged[0]
            merged = self._merged = first_bytes, self._whole.below(self.nodes, first_bytes)
        return merged[1]

    @property
    def num_bytes(self) -> int:
        """Memory, the merged trie included."""
        return self.nodes.nbytes + (0 if self._merged is None else self._merged[1].num_bytes)


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
