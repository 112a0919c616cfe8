"""How JSON may be written where the schema leaves it open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from syntagma.grammar.errors import GrammarSyntaxError

Whitespace = Literal["flexible", "compact"]


@dataclass(frozen=True, kw_only=True)
class JsonOptions:
    """Choices that do not change which values are valid, only how they are spelled.

    Attributes:
        whitespace: ``"compact"``: none. ``"flexible"``: at most two blanks, or one line break and
            indentation, before values, keys and closing brackets, one blank before ``:`` and ``,``.
        max_indent: blanks behind a line break.
        max_integer_digits, max_fraction_digits, max_exponent_digits: of unbounded numbers, so that a
            model cannot write digits for ever.
    """

    whitespace: Whitespace = "flexible"
    max_indent: int = 64
    max_integer_digits: int = 20
    max_fraction_digits: int = 20
    max_exponent_digits: int = 2

    def __post_init__(self) -> None:
        if self.whitespace not in get_args(Whitespace):
            raise GrammarSyntaxError(
                f"whitespace={self.whitespace!r} is unknown; choose one of "
                + ", ".join(map(repr, get_args(Whitespace)))
            )
