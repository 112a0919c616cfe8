"""A worker whose log-probabilities are the model's own, as they were before the mask.

vLLM writes the mask into the logits before its sampler sees them, so that its ``raw_logprobs`` are those of
the masked law: a forced token shows 0. This worker keeps a copy of the logits of steps in which a constrained
request asks for log-probabilities, and its sampler computes them from there. ``--logprobs-mode
processed_logprobs`` still gives the masked law.

Under speculation of chains vLLM's rejection sampler computes them elsewhere; they are then those of the masked law.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from vllm.platforms import current_platform
from vllm.v1.sample.sampler import Sampler

from syntagma.decoding.vllm_mending import mend_expand

if TYPE_CHECKING:
    from vllm.v1.worker.gpu_worker import Worker as DeviceWorker
elif current_platform.is_cpu():
    from vllm.v1.worker.cpu_worker import CPUWorker as DeviceWorker
else:
    from vllm.v1.worker.gpu_worker import Worker as DeviceWorker

logger = logging.getLogger(__name__)

QUALIFIED_NAME = f"{__name__}.GrammarWorker"


class RawLogprobsSampler(Sampler):
    """vLLM's sampler, which can be told what the logits were.

    Attributes:
        raw_logits: of the coming call, before the mask; None: there was none.
    """

    raw_logits: torch.Tensor | None = None

    def compute_logprobs(self, logits: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Log-probabilities of the logits as they were; used up by the call."""
        raw, self.raw_logits = self.raw_logits, None
        return Sampler.compute_logprobs(logits if raw is None else raw)


class GrammarWorker(DeviceWorker):
    """The platform's worker with that sampler, and with its known faults mended.

    Attributes:
        keeps_raw_logits_of_drafts: what draws in steps with drafts has a use for them.
    """

    keeps_raw_logits_of_drafts = False

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the model; by then the runner has its sampler."""
        super().load_model(*args, **kwargs)
        if current_platform.is_cpu() and self.vllm_config.speculative_config is not None:
            mend_expand()
        runner: Any = self.model_runner
        sampler = getattr(runner, "sampler", None)
        if type(sampler) is Sampler and hasattr(runner, "execute_model_state"):
            runner.sampler = RawLogprobsSampler(sampler.logprobs_mode, sampler.use_fp64_gumbel)
        else:
            logger.warning("log-probabilities of constrained outputs are those after the mask")

    def sample_tokens(self, grammar_output: Any) -> Any:
        """Draw a step's tokens."""
        if grammar_output is not None:
            self._keep_raw_logits()
        return super().sample_tokens(grammar_output)

    def _keep_raw_logits(self) -> None:
        runner: Any = self.model_runner
        sampler = getattr(runner, "sampler", None)
        state = getattr(runner, "execute_model_state", None)
        if (
            isinstance(sampler, RawLogprobsSampler)
            and sampler.logprobs_mode == "raw_logprobs"
            and state is not None
            and (state.spec_decode_metadata is None or self.keeps_raw_logits_of_drafts)
            and runner.input_batch.sampling_metadata.max_num_logprobs is not None
        ):
            sampler.raw_logits = state.logits.clone()
