"""Terminals as they are written inside JSON strings: every character in one spelling."""

from __future__ import annotations

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.captures import is_remembering
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.ir_fold import children, fold, rebuilt
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget

# As `json.dumps` writes them without ``ensure_ascii``; other control characters are \u00XX.
SHORT_ESCAPES = {
    ord('"'): b'"',
    ord("\\"): b"\\",
    ord("\b"): b"b",
    ord("\f"): b"f",
    ord("\n"): b"n",
    ord("\r"): b"r",
    ord("\t"): b"t",
}
LONG_ESCAPES = [byte for byte in range(0x20) if byte not in SHORT_ESCAPES]
# States of an escape in front of each state: behind ``\``, ``\u``, ``\u0``, ``\u00``, ``\u000``, ``\u001``.
NUM_ESCAPE_STATES = 6


def escaped_grammar(grammar: ir.Grammar, budget: Budget) -> ir.Grammar:
    """The grammar of the same texts, written inside a JSON string.

    Raises:
        GrammarLimitError: a terminal becomes too large.
        UnsupportedGrammarError: a text must come again, or lines are as far indented as others.
    """
    known: dict[bytes, ir.Node] = {}

    def escaped(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        if is_remembering(node):
            raise UnsupportedGrammarError(
                "indentation cannot be told inside JSON strings", keyword="indenter"
            )
        if isinstance(node, ir.Terminal):
            key = node.language.key
            if key not in known:
                known[key] = ir.Terminal(escaped_dfa(node.language.dfa, budget))
            return known[key]
        return rebuilt(node, parts) if children(node) else node

    bodies: list[ir.Node | None] = [fold(body, escaped) for body in grammar.produce_all()]
    return ir.Grammar(bodies, list(grammar.names))


def escaped_dfa(dfa: Dfa, budget: Budget) -> Dfa:
    """The words of a language, each byte as it is written inside a JSON string."""
    num_states = dfa.num_states
    budget.check("max_dfa_states", (1 + NUM_ESCAPE_STATES) * num_states, "states of escaped text")
    plain: Int32Array = dfa.transitions[:, dfa.byte_classes]
    table = np.zeros((1 + NUM_ESCAPE_STATES, num_states, 256), np.int32)
    table[0] = plain
    table[0][:, [*SHORT_ESCAPES, *LONG_ESCAPES]] = DEAD
    behind = [
        number * num_states + np.arange(num_states) for number in range(1 + NUM_ESCAPE_STATES)
    ]
    table[0][:, ord("\\")] = behind[1]
    for byte, written in SHORT_ESCAPES.items():
        table[1][:, written[0]] = plain[:, byte]
    for number, digit in [(1, "u"), (2, "0"), (3, "0"), (4, "0")]:
        table[number][:, ord(digit)] = behind[number + 1]
    table[4][:, ord("1")] = behind[6]
    for byte in LONG_ESCAPES:
        table[5 + (byte >> 4)][:, ord(f"{byte & 15:x}")] = plain[:, byte]
    table[:, DEAD] = DEAD
    labels = np.zeros((1 + NUM_ESCAPE_STATES) * num_states, np.int32)
    labels[:num_states] = dfa.accepting
    return dfas.from_table(table.reshape(-1, 256), np.arange(256), START, labels)
