"""The policy: what is drafted depends on costs and experience, and only on these."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_drafts import best_value, path_probabilities
from numpy.typing import NDArray
from toy import byte_vocabulary

from syntagma.decoding import Matcher
from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, SampledLaw, Source
from syntagma.decoding.drafter import Drafter, DraftScope, DraftSession
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.recycling_drafter import ROW_BYTES, RecyclingDrafter
from syntagma.decoding.rest import MAX_REST
from syntagma.decoding.source_record import SourceRecord
from syntagma.decoding.speculation import (
    SpeculationOptions,
    SpeculationSession,
    SpeculationUsage,
    Speculator,
)
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter
from syntagma.grammar import GrammarCompiler

VOCABULARY = byte_vocabulary()
SCOPE = DraftScope(tenant="t")
FREE = np.ones(17)
"""Drafted tokens cost nothing."""


class Scripted(DraftSession):
    """Proposes what it is told to; also a drafter."""

    def __init__(self, source: Source, tree: DraftTree) -> None:
        self.source = source
        self.tree = tree
        self.num_asked = 0
        self.output: list[int] = []
        self.learned: list[tuple[list[int], NDArray[np.int32]]] = []
        self.is_finished = False

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return self

    def extend(self, token_ids: Sequence[int]) -> None:
        self.output += token_ids

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        self.num_asked += 1
        return self.tree

    def learn(
        self,
        token_ids: Sequence[int],
        successors: NDArray[np.int32],
        probabilities: NDArray[np.float64],
    ) -> None:
        self.learned.append((list(token_ids), successors))

    def finish(self) -> None:
        self.is_finished = True


def session_of(*drafters: Drafter, **options: bool | int) -> SpeculationSession:
    speculator = Speculator(
        VOCABULARY, drafters, max_nodes=16, chains_only=bool(options.get("chains"))
    )
    return speculator.begin([1, 2, 3], SCOPE)


def chain(tokens: list[int], probability: float, source: Source = "prompt") -> DraftTree:
    return DraftTree.chain(tokens, [probability] * len(tokens), source)


@pytest.mark.parametrize(("slope", "number"), [(0.0, 4), (0.1, 4), (0.4, 2), (0.7, 1), (2.0, 0)])
def test_length_depends_on_what_tokens_cost(slope: float, number: int) -> None:
    """With 0.9, 0.81, 0.729, 0.656 a token: drafted while the rate of tokens rises."""
    session = session_of(Scripted("prompt", chain([5, 6, 7, 8], 0.9)))
    tree = session.propose(None, costs=1.0 + slope * np.arange(17), max_tokens=9)
    tokens = 1.0 + np.concatenate(([0.0], np.cumsum(0.9 ** np.arange(1, 5))))
    expected = int(np.argmax(tokens / (1.0 + slope * np.arange(5))))
    assert tree.num_nodes == expected
    if slope in (0.0, 2.0):
        assert expected == number


@given(st.integers(0, 1 << 30))
def test_no_other_subtree_promises_more(seed: int) -> None:
    """Against all subtrees of all sizes, for random trees and costs."""
    rng = random.Random(seed)
    places: list[tuple[int, int]] = []
    for _ in range(rng.randrange(1, 8)):
        place = (rng.randrange(ROOT, len(places)), rng.randrange(3))
        if place not in places:
            places.append(place)
    tree = DraftTree(
        token_ids=np.array([t for _, t in places], np.int32),
        parents=np.array([p for p, _ in places], np.int32),
        probabilities=np.array([0.99 * rng.random() / 3 for _ in places]),
        sources=np.zeros(len(places), np.int8),
    )
    costs = np.cumsum([1.0, *(rng.random() / 4 for _ in range(8))])
    found = session_of(Scripted("prompt", tree)).propose(None, costs=costs, max_tokens=9)
    rate = (1.0 + sum(path_probabilities(found))) / costs[found.num_nodes]
    best = max((1.0 + best_value(tree, n)) / costs[n] for n in range(9))
    assert rate == pytest.approx(best) or (found is EMPTY_TREE and best < 1.011)


def test_an_engine_that_verifies_chains_gets_chains() -> None:
    tree = DraftTree(
        token_ids=np.array([5, 6, 7], np.int32),
        parents=np.array([ROOT, ROOT, 0], np.int32),
        probabilities=np.array([0.5, 0.4, 0.9]),
        sources=np.zeros(3, np.int8),
    )
    found = session_of(Scripted("prompt", tree), chains=True).propose(
        None, costs=FREE, max_tokens=9
    )
    assert found.token_ids.tolist() == [5, 7]
    assert found.parents.tolist() == [ROOT, 0]


def test_limits() -> None:
    scripted = Scripted("prompt", chain([5, 6, 7, 8], 0.9))
    session = session_of(scripted)
    assert session.propose(None, costs=np.ones(3), max_tokens=9).num_nodes == 2
    assert session.propose(None, costs=np.ones(1), max_tokens=9) is EMPTY_TREE
    assert session.propose(None, costs=FREE, max_tokens=0) is EMPTY_TREE
    speculator = Speculator(VOCABULARY, [scripted])
    for options, number in (
        (SpeculationOptions(max_tokens=1), 1),
        (SpeculationOptions(max_tokens=0), 0),
        (SpeculationOptions(enabled=False), 0),
        (SpeculationOptions(sources=frozenset(["corpus"])), 0),
        (SpeculationOptions(sources=frozenset(["prompt"])), 4),
    ):
        limited = speculator.begin([1], SCOPE, options)
        assert limited.propose(None, costs=FREE, max_tokens=9).num_nodes == number
    with pytest.raises(ValueError, match="'oracle' is none of forced"):
        SpeculationOptions(sources=frozenset(["oracle"]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="max_tokens must be 0 or more, not -1"):
        SpeculationOptions(max_tokens=-1)


def test_sources_that_err_are_no_longer_verified_and_come_back_when_right() -> None:
    scripted = Scripted("prompt", chain([5], 0.9))
    session = session_of(scripted)
    costs = 1.0 + 0.3 * np.arange(17)
    verified = []
    for step in range(120):
        tree = session.propose(None, costs=costs, max_tokens=9)
        verified.append(tree.num_nodes)
        session.observe(tree, [], [7 if step < 60 else 5])
    assert verified[0] == 1
    assert sum(verified[20:60]) == 0
    assert verified[-1] == 1


def test_useless_sources_are_asked_rarely() -> None:
    scripted = Scripted("prompt", chain([5], 0.9))
    session = session_of(scripted)
    for _ in range(200):
        tree = session.propose(None, costs=FREE, max_tokens=9)
        session.observe(tree, [], [7])
    assert scripted.num_asked < 24 + 200 / MAX_REST
    asked = scripted.num_asked
    for _ in range(MAX_REST + 20):
        tree = session.propose(None, costs=FREE, max_tokens=9)
        session.observe(tree, [], [5])
    assert scripted.num_asked > asked + 10


def test_the_same_inputs_give_the_same_drafts() -> None:
    def drafts() -> list[list[int]]:
        drafter = CorpusDrafter(DraftStore("v"))
        found = []
        for _ in range(3):
            speculator = Speculator(VOCABULARY, [PromptDrafter(), drafter])
            session = speculator.begin(list(b"abcabd abcabe"), SCOPE)
            for token in b"abcabd abcabe abcabd":
                tree = session.propose(None, costs=FREE, max_tokens=9)
                found.append(tree.token_ids.tolist())
                session.observe(tree, [], [token])
            session.finish()
        return found

    assert drafts() == drafts()


def test_a_record_corrects_estimates() -> None:
    record = SourceRecord()
    tree = chain([5, 6], 0.8)
    assert record.calibrated(tree).tolist() == [0.8, 0.8]
    for _ in range(200):
        record.compare(tree, [5, 9])
    # Right at the first of two tokens each time: half of the estimates' promise of 0.8.
    assert record.calibrated(tree)[0] == pytest.approx(0.5, abs=0.05)


def test_sampled_drafts_are_taken_whole_or_not() -> None:
    law = SampledLaw(np.full(VOCABULARY.size, 1 / VOCABULARY.size), (0,))
    drawn = DraftTree.chain([9, 8], [0.5, 0.5], "model")
    tree = DraftTree(
        drawn.token_ids, drawn.parents, drawn.probabilities, drawn.sources, {ROOT: law, 0: law}
    )
    session = session_of(Scripted("model", tree), Scripted("prompt", chain([5], 0.3)))
    found = session.propose(None, costs=FREE, max_tokens=9)
    assert found.token_ids.tolist() == [9, 8]
    assert found.laws == tree.laws
    better = session_of(Scripted("model", tree), Scripted("prompt", chain([5], 0.8)))
    assert better.propose(None, costs=FREE, max_tokens=9).token_ids.tolist() == [5]


def test_sessions_hear_of_everything() -> None:
    scripted = Scripted("prompt", chain([5, 6], 0.9))
    session = session_of(scripted)
    tree = session.propose(None, costs=FREE, max_tokens=9)
    successors = np.arange(6, dtype=np.int32).reshape(3, 2)
    session.observe(tree, [0], [5, 9], successors, np.full((3, 2), 0.5))
    session.observe(EMPTY_TREE, [], [4], successors[:1], np.full((1, 2), 0.5))
    session.finish()
    assert scripted.output == [5, 9, 4]
    assert [read for read, _ in scripted.learned] == [[3, 5, 6], [9]]
    assert scripted.is_finished
    assert session.usage == SpeculationUsage(steps=2, by_source=session.usage.by_source)
    assert (session.usage.drafted, session.usage.accepted) == (2, 1)


def test_grammar_prunes_and_forces() -> None:
    grammar = GrammarCompiler(VOCABULARY).compile_choice(["yes, indeed", "no"])
    forced_text = ForcedText(VOCABULARY, lambda text: list(text.encode()))
    drafters: list[Drafter] = [
        ForcedDrafter(VOCABULARY, forced_text),
        Scripted("prompt", chain(list(b"xy"), 0.9)),
        Scripted("corpus", chain(list(b"y"), 0.5, "corpus")),
    ]
    session = Speculator(VOCABULARY, drafters).begin([1], SCOPE)
    matcher = Matcher(grammar)
    tree = session.propose(matcher, costs=np.ones(33), max_tokens=32)
    assert bytes(tree.token_ids.tolist()) == b"yes, indeed"
    assert [SOURCES[s] for s in tree.sources[:2]] == ["corpus", "forced"]
    assert matcher.num_tokens == 0
    # Where the grammar leaves no choice the forced drafter needs no other.
    session.observe(tree, [0], [ord("n")])
    assert matcher.accept_token(ord("n"))
    tree = session.propose(matcher, costs=np.ones(33), max_tokens=32)
    assert bytes(tree.token_ids.tolist()) == b"o"


# Token recycling


def test_recycled_rows_grow_into_the_likeliest_paths() -> None:
    drafter = RecyclingDrafter()
    session = drafter.begin([1], SCOPE)
    assert session.propose(None, max_nodes=8, max_depth=3).num_nodes == 0
    successors = np.array([[2, 3], [4, 1], [1, 2]], np.int32)
    session.learn([1, 2, 3], successors, np.array([[0.7, 0.3], [0.9, 0.05], [0.5, 0.5]]))
    tree = session.propose(None, max_nodes=4, max_depth=2)
    assert tree.token_ids.tolist() == [2, 3, 4, 1]
    assert tree.parents.tolist() == [ROOT, ROOT, 0, 1]
    assert tree.probabilities.tolist() == [0.7, 0.3, 0.9, 0.5]
    session.extend([3])
    assert session.propose(None, max_nodes=2, max_depth=1).token_ids.tolist() == [1, 2]
    later = drafter.begin([2], SCOPE)
    assert later.propose(None, max_nodes=1, max_depth=1).token_ids.tolist() == [4]
    other = drafter.begin([2], DraftScope(tenant="other"))
    assert other.propose(None, max_nodes=1, max_depth=1).num_nodes == 0


def test_recycled_rows_are_bounded() -> None:
    drafter = RecyclingDrafter(max_bytes=100 * ROW_BYTES)
    for tenant in range(20):
        session = drafter.begin([1], DraftScope(tenant=str(tenant)))
        for token in range(30):
            session.learn([token], np.array([[token]], np.int32), np.array([[1.0]]))
        assert drafter.num_bytes <= 100 * ROW_BYTES
