"""XML by name, against the parser of the standard library."""

from __future__ import annotations

import os
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from language_walks import check_masks, walk
from toy import accepts, byte_vocabulary

from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler

NUM_WALKS = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 60
TOKENS = [
    b"><", b"</", b"/>", b"></a>", b"<a", b"<b>", b"a=", b'="', b'" a', b'" id="', b"]]>", b"--",
    b"<!--", b"-->", b"<![CDATA[", b"&amp;", b"&#x", b"<?", b"?>", b"ab", b"div", b"</div>",
    b"a></a>", b"\xc3\xa9", b" a=''", b"<?xml", b"></", b"<div></div>", b"<a a='' ", b"a='' a",
]  # fmt: skip


@pytest.fixture(scope="module")
def grammar() -> CompiledGrammar:
    limits = CompileLimits(max_seconds=60)
    return GrammarCompiler(byte_vocabulary(TOKENS), limits=limits).compile_language("xml")


def test_walks_are_well_formed(grammar: CompiledGrammar) -> None:
    rng = random.Random(6)
    for _ in range(NUM_WALKS):
        ET.fromstring(walk(grammar, rng, max_tokens=60))


@pytest.mark.parametrize(
    "text",
    [
        "<a/>",
        "<a x=\"1\" y='2'>t<b>u</b>&lt;</a >",
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- c --><aa><![CDATA[ ]] ]]></aa>\n',
        "<a><a x=''><a x=''/></a></a>",
        "<?go?><été>&#233;&#x1F600;</été>",
    ],
)
def test_takes(grammar: CompiledGrammar, text: str) -> None:
    ET.fromstring(text)
    assert accepts(grammar, text)


@pytest.mark.parametrize(
    "text",
    [
        "<a></b>",
        "<ab></a>",
        "<a></ab>",
        '<a x="1" x="2"/>',
        "<a><b></a></b>",
        "<a>]]></a>",
        "<a/><a/>",
        "<a>&#0;</a>",
        "<a>&x;</a>",
        "<!-- -- --><a/>",
        "<?xml?><a/>",
        "",
    ],
)
def test_refuses(grammar: CompiledGrammar, text: str) -> None:
    with pytest.raises(ET.ParseError):
        ET.fromstring(text)
    assert not accepts(grammar, text)


def test_masks_are_what_can_be_read(grammar: CompiledGrammar) -> None:
    check_masks(grammar, random.Random(7), 10)


def test_comes_back_from_a_file(grammar: CompiledGrammar, tmp_path: Path) -> None:
    grammar.save(tmp_path / "xml")
    loaded = GrammarCompiler(grammar.vocabulary).load(tmp_path / "xml")
    assert accepts(loaded, "<a b='' c=''><d></d></a>")
    assert not accepts(loaded, "<a></b>") and not accepts(loaded, "<a b='' b=''/>")
