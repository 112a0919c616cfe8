"""Grammar text -> `CompiledGrammar`."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, get_args

from syntagma.grammar import artefact, ir
from syntagma.grammar.absorb import absorb
from syntagma.grammar.array_file import StoreFileError
from syntagma.grammar.cache_directory import CacheDirectory
from syntagma.grammar.capturing_recognizer import CapturingRecognizer
from syntagma.grammar.closed_objects import close_objects
from syntagma.grammar.compiled_grammar import CompiledGrammar, Followers, GrammarKind
from syntagma.grammar.errors import UnsatisfiableGrammarError, UnsupportedGrammarError
from syntagma.grammar.from_choice import choice_to_grammar
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.from_regex import regex_to_grammar
from syntagma.grammar.from_structural_tag import structural_tag_to_grammar
from syntagma.grammar.json_options import JsonOptions, JsonPolicies
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.made_once import MadeOnce
from syntagma.grammar.marks import has_marks, without_marks
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import Parser
from syntagma.grammar.prelude import load_or_build_prelude
from syntagma.grammar.recognizer import Recognizer
from syntagma.grammar.remembering_recognizer import RememberingRecognizer
from syntagma.grammar.remembering_rules import NoMeaningError
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.schema_conflict import explained
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_text import JsonSchema, read_schema
from syntagma.grammar.spelled_terminals import MarkedTerminals, SpelledTerminals
from syntagma.grammar.text_parser import TextParser
from syntagma.grammar.trie_file import load_or_build_trie
from syntagma.grammar.vocabulary import Vocabulary
from syntagma.grammar.warm_up import warm_kernels

if TYPE_CHECKING:
    from syntagma.grammar.from_lark import LarkSemantics

MAX_POOL_BYTES = 128 << 20


class GrammarCompiler:
    """Compiles grammars for one vocabulary; they share one mask store.

    Args:
        vocabulary: the model's tokens.
        cache_dir: where to keep what depends on the vocabulary alone, so that the next process starts
            faster; created if need be (open to its owner only). None: no files. The first process to
            use it pays a second or two. Trouble with the directory is logged once and slows the start,
            nothing more.
        limits: bounds on every compilation.

    The constructor builds the token trie and makes sure that all kernels are compiled, so that no
    grammar's time budget pays for it. Compiling is thread-safe.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        limits: CompileLimits | None = None,
    ) -> None:
        warm_kernels()
        self.vocabulary = vocabulary
        self.limits = limits if limits is not None else CompileLimits()
        cache = None if cache_dir is None else CacheDirectory(cache_dir)
        trie = load_or_build_trie(vocabulary, cache)
        self._prelude = None if cache is None else load_or_build_prelude(vocabulary, trie, cache)
        self._lender: GrammarCompiler | None = None
        self._store = MaskStore(vocabulary, trie=trie, prelude=self._prelude)
        self._store.prepare()

    def under(self, limits: CompileLimits) -> GrammarCompiler:
        """A compiler with other limits whose grammars share this one's store."""
        twin = copy.copy(self)
        twin.limits = limits
        twin._lender = self
        return twin

    @property
    def store(self) -> MaskStore:
        """The store that new grammars share.

        The states in a store only ever grow. When they take too much space a new store is begun; the
        old one goes when the last grammar that uses it does.
        """
        if self._lender is not None:
            return self._lender.store
        if self._store.pool.num_bytes > MAX_POOL_BYTES:
            trie = self._store.trie
            self._store = MaskStore(self.vocabulary, trie=trie, prelude=self._prelude)
            self._store.prepare()
        return self._store

    def compile_json_schema(
        self,
        schema: JsonSchema | str,
        *,
        schemas: Mapping[str, JsonSchema | str] | None = None,
        **policies: Unpack[JsonPolicies],
    ) -> CompiledGrammar:
        """JSON texts that are valid against a schema.

        Args:
            schema: a JSON Schema, parsed or as text; ``$schema`` names the draft, 4 to 2020-12.
            schemas: documents that references may lead into, by URI; nothing is ever fetched.
            policies: how values are written, and what the schema leaves unsaid; see `JsonOptions`.

        Raises:
            GrammarSyntaxError: not a JSON Schema, or no such policy.
            UnsupportedGrammarError: a keyword that is not enforced here, with its pointer.
            UnsatisfiableGrammarError: no instance is valid.
            GrammarLimitError: too large or too slow to compile.
        """
        options = JsonOptions(**policies)
        budget = Budget(self.limits)
        started = time.perf_counter()
        document = SchemaDocument.load(schema, budget, options)
        if not options.additional_properties_default:
            close_objects(document, budget)
        read = {uri: read_schema(other, budget) for uri, other in (schemas or {}).items()}
        documents = {uri: parsed for uri, (parsed, _) in read.items()}
        texts = {uri: text for uri, (_, text) in read.items()}
        try:
            grammar = json_schema_to_grammar(document, options, budget, documents=documents)
            return self._finish(
                "json_schema",
                grammar,
                lambda: (options, document.source, texts),
                budget,
                started,
                options=options,
            )
        except UnsatisfiableGrammarError as error:
            raise explained(error, document, documents, options, self.limits) from None

    def compile_json_object(self, **policies: Unpack[JsonPolicies]) -> CompiledGrammar:
        """Any JSON object; policies as in `compile_json_schema`."""
        compiled = self.compile_json_schema({"type": "object"}, **policies)
        return dataclasses.replace(compiled, kind="json_object")

    def compile_regex(self, pattern: str) -> CompiledGrammar:
        """Texts that match a regular expression as a whole (dialect: `regex_parser`).

        Raises:
            GrammarSyntaxError: malformed pattern, with line and column.
            UnsupportedGrammarError: look-around (but ahead from the beginning), back-references and the
                like.
            UnsatisfiableGrammarError: nothing matches.
            GrammarLimitError: too large or too slow to compile.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        grammar = regex_to_grammar(pattern, budget)
        return self._finish("regex", grammar, lambda: pattern, budget, started)

    def compile_choice(self, choices: Sequence[str]) -> CompiledGrammar:
        """Exactly one of the given texts.

        Raises:
            GrammarSyntaxError: no choices, or one that is not text.
            GrammarLimitError: too many or too long.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        grammar = choice_to_grammar(choices, budget)
        source = list(choices)
        return self._finish("choice", grammar, lambda: source, budget, started)

    def compile_ebnf(self, text: str, *, root: str = "root") -> CompiledGrammar:
        """Texts that a context-free grammar in EBNF describes (dialect: `ebnf_parser`).

        Args:
            text: the rules; GBNF or W3C-style EBNF.
            root: name of the rule that the whole output must match.

        Raises:
            GrammarSyntaxError: malformed, with line and column; undefined or repeated rules.
            UnsupportedGrammarError: look-ahead, references to tokens, exclusion of what is not
                regular, and the like.
            UnsatisfiableGrammarError: no text matches.
            GrammarLimitError: too large or too slow to compile.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        grammar = absorb(ebnf_to_grammar(text, budget, root=root), budget)
        return self._finish("ebnf", grammar, lambda: (root, text), budget, started)

    def compile_lark(
        self,
        text: str,
        *,
        start: str = "start",
        semantics: LarkSemantics = "lexed",
        files: Mapping[str, str] | None = None,
        indenter: Mapping[str, Any] | None = None,
    ) -> CompiledGrammar:
        """Texts that a grammar in the syntax of the `lark` package describes.

        Args:
            text: rules and terminals.
            start: name of the rule that the whole output must match.
            semantics: ``lexed``: what Lark accepts, with its LALR parser or, where the grammar is not
                LALR, its Earley parser; ``scannerless``: any word of a terminal may stand for it.
            files: texts that ``%import`` may lead into, by path (``"names.lark"``), besides Lark's own
                library; nothing is read from disk.
            indenter: the terminals that tell indentation: some of ``newline``, ``indent``, ``dedent``,
                ``open``, ``close`` and ``tab_length`` (see `lark_indenter`); not needed where they have
                the usual names.

        Raises:
            GrammarSyntaxError: malformed, with line and column; undefined or repeated names.
            UnsupportedGrammarError: look-around in terminals, other terminals declared, and the like.
            UnsatisfiableGrammarError: no text matches.
            GrammarLimitError: too large or too slow to compile.
        """
        # The package takes a tenth of a second to import, and few processes read Lark.
        from syntagma.grammar.from_lark import lark_to_grammar

        budget = Budget(self.limits)
        started = time.perf_counter()
        rules = lark_to_grammar(
            text, budget, start=start, semantics=semantics, files=files, indenter=indenter
        )
        source = (start, semantics, text, sorted((files or {}).items()), indenter)
        return self._finish("lark", absorb(rules, budget), lambda: source, budget, started)

    def compile_structural_tag(
        self, tag: Mapping[str, Any] | str, **policies: Unpack[JsonPolicies]
    ) -> CompiledGrammar:
        """Free text with segments that other grammars describe, each begun by a trigger.

        Args:
            tag: ``{"type": "structural_tag", "format": ...}`` in xgrammar's formats, or with
                ``structures`` and ``triggers`` as vLLM had it first; an object or its JSON text.
            policies: how JSON is written in the segments; see `JsonOptions`.

        Raises:
            GrammarSyntaxError: no structural tag, or a segment's grammar is malformed; with its pointer.
            UnsupportedGrammarError: a format or field that is not enforced here.
            UnsatisfiableGrammarError: a segment has no text.
            GrammarLimitError: too large or too slow to compile.
        """
        options = JsonOptions(**policies)
        budget = Budget(self.limits)
        started = time.perf_counter()
        grammar = structural_tag_to_grammar(tag, options, budget, self.vocabulary.special_names)
        text = tag if isinstance(tag, str) else json.dumps(tag)
        source = (options, text)
        return self._finish(
            "structural_tag", grammar, lambda: source, budget, started, options=options
        )

    def compile_language(self, name: str, /, **options: Any) -> CompiledGrammar:
        """Texts of a language that is known by name.

        Args:
            name: one of `named_languages.LANGUAGES`.
            options: what to leave out of it; each language has its own. None: as if not given.

        Raises:
            GrammarSyntaxError: no such language or option, or a value that it cannot have.
            GrammarLimitError: too large or too slow to compile, through the options.
        """
        from syntagma.grammar.named_languages import language_to_grammar

        started = time.perf_counter()
        grammar, budget = language_to_grammar(name, options, self.limits)
        source = (name, sorted(item for item in options.items() if item[1] is not None))
        return self._finish("language", grammar, lambda: source, budget, started)

    def load(self, path: str | os.PathLike[str]) -> CompiledGrammar:
        """A grammar that `CompiledGrammar.save` wrote; the file stays mapped while it is in use.

        Raises:
            FileNotFoundError: no such file.
            OSError: the file system refuses.
            StoreFileError: the file is damaged, or its grammar is for another vocabulary or of a kind
                that is not known here; compile the source again.
            GrammarError: as when compiling, under this compiler's limits.
        """
        budget = Budget(self.limits)
        started = time.perf_counter()
        found = artefact.load(path)
        if found.vocabulary_hash != self.vocabulary.hash:
            raise StoreFileError(
                f"{os.fspath(path)!r} holds a grammar for the vocabulary {found.vocabulary_hash}, "
                f"this compiler's is {self.vocabulary.hash}; compile the source again"
            )
        kind = next((kind for kind in get_args(GrammarKind) if kind == found.kind), None)
        if kind is None:
            raise StoreFileError(
                f"{os.fspath(path)!r} holds a grammar of unknown kind {found.kind!r}"
            )
        return self._build(
            kind, lambda: found.hash, found.grammar, budget, started, options=found.options
        )

    def _finish(
        self,
        kind: GrammarKind,
        grammar: ir.Grammar,
        source: Callable[[], object],
        budget: Budget,
        started: float,
        *,
        options: JsonOptions | None = None,
    ) -> CompiledGrammar:
        """The compiled grammar of a source."""
        compute_hash = functools.partial(_hash_of, kind, source, self.vocabulary)
        return self._build(kind, compute_hash, grammar, budget, started, options=options)

    def _build(
        self,
        kind: GrammarKind,
        compute_hash: Callable[[], str],
        grammar: ir.Grammar,
        budget: Budget,
        started: float,
        *,
        options: JsonOptions | None,
    ) -> CompiledGrammar:
        """Rules -> rule automata -> parser and recognizer, which the first output makes."""
        budget.check("max_rules", len(grammar.rules), "rules of the grammar")
        store = self.store
        is_marked = kind == "json_schema" and not grammar.is_proper and has_marks(grammar.rules)
        rules = without_marks(grammar) if is_marked else grammar
        is_lazy = self.vocabulary.spells_all
        try:
            automata = RuleAutomata(rules, SpelledTerminals(store), budget, is_lazy=is_lazy)
        except NoMeaningError as error:
            raise UnsupportedGrammarError(
                f"blocks that are told by indentation: {error}", keyword="indenter"
            ) from None
        is_empty = automata.is_empty
        if is_marked and not is_empty:
            marked = RuleAutomata(grammar, MarkedTerminals(store), budget)
            is_empty = marked.is_empty
        budget.check_time()
        budget.finish()
        followers = MadeOnce(functools.partial(_followers, automata, store))
        if is_marked and not is_empty:
            parser, unmarked = followers.get()
            assert isinstance(unmarked, Recognizer), "marks are not among these rules"
            recognizer = RememberingRecognizer.of(marked, unmarked)
            followers = MadeOnce(lambda: Followers(parser, recognizer))
            is_empty = not recognizer.is_satisfiable
        elif not (is_empty or grammar.is_proper):
            followers.get()
        if is_empty:
            raise UnsatisfiableGrammarError(
                "no output fits this grammar: its constraints exclude each other",
                pointer="" if kind == "json_schema" else None,
            )
        return CompiledGrammar(
            kind=kind,
            vocabulary=self.vocabulary,
            followers=followers,
            automata=automata,
            source_grammar=grammar,
            compile_seconds=time.perf_counter() - started,
            compute_hash=compute_hash,
            options=options,
        )


def _followers(automata: RuleAutomata, store: MaskStore) -> Followers:
    """What follows outputs of rules without marks."""
    if automata.remembering is None:
        parser = Parser(automata, store.pool)
        return Followers(parser, Recognizer(parser, store))
    reading = TextParser(automata, store.pool)
    return Followers(reading, CapturingRecognizer(automata, reading, store))


def _hash_of(kind: GrammarKind, source: Callable[[], object], vocabulary: Vocabulary) -> str:
    """Hex digest of what a grammar was compiled from."""
    content = repr((kind, source(), vocabulary.hash))
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
