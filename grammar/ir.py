"""The intermediate representation: a context-free grammar over terminals, with EBNF operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from syntagma.grammar.dfa import Dfa
from syntagma.grammar.terminals import Language


@dataclass(frozen=True, slots=True)
class Terminal:
    """A word of a regular language; the empty word is not among them (say `EMPTY` beside it)."""

    language: Language


@dataclass(frozen=True, slots=True)
class Sequence:
    """The parts one after another; no parts: the empty word."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of the parts; no parts: nothing."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part ``min_count`` to ``max_count`` times (None: without bound)."""

    part: Node
    min_count: int
    max_count: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """A word of another rule."""

    rule: int


@dataclass(frozen=True, slots=True)
class AnyOrder:
    """One or more parts in any order, a separator between them.

    A part is a call, or a terminal and a call (`Sequence`); its words are not empty.

    Attributes:
        required: each exactly once.
        optional: each at most once.
        repeated: each any number of times.
        separator: between parts.
        min_count, max_count: how many parts in all (None: without bound).
        final: each exactly once, and no repeated one behind any of them.
    """

    required: tuple[Node, ...]
    optional: tuple[Node, ...]
    repeated: tuple[Node, ...]
    separator: Terminal
    min_count: int = 0
    max_count: int | None = None
    final: tuple[Node, ...] = ()

    @property
    def parts(self) -> tuple[Node, ...]:
        """All parts: those that must come, those that may, those that may again."""
        return self.required + self.final + self.optional + self.repeated

    @property
    def num_required(self) -> int:
        """How many parts must come."""
        return len(self.required) + len(self.final)

    @property
    def num_missing(self) -> int:
        """How many parts must come beside those that are required."""
        return max(self.min_count - self.num_required, 0 if self.num_required else 1)

    def has_word(self, alive: list[bool]) -> bool:
        """Whether there is one, if it is known of each part whether that has any."""
        first, second = self.num_required, self.num_required + len(self.optional)
        if self.max_count is not None and first + self.num_missing > self.max_count:
            return False
        is_enough = any(alive[second:]) or sum(alive[first:second]) >= self.num_missing
        return all(alive[:first]) and is_enough


Node = Terminal | Sequence | Choice | Repeat | Call | AnyOrder

EMPTY = Sequence(())
NOTHING = Choice(())

# Counts up to this one fit a file.
LARGEST_COUNT = (1 << 62) - 1


def sequence(*parts: Node) -> Node:
    """Concatenation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Sequence(parts)


def choice(*parts: Node) -> Node:
    """Alternation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Choice(parts)


def optional(part: Node) -> Node:
    """The part or the empty word."""
    return Choice((part, EMPTY))


def repeat(part: Node, min_count: int, max_count: int | None) -> Node:
    """Repetition; one of a repetition is a single one where that has the same words.

    A parser that counts rounds of rounds follows as many readings as there are ways to distribute what
    it read over them.
    """
    inner = _as_repeat(part)
    if inner is not None and (max_count is None or min_count <= max_count):
        low, high = inner.min_count, inner.max_count
        most = _product(high, max_count)
        if (most is None or most <= LARGEST_COUNT) and _has_no_gaps(
            low, high, min_count, max_count
        ):
            part, min_count, max_count = inner.part, low * min_count, most
    return (
        optional(part) if (min_count, max_count) == (0, 1) else Repeat(part, min_count, max_count)
    )


def _as_repeat(node: Node) -> Repeat | None:
    """A node as a repetition with as many rounds at least as at most, if it is one."""
    if isinstance(node, Choice) and len(node.parts) == 2 and node.parts[1] == EMPTY:
        return Repeat(node.parts[0], 0, 1)
    if not isinstance(node, Repeat):
        return None
    return node if node.max_count is None or node.min_count <= node.max_count else None


def _product(left: int | None, right: int | None) -> int | None:
    if left == 0 or right == 0:
        return 0
    return None if left is None or right is None else left * right


def _has_no_gaps(low: int, high: int | None, min_rounds: int, max_rounds: int | None) -> bool:
    """Whether ``rounds`` times ``low`` to ``high``, for all numbers of rounds, is one interval."""
    if min_rounds == max_rounds:
        return True
    if min_rounds == 0:
        return low <= 1
    # One round more begins where so many end, or before; later ones overlap more.
    return high is None or min_rounds * high + 1 >= (min_rounds + 1) * low


def regular(dfa: Dfa, *, non_empty: Dfa) -> Node:
    """A regular language as a node; ``non_empty`` is the language less the empty word."""
    if not dfa.accepts_empty_word:
        return Terminal(dfa)
    return EMPTY if non_empty.is_empty else optional(Terminal(non_empty))


@dataclass
class Grammar:
    """Rules by number; rule 0 is the start. Rules may be declared first and defined later.

    Attributes:
        rules: the bodies; None where a rule has only been declared.
        names: for messages.
        produce: defines a declared rule when its body is asked for, and may declare others; without
            it an undefined rule has no words.
        is_proper: the front end vouches that every rule, also those not produced yet, has a word,
            that none of its words is empty and that no rule calls itself before it reads anything.
            Such a grammar may be compiled rule by rule, as far as an output gets.
        proper_rules: rules of a grammar that is not proper for which the same is known, with all
            rules that they call.
    """

    rules: list[Node | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    produce: Callable[[int], None] | None = None
    is_proper: bool = False
    proper_rules: set[int] = field(default_factory=set)

    def body(self, rule: int) -> Node:
        """The body of a rule, produced if need be."""
        body = self.rules[rule]
        if body is None and self.produce is not None:
            self.produce(rule)
            body = self.rules[rule]
        return NOTHING if body is None else body

    def produce_all(self) -> list[Node]:
        """The bodies of all rules; the list of rules grows while they are produced."""
        bodies: list[Node] = []
        while len(bodies) < len(self.rules):
            bodies.append(self.body(len(bodies)))
        return bodies

    def declare(self, name: str) -> int:
        """Reserve a rule."""
        self.rules.append(None)
        self.names.append(name)
        return len(self.rules) - 1

    def define(self, rule: int, body: Node) -> None:
        """Give a declared rule its body."""
        self.rules[rule] = body

    def add(self, name: str, body: Node) -> int:
        """Declare and define at once."""
        rule = self.declare(name)
        self.define(rule, body)
        return rule
