"""Random schemas, patterns and EBNF grammars through vLLM at temperature 1: what finishes is valid.

Every example is a batch of grammars that run at the same time, so they are also mixed. ``make fuzz`` draws 300
grammars, a test run a few. The judges are others' or naive: jsonschema, `re`, and matching by trying.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from typing import Any

from ebnf_strategies import Writer, ebnf_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_language import EbnfSpans, Tree
from running import Running, text_of
from schema_strategies import schemas

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import GrammarError
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_judge import SchemaJudge

BATCH = 12
NUM_BATCHES = 25 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 2

# What was judged, by kind and outcome; for whoever wants to know how much that was.
JUDGED: Counter[tuple[str, str]] = Counter()


def patterns() -> st.SearchStrategy[str]:
    """Regular expressions that mean the same to `re`."""
    atoms = st.sampled_from(["a", "b", "[a-c]", "[0-9]", "\\d", "[^\\W\\d]", "é", "-", "\\.", "😀"])

    def grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = parts.map(lambda part: f"(?:{part})")
        return st.one_of(
            st.lists(parts, min_size=1, max_size=3).map("".join),
            st.lists(parts, min_size=2, max_size=3).map(lambda found: f"(?:{'|'.join(found)})"),
            st.tuples(group, st.sampled_from(["?", "*", "+", "{2}", "{1,3}"])).map("".join),
        )

    return st.recursive(atoms, grown, max_leaves=6)


class Case:
    """A grammar and its judge."""

    def __init__(self, kind: str, drawn: Any, rng: random.Random) -> None:
        self.kind = kind
        self.drawn = drawn
        if kind == "schema":
            self.spec = GrammarSpec("json_schema", drawn)
        elif kind == "pattern":
            self.spec = GrammarSpec("regex", drawn)
        else:
            self.spec = GrammarSpec("ebnf", Writer(rng).grammar(drawn))

    def is_valid(self, text: str) -> bool:
        if self.kind == "schema":
            return SchemaJudge(self.drawn, {}, JsonOptions()).verdict(text) is not False
        if self.kind == "pattern":
            return (
                re.fullmatch(self.drawn, text, re.ASCII if "\\d" in self.drawn else 0) is not None
            )
        rules: list[Tree] = self.drawn
        return EbnfSpans(rules, text).is_word


def cases() -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(
        st.tuples(st.just("schema"), schemas()),
        st.tuples(st.just("pattern"), patterns()),
        st.tuples(st.just("rules"), ebnf_rules()),
    )


@settings(max_examples=NUM_BATCHES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(cases(), min_size=BATCH, max_size=BATCH), st.randoms(use_true_random=False))
def test_what_finishes_is_valid(
    vllm_running: Running, drawn: list[tuple[str, Any]], rng: random.Random
) -> None:
    running = vllm_running
    found, requests = [], []
    for kind, source in drawn:
        case = Case(kind, source, rng)
        try:
            requests.append(
                running.request("Go on.", case.spec, temperature=1.0, seed=rng.randrange(999))
            )
        except GrammarError:
            JUDGED[kind, "refused"] += 1
        else:
            found.append(case)
    for case, (deltas,) in zip(found, running.answers(*requests), strict=True):
        JUDGED[case.kind, str(deltas[-1].finish_reason)] += 1
        if deltas[-1].finish_reason == "stop":
            assert case.is_valid(text_of(deltas)), (case.spec, text_of(deltas))


def test_enough_was_judged() -> None:
    """Runs after the test above; skipping it says nothing."""
    if JUDGED:
        assert sum(number for (_, outcome), number in JUDGED.items() if outcome == "stop") >= 4
        print(dict(JUDGED))
