"""What the client's methods return: frozen records without behaviour that talks to a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DraftUsage:
    """Tokens that were drafted, and those that became output."""

    drafted: int
    accepted: int


@dataclass(frozen=True, kw_only=True)
class SpeculationUsage(DraftUsage):
    """What became of drafts.

    Attributes:
        steps: passes of the model that yielded tokens.
        by_source: of every source that drafted.
    """

    steps: int
    by_source: Mapping[str, DraftUsage] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens a request has used.

    Attributes:
        speculation: None if the server made no drafts.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    speculation: SpeculationUsage | None = None


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """One token with its natural log-probability, before the grammar's mask.

    Attributes:
        token: its text.
        logprob: of this token.
        token_bytes: its bytes (a character may be spread over tokens); None if not sent.
        top: the most likely tokens in its place, best first; theirs is empty.
    """

    token: str
    logprob: float
    token_bytes: bytes | None = None
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call the model wants made; ``arguments`` is JSON text, or the input of a custom tool."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call: the first of each ``index`` has id and name, all add arguments."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, kw_only=True)
class CompletionChoice:
    """One of the ``n`` answers; ``finish_reason`` is None while it is being streamed."""

    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChatChoice(CompletionChoice):
    """One of the ``n`` answers of a chat."""

    tool_calls: tuple[ToolCall, ...] = ()


ChoiceT = TypeVar("ChoiceT", bound=CompletionChoice)


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[ChoiceT]):
    """What `ChatResult` and `CompletionResult` share; the properties are the first choice's.

    Attributes:
        id, model: as the server names them.
        choices: ``n`` of them, at least one.
        usage: None if the server did not say.
        raw: the JSON body as it came; None if the answer was put together from a stream.
    """

    id: str
    model: str
    choices: tuple[ChoiceT, ...]
    usage: Usage | None = None
    raw: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        return self.choices[0].text

    @property
    def finish_reason(self) -> str | None:
        return self.choices[0].finish_reason

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        return self.choices[0].logprobs


@dataclass(frozen=True, kw_only=True)
class CompletionResult(Answer[CompletionChoice]):
    """The continuation of a prompt."""


@dataclass(frozen=True, kw_only=True)
class ChatResult(Answer[ChatChoice]):
    """The answer to a chat."""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.choices[0].tool_calls


@dataclass(frozen=True, kw_only=True)
class ParsedResult(Generic[T]):
    """A validated ``value`` and the chat ``result`` it was read from."""

    value: T
    result: ChatResult


@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """What one message of a stream added to one choice.

    Attributes:
        index: the choice.
        text: new text, possibly empty.
        tool_calls: new pieces of tool calls.
        logprobs: of the new tokens, if asked for.
        finish_reason: set on the choice's last event.
        usage: set on the stream's last event, which adds nothing else.
    """

    index: int = 0
    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model the server offers."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None


@dataclass(frozen=True, kw_only=True)
class ErrorDetail:
    """The ``error`` object of an answer.

    Attributes:
        message: what was given, what is wrong with it, what to do.
        type, param, code: OpenAI's fields; ``param`` names the request field.
        grammar_code: which kind of grammar error it was.
        pointer: JSON pointer into the schema; ``""`` is its root.
        line, column: position in the grammar's text, counted from 1.
        keyword: the schema keyword or construct that was refused.
        limit, given: the limit that was exceeded, and by what.
        conflict: what contradicts each other, in a grammar that nothing fits.
    """

    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None
    grammar_code: str | None = None
    pointer: str | None = None
    line: int | None = None
    column: int | None = None
    keyword: str | None = None
    limit: str | int | float | None = None
    given: str | int | float | None = None
    conflict: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Whether the server can enforce a grammar.

    Attributes:
        ok: it can.
        error: why not; None if it can.
        raw: the JSON body as it came, with the figures the server reports.
    """

    ok: bool
    error: ErrorDetail | None = None
    raw: Mapping[str, Any] | None = field(default=None, repr=False)
