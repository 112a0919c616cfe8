"""One pass over the schemas that can be reached: may their rules be produced on demand?

A rule that is produced while a model is decoding must not fail, and must have a word. So a survey
checks beforehand all that lowering could refuse, builds the terminals that could be empty or too large,
and proves that every goal has an instance (Horn clauses, least fixed point). It may give up: what it is
not sure of is lowered at once, which finds the errors or the way round them.
"""

from __future__ import annotations

from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_conjunction import (
    LINKS,
    Branch,
    Goal,
    GoalKey,
    branches_of,
    goal_key,
    normal_goal,
)
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_forms import (
    allowed_types,
    array_form,
    integer_bounds,
    listed_values,
    member_goal,
    object_form,
    refuse_number_bounds,
)
from syntagma.grammar.schema_keywords import check_keywords
from syntagma.grammar.schema_strings import string_node

# A way to satisfy a goal: the goals it needs. One that needs none is an instance.
Alternative = list[GoalKey]

MAX_ROUNDS = 8


class Survey:
    """What is known of a document's goals.

    Args:
        document: the schemas.
        terminals: where strings are built.
        budget: bounds on the compilation.
    """

    def __init__(self, document: SchemaDocument, terminals: JsonTerminals, budget: Budget) -> None:
        self.document = document
        self.terminals = terminals
        self.budget = budget
        self._branches: dict[GoalKey, list[Branch]] = {}
        self._waiting: list[Goal] = []
        self._seen: set[GoalKey] = set()
        self._num_rules = 0
        # Goals without an instance at hand, in the order they were met.
        self._needs: dict[GoalKey, list[Alternative]] = {}

    def branches(self, goal: Goal) -> list[Branch]:
        """The alternatives of a goal; see `branches_of`."""
        if len(goal) == 1:
            schema = goal[0]
            if isinstance(schema, dict) and LINKS.isdisjoint(schema):
                check_keywords(schema, self.document)
                return [(schema,)]
        key = goal_key(goal)
        found = self._branches.get(key)
        if found is None:
            found = branches_of(goal, self.document, self.budget)
            self._branches[key] = found
        return found

    def check_enum(self, values: list[Any], branch: Branch) -> None:
        """Raises GrammarLimitError if an ``enum`` has more than ``max_enum_values``."""
        limit = self.budget.limits.max_enum_values
        if len(values) > limit:
            where = self.document.pointer(branch[0])
            self.budget.check("max_enum_values", len(values), "values of an enum", pointer=where)

    def is_sound(self) -> bool:
        """Whether every goal that can be reached has an instance and can be lowered without error."""
        try:
            self._visit(normal_goal([self.document.root], self.document))
            while self._waiting:
                self.budget.check_time()
                if self._num_rules > self.budget.limits.max_rules:
                    return False
                if not self._look_at(self._waiting.pop()):
                    return False
        except GrammarError:
            return False
        return self._all_have_instances()

    def _visit(self, goal: Goal) -> Alternative:
        """Look at a goal some time; what an alternative needs that needs it."""
        if not goal:
            return []
        key = goal_key(goal)
        if key not in self._seen:
            self._seen.add(key)
            self._waiting.append(goal)
        return [key]

    def _look_at(self, goal: Goal) -> bool:
        """Check one goal; False: not sure that each of its branches has an instance."""
        branches = self.branches(goal)
        alternatives: list[Alternative] = []
        for branch in branches:
            found = self._alternatives(branch)
            if not found:
                return False
            alternatives += found
        if not alternatives:
            return False
        if all(alternatives):
            self._needs[goal_key(goal)] = alternatives
        self._num_rules += 1
        return True

    def _alternatives(self, branch: Branch) -> list[Alternative]:
        """The ways to satisfy a branch, one for each type; none: not sure that all types have one."""
        values = listed_values(branch, self.document)
        if values is not None:
            self.check_enum(values, branch)
            return [[]] if values else []
        types = allowed_types(branch)
        refuse_number_bounds(branch, types, self.document)
        found: list[Alternative | None] = []
        if not types.isdisjoint(("null", "boolean", "number")):
            found.append([])
        if "integer" in types and "number" not in types:
            is_empty = self.terminals.integer(*integer_bounds(branch)) is ir.NOTHING
            found.append(None if is_empty else [])
        if "string" in types:
            found.append([] if self._has_string(branch) else None)
        if "array" in types:
            found.append(self._array(branch))
        if "object" in types:
            found.append(self._object(branch))
        sure = [alternative for alternative in found if alternative is not None]
        return sure if len(sure) == len(found) else []

    def _has_string(self, branch: Branch) -> bool:
        node = string_node(branch, self.document, self.terminals)
        if isinstance(node, ir.Terminal):
            return not node.language.dfa.is_empty
        return node is not ir.NOTHING

    def _array(self, branch: Branch) -> Alternative | None:
        form = array_form(branch, self.document)
        if form.max_items is not None and form.max_items < form.min_items:
            return None
        prefix = [self._visit(goal) for goal in form.prefix]
        needs = [key for keys in prefix[: form.min_items] for key in keys]
        if form.max_items is None or form.max_items > len(prefix):
            rest = self._visit(form.rest)
            needs += rest if form.min_items > len(prefix) else []
        return needs

    def _object(self, branch: Branch) -> Alternative | None:
        form = object_form(branch, self.document)
        self._num_rules += len(form.names) + 1
        needs: Alternative = []
        for name in form.names:
            keys = self._visit(member_goal(form, name, self.document))
            if name in form.required:
                needs += keys
        if form.additional is not None:
            self._visit(form.additional)
        return needs

    def _all_have_instances(self) -> bool:
        """Whether all goals follow from those with an instance; after a few rounds: not sure."""
        for _ in range(MAX_ROUNDS):
            if not self._needs:
                return True
            # What a goal needs was mostly met after it.
            for key in reversed(list(self._needs)):
                if any(self._needs.keys().isdisjoint(needs) for needs in self._needs[key]):
                    del self._needs[key]
        return not self._needs
