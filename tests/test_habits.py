"""Habits against plain counting by sets of allowed tokens, and what drafts make of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding import habits as habits_module
from syntagma.decoding.continuation import continue_leaf
from syntagma.decoding.draft_tree import SOURCES
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.growing_lru import GrowingLru
from syntagma.decoding.habit_drafter import MIN_PATH, HabitDrafter, HabitSession
from syntagma.decoding.habits import DOUBT, MAX_SHARE, Habits
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar, GrammarCompiler

VOCABULARY = byte_vocabulary([*JSON_TOKENS, b'": "', b'","', b'", "', b'"}'])
COMPILER = GrammarCompiler(VOCABULARY)
DIGITS = COMPILER.compile_regex("(a[0-9]|b[0-4]|c.)*")


def greedy(text: bytes) -> list[int]:
    """The longest token at each place."""
    found = []
    while text:
        token = max((t for t in VOCABULARY.tokens if t and text.startswith(t)), key=len)
        found.append(VOCABULARY.tokens.index(token))
        text = text[len(token) :]
    return found


def object_with(key: str) -> CompiledGrammar:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"}},
        "required": [key],
        "additionalProperties": False,
    }
    return COMPILER.compile_json_schema(schema)


@given(st.lists(st.sampled_from(["a1", "a2", "b3", "b4", "c?", "c0"]), max_size=12))
def test_habits_are_shares_of_what_was_chosen(words: list[str]) -> None:
    text = "".join(words).encode()
    matcher, habits = Matcher(DIGITS), Habits(VOCABULARY)
    chosen: dict[frozenset[int], Counter[int]] = {}
    for token_id in greedy(text):
        allowed = frozenset(allowed_ids(matcher))
        if len(allowed) <= MAX_SHARE * VOCABULARY.size:
            chosen.setdefault(allowed, Counter())[token_id] += 1
        assert matcher.accept_token(token_id)
        habits.learn(matcher, [token_id])
        counts = chosen.get(frozenset(allowed_ids(matcher)), Counter())
        total = sum(counts.values()) + DOUBT
        likely = habits.likely(matcher)
        assert dict(likely) == {token: count / total for token, count in counts.items()}
        assert [p for _, p in likely] == sorted((p for _, p in likely), reverse=True)
    at_once = Habits(VOCABULARY)
    at_once.learn(matcher, greedy(text))
    assert at_once.likely(matcher) == habits.likely(matcher)
    assert matcher.num_tokens == len(greedy(text))


def test_habits_change() -> None:
    habits, matcher = Habits(VOCABULARY), Matcher(COMPILER.compile_regex("[ab]*"))
    for _ in range(100):
        matcher.accept_tokens(greedy(b"a"))
        habits.learn(matcher, greedy(b"a"))
    for _ in range(60):
        matcher.accept_tokens(greedy(b"b"))
        habits.learn(matcher, greedy(b"b"))
    assert next(VOCABULARY.tokens[token_id] for token_id, _ in habits.likely(matcher)) == b"b"


def test_the_masks_met_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits_module, "MAX_MASKS", 2)
    habits = Habits(VOCABULARY)
    first, second, third = (Matcher(COMPILER.compile_regex(p)) for p in ("xy", "yz", "zx"))
    for matcher, text in ((first, b"x"), (second, b"y"), (third, b"z")):
        matcher.accept_tokens(greedy(text))
        habits.learn(matcher, greedy(text))
        matcher.rollback(1)
    assert habits.likely(first) == []
    assert len(habits.likely(second)) == len(habits.likely(third)) == 1


def written(
    drafter: HabitDrafter, scope: DraftScope, grammar: CompiledGrammar, text: bytes
) -> None:
    """One output from beginning to end, in two steps."""
    session, matcher = drafter.begin([], scope), Matcher(grammar)
    token_ids = greedy(text)
    for part in (token_ids[:3], token_ids[3:]):
        session.propose(matcher, max_nodes=8, max_depth=8)
        assert matcher.accept_tokens(part)
        session.extend(part)
    session.finish()


def drafted(
    drafter: HabitDrafter, scope: DraftScope, grammar: CompiledGrammar, text: bytes
) -> list[bytes]:
    matcher = Matcher(grammar)
    assert matcher.accept_tokens(greedy(text))
    tree = drafter.begin([], scope).propose(matcher, max_nodes=8, max_depth=8)
    assert {SOURCES[source] for source in tree.sources.tolist()} <= {"habit"}
    assert np.all(tree.parents == -1)
    return [VOCABULARY.tokens[token_id] for token_id in tree.token_ids.tolist()]


def test_a_habit_holds_under_other_keys_and_for_its_tenant_alone() -> None:
    drafter, scope = HabitDrafter(VOCABULARY), DraftScope(grammar_key="one", tenant="t")
    written(drafter, scope, object_with("kk"), b'{"kk": "z"}')
    other = DraftScope(grammar_key="two", tenant="t")
    assert drafted(drafter, other, object_with("mm"), b'{"mm') == [b'": "']
    assert (
        drafted(drafter, DraftScope(grammar_key="one", tenant="u"), object_with("kk"), b'{"kk')
        == []
    )


def test_the_end_of_an_output_is_learnt_too() -> None:
    drafter, scope = HabitDrafter(VOCABULARY), DraftScope()
    grammar = COMPILER.compile_regex("x+y")
    written(drafter, scope, grammar, b"xxxxy")
    assert set(drafted(drafter, scope, grammar, b"x")) == {b"x", b"y"}


def test_without_a_grammar_there_are_no_habits() -> None:
    session = HabitDrafter(VOCABULARY).begin([], DraftScope())
    session.extend([1, 2])
    assert session.propose(None, max_nodes=8, max_depth=8).num_nodes == 0
    session.finish()


def habit_session(habits: Habits) -> HabitSession:
    return HabitSession(GrowingLru(1 << 20, lambda habits: habits.num_bytes), "", habits)


def sessions_with(habits: Habits) -> list[DraftSession]:
    """Forced text, then habits."""
    forced_text = ForcedText(VOCABULARY, lambda text: greedy(text.encode()))
    forced = ForcedDrafter(VOCABULARY, forced_text).begin([], DraftScope())
    return [forced, habit_session(habits)]


def test_forced_text_and_habits_take_turns() -> None:
    habits = Habits(VOCABULARY)
    matcher = Matcher(object_with("kk"))
    matcher.accept_tokens(greedy(b'{"kk": "'))
    for _ in range(5):
        habits.learn(matcher, greedy(b'{"kk": "'))
    matcher = Matcher(object_with("mm"))
    found = continue_leaf(sessions_with(habits), matcher, [], 20)
    assert b"".join(VOCABULARY.tokens[guess.token_id] for guess in found) == b'{"mm": "'
    assert {guess.source for guess in found} == {"forced", "habit"}
    assert matcher.num_tokens == 0
    few = continue_leaf(sessions_with(habits), matcher, [], 2)
    assert few == found[:2]


def test_unlikely_chains_are_not_followed() -> None:
    habits, grammar = Habits(VOCABULARY), COMPILER.compile_regex("[xyz]*")
    matcher = Matcher(grammar)
    matcher.accept_tokens(greedy(b"xyzxyz"))
    habits.learn(matcher, greedy(b"xyzxyz"))
    assert max(p for _, p in habits.likely(matcher)) < MIN_PATH
    assert continue_leaf(sessions_with(habits), matcher, [], 20) == []


def test_a_chain_ends_where_the_grammar_refuses_a_habit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matcher is left as it was found, too."""
    matcher, habits = Matcher(DIGITS), Habits(VOCABULARY)
    assert matcher.accept_tokens(greedy(b"a1b2"))
    before = matcher.num_tokens
    refused = VOCABULARY.tokens.index(b"9")
    monkeypatch.setattr(habits, "likely", lambda matcher: [(refused, 0.9)])
    assert continue_leaf([habit_session(habits)], matcher, [], 8) == []
    assert matcher.num_tokens == before
    assert matcher.accept_tokens(greedy(b"c0"))
