"""Drafts of a model whose next token depends on all before, against looking at every path."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from toy import allowed_ids, byte_vocabulary

from syntagma.decoding import Matcher
from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.model_drafter import ModelDrafter, ModelDraftOptions, ModelSession
from syntagma.grammar import GrammarCompiler

VOCABULARY = byte_vocabulary(alphabet=b"abc")
STOP = VOCABULARY.stop_ids[0]
SIZE = VOCABULARY.size + 1  # the model's rows are wider than the vocabulary
SCOPE = DraftScope()


class TableModel:
    """Logits for every prefix, by chance but always the same; the cache is what has been read."""

    can_extend = True

    def __init__(self) -> None:
        self.num_passes = 0

    def logits(self, prefix: Sequence[int]) -> NDArray[np.float32]:
        generator = np.random.default_rng([1, *prefix])
        return generator.normal(0.0, 2.0, SIZE).astype(np.float32)

    def forward(self, token_ids: list[int], cache: object) -> tuple[object, object]:
        self.num_passes += 1
        read = [*(cache or ()), *token_ids]  # type: ignore[misc]
        return self.logits(read), read

    def forward_draft(
        self, token_id: int, tree: DraftTree, num_cached: int, cache: object
    ) -> tuple[object, object]:
        self.num_passes += 1
        read = list(cache or ())  # type: ignore[call-overload]
        assert len(read) == num_cached
        read.append(token_id)
        paths = [tree.token_ids[tree.path(n)].tolist() for n in range(ROOT, tree.num_nodes)]
        rows = np.stack([self.logits([*read, *path]) for path in paths])
        return rows, [*read, *tree.token_ids.tolist()]

    def keep(self, cache: object, num_tokens: int, nodes: Sequence[int]) -> object:
        assert not nodes
        return cache[:num_tokens]  # type: ignore[index]

    def likeliest(
        self, logits: object, count: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        raise NotImplementedError

    def fetch(self, logits: object) -> NDArray[np.float32]:
        assert isinstance(logits, np.ndarray)
        return logits


def law(prefix: list[int], allowed: set[int], temperature: float = 1.0) -> dict[int, float]:
    row = TableModel().logits(prefix).astype(float) / temperature
    weights = {token: float(np.exp(row[token])) for token in allowed}
    return {token: weight / sum(weights.values()) for token, weight in weights.items()}


def begin(prompt: list[int], **options: object) -> ModelSession:
    drafter = ModelDrafter(TableModel(), VOCABULARY, ModelDraftOptions(**options))  # type: ignore[arg-type]
    assert drafter.source == "model"
    session = drafter.begin(prompt, SCOPE)
    assert isinstance(session, ModelSession)
    return session


def everything(matcher: Matcher | None, path: list[int]) -> set[int]:
    if matcher is None:
        return set(range(VOCABULARY.size))
    probe = matcher.fork()
    assert probe.accept_tokens(path)
    return allowed_ids(probe)


@pytest.mark.parametrize("with_grammar", [False, True])
@pytest.mark.parametrize("prompt", [[0], [1, 2, 0, 1]])
def test_likeliest_tokens_level_by_level(prompt: list[int], with_grammar: bool) -> None:
    grammar = GrammarCompiler(VOCABULARY).compile_regex("(ab|b[ac])*c")
    matcher = Matcher(grammar) if with_grammar else None
    session = begin(prompt, depth=3, width=2, min_path=0.05)
    output: list[int] = []
    rng = random.Random(1)
    for _ in range(6):
        tree = session.propose(matcher, max_nodes=6, max_depth=3)
        level: list[tuple[int, list[int], float]] = [(ROOT, [], 1.0)]
        expected: list[tuple[int, int, float]] = []
        for _ in range(3):
            if len(expected) >= 6:
                break
            found = []
            for node, path, reached in level:
                if STOP in path or not (allowed := everything(matcher, path)):
                    continue
                chances = law([*prompt, *output, *path], allowed)
                for token in sorted(chances, key=lambda t: -chances[t])[:2]:
                    found.append((reached * chances[token], node, path, token, chances[token]))
            found.sort(key=lambda candidate: -candidate[0])
            level = []
            for reached, node, path, token, chance in found[: 6 - len(expected)]:
                if reached >= 0.05:
                    level.append((len(expected), [*path, token], reached))
                    expected.append((token, node, chance))
        assert tree.token_ids.tolist() == [token for token, _, _ in expected]
        assert tree.parents.tolist() == [parent for _, parent, _ in expected]
        assert tree.probabilities.tolist() == pytest.approx([chance for _, _, chance in expected])
        assert not tree.laws
        new: list[int] = []
        for _ in range(rng.randrange(1, 3)):
            choices = everything(matcher, []) - {STOP}
            if not choices:
                return
            new.append(rng.choice(sorted(choices)))
            assert matcher is None or matcher.accept_token(new[-1])
        session.extend(new)
        output += new


def test_draws_come_from_the_law_that_is_given() -> None:
    grammar = GrammarCompiler(VOCABULARY).compile_regex("[ab][abc]*")
    matcher = Matcher(grammar)
    session = begin([2], draws=(2, 1), depth=2, temperature=0.7, seed=3)
    counts: Counter[int] = Counter()
    pairs = 0
    for _ in range(2000):
        tree = session.propose(matcher, max_nodes=8, max_depth=8)
        first = tree.laws[ROOT]
        assert len(first.draws) == 2
        pairs += first.draws[0] == first.draws[1]
        counts.update(int(tree.token_ids[node]) for node in first.draws)
        for node in set(first.draws):
            assert len(tree.laws[node].draws) == 1
            expected = law([2, int(tree.token_ids[node])], {0, 1, 2, STOP}, 0.7)
            for token, chance in expected.items():
                assert tree.laws[node].probabilities[token] == pytest.approx(chance, rel=1e-5)
    assert matcher.num_tokens == 0
    chances = law([2], {0, 1}, 0.7)
    assert first.probabilities.sum() == pytest.approx(1.0)
    assert first.probabilities[STOP] == first.probabilities[2] == 0.0
    assert counts.keys() == {0, 1}
    # Four standard deviations; independent draws agree as often as chance has it.
    assert counts[0] / 4000 == pytest.approx(chances[0], abs=4 * (0.25 / 4000) ** 0.5)
    agree = chances[0] ** 2 + chances[1] ** 2
    assert pairs / 2000 == pytest.approx(agree, abs=4 * (0.25 / 2000) ** 0.5)


@pytest.mark.parametrize("max_nodes", [1, 2, 3, 5, 9])
def test_room_is_kept_for_all_draws(max_nodes: int) -> None:
    """Whether a node gets children is settled before they are known."""
    session = begin([0], draws=(2, 2), depth=3, seed=1)
    for _ in range(50):
        tree = session.propose(None, max_nodes=max_nodes, max_depth=3)
        assert tree.num_nodes <= max_nodes
        assert all(len(found.draws) == 2 for found in tree.laws.values())
        assert tree.num_nodes == 0 if max_nodes == 1 else tree.num_nodes >= 1
        assert set(tree.parents.tolist()) <= set(tree.laws)


def test_passes_are_one_a_level_and_one_to_catch_up() -> None:
    model = TableModel()
    drafter = ModelDrafter(model, VOCABULARY, ModelDraftOptions(depth=2, width=1, min_path=0.0))
    session = drafter.begin([0, 1, 2], SCOPE)
    assert session.propose(None, max_nodes=4, max_depth=4).num_nodes == 2
    assert model.num_passes == 3
    session.extend([1])
    session.propose(None, max_nodes=4, max_depth=1)
    assert model.num_passes == 5
    session.finish()
    assert session.propose(None, max_nodes=4, max_depth=1).num_nodes == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth must be 1 or more, not 0"),
        ({"width": -1}, "width must be 1 or more, not -1"),
        ({"draws": ()}, "draws must be numbers of 1 or more"),
        ({"draws": (2, 0)}, "draws must be numbers of 1 or more"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelDraftOptions(**options)  # type: ignore[arg-type]
