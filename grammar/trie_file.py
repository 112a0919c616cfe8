"""The token trie of a vocabulary, kept between processes."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.array_file import ArrayFile, StoreFileError
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary

KIND = "token-trie"
MEMBERS = ("byte", "depth", "subtree_end", "token_start", "token_ids")


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
    arrays = [file.arrays.get(name) for name in MEMBERS]
    expected = (np.uint8, np.int32, np.int32, np.int32, np.int32)
    if any(
        array is None or array.ndim != 1 or array.dtype != dtype
        for array, dtype in zip(arrays, expected, strict=True)
    ):
        raise StoreFileError("a token trie lacks arrays or has some of the wrong type")
    trie = TokenTrie(*(array for array in arrays if array is not None))
    if not _is_preorder(trie.depth, trie.subtree_end, trie.num_nodes):
        raise StoreFileError("the nodes of a token trie are not in preorder")
    if not _holds_tokens(trie, vocabulary.token_lengths):
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
    counts = start[1:].astype(np.int64) - start[:-1]
    if start[0] != 0 or start[-1] != num_tokens or (counts < 0).any():
        return False
    if (ids < 0).any() or (ids >= lengths.size).any():
        return False
    is_listed = np.zeros(lengths.size, np.bool_)
    is_listed[ids] = True
    ends_at = np.repeat(trie.depth, counts)
    return bool((is_listed == (lengths > 0)).all() and (lengths[ids] == ends_at).all())
