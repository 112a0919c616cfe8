"""Reading calls between tags while they are being written, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from syntagma.grammar.value_types import STRING, spelled_type, value_types_of
from syntagma.server.call_text import CallMarks, CallTextReader, overlap

NAME = re.compile(r"[\w-]+")


class TaggedCalls(CallMarks, Protocol):
    """What stands in a call; see `tagged_formats.TaggedFormat`."""

    @property
    def opening(self) -> str: ...
    @property
    def head_end(self) -> str: ...
    @property
    def argument_opening(self) -> str: ...
    @property
    def argument_middle(self) -> str: ...
    @property
    def argument_closing(self) -> str: ...
    @property
    def call_end(self) -> str: ...


class ArgumentTypes:
    """Which JSON types the arguments of a function may have, worked out when they come up."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._known: dict[str, frozenset[str]] = {}

    def of(self, name: str) -> frozenset[str]:
        """The types of an argument's values, as `value_types` tells them."""
        if name not in self._known:
            self._known[name] = value_types_of(self._schema, name)
        return self._known[name]


class TaggedCallReader:
    """Turns a call, from behind its trigger to behind its end, into a name and the text of a JSON object.

    Strings come as plain text and are escaped here; what is JSON already is handed on. Where a schema allows
    both, a value is not known for what it is until it is complete.

    Attributes:
        call_id: calls of this kind have none.
        name: known as soon as something else than a name has come.
        is_closed: the end of the call has come.
        rest: what came behind it.
    """

    call_id = None

    def __init__(self, form: TaggedCalls, types: Mapping[str, ArgumentTypes]) -> None:
        self._form = form
        self._types = types
        self.name: str | None = None
        self.is_closed = False
        self.rest = ""
        self._held = ""
        # Of the value that is being written; None: between values.
        self._value_types: frozenset[str] | None = None
        self._num_arguments = 0

    def feed(self, text: str) -> str:
        """Take more of the output; returns what it adds to the arguments."""
        self._held += text
        taken = ""
        while (more := self._step()) is not None:
            taken += more
        return taken

    def _step(self) -> str | None:
        """What is certain next; None: wait for more."""
        if self.is_closed:
            return None
        if self.name is None:
            return self._read_name()
        if self._value_types is None:
            return self._read_mark()
        return self._read_value(self._value_types)

    def _read_name(self) -> str | None:
        form = self._form
        start = len(form.opening) - len(form.trigger)
        found = NAME.match(self._held, start) if len(self._held) > start else None
        # Another character must follow, or it may go on.
        if found is None or len(self._held) <= found.end() + len(form.head_end):
            return None
        self.name = found[0]
        self._held = self._held[found.end() + len(form.head_end) :]
        return "{"

    def _read_mark(self) -> str | None:
        """The name of an argument, or the end of the call."""
        form, held = self._form, self._held
        if held.startswith(form.call_end):
            self.is_closed = True
            self.rest = held[len(form.call_end) :]
            return "}"
        key, middle, value = held.removeprefix(form.argument_opening).partition(
            form.argument_middle
        )
        if not held.startswith(form.argument_opening) or not middle:
            return None
        self._held = value
        self._value_types = self._types[self.name or ""].of(key)
        comma = ", " if self._num_arguments else ""
        self._num_arguments += 1
        quote = '"' if self._value_types == STRING else ""
        return f"{comma}{_escaped(key)}: {quote}"

    def _read_value(self, types: frozenset[str]) -> str | None:
        closing = self._form.argument_closing
        end = self._held.find(closing)
        if end >= 0:
            value, self._held = self._held[:end], self._held[end + len(closing) :]
            self._value_types = None
            if types == STRING:
                return _escaped(value)[1:]
            return value if STRING.isdisjoint(types) else _told_apart(value, types)
        if types >= STRING and types != STRING:
            return None
        certain = len(self._held) - overlap(self._held, closing)
        value, self._held = self._held[:certain], self._held[certain:]
        if not value:
            return None
        return _escaped(value)[1:-1] if types == STRING else value


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _told_apart(text: str, types: frozenset[str]) -> str:
    """A value that may be a string or something else."""
    try:
        found = spelled_type(json.loads(text))
    except (ValueError, RecursionError):
        return _escaped(text)
    is_number = found == "integer" and "number" in types
    return text if (found in types and found != "string") or is_number else _escaped(text)


class TaggedTextReader(CallTextReader):
    """Splits an output into text and the calls of some functions between tags."""

    def __init__(self, form: TaggedCalls, types: Mapping[str, ArgumentTypes]) -> None:
        super().__init__(form)
        self._tags = form
        self._types = types

    def _read_wrapping(self, text: str) -> str:
        self._call = TaggedCallReader(self._tags, self._types)
        return text
