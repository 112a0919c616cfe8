"""JSON strings spelled in one way each: as `json.dumps` does without ``ensure_ascii``."""

from __future__ import annotations

import enum
import functools

from syntagma.grammar import code_points as cp
from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes, dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.limits import Budget

QUOTE = ast.literal(b'"')
SHORT_ESCAPES = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r"}


class StringPart(enum.Enum):
    """Which part of a string an automaton reads."""

    WHOLE = "with both quotation marks"
    BODY = "between them"
    END = "up to the second one"


def canonical_escapes(dfa: Dfa, part: StringPart, budget: Budget) -> Dfa:
    """The words of an automaton of strings in which each character has its canonical spelling.

    Raises:
        GrammarLimitError: larger than the budget allows.
    """
    return dfas.intersection(dfa, _canonical(part), budget)


@functools.cache
def _canonical(part: StringPart) -> Dfa:
    body = ast.Repeat(_character(), 0, None)
    tree = {
        StringPart.WHOLE: ast.concat(QUOTE, body, QUOTE),
        StringPart.BODY: body,
        StringPart.END: ast.concat(body, QUOTE),
    }[part]
    return dfa_from_bytes(tree, Budget.unlimited())


def _character() -> ast.Node:
    """One character inside a string: raw if that is possible, else its shortest escape."""
    must_escape = cp.from_ranges([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
    raw = ast.CharSet(cp.difference(cp.ANY, must_escape))
    escapes = [rb"\"", rb"\\"]
    escapes += [SHORT_ESCAPES.get(point, b"\\u%04x" % point) for point in range(0x20)]
    return ast.union(
        [
            ast.Automaton(dfa_from_code_points(raw, Encoder.UTF8, Budget.unlimited())),
            *map(ast.literal, escapes),
        ]
    )
