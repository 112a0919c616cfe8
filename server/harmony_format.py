"""Answers in channels, as gpt-oss writes them: reasoning, text and calls are messages with a channel each.

What OpenAI calls harmony frames all of an answer and not its calls only, so that answers without tools are held to
it too. Where the output has to be something else, it stands behind `FINAL`, without reasoning.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syntagma.server.call_format import CallableFunction, structural_tag
from syntagma.server.call_text import AnswerReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.harmony_text import END, MESSAGE, HarmonyTextReader
from syntagma.server.special_marks import between, parts

CHANNEL, START, CONSTRAIN = "<|channel|>", "<|start|>", "<|constrain|>"
MARKS = (CHANNEL, START, CONSTRAIN, MESSAGE, END)
FINAL = f"{CHANNEL}final{MESSAGE}"
# What these models write in front of arguments, as vLLM and xgrammar know it.
HEADS = (
    f"{CHANNEL}commentary to=functions.%s {CONSTRAIN}json{MESSAGE}",
    f"{CHANNEL}commentary to=functions.%s json{MESSAGE}",
    f" to=functions.%s{CHANNEL}commentary {CONSTRAIN}json{MESSAGE}",
    f" to=functions.%s{CHANNEL}commentary json{MESSAGE}",
)


@dataclass(frozen=True, kw_only=True)
class HarmonyFormat:
    """Messages up to a final one or a call, which ends the answer; see `call_format.CallFormat`.

    The mark behind a call ends outputs of these models, so there is one call at most.

    Attributes:
        name: for settings.
        special: the marks that are special tokens.
    """

    name: ToolFormatName = "harmony"
    special: frozenset[str] = frozenset()

    def in_vocabulary(self, special_names: Container[str]) -> HarmonyFormat:
        """As `CallFormat.in_vocabulary`."""
        return replace(self, special=frozenset(mark for mark in MARKS if mark in special_names))

    def tag(
        self, functions: Sequence[CallableFunction], *, is_forced: bool, may_repeat: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """As `CallFormat.tag`; forced calls come behind reasoning, too, and without functions there is only text."""
        arguments = [{**function.arguments} for function in functions]
        answers = [
            self._call(function.name, content)
            for function, content in zip(functions, arguments, strict=True)
        ]
        before = [self._message("analysis")]
        if not is_forced:
            before.append(self._message("commentary"))
            answers.append(_sequence([*parts(FINAL, self.special), {"type": "any_text"}]))
        form = _sequence([{"type": "star", "content": _or(before)}, _or(answers)])
        return structural_tag(form, arguments)

    def _message(self, channel: str) -> dict[str, Any]:
        """A message that another one follows."""
        # As text the mark could not be told from the token.
        text = {"type": "any_text", "excludes": [END] if END in self.special else []}
        message = between(f"{CHANNEL}{channel}{MESSAGE}", text, END, self.special)
        return _sequence([message, *parts(f"{START}assistant", self.special)])

    def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        heads = [_sequence(parts(head % name, self.special)) for head in HEADS]
        return _sequence([_or(heads), arguments])

    def reader(self, functions: Sequence[CallableFunction]) -> AnswerReader:
        """As `CallFormat.reader`."""
        return HarmonyTextReader()


HARMONY = HarmonyFormat()


def _sequence(elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "sequence", "elements": elements}


def _or(elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "or", "elements": elements}
