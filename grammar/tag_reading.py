"""The parts of a structural tag as JSON objects: fields that are checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from syntagma.grammar.errors import GrammarError, GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.grammar_source import closest
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_text import FINITE_JSON, check_values, describe, escape, shorten


def read_structural_tag(tag: Mapping[str, Any] | str, budget: Budget) -> dict[str, Any]:
    """A structural tag as objects of our own.

    Raises:
        GrammarSyntaxError: not a JSON object.
        GrammarLimitError: larger or deeper than the limits.
    """
    text = tag if isinstance(tag, str) else _text_of(tag, budget)
    budget.check("max_source_bytes", len(text), "characters of the structural tag")
    try:
        parsed = FINITE_JSON.decode(text)
    except json.JSONDecodeError as error:
        raise GrammarSyntaxError(
            f"the structural tag is not JSON: {error.msg}", line=error.lineno, column=error.colno
        ) from None
    except GrammarSyntaxError:
        raise
    except (ValueError, RecursionError):
        raise GrammarSyntaxError(
            "the structural tag holds a number that is too large, or is nested too deep"
        ) from None
    if not isinstance(parsed, dict):
        raise GrammarSyntaxError(f"a structural tag is a JSON object, not {describe(parsed)}")
    if isinstance(tag, str):
        check_values(parsed, budget)
    return parsed


def _text_of(tag: object, budget: Budget) -> str:
    if not isinstance(tag, dict):
        raise GrammarSyntaxError(f"a structural tag is a JSON object, not {describe(tag)}")
    check_values(tag, budget)
    return json.dumps(tag)


class Part:
    """A JSON object in a structural tag; its fields are checked when they are asked for.

    Attributes:
        value: the object.
        pointer: where it stands.

    Raises:
        GrammarSyntaxError: it is not an object.
    """

    def __init__(self, value: object, pointer: str) -> None:
        self.pointer = pointer
        if not isinstance(value, dict):
            raise self.error(f"this must be an object, not {describe(value)}")
        self.value: dict[str, Any] = value

    def error(self, message: str, *path: str | int) -> GrammarSyntaxError:
        """Something is wrong at a place below this one."""
        return GrammarSyntaxError(message, pointer=self.at(*path))

    def unsupported(self, message: str, keyword: str) -> UnsupportedGrammarError:
        """A field or type that is understood but not enforced."""
        return UnsupportedGrammarError(message, keyword=keyword, pointer=self.at(keyword))

    def at(self, *path: str | int) -> str:
        """The pointer of a place below this one."""
        return self.pointer + "".join(f"/{escape(step)}" for step in path)

    def part(self, *path: str | int) -> Part:
        """The object at a place below this one."""
        value: Any = self.value
        for step in path:
            value = value[step] if isinstance(step, int) else self.required(step)
        return Part(value, self.at(*path))

    def only(self, *known: str) -> None:
        """Raises UnsupportedGrammarError for a field that is not known, unless it is null."""
        for name, content in self.value.items():
            if name in known or content is None:
                continue
            near = closest(name, known)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(known)}"
            raise self.unsupported(
                f"the field {shorten(name)!r} is not supported here; {hint}", name
            )

    def leaves_out(self, advice: str, *names: str) -> None:
        """Raises UnsupportedGrammarError for a field that asks for something, with what to do instead."""
        for name in names:
            if self.value.get(name) not in (None, False, [], {}):
                raise self.unsupported(f"{name} is not supported here: {advice}", name)

    def required(self, name: str) -> Any:
        """A field that must be there."""
        if self.value.get(name) is None:
            raise self.error(f"the field {name!r} is missing")
        return self.value[name]

    def text(self, name: str) -> str:
        """A field that holds a string."""
        return self._checked_text(self.required(name), name)

    def texts(self, name: str, *, default: list[str] | None = None) -> list[str]:
        """A field that holds a list of strings, none of them empty; ``default``: it may be missing."""
        if self.value.get(name) is None and default is not None:
            return default
        found = [self._checked_text(text, name, i) for i, text in enumerate(self.items(name))]
        if "" in found:
            raise self.error("an empty string is everywhere", name, found.index(""))
        return found

    def items(self, name: str) -> list[Any]:
        """A field that holds a list."""
        value = self.required(name)
        if not isinstance(value, list):
            raise self.error(f"this must be a list, not {describe(value)}", name)
        return value

    def parts(self, name: str) -> list[Part]:
        """A field that holds a list of objects, one at least."""
        found = [Part(item, self.at(name, i)) for i, item in enumerate(self.items(name))]
        if not found:
            raise self.error("the list is empty", name)
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A field that holds true or false."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(f"this must be true or false, not {describe(value)}", name)
        return value

    def number(self, name: str) -> int:
        """A field that holds a whole number."""
        value = self.required(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(f"this must be a whole number, not {describe(value)}", name)
        return value

    def _checked_text(self, value: object, *path: str | int) -> str:
        if not isinstance(value, str):
            raise self.error(f"this must be a string, not {describe(value)}", *path)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error("the string contains a lone surrogate", *path) from None
        return value


def located(error: GrammarError, pointer: str) -> GrammarError:
    """An error in what stands at a place of a structural tag."""
    error.pointer = pointer + (error.pointer or "")
    return error
