"""A model of transformers as a `CachedModel`, drafts included."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import DraftTree


class HuggingFaceModel:
    """A causal language model on its device."""

    def __init__(self, model: Any) -> None:
        parameters = inspect.signature(model.forward).parameters
        self._model = model
        # Pure state-space models name their cache differently.
        self._cache_name = "cache_params" if "cache_params" in parameters else "past_key_values"
        self._options: dict[str, Any] = {"use_cache": True, "return_dict": True}
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self.can_extend = not model._is_stateful

    def forward(self, token_ids: list[int], cache: object) -> tuple[torch.Tensor, object]:
        """See `CachedModel.forward`."""
        output = self._read(token_ids, cache, **self._last_only)
        return output.logits[0, -1], output[self._cache_name]

    def forward_draft(
        self, token_id: int, tree: DraftTree, num_cached: int, cache: object
    ) -> tuple[torch.Tensor, object]:
        """See `CachedModel.forward_draft`; a chain needs no mask but the model's own."""
        options = {} if tree.is_chain else self._tree_options(tree, num_cached)
        output = self._read([token_id, *tree.token_ids.tolist()], cache, **options)
        return output.logits[0], output[self._cache_name]

    def keep(self, cache: Any, num_tokens: int, nodes: Sequence[int]) -> object:
        """See `CachedModel.keep`.

        Raises:
            ValueError: the cache is not one of keys and values for every token.
        """
        num_kept = num_tokens + len(nodes)
        is_prefix = list(nodes) == list(range(len(nodes)))
        for layer in cache.layers:
            if layer.is_sliding or not layer.is_croppable:
                raise ValueError(f"a cache of {type(layer).__name__} cannot be cut")
            for name in ("keys", "values"):
                entries = getattr(layer, name)
                if not is_prefix:
                    rows = torch.tensor(nodes, device=entries.device) + num_tokens
                    entries[..., num_tokens:num_kept, :] = entries[..., rows, :]
                setattr(layer, name, entries[..., :num_kept, :])
        return cache

    def likeliest(
        self, logits: torch.Tensor, count: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """See `CachedModel.likeliest`."""
        rows = logits.reshape(-1, logits.shape[-1]).float()
        values, token_ids = rows.topk(min(count, rows.shape[-1]), dim=-1)
        probabilities = (values - rows.logsumexp(dim=-1, keepdim=True)).exp()
        return token_ids.int().cpu().numpy(), probabilities.double().cpu().numpy()

    def fetch(self, logits: torch.Tensor) -> NDArray[np.float32]:
        """See `CachedModel.fetch`."""
        return logits.float().cpu().numpy()

    def _read(self, token_ids: list[int], cache: object, **options: Any) -> Any:
        input_ids = torch.tensor([token_ids], device=self._model.device)
        return self._model(
            input_ids=input_ids, **{self._cache_name: cache}, **self._options, **options
        )

    def _tree_options(self, tree: DraftTree, num_cached: int) -> dict[str, Any]:
        """Positions by depth, and what each token sees: the cache, the one before the draft, ancestors."""
        device, dtype = self._model.device, self._model.dtype
        sees = np.ones((1 + tree.num_nodes, num_cached + 1 + tree.num_nodes), dtype=np.bool_)
        sees[0, num_cached + 1 :] = False
        sees[1:, num_cached + 1 :] = tree.ancestors()
        mask = torch.zeros(sees.shape, dtype=dtype, device=device)
        mask.masked_fill_(~torch.from_numpy(sees).to(device), torch.finfo(dtype).min)
        positions = num_cached + np.append(0, tree.depths()).astype(np.int64)
        return {
            "attention_mask": mask[None, None],
            "position_ids": torch.from_numpy(positions).to(device)[None],
        }
