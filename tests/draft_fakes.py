"""Drafters for tests of engines: one that knows the output in advance, one that draws at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, SampledLaw, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.engine import Tokenizer
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.speculation import Speculator
from syntagma.grammar import Vocabulary


def tree_of(
    token_ids: Sequence[int],
    parents: Sequence[int],
    source: Source = "prompt",
    laws: Mapping[int, SampledLaw] | None = None,
) -> DraftTree:
    """A tree without an opinion on its chances."""
    return DraftTree(
        token_ids=np.array(token_ids, dtype=np.int32),
        parents=np.array(parents, dtype=np.int32),
        probabilities=np.full(len(token_ids), 0.9),
        sources=np.full(len(token_ids), SOURCES.index(source), dtype=np.int8),
        laws=laws or {},
    )


def speculator_of(*drafters: Any) -> Callable[[Vocabulary, Tokenizer, bool], Speculator]:
    """Makes a `Speculator` of these drafters for an engine."""
    return lambda vocabulary, tokenizer, chains_only: Speculator(
        vocabulary, drafters, chains_only=chains_only
    )


class FakeDrafter:
    """Proposes what a function of (prompt, output, max_nodes, max_depth) says; keeps its sessions."""

    source: Source = "prompt"

    def __init__(self, propose: Callable[[list[int], list[int], int, int], DraftTree]) -> None:
        self.propose = propose
        self.sessions: list[FakeSession] = []

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> FakeSession:
        self.sessions.append(FakeSession(self, list(prompt_token_ids), scope))
        return self.sessions[-1]


class FakeSession(DraftSession):
    """Follows one output."""

    def __init__(self, drafter: FakeDrafter, prompt: list[int], scope: DraftScope) -> None:
        self._drafter = drafter
        self._prompt = prompt
        self.scope = scope
        self.output: list[int] = []
        self.num_finished = 0

    def extend(self, token_ids: Sequence[int]) -> None:
        self.output += token_ids

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        return self._drafter.propose(self._prompt, self.output, max_nodes, max_depth)

    def finish(self) -> None:
        self.num_finished += 1


def knowing(
    outputs: Mapping[tuple[int, ...], Sequence[int]], vocab_size: int, seed: int = 0
) -> FakeDrafter:
    """Drafts the output of a prompt, known in advance, among wrong branches and for a while only."""
    generator = np.random.default_rng(seed)

    def propose(prompt: list[int], output: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        known = list(outputs.get(tuple(prompt), ()))
        if known[: len(output)] != output:  # not the output that was foreseen
            return EMPTY_TREE
        rest = known[len(output) : len(output) + int(generator.integers(max_depth + 1))]
        return bush_around(rest, max_nodes, vocab_size, generator)

    return FakeDrafter(propose)


def bush_around(
    right: Sequence[int], max_nodes: int, vocab_size: int, generator: np.random.Generator
) -> DraftTree:
    """A tree with a path of the given tokens, siblings before and behind, and some below those."""
    token_ids: list[int] = []
    parents: list[int] = []

    def add(parent: int, token_id: int) -> int:
        if (parent, token_id) in zip(parents, token_ids, strict=True):
            return len(token_ids) - 1
        parents.append(parent)
        token_ids.append(token_id)
        return len(token_ids) - 1

    node = ROOT
    for token_id in right:
        wrong = [int(t) for t in generator.integers(vocab_size, size=2) if t != token_id]
        if len(token_ids) + 2 + len(wrong) > max_nodes:
            break
        if wrong:
            below = add(node, wrong[0])
            add(below, token_id)
        next_node = add(node, token_id)
        for other in wrong[1:]:
            add(node, other)
        node = next_node
    return tree_of(token_ids, parents)


def drawing(law_of: Callable[[list[int]], Any], num_draws: int, seed: int = 0) -> FakeDrafter:
    """Draws the next token from a law over the output, so many times, with random numbers of its own."""
    generator = np.random.default_rng(seed)

    def propose(prompt: list[int], output: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        law = law_of(output)
        drawn = generator.choice(law.size, size=num_draws, p=law).tolist()
        token_ids = list(dict.fromkeys(drawn))
        draws = tuple(token_ids.index(token_id) for token_id in drawn)
        laws = {ROOT: SampledLaw(probabilities=law, draws=draws)}
        return tree_of(token_ids, [ROOT] * len(token_ids), "model", laws)

    drafter = FakeDrafter(propose)
    drafter.source = "model"
    return drafter
