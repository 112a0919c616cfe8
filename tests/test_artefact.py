"""Grammars in files: the same rules come back, the same masks in another process, or an error."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import schemas
from toy import JSON_TOKENS, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompiledGrammar,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    artefact,
    ir,
)
from syntagma.grammar import dfa as dfas
from syntagma.grammar.array_file import Field, StoreFileError, open_arrays, write_arrays
from syntagma.grammar.artefact import Artefact, grammar_of_arrays
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.terminals import Language, OtherStrings, WordList

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
VOCABULARY = byte_vocabulary(JSON_TOKENS)

words = st.lists(st.sampled_from([b"a", b"b", b"\xff", b'"']), min_size=1, max_size=3).map(b"".join)
word_lists = st.lists(words, min_size=1, max_size=3)
names = st.lists(st.text(max_size=3) | st.sampled_from(["", "\ud800", "é"]), max_size=3)
languages: st.SearchStrategy[Language] = st.one_of(
    word_lists.map(dfas.from_words), word_lists.map(WordList), names.map(OtherStrings)
)
counts = st.tuples(st.integers(0, 3) | st.just(2**63 - 1), st.integers(0, 3) | st.none())


@st.composite
def grammars(draw: st.DrawFn) -> ir.Grammar:
    """Rules of every kind of node; parts are shared within and between rules."""
    num_rules = draw(st.integers(1, 4))
    terminals = st.lists(languages, min_size=1, max_size=4)
    pool: list[ir.Node] = [ir.Terminal(language) for language in draw(terminals)]
    pool += [ir.EMPTY, ir.NOTHING, ir.Call(draw(st.integers(0, num_rules - 1)))]
    for _ in range(draw(st.integers(0, 12))):
        parts = draw(st.lists(st.sampled_from(pool), max_size=4))
        shape = draw(st.sampled_from(["sequence", "choice", "repeat"]))
        if shape == "repeat":
            low, extra = draw(counts)
            high = None if extra is None else min(low + extra, 2**63 - 1)
            pool.append(ir.Repeat(draw(st.sampled_from(pool)), low, high))
        else:
            pool.append((ir.Sequence if shape == "sequence" else ir.Choice)(tuple(parts)))
    grammar = ir.Grammar(is_proper=draw(st.booleans()))
    for _ in range(num_rules):
        grammar.add(draw(st.text(max_size=5) | st.just("\udfff")), draw(st.sampled_from(pool)))
    grammar.proper_rules |= draw(st.sets(st.integers(0, num_rules - 1)))
    return grammar


def same_node(left: ir.Node, right: ir.Node) -> bool:
    """Equal node for node, terminals by class and key; small nodes only."""
    match left, right:
        case ir.Terminal(one), ir.Terminal(other):
            return type(one) is type(other) and one.key == other.key
        case (ir.Sequence(ones), ir.Sequence(others)) | (ir.Choice(ones), ir.Choice(others)):
            return len(ones) == len(others) and all(map(same_node, ones, others))
        case ir.Repeat(one_part, low, high), ir.Repeat(other_part, other_low, other_high):
            return (low, high) == (other_low, other_high) and same_node(one_part, other_part)
        case ir.Call(one_rule), ir.Call(other_rule):
            return one_rule == other_rule
    return False


def arrays_of_grammar(grammar: ir.Grammar) -> dict[str, AnyArray]:
    return artefact.arrays_of_grammar(grammar, Budget.unlimited())


def saved(path: Path, grammar: ir.Grammar) -> Path:
    artefact.save(path, Artefact("regex", "hash", "vocabulary", grammar), Budget.unlimited())
    return path


@SETTINGS
@given(grammars())
def test_rules_come_back(tmp_path: Path, grammar: ir.Grammar) -> None:
    found = artefact.load(saved(tmp_path / "file", grammar))
    assert (found.kind, found.hash, found.vocabulary_hash) == ("regex", "hash", "vocabulary")
    assert found.grammar.names == grammar.names
    assert found.grammar.is_proper == grammar.is_proper
    assert found.grammar.proper_rules == grammar.proper_rules
    assert found.grammar.produce is None
    assert len(found.grammar.rules) == len(grammar.rules)
    assert all(map(same_node, found.grammar.produce_all(), grammar.produce_all()))


@SETTINGS
@given(grammars())
def test_what_was_read_is_written_as_it_was(tmp_path: Path, grammar: ir.Grammar) -> None:
    first = saved(tmp_path / "first", grammar)
    second = saved(tmp_path / "second", artefact.load(first).grammar)
    assert first.read_bytes() == second.read_bytes()


def test_rules_are_produced_before_they_are_written(tmp_path: Path) -> None:
    grammar = ir.Grammar(names=["start"], rules=[None])
    word = ir.Terminal(WordList([b"x"]))

    def produce(rule: int) -> None:
        body = ir.Call(grammar.declare(f"below {rule}")) if rule < 3 else word
        grammar.define(rule, body)

    grammar.produce = produce
    found = artefact.load(saved(tmp_path / "file", grammar)).grammar
    assert found.names == ["start", "below 0", "below 1", "below 2"]
    assert [type(body) for body in found.rules] == [ir.Call, ir.Call, ir.Call, ir.Terminal]


def test_rules_without_end_are_a_limit(tmp_path: Path) -> None:
    grammar = ir.Grammar()
    grammar.produce = lambda rule: grammar.define(rule, ir.Call(grammar.declare("next")))
    grammar.declare("start")
    found = Artefact("regex", "hash", "vocabulary", grammar)
    with pytest.raises(GrammarLimitError, match="max_rules = 100"):
        artefact.save(tmp_path / "file", found, Budget(CompileLimits(max_rules=100)))
    assert list(tmp_path.iterdir()) == []


def test_an_undefined_rule_has_no_words(tmp_path: Path) -> None:
    grammar = ir.Grammar()
    grammar.declare("start")
    assert artefact.load(saved(tmp_path / "file", grammar)).grammar.rules == [ir.NOTHING]


def test_equal_parts_are_stored_once_and_shared(tmp_path: Path) -> None:
    grammar = ir.Grammar()
    for rule in range(50):
        word = ir.Terminal(WordList([b"word"]))
        grammar.add(str(rule), ir.Sequence((word, ir.optional(ir.Terminal(WordList([b"word"]))))))
    assert arrays_of_grammar(grammar)["operators"].size == 4
    rules = artefact.load(saved(tmp_path / "file", grammar)).grammar.rules
    assert len({id(body) for body in rules}) == 1


def test_rules_may_nest_deeply(tmp_path: Path) -> None:
    node: ir.Node = ir.Terminal(WordList([b"x"]))
    for level in range(30_000):
        node = ir.Repeat(node, 0, level) if level % 2 else ir.Sequence((node, ir.EMPTY))
    grammar = ir.Grammar()
    grammar.add("deep", node)
    found = artefact.load(saved(tmp_path / "file", grammar)).grammar
    ours, theirs = arrays_of_grammar(grammar), arrays_of_grammar(found)
    assert ours["operators"].size == 30_002
    assert all(np.array_equal(array, theirs[name]) for name, array in ours.items())


def test_a_part_that_doubles_again_and_again_is_written_but_not_read(tmp_path: Path) -> None:
    """A megabyte of such nodes would be a number of positions that nothing can count."""
    node: ir.Node = ir.Terminal(WordList([b"x"]))
    for _ in range(1000):
        node = ir.Sequence((node, node))
    grammar = ir.Grammar()
    grammar.add("wide", node)
    with pytest.raises(StoreFileError, match="too large when written out"):
        artefact.load(saved(tmp_path / "file", grammar))


def test_a_count_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    grammar = ir.Grammar()
    grammar.add("many", ir.Repeat(ir.Terminal(WordList([b"x"])), 2**63, None))
    with pytest.raises(ValueError, match="64 bits"):
        saved(tmp_path / "file", grammar)
    assert list(tmp_path.iterdir()) == []


def sample() -> ir.Grammar:
    """Every kind of node and of terminal."""
    grammar = ir.Grammar()
    dfa, other_dfa = dfas.from_words([b"a", b"bc"]), dfas.literal(b"zz")
    listed, other = ir.Terminal(WordList([b"x", b"yz"])), ir.Terminal(OtherStrings(["n", "né"]))
    grammar.add("start", ir.Choice((ir.Terminal(dfa), ir.Sequence((other, ir.Call(1))))))
    grammar.add("next", ir.Sequence((ir.Repeat(listed, 2, 5), ir.Terminal(other_dfa), ir.EMPTY)))
    return grammar


@pytest.mark.parametrize(
    "changes",
    [
        {"operators": (0, 5)},
        {"operators": (3, 0)},
        {"operators": (3, 3)},
        {"operators": (6, 1)},
        {"low": (3, 1)},
        {"high": (0, 1)},
        {"low": (0, -1)},
        {"low": (0, 4)},
        {"low": (2, 2)},
        {"low": (2, -1)},
        {"low": (6, 6)},
        {"high": (6, -2)},
        {"high": (6, 1)},
        {"part_start": (0, 1)},
        {"part_start": (-1, 0)},
        {"part_start": (4, 99)},
        {"parts": (0, -1)},
        {"parts": (0, 3)},
        {"parts": (0, 99)},
        {"rule_bodies": (0, -1)},
        {"rule_bodies": (1, 99)},
        {"name_ends": (0, -1)},
        {"name_ends": (0, 99)},
        {"name_text": (0, 0xFF)},
        {"language_keys": ((0, 0), 0)},
        {"language_kinds": (0, 1)},
        {"language_kinds": (0, 3)},
        {"language_kinds": (2, 0)},
        {"dfa_shapes": ((0, 0), -4)},
        {"dfa_shapes": ((0, 1), 2**31 - 1)},
        {"transitions": (0, 1)},
        {"transitions": (4, -1)},
        {"transitions": (4, 99)},
        {"transitions": (5, 0)},
        {"transitions": (5, 3)},
        {"byte_classes": ((0, 97), 99)},
        {"byte_classes": ((0, 97), 0)},
        {"accepting": (0, True)},
        {"accepting": (1, True)},
        {"accepting": (2, False)},
        {"accepting": (3, True)},
        {"word_start": (0, 1)},
        {"word_start": (2, -1)},
        {"word_start": (-1, 99)},
        {"word_ends": (0, 99)},
        {"word_ends": (0, -1)},
        {"text": (0, 0xFF)},
    ],
    ids=str,
)
def test_forged_numbers_are_refused(tmp_path: Path, changes: dict[str, tuple[Any, int]]) -> None:
    arrays = {name: array.copy() for name, array in arrays_of_grammar(sample()).items()}
    for name, (at, value) in changes.items():
        assert arrays[name][at] != value
        arrays[name][at] = value
    refuse(tmp_path, arrays)


@pytest.mark.parametrize("name", list(arrays_of_grammar(sample())))
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, name: str) -> None:
    arrays = arrays_of_grammar(sample())
    longer = np.concatenate([arrays[name], arrays[name][-1:]])
    for other in (arrays[name][:-1], longer, arrays[name].astype(np.int32).reshape(1, 1, -1)):
        refuse(tmp_path, arrays | {name: other})
    refuse(tmp_path, {other: array for other, array in arrays.items() if other != name})


def refuse(tmp_path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """A file with a correct digest over wrong numbers."""
    path = tmp_path / "file"
    fields: dict[str, Field] = {"kind": "regex", "vocabulary_hash": "v", "is_proper": False}
    write_arrays(path, kind="grammar", key="h", arrays=arrays, fields=fields)
    with pytest.raises(StoreFileError):
        artefact.load(path)


@SETTINGS
@given(grammars(), st.data())
def test_forged_grammars_are_refused_or_well_formed(
    grammar: ir.Grammar, data: st.DataObject
) -> None:
    """Whatever is read can be written again: all its numbers are in range."""
    arrays = {name: array.copy() for name, array in arrays_of_grammar(grammar).items()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([n for n, array in arrays.items() if array.size]))
        flat = arrays[name].reshape(-1)
        at = data.draw(st.integers(0, flat.size - 1))
        limits = (
            (0, 1) if flat.dtype == np.bool_ else (0, 255) if flat.dtype == np.uint8 else (-2, 99)
        )
        flat[at] = data.draw(st.integers(*limits))
    try:
        found = grammar_of_arrays(arrays, is_proper=False)
    except StoreFileError:
        return
    again = grammar_of_arrays(arrays_of_grammar(found), is_proper=False)
    assert all(map(same_node, found.produce_all(), again.produce_all()))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": 1, "vocabulary_hash": "v", "is_proper": False},
        {"kind": "regex", "vocabulary_hash": "v"},
        {"kind": "regex", "vocabulary_hash": "v", "is_proper": 1},
        {"kind": "regex", "is_proper": True},
    ],
    ids=str,
)
def test_a_file_must_say_what_it_holds(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "file"
    write_arrays(path, kind="grammar", key="h", arrays=arrays_of_grammar(sample()), fields=fields)
    with pytest.raises(StoreFileError, match="does not say"):
        artefact.load(path)


def masks_along(grammar: CompiledGrammar, seed: int, num_tokens: int) -> list[str]:
    """The masks and the tokens of random walks, as text."""
    rng = random.Random(seed)
    found = []
    matcher = Matcher(grammar)
    bitmask = np.zeros((1, grammar.vocabulary.num_words), np.int32)
    for _ in range(num_tokens):
        matcher.fill_bitmask(bitmask, 0)
        bits = np.unpackbits(bitmask[0].view(np.uint8), bitorder="little")
        token_id = rng.choice(np.flatnonzero(bits).tolist())
        found.append(f"{bitmask.tobytes().hex()} {token_id}")
        matcher.accept_token(token_id)
        if matcher.is_terminated():
            matcher = Matcher(grammar)
    return found


@settings(SETTINGS, max_examples=SETTINGS.max_examples // 4)
@given(schemas(), st.integers(0, 99))
def test_a_loaded_grammar_gives_the_same_masks(
    tmp_path: Path, schema: dict[str, Any], seed: int
) -> None:
    compiler = GrammarCompiler(VOCABULARY)
    try:
        grammar = compiler.compile_json_schema(schema)
    except GrammarError:
        return
    grammar.save(tmp_path / "file")
    loaded = GrammarCompiler(VOCABULARY).load(tmp_path / "file")
    assert (loaded.kind, loaded.hash) == (grammar.kind, grammar.hash)
    assert masks_along(loaded, seed, 30) == masks_along(grammar, seed, 30)


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 9},
        "tags": {"type": "array", "items": {"enum": ["a", "b\n", "é"]}},
        "next": {"$ref": "#"},
        "when": {"type": "string", "format": "date"},
    },
    "additionalProperties": {"type": "integer"},
}

IN_ANOTHER_PROCESS = """
import json, sys
from test_artefact import VOCABULARY, masks_along
from syntagma.grammar import GrammarCompiler
compiler = GrammarCompiler(VOCABULARY, cache_dir=sys.argv[1])
masks = [masks_along(compiler.load(path), 7, 150) for path in sys.argv[2:]]
maps = open("/proc/self/maps").read() if sys.platform == "linux" else None
print(json.dumps([masks, maps]))
"""


def test_another_process_maps_the_file_and_gives_the_same_masks(tmp_path: Path) -> None:
    compiler = GrammarCompiler(VOCABULARY, cache_dir=tmp_path / "cache")
    grammars = [
        compiler.compile_json_schema(SCHEMA),
        compiler.compile_json_object(whitespace="compact"),
        compiler.compile_regex(r"(\d{2,4}-)+[a-zé]*|x{1,300}"),
        compiler.compile_choice(["yes", "no", "yes and no"]),
    ]
    paths = [str(tmp_path / grammar.kind) for grammar in grammars]
    for grammar, path in zip(grammars, paths, strict=True):
        grammar.save(path)
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "cache"), *paths]
    printed = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout
    masks, maps = json.loads(printed)
    assert masks == [masks_along(grammar, 7, 150) for grammar in grammars]
    # The compiled grammars were let go of; the trie of the vocabulary is still in use.
    assert maps is None or str(tmp_path / "cache") in maps


def test_a_grammar_for_another_vocabulary_is_refused_and_says_so(tmp_path: Path) -> None:
    GrammarCompiler(VOCABULARY).compile_regex("a+").save(tmp_path / "file")
    other = GrammarCompiler(byte_vocabulary())
    with pytest.raises(StoreFileError, match="vocabulary") as caught:
        other.load(tmp_path / "file")
    assert VOCABULARY.hash in str(caught.value)
    assert other.vocabulary.hash in str(caught.value)


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    grammar = ir.Grammar()
    grammar.add("start", ir.Terminal(WordList([b"x"])))
    found = Artefact("telepathy", "h", VOCABULARY.hash, grammar)
    artefact.save(tmp_path / "file", found, Budget.unlimited())
    with pytest.raises(StoreFileError, match="telepathy"):
        GrammarCompiler(VOCABULARY).load(tmp_path / "file")


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "file", sample())
    raw = path.read_bytes()
    rng = random.Random(1)
    for position in rng.sample(range(len(raw)), 500):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 0x40]) + raw[position + 1 :])
        with pytest.raises(StoreFileError):
            artefact.load(path)
    path.write_bytes(raw)
    assert open_arrays(path, kind="grammar").key == "hash"
    assert len(artefact.load(path).grammar.rules) == 2
