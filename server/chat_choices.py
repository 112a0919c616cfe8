"""A chat choice while it grows: as a text message or as a tool call."""

from __future__ import annotations

import uuid
from typing import Any, Protocol

from syntagma.decoding.engine import Delta, TokenLogprob
from syntagma.server.logprobs import chat_logprobs
from syntagma.server.tool_text import CallReader
from syntagma.server.tools import ForcedCall


class ChatMessage(Protocol):
    """The assistant's message of one choice."""

    def opening(self) -> dict[str, Any]:
        """The first delta: the role."""
        ...

    def feed(self, text: str) -> list[dict[str, Any]]:
        """Take more text; returns the deltas it makes."""
        ...

    def finished(self) -> dict[str, Any]:
        """The whole message."""
        ...

    def finish_reason(self, reason: str) -> str:
        """OpenAI's word for how the engine ended."""
        ...


class TextMessage:
    """A message whose content is the generated text."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def opening(self) -> dict[str, Any]:
        """The role and no content yet."""
        return {"role": "assistant", "content": ""}

    def feed(self, text: str) -> list[dict[str, Any]]:
        """The text as it is."""
        self._parts.append(text)
        return [{"content": text}] if text else []

    def finished(self) -> dict[str, Any]:
        """Role and content."""
        return {"role": "assistant", "content": "".join(self._parts), "refusal": None}

    def finish_reason(self, reason: str) -> str:
        """Unchanged."""
        return reason


class ToolCallMessage:
    """A message with one tool call.

    With one function possible the generated text is its arguments; otherwise the text names the
    function first, and nothing is streamed before the name is known.
    """

    def __init__(self, call: ForcedCall) -> None:
        self._call = call
        self._id = f"call_{uuid.uuid4().hex[:24]}"
        self._reader = CallReader() if call.function_name is None else None
        self._name = call.function_name
        self._is_announced = False
        self._arguments: list[str] = []

    def opening(self) -> dict[str, Any]:
        """The role; a call has no content."""
        return {"role": "assistant", "content": None}

    def feed(self, text: str) -> list[dict[str, Any]]:
        """The call's head once, then its arguments."""
        if self._reader is not None:
            text = self._reader.feed(text)
            self._name = self._reader.name
        if self._name is None:
            return []
        deltas = []
        if not self._is_announced:
            self._is_announced = True
            deltas.append(_call_delta(id=self._id, type="function", function=self._function("")))
        if text:
            self._arguments.append(text)
            deltas.append(_call_delta(function={"arguments": text}))
        return deltas

    def finished(self) -> dict[str, Any]:
        """The message; without a call if the output was cut before the function's name."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if self._name is not None:
            function = self._function("".join(self._arguments))
            message["tool_calls"] = [{"id": self._id, "type": "function", "function": function}]
        return message

    def finish_reason(self, reason: str) -> str:
        """A complete call ends as OpenAI says, a cut one with ``length``."""
        return self._call.finish_reason if reason == "stop" else reason

    def _function(self, arguments: str) -> dict[str, Any]:
        return {"name": self._name, "arguments": arguments}


class ChatChoice:
    """One entry of a chat answer's ``choices``."""

    def __init__(self, index: int, message: ChatMessage, *, has_logprobs: bool) -> None:
        self._index = index
        self._message = message
        self._has_logprobs = has_logprobs
        self._logprobs: list[TokenLogprob] = []
        self._finish_reason: str | None = None
        self._stop_reason: str | None = None
        self._reasoning: list[str] = []

    def opening(self) -> list[dict[str, Any]]:
        """The role."""
        return [self._entry(self._message.opening())]

    def take(self, delta: Delta) -> list[dict[str, Any]]:
        """One entry per message delta; log-probabilities go with the first; the end comes last."""
        self._logprobs += delta.logprobs
        entries = [self._entry(part) for part in self._message.feed(delta.text)]
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
            entries.insert(0, self._entry({"reasoning": delta.reasoning}))
        if self._has_logprobs and delta.logprobs:
            entries = entries or [self._entry({})]
            entries[0]["logprobs"] = chat_logprobs(delta.logprobs)
        if delta.finish_reason is not None:
            self._finish_reason = self._message.finish_reason(delta.finish_reason)
            self._stop_reason = delta.stop_reason
            entries.append(self._entry({}) | self._end())
        return entries

    def finished(self) -> dict[str, Any]:
        """Message, with the reasoning before it if there was any, log-probabilities and finish reason."""
        logprobs = chat_logprobs(self._logprobs) if self._has_logprobs else None
        message = self._message.finished()
        if self._reasoning:
            message["reasoning"] = "".join(self._reasoning)
        return {"index": self._index, "message": message, "logprobs": logprobs, **self._end()}

    def _entry(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"index": self._index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _end(self) -> dict[str, Any]:
        return {"finish_reason": self._finish_reason, "stop_reason": self._stop_reason}


def _call_delta(**content: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **content}]}
