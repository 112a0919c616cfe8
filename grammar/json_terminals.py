"""The terminals of JSON texts: punctuation, whitespace, literals, numbers and strings."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_all, dfa_from_bytes, dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.json_escapes import StringPart, canonical_escapes
from syntagma.grammar.json_formats import COMMON_FORMATS, FORMAT_LENGTHS, FORMATS
from syntagma.grammar.json_numbers import integer_tree, number_tree
from syntagma.grammar.json_options import JsonOptions, Whitespace
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.terminals import Language, OtherStrings, WordList, any_string
from syntagma.grammar.uri_parts import PARTED_FORMATS, WHOLE_LENGTH, uri_variants

BLANKS = ast.CharSet(((9, 9), (0x20, 0x20)))

# Longer strings are counted in blocks by the parser instead of being unrolled in one automaton.
BLOCK_LENGTH = 512

# An automaton of strings times the characters that are counted in it.
COUNTED_STATES = 16_000

# Few tokens have more characters.
SHORT_LENGTH = 24

# Keys up to this length are remembered for the process.
LONGEST_SHARED_KEY = 64


@dataclass(frozen=True)
class StringBounds:
    """What a schema asks of a string.

    Attributes:
        min_length, max_length: code points; None: no upper bound.
        patterns: regular expressions that must match somewhere.
        formats: names in `FORMATS`.
    """

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def asks_length(self) -> bool:
        """Whether the lengths exclude anything that the formats do not."""
        shortest = max((FORMAT_LENGTHS[name][0] for name in self.formats), default=0)
        longest = min((FORMAT_LENGTHS[name][1] for name in self.formats), default=None)
        if self.min_length > shortest:
            return True
        return self.max_length is not None and (longest is None or self.max_length < longest)


class JsonTerminals:
    """Builds the terminals of one compilation under one set of options.

    Terminals that do not depend on the schema are remembered for the process; those of patterns and
    formats for the compilation.

    Attributes:
        closing: closing brackets, with the white space that may stand before them.
        comma, colon: with the white space around them: a blank before, more behind.
    """

    def __init__(self, options: JsonOptions, budget: Budget) -> None:
        self.options = options
        self.budget = budget
        layout, max_indent = options.whitespace, options.max_indent
        self._opening = {bracket: _spaced_behind(bracket, layout, max_indent) for bracket in "[{"}
        self.closing = {bracket: _spaced_before(bracket, layout, max_indent) for bracket in "]}"}
        self.comma = _separator(",", layout, max_indent)
        self.colon = _separator(":", layout, max_indent)
        self._patterned: dict[StringBounds, ir.Node] = {}

    def enclosed(self, brackets: str, *contents: ir.Node, may_be_empty: bool) -> ir.Node:
        """What stands between two brackets.

        Args:
            brackets: the opening one and the closing one.
            contents: alternatives, each with the closing bracket at its end.
            may_be_empty: whether there may be nothing between them.
        """
        opening = self._opening[brackets[0]]
        if self.options.whitespace == "pretty":
            # Nothing between them: no line break either.
            filled = ir.Sequence((opening, ir.choice(*contents)))
            return ir.choice(*([_literal(brackets)] if may_be_empty else []), filled)
        empty = [_literal(brackets[1])] if may_be_empty else []
        return ir.Sequence((opening, ir.choice(*empty, *contents)))

    def words(self, values: Iterable[str | int | float | bool | None]) -> ir.Node:
        """Any of some scalar values, spelled as `json.dumps` does, with or without ``ensure_ascii``
        where strings may have any escape."""
        is_canonical = self.options.string_escapes == "canonical"
        spelled: set[bytes] = set()
        for value in values:
            if isinstance(value, str):
                spelled.add(encode_basestring(value).encode())
                if not (value.isascii() or is_canonical):
                    spelled.add(encode_basestring_ascii(value).encode())
            elif isinstance(value, float):
                spelled.add(repr(value).encode())
                if value.is_integer() and abs(value) < 1e15:
                    spelled.add(str(int(value)).encode())
            else:
                spelled.add(json.dumps(value).encode())
        return ir.Terminal(WordList(spelled)) if spelled else ir.NOTHING

    def key(self, name: str) -> ir.Node:
        """The key of a member."""
        if self.options.string_escapes == "canonical":
            return self.words([name])
        make = _key if len(name) <= LONGEST_SHARED_KEY else _key.__wrapped__
        return make(name)

    def key_other_than(self, names: Collection[str]) -> ir.Node:
        """Any key but the given ones, however they are spelled.

        Raises:
            GrammarLimitError: ``max_string`` is set, and the names are too long to be told apart.
        """
        others = OtherStrings(names) if names else any_string()
        most = self.options.max_string
        if most is None:
            return self._terminal(others)
        # Strings longer than the names need not be compared with them.
        split = min(most, max(BLOCK_LENGTH, *map(len, names), 0))
        short = StringConstraints(max_length=split, is_quoted=True)
        bound = PATTERNS.dfa(short, self.budget)
        parts = [self._terminal(dfas.intersection(others.dfa, bound, self.budget))]
        if split < most:
            parts.append(self._string_of_length(split + 1, most))
        return ir.choice(*parts)

    def literals(self, types: Collection[str]) -> list[ir.Node]:
        """``null`` and the booleans, where they are among the types."""
        texts = ["null"] if "null" in types else []
        texts += ["true", "false"] if "boolean" in types else []
        return [_literal(*texts)] if texts else []

    def number(self) -> ir.Node:
        """Any number."""
        return ir.Terminal(_number(self.options))

    def integer(self, low: int | None, high: int | None) -> ir.Node:
        """The integers from ``low`` to ``high``; raises as `integer_range`."""
        low, high = self.integer_range(low, high)
        if low is not None and high is not None and low > high:
            return ir.NOTHING
        return ir.Terminal(_integer(low, high, self.options))

    def integer_range(self, low: int | None, high: int | None) -> tuple[int | None, int | None]:
        """Bounds without those that exclude nothing the options allow.

        Raises:
            GrammarLimitError: a bound that excludes something has more than ``max_number_digits``.
        """
        largest = 10**self.budget.limits.max_number_digits
        if (low is not None and low > largest) or (high is not None and high < -largest):
            raise GrammarLimitError(
                f"a bound has more than max_number_digits = "
                f"{self.budget.limits.max_number_digits} digits",
                limit="max_number_digits",
            )
        return (
            None if low is not None and low < -largest else low,
            None if high is not None and high > largest else high,
        )

    def string(self, bounds: StringBounds) -> ir.Node:
        """The strings within some bounds.

        Raises:
            GrammarError: a pattern is malformed, or too large with all that stands beside it.
        """
        if bounds.max_length is not None and bounds.max_length < bounds.min_length:
            return ir.NOTHING
        if self.options.max_string is not None:
            bounds = self._capped(bounds)
        if not bounds.patterns and not bounds.formats:
            return self._string_of_length(bounds.min_length, bounds.max_length)
        if not bounds.patterns and not bounds.asks_length:
            return self._terminal(_format_string(bounds.formats))
        if _is_long_uri(bounds):
            return self._uri(bounds.formats[0], bounds.max_length or 0)
        node = self._patterned.get(bounds)
        if node is None:
            node = self._terminal(_bounded_string(bounds, self.budget.limits))
            self._patterned[bounds] = node
            self.budget.check_time()
        return node

    def _uri(self, name: str, max_length: int) -> ir.Node:
        """A URI of bounded length, part by part."""
        quote = _literal('"')
        whole = StringBounds(max_length=WHOLE_LENGTH, formats=(name,))
        variants = [self._terminal(_bounded_string(whole, self.budget.limits))]
        for parts in uri_variants(name, max_length):
            nodes: list[ir.Node] = [quote]
            for part in parts:
                constraints = StringConstraints(matched=(part.pattern,), max_length=part.max_length)
                dfa = PATTERNS.dfa(constraints, self.budget)
                node = self._terminal(dfas.without_empty_word(dfa), StringPart.BODY)
                nodes.append(ir.optional(node) if dfa.accepts_empty_word else node)
            variants.append(ir.Sequence((*nodes, quote)))
        return ir.choice(*variants)

    def string_of(self, dfa: Dfa) -> ir.Node:
        """The strings of an automaton over any spellings."""
        return self._terminal(dfa)

    def _capped(self, bounds: StringBounds) -> StringBounds:
        """Bounds with ``max_string`` where the schema sets none."""
        dfa = None
        if bounds.patterns or bounds.formats:
            dfa = _bounded_string(bounds, self.budget.limits)
        most = self.capped_length(bounds.min_length, bounds.max_length, dfa)
        capped = dataclasses.replace(bounds, max_length=most)
        if dfa is None or most is None or _is_long_uri(capped):
            return capped
        return dataclasses.replace(capped, max_length=self.countable_length(most, dfa))

    def capped_length(self, low: int, high: int | None, dfa: Dfa | None = None) -> int | None:
        """The greatest length of a string, ``max_string`` if the schema sets no bound.

        Args:
            low, high: lengths that the schema asks for.
            dfa: the strings, if more than their length is asked for; finitely many are left as
                they are.

        Raises:
            GrammarLimitError: all strings are longer than ``max_string``.
        """
        most = self.options.max_string
        if most is None or high is not None or (dfa is not None and dfa.is_finite):
            return high
        most = max(most, low)
        if dfa is not None and dfa.shortest_length - 2 > most:
            bound = PATTERNS.dfa(StringConstraints(max_length=most, is_quoted=True), self.budget)
            if dfas.intersection(dfa, bound, self.budget).is_empty:
                raise GrammarLimitError(
                    f"all strings that fit are longer than max_string = {most}; raise it, or bound "
                    "their length in the schema",
                    limit="max_string",
                )
        return most

    def countable_length(self, most: int, dfa: Dfa) -> int:
        """A bound of ours on the strings of an automaton, lowered to what can be counted in it."""
        return min(most, max(dfa.shortest_length - 2, COUNTED_STATES // dfa.num_states))

    def _terminal(self, language: Language, part: StringPart = StringPart.WHOLE) -> ir.Node:
        """Strings, or parts of them, with the escapes that the options allow."""
        if self.options.string_escapes == "canonical":
            return ir.Terminal(canonical_escapes(language.dfa, part, self.budget))
        return ir.Terminal(language)

    def _string_of_length(self, low: int, high: int | None) -> ir.Node:
        """``"`` low to high characters ``"``; whole blocks of long strings are counted."""
        bound = low if high is None else high
        if bound <= BLOCK_LENGTH:
            return self._terminal(_string(low, high))
        full, opening = self._terminal(_block(), StringPart.BODY), _literal('"')
        skipped, rest = divmod(low, BLOCK_LENGTH)
        start = ir.sequence(opening, ir.Repeat(full, skipped, skipped))
        if high is None:
            return ir.sequence(start, self._block_end(rest, None))
        blocks = high // BLOCK_LENGTH - skipped
        if blocks == 0:
            return ir.sequence(start, self._block_end(rest, high % BLOCK_LENGTH))
        last = BLOCK_LENGTH - 1
        return ir.sequence(
            start,
            ir.choice(
                self._block_end(rest, last),
                ir.sequence(
                    full, ir.Repeat(full, 0, blocks - 1), self._block_end(0, high % BLOCK_LENGTH)
                ),
                ir.NOTHING
                if blocks < 2
                else ir.sequence(full, ir.Repeat(full, 0, blocks - 2), self._block_end(0, last)),
            ),
        )

    def _block_end(self, low: int, high: int | None) -> ir.Node:
        return self._terminal(_block_end(low, high), StringPart.END)


def prebuild() -> None:
    """Build what nearly every schema needs, so that no compilation pays for it (once a process).

    The other formats are here for what they cost: those of URIs take 10 to 20 ms each.
    """
    common_terminals()
    for name in FORMATS:
        _format_string((name,))
    _block()
    _block_end(0, BLOCK_LENGTH - 1)


def common_terminals() -> list[Dfa]:
    """What nearly every schema needs, most wanted first."""
    options = JsonOptions()
    return [
        _string(0, None),
        *(node.language.dfa for node in _punctuation(options)),
        _integer(None, None, options),
        _number(options),
        *(_format_string((name,)) for name in COMMON_FORMATS),
    ]


@functools.cache
def short_string() -> Dfa:
    """Any string of up to `SHORT_LENGTH` characters."""
    return _string(0, SHORT_LENGTH)


# What follows is built once for the process. Where no limits are passed, the size does not depend on
# a request.


@functools.cache
def _literal(*texts: str) -> ir.Terminal:
    return ir.Terminal(WordList(text.encode() for text in texts))


# White space belongs to the punctuation beside it: as a terminal of its own it gave a parser state more
# before every key and bracket.


def _punctuation(options: JsonOptions) -> list[ir.Terminal]:
    """The separators, the opening and the closing brackets."""
    layout, max_indent = options.whitespace, options.max_indent
    found = [_separator(text, layout, max_indent) for text in ",:"]
    found += [_spaced_behind(text, layout, max_indent) for text in "{["]
    return found + [_spaced_before(text, layout, max_indent) for text in "}]"]


@functools.cache
def _spaced_behind(text: str, layout: Whitespace, max_indent: int) -> ir.Terminal:
    if layout == "compact":
        return _literal(text)
    return _bytes(ast.concat(ast.literal(text.encode()), _space(layout, max_indent)))


@functools.cache
def _spaced_before(text: str, layout: Whitespace, max_indent: int) -> ir.Terminal:
    if layout == "compact":
        return _literal(text)
    return _bytes(ast.concat(_space(layout, max_indent), ast.literal(text.encode())))


@functools.cache
def _separator(text: str, layout: Whitespace, max_indent: int) -> ir.Terminal:
    if layout == "compact":
        return _literal(text)
    if layout == "pretty":
        if text == ":":
            return _literal(": ")
        return _spaced_behind(text, layout, max_indent)
    blank = ast.optional(ast.literal(b" "))
    return _bytes(ast.concat(blank, ast.literal(text.encode()), _space(layout, max_indent)))


def _space(layout: Whitespace, max_indent: int) -> ast.Node:
    """Two blanks at most, or a line break and an indentation; the latter only: ``"pretty"``."""
    if layout == "pretty":
        return ast.concat(ast.literal(b"\n"), ast.Repeat(BLANKS, 0, max_indent))
    line_break = ast.concat(ast.optional(ast.literal(b"\r")), ast.literal(b"\n"))
    return ast.union(
        [ast.Repeat(BLANKS, 0, 2), ast.concat(line_break, ast.Repeat(BLANKS, 0, max_indent))]
    )


def _bytes(tree: ast.Node) -> ir.Terminal:
    return ir.Terminal(dfa_from_bytes(tree, Budget.unlimited()))


@functools.lru_cache(maxsize=4096)
def _key(name: str) -> ir.Node:
    return ir.Terminal(WordList(_spellings(name)))


def _spellings(text: str) -> tuple[bytes, ...]:
    """A string as `json.dumps` writes it, with and without ``ensure_ascii``."""
    raw = encode_basestring(text).encode()
    return (raw,) if text.isascii() else (raw, encode_basestring_ascii(text).encode())


@functools.cache
def _number(options: JsonOptions) -> Dfa:
    return dfa_from_bytes(number_tree(options), Budget.unlimited())


@functools.lru_cache(maxsize=512)
def _integer(low: int | None, high: int | None, options: JsonOptions) -> Dfa:
    return dfa_from_bytes(integer_tree(low, high, options), Budget.unlimited())


@functools.lru_cache(maxsize=256)
def _body(low: int, high: int | None) -> Dfa:
    tree = ast.Repeat(ast.ANY_CHAR, low, high)
    return dfa_from_code_points(tree, Encoder.JSON, Budget.unlimited())


@functools.lru_cache(maxsize=64)
def _format_string(formats: tuple[str, ...]) -> Dfa:
    return _bounded_string(StringBounds(formats=formats), CompileLimits.unlimited())


def _is_long_uri(bounds: StringBounds) -> bool:
    """Whether a string is a URI whose length cannot be counted as a whole."""
    if bounds.patterns or len(bounds.formats) != 1 or bounds.formats[0] not in PARTED_FORMATS:
        return False
    shortest = FORMAT_LENGTHS[bounds.formats[0]][0]
    most = bounds.max_length
    return most is not None and most > WHOLE_LENGTH and bounds.min_length <= shortest


def _bounded_string(bounds: StringBounds, limits: CompileLimits) -> Dfa:
    """The strings that fit all patterns, formats and lengths."""
    constraints = StringConstraints(
        searched=bounds.patterns,
        matched=tuple(p for name in bounds.formats for p in FORMATS[name]),
        min_length=bounds.min_length if bounds.asks_length else 0,
        max_length=bounds.max_length if bounds.asks_length else None,
        is_quoted=True,
    )
    return PATTERNS.dfa(constraints, Budget(limits))


@functools.lru_cache(maxsize=256)
def _string(low: int, high: int | None) -> Dfa:
    if low == 0 and high is None:
        return any_string()
    tree = ast.Repeat(ast.ANY_CHAR, low, high)
    return dfa_from_all([tree], Encoder.JSON, Budget.unlimited(), is_quoted=True)


@functools.cache
def _block() -> Dfa:
    return _body(BLOCK_LENGTH, BLOCK_LENGTH)


@functools.lru_cache(maxsize=256)
def _block_end(low: int, high: int | None) -> Dfa:
    return dfas.behind_first_byte(_string(low, high))
