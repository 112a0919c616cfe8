"""The grammars in the documentation compile and mean what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toy import accepts, byte_vocabulary

from syntagma.grammar import CompileLimits, GrammarCompiler
from syntagma.grammar.named_languages import LANGUAGES

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "grammars.md").read_text("utf-8")
GALLERY = re.findall(r"```ebnf\n([^`]*)```\n\n```examples\n([^`]*)```", TEXT)


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(byte_vocabulary(), limits=CompileLimits(max_seconds=60))


def test_the_gallery_is_found() -> None:
    assert len(GALLERY) == TEXT.count("```examples") > 0


@pytest.mark.parametrize(("rules", "examples"), GALLERY)
def test_examples_are_as_they_say(compiler: GrammarCompiler, rules: str, examples: str) -> None:
    grammar = compiler.compile_ebnf(rules)
    for line in examples.splitlines():
        verdict, text = re.fullmatch(r"(yes|no ) (.*)", line).groups()
        assert accepts(grammar, text.replace("\\n", "\n")) == (verdict == "yes"), line


def test_every_language_and_option_is_documented() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", TEXT, re.MULTILINE))
    for name, language in LANGUAGES.items():
        for option in language.options:
            # JSON Lines has the options of JSON.
            assert f"`{option}`" in rows[name] + (rows["json"] if name == "json-lines" else "")
