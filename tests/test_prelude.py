"""Entries kept between processes: the same masks with the file, without it, and with a bad one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from toy import JSON_TOKENS, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import GrammarCompiler, Vocabulary
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.prelude import (
    load_or_build_prelude,
    prelude_entries,
    prelude_key,
    prelude_languages,
)
from syntagma.grammar.store_file import KIND, FiledEntries, write_entries
from syntagma.grammar.terminals import WordList
from syntagma.grammar.token_trie import TokenTrie

VOCABULARY = byte_vocabulary(JSON_TOKENS)
# No letters but those of the literals: most formats cannot be spelled.
NARROW = byte_vocabulary(
    [b'{"', b'":', b"tru", b'e"'], alphabet=b'{}[]",: \n0123456789-+.eE' + b"truefalsn\\"
)
SCHEMA = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "e": {"type": "string", "format": "email"},
        "d": {"type": "string", "format": "date"},
        "u": {"anyOf": [{"type": "string"}, {"type": "number"}]},
    },
}
TEXTS = [
    b'{"s": "a\\u00e9", "e": "a.b@c.de", "d": "2020-02-29"}',
    b'{"u": "x", "other": [1, -2.5e3, "y", null]}',
    b'{ "u": -17, "tru": "false"}',
    b'{"tru": {"e": -1.5e3, "": [ true, "ee\\n"]}}',
]


def masks(compiler: GrammarCompiler) -> AnyArray:
    """All masks along some texts, as far as they are legal; with all lexer states in the store."""
    compiler.store.max_width = 0
    rows = []
    for grammar in (compiler.compile_json_schema(SCHEMA), compiler.compile_json_object()):
        for text in TEXTS:
            matcher = Matcher(grammar)
            for byte in text:
                row = np.zeros((1, compiler.vocabulary.num_words), np.int32)
                matcher.fill_bitmask(row, 0)
                rows.append(row[0])
                token = bytes([byte])
                tokens = compiler.vocabulary.tokens
                if token not in tokens or not matcher.accept_token(tokens.index(token)):
                    break
    return np.array(rows)


def path_of_prelude(directory: Path, vocabulary: Vocabulary) -> Path:
    key = prelude_key(vocabulary, prelude_languages(vocabulary))
    return CacheDirectory(directory).path_of(KIND, key)


def build(vocabulary: Vocabulary, directory: Path) -> FiledEntries | None:
    trie = TokenTrie.from_vocabulary(vocabulary)
    return load_or_build_prelude(vocabulary, trie, CacheDirectory(directory))


@pytest.fixture(scope="module")
def expected() -> AnyArray:
    return masks(GrammarCompiler(VOCABULARY))


def test_masks_are_the_same_with_the_file(tmp_path: Path, expected: AnyArray) -> None:
    for _ in range(2):
        compiler = GrammarCompiler(VOCABULARY, cache_dir=tmp_path)
        before = compiler.store.statistics.num_filed
        assert (masks(compiler) == expected).all()
        assert compiler.store.statistics.num_filed > before
    assert path_of_prelude(tmp_path, VOCABULARY).exists()


def test_a_vocabulary_that_cannot_spell_everything(tmp_path: Path) -> None:
    assert not NARROW.spells_all
    expected = masks(GrammarCompiler(NARROW))
    compiler = GrammarCompiler(NARROW, cache_dir=tmp_path)
    assert (masks(compiler) == expected).all()
    assert compiler.store.statistics.num_filed > 5


def test_every_entry_is_what_the_store_computes(tmp_path: Path) -> None:
    entries = build(VOCABULARY, tmp_path)
    assert entries is not None
    languages = {language.key: language for language in prelude_languages(VOCABULARY)}
    store = MaskStore(VOCABULARY)
    assert len(entries) == sum(language.dfa.num_states - 1 for language in languages.values())
    for filed in list(entries)[::7]:
        terminal = store.pool.terminal_id(languages[filed.terminal_key])
        entry = store.entry(store.pool.states_of(terminal)[0] + filed.local_state)
        assert (entry.interior == filed.interior).all()
        nodes = [residuals.nodes.tolist() for _, residuals in entry.exits]
        assert nodes == ([filed.nodes.tolist()] if filed.nodes.size else [])


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_file_is_logged_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, expected: AnyArray, damage: str
) -> None:
    assert build(VOCABULARY, tmp_path) is not None
    path = path_of_prelude(tmp_path, VOCABULARY)
    raw = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(raw[:-1])
    elif damage == "flipped":
        path.write_bytes(raw[:-700] + bytes([raw[-700] ^ 1]) + raw[-699:])
    else:
        other = byte_vocabulary([b"ab"])
        assert build(other, tmp_path) is not None
        path_of_prelude(tmp_path, other).rename(path)
    with caplog.at_level(logging.WARNING):
        compiler = GrammarCompiler(VOCABULARY, cache_dir=tmp_path)
    assert len(caplog.records) == 1
    assert (masks(compiler) == expected).all()
    assert path.read_bytes() == raw


def test_no_directory_no_prelude(tmp_path: Path, expected: AnyArray) -> None:
    (tmp_path / "file").write_bytes(b"")
    compiler = GrammarCompiler(VOCABULARY, cache_dir=tmp_path / "file" / "directory")
    assert (masks(compiler) == expected).all()
    assert compiler.store.statistics.num_filed == 0


def test_other_terminals_other_file() -> None:
    languages = prelude_languages(VOCABULARY)
    key = prelude_key(VOCABULARY, languages)
    assert prelude_key(VOCABULARY, languages[:-1]) != key
    assert prelude_key(byte_vocabulary([b"ab"]), languages) != key


def test_only_automata_are_filed(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="automaton"):
        write_entries(
            tmp_path / "f", "k", prelude_entries(MaskStore(VOCABULARY), [WordList([b"a"])])
        )


def test_statistics_count_what_happens() -> None:
    compiler = GrammarCompiler(VOCABULARY)
    compiler._store = MaskStore(VOCABULARY)
    assert compiler.store.statistics.num_entries == 0
    masks(compiler)
    first = compiler.store.statistics
    assert first.num_entries == first.num_computed > 0
    assert first.num_filed == first.num_evicted == first.num_rows_evicted == 0
    assert 0 < first.num_rows <= first.max_rows
    assert first.num_bytes == compiler.store.num_bytes
    masks(compiler)
    second = compiler.store.statistics
    assert second.num_hits > first.num_hits
    assert second.num_computed == first.num_computed


def test_statistics_of_a_store_without_space() -> None:
    compiler = GrammarCompiler(VOCABULARY)
    compiler._store = MaskStore(VOCABULARY, max_bytes=0)
    masks(compiler)
    found = compiler.store.statistics
    assert found.num_entries == 1
    assert found.num_evicted > 0 and found.num_rows_evicted > 0
    assert found.num_rows <= found.max_rows == 4
