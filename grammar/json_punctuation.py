"""The punctuation of JSON texts, with the white space beside it.

As a terminal of its own white space gave a parser state more before every key and bracket. All is built once for
the process.
"""

from __future__ import annotations

import functools

from syntagma.grammar import ir
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.json_options import JsonOptions, Whitespace
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import WordList

BLANKS = ast.CharSet(((9, 9), (0x20, 0x20)))


class Punctuation:
    """The punctuation of one layout.

    Attributes:
        opening, closing: brackets, with the white space that may stand behind or before them.
        comma, colon: with the white space around them: a blank before, more behind.
    """

    def __init__(self, options: JsonOptions) -> None:
        layout, max_indent = options.whitespace, options.max_indent
        if max_indent is None and layout == "pretty":
            layout = "flexible"
        self.layout = layout
        self.opening = {bracket: _spaced_behind(bracket, layout, max_indent) for bracket in "[{"}
        self.closing = {bracket: _spaced_before(bracket, layout, max_indent) for bracket in "]}"}
        self.comma = _separator(",", layout, max_indent)
        self.colon = _separator(":", layout, max_indent)

    @property
    def terminals(self) -> list[ir.Terminal]:
        """All of it, most wanted first."""
        return [self.comma, self.colon, *self.opening.values(), *self.closing.values()]

    def enclosed(self, brackets: str, *contents: ir.Node, may_be_empty: bool) -> ir.Node:
        """What stands between two brackets.

        Args:
            brackets: the opening one and the closing one.
            contents: alternatives, each with the closing bracket at its end.
            may_be_empty: whether there may be nothing between them.
        """
        opening = self.opening[brackets[0]]
        if self.layout == "pretty":
            # Nothing between them: no line break either.
            filled = ir.Sequence((opening, ir.choice(*contents)))
            return ir.choice(*([literal(brackets)] if may_be_empty else []), filled)
        empty = [literal(brackets[1])] if may_be_empty else []
        return ir.Sequence((opening, ir.choice(*empty, *contents)))


@functools.cache
def literal(*texts: str) -> ir.Terminal:
    """Any of some texts."""
    return ir.Terminal(WordList(text.encode() for text in texts))


@functools.cache
def _spaced_behind(text: str, layout: Whitespace, max_indent: int | None) -> ir.Terminal:
    if layout == "compact":
        return literal(text)
    return _bytes(ast.concat(ast.literal(text.encode()), _space(layout, max_indent)))


@functools.cache
def _spaced_before(text: str, layout: Whitespace, max_indent: int | None) -> ir.Terminal:
    if layout == "compact":
        return literal(text)
    return _bytes(ast.concat(_space(layout, max_indent), ast.literal(text.encode())))


@functools.cache
def _separator(text: str, layout: Whitespace, max_indent: int | None) -> ir.Terminal:
    if layout == "compact":
        return literal(text)
    if layout == "pretty":
        if text == ":":
            return literal(": ")
        return _spaced_behind(text, layout, max_indent)
    blank = ast.optional(ast.literal(b" "))
    return _bytes(ast.concat(blank, ast.literal(text.encode()), _space(layout, max_indent)))


def _space(layout: Whitespace, max_indent: int | None) -> ast.Node:
    """Two blanks at most, or a line break and an indentation; the latter only: ``"pretty"``."""
    if max_indent is None:
        return ast.Repeat(BLANKS, 0, 2)
    if layout == "pretty":
        return ast.concat(ast.literal(b"\n"), ast.Repeat(BLANKS, 0, max_indent))
    line_break = ast.concat(ast.optional(ast.literal(b"\r")), ast.literal(b"\n"))
    return ast.union(
        [ast.Repeat(BLANKS, 0, 2), ast.concat(line_break, ast.Repeat(BLANKS, 0, max_indent))]
    )


def _bytes(tree: ast.Node) -> ir.Terminal:
    return ir.Terminal(dfa_from_bytes(tree, Budget.unlimited()))
