"""Small vocabularies and helpers that the tests share."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar, Vocabulary

# Tokens of JSON texts that cross from one terminal into the next, some into the fourth.
JSON_TOKENS = [
    b'{"', b'": ', b'":', b'", "', b'","', b'"}', b'"]', b"}]", b"[[", b"]]", b"},{", b'"],"', b"1,",
    b": {", b'": "', b'": [', b"12", b"0.5", b"e1", b"true", b"false,", b"null", b"tru", b"e}", b'""',
    b"  ", b"\n  ", b" {", b', "a": ', b'"a"', b'"a":1,"b":', b'":{"', b"\\u00", b"\\n", b"\\\\",
    b"\xc3", b"\xa9", b"\xf0\x9f", b"ab", b'a"', b'b",', b'{"a":[{"', b"-1", b"1.", b'}}}', b"1]}",
]  # fmt: skip


def byte_vocabulary(
    extra: Iterable[bytes] = (), *, alphabet: bytes = bytes(range(256))
) -> Vocabulary:
    """One token for each byte of the alphabet, further tokens, one stop token."""
    tokens = [bytes([b]) for b in alphabet] + list(dict.fromkeys(extra)) + [b""]
    return Vocabulary(tokens, stop_ids=[len(tokens) - 1])


def allowed_ids(matcher: Matcher) -> set[int]:
    """The allowed tokens as a set."""
    vocabulary = matcher.grammar.vocabulary
    bitmask = np.zeros((1, vocabulary.num_words), np.int32)
    matcher.fill_bitmask(bitmask, 0)
    bits = np.unpackbits(bitmask[0].view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def accepts(grammar: CompiledGrammar, text: str | bytes) -> bool:
    """Whether a whole text, read byte by byte, is an output of the grammar."""
    recognizer = grammar.recognizer
    raw = text.encode() if isinstance(text, str) else text
    state = recognizer.initial
    for byte in raw:
        after = recognizer.read(state, bytes([byte]))
        if after is None:
            return False
        state = after
    return recognizer.is_accepting(state)


def sample(
    grammar: CompiledGrammar, rng: random.Random, *, max_tokens: int = 400, eager: float = 0.5
) -> bytes | None:
    """The text of `sample_ids`."""
    found = sample_ids(grammar, rng, max_tokens=max_tokens, eager=eager)
    return None if found is None else b"".join(map(grammar.vocabulary.tokens.__getitem__, found))


def sample_ids(
    grammar: CompiledGrammar, rng: random.Random, *, max_tokens: int = 400, eager: float = 0.5
) -> list[int] | None:
    """A random walk through the masks up to a stop token; None if it takes too long.

    The older the walk, the more it prefers to stop or to close something.
    """
    matcher = Matcher(grammar)
    vocabulary = grammar.vocabulary
    found: list[int] = []
    for step in range(max_tokens):
        allowed = sorted(allowed_ids(matcher))
        assert allowed, "the mask is empty"
        stops = [t for t in allowed if t in vocabulary.stop_ids]
        closers = [t for t in allowed if vocabulary.tokens[t][:1] in (b"}", b"]", b'"', b",", b":")]
        if stops and rng.random() < eager + step / max_tokens:
            token_id = stops[0]
        elif closers and rng.random() < eager + step / max_tokens:
            token_id = rng.choice(closers)
        else:
            token_id = rng.choice(allowed)
        assert matcher.accept_token(token_id)
        if matcher.is_terminated():
            return found
        found.append(token_id)
    return None


def orders(value: Any, most: int) -> list[Any]:
    """A value with the members of its objects in every order, and whole numbers with and without fraction.

    As an integer a number is written without one (`numbers="canonical"`), and as `const` lists it.
    Of very many, ``most`` and one more.
    """
    found: Iterable[Any] = [value]
    if isinstance(value, list):
        found = map(list, itertools.product(*(orders(item, most) for item in value)))
    elif isinstance(value, dict):
        found = (
            dict(zip(names, members, strict=True))
            for names in itertools.permutations(value)
            for members in itertools.product(*(orders(value[name], most) for name in names))
        )
    elif isinstance(value, float) and value.is_integer():
        found = [value, int(value)]
    return list(itertools.islice(found, most + 1))
