"""Errors of the `lark` package, with the place in the grammar that they are about."""

from __future__ import annotations

import itertools
import re

from lark.exceptions import UnexpectedInput, VisitError

from syntagma.grammar.errors import GrammarError, GrammarLimitError
from syntagma.grammar.grammar_source import GrammarSource
from syntagma.grammar.lark_scanner import Word

_PLACE = re.compile(r"(?:at )?line (\d+),? column (\d+)")


def located(error: Exception, source: GrammarSource, words: list[Word]) -> GrammarError:
    """An error of the package with the place it is about."""
    while isinstance(error, VisitError):
        error = error.orig_exc
    if isinstance(error, GrammarError):
        return error
    if isinstance(error, RecursionError):
        return too_deep()
    message = str(error).strip().split("\n")[0].rstrip(": ")
    if isinstance(error, UnexpectedInput) and error.line and error.column:
        place: re.Match[str] | None = None
        line, column = error.line, error.column
    else:
        place = _PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
    if line > 0:
        if place is not None:
            message = message[: place.start()].rstrip(" ,")
        lines = source.text.split("\n")
        position = min(
            sum(len(part) + 1 for part in lines[: line - 1]) + column - 1, len(source.text)
        )
    else:
        position = _mentioned(message, words)
    message = message or "this grammar cannot be read"
    return source.error(message[0].lower() + message[1:], position)


def too_deep() -> GrammarLimitError:
    """What is said of grammars on which the package recurses too far."""
    return GrammarLimitError(
        "Lark: the grammar nests too deeply to be read", limit="max_regex_depth"
    )


def not_made(name: str, source: GrammarSource, words: list[Word]) -> GrammarError:
    """What is said of a declared terminal that no indenter makes."""
    position = next((word.position for word in words if word.text == "%declare"), 0)
    return source.unsupported(
        f"%declare: {source.shown(name)} is made by code beside the grammar, which is not supported",
        position,
        keyword="%declare",
        hint='what an indenter makes can be named: "indenter": {"indent": ..., "dedent": ...}',
    )


def position_of(name: str, raw: str | None, words: list[Word]) -> int:
    """Where a terminal is defined or, if it is made of a literal, where that stands."""
    for word, after in zip(words, [*words[1:], Word("", "", 0)], strict=True):
        if word.text == name and after.text in (":", "."):
            return word.position
    return next((word.position for word in words if word.text in (raw, name)), 0)


def _mentioned(message: str, words: list[Word]) -> int:
    """Where what an error message is about stands, by the names in it."""
    if message.startswith("Bad Range"):
        for word, low, dots, high in zip(words, words[1:], words[2:], words[3:], strict=False):
            if word.text == "~" and dots.text == ".." and int(low.text) > int(high.text):
                return word.position
    uses: dict[str, int] = {}
    definitions: dict[str, int] = {}
    for word, after in itertools.pairwise([*words, Word("", "", 0)]):
        uses.setdefault(word.text, word.position)
        if after.text in (":", "."):
            definitions.setdefault(word.text, word.position)
    quoted = re.findall(r"[`'\"(]+([A-Za-z_][A-Za-z0-9_]*)", message)
    others = [name for name in re.findall(r"\w+", message) if "_" in name or name.isupper()]
    for name in quoted + others:
        if name in definitions and "used but not defined" not in message:
            return definitions[name]
        if name in uses:
            return uses[name]
    return 0
