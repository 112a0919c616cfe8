"""How a constraint is written in a request: schema, regex, choice, grammar, language, structural tag,
raw ``response_format``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from syntagma.clients.options import GrammarOptions, JsonPolicies, JsonSchema, Schema

_CONSTRAINTS = (
    "response_format",
    "schema",
    "regex",
    "choice",
    "grammar",
    "language",
    "structural_tag",
)
POLICIES = tuple(JsonPolicies.__annotations__)
# What belongs to a grammar: its syntax and how it is read.
_BESIDE_GRAMMAR = tuple(name for name in GrammarOptions.__annotations__ if name != "grammar")


def chat_constraint(options: Mapping[str, Any]) -> dict[str, object]:
    """Return the body fields for the one constraint among ``options``, none without one."""
    name, value = _the_constraint(options)
    policies = json_policies(options)
    if name == "schema" and "schemas" not in policies:
        response_format = _json_schema_format(json_schema(value))
    elif name == "response_format":
        response_format = dict(value)
    else:
        return completion_constraint(options)
    # Policies alone say how the JSON of the other field is written.
    return {
        "response_format": response_format,
        **({"structured_outputs": policies} if policies else {}),
    }


def completion_constraint(options: Mapping[str, Any]) -> dict[str, object]:
    """The same for a plain completion, which has no ``response_format`` in OpenAI's API."""
    source = _source(options, schema_field="json") | json_policies(options)
    return {"structured_outputs": source} if source else {}


def check_constraint(options: Mapping[str, Any]) -> dict[str, object]:
    """The same for a check, whose body is the constraint."""
    source = _source(options, schema_field="json_schema")
    return source | json_policies(options) if source else {}


def json_policies(options: Mapping[str, Any]) -> dict[str, object]:
    """The policies among ``options``; the server spells "no bound" as null."""
    found = {name: options[name] for name in POLICIES if options.get(name) is not None}
    for name in ("max_digits", "max_string"):
        if found.get(name) == "none":
            found[name] = None
    return found


def json_schema(schema: Schema) -> JsonSchema:
    """Return the JSON schema itself; a type's is pydantic's, unchanged."""
    if isinstance(schema, (bool, Mapping)):
        return schema
    if isinstance(schema, (str, bytes)):
        raise TypeError("schema must be a mapping, a bool or a type, not text; use json.loads")
    return type_adapter(schema).json_schema()


def type_adapter(output_type: Any) -> TypeAdapter[Any]:
    return output_type if isinstance(output_type, TypeAdapter) else TypeAdapter(output_type)


def choice_options(options: Sequence[str]) -> list[str]:
    """Check the strings to choose from; a lone string would be read as its letters."""
    choices = [] if isinstance(options, str) else list(options)
    if isinstance(options, str) or not all(isinstance(choice, str) for choice in choices):
        raise TypeError(f"choice must be a list of strings, got {options!r}")
    if not choices:
        raise ValueError("choice must offer at least one string")
    return choices


def grammar_fields(options: Mapping[str, Any]) -> dict[str, object]:
    """A context-free grammar and what is said about it."""
    grammar = options["grammar"]
    if not isinstance(grammar, str):
        raise TypeError(f"grammar must be a string, got {grammar!r}")
    if options.get("syntax") is None:
        raise ValueError('grammar needs syntax="lark" or syntax="ebnf"')
    beside = {name: options[name] for name in _BESIDE_GRAMMAR if options.get(name) is not None}
    return {"grammar": grammar, **beside}


def language_fields(options: Mapping[str, Any]) -> dict[str, object]:
    """A language and its options, which stand beside its name."""
    language, beside = options["language"], options.get("language_options") or {}
    if not isinstance(language, str):
        raise TypeError(f"language must be a string, got {language!r}")
    if not isinstance(beside, Mapping):
        raise TypeError(f"language_options must be a mapping, got {beside!r}")
    if "language" in beside:
        raise ValueError("language_options repeats 'language'")
    return {"language": language, **beside}


def _the_constraint(options: Mapping[str, Any]) -> tuple[str | None, Any]:
    given = {name: options[name] for name in _CONSTRAINTS if options.get(name) is not None}
    response_format = given.get("response_format")
    if not isinstance(response_format, (Mapping, type(None))):
        raise TypeError(
            f"response_format must be a mapping, got {response_format!r}; for a type use schema"
        )
    beside = [name for name in _BESIDE_GRAMMAR if options.get(name) is not None]
    if beside and "grammar" not in given:
        raise ValueError(f"{beside[0]} says how a grammar is read; give grammar")
    if options.get("language_options") is not None and "language" not in given:
        raise ValueError("language_options are options of a language; give language")
    if len(given) > 1:
        raise ValueError(f"give one constraint, got {' and '.join(given)}")
    return next(iter(given.items()), (None, None))


def _source(options: Mapping[str, Any], *, schema_field: str) -> dict[str, object]:
    match _the_constraint(options):
        case "schema", schema:
            return {schema_field: json_schema(schema)}
        case "regex", str(pattern):
            return {"regex": pattern}
        case "regex", other:
            raise TypeError(f"regex must be a string, got {other!r}")
        case "grammar", _:
            return grammar_fields(options)
        case "language", _:
            return language_fields(options)
        case "choice", choices:
            return {"choice": choice_options(choices)}
        case "structural_tag", str() | Mapping() as tag:
            return {"structural_tag": tag if isinstance(tag, str) else dict(tag)}
        case "structural_tag", other:
            raise TypeError(f"structural_tag must be a mapping or its JSON text, got {other!r}")
        case _:
            return {}


def _json_schema_format(schema: JsonSchema) -> dict[str, object]:
    title = schema.get("title") if isinstance(schema, Mapping) else None
    # OpenAI's rule for names: at most 64 letters, digits, underscores and hyphens.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", title)[:64] if isinstance(title, str) else ""
    return {
        "type": "json_schema",
        "json_schema": {"name": name or "schema", "schema": schema, "strict": True},
    }
