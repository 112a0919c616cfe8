"""What is kept between processes: used if it is sound, else made again; never a reason to fail."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import JSON_TOKENS, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler, Vocabulary
from syntagma.grammar.array_file import ArrayFile, StoreFileError, open_arrays, write_arrays
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.trie_file import KIND, MEMBERS, load_or_build_trie, read_trie

VOCABULARY = byte_vocabulary(JSON_TOKENS)

few_letters = st.lists(st.sampled_from([0, 97, 98, 255]), max_size=6).map(bytes)
token_lists = st.lists(few_letters, max_size=20).filter(any)


def trie_arrays(trie: TokenTrie) -> dict[str, AnyArray]:
    return dict(zip(MEMBERS, trie.arrays, strict=True))


def is_same(left: TokenTrie, right: TokenTrie) -> bool:
    arrays, others = trie_arrays(left), trie_arrays(right)
    return all(
        arrays[name].dtype == others[name].dtype and np.array_equal(arrays[name], others[name])
        for name in MEMBERS
    )


def first_masks(compiler: GrammarCompiler) -> AnyArray:
    """Masks along the way of a small text."""
    grammar = compiler.compile_json_schema({"type": "object"})
    matcher = Matcher(grammar)
    rows = np.zeros((8, VOCABULARY.num_words), np.int32)
    for number, byte in enumerate(b'{"a": [1'):
        matcher.fill_bitmask(rows, number)
        assert matcher.accept_token(byte)
    return rows


def test_a_second_compiler_finds_the_trie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "a" / "b"
    expected = first_masks(GrammarCompiler(VOCABULARY))
    assert not directory.exists()
    assert (first_masks(GrammarCompiler(VOCABULARY, cache_dir=directory)) == expected).all()
    assert f"token-trie-{VOCABULARY.hash}.arrays" in {path.name for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700

    def build(vocabulary: Vocabulary) -> TokenTrie:
        raise AssertionError("the trie is built although there is a file")

    monkeypatch.setattr(TokenTrie, "from_vocabulary", build)
    assert (first_masks(GrammarCompiler(VOCABULARY, cache_dir=directory)) == expected).all()


def test_vocabularies_have_files_of_their_own(tmp_path: Path) -> None:
    cache = CacheDirectory(tmp_path)
    for tokens in ([b"a"], [b"ab"], [b"a", b"a"]):
        vocabulary = Vocabulary([*tokens, b""], stop_ids=[len(tokens)])
        for _ in range(2):
            trie = load_or_build_trie(vocabulary, cache)
            assert is_same(trie, TokenTrie.from_vocabulary(vocabulary))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "forged"])
def test_a_damaged_file_is_logged_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    cache = CacheDirectory(tmp_path)
    expected = load_or_build_trie(VOCABULARY, cache)
    path = cache.path_of(KIND, VOCABULARY.hash)
    raw = path.read_bytes()
    arrays = trie_arrays(expected)
    path.unlink()
    if damage == "cut":
        path.write_bytes(raw[:-1])
    elif damage == "flipped":
        path.write_bytes(raw[:-70] + bytes([raw[-70] ^ 1]) + raw[-69:])
    elif damage == "foreign":
        write_arrays(path, kind=KIND, key="another vocabulary", arrays=arrays)
    else:
        arrays["token_ids"] = arrays["token_ids"] + 1_000_000
        write_arrays(path, kind=KIND, key=VOCABULARY.hash, arrays=arrays)
    with caplog.at_level(logging.WARNING):
        assert is_same(load_or_build_trie(VOCABULARY, cache), expected)
    assert len(caplog.records) == 1
    caplog.clear()
    assert is_same(load_or_build_trie(VOCABULARY, CacheDirectory(tmp_path)), expected)
    assert path.read_bytes() == raw
    assert not caplog.records


def test_a_directory_that_cannot_be_used_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = CacheDirectory(tmp_path / "file" / "directory")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            trie = load_or_build_trie(VOCABULARY, cache)
            assert is_same(trie, TokenTrie.from_vocabulary(VOCABULARY))
    assert len(caplog.records) == 1
    assert str(tmp_path / "file" / "directory") in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o500)
    assert is_same(
        load_or_build_trie(VOCABULARY, CacheDirectory(tmp_path)),
        TokenTrie.from_vocabulary(VOCABULARY),
    )
    assert len(caplog.records) == 1


@given(token_lists)
def test_a_trie_comes_back_from_its_arrays(tokens: list[bytes]) -> None:
    vocabulary = Vocabulary([*tokens, b""], stop_ids=[len(tokens)])
    trie = TokenTrie.from_vocabulary(vocabulary)
    file = ArrayFile(KIND, vocabulary.hash, {}, trie_arrays(trie))
    assert is_same(read_trie(file, vocabulary), trie)


def naive_is_safe(trie: TokenTrie, vocabulary: Vocabulary) -> bool:
    """Walk node by node: subtrees nest and every token ends where its length says."""
    found = []
    open_ends = [trie.num_nodes]
    for node in range(trie.num_nodes):
        while open_ends and open_ends[-1] == node:
            open_ends.pop()
        if trie.depth[node] != len(open_ends) - 1:
            return False
        if not node < trie.subtree_end[node] <= open_ends[-1]:
            return False
        if node == 0 and trie.subtree_end[0] != trie.num_nodes:
            return False
        open_ends.append(int(trie.subtree_end[node]))
        first, last = int(trie.token_start[node]), int(trie.token_start[node + 1])
        if not 0 <= first <= last <= trie.token_ids.size:
            return False
        found += [(int(i), int(trie.depth[node])) for i in trie.token_ids[first:last]]
    expected = [(i, len(token)) for i, token in enumerate(vocabulary.tokens) if token]
    return sorted(found) == expected and len(found) == trie.token_ids.size


@given(token_lists, st.data())
def test_a_forged_trie_is_refused_unless_it_is_safe(
    tokens: list[bytes], data: st.DataObject
) -> None:
    vocabulary = Vocabulary([*tokens, b""], stop_ids=[len(tokens)])
    arrays = {k: v.copy() for k, v in trie_arrays(TokenTrie.from_vocabulary(vocabulary)).items()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([name for name in MEMBERS if name != "byte"]))
        at = data.draw(st.integers(0, arrays[name].size - 1))
        value = int(arrays[name][at])
        near = st.integers(max(value - 2, -(2**31)), min(value + 2, 2**31 - 1))
        arrays[name][at] = data.draw(near | st.sampled_from([-(2**31), -1, 2**31 - 1]))
    forged = ArrayFile(KIND, vocabulary.hash, {}, arrays)
    is_safe = naive_is_safe(TokenTrie(*(arrays[name] for name in MEMBERS)), vocabulary)
    if is_safe:
        read_trie(forged, vocabulary)
    else:
        with pytest.raises(StoreFileError):
            read_trie(forged, vocabulary)


def test_a_trie_with_arrays_missing_or_of_another_type(tmp_path: Path) -> None:
    arrays = trie_arrays(TokenTrie.from_vocabulary(VOCABULARY))
    wrong: list[dict[str, AnyArray]] = [
        {name: array for name, array in arrays.items() if name != "depth"},
        arrays | {"depth": arrays["depth"].astype(np.int64)},
        arrays | {"depth": arrays["depth"].reshape(1, -1)},
        arrays | {"byte": arrays["byte"][:-1]},
        arrays | {"byte": arrays["byte"][:0]},
        arrays | {"token_start": arrays["token_start"][:-1]},
    ]
    for number, members in enumerate(wrong):
        path = tmp_path / str(number)
        write_arrays(path, kind=KIND, key=VOCABULARY.hash, arrays=members)
        with pytest.raises(StoreFileError, match=r"token trie|array"):
            read_trie(open_arrays(path, kind=KIND), VOCABULARY)
