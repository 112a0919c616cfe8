"""Syntax trees -> minimal byte automata.

A tree over code points is determinised over classes of code points first, where a character is one
symbol, and then each symbol is replaced by its spellings (`encoders`). That keeps bounded
repetition cheap: ``.{0,255}`` is 256 states before it is spelled.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import code_points as cp
from syntagma.grammar import dfa as dfas
from syntagma.grammar import product_kernels
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.kernel_types import BoolArray, Int32Array, UInt8Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.nfa import Nfa, nfa_from_tree


def dfa_from_code_points(tree: ast.Node, encoder: Encoder, budget: Budget) -> Dfa:
    """The automaton of a tree over code points, each spelled by the encoder.

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``.
    """
    nfa = nfa_from_tree(tree, budget)
    partition = partition_of([p for p in nfa.sets if isinstance(p, tuple)], budget)
    table, accepting = _determinise(nfa, partition, budget)
    # Merging states before they are spelled saves a constant factor of all that follows.
    table, labels = dfas.minimal(table, dfas.START, accepting.astype(np.int32))
    spelled, leaf_class, byte_classes = encoder.automaton(tuple(partition))
    budget.check_table(table.shape[0] * spelled.size, "states of one pattern")
    expanded = product_kernels.expand(table, spelled, leaf_class, spelled.shape[1])
    expanded_labels = np.zeros((table.shape[0], spelled.shape[0]), np.int32)
    expanded_labels[:, dfas.START] = labels
    start = spelled.shape[0] + dfas.START
    result = dfas.from_table(expanded, byte_classes, start, expanded_labels.reshape(-1))
    budget.check("max_dfa_states", result.num_states, "states of one pattern")
    return result


def dfa_from_bytes(tree: ast.Node, budget: Budget) -> Dfa:
    """The automaton of a tree over bytes, which may contain finished automata.

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``.
    """
    nfa = nfa_from_tree(tree, budget)
    byte_classes, num_classes = byte_partition(nfa)
    table, accepting = determinise_bytes(nfa, byte_classes, num_classes, budget)
    return dfas.from_table(table, byte_classes, dfas.START, accepting)


def byte_partition(nfa: Nfa) -> tuple[UInt8Array, int]:
    """uint8[256] of byte classes that every edge of the NFA respects, and their number."""
    signature = np.zeros(256, np.int64)
    for points in nfa.sets:
        if isinstance(points, tuple):
            column = np.zeros(256, np.int64)
            for low, high in points:
                column[low : high + 1] = 1
        else:
            column = points.astype(np.int64)
        signature = np.unique(signature * 256 + column, return_inverse=True)[1].reshape(-1)
    return signature.astype(np.uint8), int(signature.max()) + 1


def determinise_bytes(
    nfa: Nfa, byte_classes: UInt8Array, num_classes: int, budget: Budget
) -> tuple[Int32Array, BoolArray]:
    """The subset automaton over byte classes and its accepting states."""
    representatives = np.unique(byte_classes, return_index=True)[1]
    classes: list[list[int]] = []
    column_classes: dict[int, list[list[int]]] = {}
    for index, points in enumerate(nfa.sets):
        if isinstance(points, tuple):
            classes.append(
                [c for c, b in enumerate(representatives) if cp.contains(points, int(b))]
            )
        else:
            column = points[representatives]
            column_classes[index] = [
                np.flatnonzero(column == k).tolist() for k in range(int(points.max()) + 1)
            ]
            classes.append([])
    return _subsets(nfa, classes, column_classes, num_classes, budget)


def _determinise(
    nfa: Nfa, partition: list[cp.CodePointSet], budget: Budget
) -> tuple[Int32Array, BoolArray]:
    # A block lies within a set if its first code point does.
    ordered = sorted((block[0][0], c) for c, block in enumerate(partition))
    firsts = [first for first, _ in ordered]
    classes = [
        [
            ordered[i][1]
            for low, high in points
            for i in range(bisect_left(firsts, low), bisect_right(firsts, high))
        ]
        for points in nfa.sets
        if isinstance(points, tuple)
    ]
    return _subsets(nfa, classes, {}, len(partition), budget)


def _subsets(
    nfa: Nfa,
    classes: list[list[int]],
    column_classes: dict[int, list[list[int]]],
    num_classes: int,
    budget: Budget,
) -> tuple[Int32Array, BoolArray]:
    edge_source: list[int] = []
    edge_class: list[int] = []
    edge_target: list[int] = []
    for source, set_id, column, target in nfa.edges:
        found = classes[set_id] if column < 0 else column_classes[set_id][column]
        budget.check_moves(len(edge_source) + len(found), "different characters times states")
        edge_source += [source] * len(found)
        edge_class += found
        edge_target += [target] * len(found)
    edge_start, edge_order = kernels.csr(edge_source, nfa.num_states)
    epsilon_start, epsilon_order = kernels.csr([s for s, _ in nfa.epsilon], nfa.num_states)
    accepts = nfa.accepting_at_end()
    is_important = accepts | (np.diff(edge_start) > 0)
    max_states = budget.max_rows(num_classes)
    num_states, flat, offsets, members = kernels.determinise(
        epsilon_start,
        np.array([t for _, t in nfa.epsilon], np.int32)[epsilon_order],
        edge_start,
        np.array(edge_class, np.int32)[edge_order],
        np.array(edge_target, np.int32)[edge_order],
        is_important,
        np.array(nfa.initial(), np.int32),
        num_classes,
        max_states,
    )
    if num_states == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            f"the automaton of a pattern needs more than {max_states} states over {num_classes} "
            f"classes of characters (max_dfa_states = {budget.limits.max_dfa_states}), or states "
            "that stand for too many positions of the pattern",
            limit="max_dfa_states",
        )
    budget.check_time()
    hits = np.concatenate([[0], np.cumsum(accepts[members[: offsets[-1]]])])
    accepting = (hits[offsets[1:]] - hits[offsets[:-1]]) > 0
    accepting[0] = False
    accepting[dfas.START] |= nfa.accepts_empty_text()
    return flat.reshape(num_states, num_classes), accepting


def partition_of(sets: list[cp.CodePointSet], budget: Budget) -> list[cp.CodePointSet]:
    """The coarsest partition of all code points that each of the sets is a union of.

    Raises:
        GrammarLimitError: the sets are unions of too many blocks altogether.
    """
    events: dict[int, set[int]] = {}
    for index, points in enumerate(dict.fromkeys(sets)):
        for low, high in points:
            events.setdefault(low, set()).symmetric_difference_update({index})
            events.setdefault(high + 1, set()).symmetric_difference_update({index})
    blocks: dict[frozenset[int], list[cp.Range]] = {}
    inside: frozenset[int] = frozenset()
    start = num_members = 0
    for point in [*sorted(events), cp.MAX_CODE_POINT + 1]:
        num_members += len(inside)
        budget.check_moves(num_members, "overlaps of different character classes")
        if point > start:
            blocks.setdefault(inside, []).append((start, point - 1))
        inside = inside ^ frozenset(events.get(point, ()))
        start = point
    return [block for ranges in blocks.values() if (block := cp.from_ranges(ranges))]
