"""One small request through every part, so that no user's request is the first."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from syntagma.decoding.engine import Delta, GenerationRequest, SamplingParams
from syntagma.server.constraints import Constraint
from syntagma.server.context import ServerContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

WARM_UP_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "numbers": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["name", "numbers", "kind"],
    "additionalProperties": False,
}


async def warm_up(context: ServerContext) -> None:
    """Compile a schema and generate a few tokens under it: tokenizer, kernels and model are warm.

    Raises:
        EngineError: the engine does not work; better known now than at the first request.
    """
    constraint = Constraint("json_schema", WARM_UP_SCHEMA, "warm-up")
    compilation = await context.compiling.compile(constraint)
    request = GenerationRequest(
        request_id="warm-up",
        prompt_token_ids=await context.prompts.text("Hello"),
        sampling=SamplingParams(max_tokens=4, seed=0),
        grammar=compilation.grammar,
    )
    deltas = cast("AsyncGenerator[Delta]", context.engine.generate(request))
    async with aclosing(deltas):
        async for _ in deltas:
            pass
