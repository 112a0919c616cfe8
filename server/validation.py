"""JSON body -> request model, with errors that name the field as a client wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from syntagma.server.errors import ApiError, bad_request, shorten
from syntagma.server.fields import refuse_unserved_fields
from syntagma.server.protocol import GenerationBody

Body = TypeVar("Body", bound=GenerationBody)

MAX_SHOWN_CHARS = 60


def parse_body(model: type[Body], body: Mapping[str, Any]) -> Body:
    """Check a body against its model.

    Raises:
        ApiError: 400 for an unserved field, a wrong type or a value out of range.
    """
    served = refuse_unserved_fields(body, model.model_fields)
    try:
        return model.model_validate(served)
    except ValidationError as error:
        raise explain(error, served) from None


def explain(error: ValidationError, body: Mapping[str, Any]) -> ApiError:
    """The most specific of pydantic's complaints as a 400.

    Where several forms of a field are possible, pydantic reports on each; the complaint that got
    furthest into the value is about the form that was meant.
    """
    details = max(error.errors(include_url=False), key=lambda found: len(found["loc"]))
    param = field_path(details["loc"], body, is_missing=details["type"] == "missing")
    message = f"{param}: {_sentence(details)}{_shown(details)}"
    code = "missing_field" if details["type"] == "missing" else "invalid_value"
    if details["type"] == "extra_forbidden":
        code = "unknown_field"
    return bad_request(message, param=param, code=code)


def field_path(
    location: tuple[int | str, ...], body: Mapping[str, Any], *, is_missing: bool
) -> str:
    """``messages[0].content``: pydantic's location without the names of union members.

    Args:
        location: from the error.
        body: what was validated; steps that do not lead into it are such names.
        is_missing: the last step is a field that is not there.
    """
    path = ""
    value: Any = body
    for depth, step in enumerate(location):
        is_absent_field = is_missing and depth == len(location) - 1
        if isinstance(step, int) and isinstance(value, list) and step < len(value):
            path += f"[{step}]"
            value = value[step]
        elif (
            isinstance(step, str) and isinstance(value, dict) and (step in value or is_absent_field)
        ):
            path += f".{step}" if path else step
            value = value.get(step)
    return shorten(path, 200)


def _sentence(details: ErrorDetails) -> str:
    if details["type"] == "extra_forbidden":
        return "this field is not supported; leave it out"
    if details["type"] == "missing":
        return "this field is required"
    message = details["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _shown(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] in ("missing", "extra_forbidden") or not isinstance(
        value, str | int | float | None
    ):
        return ""
    return f", not {shorten(repr(value), MAX_SHOWN_CHARS)}"
