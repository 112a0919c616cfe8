"""The languages of terminals as flat arrays, and back.

Arrays, for L languages of which D are automata:

    language_keys   uint8[L, 16]        word_start    int64[L + 1], into the words
    language_kinds  uint8[L]            word_ends     int64[W], into the text
    dfa_shapes      int32[D, 2]         text          uint8[...]
    transitions     int32[...]          byte_classes  uint8[D, 256]
    accepting       bool[...]

Languages that are neither lists of words nor "other strings" are stored as their automata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar.array_file import StoreFileError
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.flat_arrays import check_members, is_partition, joined, split
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.terminals import Language, OtherStrings, WordList

AUTOMATON, WORDS, OTHER_STRINGS = range(3)

# Keys of automata that this process has minimised again and found unchanged: 3/4 of the time of reading
# a grammar, and most of its terminals are those of others.
MAX_KNOWN = 1 << 16
_known_canonical: set[bytes] = set()

DTYPES = {
    "language_keys": ("uint8", 2),
    "language_kinds": ("uint8", 1),
    "dfa_shapes": ("int32", 2),
    "transitions": ("int32", 1),
    "byte_classes": ("uint8", 2),
    "accepting": ("bool", 1),
    "word_start": ("int64", 1),
    "word_ends": ("int64", 1),
    "text": ("uint8", 1),
}


def arrays_of_languages(languages: Iterable[Language]) -> dict[str, AnyArray]:
    """The arrays that `languages_of_arrays` reads."""
    keys, kinds = [], []
    automata: list[Dfa] = []
    words: list[bytes] = []
    word_start = [0]
    for language in languages:
        match language:
            case WordList(words=found):
                kinds.append(WORDS)
                words += found
            case OtherStrings(names=names):
                kinds.append(OTHER_STRINGS)
                words += (name.encode("utf-8", "surrogatepass") for name in names)
            case _:
                kinds.append(AUTOMATON)
                automata.append(language.dfa)
        keys.append(language.dfa.key if kinds[-1] == AUTOMATON else language.key)
        word_start.append(len(words))
    text, word_ends = joined(words)
    return {
        "language_keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16),
        "language_kinds": np.array(kinds, np.uint8),
        "dfa_shapes": np.array([d.transitions.shape for d in automata], np.int32).reshape(-1, 2),
        "transitions": _concatenated([d.transitions for d in automata], np.int32),
        "byte_classes": _concatenated([d.byte_classes for d in automata], np.uint8).reshape(
            -1, 256
        ),
        "accepting": _concatenated([d.accepting for d in automata], np.bool_),
        "word_start": np.array(word_start, np.int64),
        "word_ends": word_ends,
        "text": text,
    }


def languages_of_arrays(arrays: Mapping[str, AnyArray]) -> list[Language]:
    """The languages that the arrays describe; automata are views into them.

    Raises:
        StoreFileError: numbers out of range, an automaton that is not in canonical form, or a key
            that is not the language's.
    """
    check_members(arrays, DTYPES)
    kinds = arrays["language_kinds"]
    words = split(arrays["text"], arrays["word_ends"])
    word_start = arrays["word_start"]
    is_sound = (
        arrays["language_keys"].shape == (kinds.size, 16)
        and word_start.size == kinds.size + 1
        and is_partition(word_start, len(words))
    )
    if not is_sound:
        raise StoreFileError("a grammar's terminals do not fit each other")
    automata = iter(_automata(arrays))
    languages: list[Language] = []
    for i, kind in enumerate(kinds.tolist()):
        own_words = words[word_start[i] : word_start[i + 1]]
        language = _language(kind, own_words, automata)
        if language.key != arrays["language_keys"][i].tobytes():
            raise StoreFileError("a grammar's terminal does not have the key it is stored under")
        languages.append(language)
    if next(automata, None) is not None:
        raise StoreFileError("a grammar has automata that are no terminal's")
    return languages


def _language(kind: int, words: Sequence[bytes], automata: Iterable[Dfa]) -> Language:
    if kind == AUTOMATON:
        found = next(iter(automata), None)
        if found is None or words:
            raise StoreFileError("a grammar's terminal has no automaton, or words as well")
        return found
    if kind == WORDS:
        if b"" in words:
            raise StoreFileError("a grammar's terminal has the empty word")
        return WordList(words)
    if kind == OTHER_STRINGS:
        try:
            return OtherStrings(word.decode("utf-8", "surrogatepass") for word in words)
        except UnicodeDecodeError:
            raise StoreFileError("a name in a grammar's terminal is not UTF-8") from None
    raise StoreFileError(f"a grammar's terminal is of unknown kind {kind}")


def _automata(arrays: Mapping[str, AnyArray]) -> list[Dfa]:
    shapes = arrays["dfa_shapes"]
    transitions, accepting = arrays["transitions"], arrays["accepting"]
    byte_classes = arrays["byte_classes"]
    if shapes.shape[1] != 2 or byte_classes.shape != (len(shapes), 256) or (shapes < 1).any():
        raise StoreFileError("a grammar's automata do not fit each other")
    states, classes = shapes[:, 0].tolist(), shapes[:, 1].tolist()
    num_cells = sum(s * c for s, c in zip(states, classes, strict=True))
    if num_cells != transitions.size or sum(states) != accepting.size:
        raise StoreFileError("a grammar's automata are not of the size they should be")
    found = []
    cell = state = 0
    for i, (num_states, num_classes) in enumerate(zip(states, classes, strict=True)):
        table = transitions[cell : cell + num_states * num_classes]
        if num_states < 2 or (table < 0).any() or (table >= num_states).any():
            raise StoreFileError("an automaton of a grammar moves to a state it does not have")
        if (byte_classes[i] >= num_classes).any():
            raise StoreFileError("an automaton of a grammar has a byte in a class it does not have")
        found.append(
            _canonical(
                table.reshape(num_states, num_classes),
                byte_classes[i],
                accepting[state : state + num_states],
            )
        )
        cell += num_states * num_classes
        state += num_states
    return found


def _canonical(table: AnyArray, byte_classes: AnyArray, accepting: AnyArray) -> Dfa:
    found = Dfa(table, byte_classes, accepting)
    if table[dfas.DEAD].any() or accepting[dfas.DEAD] or accepting[dfas.START]:
        raise StoreFileError(
            "an automaton of a grammar leaves the dead state or has the empty word"
        )
    if found.key in _known_canonical:
        return found
    # Copies: the kernels of this construction take arrays that may be written to.
    if dfas.from_table(table.copy(), byte_classes.copy(), dfas.START, accepting).key != found.key:
        raise StoreFileError("an automaton of a grammar is not in canonical form")
    if len(_known_canonical) >= MAX_KNOWN:
        _known_canonical.clear()
    _known_canonical.add(found.key)
    return found


def _concatenated(parts: Sequence[AnyArray], dtype: type[np.generic]) -> AnyArray:
    return np.concatenate([np.zeros(0, dtype), *(part.reshape(-1) for part in parts)])
