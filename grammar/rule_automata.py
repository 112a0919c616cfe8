"""Rules as automata whose moves are terminals, calls of other rules, or empty.

All rules share one numbering of *positions*. A rule starts at one position and ends at another;
`RuleAutomata` holds the moves and, for every position, the length of a shortest way to the end of
its rule, which tells productive positions from dead ends.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from syntagma.grammar import ir
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.limits import Budget

UNPRODUCTIVE = -1


@dataclass(frozen=True)
class Loop:
    """A counted repetition: its body is called, and the count lives beside the position.

    Attributes:
        body: the position where one round starts.
        min_count, max_count: rounds; None: no upper bound.
        after: the position behind the repetition.
    """

    body: int
    min_count: int
    max_count: int | None
    after: int

    @property
    def largest_count(self) -> int:
        """Counts above this one need not be told apart."""
        return self.min_count if self.max_count is None else self.max_count


@dataclass
class RuleAutomata:
    """The moves of every position.

    Attributes:
        starts: where each rule starts.
        epsilon: empty moves.
        terminals: (terminal, target) moves.
        calls: (start position of the callee, return position) moves.
        loops: the counted repetition that begins at a position.
        is_end: whether a position ends its rule.
        shortest: bytes of a shortest word from here to the rule's end, or UNPRODUCTIVE.
    """

    starts: list[int] = field(default_factory=list)
    epsilon: list[list[int]] = field(default_factory=list)
    terminals: list[list[tuple[int, int]]] = field(default_factory=list)
    calls: list[list[tuple[int, int]]] = field(default_factory=list)
    loops: dict[int, Loop] = field(default_factory=dict)
    is_end: list[bool] = field(default_factory=list)
    shortest: list[int] = field(default_factory=list)

    def new_position(self) -> int:
        """Add a position without moves."""
        self.epsilon.append([])
        self.terminals.append([])
        self.calls.append([])
        self.is_end.append(False)
        return len(self.is_end) - 1

    def is_only_end(self, position: int) -> bool:
        """Whether the rule ends here and cannot go on: a call that returns here is a tail call."""
        return (
            self.is_end[position]
            and not self.epsilon[position]
            and not self.terminals[position]
            and not self.calls[position]
        )


def build_rule_automata(
    grammar: ir.Grammar, terminal_ids: dict[bytes, int], lengths: dict[int, int], budget: Budget
) -> RuleAutomata:
    """Compile every rule and prune what cannot be completed.

    Args:
        grammar: the rules.
        terminal_ids: id of each terminal by the key of its language; those missing have no words.
        lengths: bytes of a shortest word of each terminal.
        budget: bounds the positions.

    Raises:
        GrammarLimitError: more than ``max_positions``.
        UnsupportedGrammarError: a rule calls itself before anything is read.
    """
    automata = RuleAutomata()
    ends = []
    bodies = grammar.produce_all()
    for _ in bodies:
        automata.starts.append(automata.new_position())
        end = automata.new_position()
        automata.is_end[end] = True
        ends.append(end)
    for rule, body in enumerate(bodies):
        if rule % 256 == 0:
            budget.check_time()
        _compile(automata, body, automata.starts[rule], ends[rule], terminal_ids, budget)
    automata.shortest = _shortest(automata, lengths)
    budget.check_time()
    _relax_empty_rounds(automata)
    _prune(automata)
    _refuse_left_recursion(automata, grammar)
    return automata


def _compile(
    automata: RuleAutomata,
    body: ir.Node,
    start: int,
    end: int,
    terminal_ids: dict[bytes, int],
    budget: Budget,
) -> None:
    """Thompson's construction for one rule body."""
    waiting = [(body, start, end)]
    while waiting:
        node, source, target = waiting.pop()
        match node:
            case ir.Terminal(language):
                if language.key in terminal_ids:
                    automata.terminals[source].append((terminal_ids[language.key], target))
            case ir.Call(rule):
                automata.calls[source].append((automata.starts[rule], target))
            case ir.Sequence(parts):
                if not parts:
                    automata.epsilon[source].append(target)
                for index, part in enumerate(parts):
                    after = target if index == len(parts) - 1 else automata.new_position()
                    waiting.append((part, source, after))
                    source = after
            case ir.Choice(parts):
                waiting += [(part, source, target) for part in parts]
            case ir.Repeat(part, min_count, max_count):
                entry, first, last = (automata.new_position() for _ in range(3))
                automata.epsilon[source].append(entry)
                if max_count is None and min_count == 0:
                    automata.epsilon[entry].append(target)
                    waiting.append((part, entry, entry))
                else:
                    automata.is_end[last] = True
                    automata.loops[entry] = Loop(first, min_count, max_count, target)
                    waiting.append((part, first, last))
    budget.check("max_positions", len(automata.is_end), "positions of the grammar")


def _shortest(automata: RuleAutomata, lengths: dict[int, int]) -> list[int]:
    """Knuth's generalisation of Dijkstra's algorithm (1977), from the ends backwards."""
    # A move into `known` may settle the cost of `waiting`, plus what its other part costs.
    dependants: list[list[tuple[int, int, int]]] = [[] for _ in automata.is_end]
    for position in range(len(automata.is_end)):
        for target in automata.epsilon[position]:
            dependants[target].append((position, 0, -1))
        for terminal, target in automata.terminals[position]:
            dependants[target].append((position, lengths[terminal], -1))
        for callee, target in automata.calls[position]:
            dependants[target].append((position, 0, callee))
            dependants[callee].append((position, 0, target))
    for position, loop in automata.loops.items():
        if loop.min_count == 0:
            dependants[loop.after].append((position, 0, -1))
        else:
            dependants[loop.after].append((position, 0, loop.body))
            dependants[loop.body].append((position, 0, loop.after))

    shortest = [UNPRODUCTIVE] * len(automata.is_end)
    heap = [(0, position) for position, is_end in enumerate(automata.is_end) if is_end]
    while heap:
        cost, position = heapq.heappop(heap)
        if shortest[position] != UNPRODUCTIVE:
            continue
        shortest[position] = cost
        for waiting, step, other in dependants[position]:
            if shortest[waiting] != UNPRODUCTIVE:
                continue
            if other < 0:
                heapq.heappush(heap, (cost + step, waiting))
            elif shortest[other] != UNPRODUCTIVE:
                heapq.heappush(
                    heap, (_joint_cost(automata, waiting, shortest, other, cost, position), waiting)
                )
    return shortest


def _joint_cost(
    automata: RuleAutomata, waiting: int, shortest: list[int], other: int, cost: int, position: int
) -> int:
    """The cost of a call or loop of which both parts are known."""
    loop = automata.loops.get(waiting)
    if loop is None or {position, other} != {loop.body, loop.after}:
        return cost + shortest[other]
    return loop.min_count * shortest[loop.body] + shortest[loop.after]


def _relax_empty_rounds(automata: RuleAutomata) -> None:
    """Rounds that may be empty need not be counted: ask for none at least."""
    for position, loop in automata.loops.items():
        if loop.min_count > 0 and automata.shortest[loop.body] == 0:
            automata.loops[position] = Loop(loop.body, 0, loop.max_count, loop.after)


def _prune(automata: RuleAutomata) -> None:
    """Remove the moves that no word uses."""
    shortest = automata.shortest
    for position in range(len(automata.is_end)):
        automata.epsilon[position] = [
            t for t in automata.epsilon[position] if shortest[t] != UNPRODUCTIVE
        ]
        automata.terminals[position] = [
            (k, t) for k, t in automata.terminals[position] if shortest[t] != UNPRODUCTIVE
        ]
        automata.calls[position] = [
            (callee, t)
            for callee, t in automata.calls[position]
            if shortest[callee] != UNPRODUCTIVE and shortest[t] != UNPRODUCTIVE
        ]
    for position, loop in list(automata.loops.items()):
        if shortest[loop.after] == UNPRODUCTIVE:
            del automata.loops[position]
        elif shortest[loop.body] == UNPRODUCTIVE:
            del automata.loops[position]
            if loop.min_count == 0:
                automata.epsilon[position].append(loop.after)


def _refuse_left_recursion(automata: RuleAutomata, grammar: ir.Grammar) -> None:
    """Find a cycle of calls in which nothing is read, tail calls aside (they need no stack)."""
    rule_of_start = {start: rule for rule, start in enumerate(automata.starts)}
    successors: dict[int, list[tuple[int, bool]]] = {}
    for position in range(len(automata.is_end)):
        moves = [(t, False) for t in automata.epsilon[position]]
        for callee, target in automata.calls[position]:
            moves.append((callee, not automata.is_only_end(target)))
            if automata.shortest[callee] == 0:
                moves.append((target, False))
        loop = automata.loops.get(position)
        if loop is not None:
            moves += [(loop.body, True), (loop.after, False)]
        successors[position] = moves
    component = _components(successors)
    for position, moves in successors.items():
        for target, pushes in moves:
            if pushes and component[position] == component[target]:
                name = grammar.names[rule_of_start[target]] if target in rule_of_start else "a loop"
                raise UnsupportedGrammarError(
                    f"rule {name!r} calls itself before it reads anything",
                    keyword="left recursion",
                )


def _components(successors: dict[int, list[tuple[int, bool]]]) -> dict[int, int]:
    """Strongly connected components (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    component: dict[int, int] = {}
    path: list[int] = []
    for root in successors:
        if root in index:
            continue
        work = [(root, 0)]
        while work:
            node, child = work.pop()
            if child == 0:
                index[node] = low[node] = len(index)
                path.append(node)
            else:
                low[node] = min(low[node], low[successors[node][child - 1][0]])
            while child < len(successors[node]):
                target = successors[node][child][0]
                child += 1
                if target not in index:
                    work.append((node, child))
                    work.append((target, 0))
                    break
                if target not in component:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    while True:
                        member = path.pop()
                        component[member] = index[node]
                        if member == node:
                            break
    return component
