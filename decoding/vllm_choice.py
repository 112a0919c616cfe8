"""Following one choice of a request from what vLLM says of it.

Masks are the business of the engine's process, and so is whether a token is allowed and an output complete. Here
tokens become text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from syntagma.decoding.detokenizer import Detokenizer
from syntagma.decoding.engine import Delta, EngineError, FinishReason, StepReport, TokenLogprob
from syntagma.decoding.sequence import Sequence
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.decoding.vllm_reasoning import Reasoning
from syntagma.decoding.vllm_usage import usage_of


class FollowedChoice:
    """One choice, token by token.

    As long as the model reasons it is like one without a grammar.

    Args:
        output: the choice, not begun; a matcher of its own says which tokens were forced.
        reasoning: what comes before its answer, if anything does.
        count: told about the tokens of each message, and about masks.
    """

    def __init__(
        self, output: Sequence, reasoning: Reasoning | None, count: Callable[[StepReport], None]
    ) -> None:
        self.output = output
        self._reasoning = reasoning
        self._count = count
        self._matcher = output.matcher
        self._is_constrained = output.is_constrained
        self._usage: SpeculationUsage | None = None
        self._num_forced = 0
        if reasoning is not None:
            output.matcher, output.is_constrained = None, False
        self._note_forced()

    @property
    def is_reasoning(self) -> bool:
        """Whether the answer has not begun."""
        return self._reasoning is not None

    @property
    def is_finished(self) -> bool:
        """Whether a finish reason was given."""
        return self.output.is_finished

    def end(self, reason: FinishReason) -> Delta:
        """The last delta of an output that is to end now."""
        return self._delta(self.output.finish(reason))

    def take(self, result: Any) -> Delta:
        """Accept the tokens of one of vLLM's messages.

        Args:
            result: vLLM's ``RequestOutput``.

        Raises:
            EngineError: vLLM has failed, or a matcher of ours refuses what vLLM's allowed.
        """
        output, news = self.output, result.outputs[0]
        num_before = len(output.output_token_ids)
        text, reasoning = "", ""
        logprobs: list[TokenLogprob] = []
        for position, token_id in enumerate(news.token_ids):
            if news.logprobs is not None:
                logprobs.append(self._logprob(token_id, news.logprobs[position]))
            if self._reasoning is not None and self._reasoning.read(token_id):
                reasoning += self._accept(int(token_id), self._reason)
            else:
                reasoning += self._begin_answer()
                text += self._accept(int(token_id), output.accept)
            if output.is_finished:
                break
        if news.finish_reason == "error":
            raise EngineError("generation failed in vLLM's engine process; its log says why")
        if news.finish_reason is not None and not output.is_finished:
            rest = output.finish(_finish_reason(news.finish_reason))
            text, reasoning = (
                (text + rest, reasoning) if self._reasoning is None else (text, reasoning + rest)
            )
        token_ids = tuple(output.output_token_ids[num_before:])
        if token_ids:
            self._count_tokens(len(token_ids), is_first=num_before == 0)
        self._note_drafts(usage_of(result, len(news.token_ids) - len(token_ids)))
        return self._delta(text, reasoning, token_ids, tuple(logprobs))

    def _note_drafts(self, usage: SpeculationUsage | None) -> None:
        """Keep what the scheduler says of its drafts, and report what is new in it."""
        if usage is not None:
            news = usage.since(self._usage or SpeculationUsage())
            self._count(StepReport(speculation=news))
            self._usage = usage

    def _count_tokens(self, num_tokens: int, *, is_first: bool) -> None:
        """Report the tokens of a message at once."""
        output = self.output
        reads_prompt = is_first and output.index == 0
        report = StepReport(
            num_prompt_tokens=len(output.request.prompt_token_ids) if reads_prompt else 0,
            num_generated_tokens=num_tokens,
            num_forced_tokens=self._num_forced,
        )
        self._num_forced = 0
        self._count(report)

    def _accept(self, token_id: int, accept: Callable[[int], str]) -> str:
        self._num_forced += self.output.is_forced
        text = accept(token_id)
        self._note_forced()
        return text

    def _reason(self, token_id: int) -> str:
        """Accept a token of the reasoning, the mark at its end included."""
        output, reasoning = self.output, self._reasoning
        assert reasoning is not None, "there is no reasoning"
        if reasoning.is_mark(token_id):
            output.output_token_ids.append(token_id)
            text = ""
        elif self._is_constrained and token_id in output.vocabulary.stop_ids:
            output.output_token_ids.append(token_id)
            return output.finish("length")  # cut before the first word of the grammar
        else:
            text = output.accept(token_id)
        if reasoning.has_ended and not output.is_finished:
            text += self._begin_answer()
        return text

    def _begin_answer(self) -> str:
        """Let the matcher follow, if there is still reasoning to be followed by it; returns what of that was held
        back.
        """
        if self._reasoning is None:
            return ""
        output = self.output
        text = output.detokenizer.finish()
        output.detokenizer = Detokenizer(output.request.sampling.stop)
        output.matcher, output.is_constrained = self._matcher, self._is_constrained
        self._reasoning = None
        return text

    def _note_forced(self) -> None:
        """Look at what may come next, where somebody wants to know of the next token whether it was forced."""
        output = self.output
        if output.matcher is None or output.is_finished:
            output.num_allowed = 0
            return
        started = time.perf_counter()
        output.fill_bitmask()
        self._count(StepReport(mask_seconds=(time.perf_counter() - started,)))

    def _logprob(self, token_id: int, found: dict[int, Any]) -> TokenLogprob:
        output = self.output
        num_top = output.request.sampling.logprobs or 0
        ranked = sorted((-entry.logprob, other_id) for other_id, entry in found.items())[:num_top]
        token_bytes = output.vocabulary.token_bytes
        return TokenLogprob(
            token_id=token_id,
            token_bytes=token_bytes(token_id),
            logprob=found[token_id].logprob,
            top=tuple((i, token_bytes(i), -negative) for negative, i in ranked),
            is_forced=output.is_forced,
        )

    def _delta(
        self,
        text: str,
        reasoning: str = "",
        token_ids: tuple[int, ...] = (),
        logprobs: tuple[TokenLogprob, ...] = (),
    ) -> Delta:
        output = self.output
        return Delta(
            index=output.index,
            text=text,
            reasoning=reasoning,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=output.finish_reason,
            stop_reason=output.detokenizer.stop_reason,
            speculation=self._usage if output.is_finished else None,
        )


def _finish_reason(reason: str) -> FinishReason:
    if reason == "abort":
        return "abort"
    return "length" if reason == "length" else "stop"
