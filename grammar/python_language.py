"""Python by name: files, statements and expressions as `ast.parse` reads them.

A block captures its indentation, which extends that of the block around it; every further statement of the
block must begin with the same. So there are no tokens for dedents: behind a statement the next line
is read as a line of any open block, and the readings whose indentation it does not have are dropped.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.captures import Extended, Same
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.language_options import (
    Language,
    LanguageOption,
    language_text,
    literal,
    one_of,
)
from syntagma.grammar.limits import Budget
from syntagma.grammar.remembering_text import with_memory

# How often a section of the file is written out: the ending of its rules, and that of what brackets hold.
COPIES = {
    "expressions": {"o": "i", "i": "i", "f": "f", "g": "g"},
    "brackets": {"o": "i", "i": "i"},
    "fields": {"f": "f", "g": "g"},
    "statements": {"t": "t", "n": "n"},
    "patterns": {"o": "i", "i": "i"},
    "once": {"": ""},
}
SECTION = re.compile(r"^# -- (\w+)\n", re.MULTILINE)
# A name that ends in a dash takes the ending of the copy; before "b" that of the brackets.
OPEN_NAME = re.compile(r"(?<=[a-zA-Z])-(b)?(?![\w-])")
TERMINALS = {"indent": Extended, "same-n": Same}


def python_grammar(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """The rules of Python texts."""
    keywords = " | ".join(map(literal, keyword.kwlist))
    rules = [
        f"root ::= {options['start']}",
        f"keywords ::= {keywords}",
        "indent ::= [ \\t]+",
        "same-n ::= [ \\t]+",
        'same-t ::= ""',
    ]
    text = written_out(language_text("python.ebnf")) + "\n".join(rules)
    return with_memory(ebnf_to_grammar(text, budget), TERMINALS, budget)


def written_out(text: str) -> str:
    """The rules of the file with every copy of its sections."""
    head, *sections = SECTION.split(text)
    found = [head]
    for kind, rules in zip(sections[::2], sections[1::2], strict=True):
        for ending, inner in COPIES[kind].items():
            if not ending:
                found.append(rules)
                continue
            found.append(
                OPEN_NAME.sub(lambda name: f"-{inner if name[1] else ending}", rules)  # noqa: B023
            )
    return "\n".join(found)


PYTHON = Language(
    summary="Python as `ast.parse` reads it: what 3.11 to 3.14 have in common",
    build=python_grammar,
    options={
        "start": LanguageOption(
            "a whole file, one statement, or one expression",
            "file",
            one_of("file", "statement", "expression"),
        )
    },
    is_fixed=True,
)
