"""Suffix automata against scanning the documents."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_drafts import contexts, estimates, longest_match, occurrences, path_probabilities

from syntagma.decoding import suffix_kernels as kernels
from syntagma.decoding.draft_tree import ROOT
from syntagma.decoding.match_coverage import INITIAL_COVERAGE
from syntagma.decoding.suffix_automaton import SuffixAutomaton

NO_TALLY = np.empty((0, 2))
COVERAGE = np.array(INITIAL_COVERAGE)

DOCUMENTS = st.lists(st.lists(st.integers(0, 3), max_size=14), min_size=1, max_size=4)


def automaton_of(documents: list[list[int]], capacity: int = 4) -> SuffixAutomaton:
    automaton = SuffixAutomaton(capacity)
    for document in documents:
        automaton.begin_document()
        automaton.append(document)
    return automaton


def all_parts(documents: list[list[int]]) -> set[tuple[int, ...]]:
    return {
        tuple(document[i:j])
        for document in documents
        for i in range(len(document))
        for j in range(i + 1, len(document) + 1)
    }


def test_length_classes_cover_all_lengths_in_order() -> None:
    classes = [kernels.length_class(length) for length in range(1, 100)]
    assert classes[:17] == [0, 1, 2, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7]
    assert classes == sorted(classes)
    assert classes[23] == 8
    assert classes[-1] == kernels.NUM_CLASSES - 1


@given(DOCUMENTS)
def test_substrings_and_their_counts(documents: list[list[int]]) -> None:
    automaton = automaton_of(documents)
    parts = all_parts(documents)
    for part in parts:
        assert automaton.count(part) == occurrences(documents, part)
        for token in range(4):
            assert (automaton.count((*part, token)) > 0) == ((*part, token) in parts)
    num_tokens = sum(map(len, documents))
    assert automaton.sizes[kernels.NUM_STATES] <= max(1, 2 * num_tokens)
    assert automaton.sizes[kernels.NUM_EDGES] <= 3 * num_tokens


@given(DOCUMENTS)
def test_counts_saturate(documents: list[list[int]]) -> None:
    """A document often repeated: counts stop at the limit, exactly."""
    times = kernels.MAX_COUNT // 2 + 1
    automaton = automaton_of(documents * times, 64)
    for part in all_parts(documents):
        assert automaton.count(part) == min(occurrences(documents, part) * times, kernels.MAX_COUNT)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_last_match_is_the_longest_end_that_stands_elsewhere(tokens: list[int]) -> None:
    automaton = SuffixAutomaton(4)
    for i, token in enumerate(tokens, start=1):
        automaton.append([token])
        expected = max(
            (n for n in range(1, i) if occurrences([tokens[:i]], tokens[i - n : i]) > 1), default=0
        )
        assert automaton.last_match[1] == expected


@given(
    DOCUMENTS, DOCUMENTS, st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(1, 9)
)
def test_matches_while_the_automaton_grows(
    documents: list[list[int]], more: list[list[int]], output: list[int], most: int
) -> None:
    """The match at hand is the longest of those that it could have grown from."""
    automaton = automaton_of(documents)
    match = np.zeros(2, np.int64)
    half = len(output) // 2
    length = 0
    for i, token in enumerate(output, start=1):
        if i == half:
            documents = documents + more
            for document in more:
                automaton.begin_document()
                automaton.append(document)
        kernels.advance(
            automaton.states,
            automaton.edges,
            automaton.slots,
            match,
            np.array([token], np.int32),
            NO_TALLY,
            most,
        )
        # A longer match may have come in behind our back, but it cannot have begun earlier than ours.
        length = longest_match(documents, output[:i], min(most, length + 1))
        assert match[1] == length
        state = kernels.narrowed(automaton.states, match[0], match[1])
        if length:
            assert automaton.states[state, kernels.COUNT] == occurrences(
                documents, output[i - length : i]
            )


@given(DOCUMENTS, st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_trees_of_continuations(documents: list[list[int]], output: list[int]) -> None:
    """Estimates are those of counting, the nodes the likeliest paths, parents before children."""
    automaton = automaton_of(documents)
    match = np.zeros(2, np.int64)
    arrays = automaton.states, automaton.edges, automaton.slots
    kernels.advance(*arrays, match, np.array(output, np.int32), NO_TALLY, 64)
    state = kernels.narrowed(automaton.states, match[0], match[1])
    tree = automaton.draft((state, int(match[1])), COVERAGE, "corpus", max_nodes=6, max_depth=3)
    paths = path_probabilities(tree)
    known = output[len(output) - int(match[1]) :]
    children = tree.children()
    assert tree.depths().max(initial=0) <= 3
    assert paths == sorted(paths, reverse=True)
    expected = estimates(documents, known, INITIAL_COVERAGE) if known else {}
    found = {int(tree.token_ids[n]): float(tree.probabilities[n]) for n in children.get(ROOT, [])}
    assert found.items() <= {t: pytest.approx(p) for t, p in expected.items()}.items()
    if expected:
        assert max(found.values()) == pytest.approx(max(expected.values()))
    for node in range(tree.num_nodes):
        assert tree.parents[node] < node
        siblings = [int(tree.token_ids[n]) for n in children.get(node, [])]
        assert len(set(siblings)) == len(siblings)
    # Nothing likelier was left out on the first level.
    if tree.num_nodes == 6:
        assert all(p <= paths[-1] + 1e-9 for t, p in expected.items() if t not in found)


def test_continuations_behind_a_match_come_from_its_contexts() -> None:
    documents = [[1, 2, 3], [1, 2, 3], [1, 2, 4], [5, 2, 6]]
    assert contexts(documents, [1, 2]) == [[1, 2], [2]]
    tree = automaton_of(documents).draft(
        (automaton_state(automaton_of(documents), [1, 2]), 2),
        COVERAGE,
        "corpus",
        max_nodes=3,
        max_depth=1,
    )
    assert tree.token_ids.tolist() == [3, 4, 6]
    behind_two, behind_one = INITIAL_COVERAGE[1], (1 - INITIAL_COVERAGE[1]) * INITIAL_COVERAGE[0]
    assert tree.probabilities.tolist() == pytest.approx(
        [behind_two * 2 / 3 + behind_one / 2, behind_two / 3 + behind_one / 4, behind_one / 4]
    )


def automaton_state(automaton: SuffixAutomaton, tokens: list[int]) -> int:
    state = kernels.ROOT_STATE
    for token in tokens:
        edge = kernels.edge_of(automaton.edges, automaton.slots, state, token)
        state = int(automaton.edges[edge, kernels.TARGET])
    return state


@pytest.mark.parametrize("alphabet", [2, 3, 5000])
def test_work_for_each_token_is_bounded(alphabet: int) -> None:
    """Links followed, edges made and redirected, counts raised: constant for each token on average."""
    rng = random.Random(alphabet)
    tokens = [rng.randrange(alphabet) for _ in range(20_000)]
    automaton = SuffixAutomaton()
    automaton.append(tokens)
    assert automaton.sizes[kernels.WORK] < 40 * len(tokens)


@pytest.mark.parametrize("word", [[7], [1, 2], [1, 1, 2]])
def test_repetition_does_not_cost_more_than_saturation(word: list[int]) -> None:
    """The worst text for counts: every link leads to one more that occurs."""
    tokens = word * (30_000 // len(word))
    automaton = SuffixAutomaton()
    automaton.append(tokens)
    assert automaton.sizes[kernels.WORK] < (kernels.MAX_COUNT + 6) * 2 * len(tokens)


def test_long_random_walk_against_scanning() -> None:
    """10^5 steps through an automaton that grows meanwhile, some 2,000 of them against a scan."""
    rng = random.Random(3)
    documents = [[rng.randrange(6) for _ in range(40)] for _ in range(30)]
    automaton = automaton_of(documents)
    match = np.zeros(2, np.int64)
    output: list[int] = []
    length = work = 0
    for step in range(100_000):
        if output and rng.random() < 0.8:
            # Mostly text of the documents, so that matches get long.
            document = rng.choice(documents)
            at = rng.randrange(len(document) - 3)
            token = document[at + step % 3]
        else:
            token = rng.randrange(6)
        output.append(token)
        if step % 5000 == 4999:
            documents.append(output[-30:])
            automaton.begin_document()
            automaton.append(output[-30:])
        work += kernels.advance(
            automaton.states,
            automaton.edges,
            automaton.slots,
            match,
            np.array([token], np.int32),
            NO_TALLY,
            64,
        )
        assert match[1] <= length + 1
        length = int(match[1])
        if step % 50 == 0:
            assert length == longest_match(documents, output[-70:], min(64, length + 1))
    assert work <= 2 * len(output)


def run_small_cases(environment: dict[str, str], *options: str) -> str:
    """The tests of this file that take little, in a process of their own."""
    names = "substrings or last_match or while_the_automaton or trees or come_from"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", names]
    found = subprocess.run(
        [*command, *options, __file__],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-2000:]
    return found.stdout


def test_the_same_without_compiling() -> None:
    assert "5 passed" in run_small_cases({"NUMBA_DISABLE_JIT": "1"}, "-W", "ignore:overflow")


def test_the_same_with_bounds_checked(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Compiled with index checks, cached apart from the ordinary kernels."""
    cache = pytestconfig.cache
    directory = tmp_path if cache is None else cache.mkdir("numba-boundscheck")
    settings = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(directory)}
    assert "5 passed" in run_small_cases(settings)
