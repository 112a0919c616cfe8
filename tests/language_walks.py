"""Random walks through a grammar's masks that end with the shortest completion."""

from __future__ import annotations

import random

from toy import allowed_ids

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar


def walk(
    grammar: CompiledGrammar, rng: random.Random, *, max_tokens: int, start: bytes = b""
) -> bytes:
    """An output: `start` byte by byte, allowed tokens drawn at random, then `closing_tokens`.

    First the length of the token is drawn, so that the few long ones of a vocabulary of bytes and
    words come up at all.
    """
    matcher = Matcher(grammar)
    vocabulary = grammar.vocabulary
    out = start
    assert matcher.accept_tokens([vocabulary.tokens.index(bytes([byte])) for byte in start])
    for _ in range(rng.randint(0, max_tokens)):
        ids = sorted(allowed_ids(matcher) - set(vocabulary.stop_ids))
        if not ids:
            break
        by_length: dict[int, list[int]] = {}
        for token_id in ids:
            by_length.setdefault(len(vocabulary.tokens[token_id]), []).append(token_id)
        token_id = rng.choice(by_length[rng.choice(sorted(by_length))])
        assert matcher.accept_token(token_id)
        out += vocabulary.tokens[token_id]
    return out + closed(matcher)


def closed(matcher: Matcher) -> bytes:
    """The text of `closing_tokens`, each of which the matcher takes."""
    out = b""
    for token_id in matcher.closing_tokens():
        assert matcher.accept_token(token_id)
        out += matcher.grammar.vocabulary.tokens[token_id]
    assert matcher.is_accepting()
    return out


def check_masks(grammar: CompiledGrammar, rng: random.Random, num_walks: int) -> None:
    """At every step of random walks exactly those tokens are allowed that can be read as texts."""
    vocabulary = grammar.vocabulary
    for _ in range(num_walks):
        matcher = Matcher(grammar)
        for _ in range(25):
            allowed = allowed_ids(matcher)
            for token_id, token in enumerate(vocabulary.tokens):
                if token:
                    after = grammar.recognizer.read(matcher._states[-1], token)
                    assert (after is not None) == (token_id in allowed), token
            matcher.accept_token(rng.choice(sorted(allowed - set(vocabulary.stop_ids))))
