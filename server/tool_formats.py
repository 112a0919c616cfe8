"""How models write tool calls in their text: the common formats of calls in JSON.

A format is both a structural tag, which holds an output to it, and what `call_text` needs to find the
calls in the text again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from syntagma.server.constraint_kinds import ToolFormatName


class CallableFunction(NamedTuple):
    """A function as formats see it: its name and its arguments, a format of structural tags."""

    name: str
    arguments: dict[str, Any]


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

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """The structural tag of outputs with calls of some functions.

        Args:
            functions: one at least.
            is_forced: the output is calls and nothing else, instead of text with calls in it.
            may_repeat: there may be several calls.

        Returns:
            The tag, and the pointer of each function's arguments in it.
        """
        opening, closing = ("", "") if self.is_list else (self.opening, self.closing)
        calls = [
            self._tag(
                opening,
                self.head % function.name,
                function.arguments,
                "}" + closing,
            )
            for function in functions
        ]
        found: dict[str, Any] = {
            "type": "tags_with_separator",
            "tags": calls,
            "separator": self.separator,
            "at_least_one": True,
            "stop_after_first": not may_repeat,
        }
        if self.is_list:
            found = self._tag(self.opening, "", found, self.closing)
        if not is_forced:
            kind, triggers = (
                ("token_triggered_tags", "trigger_tokens")
                if self.is_special
                else ("triggered_tags", "triggers")
            )
            found = {
                "type": kind,
                triggers: [self.trigger],
                "tags": [found] if self.is_list else calls,
                "stop_after_first": self.is_list or not may_repeat,
                # As text it could not be told from the token.
                "excludes": [self.trigger] if self.is_special else [],
            }
        return {"type": "structural_tag", "format": found}, pointers_of(
            found, [function.arguments for function in functions]
        )

    def _tag(self, opening: str, head: str, content: dict[str, Any], end: str) -> dict[str, Any]:
        begin: Any = opening + head
        if self.is_special and opening:
            begin = {"type": "token", "token": self.trigger}
            rest = opening.removeprefix(self.trigger) + head
            if rest:
                parts = [{"type": "const_string", "value": rest}, content]
                content = {"type": "sequence", "elements": parts}
        return {"type": "tag", "begin": begin, "content": content, "end": end}


def pointers_of(form: dict[str, Any], parts: Sequence[dict[str, Any]]) -> list[str]:
    """Where some parts are in a format."""
    found: dict[int, str] = {}
    waiting: list[tuple[Any, str]] = [(form, "/format")]
    while waiting:
        part, pointer = waiting.pop()
        found[id(part)] = pointer
        if "content" in part:
            waiting.append((part["content"], f"{pointer}/content"))
        for name in ("tags", "elements"):
            waiting += [
                (item, f"{pointer}/{name}/{i}") for i, item in enumerate(part.get(name, ()))
            ]
    return [found[id(part)] for part in parts]


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
