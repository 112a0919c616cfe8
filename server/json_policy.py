"""Policies of a request: how its JSON is written, checked."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from syntagma.server import constraint_kinds
from syntagma.server.constraint_kinds import BOUNDS, POLICY_FIELDS, JsonPolicy
from syntagma.server.errors import bad_request, shorten


def said_policies(value: Mapping[str, Any]) -> list[str]:
    """The policies that an object says something about; null is a value of bounds only."""
    return [
        name
        for name in POLICY_FIELDS
        if name in value and (value[name] is not None or name in BOUNDS)
    ]


def with_said(policy: JsonPolicy, value: Mapping[str, Any], param: str) -> JsonPolicy:
    """A policy with what an object says instead.

    Raises:
        ApiError: 400 for a value that a policy cannot have.
    """
    said = said_policies(value)
    if not said:
        return policy
    prefix = f"{param}." if param else ""
    return replace(policy, **{name: _checked(name, value[name], prefix + name) for name in said})


def _checked(name: str, value: Any, param: str) -> Any:
    if name in BOUNDS:
        greatest = BOUNDS[name]
        if value is None or (type(value) is int and 1 <= value <= greatest):
            return value
        expected = f"a number from 1 to {greatest}, or null for no bound"
    else:
        choices = _choices(name)
        # In Python 1 equals True.
        if type(value) is type(choices[0]) and value in choices:
            return value
        expected = " or ".join(map(_shown, choices))
    raise bad_request(f"{param} must be {expected}, not {shorten(_shown(value), 60)}.", param=param)


@functools.cache
def _choices(name: str) -> tuple[Any, ...]:
    hints = get_type_hints(JsonPolicy, vars(constraint_kinds))
    return get_args(hints[name]) or (True, False)


def _shown(value: Any) -> str:
    return json.dumps(value)
