"""Vocabularies for measuring: tokens as bytes, an encoder, and what the peers need to know.

tekken         131,072 ids: 1,000 control tokens and the first 130,072 BPE tokens of tekken
               (``tekken_240911.json``, which comes with the package mistral-common)
tekken-32k      32,768 ids: 1,000 control tokens and the first 31,768 BPE tokens; a prefix of the
               merges is a BPE vocabulary of its own, so texts are encoded with it
tekken-200k    200,000 ids: all 150,000 BPE tokens of the file, and 49,000 made-up ones, each
               the concatenation of two of the first 20,000; the encoder never uses those, the
               masks must decide them like any other
bytes           a token for each byte and a few JSON tokens; for tests, needs no package
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NAMES = ("tekken", "tekken-32k", "tekken-200k", "bytes")

NUM_CONTROL = 1000
EOS_ID = 2
SIZES = {"tekken": 131_072, "tekken-32k": 32_768, "tekken-200k": 200_000}
NUM_JOINABLE = 20_000

JSON_TOKENS = (b'{"', b'": ', b'", "', b'"}', b"[[", b"]]", b"},{", b"12", b"true", b": {")


@dataclass(frozen=True)
class BenchVocabulary:
    """A vocabulary as all adapters need it.

    Attributes:
        name: one of `NAMES`.
        vocab: the bytes of every id, empty for control tokens.
        eos_id: the stop token.
        encode: text -> token ids, without control tokens.
        ranks, pattern, controls: the same as a tiktoken encoding (all ids must be covered).
    """

    name: str
    vocab: list[bytes]
    eos_id: int
    encode: Callable[[str], list[int]]
    ranks: dict[bytes, int]
    pattern: str
    controls: dict[str, int]

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.vocab)

    @property
    def words(self) -> int:
        """int32 words of a bitmask row."""
        return (len(self.vocab) + 31) // 32


def load(name: str) -> BenchVocabulary:
    """Read or make a vocabulary.

    Raises:
        ValueError: no vocabulary of that name.
        ModuleNotFoundError: mistral-common or tiktoken is missing.
    """
    if name == "bytes":
        return _byte_vocabulary()
    if name not in SIZES:
        raise ValueError(f"no vocabulary {name!r}; there are {', '.join(NAMES)}")
    return _tekken(name, SIZES[name])


def is_available(name: str) -> bool:
    """Whether the packages that hold the vocabulary are installed."""
    needed = () if name == "bytes" else ("mistral_common", "tiktoken")
    return all(importlib.util.find_spec(package) is not None for package in needed)


def _byte_vocabulary() -> BenchVocabulary:
    texts = [bytes([byte]) for byte in range(256)] + list(JSON_TOKENS)
    eos_id = len(texts)

    def encode(text: str) -> list[int]:
        return list(text.encode())

    ranks = {text: token_id for token_id, text in enumerate(texts)}
    return BenchVocabulary(
        "bytes", [*texts, b""], eos_id, encode, ranks, r"[\s\S]", {"</s>": eos_id}
    )


@functools.cache
def _tekken_file() -> tuple[str, list[bytes]]:
    """The splitting pattern and all BPE tokens by rank."""
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the tekken vocabularies need the package mistral-common")
    path = Path(spec.submodule_search_locations[0]) / "data" / "tekken_240911.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    return data["config"]["pattern"], [base64.b64decode(v["token_bytes"]) for v in data["vocab"]]


def _tekken(name: str, size: int) -> BenchVocabulary:
    import tiktoken

    pattern, texts = _tekken_file()
    texts = texts[: size - NUM_CONTROL]
    # Control tokens come first, so ids are ranks shifted by their number: merge order is kept.
    ranks = {text: NUM_CONTROL + rank for rank, text in enumerate(texts)}
    controls = {f"<SPECIAL_{i}>": i for i in range(NUM_CONTROL)}
    controls["</s>"] = controls.pop(f"<SPECIAL_{EOS_ID}>")
    encoding = tiktoken.Encoding(
        name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=controls
    )
    vocab = [b""] * NUM_CONTROL + texts
    for text in joined_tokens(texts, size - len(vocab)):
        ranks[text] = len(vocab)
        vocab.append(text)
    return BenchVocabulary(name, vocab, EOS_ID, encoding.encode_ordinary, ranks, pattern, controls)


def joined_tokens(texts: list[bytes], count: int) -> list[bytes]:
    """``count`` texts that are no tokens yet, each two frequent tokens joined; seeded."""
    rng = random.Random(20_000)
    known = set(texts)
    made: list[bytes] = []
    while len(made) < count:
        text = rng.choice(texts[:NUM_JOINABLE]) + rng.choice(texts[:NUM_JOINABLE])
        if text not in known:
            known.add(text)
            made.append(text)
    return made
