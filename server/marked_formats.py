"""Calls between marks, with the name in front and the arguments as JSON: DeepSeek's and Kimi's.

The marks are single tokens of these models' vocabularies, special ones in some.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syntagma.server.call_format import CallableFunction, Layout, structural_tag
from syntagma.server.call_text import CallTextReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.marked_text import MarkedTextReader
from syntagma.server.special_marks import between, parts

MARK = re.compile(r"<[|｜][^<>]*[|｜]>")
# Of the call in the conversation; more are not to be expected.
NUMBER = {"type": "regex", "pattern": "0|[1-9][0-9]{0,3}"}


@dataclass(frozen=True, kw_only=True)
class MarkedFormat:
    """One section of calls at the end of an answer; see `call_format.CallFormat`.

    Attributes:
        name: for settings.
        trigger, closing: what stands around all calls.
        head: a call up to its arguments, ``{name}`` and ``{number}`` left out.
        tail: what stands behind the arguments.
        separator: between calls.
        has_line_breaks: whether arguments may; not where their usual reader takes one line.
        special: the marks that are special tokens.
    """

    name: ToolFormatName
    trigger: str
    closing: str
    head: str
    tail: str
    separator: str = ""
    has_line_breaks: bool = True
    special: frozenset[str] = frozenset()
    is_trigger_in_call: bool = False

    def in_vocabulary(self, special_names: Container[str]) -> MarkedFormat:
        """As `CallFormat.in_vocabulary`."""
        text = self.trigger + self.head + self.tail + self.closing
        found = frozenset(mark for mark in MARK.findall(text) if mark in special_names)
        return replace(self, special=found)

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """As `CallFormat.tag`."""
        arguments = [self._arguments(function.arguments) for function in functions]
        calls = [
            self._call(function.name, content)
            for function, content in zip(functions, arguments, strict=True)
        ]
        layout = Layout(self.trigger, self.separator, (self.trigger, self.closing), self.special)
        answer = layout.answer(calls, is_forced=is_forced, may_repeat=may_repeat)
        return structural_tag(answer, arguments)

    def _arguments(self, form: dict[str, Any]) -> dict[str, Any]:
        is_json = form["type"] == "json_schema"
        return {**form, "line_breaks": False} if is_json and not self.has_line_breaks else {**form}

    def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        before, *numbered = self.head.replace("{name}", name).split("{number}")
        if numbered:
            elements = [NUMBER, *parts(numbered[0], self.special), arguments]
            arguments = {"type": "sequence", "elements": elements}
        return between(before, arguments, self.tail, self.special)

    def reader(self, functions: Sequence[CallableFunction]) -> CallTextReader:
        """As `CallFormat.reader`."""
        return MarkedTextReader(self)


DEEPSEEK_V3 = MarkedFormat(
    name="deepseek_v3",
    trigger="<｜tool▁calls▁begin｜>",
    head="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
    tail="\n```<｜tool▁call▁end｜>",
    closing="<｜tool▁calls▁end｜>",
    separator="\n",
    has_line_breaks=False,
)
DEEPSEEK_V31 = replace(
    DEEPSEEK_V3,
    name="deepseek_v31",
    head="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
    tail="<｜tool▁call▁end｜>",
    separator="",
)
KIMI_K2 = MarkedFormat(
    name="kimi_k2",
    trigger="<|tool_calls_section_begin|>",
    head="<|tool_call_begin|>functions.{name}:{number}<|tool_call_argument_begin|>",
    tail="<|tool_call_end|>",
    closing="<|tool_calls_section_end|>",
)
MARKED_FORMATS: dict[str, MarkedFormat] = {
    found.name: found for found in (DEEPSEEK_V3, DEEPSEEK_V31, KIMI_K2)
}
