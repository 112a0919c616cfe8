"""What a lexer state does to a vocabulary: the content of the mask store."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, Int64Array
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
        # Of a large one, those of the nodes with a child for the bytes merged so far.
        self._roots = nodes[:0]

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
            merged = self._merged = self._merge(0 if merged is None else merged[0], first_bytes)
        return merged[1]

    def _merge(self, before: int, more: int) -> tuple[int, TokenTrie]:
        if not self.is_large:
            return ALL_BYTES, self._whole.below(self.nodes)
        # Nearly all of the nodes have no child for punctuation, and are not looked at.
        roots = self._whole.with_child(self.nodes, more & ~before)
        self._roots = roots if before == 0 else np.union1d(self._roots, roots)
        return before | more, self._whole.below(self._roots, before | more)

    @property
    def num_bytes(self) -> int:
        """Memory, the merged trie included."""
        return (
            self.nodes.nbytes
            + self._roots.nbytes
            + (0 if self._merged is None else self._merged[1].num_bytes)
        )


Exits = tuple[tuple[int, Residuals], ...]

# An exit's places in the table of an entry: the address and size of a trie's context, the terminal, the trie's depth, and
# whether a kernel may walk it by itself.
TRIE, TRIE_SIZE, TERMINAL, MAX_DEPTH, IS_READY, _ = range(6)
EXIT_SIZE: Final = 6


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        exits: (terminal, residuals): the terminal may be complete there, inside a token.
    """

    interior: Int32Array
    exits: Exits

    @functools.cached_property
    def table(self) -> Int64Array:
        """int64[EXIT_SIZE * number of exits]: them as kernels read them, as far as they are `ready`."""
        table = np.zeros(EXIT_SIZE * len(self.exits), np.int64)
        table[TERMINAL::EXIT_SIZE] = [terminal for terminal, _ in self.exits]
        return table

    def ready(self, number: int) -> None:
        """Let kernels walk an exit by themselves, if it is small; its trie must have been asked for."""
        residuals = self.exits[number][1]
        if not residuals.is_large:
            trie = residuals.trie_from(ALL_BYTES)
            at = EXIT_SIZE * number
            self.table[at + TRIE] = trie.context.ctypes.data
            self.table[at + TRIE_SIZE] = trie.context.size
            self.table[at + MAX_DEPTH] = trie.max_depth
            self.table[at + IS_READY] = 1

    @property
    def num_bytes(self) -> int:
        """Memory of the entry by itself."""
        return self.interior.nbytes + 500
