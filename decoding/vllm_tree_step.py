"""The trees of one step inside a worker, and what layers keep of them; for attention on any device (`vllm_tree`)."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.tree_attention import PackedTrees
from syntagma.decoding.vllm_support import VllmUnsupportedError


@dataclass(frozen=True, eq=False)
class TreeInBatch:
    """Where a request's tree is in a step.

    Attributes:
        request: its number in the batch.
        first_row: of the token before the draft, among the rows of the whole batch; the nodes follow.
        tree: the draft.
        visible: bool[num_nodes, 1 + num_nodes], which of that token and the nodes a node sees.
    """

    request: int
    first_row: int
    tree: DraftTree
    visible: torch.Tensor

    @property
    def rows(self) -> range:
        """Those of the token before the draft and of the nodes."""
        return range(self.first_row, self.first_row + 1 + self.tree.num_nodes)


@dataclass(frozen=True, eq=False)
class KeptLayer:
    """What a layer wrote into the cache for the rows of trees, and how it is written again."""

    impl: Any
    layer: Any
    kv_cache: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    slots: torch.Tensor


@dataclass(eq=False)
class TreeStep:
    """The trees of one step; each layer leaves what it wrote for them.

    Attributes:
        rows: int64, all rows of the trees, which is the order of what layers keep.
    """

    trees: list[TreeInBatch]
    rows: torch.Tensor
    kept: list[KeptLayer] = field(default_factory=list)

    @classmethod
    def of(cls, trees: list[TreeInBatch], device: torch.device) -> TreeStep:
        rows = torch.tensor([row for tree in trees for row in tree.rows], device=device)
        return cls(trees, rows)

    @functools.cached_property
    def nodes(self) -> torch.Tensor:
        """int64: the rows of the nodes alone, tree after tree."""
        rows = [row for tree in self.trees for row in tree.rows[1:]]
        return torch.tensor(rows, device=self.rows.device)

    @functools.cached_property
    def requests(self) -> torch.Tensor:
        """int64[num_trees]: the numbers of the requests in the batch."""
        return torch.tensor([tree.request for tree in self.trees], device=self.rows.device)

    @functools.cached_property
    def packed(self) -> PackedTrees:
        """The trees for attention among their nodes."""
        return PackedTrees.of([tree.visible[:, 1:] for tree in self.trees], self.rows.device)

    def keep(
        self,
        impl: Any,
        layer: Any,
        kv_cache: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        slot_mapping: torch.Tensor,
    ) -> None:
        """Note what a layer has written; keys, values and slots of the whole batch."""
        rows = self.rows
        kept = KeptLayer(impl, layer, kv_cache, key[rows], value[rows], slot_mapping[rows])
        self.kept.append(kept)

    def compact(self, accepted: list[list[int]]) -> None:
        """Move the keys and values of the nodes that stand to where those of a chain would lie.

        Args:
            accepted: of each request of the batch, from the first level down.
        """
        moves: list[tuple[int, int]] = []
        first = 0
        for tree in self.trees:
            for place, node in enumerate(accepted[tree.request]):
                if node != place:
                    moves.append((first + 1 + node, first + 1 + place))
            first += len(tree.rows)
        if not moves:
            return
        sources, targets = torch.tensor(moves, device=self.rows.device).T
        for kept in self.kept:
            kept.impl.do_kv_cache_update(
                kept.layer,
                kept.key[sources],
                kept.value[sources],
                kept.kv_cache,
                kept.slots[targets],
            )


class AttendsNodes:
    """Beside vLLM's attention of a device: its own answers, those for nodes overwritten by `attend_nodes`."""

    attend_nodes: Any

    def forward(
        self,
        layer: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        kv_cache: torch.Tensor,
        attn_metadata: Any,
        output: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Attention of all rows; shapes as in vLLM's."""
        device: Any = super()
        output = device.forward(
            layer, query, key, value, kv_cache, attn_metadata, output, *args, **kwargs
        )
        # There is no metadata while vLLM measures its memory.
        step = getattr(attn_metadata, "step", None)
        if step is not None:
            self.attend_nodes(layer, query, key, value, kv_cache, attn_metadata, output)
            step.keep(self, layer, kv_cache, key, value, attn_metadata.slot_mapping)
        return output


def visible_nodes(tree: DraftTree) -> torch.Tensor:
    """bool[num_nodes, 1 + num_nodes]: the token before the draft, the ancestors, the node itself."""
    root = np.ones((tree.num_nodes, 1), np.bool_)
    return torch.from_numpy(np.concatenate([root, tree.ancestors()], axis=1))


def check_layer(name: str, impl: Any, no_window: object) -> None:
    """Refuse layers whose attention is more than what is done here for the nodes.

    Args:
        name: of the layer.
        impl: vLLM's implementation of its attention.
        no_window: what its ``sliding_window`` is where there is none.

    Raises:
        VllmUnsupportedError: naming the layer.
    """
    for is_so, what in (
        (impl.sliding_window != no_window, "a sliding window"),
        (impl.alibi_slopes is not None, "ALiBi"),
        (impl.sinks is not None, "attention sinks"),
        (impl.kv_sharing_target_layer_name is not None, "the cache of another layer"),
        (impl.attn_type != "decoder", f"attention of type {impl.attn_type}"),
    ):
        if is_so:
            raise VllmUnsupportedError(
                f"layer {name} has {what}, with which draft trees (--speculation-tree) are "
                "not supported; leave it out to verify chains"
            )
