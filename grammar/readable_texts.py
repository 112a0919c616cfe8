r"""Texts that a reader takes for a value other than a string, where a schema allows both.

``5`` for a schema of ``{"type": ["string", "integer"]}`` is a number, so the string ``"5"`` cannot be written without
quotation marks. Readers differ in how lenient they are: Python's takes ``" +1_0"`` for ten. What any of those that are
known takes for a value is left to the value.
"""

from __future__ import annotations

import functools

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex

# What `str.strip` strips.
BLANK = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BLANKS = f"[{BLANK}]*"
DIGITS = r"\p{Nd}(?:_?\p{Nd})*"
INTEGER = rf"{BLANKS}[+-]?{DIGITS}{BLANKS}"
NUMBER = rf"{BLANKS}[+-]?(?:{DIGITS}\.?|(?:{DIGITS})?\.{DIGITS})(?:[eE][+-]?{DIGITS})?{BLANKS}"
NULL = rf"{BLANKS}[nN][uU][lL][lL]{BLANKS}"
BOOLEAN = rf"{BLANKS}(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[01]){BLANKS}"
# Arrays and objects are known by how they begin; a reader that tries JSON takes any JSON text.
NESTED = rf'{BLANKS}[\[{{"][\s\S]*'
JSON = (NESTED, NULL, BOOLEAN, NUMBER)
PATTERNS = {
    "null": (NULL,),
    "boolean": (BOOLEAN,),
    "integer": (INTEGER,),
    "number": (NUMBER,),
    "array": JSON,
    "object": JSON,
}


@functools.lru_cache(maxsize=128)
def readable_texts(types: frozenset[str]) -> Dfa:
    """The texts that may be read as a value of one of some types, none of them ``string``."""
    if not types:
        return dfas.from_words([])
    budget = Budget.unlimited()
    patterns = dict.fromkeys(pattern for name in sorted(types) for pattern in PATTERNS[name])
    tree = ast.union([parse_regex(p, budget, is_whole=True).tree for p in patterns])
    return dfa_from_code_points(tree, Encoder.UTF8, budget)
