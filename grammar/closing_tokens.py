"""What must come next: forced bytes, and a shortest completion in few tokens.

The parser knows shortest completions between terminals (`closing`). Inside a terminal the way to its
end is searched in the lexer: several terminals may be alive there, and the nearest end need not be
the one behind which least is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from syntagma.grammar.closing_kernels import (
    BYTE,
    DISTANCE,
    NO_PARENT,
    PARENT,
    STATE,
    fewest_tokens,
    forced_run,
    nearest_end,
    reachable_states,
)
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array
from syntagma.grammar.lexer_arrays import ACCEPTS, DEAD_STATE
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.minimise_kernels import shortest_distances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syntagma.grammar.mask_store import MaskStore
    from syntagma.grammar.parser import Parser

Config = tuple[int, int]
ConfigSet = tuple[Config, ...]

MAX_FORCED_BYTES = 4096
# Longer completions are not written out.
MAX_CLOSING_BYTES = 1 << 16
MAX_CACHED_BYTES = 1 << 20
ANY_DISTANCE = np.iinfo(np.int32).max


class Step(NamedTuple):
    """The first byte of a shortest way to the end of a terminal, of ``distance`` bytes in all."""

    distance: int
    byte: int
    target: int


class Rest(NamedTuple):
    """A shortest completion from a config: a word of the lexer, then what the parser asks for.

    Attributes:
        num_bytes: bytes of both.
        word: the rest of the terminal.
        parser_state: the parser state behind the terminal.
    """

    num_bytes: int
    word: bytes
    parser_state: int


class ClosingTokens:
    """Shortest completions of one grammar over one vocabulary. Not locked: the owner locks.

    A completion is shortest in bytes, and no other way to spell the same bytes takes fewer tokens.
    """

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self._parser = parser
        self._store = store
        self._pool = store.pool
        # By lexer state that is not a dense terminal's: the way to the nearest end of any terminal.
        self._steps: dict[int, Step] = {}
        # By dense terminal: distances of its states and a byte of each class, for `nearest_end`.
        self._distances: dict[int, tuple[Int64Array, UInt8Array]] = {}
        # By parser state: the least that is missing behind any of its terminals.
        self._least_behind: dict[int, int] = {}
        self._costs: ByteLru[ConfigSet, int] = ByteLru(MAX_CACHED_BYTES)
        self._tokens: ByteLru[ConfigSet, Int32Array] = ByteLru(MAX_CACHED_BYTES)

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly."""
        steps = 200 * (len(self._steps) + len(self._least_behind))
        distances = sum(distance.nbytes + 500 for distance, _ in list(self._distances.values()))
        return self._costs.num_bytes + self._tokens.num_bytes + steps + distances

    def cost(self, configs: ConfigSet) -> int:
        """Tokens of `tokens`; beyond MAX_CLOSING_BYTES, the number of bytes, which is no less."""
        known = self._costs.get(configs)
        if known is None:
            rest = self._rest(configs)
            if rest.num_bytes > MAX_CLOSING_BYTES:
                known = rest.num_bytes
            else:
                known = self._spelled(configs, rest).size
            self._costs.put(configs, known, 200)
        return known

    def tokens(self, configs: ConfigSet) -> Int32Array:
        """int32[N], the token ids of a shortest completion of a state in which the output may not end.

        Raises:
            ValueError: the completion has more than MAX_CLOSING_BYTES bytes.
        """
        known = self._tokens.get(configs)
        if known is None:
            rest = self._rest(configs)
            if rest.num_bytes > MAX_CLOSING_BYTES:
                raise ValueError(
                    f"the shortest completion has {rest.num_bytes} bytes, more than the "
                    f"{MAX_CLOSING_BYTES} that are written out; lower the grammar's minimum counts"
                )
            known = self._spelled(configs, rest)
        return known

    def _spelled(self, configs: ConfigSet, rest: Rest) -> Int32Array:
        """The fewest tokens for a completion, remembered."""
        terminals = self._parser.closing_terminals(rest.parser_state, self._word_of)
        text = rest.word + b"".join(map(self._word_of, terminals))
        byte, _, subtree_end, token_start, token_ids = self._store.trie.arrays
        is_spelled, found = fewest_tokens(
            byte, subtree_end, token_start, token_ids, np.frombuffer(text, np.uint8)
        )
        if not is_spelled:
            raise ValueError(f"no tokens spell the completion {text[:80]!r}")
        self._tokens.put(configs, found, found.nbytes + 300)
        return found

    def _rest(self, configs: ConfigSet) -> Rest:
        """The shortest of the configs' completions."""
        return min((self._config_rest(*config) for config in configs), key=lambda r: r.num_bytes)

    def _config_rest(self, parser_state: int, lexer_state: int) -> Rest:
        word, end = self._nearest_end(lexer_state)
        num_bytes, target = self._behind(self._parser.after_text(parser_state, word), end)
        best = Rest(len(word) + num_bytes, word, target)
        least = self._least(parser_state)
        if num_bytes == least:
            return best
        # Another terminal may end later, or as soon elsewhere, and need less behind it.
        steps = reachable_states(
            self._pool.arrays, lexer_state, min(best.num_bytes - least - 1, ANY_DISTANCE), False
        )
        ends = np.flatnonzero(self._pool.arrays.states[steps[:, STATE], ACCEPTS])
        for row in ends.tolist():
            distance = int(steps[row, DISTANCE])
            if distance + least >= best.num_bytes:
                break
            word = bytes(steps[_path(steps, row)[1:], BYTE].astype(np.uint8))
            after = self._parser.after_text(parser_state, word)
            num_bytes, target = self._behind(after, int(steps[row, STATE]))
            if distance + num_bytes < best.num_bytes:
                best = Rest(distance + num_bytes, word, target)
        return best

    def _behind(self, parser_state: int, end: int) -> tuple[int, int]:
        """(missing bytes, parser state) behind that terminal complete in a state that needs least."""
        targets = [
            target
            for terminal in self._pool.complete_in(end)
            for target in self._parser.targets(parser_state, terminal)
        ]
        return min((self._parser.closing_bytes(target), target) for target in targets)

    def _least(self, parser_state: int) -> int:
        known = self._least_behind.get(parser_state)
        if known is None:
            targets = self._parser.gotos(parser_state).values()
            known = min(self._parser.closing_bytes(target) for target in targets)
            self._least_behind[parser_state] = known
        return known

    def _word_of(self, terminal: int) -> bytes:
        """A shortest word of a terminal."""
        (start,) = self._pool.lexer((terminal,))
        return self._nearest_end(start)[0]

    def _nearest_end(self, lexer_state: int) -> tuple[bytes, int]:
        """A shortest way to a state in which a terminal is complete, and that state."""
        if self._pool.is_dense_terminal(lexer_state):
            return self._nearest_end_of_terminal(lexer_state)
        if lexer_state not in self._steps:
            steps = reachable_states(self._pool.arrays, lexer_state, ANY_DISTANCE, True)
            path = _path(steps, len(steps) - 1)
            states, symbols = steps[path, STATE].tolist(), steps[path, BYTE].tolist()
            last = len(path) - 1
            self._steps[states[last]] = Step(0, 0, states[last])
            for i in range(last):
                self._steps[states[i]] = Step(last - i, symbols[i + 1], states[i + 1])
        word = bytearray()
        step = self._steps[lexer_state]
        while step.distance > 0:
            word.append(step.byte)
            lexer_state = step.target
            step = self._steps[lexer_state]
        return bytes(word), lexer_state

    def _nearest_end_of_terminal(self, lexer_state: int) -> tuple[bytes, int]:
        """`_nearest_end` by distances that are worked out for all states of a terminal at once."""
        number = self._pool.terminal_of(lexer_state)
        terminal = self._pool.dense_terminal(number)
        known = self._distances.get(number)
        if known is None:
            targets = terminal.table.reshape(-1, terminal.width)
            table = np.zeros((len(targets) + 1, terminal.width), np.int32)
            table[1:] = np.where(targets == DEAD_STATE, 0, targets - terminal.first_state + 1)
            distance = shortest_distances(table, np.append(False, terminal.is_accepting))
            _, byte_of_class = np.unique(terminal.class_map, return_index=True)
            known = self._distances[number] = distance, byte_of_class.astype(np.uint8)
        word, end = nearest_end(terminal, *known, lexer_state)
        return word.tobytes(), int(end)


def _path(steps: Int32Array, row: int) -> list[int]:
    """The rows from the first one to the given one."""
    path = []
    while row != NO_PARENT:
        path.append(row)
        row = int(steps[row, PARENT])
    return path[::-1]


def forced_bytes(store: MaskStore, lexer_states: Iterable[int], max_bytes: int) -> bytes:
    """The bytes that must follow lexer states of which any may be the one, up to a terminal's end.

    Every byte on which a lexer state lives can be followed, because words use only bytes that the
    vocabulary can spell one by one.
    """
    states = np.fromiter(set(lexer_states), np.int32)
    run = np.zeros(max_bytes, np.uint8)
    length = forced_run(store.pool.arrays, states, run)
    return run[:length].tobytes()
