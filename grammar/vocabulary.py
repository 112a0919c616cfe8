"""Token ids and the bytes they stand for."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from syntagma.grammar.kernel_types import BoolArray, Int32Array

# Stands around the name of a special token where a grammar asks for one: a byte that no text has.
SPECIAL_MARK = b"\xfd"


def special_word(name: str) -> bytes:
    """How a special token is spelled for grammars; no token with text has any part of it."""
    return SPECIAL_MARK + name.encode() + SPECIAL_MARK


class Vocabulary:
    """An immutable list of tokens as raw bytes.

    Args:
        tokens: the bytes of each id; an empty entry matches no text (special or unused).
        stop_ids: tokens that may end the output; they match no text either.
        special_ids: further control tokens that match no text, whatever their bytes.
        special_names: of special tokens that a grammar may ask for, by name; stop tokens are left out.
        vocab_size: width of the model's logits; ids beyond the tokens match no text.

    Raises:
        ValueError: an id out of range, ``vocab_size`` below the number of tokens, no stop id, or no
            token with text.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        stop_ids: Iterable[int],
        special_ids: Iterable[int] = (),
        special_names: Mapping[str, int] | None = None,
        vocab_size: int | None = None,
    ) -> None:
        size = len(tokens) if vocab_size is None else vocab_size
        if size < len(tokens):
            raise ValueError(f"vocab_size={size!r} is less than the number of tokens {len(tokens)}")
        self.stop_ids = tuple(sorted(set(stop_ids)))
        self.special_ids = frozenset(special_ids) | frozenset(self.stop_ids)
        for token_id in self.special_ids:
            if not 0 <= token_id < size:
                raise ValueError(f"token id {token_id!r} is not in a vocabulary of {size}")
        if not self.stop_ids:
            raise ValueError("stop_ids is empty: an output could never end")
        texts = [b"" if i in self.special_ids else bytes(t) for i, t in enumerate(tokens)]
        texts += [b""] * (size - len(texts))
        if not any(texts):
            raise ValueError("no token of the vocabulary has any text")
        self._tokens = tuple(texts)
        self.special_names: dict[str, int] = {}
        for name, token_id in (special_names or {}).items():
            if token_id not in self.special_ids:
                raise ValueError(f"{name!r} names token {token_id!r}, which is not a special one")
            if token_id not in self.stop_ids and name and SPECIAL_MARK not in name.encode():
                self.special_names[name] = token_id

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        *,
        vocab_size: int | None = None,
        stop_ids: Iterable[int] | None = None,
    ) -> Vocabulary:
        """Read a fast Hugging Face tokenizer, a `tokenizers.Tokenizer`, `tiktoken.Encoding` or tekken.

        Args:
            tokenizer: byte-level BPE, sentencepiece with byte fallback, or tiktoken/tekken.
            vocab_size: width of the model's logits, if larger than the tokenizer.
            stop_ids: tokens that end an output; default: the tokenizer's end-of-sequence token.

        Raises:
            ValueError: the tokenizer's tokens cannot be read as bytes, or no stop id is known.
        """
        from syntagma.grammar.tokenizer_bytes import read_tokenizer

        found = read_tokenizer(tokenizer)
        chosen = tuple(stop_ids) if stop_ids is not None else found.stop_ids
        return cls(
            found.tokens,
            stop_ids=chosen,
            special_ids=found.special_ids,
            special_names=found.special_names,
            vocab_size=vocab_size,
        )

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def size(self) -> int:
        """Number of ids, padding included."""
        return len(self._tokens)

    @property
    def num_words(self) -> int:
        """int32 words of one bitmask row."""
        return (len(self._tokens) + 31) // 32

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every id; empty for tokens that match no text."""
        return self._tokens

    def token_bytes(self, token_id: int) -> bytes:
        """The text of one token; empty for special tokens."""
        return self._tokens[token_id]

    @functools.cached_property
    def _special_texts(self) -> dict[int, bytes]:
        return {token_id: name.encode() for name, token_id in self.special_names.items()}

    def output_bytes(self, token_id: int) -> bytes:
        """What a token adds to an output: its text, or its name where a grammar asked for a special one."""
        return self._tokens[token_id] or self._special_texts.get(token_id, b"")

    @functools.cached_property
    def spellings(self) -> tuple[bytes, ...]:
        """The bytes by which grammars know the tokens: those of `tokens`, and of special tokens their
        `special_word`; empty for tokens that no grammar allows."""
        if not self.special_names:
            return self._tokens
        found = [b"" if SPECIAL_MARK in token else token for token in self._tokens]
        for name, token_id in self.special_names.items():
            found[token_id] = special_word(name)
        return tuple(found)

    @functools.cached_property
    def spelling_lengths(self) -> Int32Array:
        """int32[size]: bytes of every spelling."""
        return np.array(list(map(len, self.spellings)), np.int32)

    @functools.cached_property
    def token_lengths(self) -> Int32Array:
        """int32[size]: bytes of every token, 0 for those that match no text."""
        lengths = np.array(list(map(len, self._tokens)), np.int32)
        lengths.setflags(write=False)
        return lengths

    @functools.cached_property
    def spellable(self) -> BoolArray:
        """bool[256]: bytes that have a token of their own.

        Only texts over these bytes are certain to be reachable from any of their prefixes.
        """
        spellable = np.zeros(256, np.bool_)
        single = np.flatnonzero(self.token_lengths == 1).tolist()
        spellable[[self._tokens[token_id][0] for token_id in single]] = True
        if self.special_names:
            spellable[SPECIAL_MARK[0]] = True
        return spellable

    @functools.cached_property
    def spells_all(self) -> bool:
        """Whether every byte has a token of its own."""
        return bool(self.spellable.all())

    @functools.cached_property
    def stop_row(self) -> Int32Array:
        """int32[num_words], the packed row of the stop tokens."""
        row = np.zeros(self.num_words, np.uint32)
        for token_id in self.stop_ids:
            row[token_id >> 5] |= np.uint32(1 << (token_id & 31))
        return row.view(np.int32)

    @functools.cached_property
    def max_token_bytes(self) -> int:
        """Length of the longest token."""
        return int(self.token_lengths.max())

    @functools.cached_property
    def hash(self) -> str:
        """Hex digest of the whole content: equal hash, interchangeable vocabularies."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(np.int64(len(self._tokens)).tobytes())
        digest.update(self.token_lengths.tobytes())
        digest.update(b"".join(self._tokens))
        digest.update(np.array(self.stop_ids, np.int32).tobytes())
        if self.special_names:
            digest.update(repr(sorted(self.special_names.items())).encode())
        return digest.hexdigest()
