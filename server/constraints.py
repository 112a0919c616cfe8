"""What an output must obey, as one record."""

from __future__ import annotations

import hashlib
import marshal
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
    "structural_tag": "invalid_structural_tag",
    "language": "invalid_language",
}
# Of marshal's formats, the last one in which equal values are equal bytes. It holds the interpreter's lock a sixth
# as long as JSON does: 30 ms for 4 MB.
KEY_VERSION = 2
JSON_KINDS = frozenset(["json_schema", "json_object"])
# Schemas up to this size, in marshal's format, may be compiled at once, unless they have keywords of whose terminals the automata
# are built between two looks at the clock.
MAX_QUICK_BYTES = 4096
SLOW_KEYWORDS = (b"pattern", b"format", b"multipleOf")
# What is written under policies.
WITH_JSON = JSON_KINDS | {"structural_tag"}


@dataclass(frozen=True)
class Constraint:
    """A grammar's source as the request gave it.

    Attributes:
        kind: the front end.
        source: schema, pattern, rules, list of choices or structural tag; of a language its name, ``language``,
            and its options beside it; None for ``json_object``.
        param: the request field it came from, for errors.
        policy: how JSON is written; without effect on other kinds.
        origins: for what is put together from several fields: (pointer prefix, field of that schema).
        schemas: documents that a schema may refer to, by URI.
        reading: how a context-free grammar is read; without effect on other kinds.
        cache_key: equal for equal languages; the order of keys counts, for it is the output's order.
        may_be_quick: whether a look at it promises that compiling takes a moment, or can be given up after one.
    """

    kind: ConstraintKind
    source: Any
    param: str
    policy: JsonPolicy = field(default_factory=JsonPolicy)
    origins: tuple[tuple[str, str], ...] = ()
    schemas: Mapping[str, Any] = field(default_factory=dict)
    reading: GrammarReading = field(default_factory=GrammarReading)
    cache_key: bytes = field(init=False, repr=False, compare=False)
    may_be_quick: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Here and not when it is asked for: large constraints are read in a thread, and used in an event loop.
        source = marshal.dumps(self.source, KEY_VERSION)
        rest = [self.kind, asdict(self.policy), dict(self.schemas), asdict(self.reading)]
        digest = hashlib.sha256(marshal.dumps(rest, KEY_VERSION))
        digest.update(source)
        object.__setattr__(self, "cache_key", digest.digest())
        is_quick = (
            self.kind in JSON_KINDS
            and not self.schemas
            and len(source) <= MAX_QUICK_BYTES
            and not any(word in source for word in SLOW_KEYWORDS)
        )
        object.__setattr__(self, "may_be_quick", is_quick)

    @property
    def error_code(self) -> str:
        """The ``code`` of errors about it; what several fields are put together from is schemas."""
        return ERROR_CODES["json_schema" if self.origins else self.kind]

    def error_code_of(self, param: str) -> str:
        """The ``code`` of an error in a request field that `locate` told."""
        return "invalid_tool_format" if param.endswith(".custom.format") else self.error_code

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
            indenter=self.reading.indenter,
        )

    def compile(self, compiler: Compiler) -> CompiledGrammar:
        """Compile it; slow, so not on the event loop unless the limits are short."""
        return self.spec.compile(compiler)

    def describe(self) -> dict[str, Any]:
        """What applied, for answers: the kind and, for JSON, every policy; of Lark the semantics."""
        if self.kind in WITH_JSON:
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
