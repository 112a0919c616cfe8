"""The constraints of one schema, which are read in fewer steps, are those of it beside one that asks for nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_conjunction import goal_of, normal_goal
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_forms import (
    allowed_types,
    array_form,
    listed_values,
    object_form,
    only_type,
    string_bounds,
)
from syntagma.grammar.schema_keywords import TYPE_SETS
from syntagma.grammar.schema_plain import NeedsMoreError

NAMES = ["a", "b", "c"]
MEMBERS = st.sampled_from(
    [True, False, {}, {"type": "null"}, {"title": "t"}, {"$ref": "#/$defs/d"}]
)
COUNTS = st.integers(0, 3) | st.sampled_from([2.0])
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "array", "object", "integer", ["string", "null"]]),
        "enum": st.lists(st.sampled_from(["a", 1, None, True, 2.5, [1]]), max_size=3),
        "const": st.sampled_from(["a", 1, None]),
        "title": st.just("t"),
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "pattern": st.just("^a"),
        "format": st.sampled_from(["date", "unknown"]),
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "items": MEMBERS,
        "prefixItems": st.lists(MEMBERS, min_size=1, max_size=2),
        "properties": st.dictionaries(st.sampled_from(NAMES), MEMBERS),
        "required": st.lists(st.sampled_from(NAMES)),
        "additionalProperties": MEMBERS,
    },
)


def values_of(branch: Any) -> Any:
    try:
        return listed_values(branch)
    except NeedsMoreError:
        return NeedsMoreError


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS)
def test_one_schema_is_read_as_beside_an_empty_one(schema: dict[str, Any]) -> None:
    budget = Budget.unlimited()
    whole = {"$defs": {"d": {"type": "null"}}, "not": schema, "then": {}}
    document = SchemaDocument.load(whole, budget)
    assert isinstance(document.root, dict)
    alone, beside = (document.root["not"],), (document.root["not"], document.root["then"])
    assert goal_of(*alone, document) == normal_goal([*alone], document)
    assert values_of(alone) == values_of(beside)
    name = only_type(alone)
    if name is not None:
        assert allowed_types(beside) == TYPE_SETS[name] and values_of(beside) is None
    assert string_bounds(alone) == string_bounds(beside)
    assert array_form(alone, document) == array_form(beside, document)
    one, other = object_form(alone, document), object_form(beside, document)
    assert (one.names, one.required, one.declared) == (other.names, other.required, other.declared)
    assert one.additional == other.additional
