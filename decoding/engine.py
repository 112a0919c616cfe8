"""The protocol every engine implements, and the records that travel through it.

An engine turns a `GenerationRequest` into an async stream of `Delta`s. The server knows engines
only through this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.decoding.speculation import SpeculationOptions, SpeculationUsage
from syntagma.grammar import CompiledGrammar, Vocabulary

FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the next token is drawn; the defaults sample the model's own law.

    Attributes:
        temperature: 0 means greedy.
        top_p, top_k, min_p: truncations after the mask; 1.0, 0 and 0.0 switch them off.
        seed: of the request's own generator; choice ``i`` uses ``seed + i``. None: random.
        presence_penalty, frequency_penalty: OpenAI's, over generated tokens only.
        repetition_penalty: Hugging Face's, over prompt and generated tokens; 1.0 is off.
        logit_bias: token id -> added to its logit before the mask.
        stop: strings that end the output and are not part of it.
        max_tokens: generated tokens at most; None: up to the model's context.
        n: independent choices.
        logprobs: None: none; k: the drawn token's and the k best's, before the mask.
        ignore_eos: stop tokens do not end an unconstrained output.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    n: int = 1
    logprobs: int | None = None
    ignore_eos: bool = False


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One request: the prompt's tokens, the sampling law and, perhaps, a grammar.

    Attributes:
        grammar_spec: what the grammar was compiled from, for engines in other processes; None: they
            depend on the finished grammar.
        may_reason: whether a model that reasons may do so before its answer.
        priority: smaller ones go first, in engines that know priorities; others take 0 only.
        adapter: one of the engine's adapters by name; None: the model as it is.
        speculation: how drafts are made; None: as the engine does by itself. They never change the law of
            the output.
        tenant: who asks; drafts learn from a tenant's own outputs only.
    """

    request_id: str
    prompt_token_ids: tuple[int, ...]
    sampling: SamplingParams
    grammar: CompiledGrammar | None = None
    grammar_spec: GrammarSpec | None = None
    may_reason: bool = False
    priority: int = 0
    adapter: str | None = None
    speculation: SpeculationOptions | None = None
    tenant: str = ""


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """One generated token under the model's law before the mask (natural logarithms).

    Attributes:
        token_id, token_bytes: the drawn token.
        logprob: its log-probability before penalties, temperature and mask.
        top: (token id, bytes, log-probability) of the most likely tokens, best first.
        is_forced: the grammar allowed this token only.
    """

    token_id: int
    token_bytes: bytes
    logprob: float
    top: tuple[tuple[int, bytes, float], ...]
    is_forced: bool


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What one step added to one choice.

    Attributes:
        index: the choice, 0 <= index < n.
        text: new text; whole characters only, and never part of a stop string.
        reasoning: new text of what comes before the answer, of which a grammar says nothing.
        token_ids: the new tokens (their text may follow in a later delta).
        logprobs: one entry a token if asked for, else empty.
        finish_reason: set on the choice's last delta.
        stop_reason: the stop string that matched, if one did.
        speculation: on the last delta of a choice that drafts were made for: what became of them.
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    stop_reason: str | None = None
    reasoning: str = ""
    speculation: SpeculationUsage | None = None


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """What an engine has done so far, and what it is doing now.

    Attributes:
        requests_running: requests with at least one choice under way.
        requests_waiting: requests accepted but not begun.
        prompt_tokens_total: prompt tokens run through the model; n choices share one prompt.
        generated_tokens_total: tokens drawn, stop tokens included.
        forced_tokens_total: those the grammar left no choice about.
        mask_seconds_total: time spent filling bitmasks.
    """

    requests_running: int = 0
    requests_waiting: int = 0
    prompt_tokens_total: int = 0
    generated_tokens_total: int = 0
    forced_tokens_total: int = 0
    mask_seconds_total: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step of an engine, for histograms.

    Attributes:
        mask_seconds: one entry for each bitmask filled.
        num_prompt_tokens, num_generated_tokens, num_forced_tokens: as in `EngineStats`.
        speculation: over the choices that drafts may be made for; None if there were none.
    """

    mask_seconds: tuple[float, ...] = ()
    num_prompt_tokens: int = 0
    num_generated_tokens: int = 0
    num_forced_tokens: int = 0
    speculation: SpeculationUsage | None = None


class StepObserver(Protocol):
    """What an engine calls after each step, in its own thread; must be quick and not raise."""

    def __call__(self, report: StepReport, /) -> None: ...


class EngineError(RuntimeError):
    """The engine could not carry out a request (out of memory, shut down)."""


class EngineStoppedError(EngineError):
    """The engine does not run: not started, shut down, or its process has died."""


class EngineOverloadedError(EngineError):
    """Too many requests wait already; try again later."""


class Tokenizer(Protocol):
    """What the server needs of a Hugging Face tokenizer."""

    chat_template: str | None

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...


class Engine(Protocol):
    """A running model.

    `generate` may be called from one event loop, many requests at once; leaving the iterator early
    (``aclose`` or cancellation) aborts the request and frees what it held.
    """

    @property
    def model_name(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def max_model_len(self) -> int:
        """Prompt and output tokens together, at most."""
        ...

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of changes to the model that requests may choose."""
        return ()

    @property
    def artefact_dir(self) -> Path | None:
        """Where processes of the engine look for finished grammars; None: it has no need of files."""
        return None

    @property
    def is_running(self) -> bool:
        """Whether requests are served: started, not shut down and not failed."""
        ...

    @property
    def num_active(self) -> int:
        """Requests running or waiting now."""
        ...

    @property
    def stats(self) -> EngineStats: ...

    async def start(self) -> None:
        """Begin to serve; `generate` works from here on."""
        ...

    async def shutdown(self) -> None:
        """Stop serving; streams still open end with `EngineError`. A second call waits for the first."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncIterator[Delta]:
        """Stream a request's deltas; choices may interleave, each ends with a finish reason.

        Raises:
            ValueError: the prompt is empty or does not fit ``max_model_len``, a token id is not in
                the vocabulary, or a sampling parameter is out of range.
            EngineOverloadedError: the queue is full.
            EngineStoppedError: the engine does not run.
            EngineError: from the iterator: this request failed.
        """
        ...

    async def abort(self, request_id: str) -> None:
        """End a request; its stream closes with finish reason ``abort``."""
        ...
