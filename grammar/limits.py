"""How much work and space one compilation may take."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass

from syntagma.grammar.errors import GrammarLimitError


@dataclass(frozen=True, kw_only=True)
class CompileLimits:
    """Bounds of one compilation; reaching one raises `GrammarLimitError` with its name.

    Attributes:
        max_seconds: processor time of a compilation, in the thread that began it, so that other work on the
            machine does not decide what is accepted. On an idle one nobody waits two seconds for an answer,
            a late check included.
        max_source_bytes: size of a schema, regex or choice list as text.
        max_schema_depth: nesting of a JSON Schema document.
        max_enum_values: members of one ``enum`` or choice list.
        max_regex_depth: nesting of groups in a regular expression or an EBNF rule.
        max_nfa_states: states of one terminal before determinisation (repetition is unrolled).
        max_dfa_states: states of one terminal or lexer.
        max_rules: rules of a grammar.
        max_positions: positions of all rule automata together.
        max_number_digits: digits of a bound on integers.
        max_branches: alternatives that one schema may multiply out to.
    """

    max_seconds: float = 1.8
    max_source_bytes: int = 4 << 20
    max_schema_depth: int = 128
    max_enum_values: int = 200_000
    max_regex_depth: int = 200
    max_nfa_states: int = 100_000
    max_dfa_states: int = 30_000
    max_rules: int = 50_000
    max_positions: int = 1_000_000
    max_number_digits: int = 100
    max_branches: int = 512

    @classmethod
    def unlimited(cls) -> CompileLimits:
        """No bounds on time and on the size of automata."""
        return cls(max_seconds=math.inf, max_nfa_states=1 << 30, max_dfa_states=1 << 30)


class Budget:
    """The limits of one running compilation, with its deadline on the clock of the thread that makes it.

    What a compiled grammar puts off keeps the budget, but no longer fails by it; see `finish`.
    """

    def __init__(self, limits: CompileLimits) -> None:
        self.limits = limits
        self._deadline = time.thread_time() + limits.max_seconds
        self._is_finished = False

    def narrowed(self, **limits: int) -> Budget:
        """A budget with other limits and the same deadline."""
        other = Budget(dataclasses.replace(self.limits, **limits))
        other._deadline = self._deadline
        return other

    def finish(self) -> None:
        """The grammar is accepted: from now on no check raises.

        Rules, positions and terminals that are made while a model is decoding were bounded when the
        grammar was compiled; an error there could only spoil an output.
        """
        self._is_finished = True

    def check_time(self) -> None:
        """Raises GrammarLimitError once the compilation has run for ``max_seconds``."""
        if time.thread_time() > self._deadline and not self._is_finished:
            raise GrammarLimitError(
                f"compilation takes longer than {self.limits.max_seconds:g} s of processor time; "
                "simplify the grammar or raise max_seconds",
                limit="max_seconds",
            )

    def check_table(self, num_cells: int, what: str) -> None:
        """Raises GrammarLimitError if a table is larger than ``max_dfa_states`` rows of 128."""
        self.check("max_dfa_states", num_cells // 128, what)

    def check_moves(self, num_moves: int, what: str) -> None:
        """Raises GrammarLimitError if there are more than 32 moves for each of ``max_nfa_states``."""
        self.check("max_nfa_states", num_moves // 32, what)

    def max_rows(self, num_columns: int) -> int:
        """Rows of a table that is just within `check_table`, ``max_dfa_states`` at most."""
        return min(self.limits.max_dfa_states, 128 * self.limits.max_dfa_states // num_columns)

    def check(self, limit: str, given: int, what: str, *, pointer: str | None = None) -> None:
        """Raises GrammarLimitError if ``given`` exceeds the limit of that name."""
        allowed = getattr(self.limits, limit)
        if given > allowed and not self._is_finished:
            raise GrammarLimitError(
                f"{what}: {given} exceeds the limit {limit} = {allowed}",
                limit=limit,
                given=given,
                pointer=pointer,
            )

    @classmethod
    def unlimited(cls) -> Budget:
        """For automata whose size does not depend on a request."""
        return cls(CompileLimits.unlimited())
