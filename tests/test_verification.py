"""Verification keeps the law of outputs, to the last fraction: all random choices enumerated.

Models have a table of fractions for every prefix; outputs end with a stop token or at a length. What an
output's probability is without speculation is a product of table entries under the mask. With
speculation it is added up over every way that the drafter's and the verifier's choices can go.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import exact_models
import numpy as np
import pytest
from exact_chance import ScriptedChance, law_of
from exact_models import LawAt, Prefix, TableModel, masked, random_law

from syntagma.decoding import verification
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, SampledLaw
from syntagma.decoding.verification import (
    SAMPLED_RULES,
    RandomChance,
    acceptance_scale,
    follow,
    k_seq,
    pick,
    reject_recursively,
    residual,
)

STOP = 0
Draft: TypeAlias = Callable[[Prefix, ScriptedChance], DraftTree]


def no_two_alike(prefix: Prefix) -> bool:
    """A grammar: no token twice in a row, and no stop before the second token."""
    return prefix != (STOP,) and all(a != b for a, b in itertools.pairwise(prefix))


def is_over(prefix: Prefix, max_length: int) -> bool:
    return len(prefix) == max_length or STOP in prefix


# ----------------------------------------------------------------------------- kinds of drafts


def empty(prefix: Prefix, chance: ScriptedChance) -> DraftTree:
    return EMPTY_TREE


def chain(prefix: Prefix, chance: ScriptedChance) -> DraftTree:
    """One continuation, chosen by a rule; it may be illegal."""
    start = sum(prefix) + len(prefix)
    return DraftTree.chain([(start + i) % 3 for i in range(2)], [0.5, 0.5], "prompt")


def bush(prefix: Prefix, chance: ScriptedChance) -> DraftTree:
    """Two children, and two below the first of them."""
    return DraftTree(
        token_ids=np.array([1, 2, 0, 2], dtype=np.int32),
        parents=np.array([ROOT, ROOT, 0, 0], dtype=np.int32),
        probabilities=np.full(4, 0.5),
        sources=np.full(4, SOURCES.index("recycling"), dtype=np.int8),
    )


def drawn(draft_law: LawAt, num_draws: Sequence[int], beside: int | None = None) -> Draft:
    """Draws from a law: so many at each depth; ``beside`` is a child of the root chosen by a rule."""

    def propose(prefix: Prefix, chance: ScriptedChance) -> DraftTree:
        token_ids: list[int] = []
        parents: list[int] = []
        laws: dict[int, SampledLaw] = {}

        def add(parent: int, token_id: int) -> int:
            for node, known in enumerate(zip(parents, token_ids, strict=True)):
                if known == (parent, token_id):
                    return node
            parents.append(parent)
            token_ids.append(token_id)
            return len(token_ids) - 1

        level = [(ROOT, prefix)]
        for count in num_draws:
            next_level = {}
            for node, text in level:
                law = draft_law(text)
                draws = [add(node, chance.draw(law)) for _ in range(count)]
                laws[node] = SampledLaw(probabilities=law, draws=tuple(draws))
                next_level |= {n: (*text, token_ids[n]) for n in draws if token_ids[n] != STOP}
            level = list(next_level.items())
        if beside is not None:
            add(ROOT, beside)
        return DraftTree(
            token_ids=np.array(token_ids, dtype=np.int32),
            parents=np.array(parents, dtype=np.int32),
            probabilities=np.full(len(token_ids), 0.5),
            sources=np.full(len(token_ids), SOURCES.index("model"), dtype=np.int8),
            laws=laws,
        )

    return propose


# --------------------------------------------------------------------------- laws of outputs


def law_without(law_at: LawAt, max_length: int) -> dict[Prefix, Fraction]:
    return exact_models.law_without(law_at, lambda prefix: is_over(prefix, max_length))


def law_with(
    law_at: LawAt, propose: Draft, rule: verification.SampledRule, max_length: int
) -> dict[Prefix, Fraction]:
    """The law of outputs that are decoded draft by draft."""

    def decode(chance: ScriptedChance) -> Prefix:
        output: list[int] = []

        def emit_below(tree: DraftTree) -> Callable[[int], tuple[int, bool]]:
            def emit(node: int) -> tuple[int, bool]:
                output.append(pick(law_at(tuple(output)), tree, node, chance, rule=rule))
                return output[-1], not is_over(tuple(output), max_length)

            return emit

        while not is_over(tuple(output), max_length):
            tree = propose(tuple(output), chance)
            follow(tree, emit_below(tree))
        return tuple(output)

    return law_of(decode)


KINDS = {
    "empty": empty,
    "chain": chain,
    "bush": bush,
}
SHAPES: dict[str, tuple[Sequence[int], int | None]] = {
    "one draw": ((1,), None),
    "drawn chain": ((1, 1), None),
    "three draws": ((3,), None),
    "drawn tree": ((2, 1), None),
    "draws beside a chosen child": ((2,), 1),
}


def is_legal_anyhow(prefix: Prefix) -> bool:
    return True


@pytest.mark.parametrize("is_legal", [is_legal_anyhow, no_two_alike])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_chosen_drafts_keep_the_law(
    seed: int, kind: str, is_legal: Callable[[Prefix], bool]
) -> None:
    law_at = masked(TableModel(seed, vocab_size=4), is_legal)
    assert law_with(law_at, KINDS[kind], "recursive", 3) == law_without(law_at, 3)


@pytest.mark.parametrize("rule", SAMPLED_RULES)
@pytest.mark.parametrize("is_legal", [is_legal_anyhow, no_two_alike])
@pytest.mark.parametrize("is_draft_masked", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_drawn_drafts_keep_the_law(
    seed: int,
    shape: str,
    is_draft_masked: bool,
    is_legal: Callable[[Prefix], bool],
    rule: verification.SampledRule,
) -> None:
    law_at = masked(TableModel(seed, vocab_size=3), is_legal)
    draft_law: LawAt = TableModel(seed + 100, vocab_size=3)
    if is_draft_masked:
        draft_law = masked(draft_law, is_legal)
    num_draws, beside = SHAPES[shape]
    propose = drawn(draft_law, num_draws, beside)
    assert law_with(law_at, propose, rule, 2) == law_without(law_at, 2)


@pytest.mark.parametrize("rule", SAMPLED_RULES)
def test_six_tokens_and_longer_outputs_keep_the_law(rule: verification.SampledRule) -> None:
    law_at = masked(TableModel(7, vocab_size=6), no_two_alike)
    draft_law = masked(TableModel(8, vocab_size=6), no_two_alike)
    assert law_with(law_at, drawn(draft_law, (1,)), rule, 3) == law_without(law_at, 3)
    assert law_with(law_at, bush, rule, 4) == law_without(law_at, 4)


# ------------------------------------------------- mutants: what the tests above must find out


def fractions(*parts: str) -> Any:
    return np.array([Fraction(part) for part in parts], dtype=object)


def outcome(
    rule: Callable[..., int], target: Any, draft: Any, num_draws: int = 1
) -> dict[int, Fraction]:
    """The law of the token when the draws are made as they should be."""

    def procedure(chance: ScriptedChance) -> int:
        draws = [chance.draw(draft) for _ in range(num_draws)]
        return rule(target, draft, draws, chance)

    return law_of(procedure)


def test_after_a_forbidden_draft_the_residual_is_drawn_from_not_the_target() -> None:
    """The textbook trap: token 2 is forbidden, and drawing from p then favours token 0."""
    target, draft = fractions("1/2", "1/2", "0"), fractions("1/2", "0", "1/2")
    assert outcome(reject_recursively, target, draft) == {0: Fraction(1, 2), 1: Fraction(1, 2)}

    def drawing_anew(target: Any, draft: Any, draws: list[int], chance: ScriptedChance) -> int:
        token_id = draws[0]
        if chance.happens(min(1, target[token_id] / draft[token_id])):
            return token_id
        return chance.draw(target)

    assert outcome(drawing_anew, target, draft) == {0: Fraction(3, 4), 1: Fraction(1, 4)}


def test_the_draft_s_law_is_masked_for_more_acceptance() -> None:
    """Both ways keep the law; the masked draft stands more often."""
    target, draft = fractions("1/2", "1/2", "0"), fractions("2/5", "1/10", "1/2")
    masked_draft = fractions("4/5", "1/5", "0")
    assert np.minimum(target, draft).sum() == Fraction(1, 2)
    assert np.minimum(target, masked_draft).sum() == Fraction(7, 10)
    for law in (draft, masked_draft):
        assert outcome(reject_recursively, target, law) == {0: Fraction(1, 2), 1: Fraction(1, 2)}


@pytest.mark.parametrize("rule", SAMPLED_RULES)
def test_a_wrong_residual_fails_the_law_test(
    rule: verification.SampledRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    law_at, draft_law = TableModel(1, vocab_size=3), TableModel(101, vocab_size=3)
    propose = drawn(draft_law, (2,))
    assert law_with(law_at, propose, rule, 2) == law_without(law_at, 2)
    monkeypatch.setattr(verification, "residual", lambda target, taken: target)
    assert law_with(law_at, propose, rule, 2) != law_without(law_at, 2)


@pytest.mark.parametrize("rule", SAMPLED_RULES)
def test_forgetting_forbidden_draws_fails_the_law_test(rule: verification.SampledRule) -> None:
    """A pruner that drops drawn children by what they say changes the law."""
    law_at = masked(TableModel(3, vocab_size=3), no_two_alike)
    honest = drawn(TableModel(103, vocab_size=3), (2,))

    def dropping(prefix: Prefix, chance: ScriptedChance) -> DraftTree:
        tree = honest(prefix, chance)
        law = tree.laws[ROOT]
        legal = [n for n in law.draws if no_two_alike((*prefix, int(tree.token_ids[n])))]
        laws = {ROOT: SampledLaw(probabilities=law.probabilities, draws=tuple(legal))}
        return DraftTree(tree.token_ids, tree.parents, tree.probabilities, tree.sources, laws)

    assert law_with(law_at, honest, rule, 2) == law_without(law_at, 2)
    assert law_with(law_at, dropping, rule, 2) != law_without(law_at, 2)


# ------------------------------------------------------------- how often drafts stand: K-SEQ


def acceptance(rule: Callable[..., int], target: Any, draft: Any, num_draws: int) -> Fraction:
    """How likely one of the draws is accepted as such."""

    def procedure(draws: tuple[int, ...]) -> Callable[[ScriptedChance], bool]:
        return lambda chance: rule(target, draft, list(draws), _Marking(chance)) >= 0

    total = Fraction(0)
    for draws in itertools.product(range(target.size), repeat=num_draws):
        weight = Fraction(1)
        for token_id in draws:
            weight *= draft[token_id]
        if weight:
            total += weight * law_of(procedure(draws)).get(True, Fraction(0))
    return total


class _Marking:
    """Passes events on; a final draw comes back as -1."""

    def __init__(self, chance: ScriptedChance) -> None:
        self._chance = chance

    def happens(self, probability: Any) -> bool:
        return self._chance.happens(probability)

    def draw(self, law: Any) -> int:
        return -1


def best_acceptance(target: Any, draft: Any, num_draws: int) -> Fraction:
    """No verifier of independent draws accepts more: the optimal transport's value, by its dual.

    Mass flows from tuples of draws to tokens in them. By minimum cuts the most that can flow is the
    least, over sets H of tokens, of p(H) + 1 - q(H)^k.
    """
    return min(
        sum((target[i] for i in kept), Fraction(0))
        + 1
        - sum((draft[i] for i in kept), Fraction(0)) ** num_draws
        for size in range(target.size + 1)
        for kept in itertools.combinations(range(target.size), size)
    )


@pytest.mark.parametrize("num_draws", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_k_seq_accepts_as_often_as_published(seed: int, num_draws: int) -> None:
    generator = random.Random(seed)
    target, draft = random_law(generator, 4), random_law(generator, 4)
    scale = acceptance_scale(target, draft, num_draws)
    assert 1 <= scale <= num_draws
    once = np.minimum(draft, target / scale).sum()
    assert acceptance(k_seq, target, draft, num_draws) == 1 - (1 - once) ** num_draws
    # At the solution that is rho b, to the width of the bisection's interval.
    assert abs(1 - (1 - once) ** num_draws - scale * once) < Fraction(1, 2**48)


@pytest.mark.parametrize("seed", range(4))
def test_no_rule_beats_optimal_transport_and_k_seq_comes_within_its_factor(seed: int) -> None:
    generator = random.Random(seed)
    target, draft = random_law(generator, 4), random_law(generator, 4)
    for num_draws in (1, 2, 3):
        best = best_acceptance(target, draft, num_draws)
        for rule in (k_seq, reject_recursively):
            assert acceptance(rule, target, draft, num_draws) <= best
        assert float(acceptance(k_seq, target, draft, num_draws)) >= (1 - np.exp(-1)) * float(best)
        if num_draws == 1:
            assert acceptance(k_seq, target, draft, 1) == best


def test_a_residual_of_nothing_is_the_target() -> None:
    law = np.array([0.25, 0.75])
    assert np.array_equal(residual(law, law), law)


@pytest.mark.parametrize("rule", [k_seq, reject_recursively])
def test_floating_point_laws_are_drawn_right(rule: Callable[..., int]) -> None:
    """4,000 draws with ordinary random numbers: chi-square with 5 degrees of freedom."""
    generator = np.random.default_rng(5)
    target, draft = generator.dirichlet(np.ones(6)), generator.dirichlet(np.ones(6))
    chance = RandomChance(generator)
    counts = np.zeros(6)
    for _ in range(4_000):
        draws = [chance.draw(draft) for _ in range(2)]
        counts[rule(target, draft, draws, chance)] += 1
    statistic = ((counts - 4_000 * target) ** 2 / (4_000 * target)).sum()
    assert statistic < 20.5  # exceeded by chance once in 1,000


def test_a_walk_ends_where_the_output_does() -> None:
    tree = DraftTree.chain([4, 5, 6], [1.0, 1.0, 1.0], "forced")
    says = iter([(4, True), (5, False)])
    assert follow(tree, lambda node: next(says)) == [0, 1]
