"""The embedded engine's worker: it owns the model and moves all running choices on, step by step.

In a step every running choice gets one new token, and of a draft as many more as stand; prompts still
unread share a budget of tokens and take turns. The choices of a request beyond its first start from a copy
of the first one's prefill.

`Worker.run` belongs in a thread of its own. No torch here: the model is whatever implements
`CachedModel`.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.answers import Answers, token_logprobs
from syntagma.decoding.cached_model import CachedModel
from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree
from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.engine import (
    EngineError,
    EngineStats,
    GenerationRequest,
    StepObserver,
    TokenLogprob,
)
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.model_passes import Likeliest, LogitsT, ModelPasses, Pass
from syntagma.decoding.roster import Roster
from syntagma.decoding.sequence import Sequence, SharedPrompt, text_bitmask
from syntagma.decoding.speculation import SpeculationSession, Speculator
from syntagma.decoding.step_counts import StepCounts
from syntagma.decoding.stream import RequestQueue, Stream
from syntagma.decoding.verification import follow
from syntagma.grammar import CompiledGrammar, Vocabulary

logger = logging.getLogger(__name__)


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
        self._vocabulary = vocabulary
        self._queue = queue
        self._max_model_len = max_model_len
        self._new_matcher = new_matcher
        self._observer = observer
        self._speculator = speculator
        self._text_bitmask = text_bitmask(vocabulary)
        self._passes = ModelPasses(model, 0 if speculator is None else speculator.max_nodes)
        self._roster = Roster(max_active=max_active, prefill_chunk=prefill_chunk)
        self._answers = Answers(queue)
        self._counts = StepCounts()

    @property
    def totals(self) -> EngineStats:
        """The counters of `EngineStats` that only grow; may be read from any thread."""
        return self._counts.totals

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
            self._answers.fail(stream, failure)
        self._answers.flush()

    def _step(self) -> None:
        """One round: every running choice gets a token or more, or reads on in its prompt."""
        self._drop_aborted()
        self._admit()
        for done in self._forward():
            with self._answers.failing_alone(done.sequence.request):
                rows = self._passes.fetch(done)
                self._queue_siblings(done.sequence, rows[0])
                self._verify(done.sequence, rows, done.tree, self._passes.likeliest(done))
        self._answers.drop_failed()
        self._roster.drop_finished()
        self._publish()

    def _forward(self) -> list[Pass[LogitsT]]:
        """Run the model; return the passes of choices that have read all their tokens.

        One pass a choice: in a batch the rounding of a row depends on its neighbours, and a seed
        would no longer reproduce its text. No result is fetched before all passes are queued, so
        that a GPU need not wait for the host in between.
        """
        ready: list[Pass[LogitsT]] = []
        for sequence, limit in self._roster.schedule(in_parts=self._passes.can_extend):
            with self._answers.failing_alone(sequence.request):
                before = sequence.num_cached
                done = self._passes.read(sequence, limit)
                if not sequence.output_token_ids:
                    self._counts.add(num_prompt_tokens=sequence.num_cached - before)
                if sequence.num_uncached == 0:
                    ready.append(done)
        return ready

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
            logprobs.extend(
                token_logprobs(
                    sequence, logits, token_id, vocabulary=self._vocabulary, is_forced=is_forced
                )
            )
            texts.append(sequence.accept(token_id) + self._prepare(sequence))
            token_ids.append(token_id)
            self._counts.add(num_generated_tokens=1, num_forced_tokens=int(is_forced))
            return token_id, not sequence.is_finished

        accepted = follow(tree, emit)
        self._passes.keep(sequence, tree, accepted)
        if sequence.drafts is not None:
            sequence.drafts.observe(tree, accepted, token_ids, *likeliest)
            self._counts.add_draft(tree, accepted)
        self._answers.send(sequence, "".join(texts), tuple(token_ids), tuple(logprobs))

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
            self._counts.add(mask_seconds=(time.perf_counter() - started,))
        return sequence.conclude()

    def _publish(self) -> None:
        """Update the totals, hand over the step's deltas, and tell the observer."""
        report = self._counts.close_step()
        self._answers.flush()
        if self._observer is not None:
            self._observer(report)

    # ---------------------------------------------------------------- how choices come and go

    def _drop_aborted(self) -> None:
        for stream in self._queue.all_open():
            if stream.is_aborted:
                self._answers.abort(stream)
        self._roster.drop_finished()

    def _admit(self) -> None:
        """Fill free places: choices of begun requests first, then the longest waiting request."""
        while self._roster.has_room:
            if (fork := self._roster.next_fork()) is not None:
                self._start_fork(fork)
            elif (stream := self._queue.next_waiting()) is not None:
                self._open(stream)
            else:
                break

    def _open(self, stream: Stream) -> None:
        """Make a request's choices and let the first one read the prompt."""
        request = stream.request
        with self._answers.failing_alone(request):
            stream.choices = [self._new_choice(request, i) for i in range(request.sampling.n)]
            for sequence in stream.choices:
                text = self._prepare(sequence)
                if sequence.is_finished:  # the grammar's only word is empty
                    self._answers.send(sequence, text)
            self._roster.add(stream.choices[:1])

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
        siblings = self._queue.stream_of(sequence.request.request_id).choices[1:]
        prompt = SharedPrompt(copy.deepcopy(sequence.cache), logits)
        for sibling in siblings:
            sibling.prompt = prompt
        self._roster.add_forks(siblings)

    def _start_fork(self, sequence: Sequence) -> None:
        with self._answers.failing_alone(sequence.request):
            self._verify(sequence, sequence.start_from_shared_prompt()[np.newaxis])
            self._roster.add([sequence])
