"""An independent judge of JSON values: the `jsonschema` package, told to calculate exactly."""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jsonschema
import referencing.exceptions
from jsonschema_specifications import REGISTRY as DRAFTS  # type: ignore[import-untyped]

from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_dialects import Dialect, dialect_of
from syntagma.grammar.schema_document import DOCUMENT_URI
from syntagma.grammar.schema_text import JsonSchema, canonical_text
from syntagma.grammar.schema_universe import SPECIFICATIONS

VALIDATORS: dict[Dialect, Any] = {
    Dialect.DRAFT4: jsonschema.Draft4Validator,
    Dialect.DRAFT6: jsonschema.Draft6Validator,
    Dialect.DRAFT7: jsonschema.Draft7Validator,
    Dialect.DRAFT2019: jsonschema.Draft201909Validator,
    Dialect.DRAFT2020: jsonschema.Draft202012Validator,
}
# Digits that sums and remainders of JSON numbers may need.
PRECISION = 1200


class SchemaJudge:
    """Verdicts on values, by a document or one of its schemas.

    Args:
        root: the document, which compiles.
        documents: others that references may lead into, by URI.
        options: under ``formats="annotate"`` no format counts. Those that the package cannot check
            with what is installed never do.
    """

    def __init__(
        self, root: JsonSchema, documents: Mapping[str, JsonSchema], options: JsonOptions
    ) -> None:
        self._dialect = dialect_of(root, Dialect.DRAFT2020)
        found = {uri: _exact(schema) for uri, schema in [*documents.items(), (DOCUMENT_URI, root)]}
        self._registry: Any = DRAFTS.with_resources(
            (uri, SPECIFICATIONS[dialect_of(schema, self._dialect)].create_resource(schema))
            for uri, schema in found.items()
        )
        self._validators: dict[str, Any] = {}
        names = jsonschema.FormatChecker.checkers if options.formats != "annotate" else ()
        self._formats = jsonschema.FormatChecker(formats=[n for n in names if n in FORMATS])

    def verdict(self, text: str | bytes, *, pointer: str = "") -> bool | None:
        """Whether a JSON text is valid; None: this judge cannot tell.

        Args:
            text: JSON.
            pointer: of the schema that it is to be judged by.
        """
        validator = self._validators.get(pointer)
        if validator is None:
            schema = {"$ref": f"{DOCUMENT_URI}#{quote(pointer)}"}
            validator = self._validators[pointer] = VALIDATORS[self._dialect](
                schema, registry=self._registry, format_checker=self._formats
            )
        try:
            with decimal.localcontext(prec=PRECISION):
                return bool(validator.is_valid(json.loads(text, parse_float=_number)))
        except (
            RecursionError,
            re.error,
            decimal.DecimalException,
            referencing.exceptions.Unresolvable,
        ):
            return None


def _exact(schema: JsonSchema) -> Any:
    """A copy without binary fractions."""
    return json.loads(canonical_text(schema), parse_float=_number)


def _number(text: str) -> int | decimal.Decimal:
    value = decimal.Decimal(text)
    return int(value) if value == value.to_integral_value() else value
