"""The segments of structural tags that other grammars describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.absorb import absorb
from syntagma.grammar.closed_objects import close_objects
from syntagma.grammar.declared_properties import moved_error
from syntagma.grammar.embedding import Embedding
from syntagma.grammar.errors import (
    GrammarError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.from_choice import choice_to_grammar
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.from_regex import regex_to_grammar
from syntagma.grammar.ir_productive import has_word
from syntagma.grammar.json_escaped import escaped_grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.keyword_arguments import keyword_arguments
from syntagma.grammar.limits import Budget
from syntagma.grammar.marks import has_marks
from syntagma.grammar.schema_conflict import explained
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_text import canonical_text
from syntagma.grammar.tag_reading import Part, located
from syntagma.grammar.tagged_arguments import STYLES as TAG_STYLES
from syntagma.grammar.tagged_arguments import TaggedArguments
from syntagma.grammar.terminals import WordList

TEXT_KINDS = ("regex", "choice", "grammar")
STYLES = ("json", "pythonic", *TAG_STYLES)
QUOTE = ir.Terminal(WordList([b'"']))


class Segments:
    """Reads the parts that hold a grammar, and puts that into the rules of all.

    Args:
        grammar: gets the rules.
        options: how JSON is written.
        budget: bounds on the compilation.
    """

    def __init__(self, grammar: ir.Grammar, options: JsonOptions, budget: Budget) -> None:
        self._grammar = grammar
        self._embedding = Embedding(grammar)
        self._options = options
        self._budget = budget
        # Functions often share their parameters.
        self._known: dict[tuple[str, JsonOptions], ir.Call] = {}
        self._tagged: dict[str, TaggedArguments] = {}

    def json_schema(self, part: Part) -> ir.Node:
        """JSON texts that are valid against a schema."""
        part.only(
            "type",
            "json_schema",
            "style",
            "any_order",
            "line_breaks",
            "max_whitespace_cnt",
            "excludes",
        )
        part.leaves_out('ask for "whitespace": "compact"', "max_whitespace_cnt")
        part.leaves_out("strings are as the schema says; use pattern", "excludes")
        style = part.value.get("style") or "json"
        if style not in STYLES:
            raise part.unsupported(f"the styles are {', '.join(map(repr, STYLES))}", "style")
        options = self._options
        if part.flag("any_order"):
            options = dataclasses.replace(options, property_order="any")
        if not part.flag("line_breaks", default=True):
            options = dataclasses.replace(options, max_indent=None)
        schema, pointer = part.required("json_schema"), part.at("json_schema")
        if style == "json":
            return self.schema(schema, pointer, options)
        if part.flag("any_order"):
            raise part.unsupported("arguments come in the schema's order", "any_order")
        try:
            if style == "pythonic":
                return self._keyword_arguments(schema)
            return self._tagged_arguments(style).arguments(schema)
        except GrammarError as error:
            raise located(error, pointer) from None

    def _keyword_arguments(self, schema: Any) -> ir.Node:
        options = dataclasses.replace(self._options, is_python=True, string_escapes="canonical")

        def lower(property_schema: dict[str, Any], pointer: str) -> ir.Node:
            try:
                return self.schema(property_schema, "", options)
            except GrammarError as error:
                raise moved_error(error, pointer) from None

        return keyword_arguments(schema, lower, self._grammar)

    def _tagged_arguments(self, style: str) -> TaggedArguments:
        if style not in self._tagged:
            self._tagged[style] = TaggedArguments(
                TAG_STYLES[style], self._options, self._property_rules, self._embed, self._budget
            )
        return self._tagged[style]

    def _property_rules(self, schema: Any, pointer: str, options: JsonOptions) -> ir.Grammar:
        try:
            return _schema_rules(schema, options, self._budget)
        except GrammarError as error:
            raise moved_error(error, pointer) from None

    def schema(self, schema: Any, pointer: str, options: JsonOptions | None = None) -> ir.Node:
        """JSON texts that are valid against the schema at a pointer."""
        options = options or self._options
        key = (schema if isinstance(schema, str) else canonical_text(schema), options)
        if key not in self._known:
            self._known[key] = self._embedded(
                pointer, lambda: _schema_rules(schema, options, self._budget)
            )
        return self._known[key]

    def text(self, part: Part) -> ir.Node:
        """Texts that a pattern, a list or a context-free grammar describes."""
        make, field = self._text_rules(part)
        return self._embedded(part.at(field), make)

    def json_string(self, part: Part) -> ir.Node:
        """JSON strings of the texts that another part describes, each spelled in one way."""
        part.only("type", "content")
        content = part.part("content")
        if content.text("type") not in TEXT_KINDS:
            raise content.error(f"the content must be one of {', '.join(TEXT_KINDS)}", "type")
        make, field = self._text_rules(content)
        inner = self._embedded(content.at(field), lambda: escaped_grammar(make(), self._budget))
        return ir.Sequence((QUOTE, inner, QUOTE))

    def _text_rules(self, part: Part) -> tuple[Callable[[], ir.Grammar], str]:
        """What makes the rules of a part, and the field that errors are about."""
        kind = part.text("type")
        if kind == "regex":
            part.only("type", "pattern")
            pattern = part.text("pattern")
            return lambda: regex_to_grammar(pattern, self._budget), "pattern"
        if kind == "choice":
            part.only("type", "choices")
            choices = part.items("choices")
            return lambda: choice_to_grammar(choices, self._budget), "choices"
        return self._context_free(part), "grammar"

    def _context_free(self, part: Part) -> Callable[[], ir.Grammar]:
        part.only("type", "grammar", "syntax", "start", "semantics", "indenter")
        text = part.text("grammar")
        syntax = part.value.get("syntax") or "ebnf"
        if syntax not in ("ebnf", "lark"):
            raise part.error('the syntax must be "ebnf" or "lark"', "syntax")
        if syntax == "ebnf":
            part.leaves_out("it is for Lark grammars", "semantics", "indenter")
        start = part.text("start") if part.value.get("start") is not None else None
        indenter = part.value.get("indenter")
        is_lexed = part.value.get("semantics") in (None, "lexed")
        if not is_lexed and part.value["semantics"] != "scannerless":
            raise part.error('the semantics must be "lexed" or "scannerless"', "semantics")

        def rules() -> ir.Grammar:
            if syntax == "ebnf":
                return ebnf_to_grammar(text, self._budget, root=start or "root")
            # The package takes a tenth of a second to import, and few processes read Lark.
            from syntagma.grammar.from_lark import lark_to_grammar

            return lark_to_grammar(
                text,
                self._budget,
                start=start or "start",
                semantics="lexed" if is_lexed else "scannerless",
                indenter=indenter,
            )

        return lambda: absorb(rules(), self._budget)

    def _embedded(self, pointer: str, make: Callable[[], ir.Grammar]) -> ir.Call:
        try:
            inner = make()
            if not inner.is_proper and not has_word(inner, self._budget):
                raise UnsatisfiableGrammarError("no text fits this grammar")
        except GrammarError as error:
            raise located(error, pointer) from None
        return self._embed(inner)

    def _embed(self, inner: ir.Grammar) -> ir.Call:
        self._budget.check_time()
        call = self._embedding.embed(inner)
        self._budget.check("max_rules", self._embedding.num_rules, "rules of the grammar")
        return call


def _schema_rules(schema: Any, options: JsonOptions, budget: Budget) -> ir.Grammar:
    document = SchemaDocument.load(schema, budget, options)
    if not options.additional_properties_default:
        close_objects(document, budget)
    try:
        grammar = json_schema_to_grammar(document, options, budget)
        if not grammar.is_proper and not has_word(grammar, budget):
            raise UnsatisfiableGrammarError("no value fits this schema", pointer="")
    except UnsatisfiableGrammarError as error:
        raise explained(error, document, {}, options, budget.limits) from None
    if not grammar.is_proper and has_marks(grammar.rules):
        raise UnsupportedGrammarError(
            "this schema asks for values or keys that have not come before (uniqueItems and the like), "
            "which cannot be enforced within a structural tag; leave it out, or let the whole output "
            "be JSON",
            keyword="uniqueItems",
            pointer="",
        )
    return grammar
