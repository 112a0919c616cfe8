"""The JSON bodies that servers send, checked and turned into results.

Fields the SDK does not use are ignored, so that a newer server does not break an older client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, model_validator

from syntagma.clients.results import (
    ChatChoice,
    ChatResult,
    CheckResult,
    CompletionChoice,
    CompletionResult,
    ErrorDetail,
    ModelInfo,
    StreamEvent,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)


class WireTopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def to_result(self, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        token_bytes = None if self.bytes is None else bytes(self.bytes)
        return TokenLogprob(
            token=self.token, logprob=self.logprob, token_bytes=token_bytes, top=top
        )


class WireTokenLogprob(WireTopLogprob):
    top_logprobs: list[WireTopLogprob] = []


class WireChatLogprobs(BaseModel):
    content: list[WireTokenLogprob] | None = None

    def to_results(self) -> tuple[TokenLogprob, ...]:
        return tuple(
            entry.to_result(tuple(top.to_result() for top in entry.top_logprobs))
            for entry in self.content or ()
        )


class WireFunction(BaseModel):
    name: str
    arguments: str


class WireCustom(BaseModel):
    name: str
    input: str


class WireToolCall(BaseModel):
    """A call of a function or of a custom tool; one of the two is there."""

    id: str
    function: WireFunction | None = None
    custom: WireCustom | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> WireToolCall:
        if (self.function is None) == (self.custom is None):
            raise ValueError("a tool call has either a function or a custom tool")
        return self

    def to_result(self) -> ToolCall:
        if self.custom is not None:
            return ToolCall(id=self.id, name=self.custom.name, arguments=self.custom.input)
        function = self.function or WireFunction(name="", arguments="")
        return ToolCall(id=self.id, name=function.name, arguments=function.arguments)


class WireMessage(BaseModel):
    content: str | None = None
    tool_calls: list[WireToolCall] | None = None


class WireChatChoice(BaseModel):
    index: int
    message: WireMessage
    finish_reason: str | None = None
    logprobs: WireChatLogprobs | None = None

    def to_result(self) -> ChatChoice:
        return ChatChoice(
            index=self.index,
            text=self.message.content or "",
            finish_reason=self.finish_reason,
            logprobs=self.logprobs.to_results() if self.logprobs else (),
            tool_calls=tuple(call.to_result() for call in self.message.tool_calls or ()),
        )


class WireChat(BaseModel):
    id: str
    model: str
    choices: list[WireChatChoice] = Field(min_length=1)
    usage: Usage | None = None


class WireCompletionLogprobs(BaseModel):
    """The older form: parallel lists instead of records."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float] | None] | None = None

    def to_results(self) -> tuple[TokenLogprob, ...]:
        tops = self.top_logprobs or [None] * len(self.tokens)
        return tuple(
            TokenLogprob(
                token=token,
                logprob=logprob,
                top=tuple(
                    TokenLogprob(token=other, logprob=other_logprob)
                    for other, other_logprob in (top or {}).items()
                ),
            )
            for token, logprob, top in zip(self.tokens, self.token_logprobs, tops, strict=True)
        )


class WireCompletionChoice(BaseModel):
    index: int
    text: str
    finish_reason: str | None = None
    logprobs: WireCompletionLogprobs | None = None

    def to_result(self) -> CompletionChoice:
        return CompletionChoice(
            index=self.index,
            text=self.text,
            finish_reason=self.finish_reason,
            logprobs=self.logprobs.to_results() if self.logprobs else (),
        )


class WireCompletion(BaseModel):
    id: str
    model: str
    choices: list[WireCompletionChoice] = Field(min_length=1)
    usage: Usage | None = None


class WireFunctionDelta(BaseModel):
    name: str | None = None
    arguments: str | None = None


class WireCustomDelta(BaseModel):
    name: str | None = None
    input: str | None = None


class WireToolCallDelta(BaseModel):
    index: int
    id: str | None = None
    function: WireFunctionDelta = WireFunctionDelta()
    custom: WireCustomDelta = WireCustomDelta()

    def to_result(self) -> ToolCallDelta:
        return ToolCallDelta(
            index=self.index,
            id=self.id,
            name=self.function.name or self.custom.name,
            arguments=self.function.arguments or self.custom.input or "",
        )


class WireDelta(BaseModel):
    content: str | None = None
    tool_calls: list[WireToolCallDelta] | None = None


class WireChunkChoice(BaseModel):
    index: int
    delta: WireDelta = WireDelta()
    finish_reason: str | None = None
    logprobs: WireChatLogprobs | None = None

    def to_result(self) -> StreamEvent:
        return StreamEvent(
            index=self.index,
            text=self.delta.content or "",
            tool_calls=tuple(call.to_result() for call in self.delta.tool_calls or ()),
            logprobs=self.logprobs.to_results() if self.logprobs else (),
            finish_reason=self.finish_reason,
        )


class WireChunk(BaseModel):
    """One message of a stream; the one with the usage has no choices."""

    id: str
    model: str
    choices: list[WireChunkChoice]
    usage: Usage | None = None

    def to_results(self) -> list[StreamEvent]:
        events = [choice.to_result() for choice in self.choices]
        if self.usage is not None:
            events.append(StreamEvent(usage=self.usage))
        return events


class WireModels(BaseModel):
    data: list[ModelInfo]


class WireCheck(BaseModel):
    ok: bool
    error: ErrorDetail | None = None


def chat_result(body: Mapping[str, Any]) -> ChatResult:
    wire = WireChat.model_validate(body)
    choices = tuple(choice.to_result() for choice in wire.choices)
    return ChatResult(id=wire.id, model=wire.model, choices=choices, usage=wire.usage, raw=body)


def completion_result(body: Mapping[str, Any]) -> CompletionResult:
    wire = WireCompletion.model_validate(body)
    choices = tuple(choice.to_result() for choice in wire.choices)
    return CompletionResult(
        id=wire.id, model=wire.model, choices=choices, usage=wire.usage, raw=body
    )


def models_result(body: Mapping[str, Any]) -> tuple[ModelInfo, ...]:
    return tuple(WireModels.model_validate(body).data)


def check_result(body: Mapping[str, Any]) -> CheckResult:
    wire = WireCheck.model_validate(body)
    return CheckResult(ok=wire.ok, error=wire.error, raw=body)
