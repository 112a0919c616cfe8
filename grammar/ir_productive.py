"""Which rules of a grammar have a word."""

from __future__ import annotations

from syntagma.grammar import ir
from syntagma.grammar.limits import Budget


def has_word(grammar: ir.Grammar, budget: Budget) -> bool:
    """Whether the start rule has one, judged by the rules alone.

    A least fixed point: rules are looked at until a round adds none. Terminals count as non-empty, as
    front ends leave empty ones out.
    """
    return productive_rules(grammar, budget, is_for_start=True)[0]


def productive_rules(
    grammar: ir.Grammar, budget: Budget, *, is_for_start: bool = False
) -> list[bool]:
    """For each rule whether it has a word; ``is_for_start``: it need only be right for the first."""
    bodies = grammar.produce_all()
    productive = [False] * len(bodies)
    waiting = list(range(len(bodies)))
    while waiting and not (is_for_start and productive[0]):
        left = []
        for rule in reversed(waiting):
            budget.check_time()
            productive[rule] = _is_productive(bodies[rule], productive)
            if not productive[rule]:
                left.append(rule)
        if len(left) == len(waiting):
            break
        waiting = left[::-1]
    return productive


def _is_productive(root: ir.Node, rules: list[bool]) -> bool:
    """Whether a node has a word, given the rules that are known to; parts before their wholes."""
    values: list[bool] = []
    waiting: list[tuple[ir.Node, bool]] = [(root, False)]
    while waiting:
        node, is_ready = waiting.pop()
        match node:
            case ir.Terminal():
                values.append(True)
            case ir.Call(rule):
                values.append(rules[rule])
            case ir.Repeat(part, min_count, _):
                if min_count == 0:
                    values.append(True)
                else:
                    waiting.append((part, False))
            case _ if not is_ready:
                waiting.append((node, True))
                waiting += [(part, False) for part in reversed(node.parts)]
            case _:
                start = len(values) - len(node.parts)
                found = values[start:]
                del values[start:]
                values.append(_is_whole_productive(node, found))
    return values[0]


def _is_whole_productive(node: ir.Sequence | ir.Choice | ir.AnyOrder, parts: list[bool]) -> bool:
    if isinstance(node, ir.AnyOrder):
        return node.has_word(parts)
    return all(parts) if isinstance(node, ir.Sequence) else any(parts)
