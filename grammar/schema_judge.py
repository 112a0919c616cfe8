"""An independent judge of JSON values: the `jsonschema` package, told to calculate exactly."""

from __future__ import annotations

import decimal
import functools
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

import jsonschema
import referencing.exceptions
from jsonschema_specifications import REGISTRY as DRAFTS  # type: ignore[import-untyped]

from syntagma.grammar.json_formats import FORMATS, LOOSE_FORMATS
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_dialects import Dialect, dialect_of
from syntagma.grammar.schema_document import DOCUMENT_URI, MALFORMED
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

# Keywords within keywords; each takes some five frames of Python's stack.
MAX_NESTING = 100


class SchemaJudge:
    """Verdicts on values, by a document or one of its schemas.

    Args:
        root: the document, which compiles.
        documents: others that references may lead into, by URI.
        options: under ``formats="annotate"`` no format counts. Those that the package cannot check
            with what is installed are read by our loose patterns.
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
        self._formats = jsonschema.FormatChecker(formats=())
        if options.formats != "annotate":
            # The draft's own: `time` was another format in draft 3.
            known = VALIDATORS[self._dialect].FORMAT_CHECKER.checkers
            self._formats.checkers = {
                name: known.get(name, (functools.partial(_may_be, name), ())) for name in FORMATS
            }

    def verdict(self, text: str | bytes, *, pointer: str = "") -> bool | None:
        """Whether a JSON text is valid; None: this judge cannot tell.

        Args:
            text: JSON.
            pointer: of the schema that it is to be judged by.
        """
        validator = self._validators.get(pointer)
        if validator is None:
            schema = {"$ref": f"{DOCUMENT_URI}#{quote(pointer)}"}
            validator = self._validators[pointer] = _guarded(self._dialect)(
                schema, registry=self._registry, format_checker=self._formats
            )
        try:
            with decimal.localcontext(prec=PRECISION):
                return bool(validator.is_valid(json.loads(text, parse_float=_number)))
        except (
            _TooDeepError,
            RecursionError,
            re.error,
            decimal.DecimalException,
            referencing.exceptions.Unresolvable,
            *MALFORMED,
        ):
            # The last ones: where a property is called `id`, old drafts take it for an identifier.
            return None


class _TooDeepError(Exception):
    """Keywords are applied within one another without end, or nearly so."""


@functools.cache
def _guarded(dialect: Dialect) -> Any:
    """A validator that gives up where keywords nest too deep.

    Waiting for Python's own limit would be worse: the package's persistent maps do not survive it.
    """
    depth = threading.local()

    def guarded(apply: Callable[..., Iterable[Any]]) -> Callable[..., Iterator[Any]]:
        def counted(*arguments: Any) -> Iterator[Any]:
            depth.value = getattr(depth, "value", 0) + 1
            try:
                if depth.value > MAX_NESTING:
                    raise _TooDeepError
                yield from apply(*arguments) or ()
            finally:
                depth.value -= 1

        return counted

    usual, extend = VALIDATORS[dialect], cast(Any, jsonschema.validators.extend)
    return extend(usual, {name: guarded(apply) for name, apply in usual.VALIDATORS.items()})


def _may_be(name: str, value: object) -> bool:
    """Whether a value may be a text of a format."""
    if not isinstance(value, str):
        return True
    return all(re.fullmatch(pattern, value) for pattern in LOOSE_FORMATS[name])


def _exact(schema: JsonSchema) -> Any:
    """A copy without binary fractions."""
    return json.loads(canonical_text(schema), parse_float=_number)


def _number(text: str) -> int | decimal.Decimal:
    value = decimal.Decimal(text)
    return int(value) if value == value.to_integral_value() else value
