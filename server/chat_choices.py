"""A chat choice while it grows: as a text message, as a tool call, or as text with calls in it."""

from __future__ import annotations

import uuid
from typing import Any, Protocol

from syntagma.decoding.engine import Delta, TokenLogprob
from syntagma.server.call_text import CallBegins, Event, Reasoning, Text
from syntagma.server.logprobs import chat_logprobs
from syntagma.server.tool_text import CallReader, JsonStringReader
from syntagma.server.tools import CallsInText, ForcedCall


class ChatMessage(Protocol):
    """The assistant's message of one choice."""

    def opening(self) -> dict[str, Any]:
        """The first delta: the role."""
        ...

    def feed(self, text: str) -> list[dict[str, Any]]:
        """Take more text; returns the deltas it makes."""
        ...

    def flush(self) -> list[dict[str, Any]]:
        """The output has ended; returns the deltas of what was held back."""
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

    def flush(self) -> list[dict[str, Any]]:
        """Nothing is held back."""
        return []

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
        self._id = new_call_id()
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
            deltas.append(_call_delta(0, **self._call_as_dict("")))
        if text:
            self._arguments.append(text)
            deltas.append(_call_delta(0, **_piece(text, is_custom=self._call.is_custom)))
        return deltas

    def flush(self) -> list[dict[str, Any]]:
        """What is held back is no call yet."""
        return []

    def finished(self) -> dict[str, Any]:
        """The message; without a call if the output was cut before the function's name."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if self._name is not None:
            message["tool_calls"] = [self._call_as_dict("".join(self._arguments))]
        return message

    def finish_reason(self, reason: str) -> str:
        """A complete call ends as OpenAI says, a cut one with ``length``."""
        return self._call.finish_reason if reason == "stop" else reason

    def _call_as_dict(self, arguments: str) -> dict[str, Any]:
        return call_as_dict(self._id, self._name or "", arguments, is_custom=self._call.is_custom)


class GrowingCall:
    """A call while it is being written.

    Attributes:
        is_custom: of a custom tool, whose input is told instead of its JSON arguments.
    """

    def __init__(self, begun: CallBegins, *, is_custom: bool) -> None:
        self.is_custom = is_custom
        self._id = begun.call_id or new_call_id()
        self._name = begun.name
        self._input = JsonStringReader() if is_custom else None
        self._parts: list[str] = []

    def feed(self, text: str) -> str:
        """Take more of the arguments; returns what they add to the call."""
        piece = text if self._input is None else self._input.feed(text)
        self._parts.append(piece)
        return piece

    def as_dict(self) -> dict[str, Any]:
        """The call so far."""
        return call_as_dict(self._id, self._name, "".join(self._parts), is_custom=self.is_custom)


class CallsMessage:
    """A message of text and tool calls, as they come up in the output."""

    def __init__(self, calls: CallsInText) -> None:
        self._wanted = calls
        self._reader = calls.form.reader(calls.functions)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[GrowingCall] = []

    def opening(self) -> dict[str, Any]:
        """The role; nothing but calls has no content."""
        return {"role": "assistant", "content": None if self._wanted.is_forced else ""}

    def feed(self, text: str) -> list[dict[str, Any]]:
        """Text as it comes; each call's head once, then its arguments."""
        return list(filter(None, map(self._delta, self._reader.feed(text))))

    def flush(self) -> list[dict[str, Any]]:
        """Text that might have become a call."""
        return list(filter(None, map(self._delta, self._reader.finish())))

    def _delta(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Text):
            self._text.append(event.text)
            return {"content": event.text}
        if isinstance(event, Reasoning):
            self._reasoning.append(event.text)
            return {"reasoning": event.text}
        if isinstance(event, CallBegins):
            call = GrowingCall(event, is_custom=event.name in self._wanted.custom_names)
            self._calls.append(call)
            return _call_delta(len(self._calls) - 1, **call.as_dict())
        call = self._calls[-1]
        piece = call.feed(event.text)
        number = len(self._calls) - 1
        return _call_delta(number, **_piece(piece, is_custom=call.is_custom)) if piece else None

    def finished(self) -> dict[str, Any]:
        """The message; a call whose name did not come is left out."""
        content = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if self._calls or self._wanted.is_forced:
            message["content"] = content or None
        if self._reasoning:
            message["reasoning"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [call.as_dict() for call in self._calls]
        return message

    def finish_reason(self, reason: str) -> str:
        """A complete answer with calls ends as OpenAI says, a cut one with ``length``."""
        return self._wanted.finish_reason if self._calls and reason == "stop" else reason


def chat_message(calls: ForcedCall | CallsInText | None) -> ChatMessage:
    """An empty message of the shape that a request asks for."""
    if calls is None:
        return TextMessage()
    return CallsMessage(calls) if isinstance(calls, CallsInText) else ToolCallMessage(calls)


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
        parts = self._message.feed(delta.text)
        if delta.finish_reason is not None:
            parts += self._message.flush()
        entries = [self._entry(part) for part in parts]
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


def new_call_id() -> str:
    """An id as OpenAI's look."""
    return f"call_{uuid.uuid4().hex[:24]}"


def call_as_dict(call_id: str, name: str, text: str, *, is_custom: bool) -> dict[str, Any]:
    """A call in OpenAI's form."""
    kind = "custom" if is_custom else "function"
    return {
        "id": call_id,
        "type": kind,
        kind: {"name": name} | _piece(text, is_custom=is_custom)[kind],
    }


def _piece(text: str, *, is_custom: bool) -> dict[str, Any]:
    """More of a call's arguments or input."""
    return {"custom": {"input": text}} if is_custom else {"function": {"arguments": text}}


def _call_delta(index: int, **content: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **content}]}
