"""What an output must obey, as one record."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.server.constraint_kinds import ConstraintKind, GrammarReading, JsonPolicy
from syntagma.server.errors import bad_request

if TYPE_CHECKING:
    from syntagma.decoding.grammar_spec import Compiler
    from syntagma.grammar import CompiledGrammar

ERROR_CODES: dict[ConstraintKind, str] = {
    "json_schema": "invalid_json_schema",
    "json_object": "invalid_json_schema",
    "regex": "invalid_regex",
    "choice": "invalid_choice",
    "ebnf": "invalid_ebnf",
    "lark": "invalid_lark",
    "language": "invalid_language",
}
JSON_KINDS = frozenset(["json_schema", "json_object"])


@dataclass(frozen=True)
class Constraint:
    """A grammar's source as the request gave it.

    Attributes:
        kind: the front end.
        source: schema, pattern, rules or list of choices; of a language its name, ``language``, and its
            options beside it; None for ``json_object``.
        param: the request field it came from, for errors.
        policy: how JSON is written; without effect on other kinds.
        origins: for a schema put together from several fields: (pointer prefix, its field).
        schemas: documents that a schema may refer to, by URI.
        reading: how a context-free grammar is read; without effect on other kinds.
    """

    kind: ConstraintKind
    source: Any
    param: str
    policy: JsonPolicy = field(default_factory=JsonPolicy)
    origins: tuple[tuple[str, str], ...] = ()
    schemas: Mapping[str, Any] = field(default_factory=dict)
    reading: GrammarReading = field(default_factory=GrammarReading)

    @property
    def error_code(self) -> str:
        """The ``code`` of errors about it."""
        return ERROR_CODES[self.kind]

    @functools.cached_property
    def cache_key(self) -> bytes:
        """Equal for equal languages; the order of keys counts, for it is the output's order."""
        text = json.dumps(
            [self.kind, asdict(self.policy), self.source, dict(self.schemas), asdict(self.reading)]
        )
        return hashlib.sha256(text.encode()).digest()

    @property
    def spec(self) -> GrammarSpec:
        """The constraint without the request's circumstances."""
        return GrammarSpec(
            self.kind,
            self.source,
            self.policy.keywords(),
            self.schemas,
            start=self.reading.start,
            semantics=self.reading.semantics,
            files=dict(self.reading.files),
        )

    def compile(self, compiler: Compiler) -> CompiledGrammar:
        """Compile it; slow, so not on the event loop."""
        return self.spec.compile(compiler)

    def describe(self) -> dict[str, Any]:
        """What applied, for answers: the kind and, for JSON, every policy; of Lark the semantics."""
        if self.kind in JSON_KINDS:
            return {"kind": self.kind, "options": asdict(self.policy)}
        if self.kind == "lark":
            return {"kind": self.kind, "semantics": self.reading.semantics}
        if self.kind == "language":
            return {"kind": self.kind, **self.source}
        return {"kind": self.kind}

    def locate(self, pointer: str) -> tuple[str, str]:
        """The request field that a pointer into the source falls in, and the pointer there."""
        for prefix, param in self.origins:
            if pointer == prefix or pointer.startswith(prefix + "/"):
                return param, pointer[len(prefix) :]
        return self.param, pointer


def only_one(
    constraints: Iterable[Constraint | None], *, has_policies: bool = False
) -> Constraint | None:
    """The single constraint of a request, or None.

    Args:
        constraints: of each field.
        has_policies: whether ``structured_outputs`` was given, if only to say how JSON is written.

    Raises:
        ApiError: 400 if several fields constrain the same output, or none that policies could be for.
    """
    given = [constraint for constraint in constraints if constraint is not None]
    if len(given) > 1:
        fields = ", ".join(constraint.param for constraint in given)
        raise bad_request(
            f"Only one field may constrain the output, but several do: {fields}.",
            param=given[1].param,
            code="conflicting_constraints",
        )
    if has_policies and not given:
        raise bad_request(
            "structured_outputs says how JSON is written, but no field asks for JSON.",
            param="structured_outputs",
        )
    return given[0] if given else None
