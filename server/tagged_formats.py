"""Calls whose arguments stand between tags, strings as plain text: Qwen3-Coder's and GLM's."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syntagma.server.call_format import CallableFunction, Layout, structural_tag
from syntagma.server.call_text import CallTextReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.errors import bad_request
from syntagma.server.special_marks import between
from syntagma.server.tagged_text import ArgumentTypes, TaggedTextReader


@dataclass(frozen=True, kw_only=True)
class TaggedFormat:
    """Calls anywhere in an answer; see `call_format.CallFormat`.

    Attributes:
        name: for settings.
        style: how arguments are written, as structural tags call it.
        trigger: what begins a call wherever it comes up in a text.
        opening: what stands before the name; begins with the trigger.
        head_end: what stands between the name and the arguments.
        argument_opening, argument_middle, argument_closing: around the name of an argument and its value.
        call_end: what stands behind the arguments.
        closing: nothing stands behind that.
        excludes: what a reader might take for a call, and text may not hold.
        special: the marks that are special tokens.
    """

    name: ToolFormatName
    style: str
    trigger: str = "<tool_call>"
    opening: str
    head_end: str
    argument_opening: str
    argument_middle: str
    argument_closing: str
    call_end: str
    closing: str = ""
    separator: str = "\n"
    excludes: tuple[str, ...] = ()
    special: frozenset[str] = frozenset()
    is_trigger_in_call: bool = False

    def in_vocabulary(self, special_names: Container[str]) -> TaggedFormat:
        """As `CallFormat.in_vocabulary`; of the marks, those around a call may be special tokens."""
        marks = (self.trigger, "</tool_call>")
        return replace(self, special=frozenset(mark for mark in marks if mark in special_names))

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """As `CallFormat.tag`; refused is a custom tool with a grammar, whose input cannot be kept from marks."""
        for function in functions:
            if function.arguments["type"] != "json_schema":
                raise bad_request(
                    f"The input of the custom tool {function.name!r} has a grammar, which the model's format of "
                    f"calls ({self.name}) cannot hold; choose the tool by tool_choice, or leave the format out.",
                    param="tools",
                )
        arguments = [{**function.arguments, "style": self.style} for function in functions]
        calls = [
            between(
                self.opening + function.name + self.head_end,
                content,
                self.call_end,
                self.special,
            )
            for function, content in zip(functions, arguments, strict=True)
        ]
        layout = Layout(self.trigger, self.separator, None, self.special)
        answer = layout.answer(
            calls, is_forced=is_forced, may_repeat=may_repeat, excludes=self.excludes
        )
        return structural_tag(answer, arguments)

    def reader(self, functions: Sequence[CallableFunction]) -> CallTextReader:
        """As `CallFormat.reader`."""
        types = {
            function.name: ArgumentTypes(function.arguments["json_schema"])
            for function in functions
        }
        return TaggedTextReader(self, types)


QWEN3_CODER = TaggedFormat(
    name="qwen3_coder",
    style="qwen_xml",
    opening="<tool_call>\n<function=",
    head_end=">\n",
    argument_opening="<parameter=",
    argument_middle=">\n",
    argument_closing="\n</parameter>\n",
    call_end="</function>\n</tool_call>",
    # Some readers take it for a call whose first mark is missing.
    excludes=("<function=",),
)
GLM45 = TaggedFormat(
    name="glm45",
    style="glm45_xml",
    opening="<tool_call>",
    head_end="\n",
    argument_opening="<arg_key>",
    argument_middle="</arg_key>\n<arg_value>",
    argument_closing="</arg_value>\n",
    call_end="</tool_call>",
)
GLM47 = replace(
    GLM45,
    name="glm47",
    style="glm_xml",
    head_end="",
    argument_middle="</arg_key><arg_value>",
    argument_closing="</arg_value>",
)
TAGGED_FORMATS: dict[str, TaggedFormat] = {
    "qwen3_coder": QWEN3_CODER,
    "qwen3_xml": QWEN3_CODER,
    "glm45": GLM45,
    "glm47": GLM47,
}
