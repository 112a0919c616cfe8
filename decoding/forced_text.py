"""Text that the grammar leaves no choice about, in the tokens that a model would write it in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import Vocabulary
from syntagma.grammar.lru import ByteLru

MAX_BYTES: Final = 512
"""Of longer forced text only the beginning is drafted; the rest comes in later steps."""

TAIL_BYTES: Final = 24
"""How much of the output's end is encoded along with forced text, because it decides where words begin."""

MAX_REMEMBERED: Final = 1 << 20

Encode = Callable[[str], Sequence[int]]


class ForcedText:
    """Finds forced tokens; shared by all requests, used by one thread.

    Args:
        vocabulary: of the model.
        encode: the tokenizer's own encoding of a text, without special tokens.
    """

    def __init__(self, vocabulary: Vocabulary, encode: Encode) -> None:
        self._vocabulary = vocabulary
        self._encode = encode
        order = sorted(
            (i for i, text in enumerate(vocabulary.tokens) if text),
            key=vocabulary.tokens.__getitem__,
        )
        self._texts = [vocabulary.tokens[token_id] for token_id in order]
        self._ids = np.array(order, np.int32)
        # Of tokens with the same text the first.
        self._id_of = {vocabulary.tokens[token_id]: token_id for token_id in reversed(order)}
        self._bitmask = np.zeros((1, vocabulary.num_words), np.int32)
        self._encoded: ByteLru[tuple[bytes, bytes], list[int]] = ByteLru(MAX_REMEMBERED)

    def tokens_after(self, matcher: Matcher, tail: bytes, max_tokens: int) -> list[int]:
        """The tokens that come next for certain, if the model writes canonically; ``max_tokens`` at most.

        Where the text that follows is open, a longer token might take the place of the last ones: from the
        first for which the grammar allows such a token they are left out. Where the output ends there is none.

        Args:
            matcher: of the output, left as it was found.
            tail: the end of the output's text.
        """
        forced = matcher.forced_bytes()
        if not forced:
            return []
        token_ids = self.canonical(tail[-TAIL_BYTES:], forced[:MAX_BYTES])
        if len(forced) > MAX_BYTES:
            token_ids = token_ids[:-1]  # it may have been cut
        rest = len(forced)
        accepted: list[int] = []
        for token_id in token_ids[:max_tokens]:
            is_last_stretch = rest <= self._vocabulary.max_token_bytes
            if is_last_stretch and self._may_be_longer(matcher, forced[-rest:]):
                break
            if not matcher.accept_token(token_id):
                break
            accepted.append(token_id)
            rest -= len(self._vocabulary.token_bytes(token_id))
        matcher.rollback(len(accepted))
        return accepted

    def _may_be_longer(self, matcher: Matcher, rest: bytes) -> bool:
        """Whether a token is allowed that spells the rest of the forced text and more."""
        start = bisect_left(self._texts, rest + b"\0")
        end = bisect_left(self._texts, _successor(rest), start)
        if start == end:
            return False
        matcher.fill_bitmask(self._bitmask)
        ids = self._ids[start:end]
        return bool(
            (self._bitmask[0].view(np.uint32)[ids >> 5] >> (ids & 31).astype(np.uint32) & 1).any()
        )

    def canonical(self, tail: bytes, text: bytes) -> list[int]:
        """How the tokenizer writes a text behind the end of another.

        What it cannot write, because a character is cut or it changes texts, is written with the longest tokens.
        """
        key = (tail, text)
        found = self._encoded.get(key)
        if found is None:
            found = self._behind(tail, text) or self._behind(b"", text) or self._greedy(text)
            self._encoded.put(key, found, 200 + len(tail) + 9 * len(text))
        return found

    def _behind(self, tail: bytes, text: bytes) -> list[int]:
        """The tokens of the text if a token begins where it begins, else none."""
        whole = tail.decode(errors="ignore").encode()
        skipped = len(whole)
        whole += text
        try:
            token_ids = list(self._encode(whole.decode()))
        except UnicodeDecodeError:
            return []
        texts = [self._vocabulary.token_bytes(token_id) for token_id in token_ids]
        if b"".join(texts) != whole:
            return []
        for i, piece in enumerate(texts):
            if skipped <= 0:
                return token_ids[i:] if skipped == 0 else []
            skipped -= len(piece)
        return []

    def _greedy(self, text: bytes) -> list[int]:
        """The longest token at each place; stops where there is none."""
        token_ids: list[int] = []
        at = 0
        while at < len(text):
            for size in range(min(self._vocabulary.max_token_bytes, len(text) - at), 0, -1):
                token_id = self._id_of.get(text[at : at + size])
                if token_id is not None:
                    token_ids.append(token_id)
                    at += size
                    break
            else:
                break
        return token_ids


def _successor(prefix: bytes) -> bytes:
    """The first text in order behind all those that begin like this."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\xff" * (len(prefix) + 99)
