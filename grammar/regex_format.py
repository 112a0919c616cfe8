"""Regular expressions as texts: the format ``regex``, nested up to a depth.

Regular expressions nest, so no automaton reads all of them. What is written here is what ECMA-262 (with or
without its ``u`` flag) and Python read alike: characters, escapes, sets of characters, groups within three others,
alternatives, anchors, and quantifiers, lazy ones too.
"""

from __future__ import annotations

MAX_GROUPS = 3

_CHARACTER = r"[^\\^$.*+?()\[\]{}|/\u0000-\u001f\u007f-\u009f\u2028\u2029]"
_ESCAPE = r"\\[dDwWsSnrtfv\\^$.*+?()\[\]{}|/]"
_IN_SET = r"[^\\\[\]^&~|\-/\u0000-\u001f\u007f-\u009f\u2028\u2029]"
_SET = rf"\[\^?(?:{_IN_SET}|{_ESCAPE}|a-z|A-Z|0-9)+\]"
_QUANTIFIER = r"(?:[*+?]|\{[0-9]{1,2}(?:,)?\})\??"


def _alternatives(num_groups: int) -> str:
    """Alternatives with so many groups inside one another at most."""
    atom = rf"{_CHARACTER}|{_ESCAPE}|\.|{_SET}"
    if num_groups:
        atom += rf"|\((?:\?:)?{_alternatives(num_groups - 1)}\)"
    term = rf"(?:{atom})(?:{_QUANTIFIER})?"
    sequence = rf"\^?(?:{term})*\$?"
    return rf"{sequence}(?:\|{sequence})*"


REGEX = rf"(?:{_alternatives(MAX_GROUPS)})"
