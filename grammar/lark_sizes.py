"""What Lark would multiply out or write out, measured before it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lark import Tree
from lark.exceptions import GrammarError as LarkGrammarError
from lark.grammar import Terminal

from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.limits import Budget

# Symbols of all alternatives that one rule is multiplied out to.
MAX_RULE_SYMBOLS = 50_000
# Groups of all sequences of a rule, each counted as often as its sequence has parts.
MAX_GROUP_STEPS = 20_000
# Characters of all terminals, each written out with those in it.
MAX_PATTERN_SIZE = 200_000
# Nesting of terminals within terminals, each of which adds a group to the pattern.
MAX_TERMINAL_DEPTH = 100


def check_terminals(terminals: Mapping[str, Tree[Any] | None], budget: Budget) -> None:
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


def check_expansion(name: str, tree: Any) -> None:
    """Bound what a rule's optional and alternative parts multiply out to."""
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
