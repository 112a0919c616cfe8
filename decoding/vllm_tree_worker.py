"""The worker that verifies draft trees; see `vllm_tree`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vllm.config import get_layers_from_vllm_config
from vllm.model_executor.layers.attention import Attention
from vllm.platforms import current_platform
from vllm.v1.attention.backends.registry import register_backend

from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.vllm_support import VllmUnsupportedError
from syntagma.decoding.vllm_tree import drafts_of
from syntagma.decoding.vllm_tree_sampling import sample_along
from syntagma.decoding.vllm_tree_step import TreeInBatch, TreeStep, visible_nodes
from syntagma.decoding.vllm_worker import GrammarWorker, RawLogprobsSampler

if TYPE_CHECKING:
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner as DeviceRunner

    from syntagma.decoding import vllm_tree_gpu as device_attention
elif current_platform.is_cpu():
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner as DeviceRunner

    from syntagma.decoding import vllm_tree_attention as device_attention
else:
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner as DeviceRunner

    from syntagma.decoding import vllm_tree_gpu as device_attention

logger = logging.getLogger(__name__)


class TreeModelRunner(DeviceRunner):
    """vLLM's model runner, for steps in which some drafts are trees.

    A runner becomes one by `adopt`; vLLM names no class for it.
    """

    _drafts: list[DraftTree]
    _step: TreeStep | None

    @classmethod
    def adopt(cls, runner: Any) -> None:
        """Let a runner that vLLM has made be one of ours.

        Raises:
            VllmUnsupportedError: it is of another class.
        """
        if type(runner) is not DeviceRunner:
            raise VllmUnsupportedError(
                f"draft trees are written for vLLM's {DeviceRunner.__name__}, not {type(runner).__name__}"
            )
        made: Any = runner
        made.__class__ = cls
        made._drafts, made._step = [], None

    def _prepare_inputs(self, scheduler_output: Any, num_scheduled_tokens: Any) -> Any:
        """vLLM's, then positions by depth; where keys and values lie is in the order of the nodes."""
        prepared = super()._prepare_inputs(scheduler_output, num_scheduled_tokens)
        self._drafts = drafts_of(scheduler_output, self.input_batch.req_ids)
        ends = np.cumsum(num_scheduled_tokens)
        trees = [
            TreeInBatch(i, int(ends[i]) - 1 - tree.num_nodes, tree, visible_nodes(tree))
            for i, tree in enumerate(self._drafts)
            if not tree.is_chain
        ]
        self._step = TreeStep.of(trees, self.positions.device) if trees else None
        for found in trees:
            self._set_positions(found)
        return prepared

    def _set_positions(self, found: TreeInBatch) -> None:
        rows = found.rows
        depths = torch.from_numpy(found.tree.depths()).to(self.positions.device)
        self.positions[rows.start + 1 : rows.stop] = self.positions[rows.start] + depths

    def _build_attention_metadata(self, *args: Any, **kwargs: Any) -> Any:
        """vLLM's, with the step's trees."""
        by_layer: Any
        by_layer, common = super()._build_attention_metadata(*args, **kwargs)
        if self._step is not None:
            for metadata in by_layer.values():
                metadata.take(self._step)
        return by_layer, common

    def _sample(self, logits: Any, spec_decode_metadata: Any) -> Any:
        """Draw along the trees, then let the cache look as after a chain."""
        if spec_decode_metadata is None:
            return super()._sample(logits, spec_decode_metadata)
        raw_logits = None
        if isinstance(self.sampler, RawLogprobsSampler):
            raw_logits, self.sampler.raw_logits = self.sampler.raw_logits, None
        metadata = self.input_batch.sampling_metadata
        output, accepted = sample_along(self.sampler, logits, self._drafts, metadata, raw_logits)
        step, self._step = self._step, None
        if step is not None:
            self._compact(step, accepted)
        return output

    def _compact(self, step: TreeStep, accepted: list[list[int]]) -> None:
        step.compact(accepted)


class TreeWorker(GrammarWorker):
    """Our worker, with that model runner and the attention that goes with it.

    Attributes:
        runner_cls: what the runner becomes.
    """

    runner_cls = TreeModelRunner

    def init_device(self) -> None:
        """Make the runner, and one of ours of it."""
        register_backend(device_attention.OVERRIDDEN, device_attention.QUALIFIED_NAME)
        super().init_device()
        self.runner_cls.adopt(self.model_runner)

    def _drawing_sampler(self, has_drafts: bool) -> Any:
        """Trees are walked with the sampler of steps without drafts."""
        return super()._drawing_sampler(has_drafts=False)

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the model, and look at its layers.

        Raises:
            VllmUnsupportedError: naming a layer with which trees would not be right.
        """
        super().load_model(*args, **kwargs)
        layers: dict[str, Any] = get_layers_from_vllm_config(self.vllm_config, Attention)
        for name, layer in layers.items():
            if not isinstance(layer.impl, device_attention.TreeAttentionImpl):
                raise VllmUnsupportedError(
                    f"layer {name} has the attention {type(layer.impl).__name__}, which draft trees "
                    f"(--speculation-tree) are not written for; --attention-backend {device_attention.OVERRIDDEN.name} "
                    "may choose theirs; leave it out to verify chains"
                )
            layer.impl.check(name)
        logger.warning(device_attention.WARNING)
