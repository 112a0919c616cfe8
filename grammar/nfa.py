"""Syntax trees -> deterministic automata over the classes of symbols that they tell apart.

Trees that will be combined share one `Alphabet`, so that their automata read the same classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import nfa_kernels
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import CodePointSet
from syntagma.grammar.dfa import START, Dfa
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.partition_kernels import partition

# Steps of one kernel for each of `max_dfa_states`: well below a second for the default.
STEPS_PER_STATE = 512
_BRANCHING = (ast.Concat, ast.Union)


@dataclass(frozen=True)
class FlatTree:
    """A syntax tree as numbers, in the form that `nfa_kernels.thompson` reads."""

    nodes: Int32Array
    children: Int32Array
    automaton_edges: Int32Array


@dataclass(frozen=True)
class SymbolClasses:
    """What the sets of an alphabet tell apart.

    Attributes:
        count: number of classes; each set is a union of them.
        bounds: int32[M], first symbols of intervals, beginning with 0.
        of_interval: int32[M], the class of each interval.
        set_start, set_classes: CSR of the classes of each set.
    """

    count: int
    bounds: Int32Array
    of_interval: Int32Array
    set_start: Int32Array
    set_classes: Int32Array


class Alphabet:
    """The sets of symbols that some trees read."""

    def __init__(self) -> None:
        self._ids: dict[CodePointSet, int] = {}
        self._first_class_sets: dict[bytes, int] = {}
        self._sets: list[CodePointSet] = []
        self._num_ranges = [0]  # of the sets before each, and of all

    def set_id(self, points: CodePointSet) -> int:
        """The number of a set, -1 for the empty one."""
        if not points:
            return -1
        found = self._ids.setdefault(points, len(self._sets))
        if found == len(self._sets):
            self._sets.append(points)
            self._num_ranges.append(self._num_ranges[-1] + len(points))
        return found

    def class_sets(self, dfa: Dfa) -> int:
        """The number of the first of the sets that are the byte classes of an automaton."""
        first = self._first_class_sets.setdefault(dfa.byte_classes.tobytes(), len(self._sets))
        if first == len(self._sets):
            classes = dfa.byte_classes.tolist()
            ranges: list[list[tuple[int, int]]] = [[] for _ in range(max(classes) + 1)]
            low = 0
            for byte in range(1, 257):
                if byte == 256 or classes[byte] != classes[low]:
                    ranges[classes[low]].append((low, byte - 1))
                    low = byte
            for points in ranges:
                self._sets.append(tuple(points))
                self._num_ranges.append(self._num_ranges[-1] + len(points))
        return first

    def classes(self, budget: Budget) -> SymbolClasses:
        """The coarsest partition of the symbols that each of the sets is a union of.

        Raises:
            GrammarLimitError: the sets are unions of too many intervals altogether.
        """
        flat = chain.from_iterable(chain.from_iterable(self._sets))
        starts = np.array(self._num_ranges, np.int32)
        max_members = 32 * budget.limits.max_nfa_states
        count, *arrays = partition(np.array(list(flat), np.int32), starts, max_members)
        if count == kernels.LIMIT_REACHED:
            raise GrammarLimitError(
                "different character classes overlap in too many ways: more than 32 ranges for each"
                f" of max_nfa_states = {budget.limits.max_nfa_states}",
                limit="max_nfa_states",
            )
        return SymbolClasses(count, *arrays)


def flatten(tree: ast.Node, alphabet: Alphabet, budget: Budget) -> FlatTree:
    """Number the nodes of a tree, the root first, and enter their sets into an alphabet.

    Raises:
        GrammarLimitError: more than 4 nodes for each of ``max_nfa_states``.
    """
    found: list[ast.Node] = []
    operands: dict[int, list[int]] = {}
    waiting: list[tuple[ast.Node, int]] = [(tree, -1)]
    while waiting:
        node, parent = waiting.pop()
        index = len(found)
        if parent >= 0:
            operands[parent].append(index)
        found.append(node)
        if isinstance(node, _BRANCHING):
            operands[index] = []
            waiting += [(part, index) for part in reversed(node.parts)]
        elif isinstance(node, ast.Repeat):
            operands[index] = []
            waiting.append((node.part, index))
    budget.check("max_nfa_states", len(found) // 4, "parts of a pattern / 4")
    nodes: list[int] = []
    children: list[int] = []
    edges: list[tuple[int, int, int]] = []
    for index, node in enumerate(found):
        # In order of frequency.
        if isinstance(node, ast.CharSet):
            nodes += (nfa_kernels.CHAR_SET, alphabet.set_id(node.points), 0, 0)
        elif isinstance(node, _BRANCHING):
            kind = nfa_kernels.CONCAT if isinstance(node, ast.Concat) else nfa_kernels.UNION
            first = len(children)
            children += operands[index]
            nodes += (kind, first, len(children), 0)
        elif isinstance(node, ast.Repeat):
            most = -1 if node.max_count is None else node.max_count
            nodes += (nfa_kernels.REPEAT, operands[index][0], node.min_count, most)
        elif isinstance(node, ast.Automaton):
            first = len(edges)
            edges += _edges_of(node.dfa, alphabet.class_sets(node.dfa))
            nodes += (nfa_kernels.AUTOMATON, first, len(edges), node.dfa.num_states)
        else:
            is_begin = isinstance(node, ast.Begin)
            nodes += (nfa_kernels.BEGIN if is_begin else nfa_kernels.END, 0, 0, 0)
    return FlatTree(
        np.array(nodes, np.int32).reshape(-1, 4),
        np.array(children, np.int32),
        np.array(edges, np.int32).reshape(-1, 3),
    )


def _edges_of(dfa: Dfa, first_set: int) -> list[tuple[int, int, int]]:
    sources, columns = np.nonzero(dfa.transitions)
    targets = dfa.transitions[sources, columns]
    edges = list(
        zip(sources.tolist(), (columns + first_set).tolist(), targets.tolist(), strict=True)
    )
    ends = np.flatnonzero(dfa.accepting).tolist()
    return edges + [(state, nfa_kernels.EPSILON, 0) for state in ends]


def determinise(
    tree: FlatTree, classes: SymbolClasses, budget: Budget
) -> tuple[Int32Array, Int32Array]:
    """The subset automaton of a tree.

    Returns:
        (table int32[num_states, classes.count], labels int32[num_states]: 1 where a text may end).

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` or ``max_dfa_states``, or the work that
            these allow.
    """
    limits = budget.limits
    num_nfa, moves = nfa_kernels.thompson(
        tree.nodes, tree.children, tree.automaton_edges, limits.max_nfa_states
    )
    if num_nfa == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            f"the pattern unrolls to more than max_nfa_states = {limits.max_nfa_states}"
            " states; use smaller repetition counts",
            limit="max_nfa_states",
        )
    max_edges = 32 * limits.max_nfa_states
    num_edges, epsilon_start, epsilon_target, *edges = nfa_kernels.class_edges(
        moves, num_nfa, classes.set_start, classes.set_classes, max_edges
    )
    if num_edges == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            "different characters times states: more than 32 moves for each of max_nfa_states = "
            f"{limits.max_nfa_states}",
            limit="max_nfa_states",
        )
    initial, accepts, accepts_empty = nfa_kernels.ends_of_text(moves, num_nfa)
    max_states = budget.max_rows(classes.count)
    max_steps = STEPS_PER_STATE * limits.max_dfa_states
    num_states, table, labels = kernels.determinise_labelled(
        epsilon_start,
        epsilon_target,
        edges[0],
        edges[1],
        edges[2],
        accepts,
        initial,
        classes.count,
        max_states,
        max_steps,
    )
    if num_states == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            f"the automaton of a pattern needs more than {max_states} states over {classes.count} "
            f"classes of characters (max_dfa_states = {limits.max_dfa_states}), or states "
            "that stand for too many positions of the pattern",
            limit="max_dfa_states",
        )
    budget.check_time()
    if accepts_empty:
        labels[START] = 1
    return table, labels
