"""What a language offered by name is made of: its options and a function that builds its grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.limits import Budget

# More is no table that a model writes, and every column is a part of the grammar.
MAX_COLUMNS = 200
MAX_ROWS = 1_000_000
MAX_NAMES = 2_000
MAX_NAME_LENGTH = 200


@dataclass(frozen=True)
class LanguageOption:
    """One choice that a caller has.

    Attributes:
        meaning: what it says, for people.
        default: its value where it is not given.
        check: the value as the builder wants it; raises ValueError with what it must be.
    """

    meaning: str
    default: Any
    check: Callable[[Any], Any]


@dataclass(frozen=True)
class Language:
    """A language by name.

    Attributes:
        summary: what its texts are, for people.
        build: its grammar; takes every option by name.
        options: by name.
        is_fixed: its options choose among a few grammars: each is made once a process, and that counts
            against no request's time.
    """

    summary: str
    build: Callable[[Mapping[str, Any], Budget], ir.Grammar]
    options: Mapping[str, LanguageOption] = field(default_factory=dict)
    is_fixed: bool = False

    def checked(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every option.

        Raises:
            GrammarSyntaxError: an option that it does not have, or a value that it cannot take.
        """
        values = {option: found.default for option, found in self.options.items()}
        for option, value in given.items():
            if option not in self.options:
                known = ", ".join(self.options) or "none"
                raise GrammarSyntaxError(
                    f"the language {name} has no option {option[:MAX_NAME_LENGTH]!r}; "
                    f"its options are: {known}"
                )
            if value is None:
                continue
            try:
                values[option] = self.options[option].check(value)
            except ValueError as error:
                raise GrammarSyntaxError(
                    f"the option {option} of the language {name} {error}"
                ) from None
        return values


def language_text(file: str) -> str:
    """A grammar file of the package."""
    return files("syntagma.grammar").joinpath("languages", file).read_text("utf-8")


def grammar_of(file: str, rules: str, budget: Budget, *, root: str = "root") -> ir.Grammar:
    """The grammar in a file of ours, with the rules that options decide."""
    return ebnf_to_grammar(f"{language_text(file)}\n{rules}", budget, root=root)


def literal(text: str) -> str:
    """A text as a literal of EBNF."""
    plain = re.sub(r"[^A-Za-z0-9_ ]", lambda found: f"\\U{ord(found[0]):08x}", text)
    return f'"{plain}"'


def one_of(*values: str) -> Callable[[Any], str]:
    """A check: one of a few words."""

    def check(value: Any) -> str:
        for known in values:
            if value == known and isinstance(value, str):
                return known
        shown = ", ".join(map(repr, values))
        raise ValueError(f"must be one of {shown}, not {_shown(value)}")

    return check


def count(greatest: int) -> Callable[[Any], int]:
    """A check: a number from 1."""

    def check(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= greatest:
            return value
        raise ValueError(f"must be a number from 1 to {greatest}, not {_shown(value)}")

    return check


def flag(value: Any) -> bool:
    """A check: true or false."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {_shown(value)}")


def names(pattern: str, what: str) -> Callable[[Any], list[str]]:
    """A check: a list of different texts, each as the pattern has it."""
    compiled = re.compile(pattern)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"must be a list of {what}, not {_shown(value)}")
        if len(value) > MAX_NAMES:
            raise ValueError(f"must have {MAX_NAMES} names at most, not {len(value)}")
        for name in value:
            is_text = isinstance(name, str) and len(name) <= MAX_NAME_LENGTH
            if not is_text or compiled.fullmatch(name) is None:
                raise ValueError(f"must be a list of {what}; {_shown(name)} is not one")
        return list(dict.fromkeys(value))

    return check


def columns(pattern: str, what: str) -> Callable[[Any], int | list[str]]:
    """A check: how many columns, or their names in order (which may repeat)."""
    check_count, check_names = count(MAX_COLUMNS), names(pattern, what)

    def check(value: Any) -> int | list[str]:
        if not isinstance(value, list | tuple):
            return check_count(value)
        check_count(len(value))
        check_names(value)
        return list(value)

    return check


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
