"""The embedded engine's worker: it owns the model and moves all running choices on, step by step.

In a step every running choice gets one new token, and of a draft as many more as stand; prompts still
unread share a budget of tokens and take turns. The choices of a request beyond its first start from a copy
of the first one's prefill.

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
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.cached_model import CachedModel
from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree
from syntagma.decoding.drafter import DraftScope
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
from syntagma.decoding.recycling_drafter import NUM_SUCCESSORS
from syntagma.decoding.sampling import best_ids, log_softmax
from syntagma.decoding.sequence import Sequence, SharedPrompt, text_bitmask
from syntagma.decoding.speculation import SpeculationSession, SpeculationUsage, Speculator
from syntagma.decoding.step_costs import StepCosts
from syntagma.decoding.stream import Outbox, RequestQueue, Stream
from syntagma.decoding.verification import follow
from syntagma.grammar import CompiledGrammar, Vocabulary

logger = logging.getLogger(__name__)

LogitsT = TypeVar("LogitsT")
Likeliest: TypeAlias = tuple[NDArray[np.int32] | None, NDArray[np.float64] | None]


@dataclass(frozen=True)
class Pass(Generic[LogitsT]):
    """A forward pass whose logits have not been fetched.

    Attributes:
        sequence: the choice that it moves on.
        logits: after the choice's last token and after each node of the draft.
        tree: the draft that was read along; empty as a rule.
        seconds: what it has taken so far, drafting included.
    """

    sequence: Sequence
    logits: LogitsT
    tree: DraftTree
    seconds: float


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
        speculator: Speculator | None = None,
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._queue = queue
        self._max_model_len = max_model_len
        self._max_active = max_active
        self._prefill_chunk = prefill_chunk
        self._new_matcher = new_matcher
        self._observer = observer
        self._speculator = speculator
        self._step_costs = StepCosts(0 if speculator is None else speculator.max_nodes)
        self._text_bitmask = text_bitmask(vocabulary)
        self._running: list[Sequence] = []
        self._forks: deque[Sequence] = deque()
        self._failed: dict[str, Exception] = {}
        self._outbox = Outbox()
        self._report = StepReport()
        self._usage: SpeculationUsage | None = None
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
        """One round: every running choice gets a token or more, or reads on in its prompt."""
        self._drop_aborted()
        self._admit()
        for done in self._forward(self._schedule()):
            with self._failing_alone(done.sequence.request):
                rows = self._fetch(done)
                self._queue_siblings(done.sequence, rows[0])
                self._verify(done.sequence, rows, done.tree, self._likeliest(done))
        self._drop_failed()
        self._drop_finished()
        self._publish()

    def _verify(
        self,
        sequence: Sequence,
        rows: NDArray[np.float32],
        tree: DraftTree = EMPTY_TREE,
        likeliest: Likeliest = (None, None),
    ) -> None:
        """Logits -> mask -> sample -> accept, token after token as long as the draft has said the same.

        Args:
            sequence: the choice.
            rows: float32[1 + num_nodes, vocab_size], after its last token and after each node.
            tree: the draft.
            likeliest: the likeliest tokens of each row and their probabilities, for drafters that learn
                from them.
        """
        texts: list[str] = []
        token_ids: list[int] = []
        logprobs: list[TokenLogprob] = []

        def emit(node: int) -> tuple[int, bool]:
            is_forced = sequence.is_forced
            logits = rows[1 + node]
            token_id = sequence.draw(logits, tree, node)
            logprobs.extend(self._logprobs(sequence, logits, token_id, is_forced))
            texts.append(sequence.accept(token_id) + self._prepare(sequence))
            token_ids.append(token_id)
            self._count(num_generated_tokens=1, num_forced_tokens=int(is_forced))
            return token_id, not sequence.is_finished

        accepted = follow(tree, emit)
        self._keep(sequence, tree, accepted)
        if sequence.drafts is not None:
            sequence.drafts.observe(tree, accepted, token_ids, *likeliest)
            self._usage = self._usage or SpeculationUsage()
            self._usage.count(tree, accepted)
        self._send(sequence, "".join(texts), tuple(token_ids), tuple(logprobs))

    def _keep(self, sequence: Sequence, tree: DraftTree, accepted: list[int]) -> None:
        """Drop what was read of a draft and does not stand."""
        if tree.num_nodes and not sequence.is_finished:
            sequence.cache = self._model.keep(sequence.cache, sequence.num_cached, accepted)
            sequence.num_cached += len(accepted)

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
            drafts=self._new_drafts(request),
        )

    def _new_drafts(self, request: GenerationRequest) -> SpeculationSession | None:
        options = request.speculation
        if self._speculator is None or (options is not None and not options.enabled):
            return None
        grammar_key = "" if request.grammar is None else request.grammar.hash
        scope = DraftScope(grammar_key=grammar_key, tenant=request.tenant)
        return self._speculator.begin(request.prompt_token_ids, scope, options)

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
            self._verify(sequence, sequence.start_from_shared_prompt()[np.newaxis])
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

    def _forward(self, plan: list[tuple[Sequence, int]]) -> list[Pass[LogitsT]]:
        """Run the model; return the passes of choices that have read all their tokens.

        One pass a choice: in a batch the rounding of a row depends on its neighbours, and a seed
        would no longer reproduce its text. No result is fetched before all passes are queued, so
        that a GPU need not wait for the host in between.
        """
        ready: list[Pass[LogitsT]] = []
        for sequence, limit in plan:
            with self._failing_alone(sequence.request):
                started = time.perf_counter()
                tree = self._propose(sequence)
                token_ids = sequence.uncached_token_ids(limit)
                if tree.num_nodes:
                    logits, sequence.cache = self._model.forward_draft(
                        token_ids[0], tree, sequence.num_cached, sequence.cache
                    )
                else:
                    logits, sequence.cache = self._model.forward(token_ids, sequence.cache)
                sequence.num_cached += len(token_ids)
                if not sequence.output_token_ids:
                    self._count(num_prompt_tokens=len(token_ids))
                if sequence.num_uncached == 0:
                    seconds = time.perf_counter() - started
                    ready.append(Pass(sequence, logits, tree, seconds))
        return ready

    def _propose(self, sequence: Sequence) -> DraftTree:
        """A draft to be read along with the choice's last token; none while it reads its prompt."""
        if sequence.drafts is None or sequence.max_draft_depth <= 0:
            return EMPTY_TREE
        return sequence.drafts.propose(
            sequence.matcher, costs=self._step_costs.costs, max_tokens=sequence.max_draft_depth
        )

    def _likeliest(self, done: Pass[LogitsT]) -> Likeliest:
        """What the model held likely, where a drafter learns from it."""
        drafts = done.sequence.drafts
        if drafts is None or not drafts.wants_likeliest:
            return None, None
        return self._model.likeliest(done.logits, NUM_SUCCESSORS)

    def _fetch(self, done: Pass[LogitsT]) -> NDArray[np.float32]:
        """A pass's logits: float32[1 + num_nodes, vocab_size]. Notes what it has cost."""
        started = time.perf_counter()
        rows = np.atleast_2d(self._model.fetch(done.logits))
        drafts = done.sequence.drafts
        if drafts is not None and drafts.is_attentive and done.sequence.output_token_ids:
            seconds = done.seconds + time.perf_counter() - started
            self._step_costs.add(done.tree.num_nodes, seconds)
        return rows

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
            speculation=self._finish_drafts(sequence) if sequence.is_finished else None,
        )
        self._outbox.put(stream, delta)
        if all(choice.is_finished for choice in stream.choices):
            self._queue.close(stream)

    def _finish_drafts(self, sequence: Sequence) -> SpeculationUsage | None:
        if sequence.drafts is None:
            return None
        sequence.drafts.finish()
        return sequence.drafts.usage

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
        report = replace(self._report, speculation=self._usage)
        self._report, self._usage = StepReport(), None
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
