"""A grammar compiled for a vocabulary."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from syntagma.grammar import artefact, ir
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.made_once import MadeOnce
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.recognizer import Recognizer
from syntagma.grammar.remembering_recognizer import RememberingRecognizer
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.vocabulary import Vocabulary

GrammarKind = Literal[
    "json_schema",
    "json_object",
    "regex",
    "choice",
    "ebnf",
    "lark",
    "structural_tag",
    "language",
]


class Followers(NamedTuple):
    """What follows the outputs of a grammar: the states of its rules, and on them those of its outputs."""

    parser: Parser
    recognizer: Recognizer | RememberingRecognizer


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """An immutable language over a vocabulary's tokens, shared by any number of matchers.

    What it remembers of its own states grows with use (within bounds) and never changes an answer.

    Attributes:
        kind: the front end it came from.
        vocabulary: whose tokens it speaks about.
        followers: what follows its outputs; of proper grammars made when the first output asks, for a front end may
            only want to know that there is a grammar.
        automata: its rules, compiled (without marks, if they have any); guarded by the parser, which alone may ask
            for more of them.
        source_grammar: its rules as they came from the front end.
        compile_seconds: wall time the compilation took.
        compute_hash: works out `hash`, which costs as much as compiling a small grammar.
        options: the policies it was compiled under; None: it is not of JSON.
    """

    kind: GrammarKind
    vocabulary: Vocabulary
    followers: MadeOnce[Followers] = field(repr=False)
    automata: RuleAutomata
    source_grammar: ir.Grammar = field(repr=False)
    compile_seconds: float
    compute_hash: Callable[[], str] = field(repr=False)
    options: JsonOptions | None = None

    @property
    def recognizer(self) -> Recognizer | RememberingRecognizer:
        """Its states; for `Matcher`."""
        return self.followers.get().recognizer

    @property
    def parser(self) -> Parser:
        """What the recognizer's states stand on."""
        return self.followers.get().parser

    @property
    def accepts_empty_word(self) -> bool:
        """Whether an output may be empty; known of most grammars without following any."""
        if self.source_grammar.is_proper:
            return False
        return self.recognizer.is_accepting(self.recognizer.initial)

    @functools.cached_property
    def hash(self) -> str:
        """Hex digest of source, options and vocabulary, the same in every process."""
        return self.compute_hash()

    @property
    def num_bytes(self) -> int:
        """Estimate of the memory this grammar holds by itself, in bytes."""
        states = self.recognizer.num_bytes if self.followers.is_made else 0
        return 4096 + 400 * self.automata.num_positions + states

    @property
    def shortest_bytes(self) -> int:
        """Length of a shortest output; compiles all rules."""
        if isinstance(self.recognizer, RememberingRecognizer):
            return len(self.witness)
        return self.parser.closing_bytes(START_STATE)

    @functools.cached_property
    def witness_tokens(self) -> tuple[int, ...]:
        """The tokens of a shortest output (in bytes); compiles all rules.

        Raises:
            ValueError: it has more than 65536 bytes.
        """
        return tuple(self.recognizer.closing_tokens(self.recognizer.initial))

    @property
    def witness(self) -> bytes:
        """A shortest output; raises as `witness_tokens`."""
        return b"".join(self.vocabulary.tokens[token_id] for token_id in self.witness_tokens)

    def prepare(self) -> None:
        """Work out the first mask: of thousands of alternatives it takes most of a second."""
        self.recognizer.row(self.recognizer.initial)

    def save(self, path: str | os.PathLike[str], *, limits: CompileLimits | None = None) -> None:
        """Write a file from which `GrammarCompiler.load` makes the same grammar in any process.

        Args:
            path: the file; an existing one is replaced.
            limits: bounds on writing the rules that no output has reached yet.

        Raises:
            OSError: the file system refuses.
            GrammarError: as when compiling, for those rules.
            ValueError: a count that does not fit 64 bits.
        """
        found = artefact.Artefact(
            self.kind, self.hash, self.vocabulary.hash, self.source_grammar, self.options
        )
        artefact.save(path, found, Budget(limits if limits is not None else CompileLimits()))

    def describe(self) -> dict[str, str | int | float]:
        """Small figures for reports."""
        return {
            "kind": self.kind,
            "hash": self.hash,
            "num_positions": self.automata.num_positions,
            "num_terminals": self.automata.num_terminals,
            "shortest_bytes": self.shortest_bytes,
            "compile_seconds": round(self.compile_seconds, 6),
        }
