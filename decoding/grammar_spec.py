"""A grammar's source as data: what another process needs to compile it for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Unpack, get_args

from syntagma.grammar import CompiledGrammar, GrammarKind
from syntagma.grammar.json_options import JsonPolicies
from syntagma.grammar.schema_text import canonical_text

# Begins every ticket, so that none is taken for a grammar in EBNF. The number is the format's.
TICKET_PREFIX = "syntagma-grammar 2 "


class Compiler(Protocol):
    """What a spec needs of `GrammarCompiler`; it bounds each compilation's time itself."""

    def compile_json_schema(
        self,
        schema: dict[str, Any] | bool | str,
        *,
        schemas: Mapping[str, dict[str, Any] | bool | str] | None = ...,
        **policies: Unpack[JsonPolicies],
    ) -> CompiledGrammar: ...

    def compile_json_object(self, **policies: Unpack[JsonPolicies]) -> CompiledGrammar: ...

    def compile_regex(self, pattern: str) -> CompiledGrammar: ...

    def compile_choice(self, choices: Sequence[str]) -> CompiledGrammar: ...

    def compile_ebnf(self, text: str, *, root: str = ...) -> CompiledGrammar: ...

    def compile_lark(
        self,
        text: str,
        *,
        start: str = ...,
        semantics: Literal["lexed", "scannerless"] = ...,
        files: Mapping[str, str] | None = ...,
        indenter: Mapping[str, Any] | None = ...,
    ) -> CompiledGrammar: ...

    def compile_structural_tag(
        self, tag: Mapping[str, Any] | str, **policies: Unpack[JsonPolicies]
    ) -> CompiledGrammar: ...

    def compile_language(self, name: str, /, **options: Any) -> CompiledGrammar: ...


@dataclass(frozen=True)
class GrammarSpec:
    """A constraint as a front end of the compiler takes it; everything in it can be written as JSON.

    Attributes:
        kind: the front end.
        source: schema, pattern, rules, list of choices or structural tag; of a language its name, ``language``,
            and its options beside it; None for ``json_object``.
        policies: how JSON is written; without effect on other kinds.
        schemas: documents that a schema may refer to, by URI.
        start: the rule that a context-free grammar starts from; None: as its syntax has it.
        semantics: of Lark: whether its lexer counts.
        files: texts that Lark's ``%import`` may lead into, by their paths.
        indenter: of Lark: the terminals that tell indentation; None: the usual ones, if any.
    """

    kind: GrammarKind
    source: Any
    policies: JsonPolicies = field(default_factory=JsonPolicies)
    schemas: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    semantics: Literal["lexed", "scannerless"] = "lexed"
    files: Mapping[str, str] = field(default_factory=dict)
    indenter: Mapping[str, Any] | None = None

    def with_text(self) -> GrammarSpec:
        """The same, a JSON Schema as text: whoever compiles it need not check and copy objects, which takes longer.

        Raises:
            GrammarSyntaxError: a number too long to be written.
        """
        if self.kind != "json_schema" or isinstance(self.source, str):
            return self
        return replace(self, source=canonical_text(self.source))

    def compile(self, compiler: Compiler) -> CompiledGrammar:
        """Compile it; slow, so not on an event loop.

        Raises:
            GrammarError: it is refused.
        """
        match self.kind:
            case "json_schema":
                return compiler.compile_json_schema(
                    self.source, schemas=self.schemas, **self.policies
                )
            case "json_object":
                return compiler.compile_json_object(**self.policies)
            case "regex":
                return compiler.compile_regex(self.source)
            case "choice":
                return compiler.compile_choice(self.source)
            case "ebnf":
                return compiler.compile_ebnf(self.source, root=self.start or "root")
            case "lark":
                return compiler.compile_lark(
                    self.source,
                    start=self.start or "start",
                    semantics=self.semantics,
                    files=self.files,
                    indenter=self.indenter,
                )
            case "structural_tag":
                return compiler.compile_structural_tag(self.source, **self.policies)
            case "language":
                options = dict(self.source)
                return compiler.compile_language(options.pop("language"), **options)


@dataclass(frozen=True)
class GrammarTicket:
    """What stands for a grammar on its way to an engine in another process.

    Attributes:
        grammar_hash: names the finished artefact in a shared directory.
        vocabulary_hash: of the tokens it was compiled for.
        spec: to compile it again where the artefact is not there; None: it must be there.
        is_shared: whether it is worth looking for the artefact.
    """

    grammar_hash: str
    vocabulary_hash: str
    spec: GrammarSpec | None = None
    is_shared: bool = True

    def to_text(self) -> str:
        """One string, which `from_text` reads; a schema travels as text."""
        spec = None if self.spec is None else vars(self.spec.with_text())
        return TICKET_PREFIX + json.dumps(vars(self) | {"spec": spec})

    @classmethod
    def from_text(cls, text: str) -> GrammarTicket:
        """The ticket that `to_text` wrote.

        Raises:
            ValueError: it is none.
        """
        if not text.startswith(TICKET_PREFIX):
            raise ValueError(f"not a grammar ticket: {text[:40]!r}")
        fields = json.loads(text.removeprefix(TICKET_PREFIX))
        spec = fields.pop("spec")
        if spec is not None and spec["kind"] not in get_args(GrammarKind):
            raise ValueError(f"a ticket for a grammar of unknown kind {spec['kind']!r}")
        return cls(**fields, spec=None if spec is None else GrammarSpec(**spec))
