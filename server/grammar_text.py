"""Context-free grammars in requests: a text, the name of its syntax, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syntagma.server.constraint_kinds import GRAMMAR_FIELDS, ConstraintKind, GrammarReading
from syntagma.server.errors import bad_request, shorten

SYNTAXES: tuple[ConstraintKind, ...] = ("lark", "ebnf")


def grammar_syntax(value: Mapping[str, Any], param: str) -> ConstraintKind:
    """The syntax that is named beside a grammar; nothing is guessed from its text.

    Raises:
        ApiError: 400 if it is not named or not known.
    """
    syntax = value.get("syntax")
    for known in SYNTAXES:
        if syntax == known:
            return known
    told = f"{shorten(str(syntax), 40)!r} is not known" if syntax is not None else "it is missing"
    raise bad_request(
        f'{param} needs "syntax": "lark" or "ebnf" beside it (GBNF is "ebnf"); {told}.',
        param=param,
    )


def grammar_reading(value: Mapping[str, Any], kind: ConstraintKind, prefix: str) -> GrammarReading:
    """The fields beside a grammar that say how it is read.

    Args:
        value: the object that holds them.
        kind: the grammar's syntax.
        prefix: comes before their names in messages.

    Raises:
        ApiError: 400 for values that they cannot have, and for fields that are for Lark only.
    """
    start, semantics, files, indenter = (value.get(field) for field in GRAMMAR_FIELDS)
    if start is not None and (not isinstance(start, str) or not start):
        raise bad_request(f"{prefix}start must be the name of a rule.", param=f"{prefix}start")
    if kind != "lark":
        for field in ("semantics", "files", "indenter"):
            if value.get(field) is not None:
                raise bad_request(
                    f'{prefix}{field} is for "syntax": "lark" only.', param=f"{prefix}{field}"
                )
    if semantics not in (None, "lexed", "scannerless"):
        raise bad_request(
            f'{prefix}semantics must be "lexed" or "scannerless".', param=f"{prefix}semantics"
        )
    is_texts = isinstance(files, dict) and all(isinstance(t, str) for t in files.values())
    if files is not None and not is_texts:
        raise bad_request(
            f"{prefix}files must be an object of Lark texts by path.", param=f"{prefix}files"
        )
    if indenter is not None and not isinstance(indenter, dict):
        raise bad_request(
            f"{prefix}indenter must be an object with the names of terminals.",
            param=f"{prefix}indenter",
        )
    texts = tuple(sorted((files or {}).items()))
    return GrammarReading(start, semantics or "lexed", texts, indenter)
