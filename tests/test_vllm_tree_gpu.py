"""The attention of draft trees on GPUs, on a CPU: all but the one kernel, in whose place is a twin.

Whether it is right on a GPU is for `test_vllm_tree_half.py` to say, where there is one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import flash_attention_twin
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import ENVIRONMENT, environment, require_vllm
from test_tree_attention import TOLERANCES, Case, attention, cases, path_to

from syntagma.decoding import vllm_support
from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.tree_attention import merge_parts
from syntagma.decoding.vllm_support import TREE_PROPOSER, VllmUnsupportedError

BLOCK_SIZE = 16
NUM_PADDING = 3


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, with the twin of the kernel."""
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from syntagma.decoding import vllm_tree_gpu
    monkeypatch.setattr(
        vllm_tree_gpu, "flash_attn_varlen_func", flash_attention_twin.flash_attn_varlen_func
    )
    yield vllm_tree_gpu


def bare_tree(parents: list[int]) -> DraftTree:
    number = len(parents)
    return DraftTree(
        np.arange(number, dtype=np.int32),
        np.array(parents, np.int32),
        np.zeros(number),
        np.zeros(number, np.int8),
    )


class Batch:
    """A step of vLLM's: each request of the case has a tree, and before each is one that has none.

    The token before a draft is the last of its context. What is in the cache behind the context, and beyond the step's
    rows, is not a number.
    """

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        from syntagma.decoding.vllm_tree_step import TreeInBatch, TreeStep, visible_nodes

        self.case, self.dtype = case, dtype
        self.tensors = case.tensors(dtype)
        trees, rows = [], 0
        for number, parents in enumerate(case.parents):
            tree = bare_tree(parents)
            trees.append(TreeInBatch(2 * number + 1, rows + 1, tree, visible_nodes(tree)))
            rows += 2 + len(parents)
        num_heads = case.num_kv_heads * case.num_sharing
        shape = (rows + NUM_PADDING, num_heads, case.head_size)
        self.query = torch.full(shape, math.nan, dtype=dtype)
        shape = (rows + NUM_PADDING, case.num_kv_heads, case.head_size)
        self.key, self.value = (torch.full(shape, math.nan, dtype=dtype) for _ in range(2))
        self.output = torch.full_like(self.query, -7.0)
        self.step = TreeStep.of(trees, self.query.device)
        for tree, (query, _, _, keys, values) in zip(trees, self.tensors, strict=True):
            nodes = slice(tree.rows.start + 1, tree.rows.stop)
            self.query[nodes], self.key[nodes], self.value[nodes] = query, keys, values
        self._fill_cache()
        lengths = [
            number
            for parents, length in zip(case.parents, case.lengths, strict=True)
            for number in (5, length + len(parents))
        ]
        self.fields: dict[str, Any] = {
            "num_actual_tokens": rows,
            "max_query_len": 1 + max(map(len, case.parents)),
            "query_start_loc": None,
            "max_seq_len": max(lengths),
            "seq_lens": torch.tensor(lengths, dtype=torch.int32),
            "block_table": self.block_table,
            "slot_mapping": torch.arange(rows),
        }

    def _fill_cache(self) -> None:
        """Contexts in blocks that lie in any order, as vLLM has keys and values: side by side."""
        case = self.case
        per_request = -(-max(case.lengths) // BLOCK_SIZE) + 1
        num_blocks = 2 * len(case.lengths) * per_request
        order = torch.randperm(num_blocks, generator=torch.Generator().manual_seed(case.seed))
        self.block_table = order.view(-1, per_request).int()
        shape = (num_blocks, case.num_kv_heads, BLOCK_SIZE, 2 * case.head_size)
        self.kv_cache = torch.full(shape, math.nan, dtype=self.dtype)
        for number, (_, keys, values, _, _) in enumerate(self.tensors):
            blocks = self.block_table[2 * number + 1]
            for place, both in enumerate(torch.cat([keys, values], dim=-1)):
                self.kv_cache[blocks[place // BLOCK_SIZE], :, place % BLOCK_SIZE] = both

    def expected(self) -> torch.Tensor:
        """float64: the output as it should be, row by row."""
        output = self.output.double()
        for tree, parents, tensors in zip(
            self.step.trees, self.case.parents, self.tensors, strict=True
        ):
            query, old_keys, old_values, keys, values = tensors
            for node in range(len(parents)):
                path = path_to(parents, node)
                output[tree.rows.start + 1 + node], _ = attention(
                    query[node],
                    torch.cat([old_keys, keys[path]]),
                    torch.cat([old_values, values[path]]),
                    self.case,
                )
        return output


def bare_impl(gpu: Any, case: Case) -> Any:
    """As vLLM would make it for a GPU, with what is used of it."""
    impl = object.__new__(gpu.TreeAttentionImpl)
    impl.head_size, impl.scale, impl.logits_soft_cap = case.head_size, case.scale, case.soft_cap
    impl.vllm_flash_attn_version = 2
    return impl


@pytest.mark.parametrize("dtype", TOLERANCES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(case=cases())
def test_nodes_see_their_context_and_their_ancestors(
    gpu: Any, case: Case, dtype: torch.dtype
) -> None:
    """In a batch of several requests, from a cache in blocks; no other row is touched."""
    batch = Batch(case, dtype)
    metadata = gpu.TreeAttentionMetadata(**batch.fields)
    metadata.take(batch.step)
    expected = batch.expected()
    impl = bare_impl(gpu, case)
    impl.attend_nodes(
        None, batch.query, batch.key, batch.value, batch.kv_cache, metadata, batch.output
    )
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(batch.output.double(), expected, atol=tolerance, rtol=tolerance)


def test_steps_without_trees_are_left_to_vllm(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those in which it measures its memory; in steps with trees the nodes are done again, and kept."""
    case = Case([[-1, -1, 0]], [5], 2, 2, 0.0, 1)
    batch = Batch(case, torch.float32)
    calls: list[Any] = []
    monkeypatch.setattr(
        gpu.FlashAttentionImpl,
        "forward",
        lambda impl, *args, **kwargs: calls.append(args[5]) or args[6],
    )
    impl, arguments = bare_impl(gpu, case), (None, batch.query, batch.key, batch.value)
    metadata = gpu.TreeAttentionMetadata(**batch.fields)
    before = batch.output.clone()
    for given_metadata in (None, metadata):
        found = impl.forward(*arguments, batch.kv_cache, given_metadata, batch.output)
        assert found is batch.output and torch.equal(found, before)
    metadata.take(batch.step)
    expected = batch.expected()
    impl.forward(*arguments, batch.kv_cache, metadata, batch.output)
    tolerance = TOLERANCES[torch.float32]
    torch.testing.assert_close(batch.output.double(), expected, atol=tolerance, rtol=tolerance)
    (kept,) = batch.step.kept
    assert torch.equal(kept.key[1:], batch.tensors[0][3])
    assert calls == [None, metadata, metadata]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), dtype=st.sampled_from(list(TOLERANCES)))
def test_merging_is_what_vllm_does(gpu: Any, seed: int, dtype: torch.dtype) -> None:
    """Its function for a CPU, also where one part is empty."""
    from vllm.v1.attention.ops.merge_attn_states import _merge_attn_states_torch

    draw = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(5, 3, 8, generator=draw).to(dtype) for _ in range(2))
    one_sums, other_sums = (20 * torch.randn(3, 5, generator=draw) for _ in range(2))
    one_sums[0, 1] = other_sums[2, 3] = -math.inf
    expected = torch.empty_like(one)
    _merge_attn_states_torch(expected, one, one_sums, other, other_sums)
    found = merge_parts(one, one_sums, other, other_sums).to(dtype)
    torch.testing.assert_close(found, expected)


def layer_of(**changes: Any) -> Any:
    values = {
        "sliding_window": (-1, -1),
        "alibi_slopes": None,
        "sinks": None,
        "kv_sharing_target_layer_name": None,
        "attn_type": "decoder",
        "vllm_flash_attn_version": 3,
    }
    return SimpleNamespace(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sliding_window": (511, 0)}, "a sliding window"),
        ({"sinks": torch.zeros(2)}, "attention sinks"),
        ({"attn_type": "encoder_only"}, "attention of type encoder_only"),
        ({"vllm_flash_attn_version": 4}, "FlashAttention 4"),
    ],
)
def test_layers_that_are_refused(gpu: Any, changes: dict[str, Any], message: str) -> None:
    gpu.TreeAttentionImpl.check(layer_of(), "layers.0")
    with pytest.raises(VllmUnsupportedError, match=rf"layers\.0 .*{message}.*leave it out"):
        gpu.TreeAttentionImpl.check(layer_of(**changes), "layers.0")


def test_graphs_of_whole_steps_are_not_made(gpu: Any) -> None:
    """vLLM's own resolution of its default: nothing of this would be called in such a graph."""
    from vllm.config import CompilationConfig, CompilationMode, CUDAGraphMode

    support = gpu.TreeAttentionMetadataBuilder.get_cudagraph_support(None, None)
    config = CompilationConfig(
        mode=CompilationMode.VLLM_COMPILE, cudagraph_mode=CUDAGraphMode.FULL_AND_PIECEWISE
    )
    config.set_splitting_ops_for_v1(all2all_backend="", data_parallel_size=1)
    mode = config.resolve_cudagraph_mode_and_sizes(support, "TreeAttentionBackend", 17)
    assert mode == CUDAGraphMode.PIECEWISE


def test_hooks_are_those_that_this_is_written_for(gpu: Any) -> None:
    vllm_support.check_tree_hooks(is_cpu=False)


def test_what_is_refused_on_a_gpu(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As though there were one."""
    from test_vllm_tree import config_of
    from vllm import platforms
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    from syntagma.decoding.vllm_tree import check_trees

    platform = SimpleNamespace(is_cpu=lambda: False, is_cuda=lambda: True)
    monkeypatch.setattr(platforms, "_current_platform", platform)
    config = config_of()
    assert config.speculative_config.model == TREE_PROPOSER
    check_trees(config)
    config.attention_config.backend = AttentionBackendEnum.FLASH_ATTN
    check_trees(config)
    for part, values, message in (
        ("attention_config", {"backend": AttentionBackendEnum.FLASHINFER}, "backend FLASHINFER"),
        ("parallel_config", {"use_ubatching": True}, "batches in two halves"),
        ("model_config", {"use_mla": True}, "latent attention"),
    ):
        with pytest.raises(VllmUnsupportedError, match=rf"{message}.*leave it out"):
            check_trees(config_of(**{part: values}))
    platform.is_cuda, platform.device_name = lambda: False, "rocm"
    with pytest.raises(VllmUnsupportedError, match=r"rocm devices.*leave it out"):
        check_trees(config_of())
