"""vLLM engines in this process that verify draft trees, and what they are compared with.

No import of ours or numba up here: vLLM's CPU build does not start where numba was imported first, so tests run
`vllm_tree_cases.py` as a program of its own.

The drafts are made for testing: trees of random shape that hold the right continuation, which is known from an engine
without drafts, to some depth on one of their paths. The other nodes are tokens of the same output at wrong places, or
any.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 4096
MODEL = str(Path(__file__).resolve().parent.parent / "decoding" / "demo_model")


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        prompt: token ids.
        schema: text of a JSON schema; None: free text.
        options: further sampling parameters of vLLM.
    """

    prompt: tuple[int, ...]
    schema: str | None = None
    options: tuple[tuple[str, Any], ...] = ()


def sampling_params(case: Case, **options: Any) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    from syntagma.decoding.vllm_sampling import GrammarSamplingParams

    constrained = None if case.schema is None else StructuredOutputsParams(json=case.schema)
    given = {"temperature": 0.0, "max_tokens": 40} | options | dict(case.options)
    return GrammarSamplingParams(structured_outputs=constrained, detokenize=False, **given)


@contextmanager
def engine(num_nodes: int = 0, **options: Any) -> Iterator[Any]:
    """vLLM in this process; ``num_nodes`` 0: without drafts."""
    from vllm import LLM
    from vllm.v1.attention.selector import _cached_get_attn_backend

    given: dict[str, Any] = {
        "model": MODEL,
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 640,  # long prompts come in chunks
        "block_size": 32,
        "kv_cache_memory_bytes": 64 << 20,
        "disable_log_stats": True,
        "scheduler_cls": "syntagma.decoding.vllm_scheduler.grammar_scheduler",
        "worker_cls": "syntagma.decoding.vllm_worker.GrammarWorker",
        "max_logprobs": 8,
    }
    if num_nodes:
        given["speculative_config"] = {
            "model": "syntagma.decoding.vllm_tree.TreeProposer",
            "num_speculative_tokens": num_nodes,
        }
        given["worker_cls"] = "syntagma.decoding.vllm_tree_worker.TreeWorker"
    llm = LLM(**(given | options))
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        # The next engine may have another attention.
        _cached_get_attn_backend.cache_clear()


def register_kernels_once() -> None:
    """Let vLLM's CPU build look for its kernels now.

    It does so for every engine, in all modules there are, and fails where numba is one of them.
    """
    from vllm.platforms import current_platform

    current_platform.register_triton_kernel_overrides()
    platform: Any = type(current_platform)
    platform.register_triton_kernel_overrides = classmethod(lambda cls: None)


def scheduler_of(llm: Any) -> Any:
    return llm.llm_engine.engine_core.engine_core.scheduler


def num_free_blocks(llm: Any) -> int:
    return int(scheduler_of(llm).kv_cache_manager.block_pool.get_num_free_blocks())


def answers(llm: Any, cases: Sequence[Case], **options: Any) -> list[list[int]]:
    """The outputs of cases that run together."""
    return [list(found.outputs[0].token_ids) for found in results(llm, cases, **options)]


def results(llm: Any, cases: Sequence[Case], **options: Any) -> list[Any]:
    prompts = [{"prompt_token_ids": list(case.prompt)} for case in cases]
    params = [sampling_params(case, **options) for case in cases]
    return list(llm.generate(prompts, params, use_tqdm=False))


def random_tree(truth: Sequence[int], num_nodes: int, rng: random.Random) -> Any:
    """A tree whose path for ``truth`` reaches some depth."""
    from syntagma.decoding.draft_tree import ROOT, DraftTree

    tokens: list[int] = []
    parents: list[int] = []
    taken: set[tuple[int, int]] = set()
    end, depth = ROOT, 0
    most = rng.randint(0, min(len(truth), 12))

    def add(parent: int, token: int) -> None:
        taken.add((parent, token))
        tokens.append(token)
        parents.append(parent)

    while len(tokens) < num_nodes:
        if depth < most and rng.random() < 0.4 and (end, truth[depth]) not in taken:
            add(end, truth[depth])
            end, depth = len(tokens) - 1, depth + 1
            continue
        parent = rng.randint(ROOT, len(tokens) - 1)
        is_near = truth and rng.random() < 0.6
        token = rng.choice(list(truth[:20])) if is_near else rng.randrange(VOCABULARY)
        if (parent, token) not in taken:
            add(parent, token)
    return DraftTree(
        np.array(tokens, np.int32),
        np.array(parents, np.int32),
        np.full(len(tokens), 0.5),
        np.zeros(len(tokens), np.int8),
    )


class RandomTrees:
    """In place of a scheduler's drafts; knows outputs by their prompts.

    Attributes:
        steps, accepted, branching: how many drafts there were, how many of their nodes stood, and in how many steps these
            were no chain from the first node on.
        preemptions: of all requests.
    """

    def __init__(
        self, scheduler: Any, truths: dict[tuple[int, ...], list[int]], num_nodes: int, seed: int
    ) -> None:
        self.own = getattr(scheduler._drafts, "own", scheduler._drafts)
        self.truths = truths
        self.num_nodes = num_nodes
        self.rng = random.Random(seed)
        # By request: it, its draft, and how much of its output there was.
        self.trees: dict[str, tuple[Any, Any, int]] = {}
        self.steps = self.accepted = self.branching = self.preemptions = 0
        self.preempted: dict[str, int] = {}
        self.vocabulary = self.own._speculator.vocabulary

    def draft_safely(self, request: Any, matcher: Any) -> Any:
        from syntagma.decoding.draft_tree import EMPTY_TREE
        from syntagma.decoding.tree_merging import subtree
        from syntagma.decoding.tree_pruning import prune
        from syntagma.decoding.vllm_drafting import forbids_drafts

        self._count(request.request_id)
        before = self.preempted.get(request.request_id, 0)
        self.preempted[request.request_id] = request.num_preemptions
        self.preemptions += request.num_preemptions - before
        truth = self.truths.get(tuple(request.prompt_token_ids), [])
        rest = truth[request.num_output_tokens :]
        places = min(self.num_nodes, self.own._max_model_len - request.num_tokens - 1)
        depth = request.max_tokens - request.num_output_tokens - 1
        tree = EMPTY_TREE
        if places > 0 and depth > 0 and not forbids_drafts(request):
            tree = prune(random_tree(rest, places, self.rng), matcher, self.vocabulary)
            tree = subtree(tree, [n for n, d in enumerate(tree.depths()) if d <= depth])
        self.trees[request.request_id] = (request, tree, request.num_output_tokens)
        return tree

    def _count(self, request_id: str) -> None:
        """What became of a request's last draft."""
        from syntagma.decoding.verification import Walk

        if request_id not in self.trees:
            return
        request, tree, length = self.trees.pop(request_id)
        walk = Walk(tree)
        for token in list(request.output_token_ids)[length:]:
            if not walk.step(token):
                break
        self.steps += 1
        self.accepted += len(walk.accepted)
        self.branching += walk.accepted != list(range(len(walk.accepted)))

    def verifiable(self, request_id: str, token_ids: list[int]) -> Any:
        from syntagma.decoding.tree_merging import subtree

        _, tree, _ = self.trees.get(request_id, (None, None, 0))
        number = len(token_ids)
        if tree is None or tree.token_ids[:number].tolist() != token_ids:
            return None
        tree = subtree(tree, range(number))
        return None if tree.is_chain else tree

    def wants_likeliest(self, request: Any) -> bool:
        return False

    def note_safely(self, request: Any, scheduled: Any, output: Any, likeliest: Any) -> None:
        pass

    def close_all_but(self, open_ids: Any) -> None:
        for request_id in [found for found in self.trees if found not in open_ids]:
            self._count(request_id)


class CountedDrafts:
    """A scheduler's own drafts.

    Attributes:
        usage: what became of those of finished requests.
        trees: how many drafts were no chains.
    """

    def __init__(self, own: Any) -> None:
        from syntagma.decoding.speculation import SpeculationUsage

        self.own = own
        self.usage = SpeculationUsage()
        self.trees = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def verifiable(self, request_id: str, token_ids: list[int]) -> Any:
        tree = self.own.verifiable(request_id, token_ids)
        self.trees += tree is not None
        return tree

    def note_safely(self, request: Any, scheduled: Any, output: Any, likeliest: Any) -> None:
        session = self.own._drafted(request).session
        self.own.note_safely(request, scheduled, output, likeliest)
        if output.finish_reason is not None:
            self.usage.add(session.usage)

    def counts(self) -> dict[str, int]:
        return {
            "steps": self.usage.steps,
            "trees": self.trees,
            "drafted": self.usage.drafted,
            "accepted": self.usage.accepted,
        }


def draft_randomly(
    llm: Any, cases: Sequence[Case], truths: Sequence[list[int]], num_nodes: int, seed: int = 0
) -> RandomTrees:
    scheduler = scheduler_of(llm)
    known = {case.prompt: truth for case, truth in zip(cases, truths, strict=False)}
    drafts = RandomTrees(scheduler, known, num_nodes, seed)
    scheduler._drafts = drafts
    return drafts


def draft_itself(llm: Any) -> CountedDrafts:
    """Let the scheduler draft as it does, as though drafted tokens cost next to nothing: its trees branch most then."""
    scheduler = scheduler_of(llm)
    own = getattr(scheduler._drafts, "own", scheduler._drafts)
    own._costs = np.linspace(1.0, 1.0001, own._max_drafts + 1)
    scheduler._drafts = drafts = CountedDrafts(own)
    return drafts
