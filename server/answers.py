"""What the answers of both endpoints share: identity, usage, and the way from deltas to JSON."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response

from syntagma.decoding.engine import Delta
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.server.constraints import Constraint
from syntagma.server.context import SYSTEM_FINGERPRINT
from syntagma.server.generation import Generation
from syntagma.server.streaming import EventStream


class Choice(Protocol):
    """One choice of an answer while it grows."""

    def opening(self) -> list[dict[str, Any]]:
        """Entries of ``choices`` to stream before the first token."""
        ...

    def take(self, delta: Delta) -> list[dict[str, Any]]:
        """Entries of ``choices`` to stream for a delta, which is remembered as well."""
        ...

    def finished(self) -> dict[str, Any]:
        """The entry of ``choices`` in an answer that is not streamed."""
        ...


class Answer:
    """An answer to one request, streamed or whole.

    Args:
        prefix: of the answer's id.
        kind: OpenAI's ``object``; chunks of a chat have a name of their own.
        model: the served model's name.
        choices: by index.
        includes_usage: whether a stream ends with a usage chunk.
        constraint: what the outputs obey, told in whole answers and in the first chunk of a stream.
    """

    def __init__(
        self,
        *,
        prefix: str,
        kind: str,
        chunk_kind: str,
        model: str,
        choices: list[Choice],
        includes_usage: bool,
        constraint: Constraint | None = None,
    ) -> None:
        self._kind = kind
        self._chunk_kind = chunk_kind
        self._choices = choices
        self._includes_usage = includes_usage
        self._report = (
            {} if constraint is None else {"syntagma": {"constraint": constraint.describe()}}
        )
        self._id = f"{prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model

    async def respond(self, generation: Generation, *, stream: bool) -> Response:
        """The HTTP response; the generation is closed when it ends."""
        await generation.open()
        if stream:
            return EventStream(generation, self.chunks(generation))
        try:
            return JSONResponse(await self.collect(generation))
        finally:
            await generation.aclose()

    async def collect(self, generation: Generation) -> dict[str, Any]:
        """The whole answer."""
        async for delta in generation:
            self._choices[delta.index].take(delta)
        finished = [choice.finished() for choice in self._choices]
        return self._body(self._kind, finished) | {"usage": usage(generation)} | self._report

    async def chunks(self, generation: Generation) -> AsyncIterator[dict[str, Any]]:
        """The answer piece by piece; all choices are announced first, in ascending order."""
        report = self._report
        for choice in self._choices:
            for entry in choice.opening():
                yield self._chunk([entry]) | report
                report = {}
        async for delta in generation:
            for entry in self._choices[delta.index].take(delta):
                yield self._chunk([entry]) | report
                report = {}
        if self._includes_usage:
            yield self._chunk([]) | {"usage": usage(generation)}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = self._body(self._chunk_kind, choices)
        return chunk | {"usage": None} if self._includes_usage else chunk

    def _body(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": SYSTEM_FINGERPRINT,
            "choices": choices,
        }


def usage(generation: Generation) -> dict[str, Any]:
    """OpenAI's ``usage``, and what became of drafts where some were made."""
    num_prompt, num_generated = generation.num_prompt_tokens, generation.num_generated_tokens
    tokens = {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_generated,
        "total_tokens": num_prompt + num_generated,
    }
    if generation.speculation is None:
        return tokens
    return tokens | {"speculation": speculation_usage(generation.speculation)}


def speculation_usage(speculation: SpeculationUsage) -> dict[str, Any]:
    """Passes of the model, and tokens drafted and accepted, by source too."""
    return {
        "steps": speculation.steps,
        "drafted": speculation.drafted,
        "accepted": speculation.accepted,
        "by_source": {source: asdict(part) for source, part in speculation.by_source.items()},
    }
