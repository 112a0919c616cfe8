"""What a format of tool calls is: a structural tag that holds an output to it, and a reader of what comes."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from syntagma.server.call_text import AnswerReader
from syntagma.server.constraint_kinds import ToolFormatName
from syntagma.server.special_marks import between


class CallableFunction(NamedTuple):
    """A function as formats see it: its name and its arguments, a format of structural tags."""

    name: str
    arguments: dict[str, Any]


class CallFormat(Protocol):
    """How a model writes calls in its text.

    Attributes:
        name: for settings.
    """

    @property
    def name(self) -> ToolFormatName: ...

    def in_vocabulary(self, special_names: Container[str]) -> CallFormat:
        """The same format where some of its marks are special tokens."""
        ...

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

        Raises:
            ApiError: 400 for a function that the format cannot call.
        """
        ...

    def reader(self, functions: Sequence[CallableFunction]) -> AnswerReader:
        """What finds the calls of some functions in an output."""
        ...


@dataclass(frozen=True)
class Layout:
    """Where calls stand in an answer.

    Attributes:
        trigger: what begins a call, or the section, wherever it comes up in a text.
        separator: between calls.
        section: what stands around all calls of an answer, with nothing behind it; None: each stands
            by itself.
        special: the marks that are special tokens.
    """

    trigger: str
    separator: str
    section: tuple[str, str] | None
    special: frozenset[str]

    def answer(
        self,
        calls: list[dict[str, Any]],
        *,
        is_forced: bool,
        may_repeat: bool,
        excludes: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The format of answers with some calls.

        Args:
            calls: tags.
            is_forced, may_repeat: as `CallFormat.tag`.
            excludes: what must not come up in free text.
        """
        found: dict[str, Any] = {
            "type": "tags_with_separator",
            "tags": calls,
            "separator": self.separator,
            "at_least_one": True,
            "stop_after_first": not may_repeat,
        }
        if self.section is not None:
            opening, closing = self.section
            found = between(opening, found, closing, self.special)
        if is_forced:
            return found
        is_special = self.trigger in self.special
        return {
            "type": "token_triggered_tags" if is_special else "triggered_tags",
            "trigger_tokens" if is_special else "triggers": [self.trigger],
            "tags": calls if self.section is None else [found],
            "stop_after_first": self.section is not None or not may_repeat,
            # As text it could not be told from the token.
            "excludes": [*excludes, *([self.trigger] if is_special else [])],
        }


def structural_tag(
    form: dict[str, Any], arguments: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """A format as a structural tag, and where some parts are in it."""
    return {"type": "structural_tag", "format": form}, pointers_of(form, arguments)


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
