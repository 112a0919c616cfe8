r"""Arguments between tags: ``<parameter=city>\nParis\n</parameter>\n``.

Strings are written as they are, without quotation marks and escapes, and all else as JSON; which of them a text
is depends on the schema (`value_types`). So a string cannot hold the marks of the format, nor, where the schema
allows other types too, be a text that would be read as one of these (`readable_texts`). Only declared properties
are written, in the order of the schema.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.declared_properties import Property, declared_properties
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.errors import GrammarError, UnsatisfiableGrammarError, UnsupportedGrammarError
from syntagma.grammar.ir_fold import fold
from syntagma.grammar.ir_productive import has_word
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.markup import Markup
from syntagma.grammar.plain_strings import bounded_texts, plain_texts, regular_texts
from syntagma.grammar.readable_texts import BLANK, readable_texts
from syntagma.grammar.schema_text import canonical_text, shorten
from syntagma.grammar.terminals import WordList
from syntagma.grammar.value_types import STRING, value_types

NOTATION = "tags"
INTEGER_OR_STRING = frozenset({"integer", "string"})
# Counted strings without escapes have several states for each character.
MAX_DFA_STATES = 120_000


@dataclass(frozen=True)
class TagStyle:
    """How an argument is written.

    Attributes:
        opening: in front of its name.
        middle: between its name and its value.
        closing: behind its value.
        markup: what must not come up in a value.
    """

    opening: str
    middle: str
    closing: str
    markup: Markup


_GLM = Markup("</?(?:arg_key|arg_value|tool_call)")
STYLES = {
    "qwen_xml": TagStyle(
        "<parameter=",
        ">\n",
        "\n</parameter>\n",
        # Some readers are lenient about blanks within tags.
        Markup(rf"<[{BLANK}/]*(?:parameter|function|tool_call)"),
    ),
    "glm_xml": TagStyle("<arg_key>", "</arg_key><arg_value>", "</arg_value>", _GLM),
    "glm45_xml": TagStyle("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n", _GLM),
}

# The rules of a schema under some options; the pointer is what errors are about.
Rules = Callable[[dict[str, Any], str, JsonOptions], ir.Grammar]
Embed = Callable[[ir.Grammar], ir.Node]


class TaggedArguments:
    """Writes the arguments of calls in one style.

    Args:
        style: how they are written.
        options: how JSON is.
        rules: makes the grammar of a schema.
        embed: puts a grammar into the rules of all.
        budget: bounds on the compilation.
    """

    def __init__(
        self, style: TagStyle, options: JsonOptions, rules: Rules, embed: Embed, budget: Budget
    ) -> None:
        self._style = style
        self._options = options
        self._canonical = dataclasses.replace(options, string_escapes="canonical")
        self._rules = rules
        self._embed = embed
        self._budget = budget
        # Functions often share their parameters.
        self._known: dict[str, ir.Node] = {}
        self._wide = budget.narrowed(
            max_dfa_states=max(MAX_DFA_STATES, budget.limits.max_dfa_states)
        )

    def arguments(self, schema: Any) -> ir.Node:
        """The arguments of a call that are valid against a schema.

        Raises:
            GrammarSyntaxError: not the schema of an object.
            UnsupportedGrammarError: a keyword beside ``properties`` that says more about the object, a name
                or a listed string that the format cannot hold, a reference to anything but definitions.
            UnsatisfiableGrammarError: an argument that must come has no value.
        """
        written: list[ir.Node] = []
        for declared in declared_properties(schema, NOTATION):
            self._check_name(declared)
            try:
                value = self._value(declared)
            except UnsatisfiableGrammarError:
                if declared.is_required:
                    raise
                continue
            before = f"{self._style.opening}{declared.name}{self._style.middle}"
            node = ir.Sequence((_literal(before), value, _literal(self._style.closing)))
            written.append(node if declared.is_required else ir.optional(node))
        return ir.Sequence(tuple(written))

    def _check_name(self, declared: Property) -> None:
        name = declared.name
        if not name.isprintable() or not name or name != name.strip() or set(name) & set("<>"):
            raise UnsupportedGrammarError(
                f"{shorten(repr(name))} cannot be the name of an argument between tags: it holds an "
                "angle bracket or a line break, or a blank at its ends, or is empty",
                keyword="properties",
                pointer=declared.pointer,
            )

    def _value(self, declared: Property) -> ir.Node:
        key = canonical_text(declared.schema)
        if key not in self._known:
            self._known[key] = self._new_value(declared)
        return self._known[key]

    def _new_value(self, declared: Property) -> ir.Node:
        """A string as it is, or another value as JSON."""
        types = value_types(declared.schema)
        kinds: list[Callable[[], ir.Node]] = []
        if types >= STRING:
            kinds.append(lambda: self._string(declared, types - STRING))
        others = types - STRING
        if types >= INTEGER_OR_STRING and "number" not in types:
            kinds.append(lambda: self._integers(declared))
            others -= INTEGER_OR_STRING
        if others or not types:
            kinds.append(lambda: self._json(declared, others))
        nodes: list[ir.Node] = []
        refusal = None
        for kind in kinds:
            try:
                nodes.append(kind())
            except UnsatisfiableGrammarError as error:
                refusal = error
        if refusal is not None and not nodes:
            raise refusal
        return ir.choice(*nodes)

    def _string(self, declared: Property, others: frozenset[str]) -> ir.Node:
        """The strings of a schema, as far as they can be told from other values and from marks."""
        try:
            texts = self._writable_texts(declared, others)
        except GrammarError as error:
            error.pointer = error.pointer or declared.pointer
            raise
        self._budget.check_time()
        if texts.is_empty:
            raise UnsatisfiableGrammarError(
                "no string that fits can be written between tags", pointer=declared.pointer
            )
        return ir.regular(texts, non_empty=dfas.without_empty_word(texts))

    def _writable_texts(self, declared: Property, others: frozenset[str]) -> Dfa:
        """The strings of a schema; those that it lists must all be writable."""
        writable = dfas.difference(
            self._style.markup.texts_without, readable_texts(others), self._budget
        )
        texts = bounded_texts(declared.schema["allOf"][0], self._options, self._wide)
        if texts is None:
            rules = self._rules(_of_type(declared, ["string"]), declared.pointer, self._canonical)
            for text in _listed(rules):
                if not writable.accepts(text.encode()):
                    raise UnsupportedGrammarError(
                        f"the string {shorten(repr(text))} cannot be written between tags: it holds one, "
                        "or would be read as another value that is allowed as well",
                        keyword="enum",
                    )
            texts = plain_texts(rules, self._wide)
        return dfas.intersection(texts, writable, self._wide)

    def _integers(self, declared: Property) -> ir.Node:
        """Integers beside strings: written without fraction and exponent, for to readers ``1.0`` is a string then."""
        options = dataclasses.replace(self._options, numbers="canonical")
        rules = self._rules(_of_type(declared, ["integer"]), declared.pointer, options)
        texts = regular_texts(rules, self._wide)
        if texts is None:
            raise UnsupportedGrammarError(
                "these integers are too many to be told from strings without quotation marks",
                keyword="type",
                pointer=declared.pointer,
            )
        texts = dfas.intersection(texts, readable_texts(frozenset(["integer"])), self._wide)
        if texts.is_empty:
            raise UnsatisfiableGrammarError(
                "no integer that fits can be written beside strings", pointer=declared.pointer
            )
        return ir.regular(texts, non_empty=texts)

    def _json(self, declared: Property, types: frozenset[str]) -> ir.Node:
        rules = self._rules(_of_type(declared, sorted(types)), declared.pointer, self._options)
        written = self._style.markup.json_without(rules, self._budget)
        if not has_word(written, self._budget):
            raise UnsatisfiableGrammarError("no value fits this schema", pointer=declared.pointer)
        return self._embed(written)


def _of_type(declared: Property, types: list[str]) -> dict[str, Any]:
    """The schema of a property's values of some types."""
    schema = declared.schema
    (own,) = schema["allOf"]
    if not types or (isinstance(own, dict) and own.get("type") == types[0]):
        return schema
    return {**schema, "allOf": [*schema["allOf"], {"type": types}]}


def _listed(rules: ir.Grammar) -> Iterator[str]:
    """The strings of lists, as `enum` has them."""
    found: list[WordList] = []

    def collect(node: ir.Node, _: list[None]) -> None:
        if isinstance(node, ir.Terminal) and isinstance(node.language, WordList):
            found.append(node.language)

    for body in rules.produce_all():
        fold(body, collect)
    for language in found:
        for word in language.words:
            if len(word) > 1 and word.startswith(b'"') and word.endswith(b'"'):
                yield json.loads(word)


def _literal(text: str) -> ir.Node:
    return ir.Terminal(WordList([text.encode()]))
