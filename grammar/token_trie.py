"""The prefix tree of all tokens' bytes, the thing every mask is computed on."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from syntagma.grammar import trie_kernels as kernels
from syntagma.grammar.alive_kernels import ChildTrie, children
from syntagma.grammar.array_context import ArrayContext
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array
from syntagma.grammar.vocabulary import Vocabulary

ROOT: Final = 0
ALL_BYTES: Final = (1 << 256) - 1


@dataclass(frozen=True, eq=False)
class TokenTrie:
    """A trie in preorder (layout: `trie_kernels`).

    Attributes:
        byte: uint8[num_nodes], the byte that enters a node; the root's is unused.
        depth: int32[num_nodes], bytes from the root.
        subtree_end: int32[num_nodes], the node behind the subtree.
        token_start: int32[num_nodes + 1], CSR into ``token_ids``.
        token_ids: int32[num_tokens], tokens by the node they end at.
    """

    byte: UInt8Array
    depth: Int32Array
    subtree_end: Int32Array
    token_start: Int32Array
    token_ids: Int32Array

    @classmethod
    def from_vocabulary(cls, vocabulary: Vocabulary) -> TokenTrie:
        """The trie of all tokens that grammars know."""
        tokens = vocabulary.spellings
        order = sorted((i for i, t in enumerate(tokens) if t), key=tokens.__getitem__)
        ends = np.cumsum(np.fromiter((len(tokens[i]) for i in order), np.int64, len(order)))
        text = np.frombuffer(b"".join(tokens[i] for i in order), np.uint8)
        return cls(*kernels.build_trie(text, ends, np.array(order, np.int32)))

    def below(self, nodes: Int32Array, first_bytes: int = ALL_BYTES) -> TokenTrie:
        """The trie of what may follow the given nodes, all their subtrees merged.

        Args:
            nodes: int32[N], the nodes.
            first_bytes: a bit for each byte; what begins with another one is left out.
        """
        words = np.frombuffer(bytearray(first_bytes.to_bytes(32, "little")), np.uint64)
        merged = kernels.merge_subtrees(
            self.byte,
            self.subtree_end,
            self.token_start,
            self.token_ids,
            nodes,
            words.reshape(1, -1),
        )
        return TokenTrie(*merged)

    def with_child(self, nodes: Int32Array, first_bytes: int) -> Int32Array:
        """Those of some nodes, given in ascending order, that have a child for one of some bytes."""
        starts, parents = self.parents
        found: list[Int32Array] = []
        for byte in range(256):
            if nodes.size and first_bytes >> byte & 1:
                having = parents[starts[byte] : starts[byte + 1]]
                places = np.minimum(np.searchsorted(nodes, having), nodes.size - 1)
                found.append(having[nodes[places] == having])
        return np.unique(np.concatenate(found)) if found else nodes[:0]

    @functools.cached_property
    def parents(self) -> tuple[Int32Array, Int32Array]:
        """The nodes that have a child for each byte, ascending: where those of a byte begin, and all."""
        trie = self.with_children
        order = np.argsort(trie.child_byte, kind="stable")
        parents = np.repeat(np.arange(self.num_nodes, dtype=np.int32), np.diff(trie.child_start))
        starts = np.searchsorted(trie.child_byte[order], np.arange(257)).astype(np.int32)
        return starts, parents[order]

    @property
    def arrays(self) -> kernels.Trie:
        """The arrays in the order that kernels take them."""
        return self.byte, self.depth, self.subtree_end, self.token_start, self.token_ids

    @property
    def num_nodes(self) -> int:
        """Nodes, the root included."""
        return self.byte.size

    @functools.cached_property
    def max_depth(self) -> int:
        """Bytes of the longest token."""
        return int(self.depth.max())

    @functools.cached_property
    def with_children(self) -> ChildTrie:
        """The arrays for walks that visit only some of a node's children."""
        return ChildTrie(
            self.byte,
            self.subtree_end,
            self.token_start,
            self.token_ids,
            *children(self.byte, self.subtree_end),
        )

    @functools.cached_property
    def context(self) -> Int64Array:
        """Addresses of the arrays of `with_children`, which live as long as this trie."""
        context = ArrayContext(len(ChildTrie._fields))
        context.put(0, self.with_children)
        return context.addresses

    @property
    def tops(self) -> Int32Array:
        """int32[N], the children of the root; 256 at most."""
        trie = self.with_children
        return trie.child_node[: trie.child_start[1]]

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays)
