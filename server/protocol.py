"""The request bodies of ``/v1/chat/completions`` and ``/v1/completions``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from syntagma.decoding.draft_tree import Source

MAX_STOP_STRINGS = 16
MAX_STOP_CHARS = 1024
MAX_TOP_LOGPROBS = 20
MAX_TOOLS = 128
MAX_FIELDS = 100
INT64_MAX = 2**63 - 1

StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


Item = TypeVar("Item")
# One complaint is enough: a body can hold millions of faults, and each would become an object.
Items = Annotated[list[Item], Field(fail_fast=True)]


class Strict(BaseModel):
    """No conversions between types, no fields that are not declared."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _bound_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MAX_FIELDS:
            raise ValueError(f"an object here may have at most {MAX_FIELDS} fields")
        return value


class StreamOptions(Strict):
    """``stream_options``; obfuscation is padding, and none is sent either way."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Speculation(Strict):
    """``speculation``: how drafts are made for this request; the output's law is the same anyhow."""

    enabled: bool | None = None
    max_tokens: int | None = Field(None, ge=1)
    sources: Items[Source] | None = Field(None, min_length=1)


class GenerationBody(Strict):
    """The fields both endpoints share; None means the default.

    Attributes:
        user, safety_identifier: drafts learn from outputs of the same name only.
    """

    model: str | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-INT64_MAX - 1, le=INT64_MAX)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    logit_bias: dict[str, Any] | None = None
    stop: StopString | Annotated[Items[StopString], Field(max_length=MAX_STOP_STRINGS)] | None = (
        None
    )
    n: int | None = Field(None, ge=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    speculation: Speculation | None = None
    user: str | None = None
    safety_identifier: str | None = None
    structured_outputs: dict[str, Any] | None = None
    priority: int | None = Field(None, ge=-INT64_MAX - 1, le=INT64_MAX)

    @property
    def num_choices(self) -> int:
        """Outputs per prompt."""
        return 1 if self.n is None else self.n

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class TextPart(Strict):
    """One piece of a message's content; only text is served."""

    type: Literal["text"]
    text: str


Content = str | Items[TextPart]


class SystemMessage(Strict):
    """Instructions; ``developer`` is the same under a newer name."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(Strict):
    """What the user wrote."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(Strict):
    """A past call; ``parsed_arguments`` is the SDK's own copy of ``arguments``."""

    name: str
    arguments: str
    parsed_arguments: Any = None


class PastToolCall(Strict):
    """A call the assistant made."""

    id: str
    type: Literal["function"]
    function: CalledFunction
    index: int | None = None


class CustomCall(Strict):
    """A past call of a custom tool."""

    name: str
    input: str


class PastCustomCall(Strict):
    """A call of a custom tool that the assistant made."""

    id: str
    type: Literal["custom"]
    custom: CustomCall
    index: int | None = None


PastCall = Annotated[PastToolCall | PastCustomCall, Field(discriminator="type")]


class AssistantMessage(Strict):
    """What the model answered; takes an answer of this server back as it was sent.

    Attributes:
        reasoning, refusal, annotations, audio, function_call, parsed: fields of answers and of the SDK's
            message objects; they are not shown to the model.
    """

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: Items[PastCall] | None = None
    name: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    parsed: Any = None


class ToolMessage(Strict):
    """The result of a call."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionDefinition(Strict):
    """A function the model may call; ``parameters`` is a JSON Schema and always enforced."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Strict):
    """A function with JSON arguments."""

    type: Literal["function"]
    function: FunctionDefinition

    @property
    def name(self) -> str:
        """What calls name."""
        return self.function.name


class CustomDefinition(Strict):
    """A tool that takes text; ``format`` is that of `custom_tools`."""

    name: FunctionName
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(Strict):
    """A tool whose input is text."""

    type: Literal["custom"]
    custom: CustomDefinition

    @property
    def name(self) -> str:
        """What calls name."""
        return self.custom.name


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class ChatBody(GenerationBody):
    """``POST /v1/chat/completions``."""

    messages: Items[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: dict[str, Any] | None = None
    tools: Items[Tool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


class CompletionBody(GenerationBody):
    """``POST /v1/completions``; a list in ``prompt`` holds texts, token ids or lists of these."""

    prompt: str | list[Any]
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: dict[str, Any] | None = None
