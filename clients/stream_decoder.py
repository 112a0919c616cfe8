"""From the bytes of a streamed chat to its events, and to the whole answer at the end.

Knows no connection: the clients feed it bytes and tell it how the connection ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from syntagma.clients.errors import StreamInterruptedError
from syntagma.clients.failures import error_detail
from syntagma.clients.results import (
    ChatChoice,
    ChatResult,
    ErrorDetail,
    StreamEvent,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from syntagma.clients.sse import ServerSentEvent, SseParser
from syntagma.clients.wire import WireChunk

_END_MARK = "[DONE]"


class StreamDecoder:
    """Everything a stream has to do apart from reading: parse, collect, notice the end."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._id = ""
        self._model = ""
        self._choices: dict[int, _GrowingChoice] = {}
        self._usage: Usage | None = None
        self.is_done = False

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield the events that ``chunk`` completes.

        Raises:
            StreamInterruptedError: the server sent an error, or something unreadable.
        """
        for message in self._parser.feed(chunk):
            if self.is_done:
                return
            if message.data == _END_MARK:
                self.is_done = True
                return
            for event in self._events(message):
                self._collect(event)
                yield event

    def connection_ended(self, error: Exception | None = None) -> None:
        """Say that no more bytes will come, because of ``error`` or without one.

        Raises:
            StreamInterruptedError: the stream was not complete.
        """
        if not self.is_done:
            reason = "closed the connection" if error is None else str(error) or repr(error)
            raise self._interrupted(f"the stream ended before its end: {reason}") from error

    def result(self) -> ChatResult:
        """Return what has been collected so far."""
        growing = self._choices or {0: _GrowingChoice()}
        choices = tuple(growing[index].choice(index) for index in sorted(growing))
        return ChatResult(id=self._id, model=self._model, choices=choices, usage=self._usage)

    def _events(self, message: ServerSentEvent) -> list[StreamEvent]:
        try:
            body = json.loads(message.data)
            if isinstance(body, dict) and body.get("error"):
                detail = error_detail(body["error"])
                raise self._interrupted(detail.message, detail)
            chunk = WireChunk.model_validate(body)
        except ValueError as error:
            raise self._interrupted(f"unreadable stream message {message.data!r:.200}") from error
        self._id, self._model = chunk.id, chunk.model
        return chunk.to_results()

    def _collect(self, event: StreamEvent) -> None:
        if event.usage is not None:
            self._usage = event.usage
        else:
            self._choices.setdefault(event.index, _GrowingChoice()).add(event)

    def _interrupted(
        self, message: str, detail: ErrorDetail | None = None
    ) -> StreamInterruptedError:
        return StreamInterruptedError(message, self.result(), detail)


@dataclass
class _GrowingChoice:
    text: list[str] = field(default_factory=list)
    tool_calls: dict[int, _GrowingToolCall] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None

    def add(self, event: StreamEvent) -> None:
        self.text.append(event.text)
        self.logprobs.extend(event.logprobs)
        self.finish_reason = event.finish_reason or self.finish_reason
        for delta in event.tool_calls:
            self.tool_calls.setdefault(delta.index, _GrowingToolCall()).add(delta)

    def choice(self, index: int) -> ChatChoice:
        return ChatChoice(
            index=index,
            text="".join(self.text),
            finish_reason=self.finish_reason,
            logprobs=tuple(self.logprobs),
            tool_calls=tuple(self.tool_calls[k].tool_call() for k in sorted(self.tool_calls)),
        )


@dataclass
class _GrowingToolCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def add(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or self.id
        self.name = delta.name or self.name
        self.arguments.append(delta.arguments)

    def tool_call(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))
