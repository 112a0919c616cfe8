"""EBNF text -> syntax trees of its rules.

One dialect that reads llama.cpp's GBNF and the W3C-style EBNF of the XML specification and of
xgrammar:

    name ::= ...              a rule; it ends where the next one begins, on a line of its own
    "text"  'text'            literals, with escapes
    [a-z_]  [^"\\n]  .         one character out of a set, outside a set, any at all
    #x41    [#x20-#x7E]       code points by number
    A B   A | B   ( A )       sequence, alternatives (an empty one is the empty word), group
    A?  A*  A+  A{2}  A{2,}  A{2,5}
    A - B                     the words of A that are not words of B; both must be regular
    # ...   /* ... */         comments

Names are made of letters, digits, ``_``, ``-`` and inner dots, and begin with a letter, a digit or
``_``; so ``-`` needs a space before it where it follows a name. The parser keeps its own stack, so
nesting cannot exhaust Python's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from syntagma.grammar import code_points as cp
from syntagma.grammar import ebnf_tree as tree
from syntagma.grammar.ebnf_characters import CharacterReader
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.grammar_source import GrammarSource
from syntagma.grammar.limits import Budget

MAX_COUNT = 10**9
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_]))*+")
_SPACE = re.compile(r"[ \t\r\n\ufeff]++")
_BOUNDS = re.compile(r"\{\s*+([0-9]++)\s*+(,?+)\s*+([0-9]*+)\s*+\}")
_TOKEN_REFERENCE = re.compile(r"!?<(?:\[[0-9]++\]|[^<>\s]++)>")
_ATTRIBUTES = re.compile(r"(\[[^\]\n]*+\])[ \t]*+::=")
# xgrammar's macros; they take arguments that are not EBNF.
_MACROS = ("TagDispatch", "TokenTagDispatch", "Token", "ExcludeToken")
_SIMPLE_COUNTS: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@dataclass
class _Group:
    """An open group: finished alternatives and the one being read.

    ``exclusion`` is the position of a ``-`` whose right side has not been read yet.
    """

    start: int
    branches: list[tree.Node] = field(default_factory=list)
    parts: list[tree.Node] = field(default_factory=list)
    exclusion: int | None = None

    def close(self) -> tree.Node:
        self.end_branch()
        return (
            self.branches[0] if len(self.branches) == 1 else tree.Alternatives(tuple(self.branches))
        )

    def end_branch(self) -> None:
        parts = self.parts
        self.branches.append(parts[0] if len(parts) == 1 else tree.Sequence(tuple(parts)))
        self.parts = []

    def add(self, node: tree.Node) -> None:
        if self.exclusion is None:
            self.parts.append(node)
        else:
            self.parts[-1] = tree.Exclusion(self.parts[-1], node, self.exclusion)
            self.exclusion = None


class EbnfParser:
    """Parses one grammar; use `parse_ebnf`."""

    def __init__(self, source: GrammarSource, budget: Budget) -> None:
        self.source = source
        self.text = source.text
        self.position = 0
        self.end_of_rule = 0
        self.budget = budget

    def parse(self) -> list[tree.Rule]:
        """All rules, in the order of the text."""
        rules: list[tree.Rule] = []
        self._skip_space()
        while self.position < len(self.text):
            self.budget.check_time()
            self.budget.check("max_rules", len(rules) + 1, "rules of the grammar")
            rules.append(self._rule())
        return rules

    def _rule(self) -> tree.Rule:
        start = self.position
        name = self._rule_head()
        if name is None:
            raise self.source.error(
                "a rule must begin here", start, hint="rules are written as in: name ::= ..."
            )
        if self.end_of_rule and "\n" not in self.text[self.end_of_rule : start]:
            raise self.source.error("a rule must begin on a line of its own", start)
        return tree.Rule(name, self._body(), start)

    def _body(self) -> tree.Node:
        groups = [_Group(self.position)]
        while True:
            self.budget.check_time()
            self.end_of_rule = self.position
            self._skip_space()
            if self.position >= len(self.text) or self._is_at_rule():
                break
            char = self.text[self.position]
            if char == "(":
                self._refuse_lookahead()
                groups.append(_Group(self.position))
                self.budget.check("max_regex_depth", len(groups) - 1, "nesting of groups")
                self.position += 1
            elif char == ")":
                if len(groups) == 1:
                    raise self.source.error("')' closes no group", self.position)
                self._refuse_open_exclusion(groups[-1])
                self.position += 1
                node = groups.pop().close()
                groups[-1].add(self._quantified(node))
            elif char == "|":
                self._refuse_open_exclusion(groups[-1])
                groups[-1].end_branch()
                self.position += 1
            elif char == "-":
                self._refuse_open_exclusion(groups[-1])
                if not groups[-1].parts:
                    raise self.source.error("'-' excludes from nothing", self.position)
                groups[-1].exclusion = self.position
                self.position += 1
            else:
                groups[-1].add(self._quantified(self._atom(char)))
        if len(groups) > 1:
            raise self.source.error("'(' is never closed", groups[-1].start)
        self._refuse_open_exclusion(groups[0])
        return groups[0].close()

    def _atom(self, char: str) -> tree.Node:
        start = self.position
        if char in "\"'[#":
            reader = CharacterReader(self.source, start)
            if char == "#":
                points = reader.code_point() or ()
            elif char == "[":
                points = reader.character_class()
            else:
                text = reader.literal()
                self.position = reader.position
                return tree.Literal(text)
            self.position = reader.position
            return tree.Characters(points)
        if char == ".":
            self.position += 1
            return tree.Characters(cp.ANY)
        name = _NAME.match(self.text, start)
        if name is not None:
            self.position = name.end()
            if name[0] in _MACROS and self.text.startswith("(", self.position):
                raise self.source.unsupported(f"{name[0]} is not supported", start, keyword=name[0])
            return tree.Reference(name[0], start)
        raise self._unexpected(char)

    def _unexpected(self, char: str) -> Exception:
        """The error for a character that begins nothing."""
        if char in "<!":
            found = _TOKEN_REFERENCE.match(self.text, self.position)
            if found is not None:
                return self.source.unsupported(
                    "references to tokens are not supported",
                    self.position,
                    keyword=found[0][:60],
                    hint="special tokens never match text",
                )
        if char in "?*+{":
            return self.source.error(f"'{char}' repeats nothing", self.position)
        if self.text.startswith("::=", self.position):
            return self.source.error("'::=' needs the name of a rule before it", self.position)
        if char in "=:":
            return self.source.error(
                f"unexpected {char!r}", self.position, hint="rules are written name ::= ..."
            )
        return self.source.error(f"unexpected {char!r}", self.position)

    def _quantified(self, node: tree.Node) -> tree.Node:
        """Apply the repetition that follows an atom, if one does."""
        mark = self.position
        self._skip_space()
        char = self.text[self.position : self.position + 1]
        if char in _SIMPLE_COUNTS:
            low, high = _SIMPLE_COUNTS[char]
            self.position += 1
        elif char == "{":
            low, high = self._bounds()
        else:
            self.position = mark
            return node
        if self.text[self.position : self.position + 1] in ("?", "*", "+", "{"):
            raise self.source.error(
                "a repetition cannot be repeated", self.position, hint="use a group, as in (A+)*"
            )
        return tree.Repetition(node, low, high)

    def _bounds(self) -> tuple[int, int | None]:
        found = _BOUNDS.match(self.text, self.position)
        if found is None:
            raise self.source.error(
                "a repetition is written {2}, {2,} or {2,5}",
                self.position,
                hint="'at most 5' is {0,5}",
            )
        low, comma, high = found.groups()
        if max(len(low), len(high)) > 9:
            raise self.source.error(f"a repetition count must be below {MAX_COUNT}", self.position)
        min_count = int(low)
        max_count = int(high) if high else (None if comma else min_count)
        if max_count is not None and max_count < min_count:
            raise self.source.error("the repetition's bounds run backwards", self.position)
        self.position = found.end()
        return min_count, max_count

    def _refuse_lookahead(self) -> None:
        for mark in ("(?=", "(?!", "(="):
            if self.text.startswith(mark, self.position):
                raise self.source.unsupported(
                    "lookahead is not supported", self.position, keyword=mark
                )

    def _refuse_open_exclusion(self, group: _Group) -> None:
        if group.exclusion is not None:
            raise self.source.error("'-' needs something to exclude after it", group.exclusion)

    def _rule_head(self) -> str | None:
        """Read ``name ::=``; None, and nothing read, if something else stands here."""
        mark = self.position
        name = _NAME.match(self.text, mark)
        if name is not None:
            self.position = name.end()
            attributes = _ATTRIBUTES.match(self.text, self.position)
            if attributes is not None:
                raise self.source.unsupported(
                    "attributes of rules are not supported", mark, keyword=attributes[1][:60]
                )
            self._skip_space()
            if self.text.startswith("::=", self.position):
                self.position += 3
                return name[0]
        self.position = mark
        return None

    def _is_at_rule(self) -> bool:
        mark = self.position
        is_rule = self._rule_head() is not None
        self.position = mark
        return is_rule

    def _skip_space(self) -> None:
        """White space and comments."""
        text = self.text
        while self.position < len(text):
            space = _SPACE.match(text, self.position)
            if space is not None:
                self.position = space.end()
            elif text.startswith("/*", self.position):
                end = text.find("*/", self.position + 2)
                if end < 0:
                    raise self.source.error("this comment is never closed with */", self.position)
                self.position = end + 2
            elif text[self.position] == "#" and not self._is_code_point():
                end = text.find("\n", self.position)
                self.position = len(text) if end < 0 else end
            else:
                return

    def _is_code_point(self) -> bool:
        return CharacterReader(self.source, self.position).code_point() is not None


def parse_ebnf(source: GrammarSource, budget: Budget) -> list[tree.Rule]:
    """Parse a grammar into its rules, at least one; references are not resolved.

    Raises:
        GrammarSyntaxError: malformed, with line and column.
        UnsupportedGrammarError: look-ahead, references to tokens, macros and attributes of xgrammar.
        GrammarLimitError: too many rules, or groups nested deeper than ``max_regex_depth``.
    """
    rules = EbnfParser(source, budget).parse()
    if not rules:
        raise GrammarSyntaxError(
            'EBNF: the grammar has no rules; the smallest one is: root ::= ""', line=1, column=1
        )
    return rules
