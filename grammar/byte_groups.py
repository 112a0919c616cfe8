"""Groups of bytes that the terminals of texts tend to treat alike, and where a token trie has them.

Where a walk is known to learn nothing from some groups of bytes, it need only look at tokens that have
a byte of another group, and most tokens are of letters and a blank.
"""

from __future__ import annotations

import functools
import string

import numpy as np

from syntagma.grammar.group_kernels import row_over_groups, subtree_groups
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array
from syntagma.grammar.token_trie import TokenTrie

# Quotation marks and backslashes, which end strings and begin escapes, are groups of their own.
_GROUPS = ("abcdef", string.ascii_lowercase[6:], "ABCDEF", string.ascii_uppercase[6:],
           string.digits, " ", '"', "\\")  # fmt: skip
_OTHER_ASCII = len(_GROUPS)
_NO_ASCII = _OTHER_ASCII + 1
NUM_GROUPS = _NO_ASCII + 1


def _group_of_bytes() -> UInt8Array:
    group_of = np.full(256, _NO_ASCII, np.uint8)
    group_of[:128] = _OTHER_ASCII
    for group, members in enumerate(_GROUPS):
        group_of[list(members.encode())] = group
    return group_of


GROUP_OF = _group_of_bytes()


class TrieGroups:
    """The byte groups of a token trie. Sets of groups are bits of an integer.

    Attributes:
        height: int32[num_nodes], bytes of the longest path below a node.
        below: int32[num_nodes], the groups met below a node.
        sizes: int64[NUM_GROUPS], nodes that a byte of the group enters.
        top_sizes: int64[256], nodes in the subtree at the root that a byte enters.
    """

    def __init__(self, trie: TokenTrie) -> None:
        self._trie = trie
        self.height: Int32Array
        self.below: Int32Array
        self.height, self.below = subtree_groups(trie.byte, trie.subtree_end, GROUP_OF)
        self.sizes: Int64Array = np.bincount(GROUP_OF[trie.byte[1:]], minlength=NUM_GROUPS)
        self.top_sizes: Int64Array = np.zeros(256, np.int64)
        self.top_sizes[trie.byte[trie.tops]] = trie.subtree_end[trie.tops] - trie.tops

    def size_of(self, groups: int) -> int:
        """Nodes that bytes of the given groups enter."""
        return int(sum(self.sizes[g] for g in range(NUM_GROUPS) if groups >> g & 1))

    def fill_row(self, groups: int, row: Int32Array) -> None:
        """Allow the tokens of bytes of the given groups in a row of zeros."""
        trie = self._trie
        row_over_groups(
            trie.byte,
            trie.subtree_end,
            trie.token_start,
            trie.token_ids,
            self.below,
            GROUP_OF,
            groups,
            row,
        )


@functools.cache
def class_map_of(groups: int) -> UInt8Array:
    """uint8[256]: 0 for a byte of the given groups, 1 for any other."""
    return (~(groups >> GROUP_OF.astype(np.int64)) & 1).astype(np.uint8)
