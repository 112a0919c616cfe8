"""Strings that fit a clause: their automata, and whether given texts are among them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.dfa_builder import strings_other_than
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.json_formats import FORMATS, LOOSE_FORMATS
from syntagma.grammar.json_string_automata import StringBounds
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.schema_clauses import Clause, Clauses
from syntagma.grammar.schema_logic import Atom, Formula, Logic

T = TypeVar("T")

# Texts that tell most languages from the empty one.
TRIED = (
    "",
    "a",
    "A",
    "0",
    " ",
    "\n",
    "~",
    "aa",
    "a0",
    "zzzzzzzzzzzz",
    "ZZZZZZZZZZZZ",
    "999999999999",
)


@dataclass(frozen=True)
class TextForm:
    """The strings of one clause.

    Attributes:
        values: the only texts that may be meant; None: no list.
        excluded: texts that may not.
        min_length, max_length: code points.
        patterns, formats: all must match.
        other_patterns, other_formats: none may.
    """

    values: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    other_patterns: tuple[str, ...] = ()
    other_formats: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether only lengths, patterns and formats are asked for."""
        return not (self.excluded or self.other_patterns or self.other_formats)

    @property
    def is_free(self) -> bool:
        """Whether any text fits that is not excluded."""
        return self.values is None and not (
            self.min_length
            or self.max_length is not None
            or self.patterns
            or self.formats
            or self.other_patterns
            or self.other_formats
        )


def text_form(clause: Clause, logic: Logic) -> TextForm:
    """What the atoms of a clause ask of a string."""
    values: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    low, high = 0, None
    lists: dict[tuple[str, bool], dict[str, None]] = {}
    for formula in clause:
        atom = logic.node(formula)
        assert isinstance(atom, Atom), "clauses are lists of atoms"
        is_asked, payload = formula >= 0, atom.payload
        if atom.name == "in":
            assert isinstance(payload, frozenset), "names are a set"
            if not is_asked:
                excluded |= payload
            else:
                values = payload if values is None else values & payload
        elif atom.name == "longer":
            assert isinstance(payload, int), "lengths are numbers"
            if is_asked:
                low = max(low, payload)
            else:
                high = payload - 1 if high is None else min(high, payload - 1)
        else:
            assert isinstance(payload, str), "patterns and formats are texts"
            lists.setdefault((atom.name, is_asked), {})[payload] = None
    return TextForm(
        values=values,
        excluded=excluded,
        min_length=low,
        max_length=high,
        patterns=tuple(lists.get(("pattern", True), ())),
        formats=tuple(lists.get(("format", True), ())),
        other_patterns=tuple(lists.get(("pattern", False), ())),
        other_formats=tuple(lists.get(("format", False), ())),
    )


class Texts:
    """Questions about strings, with errors that tell where a pattern stands."""

    def __init__(self, clauses: Clauses, terminals: JsonTerminals) -> None:
        self.clauses = clauses
        self.logic = clauses.logic
        self.terminals = terminals
        self.budget = clauses.budget
        self._forms: dict[Clause, TextForm] = {}
        self._holding: dict[tuple[Formula, str], bool] = {}
        self._automata: dict[TextForm, Dfa] = {}
        self._empty: dict[TextForm, bool] = {}
        self._pattern_dfas: dict[str, Dfa] = {}
        self._shortest: dict[str, str] = {}

    def form(self, clause: Clause) -> TextForm:
        """The form of a clause about strings."""
        form = self._forms.get(clause)
        if form is None:
            form = self._forms[clause] = text_form(clause, self.logic)
        return form

    def holds(self, formula: Formula, text: str) -> bool:
        """Whether a text fits a formula about strings."""
        key = formula, text
        if key not in self._holding:
            self._holding[key] = any(
                self.fits(self.form(clause), text) for clause in self.clauses.of(formula, "string")
            )
        return self._holding[key]

    def fits(self, form: TextForm, text: str) -> bool:
        """Whether a text fits a form."""
        if form.values is not None and text not in form.values:
            return False
        if text in form.excluded or len(text) < form.min_length:
            return False
        if form.max_length is not None and len(text) > form.max_length:
            return False
        return (
            all(self._matches(pattern, text) for pattern in form.patterns)
            and all(_accepts(FORMATS[name], text) for name in form.formats)
            and not any(self._matches(pattern, text) for pattern in form.other_patterns)
            and not any(_accepts(LOOSE_FORMATS[name], text) for name in form.other_formats)
        )

    def listed(self, form: TextForm) -> list[str]:
        """The texts of a form that lists values."""
        return sorted(text for text in form.values or () if self.fits(form, text))

    def is_empty(self, form: TextForm) -> bool:
        """Whether no string fits."""
        if form.values is not None:
            return not self.listed(form)
        if form.max_length is not None and form.max_length < form.min_length:
            return True
        if form.formats and form.is_plain and not form.patterns:
            return self.node(form) == ir.NOTHING
        if form.patterns or form.other_patterns or form.formats or form.other_formats:
            if form not in self._empty:
                # A text at hand saves an automaton that is mostly not asked for again.
                self._empty[form] = not self._has_example(form) and self._has_no_word(form)
            return self._empty[form]
        return form.max_length == 0 and "" in form.excluded

    def _has_no_word(self, form: TextForm) -> bool:
        """Whether an automaton is empty, built without the spellings of JSON."""
        dfa = self._placed(form, lambda: self._built(form, Encoder.UTF8))
        return dfa.is_empty

    def _has_example(self, form: TextForm) -> bool:
        """Whether one of a few texts fits."""
        if form.formats:
            return False
        examples = itertools.chain(*map(self._examples, form.patterns)) if form.patterns else TRIED
        return any(self.fits(form, text) for text in examples)

    def _examples(self, pattern: str) -> Iterator[str]:
        """Some texts that a pattern may match."""
        if pattern not in self._shortest:
            word = _shortest_word(self._pattern_dfa(pattern))
            self._shortest[pattern] = word.decode("utf-8", "replace")
        shortest = self._shortest[pattern]
        yield from (shortest + text for text in TRIED)
        yield from (text + shortest for text in TRIED)

    def automaton(self, form: TextForm) -> Dfa:
        """The strings of a form without a list of values, quotation marks included.

        Raises:
            GrammarError: a pattern is malformed or too large, with its pointer.
        """
        dfa = self._automata.get(form)
        if dfa is None:
            dfa = self._automata[form] = self._placed(form, lambda: self._built(form, Encoder.JSON))
        return dfa

    def node(self, form: TextForm) -> ir.Node:
        """The strings of a form."""
        if form.values is not None:
            return self.terminals.words(self.listed(form))
        if form.is_plain:
            bounds = StringBounds(form.min_length, form.max_length, form.patterns, form.formats)
            node = self._placed(form, lambda: self.terminals.string(bounds))
            if (form.patterns or form.formats) and isinstance(node, ir.Terminal):
                return ir.NOTHING if node.language.dfa.is_empty else node
            return node
        if form.is_free:
            return self.terminals.key_other_than(form.excluded)
        form = self._without_idle_exclusions(form)
        if form.is_plain:
            return self.node(form)
        dfa = self.automaton(form)
        most = self._placed(
            form, lambda: self.terminals.capped_length(form.min_length, form.max_length, dfa)
        )
        if most is not None and most != form.max_length:
            most = self.terminals.countable_length(most, dfa)
            dfa = self.automaton(replace(form, max_length=most))
        return ir.NOTHING if dfa.is_empty else self.terminals.string_of(dfa)

    def _without_idle_exclusions(self, form: TextForm) -> TextForm:
        """The form, not leaving out texts that do not fit anyway."""
        if not form.patterns or form.formats:
            return form
        rest = replace(form, excluded=frozenset())
        return replace(form, excluded=frozenset(t for t in form.excluded if self.fits(rest, t)))

    def _built(self, form: TextForm, encoder: Encoder) -> Dfa:
        """The strings of a form; in JSON with their quotation marks."""
        common: Any = {"encoder": encoder, "is_quoted": encoder is Encoder.JSON}
        dfa = PATTERNS.dfa(
            StringConstraints(
                searched=form.patterns,
                matched=tuple(p for name in form.formats for p in FORMATS[name]),
                min_length=form.min_length,
                max_length=form.max_length,
                **common,
            ),
            self.budget,
        )
        for pattern in form.other_patterns:
            other = StringConstraints(searched=(pattern,), **common)
            dfa = dfas.difference(dfa, PATTERNS.dfa(other, self.budget), self.budget)
        for name in form.other_formats:
            other = StringConstraints(matched=LOOSE_FORMATS[name], **common)
            dfa = dfas.difference(dfa, PATTERNS.dfa(other, self.budget), self.budget)
        if form.excluded:
            is_quoted = encoder is Encoder.JSON
            others = strings_other_than(form.excluded, encoder, self.budget, is_quoted=is_quoted)
            dfa = dfas.intersection(dfa, others, self.budget)
        self.budget.check_time()
        return dfa

    def _matches(self, pattern: str, text: str) -> bool:
        return self._pattern_dfa(pattern).accepts(text.encode("utf-8", "surrogatepass"))

    def _pattern_dfa(self, pattern: str) -> Dfa:
        """The texts in which a pattern matches somewhere, as UTF-8."""
        dfa = self._pattern_dfas.get(pattern)
        if dfa is None:
            constraints = StringConstraints(searched=(pattern,), encoder=Encoder.UTF8)
            form = TextForm(patterns=(pattern,))
            dfa = self._placed(form, lambda: PATTERNS.dfa(constraints, self.budget))
            self._pattern_dfas[pattern] = dfa
        return dfa

    def _placed(self, form: TextForm, build: Callable[[], T]) -> T:
        """What ``build`` returns; its errors get the pointer of a pattern or format of the form."""
        try:
            return build()
        except GrammarError as error:
            if error.pointer is None:
                error.pointer = self._culprit(form)
            raise

    def _culprit(self, form: TextForm) -> str | None:
        for pattern in (*form.patterns, *form.other_patterns):
            try:
                parse_regex(pattern, self.budget)
            except GrammarError:
                return self._origin("pattern", pattern)
        for name, payloads in (("pattern", form.patterns), ("format", form.formats)):
            if payloads:
                return self._origin(name, payloads[0])
        return self._origin("pattern", form.other_patterns[0]) if form.other_patterns else None

    def _origin(self, name: str, payload: str) -> str | None:
        origin = self.logic.origins.get(self.logic.atom("string", name, payload))
        return None if origin is None else origin[1]


def _accepts(patterns: tuple[str, ...], text: str) -> bool:
    """Whether a text matches all patterns of a format."""
    return _format_dfa(patterns).accepts(text.encode("utf-8", "surrogatepass"))


def _shortest_word(dfa: Dfa) -> bytes:
    """A shortest word; the empty one also if there is none."""
    words = {START: b""}
    waiting = [START]
    for state in waiting:
        if dfa.accepting[state]:
            return words[state]
        for byte_class, target in enumerate(dfa.transitions[state].tolist()):
            if target != DEAD and target not in words:
                byte = int((dfa.byte_classes == byte_class).argmax())
                words[target] = words[state] + bytes([byte])
                waiting.append(target)
    return b""


@functools.lru_cache(maxsize=64)
def _format_dfa(patterns: tuple[str, ...]) -> Dfa:
    constraints = StringConstraints(matched=patterns, encoder=Encoder.UTF8)
    return PATTERNS.dfa(constraints, Budget.unlimited())
