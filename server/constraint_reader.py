"""Request fields -> `Constraint`.

A field that looks like a constraint is either understood completely or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from syntagma.server.constraint_kinds import (
    GRAMMAR_FIELDS,
    POLICY_FIELDS,
    ConstraintKind,
    JsonPolicy,
)
from syntagma.server.constraints import Constraint
from syntagma.server.errors import ApiError, bad_request, shorten
from syntagma.server.grammar_text import grammar_reading, grammar_syntax
from syntagma.server.json_body import parse_json
from syntagma.server.json_policy import said_policies, with_said

CONTEXT_FREE_ADVICE = 'use "structured_outputs": {"grammar": <rules>, "syntax": "lark" or "ebnf"}'
ADVICE = {
    "ebnf": CONTEXT_FREE_ADVICE,
    "lark": CONTEXT_FREE_ADVICE,
    "whitespace_pattern": 'use "whitespace": "flexible" or "compact"',
    "disable_any_whitespace": 'use "whitespace": "compact"',
    "disable_additional_properties": 'use "additional_properties_default": false',
    "disable_fallback": "there is one backend and no fallback; leave it out",
}
MISPLACED_FORMAT_TYPES = {
    "json": '"json_object" or "json_schema"',
    "regex": 'the field "structured_outputs": {"regex": ...}',
    "choice": 'the field "structured_outputs": {"choice": [...]}',
    "grammar": 'the field "structured_outputs": {"grammar": ..., "syntax": "lark" or "ebnf"}',
}

# Fields that hold a constraint's source.
KINDS = ("json", "regex", "choice", "json_object", "grammar", "structural_tag", "language")
CHECKED_KINDS = ("json_schema", *KINDS[1:], "ebnf", "lark")

# Fields of context-free grammars, and the syntax of those that name it.
GRAMMAR_KINDS: dict[str, ConstraintKind] = {"grammar": "lark", "ebnf": "ebnf", "lark": "lark"}

JSON_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


@dataclass(frozen=True)
class ConstraintReader:
    """Reads constraint fields under the server's defaults.

    Attributes:
        policy: where a request does not say.
        max_depth: nesting of a schema sent as text.
    """

    policy: JsonPolicy
    max_depth: int

    def under(self, value: Mapping[str, Any] | None) -> ConstraintReader:
        """A reader for a request: ``structured_outputs`` without a kind says how the JSON of
        ``response_format`` or a forced tool call is written.

        Raises:
            ApiError: 400 for a value that a policy cannot have.
        """
        if not _says_only_policies(value):
            return self
        return replace(self, policy=with_said(self.policy, value or {}, "structured_outputs"))

    def response_format(self, value: Mapping[str, Any] | None) -> Constraint | None:
        """OpenAI's ``response_format``."""
        if value is None:
            return None
        kind = value.get("type")
        if kind == "json_schema":
            return self._json_schema_format(value)
        if kind == "structural_tag":
            return Constraint("structural_tag", dict(value), "response_format", self.policy)
        if kind not in ("text", "json_object"):
            raise _unknown_format_type(kind)
        _refuse_unknown(value, {"type"}, "response_format")
        if kind == "text":
            return None
        return Constraint("json_object", None, "response_format", self.policy)

    def _json_schema_format(self, value: Mapping[str, Any]) -> Constraint:
        _refuse_unknown(value, {"type", "json_schema"}, "response_format")
        param = "response_format.json_schema"
        inner = value.get("json_schema")
        if not isinstance(inner, dict):
            raise bad_request(f'{param} must be an object with "name" and "schema".', param=param)
        _refuse_unknown(inner, {"name", "schema", "strict", "description"}, param)
        if not isinstance(inner.get("name"), str) or not inner["name"]:
            raise bad_request(f"{param}.name must be a non-empty string.", param=f"{param}.name")
        _check_flag(inner.get("strict"), f"{param}.strict")
        param = f"{param}.schema"
        schema = self._schema_source(inner.get("schema"), param)
        return Constraint("json_schema", schema, param, self.policy)

    def structured_outputs(self, value: Mapping[str, Any] | None) -> Constraint | None:
        """vLLM's ``structured_outputs``: exactly one kind of constraint, or policies only."""
        if value is None or _says_only_policies(value):
            return None
        return self._one_kind(value, "structured_outputs", KINDS)

    def grammar_check(self, body: Mapping[str, Any]) -> Constraint:
        """The body of ``/v1/grammars/check``, its own fields left out."""
        return self._one_kind(body, "", CHECKED_KINDS)

    def _one_kind(
        self, value: Mapping[str, Any], param: str, fields: tuple[str, ...]
    ) -> Constraint:
        if value.get("language") is not None:
            return _language(value, param, fields)
        beside = {*POLICY_FIELDS, "schemas", "syntax", *GRAMMAR_FIELDS}
        _refuse_unknown(value, {*fields, *beside}, param)
        _check_flag(value.get("json_object"), _join(param, "json_object"))
        given = [field for field in fields if _is_given(field, value.get(field))]
        if len(given) != 1:
            told = f"{' and '.join(given)} are given" if given else "none is given"
            subject = param or "The body"
            raise bad_request(
                f"{subject} needs exactly one of {', '.join(fields)}; {told}.", param=param or None
            )
        field = given[0]
        source, at = value[field], _join(param, field)
        if field in ("regex", "choice", *GRAMMAR_KINDS):
            _refuse_json_fields(value, (*POLICY_FIELDS, "schemas"), param, field)
        if field not in GRAMMAR_KINDS:
            _refuse_grammar_fields(value, param, field)
        if field == "regex":
            return Constraint("regex", _text_source(source, at, "invalid_regex"), at)
        if field in GRAMMAR_KINDS:
            kind = grammar_syntax(value, at) if field == "grammar" else GRAMMAR_KINDS[field]
            if field != "grammar" and value.get("syntax") not in (None, kind):
                raise bad_request(
                    f"{at} has a syntax already: {kind}.", param=_join(param, "syntax")
                )
            text = _text_source(source, at, f"invalid_{kind}")
            return Constraint(
                kind, text, at, reading=grammar_reading(value, kind, _join(param, ""))
            )
        if field == "choice":
            return Constraint("choice", _choice_source(source, at), at)
        policy = with_said(self.policy, value, param)
        if field != "json" and field != "json_schema":
            _refuse_json_fields(value, ("schemas",), param, field)
        if field == "structural_tag":
            return Constraint("structural_tag", self._tag_source(source, at), at, policy)
        if field == "json_object":
            return Constraint("json_object", None, at, policy)
        schema = self._schema_source(source, at)
        schemas = self._schemas(value.get("schemas"), _join(param, "schemas"))
        return Constraint("json_schema", schema, at, policy, schemas=schemas)

    def _schemas(self, value: Any, param: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise bad_request(
                f"{param} must be an object of JSON Schemas by URI, not {_type_name(value)}.",
                param=param,
            )
        return {uri: self._schema_source(schema, param) for uri, schema in value.items()}

    def _tag_source(self, value: Any, param: str) -> dict[str, Any]:
        if isinstance(value, str):
            text = value.encode("utf-8")
            what = f"The text in {param}"
            value = parse_json(text, max_depth=self.max_depth, what=what, param=param)
        if not isinstance(value, dict):
            raise bad_request(
                f'{param} must be an object with "type": "structural_tag", or its text, not '
                f"{_type_name(value)}.",
                param=param,
                code="invalid_structural_tag",
            )
        return value

    def _schema_source(self, value: Any, param: str) -> dict[str, Any] | bool:
        if isinstance(value, str):
            text = value.encode("utf-8")
            what = f"The text in {param}"
            value = parse_json(text, max_depth=self.max_depth, what=what, param=param)
        if not isinstance(value, dict | bool):
            raise bad_request(
                f"{param} must be a JSON Schema (an object), not {_type_name(value)}.",
                param=param,
                code="invalid_json_schema",
            )
        return value


def _language(value: Mapping[str, Any], param: str, fields: tuple[str, ...]) -> Constraint:
    """A language by its name; what stands beside it are its options, which the compiler checks."""
    at = _join(param, "language")
    source = {field: content for field, content in value.items() if content is not None}
    _text_source(source["language"], at, "invalid_language")
    doubled = [
        field for field in fields if field != "language" and _is_given(field, source.get(field))
    ]
    if doubled:
        raise bad_request(
            f"{param or 'The body'} needs exactly one of {', '.join(fields)}; "
            f"{doubled[0]} and language are given.",
            param=param or None,
        )
    return Constraint("language", source, at)


def _refuse_json_fields(
    value: Mapping[str, Any], fields: tuple[str, ...], param: str, kind: str
) -> None:
    for field in fields:
        if value.get(field) is not None:
            raise bad_request(
                f"{field} is for JSON Schemas; it says nothing about a {kind}.",
                param=_join(param, field),
            )


def _refuse_grammar_fields(value: Mapping[str, Any], param: str, kind: str) -> None:
    for field in ("syntax", *GRAMMAR_FIELDS):
        if value.get(field) is not None:
            raise bad_request(
                f"{field} is for context-free grammars; it says nothing about a {kind}.",
                param=_join(param, field),
            )


def _says_only_policies(value: Mapping[str, Any] | None) -> bool:
    if value is None or not said_policies(value):
        return False
    return all(field in POLICY_FIELDS or content is None for field, content in value.items())


def _is_given(field: str, value: Any) -> bool:
    # `true` and `false` are schemas, but "json_object": false only says "not this one".
    return value is not None and not (field == "json_object" and value is False)


def _text_source(value: Any, param: str, code: str) -> str:
    if not isinstance(value, str):
        raise bad_request(
            f"{param} must be a string, not {_type_name(value)}.", param=param, code=code
        )
    return value


def _choice_source(value: Any, param: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise bad_request(
            f"{param} must be a non-empty list of strings.", param=param, code="invalid_choice"
        )
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise bad_request(
                f"{param}[{index}] must be a string, not {_type_name(item)}.",
                param=f"{param}[{index}]",
                code="invalid_choice",
            )
    return value


def _check_flag(value: Any, param: str) -> None:
    if not isinstance(value, bool | None):
        raise bad_request(f"{param} must be true or false, not {_type_name(value)}.", param=param)


def _refuse_unknown(value: Mapping[str, Any], known: set[str], param: str) -> None:
    for field, content in value.items():
        if field not in known and not (field in ADVICE and content in (None, False)):
            at = _join(param, shorten(field, 80))
            advice = ADVICE.get(field, f"the fields here are {', '.join(sorted(known))}")
            raise bad_request(f"{at} is not supported: {advice}.", param=at, code="unknown_field")


def _unknown_format_type(kind: Any) -> ApiError:
    told = MISPLACED_FORMAT_TYPES.get(kind) if isinstance(kind, str) else None
    advice = (
        f"use {told}" if told else 'use "text", "json_object", "json_schema" or "structural_tag"'
    )
    shown = f" {shorten(kind, 80)!r}" if isinstance(kind, str) else ""
    return bad_request(
        f"response_format.type{shown} is not supported: {advice}.", param="response_format.type"
    )


def _join(param: str, field: str) -> str:
    return f"{param}.{field}" if param else field


def _type_name(value: Any) -> str:
    return JSON_TYPE_NAMES.get(type(value), "this")
