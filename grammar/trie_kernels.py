"""Numba kernels that build tries in preorder.

A trie is four arrays. Node ``i`` is entered by ``byte[i]``; its subtree is ``i .. subtree_end[i]``,
so skipping it is one jump; the tokens that end at it are
``token_ids[token_start[i]:token_start[i + 1]]``. Node 0 is the root. Because nodes and tokens are in
the same order, the tokens of a whole subtree are one slice as well.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.alive_kernels import has_byte
from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt8Array,
    UInt64Array,
    kernel,
)

Trie = tuple[UInt8Array, Int32Array, Int32Array, Int32Array, Int32Array]


@kernel
def build_trie(text: UInt8Array, ends: Int64Array, sorted_ids: Int32Array) -> Trie:
    """The trie of tokens given in byte order.

    Args:
        text: the tokens' bytes one after another; ends: int64[T], where each token ends.
        sorted_ids: int32[T], the token ids in that order; none is empty.

    Returns:
        (byte, depth, subtree_end, token_start, token_ids).
    """
    capacity = text.size + 1
    byte = np.zeros(capacity, np.uint8)
    depth = np.zeros(capacity, np.int32)
    subtree_end = np.zeros(capacity, np.int32)
    token_start = np.zeros(capacity + 1, np.int32)
    open_nodes = np.zeros(257, np.int32)
    num_nodes = 1
    num_open = 1
    begin = 0
    previous = 0
    previous_length = 0
    for t in range(ends.size):
        length = ends[t] - begin
        shared = 0
        while (
            shared < length
            and shared < previous_length
            and text[begin + shared] == text[previous + shared]
        ):
            shared += 1
        while num_open > shared + 1:
            num_open -= 1
            subtree_end[open_nodes[num_open]] = num_nodes
        if length + 2 > open_nodes.size:
            longer = np.zeros(2 * (length + 2), np.int32)
            longer[: open_nodes.size] = open_nodes
            open_nodes = longer
        for k in range(shared, length):
            byte[num_nodes] = text[begin + k]
            depth[num_nodes] = k + 1
            token_start[num_nodes] = t
            open_nodes[num_open] = num_nodes
            num_open += 1
            num_nodes += 1
        previous = begin
        previous_length = length
        begin = ends[t]
    while num_open > 0:
        num_open -= 1
        subtree_end[open_nodes[num_open]] = num_nodes
    token_start[num_nodes] = ends.size
    # A token that equals its predecessor makes no node of its own: it follows in its slice.
    return (
        byte[:num_nodes].copy(),
        depth[:num_nodes].copy(),
        subtree_end[:num_nodes].copy(),
        token_start[: num_nodes + 1].copy(),
        sorted_ids,
    )


@kernel
def merge_subtrees(
    byte: UInt8Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    roots: Int32Array,
    first_bytes: UInt64Array,
) -> Trie:
    """One trie of what follows the given nodes: the union of their subtrees, without themselves.

    Args:
        byte .. token_ids: the trie that the nodes are of.
        roots: int32[N], the nodes.
        first_bytes: uint64[1, 4], a bit for each byte; what begins with another one is left out.

    Returns:
        As `build_trie`; a node's tokens are those of all the nodes merged into it.
    """
    capacity = 1
    num_tokens = 0
    for root in roots:
        below = root + 1
        while below < subtree_end[root]:
            if has_byte(first_bytes, 0, byte[below]):
                capacity += subtree_end[below] - below
                num_tokens += token_start[subtree_end[below]] - token_start[below]
            below = subtree_end[below]
    out_byte = np.zeros(capacity, np.uint8)
    out_depth = np.zeros(capacity, np.int32)
    out_end = np.zeros(capacity, np.int32)
    out_start = np.zeros(capacity + 1, np.int32)
    out_ids = np.empty(num_tokens, np.int32)
    # `members` is a stack of groups of input nodes; each group becomes one output node. Children of
    # an output node are pushed in descending byte order so that they are popped ascending.
    members = np.empty(2 * capacity + roots.size, np.int32)
    group_start = np.empty(capacity + 1, np.int32)
    group_depth = np.empty(capacity + 1, np.int32)
    open_nodes = np.empty(capacity + 1, np.int32)
    child = np.empty(capacity + 1, np.int32)
    by_byte = np.full(256, -1, np.int32)
    link = np.empty(capacity + 1, np.int32)
    members[: roots.size] = roots
    num_members = roots.size
    group_start[0] = 0
    group_depth[0] = 0
    num_groups = 1
    num_nodes = 0
    num_open = 0
    written = 0
    while num_groups > 0:
        num_groups -= 1
        first = group_start[num_groups]
        depth = group_depth[num_groups]
        while num_open > depth:
            num_open -= 1
            out_end[open_nodes[num_open]] = num_nodes
        node = num_nodes
        num_nodes += 1
        open_nodes[num_open] = node
        num_open += 1
        out_depth[node] = depth
        out_start[node] = written
        num_children = 0
        low = 256
        high = -1
        for m in range(first, num_members):
            member = members[m]
            if depth > 0:
                out_byte[node] = byte[member]
                for t in range(token_start[member], token_start[member + 1]):
                    out_ids[written] = token_ids[t]
                    written += 1
            below = member + 1
            while below < subtree_end[member]:
                b = byte[below]
                if depth == 0 and not has_byte(first_bytes, 0, b):
                    below = subtree_end[below]
                    continue
                child[num_children] = below
                link[num_children] = by_byte[b]
                by_byte[b] = num_children
                low = min(low, b)
                high = max(high, b)
                num_children += 1
                below = subtree_end[below]
        num_members = first
        for b in range(high, low - 1, -1):
            entry = by_byte[b]
            if entry < 0:
                continue
            by_byte[b] = -1
            group_start[num_groups] = num_members
            group_depth[num_groups] = depth + 1
            num_groups += 1
            while entry >= 0:
                members[num_members] = child[entry]
                num_members += 1
                entry = link[entry]
    while num_open > 0:
        num_open -= 1
        out_end[open_nodes[num_open]] = num_nodes
    out_start[num_nodes] = written
    return (
        out_byte[:num_nodes].copy(),
        out_depth[:num_nodes].copy(),
        out_end[:num_nodes].copy(),
        out_start[: num_nodes + 1].copy(),
        out_ids[:written].copy(),
    )
