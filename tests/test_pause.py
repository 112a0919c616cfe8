"""Where drafts add nothing they are made rarely; what is said meanwhile is not lost, and what is certain not missed."""

from __future__ import annotations

import numpy as np
import pytest
from test_speculation import FREE, SCOPE, VOCABULARY, Scripted, chain, session_of

from syntagma.decoding import Matcher
from syntagma.decoding.draft_tree import EMPTY_TREE
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.pause import PATIENCE, Pause
from syntagma.decoding.rest import MAX_REST, Rest
from syntagma.decoding.speculation import Speculator
from syntagma.grammar import GrammarCompiler


def rests(rest: Rest) -> int:
    """How many steps the rest under way takes."""
    length = 0
    while rest.is_on():
        length += 1
    return length


def test_rests_grow_up_to_a_bound_and_shrink_when_a_try_is_of_use() -> None:
    rest = Rest(3)
    lengths = []
    for _ in range(9):
        rest.note(False)
        lengths.append(rests(rest))
    assert lengths == [0, 0, 1, 2, 4, 8, MAX_REST, MAX_REST, MAX_REST]
    rest.note(True)
    assert rests(rest) == 0
    rest.note(False)
    assert rests(rest) == 2


def test_outputs_that_nobody_can_guess_are_asked_about_rarely_and_read_all_the_same() -> None:
    scripted = Scripted("prompt", EMPTY_TREE)
    session = session_of(scripted)
    output = [step % 50 for step in range(200)]
    attentive = 0
    for token_id in output:
        session.observe(session.propose(None, costs=FREE, max_tokens=9), [], [token_id])
        attentive += session.is_attentive
    assert scripted.num_asked == attentive < PATIENCE + MAX_REST.bit_length() + 200 / MAX_REST
    session.finish()
    assert scripted.output == output
    assert session.usage.steps == 200


def test_nothing_is_learned_during_a_pause() -> None:
    scripted = Scripted("prompt", EMPTY_TREE)
    session = session_of(scripted)
    ids, weights = np.array([[7]], np.int32), np.array([[0.5]])
    for token_id in range(100):
        session.propose(None, costs=FREE, max_tokens=9)
        asked = scripted.num_asked
        session.observe(EMPTY_TREE, [], [token_id], ids, weights)
        assert len(scripted.learned) == asked
    # The token read is the one before the step, whether or not a pause lies between.
    last = scripted.learned[-1][0]
    assert last == [scripted.output[-1]] and len(scripted.output) > PATIENCE


@pytest.mark.parametrize("num_useless", [PATIENCE, 100])
def test_drafting_goes_on_when_drafts_are_right_again(num_useless: int) -> None:
    scripted = Scripted("prompt", EMPTY_TREE)
    session = session_of(scripted)
    for _ in range(num_useless):
        session.observe(session.propose(None, costs=FREE, max_tokens=9), [], [7])
    scripted.tree = chain([5], 0.9)
    accepted = 0
    for _ in range(3 * MAX_REST):
        tree = session.propose(None, costs=FREE, max_tokens=9)
        session.observe(tree, range(tree.num_nodes), [5] * (1 + tree.num_nodes))
        accepted += tree.num_nodes
    assert accepted > 3 * MAX_REST // 2


def test_a_source_that_is_right_and_not_trusted_keeps_drafting_going() -> None:
    session = session_of(Scripted("prompt", chain([5], 0.001)))
    costs = 1.0 + 0.3 * np.arange(17)
    for _ in range(100):
        session.observe(session.propose(None, costs=costs, max_tokens=9), [], [5])
        assert session.is_attentive


def test_what_the_grammar_is_certain_of_ends_a_pause() -> None:
    """A long free string, and behind it a text that is forced."""
    grammar = GrammarCompiler(VOCABULARY).compile_regex(
        r"[a-z ]{1,400}! that is all there is to say\."
    )
    forced_text = ForcedText(VOCABULARY, lambda text: list(text.encode()))
    speculator = Speculator(VOCABULARY, [ForcedDrafter(VOCABULARY, forced_text)])
    for length in range(150, 150 + MAX_REST):
        session = speculator.begin([1], SCOPE)
        matcher = Matcher(grammar)
        for token_id in [*(b"abcdefgh" * 40)[:length], ord("!")]:
            tree = session.propose(matcher, costs=FREE, max_tokens=16)
            assert tree.num_nodes == 0
            assert matcher.accept_token(token_id)
            session.observe(tree, [], [token_id])
        tree = session.propose(matcher, costs=FREE, max_tokens=16)
        assert bytes(tree.token_ids.tolist()) == b" that is all there is to say."[:16]


def test_a_narrow_grammar_that_stays_so_does_not_end_a_pause() -> None:
    matcher = Matcher(GrammarCompiler(VOCABULARY).compile_regex(r"[01]{1,400}"))
    pause = Pause(VOCABULARY)
    num_off = 0
    for _ in range(200):
        if not pause.is_on(matcher):
            num_off += 1
            pause.note(0, some_source_was_right=False)
        assert matcher.accept_token(ord("0"))
    assert num_off < PATIENCE + MAX_REST.bit_length() + 200 / MAX_REST
