"""Tool calls in Python's notation: ``[f(a=1, b="x"), g()]``, as Llama 4 and others write them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from syntagma.server.call_format import CallableFunction, structural_tag
from syntagma.server.call_text import CallTextReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.errors import bad_request
from syntagma.server.pythonic_text import PythonicTextReader

# What templates of such models tell them.
TEMPLATE_MARK = "[func_name1("


@dataclass(frozen=True, kw_only=True)
class PythonicFormat:
    """One list of calls at the end of an answer; see `call_format.CallFormat`.

    A bracket begins calls only where a function's name and a parenthesis follow, so there is no trigger for
    structural tags: free text is text in which none of these comes up.
    """

    name: ToolFormatName = "pythonic"
    trigger: str = "["
    closing: str = "]"
    separator: str = ", "
    is_trigger_in_call: bool = False

    def in_vocabulary(self, special_names: Container[str]) -> PythonicFormat:
        """As it is: its marks are text."""
        return self

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """The structural tag of outputs with calls of some functions; as `CallFormat.tag`.

        Raises:
            ApiError: 400 for a function whose name Python could not read.
        """
        arguments = []
        for function in functions:
            if not all(part.isidentifier() for part in function.name.split(".")):
                raise bad_request(
                    f"The tool name {function.name!r} is no identifier; the model calls tools in Python's "
                    "notation.",
                    param="tools",
                )
            arguments.append(_as_keywords(function.arguments))
        calls = {
            "type": "tags_with_separator",
            "tags": [
                {"type": "tag", "begin": f"{function.name}(", "content": content, "end": ")"}
                for function, content in zip(functions, arguments, strict=True)
            ],
            "separator": self.separator,
            "at_least_one": True,
            "stop_after_first": not may_repeat,
        }
        found: dict[str, Any] = {
            "type": "tag",
            "begin": self.trigger,
            "content": calls,
            "end": self.closing,
        }
        if not is_forced:
            openings = [f"{self.trigger}{function.name}(" for function in functions]
            elements = [
                {"type": "any_text", "excludes": openings},
                {"type": "optional", "content": found},
            ]
            found = {"type": "sequence", "elements": elements}
        return structural_tag(found, arguments)

    def reader(self, functions: Sequence[CallableFunction]) -> CallTextReader:
        """As `CallFormat.reader`."""
        return PythonicTextReader(self, [function.name for function in functions])


PYTHONIC = PythonicFormat()


def _as_keywords(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as a format: of a function, or the input of a custom tool (`custom_tools.input_format`)."""
    if arguments["type"] == "json_schema":
        return {**arguments, "style": "pythonic"}
    _, text, _ = arguments["elements"]
    around = [{"type": "const_string", "value": value} for value in ("input=", "")]
    return {**arguments, "elements": [around[0], text, around[1]]}
