"""Where a parser can stand within the rules.

All rules share one numbering of *positions*, each a small record (kind, label, target), and equal
records are one position. So alternatives that end alike share their ends, and what is worked out for a
position serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from syntagma.grammar.any_order import Order, Progress
from syntagma.grammar.terminals import Language

# Kinds of positions: what label and target mean.
READ: Final = 0  # a terminal (label: language), then target
CALL: Final = 1  # a word of another rule (label), then target
ROUND: Final = 2  # a repetition (label: loop) of which some rounds (target: their count) are done
FORK: Final = 3  # any of several positions (label: fork)
END: Final = 4  # the end of a rule (label)
ENTRY: Final = 5  # the start of a rule (label), for its words that are not empty
WITHIN: Final = 6  # a position (target) read on behalf of a rule (label): see `left_recursion`
ORDER: Final = 7  # parts in any order (label) of which some have come (target): see `any_order`

BOUND: Final = 8  # a position (target) with a memory (label): see `captures`
CAUGHT: Final = 9  # behind a terminal (target: where it is read, label: the memory before it)

NONE: Final = -1

Record = tuple[int, int, int]


@dataclass(frozen=True)
class Loop:
    """A counted repetition: one round is a word of a rule of its own.

    Attributes:
        body: that rule.
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


class Positions:
    """The positions met so far, by number; append-only but for forks under construction.

    Attributes:
        records: kind, label and target of each position.
        rule_of: the rule that a position is part of, NONE for those that belong to no rule alone.
        forks: the branches of each fork.
        loops: the counted repetitions.
        orders: the parts in any order.
        languages: the terminals.
        starts: where each rule starts, NONE until it is compiled.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rule_of: list[int] = []
        self.forks: list[tuple[int, ...]] = []
        self.loops: list[Loop] = []
        self.orders: list[Order] = []
        self.languages: list[Language] = []
        self.starts: list[int] = []
        self._known: dict[Record, int] = {}
        self._known_forks: dict[tuple[int, ...], int] = {}
        self._language_numbers: dict[int, int] = {}
        self._progress: list[Progress] = []
        self._progress_numbers: dict[Progress, int] = {}
        self._order_branches: dict[int, tuple[int, ...]] = {}

    def add(self, kind: int, label: int, target: int, rule: int = NONE) -> int:
        """The position with a record."""
        record = (kind, label, target)
        position = self._known.get(record)
        if position is None:
            position = self._known[record] = len(self.records)
            self.records.append(record)
            self.rule_of.append(rule)
        return position

    def read(self, language: Language, target: int, rule: int) -> int:
        """A terminal, then the target."""
        return self.add(READ, self.language_number(language), target, rule)

    def language_number(self, language: Language) -> int:
        """The number of a terminal."""
        # By identity: a digest of every language costs more than telling some equal ones apart.
        number = self._language_numbers.get(id(language))
        if number is None:
            number = self._language_numbers[id(language)] = len(self.languages)
            self.languages.append(language)
        return number

    def fork(self, branches: list[int], rule: int) -> int:
        """Any of the branches."""
        distinct = tuple(dict.fromkeys(branches))
        if len(distinct) == 1:
            return distinct[0]
        position = self._known_forks.get(distinct)
        if position is None:
            position = self._known_forks[distinct] = self.open_fork(rule)
            self.close_fork(position, distinct)
        return position

    def open_fork(self, rule: int) -> int:
        """A fork whose branches are given later, for cycles."""
        self.forks.append(())
        return self.add(FORK, len(self.forks) - 1, NONE, rule)

    def close_fork(self, position: int, branches: tuple[int, ...]) -> None:
        """Give an open fork its branches."""
        self.forks[self.records[position][1]] = branches

    def order(self, order: Order) -> int:
        """Parts in any order, none of which has come."""
        self.orders.append(order)
        return self._in_order(len(self.orders) - 1, order.start)

    def progress_at(self, position: int) -> Progress:
        """Which parts in any order have come at a position among them."""
        return self._progress[self.records[position][2]]

    def branches(self, position: int) -> tuple[int, ...]:
        """Where a fork, or a position among parts in any order, goes on."""
        kind, label, _ = self.records[position]
        if kind == FORK:
            return self.forks[label]
        found = self._order_branches.get(position)
        if found is None:
            found = self._order_branches[position] = self._branches_in_order(position)
        return found

    def _branches_in_order(self, position: int) -> tuple[int, ...]:
        label = self.records[position][1]
        order, progress = self.orders[label], self.progress_at(position)
        if progress.is_between:
            found = [order.after] if order.can_end(progress) else []
            if next(order.steps(progress), None) is not None:
                again = self._in_order(label, progress._replace(is_between=False))
                found.append(self.add(READ, order.separator, again, order.rule))
            return tuple(found)
        branches = []
        for part, after in order.steps(progress):
            branch = self.add(CALL, part.rest, self._in_order(label, after), order.rule)
            if part.head != NONE:
                branch = self.add(READ, part.head, branch, order.rule)
            branches.append(branch)
        return tuple(branches)

    def _in_order(self, label: int, progress: Progress) -> int:
        number = self._progress_numbers.get(progress)
        if number is None:
            number = self._progress_numbers[progress] = len(self._progress)
            self._progress.append(progress)
        return self.add(ORDER, label, number, self.orders[label].rule)

    def end(self, rule: int) -> int:
        """The end of a rule."""
        return self.add(END, rule, NONE, rule)

    def round(self, loop: int, count: int) -> int:
        """A repetition of which ``count`` rounds are done."""
        return self.add(ROUND, loop, count, self.rule_of[self.loops[loop].after])

    def new_rule(self) -> int:
        """A rule that is compiled later."""
        self.starts.append(NONE)
        return len(self.starts) - 1
