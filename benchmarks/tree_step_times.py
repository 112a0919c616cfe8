"""What a step of vLLM takes with drafts of some size, as chains and as trees, on a CPU or a GPU.

    python benchmarks/tree_step_times.py --model MODEL --dtype bfloat16 --requests 8 --context 1024

Drafts are random tokens, of which next to none stand, so every step yields a token a request and only its size counts. Sizes
and shapes take turns in one engine. Written down is the median step in which all requests draft, by the clock and by
the processor (of one thread, which other work on the machine does not lengthen; on a GPU it is the host's part).
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

DEMO_MODEL = Path(__file__).resolve().parent.parent / "decoding" / "demo_model"
SHAPES = ("chain", "tree")


class RandomDrafts:
    """In place of a scheduler's drafts.

    Attributes:
        size: of every draft.
        shape: of `SHAPES`.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self.size = 0
        self.shape = "chain"
        self._vocabulary_size = vocabulary_size
        self._random = random.Random(0)
        self._drafts: dict[str, Any] = {}

    def draft_safely(self, request: Any, matcher: Any) -> Any:
        from syntagma.decoding.draft_tree import ROOT, DraftTree

        parents = [
            node - 1 if self.shape == "chain" else self._random.randint(ROOT, node - 1)
            for node in range(self.size)
        ]
        tokens = self._random.sample(range(self._vocabulary_size), self.size)
        draft = DraftTree(
            np.array(tokens, np.int32),
            np.array(parents, np.int32),
            np.zeros(self.size),
            np.zeros(self.size, np.int8),
        )
        self._drafts[request.request_id] = draft
        return draft

    def verifiable(self, request_id: str, token_ids: list[int]) -> Any:
        draft = self._drafts.get(request_id)
        if draft is None or draft.is_chain or draft.token_ids.tolist() != token_ids:
            return None
        return draft

    def wants_likeliest(self, request: Any) -> bool:
        return False

    def note_safely(self, *_: Any) -> None:
        """Nothing is learned."""

    def close_all_but(self, open_ids: Any) -> None:
        """Nothing is open."""


def new_engine(options: argparse.Namespace, most: int) -> Any:
    """vLLM in this process, with trees of up to ``most`` nodes."""
    from vllm import LLM
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        # It looks for its kernels in all modules there are, for every engine, and fails where numba is one of them.
        current_platform.register_triton_kernel_overrides()
        platform: Any = type(current_platform)
        platform.register_triton_kernel_overrides = classmethod(lambda cls: None)
    return LLM(
        model=options.model,
        dtype=options.dtype,
        enforce_eager=options.eager,
        max_model_len=options.context + options.tokens + most + 1,
        max_num_seqs=options.requests,
        max_num_batched_tokens=max(2048, options.requests * (most + 1)),
        gpu_memory_utilization=options.gpu_memory_utilization,
        enable_prefix_caching=True,
        disable_log_stats=True,
        scheduler_cls="syntagma.decoding.vllm_scheduler.grammar_scheduler",
        worker_cls="syntagma.decoding.vllm_tree_worker.TreeWorker",
        speculative_config={
            "model": "syntagma.decoding.vllm_tree.TreeProposer",
            "num_speculative_tokens": most,
        },
    )


def step_times(llm: Any, prompts: list[list[int]], num_tokens: int) -> list[tuple[float, float]]:
    """Milliseconds by the clock and by the processor, of the steps in which all requests draft."""
    from vllm import SamplingParams

    engine = llm.llm_engine
    params = SamplingParams(
        temperature=0.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False
    )
    for number, prompt in enumerate(prompts):
        engine.add_request(str(number), {"prompt_token_ids": prompt}, params)
    running = engine.engine_core.engine_core.scheduler.requests
    times = []
    while engine.has_unfinished_requests():
        is_whole = len(running) == len(prompts) and all(
            request.num_output_tokens > 0 for request in running.values()
        )
        begun = time.perf_counter(), time.process_time()
        engine.step()
        spent = time.perf_counter() - begun[0], time.process_time() - begun[1]
        if is_whole:
            times.append((1000 * spent[0], 1000 * spent[1]))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=str(DEMO_MODEL))
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=16, help="of each output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 8, 16, 32, 64, 128])
    parser.add_argument("--eager", action="store_true", help="no graphs and no compilation")
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.2)
    options = parser.parse_args()

    llm = new_engine(options, max(options.sizes))
    scheduler = llm.llm_engine.engine_core.engine_core.scheduler
    vocabulary_size = llm.llm_engine.model_config.get_vocab_size()
    drafts = scheduler._drafts = RandomDrafts(vocabulary_size)
    draw = random.Random(1)
    prompts = [
        [draw.randrange(vocabulary_size) for _ in range(options.context)]
        for _ in range(options.requests)
    ]
    arms = [(size, shape) for size in options.sizes for shape in SHAPES[: 2 if size > 1 else 1]]
    times: dict[tuple[int, str], list[tuple[float, float]]] = {arm: [] for arm in arms}
    for round_number in range(options.rounds + 1):
        for arm in arms:
            drafts.size, drafts.shape = arm
            found = step_times(llm, prompts, options.tokens)
            if round_number:  # the first is for warming up
                times[arm] += found
    print(
        f"{options.requests} requests, {options.context} tokens of context, {llm.llm_engine.model_config.dtype}"
    )
    print("nodes  shape  steps  ms a step  of these the processor")
    for (size, shape), found in times.items():
        clock, processor = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{size:5}  {shape}  {len(found):5}  {clock:9.2f}  {processor:9.2f}")


if __name__ == "__main__":
    main()
