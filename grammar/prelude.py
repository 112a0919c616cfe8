"""The mask store's entries for what nearly every JSON grammar needs, kept between processes.

The file is named after the vocabulary and the terminals it is for: where a terminal's automaton is
another than before, the entries are made again. See `store_file` for its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from syntagma.grammar.array_file import StoreFileError
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.json_terminals import common_terminals
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.spelled_terminals import as_spelled
from syntagma.grammar.store_file import (
    KIND,
    FiledEntries,
    FiledEntry,
    open_entries,
    write_entries,
)
from syntagma.grammar.terminals import Language
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary


def load_or_build_prelude(
    vocabulary: Vocabulary, trie: TokenTrie, cache: CacheDirectory
) -> FiledEntries | None:
    """The entries from their file, written if there is no sound one; None: no file can be used."""
    languages = prelude_languages(vocabulary)
    key = prelude_key(vocabulary, languages)
    path = cache.path_of(KIND, key)

    def opened() -> FiledEntries:
        # Writable, for the kernels take ordinary arrays; the file itself stays as it is.
        return open_entries(
            path, key, num_words=vocabulary.num_words, num_nodes=trie.num_nodes, writable=True
        )

    try:
        return opened()
    except FileNotFoundError:
        pass
    except (OSError, StoreFileError) as error:
        cache.warn(error)
    try:
        cache.create()
        write_entries(path, key, prelude_entries(MaskStore(vocabulary, trie=trie), languages))
        return opened()
    except (OSError, StoreFileError) as error:
        cache.warn(error)
        return None


def prelude_languages(vocabulary: Vocabulary) -> list[Language]:
    """The common terminals of JSON texts, most wanted first, as far as they can be spelled."""
    languages = (as_spelled(language, vocabulary) for language in common_terminals())
    return [language for language in languages if language.shortest_length > 0]


def prelude_key(vocabulary: Vocabulary, languages: Sequence[Language]) -> str:
    """Hex digest of what the entries depend on."""
    digest = hashlib.blake2b(vocabulary.hash.encode(), digest_size=16)
    for language in languages:
        digest.update(language.key)
    return digest.hexdigest()


def prelude_entries(store: MaskStore, languages: Sequence[Language]) -> Iterator[FiledEntry]:
    """The entries of all states of some automata, worked out by a store."""
    for language in languages:
        if not isinstance(language, Dfa):
            raise TypeError("only the states of an automaton mean the same in every process")
        first, end = store.pool.states_of(store.pool.terminal_id(language))
        for state in range(first, end):
            entry = store.entry(state)
            nodes = entry.exits[0][1].nodes if entry.exits else np.zeros(0, np.int32)
            yield FiledEntry(language.key, state - first, entry.interior, nodes)
