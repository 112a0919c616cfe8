"""JSON strings without quotation marks and escapes: the texts that they stand for.

The inverse of `json_escaped`, for strings whose every character has one spelling (``string_escapes="canonical"``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError, UnsatisfiableGrammarError
from syntagma.grammar.json_escaped import LONG_ESCAPES, SHORT_ESCAPES
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.regular_parts import NOT_REGULAR, RegularParts

# States of the strings before they are determinised: a length of a thousand or two.
MAX_SIZE = 60_000
# A bound of ours on a string without one is lowered to this, for every character costs states.
MAX_OWN_LENGTH = 1000
LENGTHS = frozenset({"type", "minLength", "maxLength"})


def bounded_texts(schema: Any, options: JsonOptions, budget: Budget) -> Dfa | None:
    """The texts of strings of which a schema says nothing but their length; None if it says more.

    As `plain_texts` of its grammar, but counted by the character and not by the byte.

    Raises:
        GrammarLimitError: the automaton is too large.
    """
    if not isinstance(schema, dict) or schema.get("type") != "string" or schema.keys() - LENGTHS:
        return None
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if not _is_count(low) or not (high is None or _is_count(high)):
        return None
    if high is None and options.max_string is not None:
        high = max(low, min(options.max_string, MAX_OWN_LENGTH))
    if max(low, high or 0) > MAX_SIZE:
        raise _too_long()
    constraints = StringConstraints(min_length=low, max_length=high, encoder=Encoder.UTF8)
    return PATTERNS.dfa(constraints, budget)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _too_long() -> GrammarLimitError:
    return GrammarLimitError(
        "this string is too long to be counted where it is written without quotation marks; lower its "
        "maxLength, or leave it out",
        limit="max_dfa_states",
    )


def plain_texts(grammar: ir.Grammar, budget: Budget) -> Dfa:
    """The texts that the strings of a grammar stand for.

    Args:
        grammar: of JSON strings and nothing else, each in its canonical spelling.
        budget: bounds on the automaton.

    Raises:
        GrammarLimitError: it is too large.
        UnsatisfiableGrammarError: there are no strings.
    """
    found = regular_texts(grammar, budget)
    if found is None:
        raise _too_long()
    texts = without_escapes(found)
    if texts.is_empty:
        raise UnsatisfiableGrammarError("no text fits this schema", pointer="")
    return texts


def regular_texts(grammar: ir.Grammar, budget: Budget) -> Dfa | None:
    """The texts of a grammar; None where they are not regular, or too many to be told apart."""
    parts = RegularParts(grammar.produce_all(), budget)
    start = ir.Call(0)
    size = parts.size(start)
    if size == NOT_REGULAR or size > MAX_SIZE:
        return None
    return parts.automaton(start, budget)


def without_escapes(dfa: Dfa) -> Dfa:
    """The texts of an automaton of JSON strings in canonical spelling, quotation marks included."""
    steps: Int32Array = dfa.transitions[:, dfa.byte_classes]
    table = steps.copy()
    behind = steps[:, ord("\\")]
    for byte, written in SHORT_ESCAPES.items():
        table[:, byte] = steps[behind, written[0]]
    hexadecimal = behind
    for digit in b"u00":
        hexadecimal = steps[hexadecimal, digit]
    for byte in LONG_ESCAPES:
        first, second = f"{byte:02x}".encode()
        table[:, byte] = steps[steps[hexadecimal, first], second]
    table[DEAD] = DEAD
    start = dfa.step(START, ord('"'))
    if start == DEAD:
        return dfas.from_words([])
    return dfas.from_table(table, np.arange(256), start, dfa.accepting[steps[:, ord('"')]])
