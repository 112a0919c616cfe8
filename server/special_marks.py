"""Marks of a format as parts of structural tags: some vocabularies have them as special tokens.

A special token never matches text, so a mark that is one is asked for by name.
"""

from __future__ import annotations

import re
from typing import Any


def parts(text: str, special: frozenset[str]) -> list[dict[str, Any]]:
    """A text as formats, one after another: special tokens and what stands between them."""
    pieces = [text]
    if special:
        pieces = re.split(f"({'|'.join(map(re.escape, sorted(special)))})", text)
    return [
        {"type": "token", "token": piece}
        if piece in special
        else {"type": "const_string", "value": piece}
        for piece in pieces
        if piece
    ]


def between(
    opening: str, content: dict[str, Any], closing: str, special: frozenset[str]
) -> dict[str, Any]:
    """A tag; its begin is as much of the opening as one part can be, its end as much of the closing."""
    first, *before = parts(opening, special) or [{"type": "const_string", "value": ""}]
    *behind, last = parts(closing, special) or [{"type": "const_string", "value": ""}]
    if before or behind:
        content = {"type": "sequence", "elements": [*before, content, *behind]}
    return {"type": "tag", "begin": _end(first), "content": content, "end": _end(last)}


def _end(part: dict[str, Any]) -> Any:
    return part["value"] if part["type"] == "const_string" else part
