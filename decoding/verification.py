"""How much of a draft stands: rules that leave the law of the output as it was.

At a node the model has said what comes next: the target law p, after grammar, penalties and
truncations. A rule picks one token such that, over all random choices, it has the law p. If a child
has the token, the draft has saved a pass and the walk goes on below it.

- Children chosen by a rule, not by chance, cost nothing to verify: draw from p and see whether a child
  matches (`match`). Greedy decoding is the case of a law with one token.
- Children drawn from a law q would match too, but more of them stand if p makes use of q: recursive
  rejection (Miao et al., SpecInfer, arXiv:2305.09781) and K-SEQ (Sun et al., SpecTr, arXiv:2310.15141).
  Both are for independent draws, the same token perhaps twice. A draft that is refused, by the grammar
  too, leaves the *residual* to draw from; drawing from p anew would give what it refuses too rarely.

Laws are arrays with one entry a token, float64 or objects of `fractions.Fraction`: all arithmetic here
is generic, so that tests can add up the law of whole outputs exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.sampling import draw

Law: TypeAlias = NDArray[Any]
SampledRule: TypeAlias = Literal["recursive", "k-seq"]
SAMPLED_RULES: tuple[SampledRule, ...] = get_args(SampledRule)

# Halvings in which `acceptance_scale` is found: as exact as float64 is.
_NUM_HALVINGS = 52


class Chance(Protocol):
    """Where random choices come from."""

    def draw(self, law: Law) -> int:
        """An index, by its probability; the law need not add up to one exactly."""
        ...

    def happens(self, probability: Any) -> bool:
        """Whether an event of this probability takes place."""
        ...


class RandomChance:
    """Choices by a generator, one random number each."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def draw(self, law: Law) -> int:
        """An index, as `sampling.draw` does."""
        return draw(law, self._generator)

    def happens(self, probability: Any) -> bool:
        """Whether the next uniform number is below."""
        return bool(self._generator.random() < probability)


class Walk:
    """A way down a tree, one emitted token after another.

    Attributes:
        node: where it stands; `ROOT` at the beginning.
        accepted: the nodes passed, from the first level down.
    """

    def __init__(self, tree: DraftTree) -> None:
        self.node = ROOT
        self.accepted: list[int] = []
        self._child_of = {
            (parent, token_id): node
            for node, (parent, token_id) in enumerate(
                zip(tree.parents.tolist(), tree.token_ids.tolist(), strict=True)
            )
        }

    def step(self, token_id: int) -> bool:
        """Go on to the child that has the token emitted here; False: there is none."""
        child = self._child_of.get((self.node, token_id))
        if child is None:
            return False
        self.accepted.append(child)
        self.node = child
        return True


def follow(tree: DraftTree, emit: Callable[[int], tuple[int, bool]]) -> list[int]:
    """Walk down a tree as far as the emitted tokens lead.

    Args:
        tree: the draft.
        emit: emits the token that follows a node (`ROOT`: the output itself) and returns it, and whether
            the output goes on.

    Returns:
        The nodes that stand, from the first level down.
    """
    walk = Walk(tree)
    goes_on = True
    while goes_on:
        token_id, goes_on = emit(walk.node)
        goes_on = walk.step(token_id) and goes_on
    return walk.accepted


def pick(
    target: Law, tree: DraftTree, node: int, chance: Chance, *, rule: SampledRule = "recursive"
) -> int:
    """The token that follows a node, of law ``target``: by ``rule`` if the node's children were drawn.

    Children that another source has added beside drawn ones match as usual.
    """
    law = tree.laws.get(node)
    if law is None:
        return match(target, chance)
    draws = [int(tree.token_ids[child]) for child in law.draws]
    if rule == "k-seq":
        return k_seq(target, law.probabilities, draws, chance)
    return reject_recursively(target, law.probabilities, draws, chance)


def match(target: Law, chance: Chance) -> int:
    """Draw from the target law, whatever was drafted.

    No rule accepts a fixed set of candidates more often: their own probability is all there is.
    """
    return chance.draw(target)


def reject_recursively(target: Law, draft: Law, draws: Sequence[int], chance: Chance) -> int:
    """Accept draws in turn by min(1, p/q); each refusal leaves the residual to the next one.

    Args:
        target: p.
        draft: q, which the draws come from, independently of each other.
        draws: token ids; those the grammar forbids belong here too, p being 0 there.
    """
    left = target
    for token_id in draws:
        if chance.happens(_ratio(left[token_id], draft[token_id])):
            return token_id
        left = residual(left, draft)
    return chance.draw(left)


def k_seq(target: Law, draft: Law, draws: Sequence[int], chance: Chance) -> int:
    """Accept draws in turn by min(1, p/(rho q)), with one rho for all; else draw from what is left.

    The arguments are those of `reject_recursively`.
    """
    num_draws = len(draws)
    if num_draws == 0:
        return chance.draw(target)
    scale = acceptance_scale(target, draft, num_draws)
    for token_id in draws:
        if chance.happens(_ratio(target[token_id], scale * draft[token_id])):
            return token_id
    common = np.minimum(draft, target / scale)
    once = common.sum()
    if not once:
        return chance.draw(target)
    accepted = common * ((1 - (1 - once) ** num_draws) / once)
    return chance.draw(residual(target, accepted))


def acceptance_scale(
    target: Law, draft: Law, num_draws: int, num_halvings: int = _NUM_HALVINGS
) -> Any:
    """K-SEQ's rho: the least with 1 - (1 - b)^k <= rho b, where b is the sum of min(q, p/rho).

    It lies between 1 and k. Any greater rho keeps the law too and accepts less, so the upper end of the
    interval that bisection leaves is returned.
    """
    low, high = target.sum() * 0 + 1, target.sum() * 0 + num_draws
    for _ in range(num_halvings):
        middle = (low + high) / 2
        once = np.minimum(draft, target / middle).sum()
        if 1 - (1 - once) ** num_draws <= middle * once:
            high = middle
        else:
            low = middle
    return high


def residual(target: Law, taken: Law) -> Law:
    """norm(max(p - taken, 0)): the law of what must still be drawn after a refusal.

    Where nothing is left a refusal was impossible but for rounding; it is p then.
    """
    left = np.maximum(target - taken, 0)
    total = left.sum()
    return left / total if total > 0 else target


def _ratio(part: Any, whole: Any) -> Any:
    return min(1, part / whole)
