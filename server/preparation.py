"""From a checked request body to a generation that is ready to open."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from syntagma.decoding.engine import GenerationRequest
from syntagma.server.constraints import Constraint
from syntagma.server.context import ServerContext
from syntagma.server.generation import Generation
from syntagma.server.protocol import GenerationBody
from syntagma.server.sampling import (
    check_length,
    sampling_params,
    speculation_options,
    tenant_of,
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be generated, apart from the prompts.

    Attributes:
        body: the request.
        constraint: on each output.
        max_tokens: as asked for; None: not said.
        default_max_tokens: where it is not said; None: up to the model's context.
        may_reason: whether a model that reasons may do so first.
        logprobs: alternatives per token; None: no log-probabilities.
        prompt_param: the field that holds the prompt, for errors.
    """

    body: GenerationBody
    constraint: Constraint | None
    max_tokens: int | None
    logprobs: int | None
    prompt_param: str
    default_max_tokens: int | None = None
    may_reason: bool = False


async def start(
    context: ServerContext, plan: Plan, prompts: Sequence[tuple[int, ...]]
) -> Generation:
    """Check lengths, compile the grammar and put the engine's requests together.

    Raises:
        ApiError: 400, the request does not fit the model or the grammar is refused.
        EngineOverloadedError: too many grammars wait.
    """
    engine = context.engine
    sampling = sampling_params(
        plan.body,
        max_tokens=plan.default_max_tokens if plan.max_tokens is None else plan.max_tokens,
        logprobs=plan.logprobs,
        constraint=plan.constraint,
        vocab_size=engine.vocabulary.size,
    )
    for prompt in prompts:
        check_length(
            len(prompt),
            plan.max_tokens,
            max_model_len=engine.max_model_len,
            param=plan.prompt_param,
        )
    grammar, spec = None, None
    if plan.constraint is not None:
        spec = plan.constraint.spec
        grammar = (await context.compiling.compile(plan.constraint)).grammar
    requests = [
        GenerationRequest(
            request_id=uuid.uuid4().hex,
            prompt_token_ids=prompt,
            sampling=sampling,
            grammar=grammar,
            grammar_spec=spec,
            may_reason=plan.may_reason,
            priority=plan.body.priority or 0,
            adapter=plan.body.model if plan.body.model in engine.adapters else None,
            speculation=speculation_options(plan.body),
            tenant=tenant_of(plan.body),
        )
        for prompt in prompts
    ]
    return Generation(engine, requests, context.metrics)
