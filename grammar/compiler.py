"""Grammar text -> `CompiledGrammar`."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.compiled_grammar import CompiledGrammar, GrammarKind
from syntagma.grammar.errors import UnsatisfiableGrammarError
from syntagma.grammar.from_choice import choice_to_grammar
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.from_regex import regex_to_grammar
from syntagma.grammar.json_options import JsonOptions, Whitespace
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import Parser
from syntagma.grammar.recognizer import Recognizer
from syntagma.grammar.rule_automata import UNPRODUCTIVE, build_rule_automata
from syntagma.grammar.schema_document import JsonSchema, SchemaDocument
from syntagma.grammar.terminals import Language
from syntagma.grammar.vocabulary import Vocabulary
from syntagma.grammar.warm_up import warm_kernels

MAX_POOL_BYTES = 256 << 20


class GrammarCompiler:
    """Compiles grammars for one vocabulary; they share one mask store.

    Args:
        vocabulary: the model's tokens.
        limits: bounds on every compilation.

    The constructor builds the token trie and makes sure that all kernels are compiled, so that no
    grammar's time budget pays for it. Compiling is thread-safe.
    """

    def __init__(self, vocabulary: Vocabulary, *, limits: CompileLimits | None = None) -> None:
        warm_kernels()
        self.vocabulary = vocabulary
        self.limits = limits if limits is not None else CompileLimits()
        self._store = MaskStore(vocabulary)

    @property
    def store(self) -> MaskStore:
        """The store that new grammars share.

        The states in a store only ever grow. When they take too much space a new store is begun; the
        old one goes when the last grammar that uses it does.
        """
        if self._store.pool.num_bytes > MAX_POOL_BYTES:
            self._store = MaskStore(self.vocabulary, trie=self._store.trie)
        return self._store

    def compile_json_schema(
        self, schema: JsonSchema | str, *, whitespace: Whitespace = "flexible"
    ) -> CompiledGrammar:
        """JSON texts that are valid against a schema.

        Args:
            schema: a JSON Schema, parsed or as text.
            whitespace: ``"compact"`` (none at all) or ``"flexible"`` (a space or two, or a line
                break with indentation, between tokens; bounded).

        Raises:
            GrammarSyntaxError: not a JSON Schema.
            UnsupportedGrammarError: a keyword that is not enforced here, with its pointer.
            UnsatisfiableGrammarError: no instance is valid.
            GrammarLimitError: too large or too slow to compile.
        """
        options = JsonOptions(whitespace=whitespace)
        budget = Budget(self.limits)
        started = time.perf_counter()
        document = SchemaDocument.load(schema, budget)
        grammar = json_schema_to_grammar(document, options, budget)
        return self._finish("json_schema", grammar, (options, document.source), budget, started)

    def compile_json_object(self, *, whitespace: Whitespace = "flexible") -> CompiledGrammar:
        """Any JSON object."""
        compiled = self.compile_json_schema({"type": "object"}, whitespace=whitespace)
        return dataclasses.replace(compiled, kind="json_object")

    def compile_regex(self, pattern: str) -> CompiledGrammar:
        """Texts that match a regular expression as a whole (dialect: `regex_parser`).

        Raises:
            GrammarSyntaxError: malformed pattern, with line and column.
            UnsupportedGrammarError: look-around, back-references and the like.
            UnsatisfiableGrammarError: nothing matches.
            GrammarLimitError: too large or too slow to compile.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        return self._finish("regex", regex_to_grammar(pattern, budget), pattern, budget, started)

    def compile_choice(self, choices: Sequence[str]) -> CompiledGrammar:
        """Exactly one of the given texts.

        Raises:
            GrammarSyntaxError: no choices, or one that is not text.
            GrammarLimitError: too many or too long.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        grammar = choice_to_grammar(choices, budget)
        return self._finish("choice", grammar, list(choices), budget, started)

    def _finish(
        self, kind: GrammarKind, grammar: ir.Grammar, source: object, budget: Budget, started: float
    ) -> CompiledGrammar:
        """Rules -> terminals in the pool -> rule automata -> parser -> recognizer."""
        budget.check("max_rules", len(grammar.rules), "rules of the grammar")
        store = self.store
        terminal_ids, lengths = register_terminals(grammar, store)
        automata = build_rule_automata(grammar, terminal_ids, lengths, budget)
        shortest_bytes = automata.shortest[automata.starts[0]]
        if shortest_bytes == UNPRODUCTIVE:
            raise UnsatisfiableGrammarError(
                "no output fits this grammar: its constraints exclude each other",
                pointer="" if kind == "json_schema" else None,
            )
        budget.check_time()
        digest = hashlib.blake2b(
            repr((kind, source, self.vocabulary.hash)).encode(), digest_size=16
        )
        return CompiledGrammar(
            kind=kind,
            hash=digest.hexdigest(),
            vocabulary=self.vocabulary,
            recognizer=Recognizer(Parser(automata, store.pool), store),
            num_rules=len(grammar.rules),
            num_positions=len(automata.is_end),
            num_terminals=len(terminal_ids),
            shortest_bytes=shortest_bytes,
            compile_seconds=time.perf_counter() - started,
        )


def register_terminals(
    grammar: ir.Grammar, store: MaskStore
) -> tuple[dict[bytes, int], dict[int, int]]:
    """Give every terminal an id in the store's pool, cut down to what the vocabulary can spell.

    Returns:
        (ids by the key of the language, lengths of a shortest word by id); a terminal of which
        nothing can be spelled has none.
    """
    terminal_ids: dict[bytes, int] = {}
    lengths: dict[int, int] = {}
    for language in _terminals(grammar):
        spelled = language
        if not store.vocabulary.spells_all:
            spelled = dfas.restrict(language.dfa, store.vocabulary.spellable)
        if spelled.shortest_length > 0:
            terminal = store.pool.terminal_id(spelled)
            terminal_ids[language.key] = terminal
            lengths[terminal] = spelled.shortest_length
    return terminal_ids, lengths


def _terminals(grammar: ir.Grammar) -> list[Language]:
    """The distinct terminals of a grammar."""
    found: dict[bytes, Language] = {}
    waiting = grammar.produce_all()
    while waiting:
        node = waiting.pop()
        match node:
            case ir.Terminal(language):
                found[language.key] = language
            case ir.Sequence(parts) | ir.Choice(parts):
                waiting += parts
            case ir.Repeat(part, _, _):
                waiting.append(part)
            case ir.Call():
                pass
    return list(found.values())
