"""Custom tools: their input is a text, free or of a grammar, instead of JSON arguments.

In a call within text the input is a JSON string, ``{"input": "..."}``, as if the tool were a function with
one argument; a model knows no other way. Where nothing but one custom tool can come, the output is its input.
"""

from __future__ import annotations

from typing import Any

from syntagma.server.constraint_kinds import ConstraintKind
from syntagma.server.constraints import Constraint
from syntagma.server.errors import bad_request
from syntagma.server.protocol import CustomDefinition

INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
ANY_TEXT = r"(.|\n)*"
SYNTAXES: dict[str, ConstraintKind] = {"lark": "lark", "regex": "regex"}


def custom_grammar(custom: CustomDefinition, param: str) -> tuple[ConstraintKind, str] | None:
    """Syntax and definition of the grammar of a tool's input; None: any text.

    OpenAI's chat API has the grammar in an object of its own, its newer API beside the type; both are read.

    Raises:
        ApiError: 400 for a format that is neither ``text`` nor ``grammar``.
    """
    found = custom.format
    if found is None or found == {"type": "text"}:
        return None
    if found.get("type") != "grammar":
        raise bad_request(f'{param}.type must be "text" or "grammar".', param=f"{param}.type")
    inner = found.get("grammar")
    if inner is not None and found.keys() == {"type", "grammar"} and isinstance(inner, dict):
        found, param = {"type": "grammar", **inner}, f"{param}.grammar"
    syntax, definition = found.get("syntax"), found.get("definition")
    if found.keys() - {"type", "syntax", "definition"} or not isinstance(definition, str):
        raise bad_request(f'{param} must have "syntax" and "definition", a string.', param=param)
    if not isinstance(syntax, str) or syntax not in SYNTAXES:
        raise bad_request(f'{param}.syntax must be "lark" or "regex".', param=f"{param}.syntax")
    return SYNTAXES[syntax], definition


def input_constraint(custom: CustomDefinition, param: str) -> Constraint:
    """The language of an output that is a tool's input."""
    kind, definition = custom_grammar(custom, param) or ("regex", ANY_TEXT)
    return Constraint(kind, definition, param)


def input_format(custom: CustomDefinition, param: str) -> tuple[dict[str, Any], str]:
    """The arguments of a call within text as a format of structural tags, and where its grammar is."""
    found = custom_grammar(custom, param)
    if found is None:
        return {"type": "json_schema", "json_schema": INPUT_SCHEMA}, "/json_schema"
    kind, definition = found
    content: dict[str, Any] = {"type": "regex", "pattern": definition}
    if kind == "lark":
        content = {"type": "grammar", "syntax": "lark", "grammar": definition}
    elements = [
        {"type": "const_string", "value": '{"input": '},
        {"type": "json_string", "content": content},
        {"type": "const_string", "value": "}"},
    ]
    field = "pattern" if kind == "regex" else "grammar"
    return {"type": "sequence", "elements": elements}, f"/elements/1/content/{field}"


def shown_custom_tool(custom: CustomDefinition, param: str) -> dict[str, Any]:
    """The tool for a chat template, which knows functions only; its grammar is told in words."""
    told = [custom.description] if custom.description is not None else []
    if (found := custom_grammar(custom, param)) is not None:
        kind, definition = found
        what = "matches this regular expression" if kind == "regex" else "obeys this Lark grammar"
        told.append(f"The input {what}:\n{definition}")
    function: dict[str, Any] = {"name": custom.name}
    if told:
        function["description"] = "\n\n".join(told)
    return {"type": "function", "function": function | {"parameters": INPUT_SCHEMA}}
