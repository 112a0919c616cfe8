"""The embedded engine's worker: it owns the model and moves all running choices on, step by step.

In a step every running choice gets one new token; prompts still unread share a budget of tokens and
take turns. The choices of a request beyond its first start from a copy of the first one's prefill.

`Worker.run` belongs in a thread of its own. No torch here: the model is whatever implements
`CachedModel`.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.engine import (
    Delta,
    EngineError,
    EngineStats,
    GenerationRequest,
    StepObserver,
    StepReport,
    TokenLogprob,
)
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.sampling import best_ids, log_softmax, sample
from syntagma.decoding.sequence import Sequence, SharedPrompt, text_bitmask
from syntagma.decoding.stream import Outbox, RequestQueue, Stream
from syntagma.grammar import CompiledGrammar, Vocabulary

logger = logging.getLogger(__name__)

LogitsT = TypeVar("LogitsT")


class CachedModel(Protocol[LogitsT]):
    """A language model that reads a few tokens at a time and remembers the earlier ones.

    Attributes:
        can_extend: a cache that holds tokens can be extended by several at once; if not, prompts
            are read in one go.
    """

    can_extend: bool

    def forward(self, token_ids: list[int], cache: object) -> tuple[LogitsT, object]:
        """Read the tokens that follow those in the cache; None is an empty cache.

        Returns:
            The logits after the last token, still on the device, and the new cache. The cache given
            may have been changed and must not be used again.
        """
        ...

    def fetch(self, logits: LogitsT) -> NDArray[np.float32]:
        """Bring logits to the host: float32[vocab_size]."""
        ...


class Worker(Generic[LogitsT]):
    """The loop over steps and all that it moves; the options are those of `EmbeddedEngine`."""

    def __init__(
        self,
        model: CachedModel[LogitsT],
        vocabulary: Vocabulary,
        queue: RequestQueue,
        *,
        max_model_len: int,
        max_active: int,
        prefill_chunk: int,
        new_matcher: Callable[[CompiledGrammar], Matcher],
        observer: StepObserver | None,
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._queue = queue
        self._max_model_len = max_model_len
        self._max_active = max_active
        self._prefill_chunk = prefill_chunk
        self._new_matcher = new_matcher
        self._observer = observer
        self._text_bitmask = text_bitmask(vocabulary)
        self._running: list[Sequence] = []
        self._forks: deque[Sequence] = deque()
        self._failed: dict[str, Exception] = {}
        self._outbox = Outbox()
        self._report = StepReport()
        self._totals = EngineStats()

    @property
    def totals(self) -> EngineStats:
        """The counters of `EngineStats` that only grow; may be read from any thread."""
        return self._totals

    # ------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Serve until the queue is stopped; streams still open then end with an `EngineError`."""
        failure = EngineError("the engine was shut down")
        try:
            while self._queue.wait_for_work():
                self._step()
        except Exception as error:
            # A fault of the engine itself, not of one request: nobody may be left waiting.
            logger.exception("the engine stops")
            failure = EngineError(f"the engine has failed: {error!r}")
        self._queue.stop()
        for stream in self._queue.all_open():
            self._fail(stream, failure)
        self._outbox.flush()

    def _step(self) -> None:
        """One round: every running choice gets one token, or reads on in its prompt."""
        self._drop_aborted()
        self._admit()
        for sequence, logits in self._forward(self._schedule()):
            with self._failing_alone(sequence.request):
                row = self._model.fetch(logits)
                self._queue_siblings(sequence, row)
                self._advance(sequence, row)
        self._drop_failed()
        self._drop_finished()
        self._publish()

    def _advance(self, sequence: Sequence, logits: NDArray[np.float32]) -> None:
        """Logits -> mask -> sample -> accept: one token of one choice."""
        is_forced = sequence.is_forced
        token_id = sample(
            logits,
            sequence.bitmask[0],
            sequence.request.sampling,
            prompt_token_ids=sequence.request.prompt_token_ids,
            output_token_ids=sequence.output_token_ids,
            generator=sequence.generator,
        )
        logprobs = self._logprobs(sequence, logits, token_id, is_forced)
        text = sequence.accept(token_id) + self._prepare(sequence)
        self._count(num_generated_tokens=1, num_forced_tokens=int(is_forced))
        self._send(sequence, text, (token_id,), logprobs)

    def _prepare(self, sequence: Sequence) -> str:
        """Fill the next token's bitmask, or end the choice if there is no next token.

        Returns:
            The text that was held back until the end.
        """
        if sequence.is_finished:
            return ""
        if sequence.matcher is not None:
            started = time.perf_counter()
            sequence.fill_bitmask()
            self._count(mask_seconds=(time.perf_counter() - started,))
        return sequence.conclude()

    # ---------------------------------------------------------------- who takes part in a step

    def _drop_aborted(self) -> None:
        for stream in self._queue.all_open():
            if not stream.is_aborted:
                continue
            if not stream.choices:  # it still waits
                self._abort_waiting(stream)
            for sequence in stream.choices:
                if not sequence.is_finished:
                    self._send(sequence, sequence.finish("abort"))
        self._drop_finished()

    def _abort_waiting(self, stream: Stream) -> None:
        for index in range(stream.request.sampling.n):
            delta = Delta(index=index, text="", token_ids=(), finish_reason="abort")
            self._outbox.put(stream, delta)
        self._queue.close(stream)

    def _drop_finished(self) -> None:
        self._running = [sequence for sequence in self._running if not sequence.is_finished]
        self._forks = deque(sequence for sequence in self._forks if not sequence.is_finished)

    def _admit(self) -> None:
        """Fill free places: choices of begun requests first, then the longest waiting request."""
        while len(self._running) < self._max_active:
            if self._forks:
                self._start_fork(self._forks.popleft())
            elif (stream := self._queue.next_waiting()) is not None:
                self._open(stream)
            else:
                break

    def _open(self, stream: Stream) -> None:
        """Make a request's choices and let the first one read the prompt."""
        request = stream.request
        with self._failing_alone(request):
            stream.choices = [self._new_choice(request, i) for i in range(request.sampling.n)]
            for sequence in stream.choices:
                text = self._prepare(sequence)
                if sequence.is_finished:  # the grammar's only word is empty
                    self._send(sequence, text)
            self._running += [s for s in stream.choices[:1] if not s.is_finished]

    def _new_choice(self, request: GenerationRequest, index: int) -> Sequence:
        return Sequence.from_request(
            request,
            index,
            vocabulary=self._vocabulary,
            max_model_len=self._max_model_len,
            matcher=None if request.grammar is None else self._new_matcher(request.grammar),
            text_bitmask=self._text_bitmask,
        )

    def _queue_siblings(self, sequence: Sequence, logits: NDArray[np.float32]) -> None:
        """When a first choice has read the prompt, line up the others behind a copy of its cache."""
        num_choices = sequence.request.sampling.n
        if num_choices == 1 or sequence.index > 0 or sequence.output_token_ids:
            return
        stream = self._queue.stream_of(sequence.request.request_id)
        prompt = SharedPrompt(copy.deepcopy(sequence.cache), logits)
        for sibling in stream.choices[1:]:
            sibling.prompt = prompt
            self._forks.append(sibling)

    def _start_fork(self, sequence: Sequence) -> None:
        with self._failing_alone(sequence.request):
            self._advance(sequence, sequence.start_from_shared_prompt())
            if not sequence.is_finished:
                self._running.append(sequence)

    def _schedule(self) -> list[tuple[Sequence, int]]:
        """Which choices read on in this step, and at most how many tokens."""
        decoding = [sequence for sequence in self._running if sequence.num_uncached == 1]
        plan = [(sequence, 1) for sequence in decoding]
        reading = deque(sequence for sequence in self._running if sequence.num_uncached > 1)
        budget = self._prefill_chunk
        for sequence in list(reading):
            if budget <= 0:
                break
            num_tokens = sequence.num_uncached
            if self._model.can_extend:
                num_tokens = min(num_tokens, budget)
            plan.append((sequence, num_tokens))
            budget -= num_tokens
            # To the end of the line: a short prompt behind a long one waits for one step of it.
            reading.rotate(-1)
        self._running = [*decoding, *reading]
        return plan

    def _forward(self, plan: list[tuple[Sequence, int]]) -> list[tuple[Sequence, LogitsT]]:
        """Run the model; return the choices that have read all their tokens, with the next logits.

        One pass a choice: in a batch the rounding of a row depends on its neighbours, and a seed
        would no longer reproduce its text. No result is fetched before all passes are queued, so
        that a GPU need not wait for the host in between.
        """
        ready: list[tuple[Sequence, LogitsT]] = []
        for sequence, limit in plan:
            with self._failing_alone(sequence.request):
                token_ids = sequence.uncached_token_ids(limit)
                logits, sequence.cache = self._model.forward(token_ids, sequence.cache)
                sequence.num_cached += len(token_ids)
                if not sequence.output_token_ids:
                    self._count(num_prompt_tokens=len(token_ids))
                if sequence.num_uncached == 0:
                    ready.append((sequence, logits))
        return ready

    # ------------------------------------------------------------------------------- failures

    @contextlib.contextmanager
    def _failing_alone(self, request: GenerationRequest) -> Iterator[None]:
        """Let an exception end the request it arose in, when the step is over, and no other."""
        try:
            yield
        except Exception as error:
            logger.exception("request %s fails", request.request_id)
            self._failed.setdefault(request.request_id, error)

    def _drop_failed(self) -> None:
        for request_id, error in self._failed.items():
            failure = EngineError(f"generation failed: {error}")
            failure.__cause__ = error
            self._fail(self._queue.stream_of(request_id), failure)
        self._failed.clear()

    def _fail(self, stream: Stream, failure: EngineError) -> None:
        for sequence in stream.choices:
            sequence.finish("abort")
        self._outbox.put(stream, failure)
        self._queue.close(stream)

    # -------------------------------------------------------------------------- what comes out

    def _logprobs(
        self, sequence: Sequence, logits: NDArray[np.float32], token_id: int, is_forced: bool
    ) -> tuple[TokenLogprob, ...]:
        """The drawn token under the model's own law, if the request asks for it."""
        num_top = sequence.request.sampling.logprobs
        if num_top is None:
            return ()
        logprobs = log_softmax(logits)
        token_bytes = self._vocabulary.token_bytes
        top_ids = [int(i) for i in best_ids(logprobs, num_top)]
        return (
            TokenLogprob(
                token_id=token_id,
                token_bytes=token_bytes(token_id),
                logprob=float(logprobs[token_id]),
                top=tuple((i, token_bytes(i), float(logprobs[i])) for i in top_ids),
                is_forced=is_forced,
            ),
        )

    def _send(
        self,
        sequence: Sequence,
        text: str,
        token_ids: tuple[int, ...] = (),
        logprobs: tuple[TokenLogprob, ...] = (),
    ) -> None:
        """Put a choice's news into the outbox; close the request with its last choice's end."""
        stream = self._queue.stream_of(sequence.request.request_id)
        delta = Delta(
            index=sequence.index,
            text=text,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=sequence.finish_reason,
            stop_reason=sequence.detokenizer.stop_reason,
        )
        self._outbox.put(stream, delta)
        if all(choice.is_finished for choice in stream.choices):
            self._queue.close(stream)

    def _count(
        self,
        *,
        mask_seconds: tuple[float, ...] = (),
        num_prompt_tokens: int = 0,
        num_generated_tokens: int = 0,
        num_forced_tokens: int = 0,
    ) -> None:
        so_far = self._report
        self._report = StepReport(
            mask_seconds=so_far.mask_seconds + mask_seconds,
            num_prompt_tokens=so_far.num_prompt_tokens + num_prompt_tokens,
            num_generated_tokens=so_far.num_generated_tokens + num_generated_tokens,
            num_forced_tokens=so_far.num_forced_tokens + num_forced_tokens,
        )

    def _publish(self) -> None:
        """Update the totals, hand over the step's deltas, and tell the observer."""
        report, self._report = self._report, StepReport()
        totals = self._totals
        self._totals = EngineStats(
            prompt_tokens_total=totals.prompt_tokens_total + report.num_prompt_tokens,
            generated_tokens_total=totals.generated_tokens_total + report.num_generated_tokens,
            forced_tokens_total=totals.forced_tokens_total + report.num_forced_tokens,
            mask_seconds_total=totals.mask_seconds_total + sum(report.mask_seconds),
        )
        self._outbox.flush()
        if self._observer is not None:
            self._observer(report)
