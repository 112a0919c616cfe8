"""A tiny random Llama over bytes, and engines around it: nothing to download, about 1 ms a pass."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from syntagma.decoding import Delta, GenerationRequest, SamplingParams
from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.grammar import GrammarCompiler, Vocabulary

# Two threads that share a core with other processes make a pass a hundred times slower.
torch.set_num_threads(1)

ResultT = TypeVar("ResultT")

PAD, STOP = 256, 257
TOKENS = [bytes([byte]) for byte in range(256)]
TOKENS += [
    b"<pad>",
    b"<end>",
    "é".encode(),
    "€".encode(),
    b'{"',
    b'":',
    b"true",
    b"ab",
    b"END",
    b"ND",
]
VOCABULARY = Vocabulary(TOKENS, stop_ids=[STOP], special_ids=[PAD], vocab_size=300)
CONTEXT = 20_000
PROMPT = tuple(b"Once upon a time")


class ByteTokenizer:
    """Bytes are ids."""

    chat_template: str | None = None

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


class ToyLlama(LlamaForCausalLM):
    """Calls ``before_forward`` with the ids it is about to read; may block or raise."""

    before_forward: Callable[[list[int]], None] = staticmethod(lambda token_ids: None)

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int = 0, **options: Any) -> Any:
        self.before_forward(input_ids[0].tolist())
        return super().forward(input_ids=input_ids, logits_to_keep=logits_to_keep, **options)


@functools.cache
def compiler() -> GrammarCompiler:
    return GrammarCompiler(VOCABULARY)


def toy_model(**config: Any) -> ToyLlama:
    """Weights are large enough for the next token to depend on what was said."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY.size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": STOP,
        "pad_token_id": PAD,
    }
    return ToyLlama(LlamaConfig(**settings | config)).eval()


def toy_engine(model: ToyLlama | None = None, **options: Any) -> EmbeddedEngine:
    settings: dict[str, Any] = {"model_name": "toy", "max_model_len": CONTEXT, "torch_threads": 1}
    return EmbeddedEngine(
        toy_model() if model is None else model, ByteTokenizer(), VOCABULARY, **settings | options
    )


def request(
    request_id: str = "r", prompt: tuple[int, ...] = PROMPT, grammar: Any = None, **sampling: Any
) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        prompt_token_ids=prompt,
        sampling=SamplingParams(**{"max_tokens": 12, "seed": 1, "ignore_eos": True} | sampling),
        grammar=grammar,
    )


async def collect(engine: EmbeddedEngine, given: GenerationRequest) -> list[list[Delta]]:
    """The deltas of every choice."""
    choices: list[list[Delta]] = [[] for _ in range(given.sampling.n)]
    async for delta in engine.generate(given):
        assert not choices[delta.index] or choices[delta.index][-1].finish_reason is None
        choices[delta.index].append(delta)
    return choices


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def ids_of(deltas: list[Delta]) -> list[int]:
    return [token_id for delta in deltas for token_id in delta.token_ids]


def serve(
    engine: EmbeddedEngine, client: Callable[[EmbeddedEngine], Coroutine[Any, Any, ResultT]]
) -> ResultT:
    """Run a client against a started engine; a stuck test fails after a minute."""

    async def session() -> ResultT:
        await engine.start()
        try:
            return await asyncio.wait_for(client(engine), timeout=60)
        finally:
            await engine.shutdown()

    return asyncio.run(session())


def run_all(engine: EmbeddedEngine, *given: GenerationRequest) -> list[list[list[Delta]]]:
    """All requests at the same time."""

    async def client(engine: EmbeddedEngine) -> list[list[list[Delta]]]:
        return await asyncio.gather(*(collect(engine, one) for one in given))

    return serve(engine, client)


def run_one(engine: EmbeddedEngine, given: GenerationRequest) -> list[Delta]:
    """The only choice of one request."""
    return run_all(engine, given)[0][0]
