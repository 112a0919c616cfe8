"""EBNF -> grammar, scannerless: every literal and character class is a terminal."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ebnf_tree as tree
from syntagma.grammar import ir
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import CodePointSet
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points
from syntagma.grammar.ebnf_parser import parse_ebnf
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.grammar_source import GrammarSource, closest
from syntagma.grammar.limits import Budget
from syntagma.grammar.regular_parts import NOT_REGULAR, RegularParts
from syntagma.grammar.rule_groups import calls

# The same few small classes come in most grammars.
MAX_CACHED_RANGES = 32


@dataclass(frozen=True)
class _OpenExclusion:
    """A rule that stands for ``left - right`` until both sides are known.

    Attributes:
        rule: its number.
        left, right: both sides.
        position: of the ``-`` in the source.
    """

    rule: int
    left: ir.Node
    right: ir.Node
    position: int


def ebnf_to_grammar(text: str, budget: Budget, *, root: str = "root") -> ir.Grammar:
    """The grammar of the texts that the rule ``root`` describes.

    Rules that ``root`` does not need are checked for undefined names and left out.

    Raises:
        GrammarSyntaxError: see `parse_ebnf`; also a rule that is not defined or defined twice.
        UnsupportedGrammarError: see `parse_ebnf`; also an exclusion of what is not regular.
        GrammarLimitError: too large.
    """
    if not isinstance(text, str):
        raise GrammarSyntaxError(f"an EBNF grammar must be a string, not {type(text).__name__}")
    budget.check("max_source_bytes", len(text), "characters of the grammar")
    source = GrammarSource(text)
    rules = _rules_by_name(parse_ebnf(source, budget), source)
    if root not in rules:
        guess = closest(root, rules)
        first = next(iter(rules))
        raise source.error(
            f"the grammar has no rule {source.shown(root)} to start from",
            rules[guess or first].position,
            hint=f"did you mean {guess!r}?"
            if guess
            else f"name the first rule {source.shown(root)}",
        )
    return _Lowering(rules, source, budget).grammar_of(root)


def _rules_by_name(rules: list[tree.Rule], source: GrammarSource) -> dict[str, tree.Rule]:
    by_name: dict[str, tree.Rule] = {}
    for rule in rules:
        if rule.name in by_name:
            line, _ = source.line_and_column(by_name[rule.name].position)
            raise source.error(
                f"rule {source.shown(rule.name)} is defined twice",
                rule.position,
                hint=f"its first definition is on line {line}; join them with |",
            )
        by_name[rule.name] = rule
    return by_name


class _Lowering:
    """Turns syntax trees into `ir` nodes."""

    def __init__(self, rules: dict[str, tree.Rule], source: GrammarSource, budget: Budget) -> None:
        self.rules = rules
        self.source = source
        self.budget = budget
        self.grammar = ir.Grammar()
        self.numbers: dict[str, int] = {}
        # Declared rules that have no body yet.
        self.waiting: list[str] = []
        self.open_exclusions: list[_OpenExclusion] = []
        self.terminals: dict[CodePointSet | str, ir.Node] = {}

    def grammar_of(self, root: str) -> ir.Grammar:
        """Lower the rules that the root needs, it first."""
        self.rule_number(root)
        while self.waiting:
            name = self.waiting.pop()
            self.grammar.define(self.numbers[name], self.lowered(self.rules[name].body))
        for name, rule in self.rules.items():
            if name not in self.numbers:
                self.check_references(rule.body)
        self.resolve_exclusions()
        return self.grammar

    def rule_number(self, name: str) -> int:
        """The number of a rule, which is declared if need be."""
        if name not in self.numbers:
            self.numbers[name] = self.grammar.declare(name)
            self.waiting.append(name)
        return self.numbers[name]

    def lowered(self, body: tree.Node) -> ir.Node:
        """The node of a syntax tree, its parts first."""
        results: list[ir.Node] = []
        waiting: list[tuple[tree.Node, bool]] = [(body, False)]
        while waiting:
            node, is_ready = waiting.pop()
            parts = _parts(node)
            if not is_ready and parts:
                waiting.append((node, True))
                waiting += [(part, False) for part in reversed(parts)]
                continue
            lowered = results[len(results) - len(parts) :]
            del results[len(results) - len(parts) :]
            results.append(self._combined(node, lowered))
            self.budget.check_time()
        return results[0]

    def _combined(self, node: tree.Node, parts: list[ir.Node]) -> ir.Node:
        match node:
            case tree.Literal(text):
                return self._terminal(text)
            case tree.Characters(points):
                return self._terminal(points)
            case tree.Reference(name, position):
                self.check_defined(name, position)
                return ir.Call(self.rule_number(name))
            case tree.Sequence():
                return ir.sequence(*parts)
            case tree.Alternatives():
                return ir.choice(*parts)
            case tree.Repetition(_, min_count, max_count):
                return ir.repeat(parts[0], min_count, max_count)
            case tree.Exclusion(_, _, position):
                line, column = self.source.line_and_column(position)
                rule = self.grammar.declare(f"exclusion at {line}:{column}")
                self.open_exclusions.append(_OpenExclusion(rule, parts[0], parts[1], position))
                return ir.Call(rule)

    def _terminal(self, symbols: CodePointSet | str) -> ir.Node:
        if symbols not in self.terminals:
            if not symbols:
                node: ir.Node = ir.EMPTY if symbols == "" else ir.NOTHING
            elif isinstance(symbols, str):
                node = ir.Terminal(dfas.literal(symbols.encode()))
            else:
                node = ir.Terminal(_automaton_of_set(symbols, self.budget))
            self.terminals[symbols] = node
        return self.terminals[symbols]

    def check_defined(self, name: str, position: int) -> None:
        """Raises GrammarSyntaxError if there is no such rule."""
        if name in self.rules:
            return
        guess = closest(name, self.rules)
        hint = f"did you mean {guess!r}?" if guess else "every name needs a rule: name ::= ..."
        if "." in name and all(part in self.rules for part in name.split(".")):
            hint = "put spaces around a '.' that means any character"
        elif "-" in name and all(part in self.rules for part in name.split("-")):
            hint = "put spaces around a '-' that excludes"
        raise self.source.error(
            f"rule {self.source.shown(name)} is not defined", position, hint=hint
        )

    def check_references(self, body: tree.Node) -> None:
        """Raises GrammarSyntaxError if a body refers to a rule that is not defined."""
        waiting = [body]
        while waiting:
            node = waiting.pop()
            if isinstance(node, tree.Reference):
                self.check_defined(node.name, node.position)
            waiting += reversed(_parts(node))

    def resolve_exclusions(self) -> None:
        """Define the rules that stand for exclusions, inner ones first."""
        waiting = self.open_exclusions
        while waiting:
            still_open = {exclusion.rule for exclusion in waiting}
            ready = [e for e in waiting if not self._reaches(e, still_open)]
            if not ready:
                raise self._not_regular(waiting[0])
            parts = RegularParts(self.grammar.produce_all(), self.budget)
            for exclusion in ready:
                self.grammar.define(exclusion.rule, self._difference(exclusion, parts))
                still_open.remove(exclusion.rule)
            waiting = [exclusion for exclusion in waiting if exclusion.rule in still_open]

    def _reaches(self, exclusion: _OpenExclusion, rules: set[int]) -> bool:
        """Whether a side of an exclusion calls one of the rules, directly or not."""
        self.budget.check_time()
        seen: set[int] = set()
        waiting = calls(exclusion.left) + calls(exclusion.right)
        while waiting:
            rule = waiting.pop()
            if rule not in seen:
                seen.add(rule)
                waiting += calls(self.grammar.body(rule))
        return not seen.isdisjoint(rules)

    def _difference(self, exclusion: _OpenExclusion, parts: RegularParts) -> ir.Node:
        automata = []
        for side in (exclusion.left, exclusion.right):
            size = parts.size(side)
            if size == NOT_REGULAR:
                raise self._not_regular(exclusion)
            self.budget.check("max_nfa_states", size, "states of one side of '-'")
            automata.append(parts.automaton(side, self.budget))
        difference = dfas.difference(automata[0], automata[1], self.budget)
        return ir.regular(difference, non_empty=dfas.without_empty_word(difference))

    def _not_regular(self, exclusion: _OpenExclusion) -> Exception:
        return self.source.unsupported(
            "'-' is supported between regular expressions only, and a side of this one is recursive",
            exclusion.position,
            keyword="-",
        )


def _parts(node: tree.Node) -> tuple[tree.Node, ...]:
    match node:
        case tree.Sequence(parts) | tree.Alternatives(parts):
            return parts
        case tree.Repetition(part, _, _):
            return (part,)
        case tree.Exclusion(left, right, _):
            return (left, right)
        case _:
            return ()


def _automaton_of_set(points: CodePointSet, budget: Budget) -> Dfa:
    if len(points) <= MAX_CACHED_RANGES:
        return _cached_automaton(points)
    return dfa_from_code_points(ast.CharSet(points), Encoder.UTF8, budget)


@functools.lru_cache(maxsize=1024)
def _cached_automaton(points: CodePointSet) -> Dfa:
    return dfa_from_code_points(ast.CharSet(points), Encoder.UTF8, Budget.unlimited())
