"""Token bytes of the tokenizer families, each built here from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from syntagma.grammar import Vocabulary

CORPUS = [
    'the quick brown fox {"name": "Zoë", "n": 12}\n',
    "déjà vu über naïve 中文 \U0001f600\U0001f601 the the quick quick",
    '    indented\n\ttabs "quoted" \\escaped\\ [1, 2, 3]',
] * 3
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text(st.sampled_from('the quick{"n": 12}\n\t é中\U0001f600\\'), max_size=30),
)


def byte_level_bpe() -> Tokenizer:
    """GPT-2's scheme: every byte has a printable stand-in."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_tokens() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def as_sentencepiece(tokenizer: Tokenizer) -> Tokenizer:
    """Llama's pipeline: spaces become U+2581, unknown characters become byte tokens."""
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def sentencepiece_bpe() -> Tokenizer:
    pieces = [
        "<unk>",
        "</s>",
        *byte_tokens(),
        *"\u2581thequick{}:,é",
        "th",
        "the",
        "\u2581the",
        "qu",
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[("t", "h"), ("th", "e"), ("\u2581", "the"), ("q", "u")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    return as_sentencepiece(tokenizer)


def sentencepiece_unigram() -> Tokenizer:
    pieces = [
        "<unk>",
        "</s>",
        *byte_tokens(),
        *"\u2581thequick{}:,é中",
        "\u2581the",
        "quick",
        "\u2581\u2581",
    ]
    scores = [(piece, -1.0 - len(piece) % 3) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=True))
    tokenizer.add_special_tokens(["</s>"])
    return as_sentencepiece(tokenizer)


def metaspace_unigram() -> Tokenizer:
    """The older pipeline, where a pre-tokenizer writes the mark and a decoder reads it."""
    tokenizer = sentencepiece_unigram()
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never", split=False)]
    )
    return tokenizer


def tiktoken_encoding() -> tiktoken.Encoding:
    pieces = [bytes([byte]) for byte in range(256)]
    pieces += [b"th", b"the", b" the", b"qu", b"\xc3\xa9", b"\xf0\x9f", b'{"', b'":']
    return tiktoken.Encoding(
        "toy",
        pat_str=r" ?\p{L}+|\p{N}|[^\p{L}\p{N}]+",
        mergeable_ranks={piece: rank for rank, piece in enumerate(pieces)},
        special_tokens={"<|endoftext|>": len(pieces), "<|other|>": len(pieces) + 3},
    )


BYTE_LEVEL = byte_level_bpe()
FAST = {
    "byte-level": BYTE_LEVEL,
    "sentencepiece BPE": sentencepiece_bpe(),
    "sentencepiece Unigram": sentencepiece_unigram(),
    "Metaspace": metaspace_unigram(),
}
VOCABULARIES = {name: Vocabulary.from_tokenizer(t) for name, t in FAST.items()}
TIKTOKEN = tiktoken_encoding()


def joined(vocabulary: Vocabulary, ids: Iterable[int]) -> bytes:
    return b"".join(vocabulary.token_bytes(i) for i in ids)


@pytest.mark.parametrize("name", FAST)
@given(text=texts)
@example(text="")
@example(text=" the quick  \u00e9\u4e2d\U0001f600 \n\t\x00\x7f\x80\u0100")
def test_the_bytes_of_an_encoding_are_the_text(name: str, text: str) -> None:
    text = text.replace("\u2581", "_")  # sentencepiece reads its own mark as a space
    ids = FAST[name].encode(text, add_special_tokens=False).ids
    assert joined(VOCABULARIES[name], ids) == text.encode()


@given(texts)
@example(' the thé \U0001f600 {":')
def test_the_bytes_of_a_tiktoken_encoding_are_the_text(text: str) -> None:
    vocabulary = Vocabulary.from_tokenizer(TIKTOKEN)
    assert joined(vocabulary, TIKTOKEN.encode_ordinary(text)) == text.encode()


@pytest.mark.parametrize("name", FAST)
def test_every_byte_is_spellable_and_every_id_is_read(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    assert vocabulary.spellable.all()
    assert vocabulary.size == FAST[name].get_vocab_size()
    silent = {i for i, token in enumerate(vocabulary.tokens) if not token}
    assert silent == vocabulary.special_ids
    assert vocabulary.max_token_bytes == max(map(len, vocabulary.tokens))


def test_tiktoken_special_tokens_and_gaps() -> None:
    """Ids that stand for nothing are empty; stop and special tokens are too."""
    vocabulary = Vocabulary.from_tokenizer(TIKTOKEN)
    end = TIKTOKEN.encode_single_token("<|endoftext|>")
    assert vocabulary.size == TIKTOKEN.n_vocab == end + 4
    assert vocabulary.stop_ids == (end,)
    assert vocabulary.special_ids == {end, end + 3}
    assert vocabulary.tokens[end:] == (b"", b"", b"", b"")
    assert vocabulary.token_bytes(TIKTOKEN.encode_single_token(b'{"')) == b'{"'


def test_default_stop_tokens() -> None:
    assert VOCABULARIES["byte-level"].stop_ids == (BYTE_LEVEL.token_to_id("<|endoftext|>"),)
    for name in ("sentencepiece BPE", "sentencepiece Unigram", "Metaspace"):
        assert VOCABULARIES[name].stop_ids == (FAST[name].token_to_id("</s>"),)


def test_added_tokens_are_plain_text_and_special_ones_are_silent() -> None:
    tokenizer = byte_level_bpe()
    tokenizer.add_tokens(["<tool> é", AddedToken("    ", normalized=False)])
    tokenizer.add_special_tokens(["<|im_start|>"])
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.token_bytes(tokenizer.token_to_id("<tool> é")) == "<tool> é".encode()
    assert vocabulary.token_bytes(tokenizer.token_to_id("    ")) == b"    "
    assert vocabulary.token_bytes(tokenizer.token_to_id("<|im_start|>")) == b""
    assert tokenizer.token_to_id("<|im_start|>") in vocabulary.special_ids
    text = "a<tool> éb    c"
    assert joined(vocabulary, tokenizer.encode(text).ids) == text.encode()
    assert vocabulary.hash != VOCABULARIES["byte-level"].hash


def test_an_added_token_replaces_the_piece_of_its_id() -> None:
    """In a sentencepiece vocabulary, added tokens are not read as pieces."""
    tokenizer = sentencepiece_bpe()
    tokenizer.add_tokens(["<0x41>\u2581"])
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    added = tokenizer.token_to_id("<0x41>\u2581")
    assert vocabulary.token_bytes(added) == "<0x41>\u2581".encode()
    assert vocabulary.token_bytes(tokenizer.token_to_id("<0x41>")) == b"A"


class HuggingFaceLike:
    """The parts of a `transformers` fast tokenizer that matter."""

    def __init__(self, tokenizer: Tokenizer, eos: int | None, special: list[int]) -> None:
        self.backend_tokenizer = tokenizer
        self.eos_token_id = eos
        self.all_special_ids = special


def test_a_hugging_face_tokenizer_names_its_own_end() -> None:
    the = BYTE_LEVEL.token_to_id("t")
    vocabulary = Vocabulary.from_tokenizer(HuggingFaceLike(BYTE_LEVEL, the, [the]))
    assert vocabulary.stop_ids == (the,)
    assert vocabulary.token_bytes(the) == b""
    assert not vocabulary.spellable[ord("t")]
    other = Vocabulary.from_tokenizer(HuggingFaceLike(BYTE_LEVEL, None, []))
    assert other.hash == VOCABULARIES["byte-level"].hash


def test_stop_ids_may_be_given() -> None:
    vocabulary = Vocabulary.from_tokenizer(BYTE_LEVEL, stop_ids=[5, 3, 5])
    assert vocabulary.stop_ids == (3, 5)
    assert vocabulary.special_ids >= {3, 5}
    assert vocabulary.token_bytes(3) == vocabulary.token_bytes(5) == b""


def test_logits_wider_than_the_tokenizer_are_padded() -> None:
    size = VOCABULARIES["byte-level"].size
    vocabulary = Vocabulary.from_tokenizer(BYTE_LEVEL, vocab_size=size + 70)
    assert len(vocabulary) == vocabulary.size == size + 70
    assert vocabulary.num_words == (size + 70 + 31) // 32
    assert vocabulary.tokens[size:] == (b"",) * 70
    assert vocabulary.tokens[:size] == VOCABULARIES["byte-level"].tokens
    assert vocabulary.hash != VOCABULARIES["byte-level"].hash


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def no_decoder() -> Tokenizer:
    return Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))


def not_byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "中": 1}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def no_end() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (word_piece(), "unknown tokenizer family: model 'WordPiece'"),
        (no_decoder(), "unknown tokenizer family: model 'WordLevel'"),
        (not_byte_level(), "token '中' is not byte-level"),
        (no_end(), "stop_ids is empty"),
        (object(), "object is not a fast tokenizer"),
    ],
)
def test_tokenizers_that_cannot_be_read(tokenizer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_tokenizer(tokenizer)


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        ([b"a", b""], {"stop_ids": []}, "stop_ids is empty"),
        ([b"a", b""], {"stop_ids": [2]}, "token id 2 is not in a vocabulary of 2"),
        ([b"a", b""], {"stop_ids": [-1]}, "token id -1 is not in a vocabulary of 2"),
        ([b"a", b""], {"stop_ids": [1], "special_ids": [7]}, "token id 7"),
        ([b"a", b""], {"stop_ids": [1], "vocab_size": 1}, "vocab_size=1 is less"),
        ([b"a"], {"stop_ids": [0]}, "no token of the vocabulary has any text"),
        ([], {"stop_ids": [0], "vocab_size": 3}, "no token of the vocabulary has any text"),
    ],
)
def test_what_is_not_a_vocabulary(
    tokens: list[bytes], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens, **options)


def test_control_tokens_match_no_text_whatever_their_bytes() -> None:
    vocabulary = Vocabulary([b"a", b"</s>", b"<s>", b"b"], stop_ids=[1], special_ids=[2])
    assert vocabulary.tokens == (b"a", b"", b"", b"b")
    assert vocabulary.stop_ids == (1,)
    assert vocabulary.special_ids == {1, 2}
    assert np.flatnonzero(vocabulary.spellable).tolist() == [ord("a"), ord("b")]
    assert vocabulary.max_token_bytes == 1


def test_a_stop_id_may_lie_in_the_padding() -> None:
    vocabulary = Vocabulary([b"a"], stop_ids=[5], vocab_size=6)
    assert vocabulary.tokens == (b"a", b"", b"", b"", b"", b"")


@given(st.lists(st.binary(max_size=3), min_size=2, max_size=6), st.data())
def test_hash_tells_contents_apart(tokens: list[bytes], data: st.DataObject) -> None:
    """Equal for equal contents; different if a token, an end of one, a size or a stop id differs."""
    tokens = [*tokens, b"x", b""]
    base = Vocabulary(tokens, stop_ids=[len(tokens) - 1])
    same = Vocabulary(list(base.tokens), stop_ids=[len(tokens) - 1], special_ids=[len(tokens) - 1])
    assert base.hash == same.hash
    index = data.draw(st.integers(0, len(tokens) - 2))
    changed = list(tokens)
    changed[index] += b"y"
    moved = [b"".join(tokens[:2]), b"", *tokens[2:]]
    others = [
        Vocabulary(changed, stop_ids=[len(tokens) - 1]),
        Vocabulary(tokens, stop_ids=[len(tokens) - 1], vocab_size=len(tokens) + 1),
        Vocabulary([*tokens[:-1], b"z", b""], stop_ids=[len(tokens)]),
        Vocabulary([*tokens, b""], stop_ids=[len(tokens)]),
    ]
    if moved != tokens:
        others.append(Vocabulary(moved, stop_ids=[len(tokens) - 1]))
    assert base.hash not in {other.hash for other in others}


class Tekken:
    """The part of mistral-common's ``Tekkenizer`` that is read: control tokens, then pieces."""

    n_words = 6
    num_special_tokens = 3
    eos_id = 2

    def id_to_byte_piece(self, token_id: int) -> bytes:
        return [b"", b"", b"", b"a", b"\xc3", b'{"'][token_id]


def test_tekken() -> None:
    vocabulary = Vocabulary.from_tokenizer(Tekken())
    assert vocabulary.tokens == (b"", b"", b"", b"a", b"\xc3", b'{"')
    assert vocabulary.stop_ids == (2,)
    assert vocabulary.special_ids == {0, 1, 2}
