"""LALR(1) tables, as the `lark` package makes them, under a budget.

Lookaheads are those of DeRemer and Pennello, "Efficient Computation of LALR(1) Look-Ahead Sets" (1982):
follow sets of transitions over rules, propagated until nothing changes. Conflicts are resolved as Lark
resolves them: shifting goes before reducing, and of two reductions the one whose rule has the higher
priority is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.limits import Budget

START_STATE = 0

# A production and how many of its symbols are behind; production -1 is the start rule alone.
Item = tuple[int, int]
START_ITEM: Item = (-1, 0)
# A state and the rule that is read from it on.
Transition = tuple[int, int]
Relation = dict[Transition, list[Transition]]


@dataclass
class LalrTable:
    """What a parser does.

    Attributes:
        gotos: for each state the state behind each symbol it goes on with.
        accepts: for each state the terminals for which it has an action.
        refused: for each state and production that may end there: the terminals (and ``end`` for the
            end of the text) before which the parser does something else instead of reducing it, though
            the grammar would allow it.
        end: the number that stands for the end of the text.
        is_lalr: whether there is no conflict that priorities leave open.
        loop: a rule that may be empty and may come again and again without anything read between, if
            there is one. Lark's lookaheads are then more than they should be, by how much depends on
            the order of a set in memory.
    """

    end: int
    gotos: list[dict[int, int]] = field(default_factory=list)
    accepts: list[frozenset[int]] = field(default_factory=list)
    refused: list[dict[int, frozenset[int]]] = field(default_factory=list)
    is_lalr: bool = True
    loop: int | None = None


class LalrBuilder:
    """Builds the table of one grammar."""

    def __init__(self, grammar: LarkGrammar, budget: Budget) -> None:
        self.grammar = grammar
        self.budget = budget
        self.by_origin = grammar.by_origin()
        self.nullable = nullable_rules(grammar)
        self.closures: list[tuple[Item, ...]] = []
        self.gotos: list[dict[int, int]] = []
        self.end = len(grammar.terminals)
        self.loop: int | None = None

    def table(self) -> LalrTable:
        """The table; where ``is_lalr`` is False, its lookaheads are of no use."""
        self.find_states()
        lookaheads = self.lookaheads()
        table = LalrTable(self.end, self.gotos, loop=self.loop)
        for state in range(len(self.gotos)):
            self.add_actions(state, lookaheads[state], table)
        return table

    def find_states(self) -> None:
        """The LR(0) automaton."""
        numbers: dict[frozenset[Item], int] = {frozenset([START_ITEM]): START_STATE}
        kernels = [frozenset([START_ITEM])]
        num_items = 0
        for kernel in kernels:
            closure = self.closure(kernel)
            num_items += len(closure)
            self.budget.check_time()
            self.budget.check("max_positions", num_items, "items of all LALR states")
            self.closures.append(closure)
            behind: dict[int, list[Item]] = {}
            for item in closure:
                symbol = self.next_symbol(item)
                if symbol is not None:
                    behind.setdefault(symbol, []).append((item[0], item[1] + 1))
            gotos = {}
            for symbol, items in behind.items():
                target = frozenset(items)
                if target not in numbers:
                    numbers[target] = len(kernels)
                    kernels.append(target)
                gotos[symbol] = numbers[target]
            self.gotos.append(gotos)

    def closure(self, kernel: frozenset[Item]) -> tuple[Item, ...]:
        """A kernel and all that its items may begin with."""
        found = dict.fromkeys(sorted(kernel))
        waiting = list(found)
        opened = set()
        while waiting:
            symbol = self.next_symbol(waiting.pop())
            if symbol is None or symbol in opened or self.grammar.is_terminal(symbol):
                continue
            opened.add(symbol)
            for number in self.by_origin.get(symbol, ()):
                if (number, 0) not in found:
                    found[number, 0] = None
                    waiting.append((number, 0))
        return tuple(found)

    def symbols(self, production: int) -> tuple[int, ...]:
        """The right-hand side of a production, also of the start's."""
        if production < 0:
            return (self.grammar.start,)
        return self.grammar.productions[production].symbols

    def next_symbol(self, item: Item) -> int | None:
        """The symbol behind the dot."""
        symbols = self.symbols(item[0])
        return symbols[item[1]] if item[1] < len(symbols) else None

    def lookaheads(self) -> list[dict[int, int]]:
        """For each state and production that ends there the terminals that may follow, as bits."""
        follow = self.direct_reads()
        reads = self.reads(follow)
        self.loop = cyclic(reads)
        self.propagate(follow, reads)
        self.propagate(follow, self.includes(follow))
        found: list[dict[int, int]] = [{} for _ in self.gotos]
        for (state, symbol), bits in follow.items():
            for production in self.by_origin.get(symbol, ()):
                at = state
                for part in self.symbols(production):
                    at = self.gotos[at][part]
                found[at][production] = found[at].get(production, 0) | bits
            self.budget.check_time()
        return found

    def direct_reads(self) -> dict[Transition, int]:
        """For each transition over a rule the terminals that may be read next."""
        found = {}
        for state, gotos in enumerate(self.gotos):
            for symbol, target in gotos.items():
                if not self.grammar.is_terminal(symbol):
                    bits = 0
                    for after in self.gotos[target]:
                        if self.grammar.is_terminal(after):
                            bits |= 1 << after
                    found[state, symbol] = bits
        found[START_STATE, self.grammar.start] |= 1 << self.end
        return found

    def reads(self, transitions: Iterable[Transition]) -> Relation:
        """The transitions that may be followed by an empty one, by that."""
        found: Relation = {}
        for state, symbol in transitions:
            target = self.gotos[state][symbol]
            for after in self.gotos[target]:
                if after in self.nullable:
                    found.setdefault((target, after), []).append((state, symbol))
        return found

    def includes(self, transitions: Iterable[Transition]) -> Relation:
        """The transitions that another may end with, by that.

        Lark takes all items of a state for a rule, also those that began in an earlier state, so its
        follow sets may be larger than they need to be. Its lexer looks for what is in them.
        """
        found: Relation = {}
        by_state: list[dict[int, list[Item]]] = []
        for closure in self.closures:
            by_origin: dict[int, list[Item]] = {}
            for production, begin in closure:
                if production >= 0:
                    origin = self.grammar.productions[production].origin
                    by_origin.setdefault(origin, []).append((production, begin))
            by_state.append(by_origin)
        for state, symbol in transitions:
            self.budget.check_time()
            for production, begin in by_state[state].get(symbol, ()):
                symbols = self.symbols(production)
                at = state
                for index in range(begin, len(symbols)):
                    part = symbols[index]
                    if not self.grammar.is_terminal(part) and self.nullable.issuperset(
                        symbols[index + 1 :]
                    ):
                        found.setdefault((state, symbol), []).append((at, part))
                    at = self.gotos[at][part]
        return found

    def propagate(self, sets: dict[Transition, int], larger: Relation) -> None:
        """Add each set to those that are to include it, until they do."""
        waiting = dict.fromkeys(sets)
        while waiting:
            transition, _ = waiting.popitem()
            self.budget.check_time()
            for other in larger.get(transition, ()):
                if sets[transition] & ~sets[other]:
                    sets[other] |= sets[transition]
                    waiting[other] = None

    def add_actions(self, state: int, lookaheads: dict[int, int], table: LalrTable) -> None:
        """Resolve the conflicts of a state."""
        shifts = 0
        for symbol in self.gotos[state]:
            if self.grammar.is_terminal(symbol):
                shifts |= 1 << symbol
        refused = {production: bits & shifts for production, bits in lookaheads.items()}
        every = shifts
        for first, bits in lookaheads.items():
            for second, others in lookaheads.items():
                both = bits & others
                if second <= first or not both:
                    continue
                before = self.grammar.productions[first].priority
                after = self.grammar.productions[second].priority
                if before != after:
                    refused[first if before < after else second] |= both
                else:
                    table.is_lalr &= not self.is_open(first, second, both, lookaheads)
            every |= bits
        table.accepts.append(frozenset(_members(every & ((1 << self.end) - 1))))
        table.refused.append(
            {production: frozenset(_members(bits)) for production, bits in refused.items() if bits}
        )

    def is_open(self, first: int, second: int, both: int, lookaheads: dict[int, int]) -> bool:
        """Whether two reductions of equal priority conflict and no third one goes before them."""
        productions = self.grammar.productions
        for number, bits in lookaheads.items():
            if productions[number].priority > productions[first].priority:
                both &= ~bits
        return both != 0


def cyclic(relation: Relation) -> int | None:
    """The rule of a transition that the relation leads back to, if there is one."""
    num_before: dict[Transition, int] = {}
    for targets in relation.values():
        for target in targets:
            num_before[target] = num_before.get(target, 0) + 1
    waiting = [transition for transition in relation if transition not in num_before]
    while waiting:
        for target in relation.get(waiting.pop(), ()):
            num_before[target] -= 1
            if num_before[target] == 0:
                waiting.append(target)
    return next((rule for (_, rule), count in num_before.items() if count), None)


def nullable_rules(grammar: LarkGrammar) -> set[int]:
    """The rules that have the empty word."""
    found: set[int] = set()
    waiting = list(grammar.productions)
    while True:
        left = []
        for production in waiting:
            if found.issuperset(production.symbols):
                found.add(production.origin)
            else:
                left.append(production)
        if len(left) == len(waiting):
            return found
        waiting = left


def _members(bits: int) -> list[int]:
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
