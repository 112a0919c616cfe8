"""What Lark's `Indenter` does, as data: which terminals it makes of line breaks.

The package counts indentation by code beside the grammar: a post-lexer that puts a terminal where a line is
indented further than the one before and one for every block that has ended, unless brackets are open.
A request carries no code, so the names that such code is made of are given as an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from syntagma.grammar.captures import MAX_TAB_LENGTH
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.grammar_source import GrammarSource, closest
from syntagma.grammar.lark_errors import not_made
from syntagma.grammar.lark_scanner import Word
from syntagma.grammar.schema_text import shorten

# The names that the package's own indenter for Python has, and those of its other examples.
NEWLINES = ("_NEWLINE", "_NL")
OPEN = ("LPAR", "LSQB", "LBRACE")
CLOSE = ("RPAR", "RSQB", "RBRACE")
FIELDS = ("newline", "indent", "dedent", "open", "close", "tab_length")


@dataclass(frozen=True)
class Indenter:
    """The parameters of an indenter.

    Attributes:
        newline: the terminal that matches a line break and the blanks behind it; None: the one of NEWLINES
            that the grammar has.
        indent: what stands before the first line of a block.
        dedent: what stands behind its last.
        open: terminals behind which line breaks are skipped.
        close: those that end that.
        tab_length: how many spaces a tab is worth.
    """

    newline: str | None = None
    indent: str = "_INDENT"
    dedent: str = "_DEDENT"
    open: tuple[str, ...] = OPEN
    close: tuple[str, ...] = CLOSE
    tab_length: int = 8

    @classmethod
    def from_value(cls, value: object) -> Indenter:
        """Read an object with some of FIELDS.

        Raises:
            GrammarSyntaxError: it is none, or a field is not known or not of its type.
        """
        if not isinstance(value, Mapping):
            raise GrammarSyntaxError(
                f"an indenter must be an object with some of {', '.join(FIELDS)}, not "
                f"{type(value).__name__}"
            )
        fields = {}
        for name, given in value.items():
            if name not in FIELDS:
                guess = closest(str(name), FIELDS)
                raise GrammarSyntaxError(
                    f"an indenter has no field {shorten(repr(name))}; its fields are "
                    f"{', '.join(FIELDS)}" + (f"; did you mean {guess!r}?" if guess else "")
                )
            fields[name] = _read(name, given)
        return cls(**fields)

    @property
    def names_brackets(self) -> bool:
        """Whether brackets were given, and not taken to be the usual ones."""
        return (self.open, self.close) != (OPEN, CLOSE)

    def brackets(self) -> Iterable[tuple[str, int]]:
        """Names of brackets, each with 1 where it opens and -1 where it closes."""
        yield from ((name, 1) for name in self.open)
        yield from ((name, -1) for name in self.close)


def named_indenter(
    indenter: Indenter | None, definitions: Any, words: list[Word], source: GrammarSource
) -> Indenter | None:
    """The indenter of a grammar: one that is asked for, or the usual one where terminals are declared.

    Args:
        indenter: what is asked for.
        definitions: Lark's, before they are compiled.
        words: of the grammar.
        source: for errors.

    Raises:
        GrammarSyntaxError: the grammar has no such terminals.
        UnsupportedGrammarError: something else is declared, too.
    """
    patterns = {str(name): tree for name, (tree, _) in definitions.term_defs}
    declared = [name for name, tree in patterns.items() if tree is None]
    declared += [str(name) for name, _, tree, _ in definitions.rule_defs if tree is None]
    if indenter is None and not declared:
        return None
    indenter = indenter or Indenter()
    for name in declared:
        if name not in (indenter.indent, indenter.dedent):
            raise not_made(name, source, words)
    place = next((word.position for word in words if word.text == "%declare"), 0)
    for name in (indenter.indent, indenter.dedent):
        if patterns.get(name, True) is not None:
            told = "has a pattern" if name in patterns else "is not declared"
            raise source.error(
                f"terminal {source.shown(name)}, which an indenter is to make, {told}",
                place,
                hint=f"write '%declare {indenter.indent} {indenter.dedent}'",
            )
    names = NEWLINES if indenter.newline is None else (indenter.newline,)
    found = [name for name in names if patterns.get(name) is not None]
    if len(found) != 1:
        told = " and ".join(map(source.shown, found))
        raise source.error(
            f"an indenter needs a terminal for line breaks, and the grammar has {told}"
            if found
            else f"an indenter needs a terminal for line breaks; there is no {' or '.join(names)}",
            place,
            hint='name it: "indenter": {"newline": ...}',
        )
    if found[0] in definitions.ignore:
        raise source.error(
            f"terminal {source.shown(found[0])} is ignored, so an indenter never gets to see it",
            place,
        )
    return replace(indenter, newline=found[0])


def _read(name: str, given: Any) -> Any:
    if name == "tab_length":
        if type(given) is not int or not 0 < given <= MAX_TAB_LENGTH:
            raise GrammarSyntaxError(
                f"an indenter's tab_length must be 1 to {MAX_TAB_LENGTH}, not {shorten(repr(given))}"
            )
        return given
    if name in ("open", "close"):
        if not isinstance(given, list | tuple) or not all(isinstance(n, str) for n in given):
            raise GrammarSyntaxError(
                f"an indenter's {name} must be a list of terminals' names, not {shorten(repr(given))}"
            )
        return tuple(given)
    if not isinstance(given, str):
        raise GrammarSyntaxError(
            f"an indenter's {name} must be a terminal's name, not {shorten(repr(given))}"
        )
    return given
