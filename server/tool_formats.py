"""How models write tool calls in their text: the common formats of calls in JSON.

A format is both a structural tag, which holds an output to it, and what `call_text` needs to find the
calls in the text again.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syntagma.server.call_format import CallableFunction, Layout, structural_tag
from syntagma.server.call_text import CallTextReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.special_marks import between


@dataclass(frozen=True, kw_only=True)
class ToolFormat:
    """Calls as JSON objects with a name and arguments, in some wrapping.

    Attributes:
        name: for settings.
        trigger: what begins a call wherever it comes up in a text.
        opening: what stands before a call; begins with the trigger unless the call itself does.
        head: a call up to its arguments, with ``%s`` for the name; behind the arguments comes ``}``.
        closing: what stands behind a call.
        separator: between calls.
        is_list: all calls of an answer stand in one wrapping, and nothing behind it.
        is_special: the trigger is a special token of the vocabulary, and all that stands for it in a text.
    """

    name: ToolFormatName
    trigger: str
    opening: str
    head: str
    closing: str
    separator: str
    is_list: bool = False
    is_special: bool = False

    @property
    def is_trigger_in_call(self) -> bool:
        """Whether the trigger is the beginning of the call itself."""
        return not self.opening

    def in_vocabulary(self, special_names: Container[str]) -> ToolFormat:
        """As `CallFormat.in_vocabulary`."""
        return replace(self, is_special=True) if self.trigger in special_names else self

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """As `CallFormat.tag`."""
        special = frozenset([self.trigger] if self.is_special else [])
        section = (self.opening, self.closing) if self.is_list else None
        opening, closing = ("", "") if self.is_list else (self.opening, self.closing)
        calls = [
            between(opening + self.head % function.name, function.arguments, "}" + closing, special)
            for function in functions
        ]
        layout = Layout(self.trigger, self.separator, section, special)
        answer = layout.answer(calls, is_forced=is_forced, may_repeat=may_repeat)
        return structural_tag(answer, [function.arguments for function in functions])

    def reader(self, functions: Sequence[CallableFunction]) -> CallTextReader:
        """As `CallFormat.reader`."""
        return CallTextReader(self)


HERMES = ToolFormat(
    name="hermes",
    trigger="<tool_call>",
    opening="<tool_call>\n",
    head='{"name": "%s", "arguments": ',
    closing="\n</tool_call>",
    separator="\n",
)
LLAMA3_JSON = ToolFormat(
    name="llama3_json",
    trigger='{"name": "',
    opening="",
    head='{"name": "%s", "parameters": ',
    closing="",
    separator="; ",
)
# Calls and nothing else, where the model's own format is not known.
PLAIN = replace(LLAMA3_JSON, head='{"name": "%s", "arguments": ')
MISTRAL = ToolFormat(
    name="mistral",
    trigger="[TOOL_CALLS]",
    opening="[TOOL_CALLS][",
    head='{"name": "%s", "arguments": ',
    closing="]",
    separator=", ",
    is_list=True,
)
JSON_FORMATS: dict[str, ToolFormat] = {
    found.name: found for found in (HERMES, LLAMA3_JSON, MISTRAL)
}
