"""Regular parts of a grammar become terminals, so that the parser has little left to do.

However a language is worded, its masks should cost the same: ``string ::= "\\"" char* "\\""`` with a
rule for ``char`` is one terminal here, and so is ``name ws``. First rules that need no stack of their
own are put in the place of their calls and neighbouring regular parts are grouped; then every largest
regular part is determinised. The language stays as it is; all readings of a text through the new
terminals are readings through the old ones.

Automata can explode, so there are bounds: a part whose automaton is much larger than its wording, or
whose turn comes when the work for one grammar is used up, is taken apart and its parts are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.captures import remembers
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.ir_fold import fold, rebuilt
from syntagma.grammar.limits import Budget
from syntagma.grammar.regular_parts import NOT_REGULAR, RegularParts
from syntagma.grammar.rule_groups import calls

# States of one part before determinisation.
MAX_PART_SIZE = 20_000
# The same for all attempts in one grammar together.
MAX_TOTAL_SIZE = 200_000
# An automaton may have this many states for each state before determinisation, and a few more.
MAX_GROWTH = 3
FREE_STATES = 256
# A rule with more than one caller is copied into them if it has no more nodes than this.
MAX_INLINE_NODES = 12
MAX_INLINE_DEPTH = 40
# Parts are compared for equality up to this size only, because that recurses.
MAX_COMPARED_SIZE = 200


def absorb(grammar: ir.Grammar, budget: Budget) -> ir.Grammar:
    """An equal grammar with regular parts as terminals; rules that are not needed are left out."""
    bodies = grammar.produce_all()
    parts = RegularParts(bodies, budget)
    shapes = _Grouping(parts, budget).shapes()
    return _Sealing(grammar.names, shapes, parts, budget).grammar()


class _Grouping:
    """Puts rules in the place of their calls and neighbouring regular parts together."""

    def __init__(self, parts: RegularParts, budget: Budget) -> None:
        self.parts = parts
        self.budget = budget
        self.bodies: list[ir.Node] = list(parts.groups.bodies)
        self.num_calls = [0] * len(self.bodies)
        for body in self.bodies:
            for rule in calls(body):
                self.num_calls[rule] += 1
        self.is_inlined = [False] * len(self.bodies)

    def shapes(self) -> list[ir.Node]:
        """The new bodies; callees come first where they can, to be ready when they are copied."""
        for members in self.parts.groups.members:
            for rule in members:
                self.budget.check_time()
                self.bodies[rule] = fold(self.bodies[rule], self.combine)
                self.is_inlined[rule] = self._can_be_inlined(rule)
        return self.bodies

    def _can_be_inlined(self, rule: int) -> bool:
        """Whether a shaped rule should be copied; those that are regular will be terminals.

        A rule that is recursive through others may go into its only caller: what was copied into it
        before shows whether it would be copied into itself.
        """
        body = self.bodies[rule]
        if self.parts.size(body) != NOT_REGULAR or rule in calls(body) or remembers(body):
            # What an activation remembers is its own.
            return False
        num_nodes, depth = dimensions(body)
        is_small = num_nodes <= MAX_INLINE_NODES and not self.parts.groups.may_recurse(rule)
        return depth <= MAX_INLINE_DEPTH and (is_small or self.num_calls[rule] == 1)

    def combine(self, node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        """The new shape of a node whose parts have theirs."""
        match node:
            case ir.Call(rule) if self.is_inlined[rule]:
                return self.bodies[rule]
            case ir.Sequence():
                return self._sequence(parts)
            case ir.Choice():
                return self._choice(parts)
            case ir.Repeat(_, 1, None) if self._is_small_rest(parts[0]):
                # A counted round costs more than a second copy of a short part.
                return self._sequence([parts[0], ir.Repeat(parts[0], 0, None)])
            case ir.Repeat(_, min_count, max_count):
                return ir.repeat(parts[0], min_count, max_count)
        return rebuilt(node, parts)

    def _is_small_rest(self, part: ir.Node) -> bool:
        is_regular = self.parts.size(part) != NOT_REGULAR
        return not is_regular and dimensions(part)[0] <= MAX_INLINE_NODES

    def _sequence(self, parts: list[ir.Node]) -> ir.Node:
        """Runs of regular parts as one part each."""
        runs: list[list[ir.Node]] = []
        room = 0
        for part in _spliced(parts, ir.Sequence):
            size = self.parts.size(part)
            if size != NOT_REGULAR and size <= room:
                runs[-1].append(part)
                room -= size
            else:
                runs.append([part])
                room = 0 if size == NOT_REGULAR else MAX_PART_SIZE - size
        if len(runs) == 1:
            return ir.sequence(*runs[0])
        return ir.sequence(*(ir.sequence(*run) for run in runs))

    def _choice(self, parts: list[ir.Node]) -> ir.Node:
        """All regular alternatives as one."""
        runs: list[list[ir.Node]] = []
        others: list[ir.Node] = []
        room = 0
        for part in _spliced(parts, ir.Choice):
            size = self.parts.size(part)
            if size == NOT_REGULAR:
                others.append(part)
            elif size <= room:
                runs[-1].append(part)
                room -= size
            else:
                runs.append([part])
                room = MAX_PART_SIZE - size
        if len(runs) == 1 and not others:
            return ir.choice(*runs[0])
        return ir.choice(*others, *(ir.choice(*run) for run in runs))


class _Sealing:
    """Makes a terminal of every largest regular part and numbers the rules that remain."""

    def __init__(
        self, names: Sequence[str], bodies: Sequence[ir.Node], parts: RegularParts, budget: Budget
    ) -> None:
        self.names = names
        self.bodies = bodies
        self.parts = parts
        self.budget = budget
        self.work_left = MAX_TOTAL_SIZE
        self.sealed: dict[ir.Node, ir.Node | None] = {}
        self.result = ir.Grammar()
        self.numbers: dict[int, int] = {}
        # Declared rules that have no body yet.
        self.waiting: list[int] = []

    def grammar(self) -> ir.Grammar:
        """The rules that the first one needs."""
        self._number(0)
        while self.waiting:
            rule = self.waiting.pop()
            body = fold(self.bodies[rule], self._combine, shortcut=self._seal)
            self.result.define(self.numbers[rule], body)
        return self.result

    def _number(self, rule: int) -> int:
        """The new number of a rule, or of the rule that it is only another name for."""
        seen = set()
        body = self.bodies[rule]
        while isinstance(body, ir.Call) and rule not in seen:
            seen.add(rule)
            rule = body.rule
            body = self.bodies[rule]
        if rule not in self.numbers:
            self.numbers[rule] = self.result.declare(self.names[rule])
            self.waiting.append(rule)
        return self.numbers[rule]

    def _combine(self, node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        if isinstance(node, ir.Call):
            return ir.Call(self._number(node.rule))
        return rebuilt(node, parts)

    def _seal(self, node: ir.Node) -> ir.Node | None:
        """The terminal of a node, or None if it has to be taken apart."""
        self.budget.check_time()
        if isinstance(node, ir.Terminal) or node in (ir.EMPTY, ir.NOTHING):
            return node
        size = self.parts.size(node)
        if size == NOT_REGULAR or size > min(MAX_PART_SIZE, self.work_left):
            return None
        if size > MAX_COMPARED_SIZE:
            return self._determinised(node, size)
        if node not in self.sealed:
            self.sealed[node] = self._determinised(node, size)
        return self.sealed[node]

    def _determinised(self, node: ir.Node, size: int) -> ir.Node | None:
        self.budget.check_time()
        self.work_left -= size
        limits = self.budget.limits
        max_states = min(limits.max_dfa_states, FREE_STATES + MAX_GROWTH * size)
        try:
            dfa = self.parts.automaton(node, self.budget.narrowed(max_dfa_states=max_states))
        except GrammarLimitError:
            self.budget.check_time()
            return None
        return ir.regular(dfa, non_empty=dfas.without_empty_word(dfa))


def _spliced(parts: Sequence[ir.Node], kind: type[ir.Sequence | ir.Choice]) -> Iterator[ir.Node]:
    """The parts, with the parts of those that are of the same kind."""
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part


def dimensions(body: ir.Node) -> tuple[int, int]:
    """Number of nodes and their deepest nesting."""
    return fold(
        body,
        lambda _, found: (1 + sum(n for n, _ in found), 1 + max((d for _, d in found), default=0)),
    )
