"""``POST /v1/completions``: raw prompts, one or several."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syntagma.decoding.engine import Delta, TokenLogprob
from syntagma.server.answers import Answer, Choice
from syntagma.server.constraints import Constraint, only_one
from syntagma.server.context import ServerContext
from syntagma.server.errors import bad_request
from syntagma.server.json_body import JsonBody
from syntagma.server.logprobs import completion_logprobs, text_length
from syntagma.server.preparation import Plan, start
from syntagma.server.protocol import CompletionBody
from syntagma.server.sampling import check_num_choices
from syntagma.server.validation import parse_body

# OpenAI's default; a constrained output has none, for it ends by itself and must not be cut.
DEFAULT_MAX_TOKENS = 16


async def answer_completion(context: ServerContext, payload: JsonBody) -> Response:
    """Answer a completion request.

    Raises:
        ApiError: the request is refused.
        EngineError: the engine is overloaded or failed.
    """
    body = parse_body(CompletionBody, payload.value)
    context.check_model(body.model)
    prompts = prompt_list(body)
    check_num_choices(len(prompts), body.num_choices, context.settings.max_n)
    constraint = await payload.run(completion_constraint, context, body)
    plan = Plan(
        body=body,
        constraint=constraint,
        max_tokens=body.max_tokens,
        default_max_tokens=DEFAULT_MAX_TOKENS if constraint is None else None,
        logprobs=body.logprobs,
        prompt_param="prompt",
    )
    token_ids = [await prompt_token_ids(context, prompt) for prompt in prompts]
    generation = await start(context, plan, token_ids)
    answer = completion_answer(
        body.model or context.engine.model_name, body, len(prompts), constraint
    )
    return await answer.respond(generation, stream=bool(body.stream))


def prompt_list(body: CompletionBody) -> list[Any]:
    """The prompts, each a text or a list of token ids.

    Raises:
        ApiError: 400 for anything else, and for an empty prompt.
    """
    given = body.prompt
    is_one = isinstance(given, str) or (bool(given) and type(given[0]) is int)
    prompts = [given] if is_one else given
    if not prompts or any(prompt in ("", []) for prompt in prompts):
        raise bad_request("prompt must not be empty.", param="prompt")
    if not all(map(_is_prompt, prompts)):
        raise bad_request(
            "prompt must be a text, a list of texts, a list of token ids or a list of such lists.",
            param="prompt",
        )
    return list(prompts)


def completion_constraint(context: ServerContext, body: CompletionBody) -> Constraint | None:
    """The one constraint of a completion request, if any."""
    reader = context.constraints.under(body.structured_outputs)
    return only_one(
        (
            reader.response_format(body.response_format),
            reader.structured_outputs(body.structured_outputs),
        ),
        has_policies=body.structured_outputs is not None,
    )


async def prompt_token_ids(context: ServerContext, prompt: str | list[int]) -> tuple[int, ...]:
    """One prompt's tokens.

    Raises:
        ApiError: 400 for an id outside the vocabulary or a text without tokens.
    """
    if isinstance(prompt, str):
        return await context.prompts.text(prompt)
    vocab_size = context.engine.vocabulary.size
    for token_id in prompt:
        if not 0 <= token_id < vocab_size:
            raise bad_request(
                f"prompt: {token_id} is not a token id of this model (0 to {vocab_size - 1}).",
                param="prompt",
            )
    return tuple(prompt)


def completion_answer(
    model: str, body: CompletionBody, num_prompts: int, constraint: Constraint | None
) -> Answer:
    """An empty answer of the shape that the request asks for."""
    choices: list[Choice] = [
        CompletionChoice(index, has_logprobs=body.logprobs is not None)
        for index in range(num_prompts * body.num_choices)
    ]
    return Answer(
        prefix="cmpl",
        kind="text_completion",
        chunk_kind="text_completion",
        model=model,
        choices=choices,
        includes_usage=body.includes_usage,
        constraint=constraint,
    )


class CompletionChoice:
    """One entry of a completion's ``choices``."""

    def __init__(self, index: int, *, has_logprobs: bool) -> None:
        self._index = index
        self._has_logprobs = has_logprobs
        self._parts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._text_offset = 0
        self._finish_reason: str | None = None
        self._stop_reason: str | None = None

    def opening(self) -> list[dict[str, Any]]:
        """Nothing: a text has no head."""
        return []

    def take(self, delta: Delta) -> list[dict[str, Any]]:
        """One entry, unless the delta shows nothing."""
        self._parts.append(delta.text)
        self._logprobs += delta.logprobs
        self._finish_reason = delta.finish_reason
        self._stop_reason = delta.stop_reason
        offset = self._text_offset
        self._text_offset += text_length(delta.logprobs)
        if not (delta.text or delta.finish_reason or (self._has_logprobs and delta.logprobs)):
            return []
        return [self._entry(delta.text, delta.logprobs, offset)]

    def finished(self) -> dict[str, Any]:
        """The whole text."""
        return self._entry("".join(self._parts), self._logprobs, 0)

    def _entry(self, text: str, logprobs: Any, offset: int) -> dict[str, Any]:
        return {
            "index": self._index,
            "text": text,
            "logprobs": completion_logprobs(logprobs, offset) if self._has_logprobs else None,
            "finish_reason": self._finish_reason,
            "stop_reason": self._stop_reason,
        }


def _is_prompt(prompt: Any) -> bool:
    if isinstance(prompt, str):
        return True
    return isinstance(prompt, list) and all(type(token_id) is int for token_id in prompt)
