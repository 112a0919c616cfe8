"""Slow, obvious twins of the automata, tries and kernels in `syntagma.grammar`.

Automata are dictionaries or plain lists, subsets are frozensets, tries are nested dictionaries.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.token_trie import TokenTrie

Table = Sequence[Sequence[int]]
Moves = Iterable[tuple[int, int]]
Edges = Iterable[tuple[int, int, int]]

TOKENS = "tokens"  # the key of a nested trie's token list; the other keys are bytes


def crawl(
    start: Hashable, follow: Callable[[Any], dict[Any, Any]]
) -> dict[Hashable, dict[Any, Hashable]]:
    """Every state that can be reached, with its moves, in breadth-first order."""
    found: dict[Hashable, dict[Any, Hashable]] = {}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if state in found:
            continue
        found[state] = follow(state)
        waiting.extend(found[state].values())
    return found


# Automata


def naive_closure(states: Iterable[int], epsilon: Moves) -> frozenset[int]:
    """Everything that can be reached without reading."""
    closed = set(states)
    moves = list(epsilon)
    while True:
        more = {target for source, target in moves if source in closed} - closed
        if not more:
            return frozenset(closed)
        closed |= more


def naive_determinise(
    epsilon: Moves, edges: Edges, important: set[int], initial: Iterable[int]
) -> dict[Hashable, dict[int, Hashable]]:
    """Subsets and their moves; the start is ``("start", subset)`` and is never entered again."""
    epsilon, edges = list(epsilon), list(edges)

    def follow(state: Any) -> dict[int, Hashable]:
        subset = state[1] if isinstance(state, tuple) else state
        targets: dict[int, set[int]] = {}
        for source, symbol, target in edges:
            if source in subset:
                targets.setdefault(symbol, set()).add(target)
        closed = {c: naive_closure(t, epsilon) & important for c, t in sorted(targets.items())}
        return {c: subset for c, subset in closed.items() if subset}

    return crawl(("start", naive_closure(initial, epsilon) & important), follow)


def naive_blocks(table: Table, labels: Sequence[int]) -> list[int]:
    """Moore's algorithm: split by label, then by the blocks of the successors, until stable."""
    block = _numbered(labels)
    while True:
        finer = _numbered([(block[s], *(block[t] for t in row)) for s, row in enumerate(table)])
        if finer == block:
            return block
        block = finer


def _numbered(keys: Iterable[Hashable]) -> list[int]:
    """Equal keys, equal number, in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def naive_alive(table: Table, labels: Sequence[int]) -> set[int]:
    """States other than 0 that can reach a label."""
    alive = {s for s, label in enumerate(labels) if label}
    while True:
        more = {s for s, row in enumerate(table) if alive & set(row)} - alive
        if not more:
            return alive - {0}
        alive |= more


def naive_distance(table: Table, accepting: Sequence[bool], state: int) -> int:
    """Symbols of a shortest word from a state, by breadth-first search; -1: none."""
    layer, seen, distance = {state}, {state}, 0
    while layer:
        if any(accepting[s] for s in layer if s):
            return distance
        layer = {t for s in layer if s for t in table[s] if t} - seen
        seen |= layer
        distance += 1
    return -1


def naive_completion(dfa: Dfa, state: int) -> bytes:
    """A shortest text that leads from a live state to acceptance."""
    words = {state: b""}
    for current in (waiting := [state]):
        if dfa.accepting[current]:
            return words[current]
        for byte in range(256):
            target = dfa.step(current, byte)
            if target and target not in words:
                words[target] = words[current] + bytes([byte])
                waiting.append(target)
    raise AssertionError("a live state leads nowhere")


def naive_product(
    left: Table, right: Table, *, is_difference: bool
) -> dict[Hashable, dict[int, Hashable]]:
    """Pairs of states while the left one lives (and the right one, but for differences)."""

    def follow(pair: Any) -> dict[int, Hashable]:
        moves = enumerate(zip(left[pair[0]], right[pair[1]], strict=True))
        return {c: (a, b) for c, (a, b) in moves if a != 0 and (b != 0 or is_difference)}

    return crawl((1, 1), follow)


def naive_trim(
    table: Table, start: int, labels: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """What is reachable and alive, numbered breadth-first from 1; 0 is dead."""
    alive = naive_alive(table, labels)
    found = list(crawl(start, lambda s: {c: t for c, t in enumerate(table[s]) if t in alive}))
    number = {state: i for i, state in enumerate(found, start=1)}
    rows = [[number[t] if t in alive else 0 for t in table[s]] for s in found]
    return [[0] * len(table[0]), *rows], [0, *(labels[s] for s in found)]


def naive_words(dfa: Dfa, alphabet: bytes, max_length: int) -> set[bytes]:
    """All accepted words over some bytes, by trying every one."""
    words = (
        bytes(word)
        for length in range(max_length + 1)
        for word in itertools.product(alphabet, repeat=length)
    )
    return {word for word in words if dfa.accepts(word)}


def naive_partition(sets: Sequence[set[int]], universe: Iterable[int]) -> list[int]:
    """For each symbol, a number of the sets that it is in, in order of appearance."""
    return _numbered(tuple(symbol in s for s in sets) for symbol in universe)


def csr(sources: Sequence[int], num_sources: int) -> tuple[Any, Any]:
    """Offsets and the stable order that groups items by source, as kernels read them."""
    counts = np.bincount(np.array(sources, np.int64), minlength=num_sources)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return start, np.argsort(np.array(sources, np.int64), kind="stable")


def check_canonical(dfa: Dfa) -> None:
    """Assert that a DFA is minimal, without dead ends, and numbered as `dfa.canonical` promises."""
    table, accepting = dfa.transitions.tolist(), dfa.accepting.tolist()
    assert not any(table[0]) and not accepting[0]
    seen = [1]
    for state in seen:
        seen += [t for t in dict.fromkeys(table[state]) if t and t not in seen]
    assert seen == list(range(1, dfa.num_states)), "not numbered breadth-first"
    if not dfa.is_empty:
        assert naive_alive(table, accepting) == set(seen), "a state cannot reach acceptance"
        assert len(set(naive_blocks(table, accepting))) == dfa.num_states, "equivalent states"
    classes = dfa.byte_classes.tolist()
    assert list(dict.fromkeys(classes)) == list(range(len(table[0]))), "classes out of order"
    assert len(set(zip(*table, strict=True))) == len(table[0]), "two classes behave alike"


def naive_ends(node: ast.Node, text: Sequence[int], start: int) -> set[int]:
    """Where a match of a tree that begins at ``start`` may end, straight from the definition."""
    match node:
        case ast.CharSet(points):
            is_match = start < len(text) and any(a <= text[start] <= b for a, b in points)
            return {start + 1} if is_match else set()
        case ast.Concat(parts):
            ends = {start}
            for part in parts:
                ends = _ends_from(part, text, ends)
            return ends
        case ast.Union(parts):
            return {end for part in parts for end in naive_ends(part, text, start)}
        case ast.Repeat(part, min_count, max_count):
            ends = {start}
            for _ in range(min_count):
                ends = _ends_from(part, text, ends)
            found = set(ends)
            # More rounds than symbols are left bring nothing new.
            rounds = len(text) + 1 if max_count is None else max_count - min_count
            for _ in range(min(rounds, len(text) + 1)):
                ends = _ends_from(part, text, ends)
                found |= ends
            return found
        case ast.Begin():
            return {start} if start == 0 else set()
        case ast.End():
            return {start} if start == len(text) else set()
        case ast.Automaton(dfa):
            ends = range(start, len(text) + 1)
            return {end for end in ends if dfa.accepts(bytes(text[start:end]))}


def _ends_from(node: ast.Node, text: Sequence[int], starts: set[int]) -> set[int]:
    return {end for start in starts for end in naive_ends(node, text, start)}


def naive_match(node: ast.Node, text: Sequence[int]) -> bool:
    """Whether a tree matches a whole text (code points or bytes)."""
    return len(text) in naive_ends(node, text, 0)


# Tries


def naive_trie(tokens: Iterable[tuple[int, bytes]]) -> dict[Any, Any]:
    """A nested dictionary: byte -> subtrie, `TOKENS` -> sorted ids that end here."""
    root: dict[Any, Any] = {TOKENS: []}
    for token_id, token in tokens:
        node = root
        for byte in token:
            node = node.setdefault(byte, {TOKENS: []})
        node[TOKENS] = sorted([*node[TOKENS], token_id])
    return root


def naive_merge(tries: Sequence[dict[Any, Any]]) -> dict[Any, Any]:
    """The union of the subtries below some roots, without the roots' own tokens."""
    merged: dict[Any, Any] = {TOKENS: []}
    for trie in tries:
        for byte, child in trie.items():
            if byte != TOKENS:
                _pour(child, merged.setdefault(byte, {TOKENS: []}))
    return merged


def _pour(source: dict[Any, Any], target: dict[Any, Any]) -> None:
    target[TOKENS] = sorted([*target[TOKENS], *source[TOKENS]])
    for byte, child in source.items():
        if byte != TOKENS:
            _pour(child, target.setdefault(byte, {TOKENS: []}))


def nested(trie: TokenTrie, node: int = 0) -> dict[Any, Any]:
    """A flat trie as a nested dictionary, checking its layout on the way."""
    first, last = trie.token_start[node], trie.token_start[node + 1]
    result: dict[Any, Any] = {TOKENS: sorted(trie.token_ids[first:last].tolist())}
    child, end = node + 1, int(trie.subtree_end[node])
    while child < end:
        byte = int(trie.byte[child])
        assert trie.depth[child] == trie.depth[node] + 1
        assert all(b < byte for b in result if b != TOKENS), "children out of order"
        result[byte] = nested(trie, child)
        child = int(trie.subtree_end[child])
    assert child == end, "a subtree reaches beyond its parent's"
    return result


def subtries(trie: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    """A nested trie and everything below it, in preorder: the order of flat nodes."""
    yield trie
    for byte in sorted(b for b in trie if b != TOKENS):
        yield from subtries(trie[byte])


# Lexers and walks


def naive_alive_terminals(dfas: dict[int, Dfa], text: bytes) -> set[int]:
    """Of terminals run side by side, those of which a text is a prefix."""
    return {t for t, dfa in dfas.items() if naive_state(dfa, 1, text)}


def naive_complete_terminals(dfas: dict[int, Dfa], text: bytes) -> set[int]:
    """Of terminals run side by side, those that accept a text."""
    return {t for t, dfa in dfas.items() if dfa.accepts(text)}


def naive_state(dfa: Dfa, state: int, text: bytes) -> int:
    """The state after a text."""
    for byte in text:
        state = dfa.step(state, byte)
    return state


class NaiveParser:
    """Parser states as plain tables, and the configs after a text, one byte at a time.

    Args:
        dfas: each terminal's automaton.
        moves: parser state -> terminal -> parser states behind it.
    """

    def __init__(self, dfas: dict[int, Dfa], moves: dict[int, dict[int, set[int]]]) -> None:
        self.dfas = dfas
        self.moves = moves

    def begin(self, parser_states: Iterable[int], byte: int) -> set[tuple[int, int, int]]:
        """(parser state, terminal, state of its DFA) after the first byte of a terminal."""
        return {
            (p, t, after)
            for p in parser_states
            for t in self.moves[p]
            if (after := self.dfas[t].step(1, byte))
        }

    def step(self, configs: set[tuple[int, int, int]], byte: int) -> set[tuple[int, int, int]]:
        """Go on in the terminal, or end it and begin the next one with this byte."""
        found = {(p, t, after) for p, t, s in configs if (after := self.dfas[t].step(s, byte))}
        for p, t, s in configs:
            if self.dfas[t].accepting[s]:
                found |= self.begin(self.moves[p][t], byte)
        return found

    def read(self, parser_states: Iterable[int], text: bytes) -> set[tuple[int, int, int]]:
        """The configs after a non-empty text that begins between two terminals."""
        configs = self.begin(parser_states, text[0])
        for byte in text[1:]:
            configs = self.step(configs, byte)
        return configs


def naive_interior(dfa: Dfa, state: int, tokens: Sequence[bytes]) -> set[int]:
    """The tokens that keep a DFA alive from a state, stepping through every one."""
    return {i for i, token in enumerate(tokens) if token and naive_state(dfa, state, token)}


def naive_exits(dfa: Dfa, state: int, tokens: Sequence[bytes]) -> set[bytes]:
    """The proper, non-empty prefixes of tokens at which a DFA accepts."""
    prefixes = {token[:length] for token in tokens for length in range(1, len(token))}
    return {prefix for prefix in prefixes if dfa.accepting[naive_state(dfa, state, prefix)]}


def naive_ways(pool: LexerPool, state: int, symbols: bytes, enough: int) -> int:
    """In how many ways some bytes may go on from a lexer state, writing out every text."""
    texts = [(b"", state)]
    most = num_complete = 0
    for _ in range(64):
        texts = [
            (text + bytes([byte]), after)
            for text, before in texts
            for byte in symbols
            if (after := pool.step(before, byte))
        ]
        num_complete += sum(
            1 for text, s in texts if not text.endswith(b"0") and pool.complete_in(s)
        )
        most = max(most, len(texts), num_complete)
        if most >= enough or not texts:
            break
    return min(most, enough)


def allowed_ids(row: Iterable[int], size: int) -> set[int]:
    """The ids whose bit is set in a packed row."""
    words = [int(word) & 0xFFFFFFFF for word in row]
    return {i for i in range(size) if words[i // 32] >> (i % 32) & 1}


def naive_next_state(lexer: LexerArrays, state: int, byte: int) -> int:
    """One step of a lexer state: a dense row, or edges and what to fall back on."""
    cell, kind, fallback, _ = lexer.states[state].tolist()
    if kind >= 0:
        return int(lexer.table[cell + int(lexer.class_maps[kind, byte])])
    edges = lexer.table[cell : cell + 2 * (-1 - kind)].reshape(-1, 2).tolist()
    if byte in dict(edges):
        return int(dict(edges)[byte])
    return naive_next_state(lexer, fallback, byte) if fallback else 0
