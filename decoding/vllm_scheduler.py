"""vLLM's schedulers with our grammars: what `scheduler_cls` names."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, FinishReason
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import RequestStatus

from syntagma.decoding.interpreter import keep_collections_rare
from syntagma.decoding.recycling_drafter import NUM_SUCCESSORS
from syntagma.decoding.vllm_drafting import RequestDrafts, has_trees, is_ours, replace_drafts
from syntagma.decoding.vllm_grammar import SyntagmaBackend, SyntagmaGrammar
from syntagma.decoding.vllm_recycling import ask_for, received_likeliest
from syntagma.decoding.vllm_vocabulary import vocabulary_of

QUALIFIED_NAME = f"{__name__}.grammar_scheduler"
# A complete output has stopped even if it has also come to its bound.
NOT_STOPPED = (None, FinishReason.LENGTH)


class _WithGrammars:
    """Gives the manager of structured outputs our backend, fills a step's masks in one call, and ends outputs
    that are complete.

    vLLM picks a backend when the first request needs one, but only if there is none yet.
    """

    backend_class: ClassVar[type[SyntagmaBackend]] = SyntagmaBackend
    _backend: SyntagmaBackend
    _stop_ids: tuple[int, ...]

    def __init__(
        self,
        vllm_config: Any,
        kv_cache_config: Any,
        structured_output_manager: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        keep_collections_rare()
        scheduler: Any = super()
        scheduler.__init__(vllm_config, kv_cache_config, structured_output_manager, *args, **kwargs)
        manager = structured_output_manager
        self._backend = self.backend_class(
            vllm_config,
            tokenizer=manager.tokenizer,
            vocab_size=vllm_config.model_config.get_vocab_size(),
        )
        self._stop_ids = self._backend.vocabulary.stop_ids
        manager.backend = self._backend

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, EngineCoreOutputs]:
        """What came of a step; an output that its grammar lets do nothing but stop has stopped.

        vLLM would have a stop token drawn first. Where it was drafted, it does not belong to the output.
        """
        scheduler: Any = self
        complete_ids: set[str] = set()
        self._backend.complete_ids = complete_ids
        found: dict[int, EngineCoreOutputs] = super().update_from_output(  # type: ignore[misc]
            scheduler_output, model_runner_output
        )
        self._backend.complete_ids = None
        if complete_ids:
            for output in itertools.chain.from_iterable(news.outputs for news in found.values()):
                if output.request_id in complete_ids:
                    if output.new_token_ids and output.new_token_ids[-1] in self._stop_ids:
                        _drop_last_token(output)
                    if output.finish_reason in NOT_STOPPED:
                        output.finish_reason = FinishReason.STOP
            scheduler.finish_requests(complete_ids, RequestStatus.FINISHED_STOPPED)
        return found

    def get_grammar_bitmask(self, scheduler_output: SchedulerOutput) -> GrammarOutput | None:
        """The rows of all positions of a step.

        Where each constrained request has one position, and none reasons, one call writes them; vLLM's way asks a
        dozen questions about each request.
        """
        scheduler: Any = self
        reasons = scheduler.structured_output_manager.reasoner_cls is not None
        if scheduler_output.scheduled_spec_decode_tokens or reasons:
            output: GrammarOutput | None = super().get_grammar_bitmask(scheduler_output)  # type: ignore[misc]
            return output
        if not scheduler_output.has_structured_output_requests:
            return None
        grammars: dict[str, SyntagmaGrammar] = {}
        for request_id in scheduler_output.num_scheduled_tokens:
            request = scheduler.requests.get(request_id)
            if request and request.use_structured_output and not request.is_prefill_chunk:
                grammars[request_id] = request.structured_output_request.grammar
        if not grammars:
            return None
        rows = self._backend.step_rows(list(grammars.values()))
        return GrammarOutput(list(grammars), rows, [0] * len(grammars))


def _drop_last_token(output: EngineCoreOutput) -> None:
    output.new_token_ids = output.new_token_ids[:-1]
    if output.new_logprobs is not None:
        output.new_logprobs = output.new_logprobs.slice_request(0, len(output.new_token_ids))


class GrammarScheduler(_WithGrammars, Scheduler):
    """For steps that follow one another."""


class DraftingScheduler(GrammarScheduler):
    """Puts our drafts into requests; see `vllm_drafting`."""

    def __init__(
        self,
        vllm_config: Any,
        kv_cache_config: Any,
        structured_output_manager: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(vllm_config, kv_cache_config, structured_output_manager, *args, **kwargs)
        tokenizer = structured_output_manager.tokenizer
        vocabulary = vocabulary_of(vllm_config.model_config, tokenizer)
        self._drafts = RequestDrafts(vllm_config, vocabulary, tokenizer)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        """vLLM's step, with the requests of which the model's likeliest tokens are to be told."""
        output = super().schedule(*args, **kwargs)
        learners = [
            request_id
            for request_id in output.num_scheduled_tokens
            if self._drafts.wants_likeliest(self.requests[request_id])
        ]
        ask_for(output, learners, NUM_SUCCESSORS)
        return output

    def update_draft_token_ids(self, draft_token_ids: Any) -> None:
        """What vLLM calls after a step with the worker's drafts, which are empty."""
        super().update_draft_token_ids(draft_token_ids)
        replace_drafts(self, self._drafts, draft_token_ids)

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, EngineCoreOutputs]:
        """vLLM's, after which the drafts know what became of them, and so do the outputs."""
        # Those that end here are not among the requests afterwards.
        requests = {
            request_id: request
            for request_id in scheduler_output.num_scheduled_tokens
            if (request := self.requests.get(request_id)) is not None
        }
        by_client = super().update_from_output(scheduler_output, model_runner_output)
        scheduled = scheduler_output.scheduled_spec_decode_tokens
        likeliest = received_likeliest(model_runner_output)
        for output in itertools.chain.from_iterable(news.outputs for news in by_client.values()):
            if output.new_token_ids:
                request_id = output.request_id
                self._drafts.note_safely(
                    requests[request_id],
                    scheduled.get(request_id, []),
                    output,
                    likeliest.get(request_id),
                )
        return by_client


class AsyncGrammarScheduler(_WithGrammars, AsyncScheduler):
    """For steps that are scheduled while the one before still runs."""


def grammar_scheduler(vllm_config: Any, *args: Any, **kwargs: Any) -> Scheduler:
    """The scheduler that goes with a configuration.

    vLLM decides about asynchronous scheduling late, when the platform has had its say; naming a class
    would have to guess.
    """
    if has_trees(vllm_config):
        from syntagma.decoding.vllm_tree_scheduler import TreeScheduler

        return TreeScheduler(vllm_config, *args, **kwargs)
    if is_ours(vllm_config):
        return DraftingScheduler(vllm_config, *args, **kwargs)
    is_async = vllm_config.scheduler_config.async_scheduling
    scheduler = AsyncGrammarScheduler if is_async else GrammarScheduler
    return scheduler(vllm_config, *args, **kwargs)
