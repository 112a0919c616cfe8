from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from naive_sampling import NearTie, naive_law, naive_log_softmax

from syntagma.decoding.engine import SamplingParams
from syntagma.decoding.logits_kernels import forbid_tokens
from syntagma.decoding.sampling import (
    apply_bitmask,
    apply_logit_bias,
    apply_penalties,
    best_ids,
    check_sampling_params,
    draw,
    log_softmax,
    pack_bitmask,
    sample,
    token_law,
    unpack_bitmask,
)

SIZE = 40

logit_rows = st.lists(
    st.one_of(st.integers(-3, 3).map(float), st.floats(-20, 20)), min_size=SIZE, max_size=SIZE
)
allowed_sets = st.sets(st.integers(0, SIZE - 1), min_size=1)
token_lists = st.lists(st.integers(0, SIZE - 1), max_size=8)
all_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0]),
    top_p=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    top_k=st.sampled_from([0, 1, 5, 100]),
    min_p=st.sampled_from([0.0, 0.2, 1.0]),
    presence_penalty=st.sampled_from([0.0, 0.7, -1.5]),
    frequency_penalty=st.sampled_from([0.0, 0.3]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
    logit_bias=st.dictionaries(
        st.integers(0, SIZE - 1), st.sampled_from([-100.0, -1.0, 2.5, 100.0, -math.inf]), max_size=4
    ),
)


def mask_of(allowed: Any) -> np.ndarray[Any, np.dtype[np.int32]]:
    return pack_bitmask(np.isin(np.arange(SIZE), sorted(allowed)))


def law_of(
    logits: Any, allowed: Any, params: SamplingParams, prompt: Any = (), output: Any = ()
) -> dict[int, float]:
    row = np.array(logits)
    adjusted = apply_penalties(apply_logit_bias(row, params.logit_bias), params, prompt, output)
    ids, probabilities = token_law(
        apply_bitmask(adjusted, mask_of(allowed)), mask_of(allowed), params
    )
    assert list(ids) == sorted(ids)
    return {int(i): float(p) for i, p in zip(ids, probabilities, strict=True) if p > 0}


class Scripted:
    """A generator that returns a given number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


@given(logit_rows, allowed_sets, all_params, token_lists, token_lists)
def test_the_law_is_the_naive_law(
    logits: list[float], allowed: set[int], params: SamplingParams, prompt: Any, output: Any
) -> None:
    try:
        expected = naive_law(logits, sorted(allowed), params, prompt, output)
    except NearTie:
        assume(False)
    law = law_of(logits, allowed, params, prompt, output)
    for token_id in law.keys() | expected.keys():
        assert law.get(token_id, 0.0) == pytest.approx(expected.get(token_id, 0.0), abs=1e-12)


@given(logit_rows, allowed_sets, all_params, st.integers(0, 2**32))
def test_only_allowed_tokens_are_drawn(
    logits: list[float], allowed: set[int], params: SamplingParams, seed: int
) -> None:
    drawn = sample(
        np.array(logits, dtype=np.float32),
        mask_of(allowed),
        params,
        prompt_token_ids=[1],
        output_token_ids=[2],
        generator=np.random.default_rng(seed),
    )
    assert drawn in allowed


@given(
    st.lists(st.floats(width=32), min_size=SIZE, max_size=SIZE),
    allowed_sets,
    st.sampled_from([1e-300, 1e-40, 1e-10, 1.0, 1e300]),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_no_row_and_no_temperature_give_nan(
    logits: list[float], allowed: set[int], temperature: float, dtype: type
) -> None:
    with np.errstate(over="ignore"):
        row = np.array(logits).astype(dtype)
    masked = apply_bitmask(row, mask_of(allowed))
    params = SamplingParams(temperature=temperature, top_p=0.9, min_p=0.1)
    token_ids, probabilities = token_law(masked, mask_of(allowed), params)
    assert set(token_ids.tolist()) <= allowed
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-2)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 1.0, 1e-300]), min_size=1, max_size=9))
def test_draw_inverts_the_cumulative_law(weights: list[float]) -> None:
    assume(sum(weights) > 0)
    probabilities = np.array(weights) / sum(weights)
    for number in (0.0, 0.2, 0.5, 0.77, math.nextafter(1.0, 0.0)):
        index = draw(probabilities, Scripted(number))  # type: ignore[arg-type]
        assert probabilities[index] > 0
        assert probabilities[:index].sum() <= number + 1e-12
        assert probabilities[: index + 1].sum() >= number - 1e-12


def test_draws_follow_the_law() -> None:
    logits = np.log(np.array([0.5, 0.2, 0.15, 0.1, 0.05] + [1e-9] * (SIZE - 5)))
    generator = np.random.default_rng(7)
    counts = np.zeros(SIZE)
    num_draws = 5_000
    for _ in range(num_draws):
        counts[
            sample(
                logits,
                mask_of({0, 1, 2, 4}),
                SamplingParams(),
                prompt_token_ids=(),
                output_token_ids=(),
                generator=generator,
            )
        ] += 1
    expected = num_draws * np.array([0.5, 0.2, 0.15, 0.05]) / 0.9
    observed = counts[[0, 1, 2, 4]]
    assert observed.sum() == num_draws
    # 16.27 is the 0.999 quantile of chi-square with 3 degrees of freedom; the seed is fixed.
    assert ((observed - expected) ** 2 / expected).sum() < 16.27


@pytest.mark.parametrize("nothing", [-math.inf, math.nan])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_grammar_wins_over_a_model_that_excludes_it(nothing: float, temperature: float) -> None:
    logits = [5.0] * SIZE
    logits[3] = logits[9] = nothing
    law = law_of(logits, {3, 9}, SamplingParams(temperature=temperature, top_k=5, top_p=0.99))
    assert law == ({3: 1.0} if temperature == 0 else {3: 0.5, 9: 0.5})


def test_a_bias_against_all_legal_tokens_leaves_their_law() -> None:
    bias = SamplingParams(logit_bias={1: -100.0, 2: -100.0})
    assert law_of([0.0] * SIZE, {1, 2}, bias) == {1: 0.5, 2: 0.5}
    banned = SamplingParams(logit_bias={1: -math.inf, 2: -math.inf})
    assert law_of([0.0] * SIZE, {1, 2}, banned) == {1: 0.5, 2: 0.5}
    one_banned = SamplingParams(logit_bias={1: -math.inf})
    assert law_of([0.0] * SIZE, {1, 2}, one_banned) == {2: 1.0}


def test_infinite_logits_do_not_give_nan() -> None:
    logits = [0.0] * SIZE
    logits[4] = logits[5] = math.inf
    assert law_of(logits, range(SIZE), SamplingParams(temperature=0.1)) == {4: 0.5, 5: 0.5}
    against = SamplingParams(logit_bias={4: -math.inf})
    assert law_of(logits, range(SIZE), against) == {5: 1.0}


def test_greedy_takes_the_lowest_of_equal_ids() -> None:
    assert law_of([1.0] * SIZE, {7, 8}, SamplingParams(temperature=0)) == {7: 1.0}


def test_a_uniform_law_survives_top_p_near_zero() -> None:
    for size in (3, 7, SIZE):
        law = law_of([0.1] * SIZE, range(size), SamplingParams(top_p=1e-12))
        assert law == {0: 1.0}


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="no token"):
        law_of([0.0] * SIZE, (), SamplingParams())


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_bitmasks_unpack_to_what_was_packed(allowed: list[bool]) -> None:
    row = pack_bitmask(np.array(allowed))
    assert row.dtype == np.int32
    assert row.size == math.ceil(len(allowed) / 32)
    assert unpack_bitmask(row, len(allowed)).tolist() == allowed
    for token_id, is_allowed in enumerate(allowed):
        assert (int(row[token_id >> 5]) >> (token_id & 31)) & 1 == is_allowed


def test_apply_bitmask_leaves_its_argument_alone() -> None:
    logits = np.arange(SIZE, dtype=np.float32)
    masked = apply_bitmask(logits, mask_of({0, 39}))
    assert np.flatnonzero(masked > -np.inf).tolist() == [0, 39]
    assert masked[39] == 39
    assert logits.tolist() == list(range(SIZE))


@given(logit_rows)
def test_log_softmax_is_the_naive_one(logits: list[float]) -> None:
    assert log_softmax(np.array(logits)) == pytest.approx(naive_log_softmax(logits), abs=1e-9)


def test_log_softmax_of_broken_rows() -> None:
    assert log_softmax(np.array([0.0, -np.inf, np.nan])).tolist() == [0.0, -np.inf, -np.inf]
    assert log_softmax(np.array([np.nan, -np.inf])) == pytest.approx([math.log(0.5)] * 2)


@given(logit_rows, st.integers(0, SIZE + 3))
def test_best_ids_are_sorted_by_score_then_id(logits: list[float], k: int) -> None:
    expected = sorted(range(SIZE), key=lambda i: (-logits[i], i))[:k]
    assert best_ids(np.array(logits), k).tolist() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"top_p": 1.5},
        {"top_k": -1},
        {"min_p": -0.1},
        {"presence_penalty": math.inf},
        {"frequency_penalty": math.nan},
        {"repetition_penalty": 0.0},
        {"max_tokens": 0},
        {"n": 0},
        {"logprobs": -1},
        {"stop": ("a", "")},
        {"logit_bias": {SIZE: 1.0}},
        {"logit_bias": {-1: 1.0}},
        {"logit_bias": {1: math.nan}},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        check_sampling_params(SamplingParams(**wrong), SIZE)


def test_the_defaults_pass() -> None:
    check_sampling_params(SamplingParams(), SIZE)


@given(
    st.lists(st.sets(st.integers(0, SIZE - 1)), min_size=1, max_size=5),
    st.sampled_from([1, 31, 32, 33, 64, SIZE]),
    st.randoms(use_true_random=False),
)
def test_masks_on_rows_of_logits(allowed: list[set[int]], vocab_size: int, rng: Any) -> None:
    """Rows in any order, one of them without a mask, and a mask without a row; others stay as they are."""
    masks = [[i in ids for i in range(64)] for ids in [*allowed, set(range(64)), set()]]
    bitmask = np.concatenate([pack_bitmask(np.array(mask)[:64])[np.newaxis] for mask in masks])
    num_rows = len(masks) + 1
    targets = rng.sample(range(num_rows), len(masks))
    targets[rng.randrange(len(masks))] = -1
    logits = np.arange(num_rows * vocab_size, dtype=np.float32).reshape(num_rows, vocab_size)
    expected = logits.copy()
    for mask, target in zip(masks, targets, strict=True):
        for token_id in range(vocab_size):
            if target >= 0 and not mask[token_id]:
                expected[target, token_id] = -np.inf
    forbid_tokens(logits, np.array(targets, np.int64), bitmask)
    assert logits.tolist() == expected.tolist()
