"""The scheduler that drafts trees; see `vllm_tree`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput

from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.vllm_scheduler import DraftingScheduler
from syntagma.decoding.vllm_tree import attach_parents, check_trees


class TreeScheduler(DraftingScheduler):
    """Sends trees with a step, and one mask for each of their nodes."""

    def __init__(self, vllm_config: Any, *args: Any, **kwargs: Any) -> None:
        check_trees(vllm_config)
        super().__init__(vllm_config, *args, **kwargs)
        self._trees: dict[str, DraftTree] = {}

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        """vLLM's step, with the parents of what it has taken of each tree."""
        output = super().schedule(*args, **kwargs)
        self._trees = {
            request_id: tree
            for request_id, token_ids in output.scheduled_spec_decode_tokens.items()
            if (tree := self._drafts.verifiable(request_id, token_ids)) is not None
        }
        attach_parents(output, self._trees)
        return output

    def get_grammar_bitmask(self, scheduler_output: SchedulerOutput) -> GrammarOutput | None:
        """The rows of trees behind those of all other requests, which vLLM asks for itself."""
        trees = {
            request_id: tree
            for request_id, tree in self._trees.items()
            if (found := self.requests.get(request_id)) is not None and found.use_structured_output
        }
        if not trees:
            return super().get_grammar_bitmask(scheduler_output)
        others = copy.copy(scheduler_output)
        others.num_scheduled_tokens = {
            request_id: number
            for request_id, number in scheduler_output.num_scheduled_tokens.items()
            if request_id not in trees
        }
        of_others = super().get_grammar_bitmask(others)
        request_ids: list[str] = []
        parts = []
        if of_others is not None:
            request_ids += of_others.structured_output_request_ids
            parts.append(of_others.grammar_bitmask)
        for request_id, tree in trees.items():
            rows = np.full((1 + tree.num_nodes, self._backend.rows.shape[1]), -1, np.int32)
            request: Any = self.requests[request_id]
            request.structured_output_request.grammar.fill_tree(tree, rows)
            request_ids.append(request_id)
            parts.append(rows)
        return GrammarOutput(request_ids, np.concatenate(parts))
