"""How JSON may be written where the schema leaves it open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from syntagma.grammar.errors import GrammarSyntaxError

Whitespace = Literal["flexible", "compact"]
PropertyOrder = Literal["schema", "any"]
Numbers = Literal["canonical", "any"]
Formats = Literal["enforce", "known", "annotate"]

CHOICES = {
    "whitespace": get_args(Whitespace),
    "property_order": get_args(PropertyOrder),
    "numbers": get_args(Numbers),
    "formats": get_args(Formats),
}


@dataclass(frozen=True, kw_only=True)
class JsonOptions:
    """Choices that do not change which values are valid, only how they are spelled.

    Attributes:
        whitespace: ``"compact"``: none. ``"flexible"``: at most two blanks, or one line break and
            indentation, before values, keys and closing brackets, one blank before ``:`` and ``,``.
        property_order: ``"schema"``: as declared, undeclared ones last. ``"any"``.
        numbers: ``"canonical"``: integers without fraction or exponent, listed numbers as they are
            listed. ``"any"``: zeros may follow behind a point (``1.0``).
        formats: ``"enforce"``: those that are known, others are refused. ``"known"``: those that are
            known, others have no effect. ``"annotate"``: none has an effect.
        max_indent: blanks behind a line break.
        max_integer_digits, max_fraction_digits, max_exponent_digits: of unbounded numbers, so that a
            model cannot write digits for ever.
    """

    whitespace: Whitespace = "flexible"
    property_order: PropertyOrder = "schema"
    numbers: Numbers = "canonical"
    formats: Formats = "enforce"
    max_indent: int = 64
    max_integer_digits: int = 20
    max_fraction_digits: int = 20
    max_exponent_digits: int = 2

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise GrammarSyntaxError(
                    f"{name}={value!r} is unknown; choose one of " + ", ".join(map(repr, choices))
                )

    @property
    def is_usual(self) -> bool:
        """Whether order, numbers and formats are treated as they are by default."""
        return (self.property_order, self.numbers, self.formats) == (
            "schema",
            "canonical",
            "enforce",
        )
