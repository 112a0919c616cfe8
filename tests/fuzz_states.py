"""Masks against brute force, state by state, for as long as one likes.

    python tests/fuzz_states.py --states 1000000 --seed 1

Draws small grammars (recursive in every way, ambiguous, with empty words, dead branches and counted
repetitions) and vocabularies, some without all single bytes, visits the texts of each in breadth and compares
every mask with Earley's algorithm on each token. Most grammars have lexer states that are wide, all of them or
those that lead to more than a few nodes, so that rows come from the mask store. Prints how far it is; the first
difference ends it with an error that tells how to see it again.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator

from naive_grammar import NaiveEarley
from toy import allowed_ids

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    UnsatisfiableGrammarError,
    Vocabulary,
    ir,
)
from syntagma.grammar import dfa as dfas
from syntagma.grammar.limits import Budget
from syntagma.grammar.mask_store import MaskStore

ALPHABET = b"abc,"
WIDTHS = (None, 0, 2, 0, 5, 12)
MAX_STATES = 400
MAX_LENGTH = 12
REPORT_EVERY = 20_000


def random_node(rng: random.Random, num_rules: int, depth: int) -> ir.Node:
    """A node over short words, calls and operators."""
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        if rng.random() < 0.4:
            return ir.Call(rng.randrange(num_rules))
        if rng.random() < 0.1:
            return ir.EMPTY
        words = [
            bytes(rng.choices(ALPHABET, k=rng.randint(1, 3))) for _ in range(rng.randint(0, 3))
        ]
        return ir.Terminal(dfas.from_words(words))
    if kind < 0.8:
        parts = tuple(random_node(rng, num_rules, depth - 1) for _ in range(rng.randint(1, 3)))
        return ir.Sequence(parts) if kind < 0.55 else ir.Choice(parts)
    low = rng.randint(0, 3)
    high = None if rng.random() < 0.4 else low + rng.randint(0, 3)
    return ir.Repeat(random_node(rng, num_rules, depth - 1), low, high)


def random_grammar(rng: random.Random) -> ir.Grammar:
    """One to four rules that call each other."""
    num_rules = rng.randint(1, 4)
    grammar = ir.Grammar()
    for index in range(num_rules):
        grammar.add(f"rule {index}", random_node(rng, num_rules, rng.randint(1, 3)))
    return grammar


def random_vocabulary(rng: random.Random) -> Vocabulary:
    """Single bytes, one missing now and then, longer tokens and one stop token."""
    tokens = [bytes([b]) for b in ALPHABET]
    if rng.random() < 0.2:
        tokens.remove(rng.choice(tokens))
    longer = {bytes(rng.choices(ALPHABET, k=rng.randint(2, 6))) for _ in range(rng.randint(0, 40))}
    tokens += [*sorted(longer), b""]
    return Vocabulary(tokens, stop_ids=[len(tokens) - 1])


def spelled(grammar: ir.Grammar, vocabulary: Vocabulary) -> NaiveEarley:
    """The grammar's words that the vocabulary's single bytes can write."""
    return NaiveEarley(grammar, bytes(b for b in ALPHABET if bytes([b]) in vocabulary.tokens))


def compared(
    grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random, *, max_width: int | None
) -> Iterator[bytes]:
    """Visit texts in breadth; yields each whose mask has been compared.

    Args:
        max_width: lexer states that lead to more nodes are wide; None: as it is by default, and nothing is.

    Raises:
        AssertionError: a mask differs, with the text.
    """
    naive = spelled(grammar, vocabulary)
    compiler = GrammarCompiler(vocabulary)
    if max_width is not None:
        compiler._store = MaskStore(vocabulary, min_wide_nodes=0, max_width=max_width)
    try:
        compiled = compiler._finish(
            "regex", grammar, lambda: "", Budget(CompileLimits(max_seconds=600)), 0.0
        )
    except UnsatisfiableGrammarError:
        assert naive.is_empty, "refused, but it has words"
        return
    assert not naive.is_empty, "compiled, but it has no words"
    waiting = [(b"", Matcher(compiled))]
    seen = {b""}
    for text, matcher in waiting:
        expected = naive.mask(text, vocabulary)
        allowed = allowed_ids(matcher)
        assert allowed == expected, f"after {text!r}: {sorted(allowed)}, not {sorted(expected)}"
        yield text
        choices = sorted(expected.difference(vocabulary.stop_ids))
        for token_id in rng.sample(choices, min(len(choices), 6)):
            longer = text + vocabulary.tokens[token_id]
            if len(longer) <= MAX_LENGTH and len(seen) < MAX_STATES and longer not in seen:
                seen.add(longer)
                after = matcher.fork()
                assert after.accept_token(token_id), f"{longer!r} was allowed, but not accepted"
                waiting.append((longer, after))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--states", type=int, default=1_000_000, help="masks to compare")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.perf_counter()
    num_states = num_grammars = 0
    while num_states < arguments.states:
        rng = random.Random(f"{arguments.seed}/{num_grammars}")
        grammar, vocabulary = random_grammar(rng), random_vocabulary(rng)
        try:
            max_width = WIDTHS[num_grammars % len(WIDTHS)]
            for _ in compared(grammar, vocabulary, rng, max_width=max_width):
                num_states += 1
                if num_states % REPORT_EVERY == 0:
                    seconds = time.perf_counter() - started
                    print(
                        f"{num_states:,} states of {num_grammars:,} grammars, {seconds:.0f} s",
                        flush=True,
                    )
        except AssertionError as error:
            raise SystemExit(
                f"seed {arguments.seed}, grammar {num_grammars}: {error}\n{grammar.rules}\n{vocabulary.tokens}"
            ) from error
        num_grammars += 1
    print(f"{num_states:,} masks of {num_grammars:,} grammars are as brute force says")


if __name__ == "__main__":
    main()
