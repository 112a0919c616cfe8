"""The token trie of a vocabulary, kept between processes."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.array_file import ArrayFile, StoreFileError
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.flat_arrays import are_below, check_members, is_partition
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary

KIND = "token-trie"
MEMBERS = {
    "byte": ("uint8", 1),
    "depth": ("int32", 1),
    "subtree_end": ("int32", 1),
    "token_start": ("int32", 1),
    "token_ids": ("int32", 1),
}


def load_or_build_trie(vocabulary: Vocabulary, cache: CacheDirectory | None) -> TokenTrie:
    """The trie from its file if there is a sound one, else from the tokens, for the next time."""
    if cache is None:
        return TokenTrie.from_vocabulary(vocabulary)
    # Writable, for the kernels take ordinary arrays; the file itself stays as it is.
    file = cache.read(KIND, vocabulary.hash, writable=True)
    if file is not None:
        try:
            return read_trie(file, vocabulary)
        except StoreFileError as error:
            cache.warn(error)
    trie = TokenTrie.from_vocabulary(vocabulary)
    cache.write(KIND, vocabulary.hash, dict(zip(MEMBERS, trie.arrays, strict=True)))
    return trie


def read_trie(file: ArrayFile, vocabulary: Vocabulary) -> TokenTrie:
    """The trie that a file holds, safe for kernels to walk.

    Raises:
        StoreFileError: the arrays are no trie in preorder of that vocabulary's token ids.
    """
    check_members(file.arrays, MEMBERS)
    trie = TokenTrie(**{name: file.arrays[name] for name in MEMBERS})
    if not _is_preorder(trie.depth, trie.subtree_end, trie.num_nodes):
        raise StoreFileError("the nodes of a token trie are not in preorder")
    if not _holds_tokens(trie, vocabulary.spelling_lengths):
        raise StoreFileError("a token trie does not hold the vocabulary's tokens")
    return trie


def _is_preorder(depth: Int32Array, subtree_end: Int32Array, num_nodes: int) -> bool:
    if num_nodes == 0 or depth.size != num_nodes or subtree_end.size != num_nodes:
        return False
    deeper = depth[1:]
    if depth[0] != 0 or (deeper < 1).any() or (deeper > depth[:-1].astype(np.int64) + 1).any():
        return False
    if (subtree_end <= np.arange(num_nodes)).any() or (subtree_end > num_nodes).any():
        return False
    # Behind a subtree comes a node that is not deeper, or nothing: so no end is too early. Were one
    # too late, there would be more pairs of a node and one above it than the depths add up to.
    behind = np.append(depth, 0)[subtree_end]
    num_pairs = int((subtree_end - np.arange(num_nodes) - 1).sum())
    return bool((behind <= depth).all()) and num_pairs == int(depth.sum(dtype=np.int64))


def _holds_tokens(trie: TokenTrie, lengths: Int32Array) -> bool:
    """Whether every token with text ends at one node, as deep as it is long."""
    start, ids = trie.token_start, trie.token_ids
    num_tokens = int(np.count_nonzero(lengths))
    if start.size != trie.num_nodes + 1 or ids.size != num_tokens:
        return False
    if not is_partition(start, num_tokens):
        return False
    if not are_below(ids, lengths.size):
        return False
    is_listed = np.zeros(lengths.size, np.bool_)
    is_listed[ids] = True
    ends_at = np.repeat(trie.depth, start[1:] - start[:-1])
    return bool((is_listed == (lengths > 0)).all() and (lengths[ids] == ends_at).all())
