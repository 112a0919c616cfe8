"""What an output must obey, as one record."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syntagma.server.constraint_kinds import ConstraintKind, Whitespace
from syntagma.server.errors import bad_request

if TYPE_CHECKING:
    from syntagma.grammar import CompiledGrammar
    from syntagma.server.compile_service import Compiler

ERROR_CODES: dict[ConstraintKind, str] = {
    "json_schema": "invalid_json_schema",
    "json_object": "invalid_json_schema",
    "regex": "invalid_regex",
    "choice": "invalid_choice",
}


@dataclass(frozen=True)
class Constraint:
    """A grammar's source as the request gave it.

    Attributes:
        kind: the front end.
        source: schema, pattern or list of choices; None for ``json_object``.
        param: the request field it came from, for errors.
        whitespace: between JSON tokens; without effect on regex and choice.
        origins: for a schema put together from several fields: (pointer prefix, its field).
    """

    kind: ConstraintKind
    source: Any
    param: str
    whitespace: Whitespace = "flexible"
    origins: tuple[tuple[str, str], ...] = ()

    @property
    def error_code(self) -> str:
        """The ``code`` of errors about it."""
        return ERROR_CODES[self.kind]

    @functools.cached_property
    def cache_key(self) -> bytes:
        """Equal for equal languages; the order of keys counts, for it is the output's order."""
        text = json.dumps([self.kind, self.whitespace, self.source])
        return hashlib.sha256(text.encode()).digest()

    def compile(self, compiler: Compiler) -> CompiledGrammar:
        """Compile it; slow, so not on the event loop."""
        if self.kind == "json_schema":
            return compiler.compile_json_schema(self.source, whitespace=self.whitespace)
        if self.kind == "json_object":
            return compiler.compile_json_object(whitespace=self.whitespace)
        if self.kind == "regex":
            return compiler.compile_regex(self.source)
        return compiler.compile_choice(self.source)

    def locate(self, pointer: str) -> tuple[str, str]:
        """The request field that a pointer into the source falls in, and the pointer there."""
        for prefix, param in self.origins:
            if pointer == prefix or pointer.startswith(prefix + "/"):
                return param, pointer[len(prefix) :]
        return self.param, pointer


def only_one(constraints: Iterable[Constraint | None]) -> Constraint | None:
    """The single constraint of a request, or None.

    Raises:
        ApiError: 400 if several fields constrain the same output.
    """
    given = [constraint for constraint in constraints if constraint is not None]
    if len(given) > 1:
        fields = ", ".join(constraint.param for constraint in given)
        raise bad_request(
            f"Only one field may constrain the output, but several do: {fields}.",
            param=given[1].param,
            code="conflicting_constraints",
        )
    return given[0] if given else None
