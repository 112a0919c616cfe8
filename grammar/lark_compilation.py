"""Lark's definitions -> terminals and productions: what the package's compiler does, under a budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lark.exceptions import GrammarError as LarkGrammarError
from lark.grammar import NonTerminal, Rule, RuleOptions, Symbol, Terminal
from lark.lexer import PatternStr, TerminalDef
from lark.load_grammar import (
    ApplyTemplates,
    EBNF_to_BNF,
    PrepareAnonTerminals,
    PrepareLiterals,
    RuleTreeToText,
    SimplifyRule_Visitor,
    TerminalTreeToPattern,
    ValidateSymbols,
    nr_deepcopy_tree,
)

from syntagma.grammar.lark_errors import position_of
from syntagma.grammar.lark_grammar import LarkGrammar, LarkTerminal, Lines, Production
from syntagma.grammar.lark_indenter import Indenter
from syntagma.grammar.lark_scanner import Word
from syntagma.grammar.lark_sizes import check_expansion
from syntagma.grammar.limits import Budget
from syntagma.grammar.python_regex import parse_pattern


class _BoundedRules(list[Any]):
    """The rules of a grammar while templates add to them."""

    def __init__(self, rules: Iterable[Any], budget: Budget) -> None:
        super().__init__(rules)
        self._budget = budget

    def append(self, rule: Any) -> None:
        super().append(rule)
        self._budget.check("max_rules", len(self), "rules, uses of templates included")
        self._budget.check_time()


class LarkCompilation:
    """`lark.load_grammar.Grammar.compile`, step by step under a budget."""

    def __init__(
        self,
        grammar: Any,
        start: str,
        words: list[Word],
        budget: Budget,
        indenter: Indenter | None = None,
    ) -> None:
        self.definitions = grammar
        self.start = start
        self.words = words
        self.budget = budget
        self.indenter = indenter

    def grammar(self) -> LarkGrammar:
        """Terminals, then rules, then what is used of them."""
        terminals = self.terminals()
        rules = self.used(self.rules(terminals))
        symbols: set[str | None] = {
            symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term
        }
        symbols |= set(self.definitions.ignore)
        if self.indenter is not None:
            symbols |= {self.indenter.newline}
        declared = [
            TerminalDef(name, PatternStr(name), 0)
            for name, (tree, _) in self.definitions.term_defs
            if tree is None
        ]
        used = [terminal for terminal in terminals + declared if terminal.name in symbols]
        return self.numbered(used, rules)

    def terminals(self) -> list[TerminalDef]:
        """The named terminals; those of literals in rules are added later."""
        transformer = PrepareLiterals() * TerminalTreeToPattern()
        found = []
        for name, (tree, priority) in self.definitions.term_defs:
            if tree is None:
                continue
            expansions = list(tree.find_data("expansion"))
            if len(expansions) == 1 and not expansions[0].children:
                raise LarkGrammarError(f"Terminals cannot be empty ({name})")
            found.append(TerminalDef(name, transformer.transform(nr_deepcopy_tree(tree)), priority))
            self.budget.check_time()
        return found

    def rules(self, terminals: list[TerminalDef]) -> list[Rule]:
        """All alternatives of all rules; literals become terminals."""
        definitions = _BoundedRules(
            ((n, p, nr_deepcopy_tree(t), o) for n, p, t, o in self.definitions.rule_defs),
            self.budget,
        )
        anonymous = PrepareAnonTerminals(terminals)
        without_operators = EBNF_to_BNF()
        prepare = PrepareLiterals() * ValidateSymbols() * anonymous * ApplyTemplates(definitions)
        found = []
        for name, params, tree, options in definitions:
            self.budget.check_time()
            if params:
                continue
            keeps_all = bool(options and options.keep_all_tokens)
            rule_options = RuleOptions(keep_all_tokens=True) if keeps_all else None
            without_operators.rule_options = rule_options
            without_operators.prefix = name
            anonymous.rule_options = rule_options
            found.append((name, without_operators.transform(prepare.transform(tree)), options))
        rules: dict[Rule, None] = {}
        for name, tree, options in [*found, *without_operators.new_rules]:
            self.add_alternatives(name, tree, options, rules)
        return list(rules)

    def add_alternatives(self, name: str, tree: Any, options: Any, rules: dict[Rule, None]) -> None:
        """Multiply out a rule that has no operators left."""
        self.budget.check_time()
        check_expansion(name, tree)
        SimplifyRule_Visitor().visit(tree)
        for symbols, alias in RuleTreeToText().transform(tree):
            if alias and name.startswith("_"):
                raise LarkGrammarError(
                    f"Rule {name} is marked for expansion (it starts with an underscore) and isn't "
                    f"allowed to have aliases (alias={alias})"
                )
            expansion = [symbol for symbol in symbols if isinstance(symbol, Terminal | NonTerminal)]
            rule = Rule(NonTerminal(name), expansion, 0, alias, options)
            if rule in rules and expansion:
                raise LarkGrammarError(
                    f"Rules defined twice: {rule} (might come of optional parts that are alike)"
                )
            rules[rule] = None
        self.budget.check("max_rules", len(rules), "alternatives of all rules")

    def used(self, rules: list[Rule]) -> list[Rule]:
        """Without rules that the start does not need."""
        by_origin: dict[Symbol, list[Rule]] = {}
        for rule in rules:
            by_origin.setdefault(rule.origin, []).append(rule)
        needed: dict[Symbol, None] = {NonTerminal(self.start): None}
        waiting = list(needed)
        while waiting:
            for rule in by_origin.get(waiting.pop(), ()):
                for symbol in rule.expansion:
                    if not symbol.is_term and symbol not in needed:
                        needed[symbol] = None
                        waiting.append(symbol)
        return [rule for rule in rules if rule.origin in needed]

    def numbered(self, terminals: list[TerminalDef], rules: list[Rule]) -> LarkGrammar:
        """The same with numbers for symbols."""
        numbers: dict[Symbol, int] = {Terminal(t.name): n for n, t in enumerate(terminals)}
        names = list(dict.fromkeys(rule.origin.name for rule in rules))
        numbers |= {NonTerminal(n): len(terminals) + i for i, n in enumerate(names)}
        return LarkGrammar(
            terminals=tuple(map(self.terminal, terminals)),
            ignored=frozenset(numbers[Terminal(name)] for name in self.definitions.ignore),
            rule_names=tuple(map(str, names)),
            productions=tuple(
                Production(
                    numbers[rule.origin],
                    tuple(numbers[symbol] for symbol in rule.expansion),
                    rule.options.priority or 0,
                )
                for rule in rules
            ),
            start=numbers[NonTerminal(self.start)],
            lines=None if self.indenter is None else self.lines(self.indenter, numbers),
        )

    def lines(self, indenter: Indenter, numbers: Mapping[Symbol, int]) -> Lines:
        """The numbers of an indenter's terminals."""
        brackets = {}
        for name, step in indenter.brackets():
            number = numbers.get(Terminal(name))
            if number is not None:
                brackets[number] = step
            elif indenter.names_brackets:
                raise LarkGrammarError(f"the indenter's brackets: no rule uses a terminal '{name}'")
        return Lines(
            newline=numbers[Terminal(indenter.newline)],
            indent=numbers.get(Terminal(indenter.indent)),
            dedent=numbers.get(Terminal(indenter.dedent)),
            brackets=brackets,
            tab_length=indenter.tab_length,
        )

    def terminal(self, terminal: TerminalDef) -> LarkTerminal:
        pattern = terminal.pattern
        position = position_of(terminal.name, pattern.raw, self.words)
        try:
            parse_pattern(pattern.to_regexp())
        except (re.error, ValueError, OverflowError) as error:
            raise LarkGrammarError(f"Cannot compile '{terminal.name}': {error}") from None
        if pattern.min_width == 0:
            raise LarkGrammarError(
                f"Lexer does not allow zero-width terminals: '{terminal.name}' may be empty"
            )
        return LarkTerminal(
            name=str(terminal.name),
            pattern=pattern.to_regexp(),
            text=pattern.value if isinstance(pattern, PatternStr) else None,
            flags=frozenset(pattern.flags),
            priority=terminal.priority,
            max_width=pattern.max_width,
            size=len(pattern.value),
            position=position,
        )
