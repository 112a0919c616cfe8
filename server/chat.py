"""``POST /v1/chat/completions``: text, constrained text, or tool calls."""

from __future__ import annotations

from starlette.responses import Response

from syntagma.server.answer_channels import in_channels
from syntagma.server.answers import Answer, Choice
from syntagma.server.chat_choices import ChatChoice, chat_message
from syntagma.server.constraint_reader import ConstraintReader
from syntagma.server.constraints import Constraint, only_one
from syntagma.server.context import ServerContext
from syntagma.server.errors import bad_request
from syntagma.server.json_body import JsonBody
from syntagma.server.preparation import Plan, start
from syntagma.server.protocol import ChatBody
from syntagma.server.sampling import check_num_choices
from syntagma.server.tools import CallsInText, ForcedCall, shown_tools, wanted_calls
from syntagma.server.validation import parse_body


async def answer_chat(context: ServerContext, payload: JsonBody) -> Response:
    """Answer a chat request.

    Raises:
        ApiError: the request is refused.
        EngineError: the engine is overloaded or failed.
    """
    body = parse_body(ChatBody, payload.value)
    context.check_model(body.model)
    check_num_choices(1, body.num_choices, context.settings.max_n)
    reader = context.constraints.under(body.structured_outputs)
    calls = await payload.run(wanted_calls, body, reader.policy, context.tool_format)
    constraint = await payload.run(chat_constraint, reader, body, calls)
    if calls is not None and constraint is not calls.constraint:
        calls = None
    told, held_to, opening = in_channels(context.tool_format, body, calls, constraint)
    plan = Plan(
        body=body,
        constraint=held_to,
        max_tokens=max_tokens(body),
        logprobs=num_logprobs(body),
        prompt_param="messages",
        may_reason=True,
    )
    prompt = await context.prompts.chat(body.messages, shown_tools(body), opening)
    generation = await start(context, plan, [prompt])
    answer = chat_answer(body.model or context.engine.model_name, body, told, constraint)
    return await answer.respond(generation, stream=bool(body.stream))


def chat_constraint(
    reader: ConstraintReader, body: ChatBody, calls: ForcedCall | CallsInText | None
) -> Constraint | None:
    """The one constraint of a chat request, if any; where calls are the model's choice, other fields win."""
    given = [
        reader.response_format(body.response_format),
        reader.structured_outputs(body.structured_outputs),
    ]
    is_optional = isinstance(calls, CallsInText) and not calls.is_forced
    if calls is not None and not (is_optional and any(given)):
        given.append(calls.constraint)
    return only_one(given, has_policies=body.structured_outputs is not None)


def max_tokens(body: ChatBody) -> int | None:
    """The output's length limit under either of its names.

    Raises:
        ApiError: 400 if the two differ.
    """
    new, old = body.max_completion_tokens, body.max_tokens
    if new is not None and old is not None and new != old:
        raise bad_request(
            "max_tokens is the old name of max_completion_tokens; give one of the two.",
            param="max_tokens",
        )
    return old if new is None else new


def num_logprobs(body: ChatBody) -> int | None:
    """How many alternatives a token is reported with; None: no log-probabilities at all.

    Raises:
        ApiError: 400 for ``top_logprobs`` without ``logprobs``.
    """
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise bad_request('top_logprobs needs "logprobs": true.', param="top_logprobs")
    return None


def chat_answer(
    model: str,
    body: ChatBody,
    calls: ForcedCall | CallsInText | None,
    constraint: Constraint | None,
) -> Answer:
    """An empty answer of the shape that the request asks for."""
    choices: list[Choice] = [
        ChatChoice(
            index,
            chat_message(calls),
            has_logprobs=bool(body.logprobs),
        )
        for index in range(body.num_choices)
    ]
    return Answer(
        prefix="chatcmpl",
        kind="chat.completion",
        chunk_kind="chat.completion.chunk",
        model=model,
        choices=choices,
        includes_usage=body.includes_usage,
        constraint=constraint,
    )
