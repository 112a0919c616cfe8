"""What can be said of a schema besides its grammar: its keywords, remarks on it, its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syntagma.grammar.closed_objects import close_objects
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_judge import SchemaJudge
from syntagma.grammar.schema_lints import Lint, given_values, schema_lints, structural_lints
from syntagma.grammar.schema_places import KeywordUse, keyword_uses, schema_places
from syntagma.grammar.schema_text import JsonSchema, read_schema


class SchemaExamination:
    """A schema that can be read, seen from outside.

    Args:
        schema, schemas: as `GrammarCompiler.compile_json_schema` takes them.
        options: the policies.
        limits: bounds on each question.

    Raises:
        GrammarError: it is no JSON, too large, or cannot be closed as the policies ask.
    """

    def __init__(
        self,
        schema: JsonSchema | str,
        *,
        schemas: Mapping[str, JsonSchema | str] | None = None,
        options: JsonOptions,
        limits: CompileLimits,
    ) -> None:
        self._options = options
        self._limits = limits
        budget = Budget(limits)
        self._given = SchemaDocument.load(schema, budget, options).root
        self._document = SchemaDocument.load(schema, budget, options)
        if not options.additional_properties_default:
            close_objects(self._document, budget)
        self.documents: dict[str, JsonSchema] = {
            uri: read_schema(other, budget)[0] for uri, other in (schemas or {}).items()
        }

    @property
    def root(self) -> JsonSchema:
        """The schema, with what the policies add to it."""
        return self._document.root

    def keywords(self) -> list[KeywordUse]:
        """How each keyword is treated."""
        return keyword_uses(self._given, self._options)

    def lints(self, *, is_refused: bool = False) -> list[Lint]:
        """Remarks on the schema; on one that is refused only what its text tells."""
        if is_refused:
            return structural_lints(self._given, self._options)
        budget = Budget(self._limits)
        return schema_lints(self._given, self._document, self.documents, self._options, budget)

    def judge(self) -> SchemaJudge:
        """An independent judge of values."""
        return SchemaJudge(self.root, self.documents, self._options)

    def values(self) -> Iterator[tuple[str, str, Any]]:
        """The values that schemas give: the schema's pointer, the value's, the value."""
        for place in schema_places(self.root):
            for _, pointer, value in given_values(place):
                yield place.pointer, pointer, value
