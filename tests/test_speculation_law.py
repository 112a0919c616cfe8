"""The law of whole outputs with every drafter, the policy and a grammar: exact, with six tokens.

The session, the drafters and the matcher are the engine's; only the model is a table of fractions, and
chance is enumerated. Estimates and costs are floating-point numbers, for they decide what is drafted and
not what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from draft_fakes import FakeDrafter, tree_of
from exact_chance import ScriptedChance, law_of
from exact_models import LawAt, Prefix, TableModel, law_without, masked

from syntagma.decoding import Matcher, pause, speculation
from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.draft_tree import ROOT, DraftTree, SampledLaw
from syntagma.decoding.drafter import Drafter, DraftScope
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.recycling_drafter import RecyclingDrafter
from syntagma.decoding.speculation import SpeculationUsage, Speculator
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter
from syntagma.decoding.verification import follow, pick
from syntagma.grammar import CompiledGrammar, GrammarCompiler, Vocabulary

VOCABULARY = Vocabulary([b"a", b"b", b"c", b"ab", b"ba", b""], stop_ids=[5])
STOP = 5
PROMPT = (0, 1, 0, 1, 2, 0, 1)
SCOPE = DraftScope()
GRAMMAR = GrammarCompiler(VOCABULARY).compile_regex("(ab|ba)c(ab|b)a?")
IDS = {text: token_id for token_id, text in enumerate(VOCABULARY.tokens)}


def encode(text: str) -> list[int]:
    """Pairs where there are some."""
    token_ids = []
    while text:
        size = 2 if text[:2].encode() in IDS else 1
        token_ids.append(IDS[text[:size].encode()])
        text = text[size:]
    return token_ids


def corpus_drafter() -> Drafter:
    store = DraftStore(VOCABULARY.hash, corpus=[[0, 1, 2, 3], [4, 2, 1, 0]])
    store.add(SCOPE, [3, 2, 3, 5])
    store.add(SCOPE, [4, 2, 1, 5])
    return CorpusDrafter(store)


DRAFTERS: dict[str, Callable[[], Drafter]] = {
    "forced": lambda: ForcedDrafter(VOCABULARY, ForcedText(VOCABULARY, encode)),
    "prompt": PromptDrafter,
    "corpus": corpus_drafter,
    "recycling": RecyclingDrafter,
}


def ends(max_length: int) -> Callable[[Prefix], bool]:
    return lambda prefix: len(prefix) == max_length or STOP in prefix


def allowed_by(grammar: CompiledGrammar | None) -> Callable[[Prefix], bool]:
    def is_legal(prefix: Prefix) -> bool:
        return grammar is None or Matcher(grammar).accept_tokens(prefix)

    return is_legal


def law_with(
    law_at: LawAt,
    grammar: CompiledGrammar | None,
    new_speculator: Callable[[ScriptedChance], Speculator],
    max_length: int,
    costs: Sequence[float] = (1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06),
) -> tuple[dict[Prefix, Fraction], SpeculationUsage]:
    """The law of outputs that are drafted by a speculator, and what it drafted in all of them."""
    total = SpeculationUsage()
    is_over = ends(max_length)

    def decode(chance: ScriptedChance) -> Prefix:
        session = new_speculator(chance).begin(PROMPT, SCOPE)
        matcher = None if grammar is None else Matcher(grammar)
        output: list[int] = []
        while not is_over(tuple(output)):
            depth = max_length - len(output) - 1
            tree = session.propose(matcher, costs=np.array(costs), max_tokens=depth)
            before = list(output)

            def emit(node: int, tree: DraftTree = tree) -> tuple[int, bool]:
                token_id = pick(law_at(tuple(output)), tree, node, chance)
                output.append(token_id)
                assert matcher is None or matcher.accept_token(token_id)
                return token_id, not is_over(tuple(output))

            accepted = follow(tree, emit)
            texts = [
                (*before, *tree.token_ids[tree.path(n)].tolist()) for n in range(-1, tree.num_nodes)
            ]
            rows = np.array([[float(p) for p in law_at(text)] for text in texts])
            likeliest = np.argsort(-rows, axis=1, kind="stable")
            session.observe(
                tree,
                accepted,
                output[len(before) :],
                likeliest.astype(np.int32),
                np.take_along_axis(rows, likeliest, axis=1),
            )
        total.add(session.usage)
        return tuple(output)

    return law_of(decode), total


@pytest.mark.parametrize("has_grammar", [True, False])
@pytest.mark.parametrize("sources", [*((name,) for name in DRAFTERS), tuple(DRAFTERS)])
@pytest.mark.parametrize("patience", [pause.PATIENCE, 1])
def test_every_drafter_keeps_the_law(
    sources: tuple[str, ...], has_grammar: bool, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the policy's patience, and with pauses as soon as a draft is wrong."""
    monkeypatch.setattr(pause, "PATIENCE", patience)
    # A grammar leaves fewer outputs, so they may be longer.
    grammar, max_length = (GRAMMAR, 5) if has_grammar else (None, 3)
    law_at = masked(TableModel(1, VOCABULARY.size), allowed_by(grammar))

    def new_speculator(chance: ScriptedChance) -> Speculator:
        return Speculator(VOCABULARY, [DRAFTERS[s]() for s in sources])

    law, usage = law_with(law_at, grammar, new_speculator, max_length)
    assert law == law_without(law_at, ends(max_length))
    if patience > 1 and (has_grammar or sources != ("forced",)):
        assert usage.drafted > 0


# ------------------------------------------------------------------------- drafts that are drawn


def drawing_speculator(
    chance: ScriptedChance, draft_law: LawAt, num_draws: int, *others: Drafter
) -> Speculator:
    """Draws children of the root with enumerated chance, and one more token behind the first of them."""

    def propose(prompt: list[int], output: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        law = draft_law(tuple(output))
        drawn = [chance.draw(law) for _ in range(num_draws)]
        token_ids = list(dict.fromkeys(drawn))
        laws = {ROOT: SampledLaw(law, tuple(token_ids.index(t) for t in drawn))}
        parents = [ROOT] * len(token_ids)
        if max_depth > 1 and token_ids[0] != STOP:
            below = draft_law((*output, token_ids[0]))
            laws[0] = SampledLaw(below, (len(token_ids),))
            token_ids.append(chance.draw(below))
            parents.append(0)
        return tree_of(token_ids, parents, "model", laws)

    drafter = FakeDrafter(propose)
    drafter.source = "model"
    return Speculator(VOCABULARY, [drafter, *others])


def costs_with_a_step(place: int) -> list[float]:
    """Drafts of this many tokens and more do not pay."""
    return [1.0 if size < place else 3.0 for size in range(7)]


@pytest.mark.parametrize("has_grammar", [True, False])
@pytest.mark.parametrize("place", [2, 3])
@pytest.mark.parametrize("patience", [pause.PATIENCE, 1])
def test_the_policy_does_not_choose_by_what_was_drawn(
    place: int, has_grammar: bool, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal draws make a smaller tree, and a stop token a shallower one: neither may decide."""
    monkeypatch.setattr(pause, "PATIENCE", patience)
    grammar, max_length = (GRAMMAR, 4) if has_grammar else (None, 2)
    legal = allowed_by(grammar)
    law_at = masked(TableModel(4, VOCABULARY.size), legal)
    draft_law = masked(TableModel(104, VOCABULARY.size), legal)
    law, _ = law_with(
        law_at,
        grammar,
        lambda chance: drawing_speculator(chance, draft_law, 2, PromptDrafter()),
        max_length,
        costs_with_a_step(place),
    )
    assert law == law_without(law_at, ends(max_length))


def test_choosing_by_what_was_drawn_fails_the_law_test(monkeypatch: pytest.MonkeyPatch) -> None:
    law_at = TableModel(4, VOCABULARY.size)
    draft_law = TableModel(104, VOCABULARY.size)
    monkeypatch.setattr(speculation, "_drawn_rate", speculation._rate)
    law, _ = law_with(
        law_at,
        None,
        lambda chance: drawing_speculator(chance, draft_law, 2),
        2,
        costs_with_a_step(2),
    )
    assert law != law_without(law_at, ends(2))
