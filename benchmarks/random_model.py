"""A model of no use but its size: the tekken vocabulary of 131,072 tokens over two tiny layers of random weights.

What a large vocabulary costs shows in masks, in logits and in sampling, not in what the model has learnt.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

TEKKEN_NAME = "tekken_240911.json"
SEED = 131_072


def tekken_path(given: str | None = None) -> Path:
    """The vocabulary's file: the one given, or the one that comes with the package mistral-common.

    Raises:
        FileNotFoundError: there is none.
    """
    if given is not None:
        path = Path(given)
    else:
        spec = importlib.util.find_spec("mistral_common")
        folders = (spec.submodule_search_locations if spec else None) or [""]
        path = Path(folders[0]) / "data" / TEKKEN_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"no tekken vocabulary at {path}: give one with --tekken, or install mistral-common"
        )
    return path


def write_random_model(folder: Path, tekken: Path) -> None:
    """Write tokenizer, configuration and weights (64 MB) as transformers and vLLM read them; takes some 8 s."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.integrations.mistral.tokenizer import convert_tekken_tokenizer

    tokenizer: Any = convert_tekken_tokenizer(str(tekken))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
