"""What the embedded engine tells its callers: deltas, and the failures of requests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.engine import Delta, EngineError, GenerationRequest, TokenLogprob
from syntagma.decoding.sampling import best_ids, log_softmax
from syntagma.decoding.sequence import Sequence
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.decoding.stream import Outbox, RequestQueue, Stream
from syntagma.grammar import Vocabulary

logger = logging.getLogger(__name__)


class Answers:
    """Collects a step's news and closes requests that have ended; used by the worker thread only.

    Args:
        queue: the open requests.
    """

    def __init__(self, queue: RequestQueue) -> None:
        self._queue = queue
        self._outbox = Outbox()
        self._failed: dict[str, Exception] = {}

    def send(
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
            speculation=_finish_drafts(sequence) if sequence.is_finished else None,
        )
        self._outbox.put(stream, delta)
        if all(choice.is_finished for choice in stream.choices):
            self._queue.close(stream)

    def abort(self, stream: Stream) -> None:
        """End a request that its caller has left."""
        if not stream.choices:  # it still waits
            for index in range(stream.request.sampling.n):
                delta = Delta(index=index, text="", token_ids=(), finish_reason="abort")
                self._outbox.put(stream, delta)
            self._queue.close(stream)
        for sequence in stream.choices:
            if not sequence.is_finished:
                self.send(sequence, sequence.finish("abort"))

    @contextlib.contextmanager
    def failing_alone(self, request: GenerationRequest) -> Iterator[None]:
        """Let an exception end the request it arose in, with `drop_failed`, and no other."""
        try:
            yield
        except Exception as error:
            logger.exception("request %s fails", request.request_id)
            self._failed.setdefault(request.request_id, error)

    def drop_failed(self) -> None:
        """End the requests in which an exception arose."""
        for request_id, error in self._failed.items():
            failure = EngineError(f"generation failed: {error}")
            failure.__cause__ = error
            self.fail(self._queue.stream_of(request_id), failure)
        self._failed.clear()

    def fail(self, stream: Stream, failure: EngineError) -> None:
        """End a request with an error."""
        for sequence in stream.choices:
            sequence.finish("abort")
        self._outbox.put(stream, failure)
        self._queue.close(stream)

    def flush(self) -> None:
        """Hand everything over to the callers."""
        self._outbox.flush()


def _finish_drafts(sequence: Sequence) -> SpeculationUsage | None:
    if sequence.drafts is None:
        return None
    sequence.drafts.finish()
    return sequence.drafts.usage


def token_logprobs(
    sequence: Sequence,
    logits: NDArray[np.float32],
    token_id: int,
    *,
    vocabulary: Vocabulary,
    is_forced: bool,
) -> tuple[TokenLogprob, ...]:
    """A drawn token under the model's own law, if the request asks for it."""
    num_top = sequence.request.sampling.logprobs
    if num_top is None:
        return ()
    logprobs = log_softmax(logits)
    token_bytes = vocabulary.token_bytes
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
