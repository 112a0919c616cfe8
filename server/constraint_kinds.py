"""The words for constraints and policies; apart, so that the command line needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from syntagma.grammar.json_options import JsonPolicies

ConstraintKind = Literal[
    "json_schema",
    "json_object",
    "regex",
    "choice",
    "ebnf",
    "lark",
    "structural_tag",
    "language",
]

# The formats of tool calls in `template_format`, and what the setting may say.
ToolFormatName = Literal[
    "hermes",
    "llama3_json",
    "mistral",
    "pythonic",
    "qwen3_coder",
    "deepseek_v3",
    "deepseek_v31",
    "kimi_k2",
    "glm45",
    "glm47",
    "harmony",
]
ToolCallParser = Literal[ToolFormatName, "qwen3_xml", "auto", "none"]

# What says how a context-free grammar is read.
GRAMMAR_FIELDS = ("start", "semantics", "files", "indenter")


@dataclass(frozen=True)
class GrammarReading:
    """How a context-free grammar is read.

    Attributes:
        start: the rule to start from; None: as the syntax has it.
        semantics: of Lark: whether its lexer counts.
        files: texts that Lark's ``%import`` may lead into, with their paths.
        indenter: of Lark: the terminals that tell indentation; None: the usual ones, if any.
    """

    start: str | None = None
    semantics: Literal["lexed", "scannerless"] = "lexed"
    files: tuple[tuple[str, str], ...] = ()
    indenter: Mapping[str, Any] | None = None


Whitespace = Literal["flexible", "compact", "pretty"]
PropertyOrder = Literal["schema", "any"]
Numbers = Literal["canonical", "any"]
Formats = Literal["enforce", "known", "annotate"]
Slips = Literal["refuse", "annotate"]
StringEscapes = Literal["any", "canonical"]


@dataclass(frozen=True, kw_only=True)
class JsonPolicy:
    """One choice for each policy; `grammar.json_options.JsonOptions` says what they mean."""

    whitespace: Whitespace = "flexible"
    property_order: PropertyOrder = "schema"
    numbers: Numbers = "canonical"
    formats: Formats = "enforce"
    slips: Slips = "refuse"
    additional_properties_default: bool = True
    string_escapes: StringEscapes = "any"
    max_digits: int | None = 20
    max_string: int | None = None

    def keywords(self) -> JsonPolicies:
        """The arguments of the compiler."""
        return cast("JsonPolicies", asdict(self))


POLICY_FIELDS = tuple(field.name for field in fields(JsonPolicy))
# Greatest values; null lifts the bound.
BOUNDS = {"max_digits": 400, "max_string": 1_000_000}
