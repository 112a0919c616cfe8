"""``tools`` and ``tool_choice``: which calls there may or must be, and the grammar of the output.

Arguments are constrained to the function's ``parameters``, whether the call is forced or the model's choice,
and whether ``strict`` asks for it or not. Where the model's own format of calls is known (`tool_formats`),
calls are written in it. Otherwise forced calls are plain JSON, and with ``auto`` the model's free text comes
back as content, whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from syntagma.server.call_format import CallableFunction, CallFormat
from syntagma.server.constraint_kinds import JsonPolicy
from syntagma.server.constraints import Constraint
from syntagma.server.custom_tools import input_constraint, input_format, shown_custom_tool
from syntagma.server.errors import ApiError, bad_request
from syntagma.server.protocol import (
    ChatBody,
    CustomTool,
    FunctionDefinition,
    FunctionTool,
    Tool,
)
from syntagma.server.schema_refs import move_local_references
from syntagma.server.tool_formats import PLAIN

COMBINATORS = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "enum", "const"})
ARGUMENTS_POINTER = "/properties/arguments"


@dataclass(frozen=True)
class ForcedCall:
    """The output must be a call.

    Attributes:
        function_name: the only function possible, or None if the text says which.
        finish_reason: of a finished call: OpenAI says ``stop`` for a named function.
        constraint: the language of the text that is generated.
        is_custom: the text is the input of a custom tool.
    """

    function_name: str | None
    finish_reason: str
    constraint: Constraint
    is_custom: bool = False


@dataclass(frozen=True)
class CallsInText:
    """The output is text in which there may or must be calls in the model's own format.

    Attributes:
        form: the format.
        is_forced: there must be a call.
        finish_reason: of an answer with a call.
        constraint: the language of the text that is generated.
        functions: the tools that can be called.
        custom_names: the custom tools; their arguments are an input as a JSON string.
    """

    form: CallFormat
    is_forced: bool
    finish_reason: str
    constraint: Constraint
    functions: tuple[CallableFunction, ...]
    custom_names: frozenset[str] = frozenset()


def wanted_calls(
    body: ChatBody, policy: JsonPolicy, form: CallFormat | None
) -> ForcedCall | CallsInText | None:
    """The calls that ``tool_choice`` forces or allows; None if the answer is only text.

    Args:
        body: the request.
        policy: how arguments are written.
        form: how the model writes calls, if that is known.

    Raises:
        ApiError: 400 for a choice that the tools cannot fulfil.
    """
    tools = body.tools or []
    _check_unique_names(tools)
    choice = body.tool_choice
    if choice == "none" or (choice is None and not tools):
        return None
    if not tools:
        raise bad_request("tool_choice needs tools.", param="tool_choice")
    may_repeat = body.parallel_tool_calls is not False
    if choice in (None, "auto"):
        if form is None:
            return None
        return _in_text(form, tools, policy, is_forced=False, may_repeat=may_repeat)
    if isinstance(choice, dict):
        index = _named_index(choice, tools)
        if form is not None and isinstance(tools[index], FunctionTool):
            return _named_in_text(form, tools, index, policy)
        return _only_call(tools, index, policy, "stop")
    if choice != "required":
        raise bad_request(
            'tool_choice must be "none", "auto", "required" or an object that names a function.',
            param="tool_choice",
        )
    if form is not None:
        return _in_text(form, tools, policy, is_forced=True, may_repeat=may_repeat)
    if len(tools) == 1:
        return _only_call(tools, 0, policy, "tool_calls")
    functions = [tool for tool in tools if isinstance(tool, FunctionTool)]
    if len(functions) == len(tools):
        return ForcedCall(None, "tool_calls", _any_of(functions, policy))
    return _in_text(PLAIN, tools, policy, is_forced=True, may_repeat=False)


def _only_call(
    tools: Sequence[Tool], index: int, policy: JsonPolicy, finish_reason: str
) -> ForcedCall:
    """The output is the arguments, or the input, of one tool."""
    tool = tools[index]
    if isinstance(tool, CustomTool):
        constraint = input_constraint(tool.custom, _format_param(index))
        return ForcedCall(tool.name, finish_reason, constraint, is_custom=True)
    return ForcedCall(tool.name, finish_reason, _single(tool.function, index, policy))


def _in_text(
    form: CallFormat,
    tools: Sequence[Tool],
    policy: JsonPolicy,
    *,
    is_forced: bool,
    may_repeat: bool,
) -> CallsInText:
    """Calls of any of the tools."""
    constraint, functions = _tagged(form, tools, range(len(tools)), policy, is_forced, may_repeat)
    custom = frozenset(tool.name for tool in tools if isinstance(tool, CustomTool))
    return CallsInText(form, is_forced, "tool_calls", constraint, functions, custom)


def _named_in_text(
    form: CallFormat, tools: Sequence[Tool], index: int, policy: JsonPolicy
) -> CallsInText:
    """One call of one of the tools."""
    constraint, functions = _tagged(form, tools, [index], policy, is_forced=True, may_repeat=False)
    return CallsInText(form, True, "stop", constraint, functions)


def _tagged(
    form: CallFormat,
    tools: Sequence[Tool],
    indices: Iterable[int],
    policy: JsonPolicy,
    is_forced: bool,
    may_repeat: bool,
) -> tuple[Constraint, tuple[CallableFunction, ...]]:
    functions: list[CallableFunction] = []
    places: list[tuple[str, str]] = []
    for index in indices:
        tool = tools[index]
        if isinstance(tool, CustomTool):
            param = _format_param(index)
            arguments, place = input_format(tool.custom, param)
        else:
            param = _parameters_param(index)
            schema = parameters_schema(tool.function, param)
            arguments, place = {"type": "json_schema", "json_schema": schema}, "/json_schema"
        functions.append(CallableFunction(tool.name, arguments))
        places.append((place, param))
    tag, pointers = form.tag(functions, is_forced=is_forced, may_repeat=may_repeat)
    origins = tuple(
        (pointer + place, param) for pointer, (place, param) in zip(pointers, places, strict=True)
    )
    constraint = Constraint("structural_tag", tag, "tools", policy, origins=origins)
    return constraint, tuple(functions)


def shown_tools(body: ChatBody) -> list[dict[str, Any]] | None:
    """The definitions for the chat template; none if no call is wanted."""
    if not body.tools or body.tool_choice == "none":
        return None
    return [_shown_tool(tool, index) for index, tool in enumerate(body.tools)]


def _shown_tool(tool: Tool, index: int) -> dict[str, Any]:
    if isinstance(tool, CustomTool):
        return shown_custom_tool(tool.custom, _format_param(index))
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    function["parameters"] = parameters_schema(tool.function, _parameters_param(index))
    return {"type": "function", "function": function}


def parameters_schema(function: FunctionDefinition, param: str) -> dict[str, Any]:
    """The schema of a function's arguments: always that of an object.

    Raises:
        ApiError: 400 for a schema of anything else.
    """
    schema = function.parameters
    if schema is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if "type" not in schema:
        return schema if COMBINATORS & schema.keys() else {"type": "object", **schema}
    if schema["type"] != "object":
        raise bad_request(
            f'{param}.type must be "object": a function is called with named arguments.',
            param=param,
            code="invalid_json_schema",
        )
    return schema


def _single(function: FunctionDefinition, index: int, policy: JsonPolicy) -> Constraint:
    param = _parameters_param(index)
    schema = parameters_schema(function, param)
    return Constraint("json_schema", schema, param, policy)


def _any_of(tools: Sequence[FunctionTool], policy: JsonPolicy) -> Constraint:
    """One schema for ``{"name": ..., "arguments": {...}}`` over all functions."""
    branches: list[dict[str, Any]] = []
    origins: list[tuple[str, str]] = []
    for index, tool in enumerate(tools):
        param = _parameters_param(index)
        pointer = f"/anyOf/{index}{ARGUMENTS_POINTER}"
        parameters = parameters_schema(tool.function, param)
        origins.append((pointer, param))
        branches.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool.function.name},
                    "arguments": move_local_references(parameters, pointer),
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return Constraint("json_schema", {"anyOf": branches}, "tools", policy, origins=tuple(origins))


def _parameters_param(index: int) -> str:
    return f"tools[{index}].function.parameters"


def _format_param(index: int) -> str:
    return f"tools[{index}].custom.format"


def _check_unique_names(tools: Sequence[Tool]) -> None:
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.name in seen:
            param = f"tools[{index}].{tool.type}.name"
            raise bad_request(f"{param}: two tools are called {tool.name}.", param=param)
        seen.add(tool.name)


def _named_index(choice: dict[str, Any], tools: Sequence[Tool]) -> int:
    kind = choice.get("type")
    named = choice.get(kind) if kind in ("function", "custom") else None
    name = named.get("name") if isinstance(named, dict) else None
    if not isinstance(name, str):
        raise _unknown_choice()
    for index, tool in enumerate(tools):
        if tool.name == name and tool.type == kind:
            return index
    raise bad_request(
        f"tool_choice names a {kind} tool that is not among the tools.", param="tool_choice"
    )


def _unknown_choice() -> ApiError:
    return bad_request(
        'tool_choice as an object must be {"type": "function", "function": {"name": ...}}, or the same '
        'with "custom"; allowed_tools is not served.',
        param="tool_choice",
    )
