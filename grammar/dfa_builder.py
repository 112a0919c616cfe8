"""Syntax trees -> minimal byte automata.

A tree over code points is determinised and minimised over classes of code points, where a character
is one symbol, and then each symbol is replaced by its spellings. Everything costly happens before
that step: ``.{0,255}`` is 256 states before it is spelled, trees are intersected there, and spelling
leaves nothing to minimise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import dfa as dfas
from syntagma.grammar import nfa, product_kernels, word_kernels
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import MAX_CODE_POINT, SURROGATES
from syntagma.grammar.dfa import START, Dfa
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.minimise_kernels import canonical
from syntagma.grammar.substitution_kernels import spell

QUOTE = ord('"')
NO_QUOTE = -1
_SURROGATE = re.compile("[\ud800-\udfff]")


def dfa_from_code_points(tree: ast.Node, encoder: Encoder, budget: Budget) -> Dfa:
    """The automaton of a tree over code points, each spelled by the encoder.

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``.
    """
    return dfa_from_all([tree], encoder, budget)


def dfa_from_all(
    trees: Iterable[ast.Node],
    encoder: Encoder,
    budget: Budget,
    *,
    excluded: Iterable[ast.Node] = (),
    is_quoted: bool = False,
) -> Dfa:
    """The words that each of some trees over code points matches, spelled by the encoder.

    Args:
        trees: one at least.
        excluded: what none of the words may match.
        is_quoted: whether quotation marks stand around the words (`Encoder.JSON` only).

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``.
    """
    alphabet = nfa.Alphabet()
    flat = [nfa.flatten(tree, alphabet, budget) for tree in trees]
    num_asked = len(flat)
    flat += [nfa.flatten(tree, alphabet, budget) for tree in excluded]
    classes = alphabet.classes(budget)
    outer, class_of, labels = _canonical(flat[0], classes, budget)
    for number, tree in enumerate(flat[1:], 1):
        right, right_of, right_labels = _canonical(tree, classes, budget)
        class_of, left_class, right_class = product_kernels.joint_classes(class_of, right_of)
        num_states, outer, labels = product_kernels.product(
            outer,
            right,
            labels,
            right_labels,
            left_class,
            right_class,
            number >= num_asked,
            budget.max_rows(left_class.size),
        )
        if num_states == kernels.LIMIT_REACHED:
            raise dfas.product_too_large(budget)
        outer, class_of, labels = canonical(outer, class_of, START, labels)
        budget.check_time()
    return _spelled(outer, labels, classes.bounds, class_of, encoder, is_quoted, budget)


def strings_other_than(
    texts: Iterable[str], encoder: Encoder, budget: Budget, *, is_quoted: bool = False
) -> Dfa:
    """All texts but the given ones, spelled by the encoder.

    Raises:
        GrammarLimitError: more than ``max_dfa_states``.
    """
    ordered = sorted(set(texts))
    if any(map(_SURROGATE.search, ordered)):
        # No bytes spell these.
        ordered = [text for text in ordered if not _SURROGATE.search(text)]
    text = np.frombuffer("".join(ordered).encode("utf-32-le"), np.int32)
    ends = np.cumsum([len(text) for text in ordered], dtype=np.int64)
    # Each character of a text is a class; the others are the class before them, surrogates the last.
    used, symbols = np.unique(text, return_inverse=True)
    other, surrogate = used.size, used.size + 1
    ((first_surrogate, last_surrogate),) = SURROGATES
    marks = {0: other, last_surrogate + 1: other}
    marks |= {point + 1: other for point in used.tolist()}
    marks |= dict(zip(used.tolist(), range(used.size), strict=True))
    marks |= {first_surrogate: surrogate, MAX_CODE_POINT + 1: surrogate}
    bounds = np.array(sorted(marks), np.int32)
    class_of = np.array([marks[point] for point in sorted(marks)], np.int32)

    budget.check("max_dfa_states", text.size // 32, "characters of excluded texts / 32")
    trie, labels = word_kernels.trie_of_sorted(
        symbols.reshape(-1).astype(np.int32), ends, used.size + 2, text.size + 2
    )
    budget.check_table(trie.size, "states of excluded texts")
    # What leaves the trie goes on as it likes.
    free = len(trie)
    table = np.where(trie == 0, free, trie).astype(np.int32)
    table = np.concatenate([table, np.full((1, surrogate + 1), free, np.int32)])
    table[:, surrogate] = 0
    table[0] = 0
    labels = np.append(1 - labels, 1).astype(np.int32)
    labels[0] = 0
    outer, class_of, labels = canonical(table, class_of, START, labels)
    return _spelled(outer, labels, bounds, class_of, encoder, is_quoted, budget)


def dfa_from_classes(
    table: Int32Array, labels: Int32Array, classes: nfa.SymbolClasses, budget: Budget
) -> Dfa:
    """The automaton of a table over classes of code points, in UTF-8.

    Args:
        table: state 0 is dead, state 1 the start.
        labels: not 0 where a word ends.
        classes: what the columns are.

    Raises:
        GrammarLimitError: more than ``max_dfa_states``.
    """
    outer, class_of, labels = canonical(table, classes.of_interval, START, labels)
    return _spelled(outer, labels, classes.bounds, class_of, Encoder.UTF8, False, budget)


def dfa_from_bytes(tree: ast.Node, budget: Budget) -> Dfa:
    """The automaton of a tree over bytes, which may contain finished automata.

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``.
    """
    alphabet = nfa.Alphabet()
    flat = nfa.flatten(tree, alphabet, budget)
    classes = alphabet.classes(budget)
    table, labels = nfa.determinise(flat, classes, budget)
    byte_classes = np.repeat(
        classes.of_interval, np.diff(classes.bounds, append=np.int32(256)).clip(0)
    )[:256]
    return dfas.from_table(table, byte_classes, START, labels)


def _canonical(
    tree: nfa.FlatTree, classes: nfa.SymbolClasses, budget: Budget
) -> tuple[Int32Array, Int32Array, Int32Array]:
    table, labels = nfa.determinise(tree, classes, budget)
    result = canonical(table, classes.of_interval, START, labels)
    budget.check_time()
    return result


def _spelled(
    outer: Int32Array,
    labels: Int32Array,
    bounds: Int32Array,
    class_of: Int32Array,
    encoder: Encoder,
    is_quoted: bool,
    budget: Budget,
) -> Dfa:
    if not labels.any():
        return dfas.from_words([])
    max_states = budget.limits.max_dfa_states
    num_states, table, byte_classes, accepting = spell(
        outer,
        labels,
        bounds,
        class_of,
        encoder is Encoder.JSON,
        QUOTE if is_quoted else NO_QUOTE,
        max_states,
        nfa.STEPS_PER_STATE * max_states,
    )
    if num_states == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            f"a pattern needs more than max_dfa_states = {max_states} states over bytes",
            limit="max_dfa_states",
        )
    budget.check_time()
    return Dfa(table, byte_classes, accepting)
