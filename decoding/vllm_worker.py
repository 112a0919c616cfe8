"""A worker whose log-probabilities are the model's own, as they were before the mask, and that masks fast on a CPU.

vLLM writes the mask into the logits before its sampler sees them, so that its ``raw_logprobs`` are those of
the masked law: a forced token shows 0. This worker keeps a copy of the logits of steps in which a constrained
request asks for log-probabilities, and its samplers, that of steps without drafts and that of steps that verify
chains, compute them from there. ``--logprobs-mode processed_logprobs`` still gives the masked law.

Where logits are in this process's memory the worker writes masks into them itself, before vLLM would: of a large
vocabulary that is most of what a grammar costs in a step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.platforms import current_platform
from vllm.v1.outputs import LogprobsTensors
from vllm.v1.sample.rejection_sampler import RejectionSampler
from vllm.v1.sample.sampler import Sampler
from vllm.v1.spec_decode.metadata import SpecDecodeMetadata

from syntagma.decoding.vllm_mending import mend_expand
from syntagma.decoding.vllm_recycling import find_likeliest, send_likeliest

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


class RawLogprobsRejectionSampler(RejectionSampler):
    """What verifies chains in vLLM, which can be told what the logits were.

    Attributes:
        raw_logits: of the coming call, before the mask, in the order of the logits; None: there was none.
    """

    raw_logits: torch.Tensor | None = None

    def _get_logprobs_tensors(
        self,
        max_num_logprobs: int,
        metadata: SpecDecodeMetadata,
        logits: torch.Tensor,
        target_logits: torch.Tensor,
        bonus_logits: torch.Tensor,
        sampled_token_ids: torch.Tensor,
    ) -> LogprobsTensors:
        """vLLM's, from the logits as they were; these are used up by the call."""
        raw, self.raw_logits = self.raw_logits, None
        if raw is not None:
            target_logits = raw[metadata.target_logits_indices]
            bonus_logits = raw[metadata.bonus_logits_indices]
        found: LogprobsTensors = super()._get_logprobs_tensors(
            max_num_logprobs, metadata, logits, target_logits, bonus_logits, sampled_token_ids
        )
        return found


def mask_targets(
    batch_ids: Sequence[str], mask_ids: Sequence[str], drafts: Mapping[str, Sequence[int]]
) -> NDArray[np.int64]:
    """int64[num_masks]: the row of logits of each mask; -1 where its request is not in the batch.

    Requests have one row and one for each drafted token, in both orders.

    Args:
        batch_ids: requests in the order of their logits.
        mask_ids: constrained requests in the order of their masks.
        drafts: drafted tokens of requests that have some.
    """
    first_rows: dict[str, int] = {}
    row = 0
    for request_id in batch_ids:
        first_rows[request_id] = row
        row += 1 + len(drafts.get(request_id, ()))
    targets: list[int] = []
    for request_id in mask_ids:
        first = first_rows.get(request_id)
        num_rows = 1 + len(drafts.get(request_id, ()))
        targets += [-1] * num_rows if first is None else range(first, first + num_rows)
    return np.array(targets, np.int64)


class GrammarWorker(DeviceWorker):
    """The platform's worker with those samplers, our masking, and its known faults mended."""

    _forbid_tokens: Callable[..., None] | None = None

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the model; by then the runner has its sampler."""
        super().load_model(*args, **kwargs)
        if current_platform.is_cpu() and self.vllm_config.speculative_config is not None:
            mend_expand()
        runner: Any = self.model_runner
        sampler = getattr(runner, "sampler", None)
        if type(sampler) is Sampler and hasattr(runner, "execute_model_state"):
            runner.sampler = RawLogprobsSampler(sampler.logprobs_mode, sampler.use_fp64_gumbel)
            if type(getattr(runner, "rejection_sampler", None)) is RejectionSampler:
                runner.rejection_sampler = RawLogprobsRejectionSampler(
                    runner.sampler, self.vllm_config.speculative_config, runner.device
                )
        else:
            logger.warning("log-probabilities of constrained outputs are those after the mask")
        if current_platform.is_cpu():
            # Not earlier: vLLM's CPU build does not start where numba was imported first.
            from syntagma.decoding.logits_kernels import forbid_tokens

            forbid_tokens(
                np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros((1, 1), np.int32)
            )
            self._forbid_tokens = forbid_tokens

    def sample_tokens(self, grammar_output: Any) -> Any:
        """Draw a step's tokens."""
        likeliest = find_likeliest(self.model_runner)
        if grammar_output is not None:
            self._keep_raw_logits()
            if self._has_masked(grammar_output):
                grammar_output = None
        output = super().sample_tokens(grammar_output)
        send_likeliest(output, likeliest)
        return output

    def _has_masked(self, grammar_output: Any) -> bool:
        """Write the masks into the logits of the step; False where vLLM has to."""
        runner: Any = self.model_runner
        state = getattr(runner, "execute_model_state", None)
        if self._forbid_tokens is None or state is None:
            return False
        logits = state.logits
        if logits is None or not logits.is_cpu or logits.dtype != torch.float32:
            return False
        if not logits.is_contiguous():
            return False
        targets = mask_targets(
            runner.input_batch.req_ids,
            grammar_output.structured_output_request_ids,
            state.scheduler_output.scheduled_spec_decode_tokens,
        )
        self._forbid_tokens(logits.numpy(), targets, grammar_output.grammar_bitmask)
        return True

    def _keep_raw_logits(self) -> None:
        """Let what draws this step's tokens know the logits, where log-probabilities are asked for."""
        runner: Any = self.model_runner
        state = getattr(runner, "execute_model_state", None)
        if state is None or runner.input_batch.sampling_metadata.max_num_logprobs is None:
            return
        sampler = self._drawing_sampler(state.spec_decode_metadata is not None)
        if sampler is not None and runner.sampler.logprobs_mode == "raw_logprobs":
            sampler.raw_logits = state.logits.clone()

    def _drawing_sampler(
        self, has_drafts: bool
    ) -> RawLogprobsSampler | RawLogprobsRejectionSampler | None:
        """What draws the tokens of a step with drafts or without; None where it cannot be told the logits."""
        runner: Any = self.model_runner
        sampler = runner.rejection_sampler if has_drafts else runner.sampler
        can_be_told = isinstance(sampler, RawLogprobsSampler | RawLogprobsRejectionSampler)
        return sampler if can_be_told else None
