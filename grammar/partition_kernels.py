"""Numba kernel that divides an alphabet into the classes that some sets do not tell apart."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED
from syntagma.grammar.kernel_types import Int32Array, kernel


@kernel
def partition(
    ranges: Int32Array, set_start: Int32Array, max_members: int
) -> tuple[int, Int32Array, Int32Array, Int32Array, Int32Array]:
    """The coarsest partition of the symbols that each set is a union of.

    The symbols are cut at every end of a range; each set then splits the classes that it meets in
    part (partition refinement), so the work is the number of (set, interval) pairs.

    Args:
        ranges: int32[2 R], first and last symbol of each range, sorted within a set.
        set_start: int32[S + 1], the ranges of each set.
        max_members: (set, interval) pairs at most.

    Returns:
        (number of classes or LIMIT_REACHED, first symbols int32[M] of the intervals, beginning with
        0, their classes int32[M] in order of appearance, CSR of the classes of each set).
    """
    num_sets = set_start.size - 1
    cuts = np.empty(ranges.size + 1, np.int32)
    cuts[0] = 0
    for r in range(0, ranges.size, 2):
        cuts[r + 1] = ranges[r]
        cuts[r + 2] = ranges[r + 1] + 1
    cuts.sort()
    num_intervals = 1
    for i in range(1, cuts.size):
        if cuts[i] != cuts[num_intervals - 1]:
            cuts[num_intervals] = cuts[i]
            num_intervals += 1
    bounds = cuts[:num_intervals].copy()

    # A block that a set meets in part hands what was met on to a new block.
    block = np.zeros(num_intervals, np.int32)
    size = np.zeros(num_intervals, np.int32)
    num_met = np.zeros(num_intervals, np.int32)
    heir = np.zeros(num_intervals, np.int32)
    met = np.empty(num_intervals, np.int32)
    seen = np.full(num_intervals, -1, np.int32)
    touched = np.empty(num_intervals, np.int32)
    size[0] = num_intervals
    num_blocks = 1
    num_members = 0
    for index in range(num_sets):
        count = 0
        num_touched = 0
        for r in range(set_start[index], set_start[index + 1]):
            i = np.searchsorted(bounds, ranges[2 * r])
            while i < num_intervals and bounds[i] <= ranges[2 * r + 1]:
                if seen[i] != index:
                    seen[i] = index
                    met[count] = i
                    count += 1
                    if num_met[block[i]] == 0:
                        touched[num_touched] = block[i]
                        num_touched += 1
                    num_met[block[i]] += 1
                i += 1
        num_members += count
        if num_members > max_members:
            return LIMIT_REACHED, bounds, block, bounds, bounds
        for k in range(count):
            old = block[met[k]]
            if num_met[old] < size[old]:
                if heir[old] == 0:
                    heir[old] = num_blocks
                    num_blocks += 1
                block[met[k]] = heir[old]
        for k in range(num_touched):
            old = touched[k]
            if heir[old] != 0:
                size[heir[old]] = num_met[old]
                size[old] -= num_met[old]
            heir[old] = 0
            num_met[old] = 0

    number = np.full(num_blocks, -1, np.int32)
    num_classes = 0
    for i in range(num_intervals):
        if number[block[i]] < 0:
            number[block[i]] = num_classes
            num_classes += 1
        block[i] = number[block[i]]
    class_start = np.zeros(num_sets + 1, np.int32)
    set_classes = np.empty(num_members, np.int32)
    stamp = np.full(num_classes, -1, np.int32)
    filled = 0
    for index in range(num_sets):
        for r in range(set_start[index], set_start[index + 1]):
            i = np.searchsorted(bounds, ranges[2 * r])
            while i < num_intervals and bounds[i] <= ranges[2 * r + 1]:
                if stamp[block[i]] != index:
                    stamp[block[i]] = index
                    set_classes[filled] = block[i]
                    filled += 1
                i += 1
        class_start[index + 1] = filled
    return num_classes, bounds, block, class_start, set_classes[:filled]
