"""Lark text -> terminals and productions, read by the `lark` package under a budget.

The package reads the text, resolves imports, templates and references among terminals and turns its
operators into rules; what it makes of them decides which lookaheads its parser has, so none of it is
done here a second time. But some of its steps multiply things out without a bound. Each is measured
before it is taken: expansions of optional parts, patterns of terminals within terminals, templates
that use themselves. Nothing is read from disk: imports come from the package's own library
(``common``, ``unicode``, ...) or from the texts given with the grammar.
"""

from __future__ import annotations

import itertools
import pkgutil
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lark import Tree
from lark.exceptions import GrammarError as LarkGrammarError
from lark.exceptions import LarkError, UnexpectedInput, VisitError
from lark.grammar import NonTerminal, Rule, RuleOptions, Symbol, Terminal
from lark.lexer import PatternStr, TerminalDef
from lark.load_grammar import (
    ApplyTemplates,
    EBNF_to_BNF,
    GrammarBuilder,
    PrepareAnonTerminals,
    PrepareLiterals,
    RuleTreeToText,
    SimplifyRule_Visitor,
    TerminalTreeToPattern,
    ValidateSymbols,
    _parse_grammar,
    nr_deepcopy_tree,
    resolve_term_references,
)

from syntagma.grammar.errors import GrammarError, GrammarLimitError
from syntagma.grammar.grammar_source import GrammarSource, closest
from syntagma.grammar.lark_grammar import LarkGrammar, LarkTerminal, Production
from syntagma.grammar.lark_scanner import Word, scan_lark
from syntagma.grammar.limits import Budget
from syntagma.grammar.python_regex import parse_pattern

LIBRARY = ("common", "lark", "python", "unicode")
MAX_IMPORT_DEPTH = 8
# Symbols of all alternatives that one rule is multiplied out to.
MAX_RULE_SYMBOLS = 50_000
# Groups of all sequences of a rule, each counted as often as its sequence has parts.
MAX_GROUP_STEPS = 20_000
# Characters of all terminals, each written out with those in it.
MAX_PATTERN_SIZE = 200_000
# Nesting of terminals within terminals, each of which adds a group to the pattern.
MAX_TERMINAL_DEPTH = 100

_PLACE = re.compile(r"(?:at )?line (\d+),? column (\d+)")


def load_lark(
    text: str, budget: Budget, *, start: str = "start", files: Mapping[str, str] | None = None
) -> tuple[LarkGrammar, GrammarSource]:
    """The grammar that a text describes, and the text for further errors.

    Args:
        text: Lark's grammar syntax.
        start: name of the rule to start from.
        files: texts that ``%import`` may lead into, by path: ``"lib/names.lark"`` for
            ``%import lib.names.NAME`` and ``%import .lib.names.NAME``.

    Raises:
        GrammarSyntaxError: not a Lark grammar, with line and column.
        UnsupportedGrammarError: ``%declare``, extensions of other programs.
        GrammarLimitError: too large, or multiplied out to something too large.
    """
    source = GrammarSource(text, "Lark")
    builder = _Builder(files or {}, budget)
    try:
        builder.read(source, "<string>")
        definitions = builder.build()
        _check_start(start, definitions.rule_defs, builder.words, source)
        return _Compilation(definitions, start, builder.words, budget).grammar(), source
    except GrammarError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except (LarkError, AssertionError, KeyError, ValueError, OverflowError, re.error) as error:
        raise _located(error, source, builder.words) from None


def _too_deep() -> GrammarLimitError:
    return GrammarLimitError(
        "Lark: the grammar nests too deeply to be read", limit="max_regex_depth"
    )


class _Builder(GrammarBuilder):
    """Reads definitions; imports come from given texts and from the package.

    Attributes:
        words: of the text that is read.
    """

    def __init__(self, files: Mapping[str, str], budget: Budget, depth: int = 0) -> None:
        super().__init__()
        self._files = files
        self._budget = budget
        self._depth = depth
        self.words: list[Word] = []

    def read(self, source: GrammarSource, name: str, mangle: Any = None) -> None:
        """Add the definitions of a text; what `GrammarBuilder.load_grammar` does, under a budget."""
        self.words = scan_lark(source, self._budget)
        tree = _parse_grammar(source.text, name)
        self._budget.check_time()
        imports: dict[tuple[str, ...], dict[str, str]] = {}
        for statement in tree.children:
            if statement.data == "import":
                path, _, aliases = self._unpack_import(statement, name)
                imports.setdefault(path, {}).update(aliases)
        for path, aliases in imports.items():
            self.do_import(path, None, aliases, mangle)
        for statement in tree.children:
            self._budget.check_time()
            parts = statement.children
            if statement.data in ("term", "rule"):
                self._define(*self._unpack_definition(statement, mangle))
            elif statement.data == "override":
                self._define(*self._unpack_definition(parts[0], mangle), override=True)
            elif statement.data == "extend":
                self._extend(*self._unpack_definition(parts[0], mangle))
            elif statement.data == "ignore" and mangle is None:
                self._ignore(*parts)
            elif statement.data == "declare":
                for declared in parts:
                    renamed = declared.name if mangle is None else mangle(declared.name)
                    self._define(renamed, declared.is_term, None)
        if mangle is None:
            for symbol, definition in self._definitions.items():
                if definition.tree is None:
                    raise _declared(symbol, source, self.words)
        terminals = {name: d.tree for name, d in self._definitions.items() if d.is_term}
        _check_terminals(terminals, self._budget)
        resolve_term_references(terminals)

    def do_import(
        self,
        dotted_path: tuple[str, ...],
        base_path: Any,
        aliases: dict[str, str],
        base_mangle: Any = None,
    ) -> None:
        path = "/".join(dotted_path)
        if self._depth == MAX_IMPORT_DEPTH:
            raise LarkGrammarError(
                f"imports lead more than {MAX_IMPORT_DEPTH} files deep: '{path}'"
            )
        mangle = _mangled("__".join(dotted_path), aliases, base_mangle)
        builder = _Builder(self._files, self._budget, self._depth + 1)
        source = GrammarSource(self._text_of(path), f"Lark file {path}.lark")
        try:
            builder.read(source, path, mangle)
        except (LarkError, AssertionError, KeyError, ValueError) as error:
            raise (
                error if isinstance(error, GrammarError) else _located(error, source, builder.words)
            ) from None
        builder._remove_unused(map(mangle, aliases))
        for name, definition in builder._definitions.items():
            if name in self._definitions:
                raise LarkGrammarError(
                    f"cannot import '{name}' from '{path}': it is defined already"
                )
            if definition.tree is None:
                raise _declared(name, source, builder.words)
        self._definitions.update(builder._definitions)

    def _text_of(self, path: str) -> str:
        name = f"{path}.lark"
        if name in self._files:
            return self._files[name]
        data = pkgutil.get_data("lark", f"grammars/{name}") if path in LIBRARY else None
        if data is None:
            known = ", ".join([*sorted(self._files), *LIBRARY])
            raise LarkGrammarError(
                f"there is no file to import '{path.split('/')[-1]}' from: {known}"
            )
        return data.decode()


def _declared(name: str, source: GrammarSource, words: list[Word]) -> GrammarError:
    position = next((word.position for word in words if word.text == "%declare"), 0)
    return source.unsupported(
        f"%declare: {source.shown(name)} is made by code beside the grammar, such as an indenter, "
        "which is not supported",
        position,
        keyword="%declare",
    )


def _check_terminals(terminals: Mapping[str, Tree[Any] | None], budget: Budget) -> None:
    """Bound what terminals are with those in them written out, which Lark does by and by."""
    sizes: dict[int, tuple[int, int]] = {}
    total = 0
    for name, tree in terminals.items():
        if tree is None:
            continue
        budget.check_time()
        size, depth = _pattern_size(name, tree, terminals, sizes)
        total += size
        if total > MAX_PATTERN_SIZE or depth > 4 * MAX_TERMINAL_DEPTH:
            raise GrammarLimitError(
                f"Lark: terminal {str(name)!r} is too large with all terminals in it written out: up to "
                f"it there are {total} characters of {MAX_PATTERN_SIZE}, nested {depth // 4} levels of "
                f"{MAX_TERMINAL_DEPTH}",
                limit="max_nfa_states",
            )


def _mangled(prefix: str, aliases: Mapping[str, str], outer: Any) -> Any:
    """How Lark names what is imported."""

    def mangle(name: str) -> str:
        if name in aliases:
            name = aliases[name]
        elif name[0] == "_":
            name = f"_{prefix}__{name[1:]}"
        else:
            name = f"{prefix}__{name}"
        return name if outer is None else outer(name)

    return mangle


def _check_start(
    start: str, rules: Iterable[Any], words: list[Word], source: GrammarSource
) -> None:
    names = [str(name) for name, params, *_ in rules if not params]
    if start in names:
        return
    guess = closest(start, names)
    hint = f"did you mean {guess!r}?" if guess else "name the first rule so, or say which to take"
    position = next((word.position for word in words if word.text == guess), 0)
    raise source.error(
        f"the grammar has no rule {source.shown(start)} to start from", position, hint=hint
    )


class _BoundedRules(list[Any]):
    """The rules of a grammar while templates add to them."""

    def __init__(self, rules: Iterable[Any], budget: Budget) -> None:
        super().__init__(rules)
        self._budget = budget

    def append(self, rule: Any) -> None:
        super().append(rule)
        self._budget.check("max_rules", len(self), "rules, uses of templates included")
        self._budget.check_time()


class _Compilation:
    """`lark.load_grammar.Grammar.compile`, step by step under a budget."""

    def __init__(self, grammar: Any, start: str, words: list[Word], budget: Budget) -> None:
        self.definitions = grammar
        self.start = start
        self.words = words
        self.budget = budget

    def grammar(self) -> LarkGrammar:
        """Terminals, then rules, then what is used of them."""
        terminals = self.terminals()
        rules = self.used(self.rules(terminals))
        symbols = {symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term}
        used = [t for t in terminals if t.name in symbols or t.name in self.definitions.ignore]
        return self.numbered(used, rules)

    def terminals(self) -> list[TerminalDef]:
        """The named terminals; those of literals in rules are added later."""
        transformer = PrepareLiterals() * TerminalTreeToPattern()
        found = []
        for name, (tree, priority) in self.definitions.term_defs:
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
        num_alternatives, length, steps = _expansion_size(tree)
        if steps > MAX_GROUP_STEPS:
            raise GrammarLimitError(
                f"Lark: rule {str(name)!r} has too many groups in one alternative; give some of them "
                "rules of their own",
                limit="max_rules",
            )
        if num_alternatives * length > MAX_RULE_SYMBOLS:
            raise GrammarLimitError(
                f"Lark: optional and alternative parts of rule {str(name)!r} multiply out to "
                f"{num_alternatives} alternatives of up to {length} symbols, more than "
                f"{MAX_RULE_SYMBOLS} symbols; give some of the parts rules of their own",
                limit="max_rules",
                given=num_alternatives,
            )
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
        )

    def terminal(self, terminal: TerminalDef) -> LarkTerminal:
        pattern = terminal.pattern
        position = _position_of(terminal.name, pattern.raw, self.words)
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


def _pattern_size(
    name: str,
    tree: Tree[Any],
    terminals: Mapping[str, Tree[Any] | None],
    known: dict[int, tuple[int, int]],
) -> tuple[int, int]:
    """About the characters and four times the nesting of a terminal's pattern."""
    waiting = [tree]
    is_open: set[int] = set()
    while waiting:
        node = waiting[-1]
        parts = []
        for child in node.children:
            found = terminals.get(child.name) if isinstance(child, Terminal) else child
            if isinstance(found, Tree):
                parts.append(found)
        missing = [part for part in parts if id(part) not in known]
        if missing and id(node) not in is_open:
            is_open.add(id(node))
            waiting += missing
        elif missing:
            raise LarkGrammarError(
                f"Recursion in terminal '{name}' (recursion is only allowed in rules, not terminals)"
            )
        else:
            waiting.pop()
            own = sum(len(child) for child in node.children if isinstance(child, str))
            size = 8 + own + sum(known[id(part)][0] for part in parts)
            known[id(node)] = size, 1 + max((known[id(part)][1] for part in parts), default=0)
    return known[id(tree)]


def _expansion_size(tree: Any) -> tuple[int, int, int]:
    """What multiplying out a tree makes of it.

    Returns:
        (number of alternatives, symbols of the longest, parts times groups of all sequences: Lark puts
        groups in their place one by one, each time writing the sequence anew).
    """
    known: dict[int, tuple[int, int]] = {}
    num_steps = 0
    waiting = [tree]
    while waiting:
        node = waiting[-1]
        parts = [child for child in node.children if isinstance(child, Tree)]
        missing = [part for part in parts if id(part) not in known]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        sizes = [known[id(part)] for part in parts]
        num_symbols = len(node.children) - len(parts)
        if node.data == "expansions":
            count = sum(n for n, _ in sizes) + num_symbols
            length = max((length for _, length in sizes), default=1)
        else:
            # A product may have thousands of digits.
            count = 1
            for n, _ in sizes:
                count = min(count * n, 10 * MAX_RULE_SYMBOLS)
            length = num_symbols + sum(length for _, length in sizes)
            num_steps += len(parts) * len(node.children)
        known[id(node)] = count, max(1, length)
    return *known[id(tree)], num_steps


def _position_of(name: str, raw: str | None, words: list[Word]) -> int:
    """Where a terminal is defined or, if it is made of a literal, where that stands."""
    for word, after in zip(words, [*words[1:], Word("", "", 0)], strict=True):
        if word.text == name and after.text in (":", "."):
            return word.position
    return next((word.position for word in words if word.text in (raw, name)), 0)


def _located(error: Exception, source: GrammarSource, words: list[Word]) -> GrammarError:
    """An error of the package with the place it is about."""
    while isinstance(error, VisitError):
        error = error.orig_exc
    if isinstance(error, GrammarError):
        return error
    if isinstance(error, RecursionError):
        return _too_deep()
    message = str(error).strip().split("\n")[0].rstrip(": ")
    if isinstance(error, UnexpectedInput) and error.line and error.column:
        place: re.Match[str] | None = None
        line, column = error.line, error.column
    else:
        place = _PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
    if line > 0:
        if place is not None:
            message = message[: place.start()].rstrip(" ,")
        lines = source.text.split("\n")
        position = min(
            sum(len(part) + 1 for part in lines[: line - 1]) + column - 1, len(source.text)
        )
    else:
        position = _mentioned(message, words)
    message = message or "this grammar cannot be read"
    return source.error(message[0].lower() + message[1:], position)


def _mentioned(message: str, words: list[Word]) -> int:
    """Where what an error message is about stands, by the names in it."""
    if message.startswith("Bad Range"):
        for word, low, dots, high in zip(words, words[1:], words[2:], words[3:], strict=False):
            if word.text == "~" and dots.text == ".." and int(low.text) > int(high.text):
                return word.position
    uses: dict[str, int] = {}
    definitions: dict[str, int] = {}
    for word, after in itertools.pairwise([*words, Word("", "", 0)]):
        uses.setdefault(word.text, word.position)
        if after.text in (":", "."):
            definitions.setdefault(word.text, word.position)
    quoted = re.findall(r"[`'\"(]+([A-Za-z_][A-Za-z0-9_]*)", message)
    others = [name for name in re.findall(r"\w+", message) if "_" in name or name.isupper()]
    for name in quoted + others:
        if name in definitions and "used but not defined" not in message:
            return definitions[name]
        if name in uses:
            return uses[name]
    return 0
