"""The one place where calls become HTTP requests: paths, bodies, checks of the arguments.

Pure functions; nothing here talks to a network. An argument that cannot be sent is refused here,
before anything has been sent. Ranges are left to the server, which knows its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import httpx

from syntagma.clients.constraints import chat_constraint, check_constraint, completion_constraint
from syntagma.clients.options import (
    CallOptions,
    ChatOptions,
    CheckOptions,
    CompletionOptions,
    Messages,
    Schema,
    SpeculationOptions,
    Timeout,
)

CALL_OPTIONS = CallOptions.__optional_keys__
COMPLETION_OPTIONS = CompletionOptions.__optional_keys__
CHAT_OPTIONS = ChatOptions.__optional_keys__
SPECULATION_OPTIONS = SpeculationOptions.__optional_keys__

Body = Mapping[str, object]

# Options that go into the body under their own name and as they are.
_PLAIN_FIELDS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "ignore_eos",
    "n",
    "user",
)
_TOOL_MODES = ("auto", "none", "required")


@dataclass(frozen=True, kw_only=True)
class RequestSpec:
    """One HTTP request, still without server, key and connection.

    Attributes:
        path: from the server's root.
        body: sent as JSON.
        timeout: instead of the client's.
        needs_model: the body must name a model; `with_model` adds it where the caller did not.
        is_repeatable: sending it twice does no harm.
        content: the body, encoded; what JSON cannot express is a ValueError or TypeError here.
    """

    method: Literal["GET", "POST"]
    path: str
    body: Body | None = None
    timeout: httpx.Timeout | None = None
    needs_model: bool = False
    is_repeatable: bool = False
    content: bytes | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        content = None
        if self.body is not None:
            content = json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode()
        object.__setattr__(self, "content", content)

    @property
    def lacks_model(self) -> bool:
        return self.needs_model and self.body is not None and "model" not in self.body

    def with_model(self, model: str) -> RequestSpec:
        return replace(self, body={"model": model, **(self.body or {})})


def chat_request(
    messages: Messages, options: ChatOptions, *, is_stream: bool = False
) -> RequestSpec:
    refuse_unknown(options, CHAT_OPTIONS)
    body: dict[str, object] = {"messages": _messages(messages), **_sampling(options)}
    if (num_logprobs := _num_logprobs(options)) is not None:
        body |= {"logprobs": True, "top_logprobs": num_logprobs}
    body |= chat_constraint(options)
    body |= _tools(options.get("tools"), options.get("tool_choice"))
    if is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _generation("/v1/chat/completions", body, options)


def completion_request(prompt: str, options: CompletionOptions) -> RequestSpec:
    refuse_unknown(options, COMPLETION_OPTIONS)
    if not isinstance(prompt, str):
        raise TypeError(f"prompt must be a string, got {prompt!r}")
    body: dict[str, object] = {"prompt": prompt, **_sampling(options)}
    if (num_logprobs := _num_logprobs(options)) is not None:
        body["logprobs"] = num_logprobs
    body |= completion_constraint(options)
    return _generation("/v1/completions", body, options)


def check_request(
    schema: Schema | None,
    regex: str | None,
    choice: Sequence[str] | None,
    self_test: int | None,
    timeout: Timeout | None,
    policies: CheckOptions,
) -> RequestSpec:
    if unknown := sorted(policies.keys() - CheckOptions.__optional_keys__):
        raise TypeError(f"check has no option {unknown[0]!r}")
    body = check_constraint({"schema": schema, "regex": regex, "choice": choice, **policies})
    if not body:
        raise ValueError("check needs a grammar: give schema, regex, choice or grammar")
    if self_test is not None:
        body["self_test"] = self_test
    return RequestSpec(
        method="POST",
        path="/v1/grammars/check",
        body=body,
        timeout=_timeout(timeout),
        is_repeatable=True,
    )


def models_request(timeout: Timeout | None = None) -> RequestSpec:
    return RequestSpec(
        method="GET", path="/v1/models", timeout=_timeout(timeout), is_repeatable=True
    )


def health_request(timeout: Timeout | None) -> RequestSpec:
    return RequestSpec(method="GET", path="/health", timeout=_timeout(timeout), is_repeatable=True)


def checked_timeout(timeout: Timeout) -> httpx.Timeout:
    """A number bounds each silence, but a connection must come sooner than an answer."""
    if isinstance(timeout, httpx.Timeout):
        return timeout
    if not 0 < timeout < float("inf"):
        raise ValueError(
            f"timeout must be a positive number of seconds, got {timeout!r}; "
            "httpx.Timeout(None) waits for ever"
        )
    return httpx.Timeout(timeout, connect=min(timeout, 5.0))


def refuse_unknown(options: CallOptions, known: frozenset[str]) -> None:
    """Type checkers see unknown options; at run time ``**options`` would swallow them."""
    if unknown := sorted(options.keys() - known):
        raise TypeError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _timeout(timeout: Timeout | None) -> httpx.Timeout | None:
    return None if timeout is None else checked_timeout(timeout)


def _generation(path: str, body: Body, options: CallOptions) -> RequestSpec:
    extra = options.get("extra_body") or {}
    if (model := options.get("model")) is not None:
        body = {"model": model, **body}
    if doubled := sorted(extra.keys() & body.keys()):
        raise ValueError(f"extra_body repeats {doubled[0]!r}, which has been set already")
    return RequestSpec(
        method="POST",
        path=path,
        body={**body, **extra},
        timeout=_timeout(options.get("timeout")),
        needs_model=True,
    )


def _messages(messages: Messages) -> list[Body]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, (bytes, Mapping)):
        raise TypeError(f"messages must be a string or a list of messages, got {messages!r}")
    chat = list(messages)
    if not chat:
        raise ValueError("messages must not be empty")
    for position, message in enumerate(chat):
        if not isinstance(message, Mapping) or "role" not in message:
            raise ValueError(f"messages[{position}] must be a mapping with a role: {message!r}")
    return [dict(message) for message in chat]


def _sampling(options: Mapping[str, Any]) -> dict[str, object]:
    body = {name: options[name] for name in _PLAIN_FIELDS if options.get(name) is not None}
    if (stop := options.get("stop")) is not None:
        body["stop"] = stop if isinstance(stop, str) else list(stop)
    if (speculation := options.get("speculation")) is not None:
        body["speculation"] = _speculation(speculation)
    if (bias := options.get("logit_bias")) is not None:
        body["logit_bias"] = {str(token_id): value for token_id, value in bias.items()}
    return body


def _speculation(options: Mapping[str, Any]) -> Body:
    if unknown := sorted(options.keys() - SPECULATION_OPTIONS):
        raise TypeError(
            f"speculation has no option {unknown[0]!r}; it has {', '.join(sorted(SPECULATION_OPTIONS))}"
        )
    body = dict(options)
    if "sources" in body:
        body["sources"] = list(body["sources"])
    return body


def _num_logprobs(options: CallOptions) -> int | None:
    logprobs = options.get("logprobs")
    if isinstance(logprobs, bool):
        # OpenAI's flag, not a number: True must not become 1.
        return 0 if logprobs else None
    return logprobs


def _tools(
    tools: Sequence[Mapping[str, object]] | None, tool_choice: str | Mapping[str, object] | None
) -> dict[str, object]:
    body: dict[str, object] = {}
    if tools is not None:
        body["tools"] = [dict(tool) for tool in tools]
    if isinstance(tool_choice, str) and tool_choice not in _TOOL_MODES:
        named = [_tool_name(tool) for tool in tools or ()]
        kinds = [kind for kind, name in named if name == tool_choice]
        if not kinds:
            names = [name for _, name in named]
            raise ValueError(f"tool_choice {tool_choice!r} is not among the tools {names!r}")
        tool_choice = {"type": kinds[0], kinds[0]: {"name": tool_choice}}
    if tool_choice is not None:
        body["tool_choice"] = tool_choice
    return body


def _tool_name(tool: Mapping[str, object]) -> tuple[str, object]:
    """Whether a tool is a function or a custom one, and its name."""
    kind = "custom" if tool.get("type") == "custom" else "function"
    definition = tool.get(kind)
    return kind, definition.get("name") if isinstance(definition, Mapping) else None
