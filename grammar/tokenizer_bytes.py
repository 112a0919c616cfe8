"""The bytes behind a tokenizer's tokens.

Three families cover today's open models: byte-level BPE (each byte has a printable stand-in),
sentencepiece (a mark for the space, ``<0xNN>`` for single bytes), and tiktoken/tekken (bytes as they
are). Which one a Hugging Face tokenizer is can be read off its decoder.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class TokenizerBytes:
    """What `Vocabulary` needs to know of a tokenizer."""

    tokens: list[bytes]
    special_ids: frozenset[int]
    stop_ids: tuple[int, ...]
    special_names: dict[str, int]


def read_tokenizer(tokenizer: Any) -> TokenizerBytes:
    """Read any supported tokenizer.

    Raises:
        ValueError: none of the known families.
    """
    if hasattr(tokenizer, "token_byte_values"):
        return _read_tiktoken(tokenizer)
    if hasattr(tokenizer, "id_to_byte_piece"):
        return _read_tekken(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        raise ValueError(
            f"{type(tokenizer).__name__} is not a fast tokenizer: its tokens' bytes are unknown; "
            "load it with use_fast=True"
        )
    found = _read_fast(json.loads(backend.to_str()))
    eos = getattr(tokenizer, "eos_token_id", None)
    stop_ids = found.stop_ids if eos is None else (int(eos),)
    special_ids = found.special_ids | frozenset(getattr(tokenizer, "all_special_ids", ()))
    return TokenizerBytes(found.tokens, special_ids, stop_ids, found.special_names)


def _read_tiktoken(encoding: Any) -> TokenizerBytes:
    tokens = [b""] * encoding.n_vocab
    for token in encoding.token_byte_values():
        tokens[encoding.encode_single_token(token)] = token
    special = {name: encoding.encode_single_token(name) for name in encoding.special_tokens_set}
    stops = [i for name, i in special.items() if name in ("</s>", "<|endoftext|>", "<|im_end|>")]
    return TokenizerBytes(tokens, frozenset(special.values()), tuple(stops[:1]), special)


def _read_tekken(tokenizer: Any) -> TokenizerBytes:
    """mistral-common's ``Tekkenizer``: control tokens first, then byte pieces by rank."""
    tokens = [tokenizer.id_to_byte_piece(i) for i in range(tokenizer.n_words)]
    special_ids = frozenset(range(tokenizer.num_special_tokens))
    pieces = getattr(tokenizer, "id_to_piece", None)
    names = {} if pieces is None else {str(pieces(i)): i for i in special_ids}
    return TokenizerBytes(tokens, special_ids, (int(tokenizer.eos_id),), names)


def _read_fast(spec: dict[str, Any]) -> TokenizerBytes:
    model = spec["model"]
    vocab = model["vocab"]
    # Unigram models list (token, score) pairs, the others map token to id.
    pairs = vocab.items() if isinstance(vocab, dict) else ((t, i) for i, (t, _) in enumerate(vocab))
    added = spec.get("added_tokens") or []
    ids = {token: int(i) for token, i in pairs}
    size = 1 + max([*ids.values(), *(int(t["id"]) for t in added)])
    to_bytes = _token_decoder(spec)
    tokens = [b""] * size
    special_ids = {int(t["id"]) for t in added if t["special"]}
    if model.get("unk_token") in ids:
        special_ids.add(ids[model["unk_token"]])
    elif model.get("unk_id") is not None:
        special_ids.add(int(model["unk_id"]))
    added_ids = {int(t["id"]) for t in added}
    for token, i in ids.items():
        if i not in added_ids and i not in special_ids:
            tokens[i] = to_bytes(token)
    for entry in added:
        # Added tokens are matched in plain text, before any byte mapping.
        tokens[int(entry["id"])] = str(entry["content"]).encode()
    stops = [int(t["id"]) for t in added if t["content"] in ("</s>", "<|endoftext|>", "<eos>")]
    names = {str(t["content"]): int(t["id"]) for t in added if t["special"]}
    return TokenizerBytes(tokens, frozenset(special_ids), tuple(stops[:1]), names)


def _token_decoder(spec: dict[str, Any]) -> Any:
    decoder = spec.get("decoder") or {}
    steps = decoder.get("decoders", [decoder])
    kinds = [step.get("type") for step in steps]
    if "ByteLevel" in kinds:
        return _decode_byte_level
    marks = [s["replacement"] for s in steps if s.get("type") == "Metaspace"]
    marks += [
        s["pattern"]["String"]
        for s in steps
        if s.get("type") == "Replace" and s.get("content") == " " and "String" in s["pattern"]
    ]
    if marks or "ByteFallback" in kinds or spec["model"].get("byte_fallback"):
        return functools.partial(_decode_sentencepiece, mark=marks[0] if marks else "\u2581")
    raise ValueError(
        f"unknown tokenizer family: model {spec['model'].get('type')!r} with decoder steps {kinds}; "
        "supported are byte-level BPE, sentencepiece and tiktoken"
    )


def _decode_sentencepiece(token: str, mark: str) -> bytes:
    match = BYTE_TOKEN.fullmatch(token)
    if match:
        return bytes([int(match[1], 16)])
    return token.replace(mark, " ").encode()


def _decode_byte_level(token: str) -> bytes:
    table = _byte_of_stand_in()
    try:
        return bytes(table[char] for char in token)
    except KeyError as error:
        raise ValueError(f"token {token!r} is not byte-level: {error.args[0]!r}") from None


@functools.cache
def _byte_of_stand_in() -> dict[str, int]:
    """GPT-2's printable stand-ins: printable bytes are themselves, the others follow U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    table.update({chr(0x100 + k): byte for k, byte in enumerate(others)})
    return table
