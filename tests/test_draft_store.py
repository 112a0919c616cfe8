"""The store of finished outputs: apart by scope, bounded in bytes, safe among threads; its drafters."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_drafts import longest_match

from syntagma.decoding.draft_store import ENTRY_BYTES, SHARE_OF_ONE, DraftStore, SharedTexts
from syntagma.decoding.draft_tree import ROOT, SOURCES
from syntagma.decoding.drafter import Drafter, DraftScope
from syntagma.decoding.suffix_automaton import BYTES_PER_TOKEN, START, SuffixAutomaton
from syntagma.decoding.suffix_drafters import CorpusDrafter, CorpusSession, PromptDrafter

ALICE, BOB = DraftScope(tenant="alice"), DraftScope(tenant="bob")


def drafted(
    drafter: Drafter, output: list[int], scope: DraftScope = ALICE, prompt: tuple[int, ...] = ()
) -> set[int]:
    """All tokens of the draft behind an output."""
    session = drafter.begin(prompt, scope)
    session.extend(output)
    return set(session.propose(None, max_nodes=16, max_depth=8).token_ids.tolist())


def test_finished_outputs_are_drafted_again() -> None:
    drafter = CorpusDrafter(DraftStore("v"))
    first = drafter.begin((), ALICE)
    first.extend([1, 2, 3, 4, 5])
    assert first.propose(None, max_nodes=8, max_depth=8).num_nodes == 0
    first.finish()
    second = drafter.begin((), ALICE)
    tree = second.propose(None, max_nodes=8, max_depth=8)
    assert tree.token_ids.tolist() == [1, 2, 3, 4, 5]
    assert {SOURCES[s] for s in tree.sources} == {"corpus"}
    second.extend([9, 2, 3])
    assert second.propose(None, max_nodes=8, max_depth=8).token_ids.tolist() == [4, 5]


def test_drafters_are_drafters() -> None:
    drafters: list[Drafter] = [CorpusDrafter(DraftStore("v")), PromptDrafter()]
    assert [drafter.source for drafter in drafters] == ["corpus", "prompt"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 8)), max_size=12))
def test_no_scope_sees_anothers_text(outputs: list[tuple[int, int, int]]) -> None:
    """Each scope writes tokens of its own after the same beginning; drafts hold only these."""
    store = DraftStore("v")
    drafter = CorpusDrafter(store)
    written: dict[DraftScope, set[int]] = {}
    for tenant, grammar, number in outputs:
        scope = DraftScope(tenant=str(tenant), grammar_key=str(grammar))
        own = 100 + 20 * (2 * tenant + grammar) + number
        session = drafter.begin((), scope)
        session.extend([1, 2, own])
        session.finish()
        written.setdefault(scope, {1, 2}).add(own)
        for reader in (DraftScope(tenant=str(t), grammar_key=str(g)) for t in "012" for g in "01"):
            assert drafted(drafter, [1], reader) <= written.get(reader, set())
            assert drafted(drafter, [], reader) <= written.get(reader, set())


def test_the_corpus_is_there_for_all() -> None:
    drafter = CorpusDrafter(DraftStore("v", corpus=[[1, 2, 3], [4, 5]]))
    assert drafted(drafter, [1], BOB) == {2, 3}
    assert drafted(drafter, [3], ALICE) == set()  # the next document does not follow


def test_documents_are_kept_apart() -> None:
    texts = SharedTexts(1 << 20)
    texts.add([1, 2])
    texts.add([3, 4])
    (automaton,) = texts.automata
    assert automaton.count([1, 2]) == automaton.count([3, 4]) == 1
    assert automaton.count([2, 3]) == automaton.count([2, START]) == 0


@pytest.mark.parametrize("alphabet", [3, 50, 30_000])
def test_memory_for_a_token(alphabet: int) -> None:
    """What is stated, on text without any structure; spare room is given back."""
    rng = random.Random(alphabet)
    automaton = SuffixAutomaton()
    for _ in range(40):
        automaton.begin_document()
        automaton.append([START, *(rng.randrange(alphabet) for _ in range(500))])
    automaton.trim()
    assert 40 < automaton.num_bytes / automaton.num_tokens < BYTES_PER_TOKEN


def test_bytes_stay_within_the_bound_and_the_oldest_go_first() -> None:
    max_bytes = 1 << 18
    store = DraftStore("v", max_bytes=max_bytes)
    rng = random.Random(1)
    for number in range(60):
        scope = DraftScope(tenant=str(number))
        store.add(scope, [rng.randrange(1000) for _ in range(100)])
        store.add(DraftScope(tenant="used"), [1, 2, 3])
        assert store.num_bytes <= max_bytes
        assert store.texts(scope) is not None
    assert store.num_evicted > 0
    assert len(store) + store.num_evicted == 61
    assert store.texts(DraftScope(tenant="0")) is None
    assert store.texts(DraftScope(tenant="used")) is not None


def test_one_scope_has_its_share_and_forgets_what_is_oldest() -> None:
    max_bytes = 1 << 21
    store = DraftStore("v", max_bytes=max_bytes)
    for number in range(300):
        store.add(ALICE, [3 * number + i % 3 for i in range(50)])
        texts = store.texts(ALICE)
        assert texts is not None
        assert texts.num_bytes <= 1.5 * max_bytes / SHARE_OF_ONE
    assert len(texts.automata) == 2
    drafter = CorpusDrafter(store)
    assert drafted(drafter, [3 * 299]) == {3 * 299 + 1, 3 * 299 + 2, 3 * 299}
    assert drafted(drafter, [0]) == set()


def test_too_long_an_output_is_left_out() -> None:
    store = DraftStore("v", max_bytes=SHARE_OF_ONE * ENTRY_BYTES)
    store.add(ALICE, list(range(ENTRY_BYTES)))
    assert len(store) == 0
    with pytest.raises(ValueError, match="max_bytes must be at least"):
        DraftStore("v", max_bytes=ENTRY_BYTES)


def test_sessions_outlive_their_automata() -> None:
    """Automata are replaced while an output goes on; it finds its place in the new ones."""
    store = DraftStore("v", max_bytes=1 << 19)
    store.add(ALICE, [1, 2, 3])
    session = CorpusDrafter(store).begin((), ALICE)
    documents = [[1, 2, 3]]
    rng = random.Random(5)
    output: list[int] = []
    for _ in range(300):
        document = [rng.randrange(8) for _ in range(30)]
        documents.append(document)
        store.add(ALICE, document)
        token = rng.choice(document)
        session.extend([token])
        output.append(token)
        session.propose(None, max_nodes=4, max_depth=2)
        assert isinstance(session, CorpusSession)
        for match in session._matches:
            length = int(match._match[1])
            assert length <= longest_match(documents, output, 64)
            assert length >= 1


def test_drafting_while_others_feed() -> None:
    store = DraftStore("v", max_bytes=1 << 20)
    drafter = CorpusDrafter(store)

    def feed(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            store.add(ALICE, [seed * 100 + rng.randrange(9) for _ in range(40)])

    with ThreadPoolExecutor() as pool:
        feeding = [pool.submit(feed, seed) for seed in range(3)]
        rng = random.Random(9)
        while not all(feeder.done() for feeder in feeding):
            read_drafts(drafter, rng)
    for feeder in feeding:
        feeder.result()


def read_drafts(drafter: Drafter, rng: random.Random) -> None:
    """Each feeder's documents hold its own hundred only, and so must each path of a draft."""
    session = drafter.begin((), ALICE)
    for _ in range(20):
        session.extend([rng.randrange(3) * 100 + rng.randrange(9)])
        tree = session.propose(None, max_nodes=16, max_depth=8)
        for node, parent in enumerate(tree.parents.tolist()):
            if parent != ROOT:
                assert tree.token_ids[node] // 100 == tree.token_ids[parent] // 100


def test_prompts_are_continued() -> None:
    session = PromptDrafter().begin([1, 2, 3, 4, 5, 6, 2, 3], ALICE)
    tree = session.propose(None, max_nodes=3, max_depth=3)
    assert tree.token_ids.tolist() == [4, 5, 6]
    session.extend([4, 9, 7])
    assert session.propose(None, max_nodes=3, max_depth=3).num_nodes == 0
    session.extend([4])
    tree = session.propose(None, max_nodes=3, max_depth=1)
    assert sorted(tree.token_ids.tolist()) == [5, 9]


def test_the_most_frequent_continuation_comes_first() -> None:
    prompt = [1, 2, 5, 1, 2, 6, 1, 2, 6, 9, 1, 2]
    tree = PromptDrafter().begin(prompt, ALICE).propose(None, max_nodes=2, max_depth=1)
    assert tree.token_ids.tolist() == [6, 5]
    assert tree.probabilities[0] == pytest.approx(2 * tree.probabilities[1])


def test_matches_that_miss_are_believed_less() -> None:
    rng = np.random.default_rng(0)
    session = PromptDrafter().begin([1, 2, 3, 4, 5] * 4, ALICE)
    before = session.propose(None, max_nodes=1, max_depth=1).probabilities.sum()
    for _ in range(30):
        # Always what did not follow before.
        session.extend([int(rng.integers(1000, 10_000)), 1, 2, 3])
    after = session.propose(None, max_nodes=1, max_depth=1).probabilities.sum()
    assert after < before
