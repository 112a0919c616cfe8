"""Attention in two parts, beside softmax over everything that a node sees, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from syntagma.decoding.tree_attention import PackedTrees, attend_among, merge_parts

TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""For values around 1; what is merged in bfloat16 was rounded to eight bits before."""


@dataclass(frozen=True)
class Case:
    """Trees, each by the parents of its nodes (-1: none) and the length of its context."""

    parents: list[list[int]]
    lengths: list[int]
    num_kv_heads: int
    num_sharing: int
    soft_cap: float
    seed: int

    head_size = 8
    scale = 0.4

    def tensors(self, dtype: torch.dtype) -> list[list[torch.Tensor]]:
        """Of each tree: queries of the nodes, keys and values of the context, of the nodes."""
        draw = torch.Generator().manual_seed(self.seed)
        num_heads = self.num_kv_heads * self.num_sharing

        def random(rows: int, heads: int) -> torch.Tensor:
            return torch.randn(rows, heads, self.head_size, generator=draw).to(dtype)

        return [
            [
                random(len(parents), num_heads),
                *(random(length, self.num_kv_heads) for _ in range(2)),
                *(random(len(parents), self.num_kv_heads) for _ in range(2)),
            ]
            for parents, length in zip(self.parents, self.lengths, strict=True)
        ]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sizes = draw(st.lists(st.integers(1, 24), min_size=1, max_size=4))
    return Case(
        parents=[[draw(st.integers(-1, node - 1)) for node in range(size)] for size in sizes],
        lengths=[draw(st.integers(1, 40)) for _ in sizes],
        num_kv_heads=draw(st.integers(1, 3)),
        num_sharing=draw(st.integers(1, 4)),
        soft_cap=draw(st.sampled_from([0.0, 0.7, 30.0])),
        seed=draw(st.integers(0, 2**31)),
    )


def attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, case: Case
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one row to all rows given, head by head, in float64: the answer and the log-sums."""
    answers, sums = [], []
    for head in range(len(query)):
        shared = head // case.num_sharing
        scores = keys[:, shared].double() @ query[head].double() * case.scale
        if case.soft_cap:
            scores = case.soft_cap * torch.tanh(scores / case.soft_cap)
        answers.append(scores.softmax(0) @ values[:, shared].double())
        sums.append(scores.logsumexp(0))
    return torch.stack(answers), torch.stack(sums)


def path_to(parents: list[int], node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(node)
        node = parents[node]
    return path[::-1]


def seen_by_nodes(parents: list[int]) -> torch.Tensor:
    seen = torch.zeros((len(parents), len(parents)), dtype=torch.bool)
    for node in range(len(parents)):
        seen[node, path_to(parents, node)] = True
    return seen


def in_two_parts(
    case: Case, dtype: torch.dtype, visible: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is tested, and what it should be: [num_nodes, num_heads, head_size]."""
    expected, context, context_sums = [], [], []
    tensors = case.tensors(dtype)
    for parents, (query, old_keys, old_values, keys, values) in zip(
        case.parents, tensors, strict=True
    ):
        for node in range(len(parents)):
            path = path_to(parents, node)
            all_keys = torch.cat([old_keys, keys[path]])
            all_values = torch.cat([old_values, values[path]])
            expected.append(attention(query[node], all_keys, all_values, case)[0])
            answer, sums = attention(query[node], old_keys, old_values, case)
            context.append(answer.to(dtype))
            context_sums.append(sums.float())
    query, _, _, keys, values = (torch.cat(parts) for parts in zip(*tensors, strict=True))
    packed = PackedTrees.of(visible, query.device)
    among, among_sums = attend_among(query, keys, values, packed, case.scale, case.soft_cap)
    one, one_sums = torch.stack(context), torch.stack(context_sums, dim=1)
    merged = merge_parts(one, one_sums, among, among_sums)
    return merged.double(), torch.stack(expected)


@pytest.mark.parametrize("dtype", TOLERANCES)
@given(case=cases())
def test_two_parts_are_the_whole(case: Case, dtype: torch.dtype) -> None:
    visible = [seen_by_nodes(parents) for parents in case.parents]
    found, expected = in_two_parts(case, dtype, visible)
    torch.testing.assert_close(found, expected, atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_mask_is_needed(dtype: torch.dtype) -> None:
    """A control: with the mask of a chain the answers are others, by more than rounding."""
    case = Case([[-1, -1, 0, 0, 1]], [6], 2, 2, 0.0, 7)
    chain = torch.ones((5, 5), dtype=torch.bool).tril()
    found, expected = in_two_parts(case, dtype, [chain])
    assert (found - expected).abs().max() > 10 * TOLERANCES[dtype]


def test_a_part_that_is_not_a_number_stays_in_its_tree() -> None:
    """Other requests of the batch are not touched by it."""
    case = Case([[-1], [-1, 0, 1]], [4, 4], 1, 1, 0.0, 3)
    (query, *_, keys, values), others = case.tensors(torch.float32)
    packed = PackedTrees.of([seen_by_nodes(parents) for parents in case.parents], query.device)
    answers, _ = attend_among(
        torch.cat([query * math.nan, others[0]]),
        torch.cat([keys * math.nan, others[3]]),
        torch.cat([values * math.nan, others[4]]),
        packed,
        case.scale,
    )
    assert answers[0].isnan().all() and not answers[1:].isnan().any()
