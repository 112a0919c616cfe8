"""How JSON may be written where the schema leaves it open, and what the schema leaves unsaid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from syntagma.grammar.errors import GrammarSyntaxError

Whitespace = Literal["flexible", "compact", "pretty"]
PropertyOrder = Literal["schema", "any"]
Numbers = Literal["canonical", "any"]
Formats = Literal["enforce", "known", "annotate"]
Slips = Literal["refuse", "annotate"]
StringEscapes = Literal["any", "canonical"]

CHOICES = {
    "whitespace": get_args(Whitespace),
    "property_order": get_args(PropertyOrder),
    "numbers": get_args(Numbers),
    "formats": get_args(Formats),
    "slips": get_args(Slips),
    "string_escapes": get_args(StringEscapes),
}

# Bounds that a request may set; more digits or longer strings are not worked out.
GREATEST = {"max_digits": 400, "max_string": 1_000_000}


class JsonPolicies(TypedDict, total=False):
    """What a caller may choose; what is not given is as in `JsonOptions`."""

    whitespace: Whitespace
    property_order: PropertyOrder
    numbers: Numbers
    formats: Formats
    slips: Slips
    additional_properties_default: bool
    string_escapes: StringEscapes
    max_digits: int | None
    max_string: int | None


POLICIES = tuple(JsonPolicies.__annotations__)


@dataclass(frozen=True, kw_only=True)
class JsonOptions:
    """The policies of one grammar. Most say how values are spelled; ``formats``, ``slips``,
    ``additional_properties_default`` and the bounds also say which there are.

    Attributes:
        whitespace: ``"compact"``: none. ``"flexible"``: at most two blanks, or one line break and
            indentation, before values, keys and closing brackets, one blank before ``:`` and ``,``.
            ``"pretty"``: each item and member on a line of its own, as `json.dumps` does with
            ``indent``; how far it is indented is left open.
        property_order: ``"schema"``: as declared, undeclared ones last. ``"any"``.
        numbers: ``"canonical"``: integers without fraction or exponent, listed numbers as they are
            listed. ``"any"``: zeros may follow behind a point (``1.0``), and integers may have an
            exponent (``1e2``).
        formats: ``"enforce"``: those that are known, others are refused. ``"known"``: those that are
            known, others have no effect. ``"annotate"``: none has an effect.
        slips: keywords that no draft has, but that look like one. ``"refuse"``. ``"annotate"``: they
            have no effect, as the specification has it.
        additional_properties_default: whether a schema that declares properties allows others where
            it does not say; False: see `closed_objects`.
        string_escapes: ``"any"`` that JSON has. ``"canonical"``: only those that `json.dumps` writes
            without ``ensure_ascii``, so that every string has one spelling.
        max_digits: before and behind the point of numbers without a bound, so that a model cannot
            write digits for ever; None: no bound.
        max_string: code points of strings, keys included, to which the schema sets no bound; None:
            no bound.
        max_indent: blanks behind a line break; None: no line breaks, whatever the layout.
        max_exponent_digits: of all numbers.
        is_python: ``None``, ``True`` and ``False`` stand for ``null`` and the booleans.
    """

    whitespace: Whitespace = "flexible"
    property_order: PropertyOrder = "schema"
    numbers: Numbers = "canonical"
    formats: Formats = "enforce"
    slips: Slips = "refuse"
    additional_properties_default: bool = True
    string_escapes: StringEscapes = "any"
    max_digits: int | None = 20
    max_string: int | None = None
    max_indent: int | None = 64
    max_exponent_digits: int = 2
    is_python: bool = False

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise GrammarSyntaxError(
                    f"{name}={value!r} is unknown; choose one of " + ", ".join(map(repr, choices))
                )
        if not isinstance(self.additional_properties_default, bool):
            raise GrammarSyntaxError(
                "additional_properties_default must be true or false, "
                f"not {self.additional_properties_default!r}"
            )
        for name, greatest in GREATEST.items():
            value = getattr(self, name)
            is_count = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (is_count and 1 <= value <= greatest):
                raise GrammarSyntaxError(
                    f"{name} must be a number from 1 to {greatest}, or null for no bound, not {value!r}"
                )

    @property
    def is_fast(self) -> bool:
        """Whether the fast way can spell numbers so, and read formats."""
        return self.numbers == "canonical" and self.formats != "annotate"

    def literal(self, value: bool | None) -> str:
        """How a boolean or null is written."""
        return repr(value) if self.is_python else json.dumps(value)

    def describe(self) -> dict[str, Any]:
        """The policies that a caller can choose, by name."""
        return {name: getattr(self, name) for name in POLICIES}

    @classmethod
    def from_description(cls, policies: Mapping[str, Any]) -> JsonOptions:
        """The options that `describe` told of.

        Raises:
            GrammarSyntaxError: a policy that is not known, or not so.
        """
        unknown = sorted(policies.keys() - set(POLICIES))
        if unknown:
            raise GrammarSyntaxError(
                f"the policy {unknown[0]!r} is unknown; there are {', '.join(POLICIES)}"
            )
        return cls(**policies)
