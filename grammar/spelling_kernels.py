"""Numba kernel that folds a map of code points into an automaton over the bytes that spell them.

The map from code points to symbol classes is a list of runs. `_fold` puts blocks of runs together
into nodes, from the last digit of a code point up: 64 code points become a node that reads one
continuation byte, 64 of those nodes become a node one level higher; for escapes the digits are
hexadecimal. Equal nodes are one node, and what is constant stays a single run, so the work depends on
the ranges that are told apart and not on the size of Unicode.

Runs are (bounds int32[M + 1], targets int32[M]). A target is 0 (dead), a node (positive), or
``-1 - class`` for a symbol spelled to its end. Nodes are int32[.., 65]: what they read, then the
target of each digit.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel

# All code points, rounded up so that each fold divides it.
NUM_POINTS = 0x140000

# What a node reads.
CONTINUATION = 0  # 64 digits: the bytes 0x80 .. 0xBF
HEXADECIMAL = 1  # 16 digits, in either case
LETTER_U = 2  # one digit
BACKSLASH = 3  # one digit

NO_CLASS = -1
# Escapes of one letter: the letter, then what it stands for, in the order of the letters.
SHORT_ESCAPES = np.array(
    [0x22, 0x22, 0x2F, 0x2F, 0x5C, 0x5C, 0x62, 8, 0x66, 12, 0x6E, 10, 0x72, 13, 0x74, 9], np.int32
)


@kernel
def _num_digits(kind: int) -> int:
    if kind == CONTINUATION:
        return 64
    return 16 if kind == HEXADECIMAL else 1


@kernel
def _slot(nodes: Int32Array, buckets: Int32Array, node: int) -> int:
    """Where a node, or another one that equals it, stands in a hash table, or would stand."""
    length = _num_digits(nodes[node, 0]) + 1
    value = np.uint64(1469598103934665603)
    for i in range(length):
        value = (value ^ np.uint64(nodes[node, i])) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    slot: int = np.int64(value & np.uint64(buckets.size - 1))  # type: ignore[assignment]
    while buckets[slot] > 0:
        other = buckets[slot]
        same = True
        for i in range(length):
            if nodes[other, i] != nodes[node, i]:
                same = False
                break
        if same:
            break
        slot = (slot + 1) & (buckets.size - 1)
    return slot


@kernel
def _fold(
    bounds: Int32Array,
    targets: Int32Array,
    radix: int,
    kind: int,
    first_digit: int,
    nodes: Int32Array,
    buckets: Int32Array,
    num_nodes: int,
) -> tuple[Int32Array, Int32Array, Int32Array, Int32Array, int]:
    """Turn blocks of ``radix`` units into nodes that read their last digit.

    Args:
        bounds, targets: runs over units; the last bound is a multiple of the radix.
        kind, first_digit: what the nodes read, and the digit of a block's first unit.
        nodes, buckets, num_nodes: the nodes so far and their hash table.

    Returns:
        (bounds, targets, nodes, buckets, num_nodes): runs over blocks.
    """
    num_runs = targets.size
    new_bounds = np.zeros(2 * num_runs + 2, np.int32)
    new_targets = np.zeros(2 * num_runs + 1, np.int32)
    size = 0
    i = 0
    unit = 0
    while unit < bounds[num_runs]:
        while bounds[i + 1] <= unit:
            i += 1
        if num_nodes + 1 >= nodes.shape[0]:
            more = np.zeros((2 * nodes.shape[0], 65), np.int32)
            more[:num_nodes] = nodes[:num_nodes]
            nodes = more
            buckets = np.zeros(4 * nodes.shape[0], np.int32)
            for node in range(1, num_nodes):
                buckets[_slot(nodes, buckets, node)] = node
        is_alive = False
        block = unit // radix
        for digit in range(1, _num_digits(kind) + 1):
            nodes[num_nodes, digit] = 0
        nodes[num_nodes, 0] = kind
        if bounds[i + 1] >= unit + radix:
            unit = bounds[i + 1] // radix * radix
            if targets[i] != 0:
                is_alive = True
                for digit in range(first_digit, first_digit + radix):
                    nodes[num_nodes, 1 + digit] = targets[i]
        else:
            for digit in range(first_digit, first_digit + radix):
                while bounds[i + 1] <= unit:
                    i += 1
                nodes[num_nodes, 1 + digit] = targets[i]
                is_alive |= targets[i] != 0
                unit += 1
        found = 0
        if is_alive:
            slot = _slot(nodes, buckets, num_nodes)
            if buckets[slot] == 0:
                buckets[slot] = num_nodes
                num_nodes += 1
            found = buckets[slot]
        if size == 0 or new_targets[size - 1] != found:
            new_bounds[size] = block
            new_targets[size] = found
            size += 1
    new_bounds[size] = bounds[num_runs] // radix
    return new_bounds[: size + 1], new_targets[:size], nodes, buckets, num_nodes


@kernel
def _clip(
    bounds: Int32Array, targets: Int32Array, low: int, high: int, offset: int, end: int
) -> tuple[Int32Array, Int32Array]:
    """The runs within ``low .. high - 1``, moved down by ``offset``; up to ``end`` the rest is dead."""
    new_bounds = np.zeros(targets.size + 3, np.int32)
    new_targets = np.zeros(targets.size + 2, np.int32)
    size = 1 if low > offset else 0
    for i in range(targets.size):
        if bounds[i] < high and bounds[i + 1] > low:
            new_bounds[size] = max(bounds[i], low) - offset
            new_targets[size] = targets[i]
            size += 1
    if high - offset < end:
        new_bounds[size] = high - offset
        size += 1
    new_bounds[size] = end
    return new_bounds[: size + 1], new_targets[:size]


@kernel
def _target_at(bounds: Int32Array, targets: Int32Array, unit: int) -> int:
    found: int = targets[np.searchsorted(bounds, unit, side="right") - 1]
    return found


@kernel
def spelling_nodes(
    bounds: Int32Array, class_of: Int32Array, dead_class: int, is_json: bool, max_nodes: int
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """The automaton of all spellings of code points, each named by its class.

    Args:
        bounds: int32[M], first code points of runs, beginning with 0; class_of: int32[M].
        dead_class: a class that need not be spelled, or NO_CLASS. Surrogates must be in it.
        is_json: whether code points are spelled as in a JSON string, not as plain UTF-8.
        max_nodes: nodes at most.

    Returns:
        (number of nodes or LIMIT_REACHED, nodes, escape int32[256], root int32[256]): the targets
        after a backslash and at the root, by byte.
    """
    root = np.zeros(256, np.int32)
    escape = np.zeros(256, np.int32)
    all_bounds = np.empty(bounds.size + 2, np.int32)
    all_targets = np.zeros(bounds.size + 1, np.int32)
    size = 0
    for i in range(bounds.size):
        if bounds[i] > 0x10FFFF:
            break
        all_bounds[size] = bounds[i]
        all_targets[size] = 0 if class_of[i] == dead_class else -1 - class_of[i]
        if size == 0 or all_targets[size] != all_targets[size - 1]:
            size += 1
    if size > max_nodes:
        return LIMIT_REACHED, root.reshape(1, 256), escape, root
    all_bounds[size] = 0x110000
    all_bounds[size + 1] = NUM_POINTS
    all_targets[size] = 0
    runs, targets = all_bounds[: size + 2], all_targets[: size + 1]

    nodes = np.zeros((32, 65), np.int32)
    buckets = np.zeros(128, np.int32)
    count = 1
    # UTF-8 (RFC 3629, section 3): longer forms only for what has no shorter one.
    one, one_to = _clip(runs, targets, 0x80, NUM_POINTS, 0, NUM_POINTS)
    one, one_to, nodes, buckets, count = _fold(
        one, one_to, 64, CONTINUATION, 0, nodes, buckets, count
    )
    two, two_to = _clip(one, one_to, 0x20, one[-1], 0, one[-1])
    two, two_to, nodes, buckets, count = _fold(
        two, two_to, 64, CONTINUATION, 0, nodes, buckets, count
    )
    three, three_to = _clip(two, two_to, 0x10, two[-1], 0, two[-1])
    three, three_to, nodes, buckets, count = _fold(
        three, three_to, 64, CONTINUATION, 0, nodes, buckets, count
    )
    for byte in range(0x80):
        root[byte] = _target_at(runs, targets, byte)
    for lead in range(0x02, 0x20):
        root[0xC0 + lead] = _target_at(one, one_to, lead)
    for lead in range(0x10):
        root[0xE0 + lead] = _target_at(two, two_to, lead)
    for lead in range(0x05):
        root[0xF0 + lead] = _target_at(three, three_to, lead)
    if count > max_nodes:
        return LIMIT_REACHED, nodes, escape, root
    if not is_json:
        return count, nodes, escape, root

    # Strings (RFC 8259, section 7): some characters only with a backslash, all of them with \u.
    for i in range(0, SHORT_ESCAPES.size, 2):
        escape[SHORT_ESCAPES[i]] = _target_at(runs, targets, SHORT_ESCAPES[i + 1])
    root[:0x20] = 0
    root[0x22] = 0
    root[0x5C] = 0
    # Beyond U+FFFF: the low surrogate \u[dD][c-fC-F].. behind the last two digits of the high one.
    pair, pair_to = _clip(runs, targets, 0x10000, 0x110000, 0x10000, 0x100000)
    for level in range(8):
        radix = (16, 16, 4, 1, 1, 1, 16, 16)[level]
        kind = HEXADECIMAL
        first_digit = 0
        if level == 2:
            first_digit = 0xC
        elif level == 3:
            first_digit = 0xD
        elif level == 4:
            kind = LETTER_U
        elif level == 5:
            kind = BACKSLASH
        pair, pair_to, nodes, buckets, count = _fold(
            pair, pair_to, radix, kind, first_digit, nodes, buckets, count
        )
    unit, unit_to = _clip(runs, targets, 0, 0x10000, 0, 0x10000)
    for _ in range(2):
        unit, unit_to, nodes, buckets, count = _fold(
            unit, unit_to, 16, HEXADECIMAL, 0, nodes, buckets, count
        )
    # After the first two digits D8 .. DB the pairs go on where single code points are dead.
    head = np.arange(0x101).astype(np.int32)
    head_to = np.empty(0x100, np.int32)
    for byte in range(0x100):
        if 0xD8 <= byte < 0xDC:
            head_to[byte] = _target_at(pair, pair_to, byte - 0xD8)
        else:
            head_to[byte] = _target_at(unit, unit_to, byte)
    for _ in range(2):
        head, head_to, nodes, buckets, count = _fold(
            head, head_to, 16, HEXADECIMAL, 0, nodes, buckets, count
        )
    escape[0x75] = head_to[0]
    if count > max_nodes:
        return LIMIT_REACHED, nodes, escape, root
    return count, nodes, escape, root


@kernel
def _byte_edges(
    count: int, nodes: Int32Array, escape: Int32Array, root: Int32Array
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """CSR of (byte, target), by byte; the escape node is ``count``, the root ``count + 1``."""
    start = np.zeros(count + 3, np.int32)
    byte_of = np.empty(64 * count + 512, np.int32)
    target_of = np.empty(64 * count + 512, np.int32)
    size = 0
    has_escape = escape.any()
    for node in range(1, count + 2):
        start[node] = size
        if node >= count:
            row = escape if node == count else root
            for byte in range(256):
                target = row[byte]
                if node > count and byte == 0x5C and has_escape:
                    target = count
                if target != 0:
                    byte_of[size] = byte
                    target_of[size] = target
                    size += 1
            continue
        kind = nodes[node, 0]
        for i in range(22 if kind == HEXADECIMAL else _num_digits(kind)):
            digit = i if i < 16 or kind != HEXADECIMAL else i - 6
            if nodes[node, 1 + digit] == 0:
                continue
            if kind == CONTINUATION:
                byte_of[size] = 0x80 + digit
            elif kind == HEXADECIMAL:
                byte_of[size] = 0x30 + i if i < 10 else (0x41 + i - 10 if i < 16 else 0x61 + i - 16)
            else:
                byte_of[size] = 0x75 if kind == LETTER_U else 0x5C
            target_of[size] = nodes[node, 1 + digit]
            size += 1
    start[count + 2] = size
    return start, byte_of[:size], target_of[:size]


@kernel
def byte_automaton(
    count: int, nodes: Int32Array, escape: Int32Array, root: Int32Array, quote: int
) -> tuple[UInt8Array, Int32Array, Int32Array, Int32Array]:
    """The nodes' edges over classes of bytes.

    Args:
        count, nodes, escape, root: from `spelling_nodes`.
        quote: a byte that has a class of its own, or -1.

    Returns:
        (byte_classes uint8[256], numbered by their first byte, edge_start, edge_class, edge_target):
        CSR by node; the root is the last node.
    """
    start, byte_of, target_of = _byte_edges(count, nodes, escape, root)
    # Each node splits the classes of which it tells members apart.
    class_of = np.zeros(256, np.int32)
    if quote >= 0:
        class_of[quote] = 1
    num_classes = 2
    seen = np.full(512, -1, np.int32)
    seen_class = np.empty(512, np.int32)
    seen_target = np.empty(512, np.int32)
    new_class = np.empty(512, np.int32)
    for node in range(1, start.size - 1):
        for e in range(start[node], start[node + 1]):
            old = class_of[byte_of[e]]
            slot = (old * 31 + target_of[e] * 17) & 511
            while seen[slot] == node and (
                seen_class[slot] != old or seen_target[slot] != target_of[e]
            ):
                slot = (slot + 1) & 511
            if seen[slot] != node:
                seen[slot] = node
                seen_class[slot] = old
                seen_target[slot] = target_of[e]
                new_class[slot] = num_classes
                num_classes += 1
            class_of[byte_of[e]] = new_class[slot]
    number = np.full(num_classes, -1, np.int32)
    is_first = np.zeros(256, np.bool_)
    byte_classes = np.empty(256, np.uint8)
    size = 0
    for byte in range(256):
        if number[class_of[byte]] < 0:
            number[class_of[byte]] = size
            is_first[byte] = True
            size += 1
        byte_classes[byte] = number[class_of[byte]]
    edge_start = np.zeros(start.size, np.int32)
    edge_class = np.empty(byte_of.size, np.int32)
    edge_target = np.empty(byte_of.size, np.int32)
    size = 0
    for node in range(1, start.size - 1):
        edge_start[node] = size
        for e in range(start[node], start[node + 1]):
            if is_first[byte_of[e]]:
                edge_class[size] = byte_classes[byte_of[e]]
                edge_target[size] = target_of[e]
                size += 1
    edge_start[start.size - 1] = size
    return byte_classes, edge_start, edge_class[:size], edge_target[:size]
