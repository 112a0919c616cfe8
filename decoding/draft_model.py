"""Loads a small causal language model to draft for a larger one of the same vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from syntagma.decoding.cached_model import find_draft_shape
from syntagma.decoding.hugging_face_model import HuggingFaceModel
from syntagma.decoding.model_drafter import ModelDrafter, ModelDraftOptions
from syntagma.grammar import Vocabulary


def load_model_drafter(
    source: str | Path, vocabulary: Vocabulary, *, device: str, dtype: str
) -> ModelDrafter:
    """A drafter by the model in a folder or on the Hugging Face hub.

    Args:
        source: folder or name.
        vocabulary: of the target model.
        device, dtype: as of the target model.

    Raises:
        ValueError: its tokens are not the target's, or its cache cannot be cut back after a draft.
        OSError: there is no such model.
    """
    network: Any = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    network.to(device).eval()
    width = network.get_output_embeddings().weight.shape[0]
    own = Vocabulary.from_tokenizer(
        AutoTokenizer.from_pretrained(source), vocab_size=width, stop_ids=vocabulary.stop_ids
    )
    if width < vocabulary.size or own.tokens[: vocabulary.size] != vocabulary.tokens:
        raise ValueError(f"the draft model {source} has other tokens than the model it drafts for")
    model = HuggingFaceModel(network)
    with torch.inference_mode():
        shape = find_draft_shape(model)
    if shape == "none":
        raise ValueError(f"the draft model {source} cannot take back what it has read")
    width_of_tree = ModelDraftOptions.width if shape == "tree" else 1
    return ModelDrafter(model, vocabulary, ModelDraftOptions(width=width_of_tree))
