"""One pass over the schemas that can be reached, so that their rules may be produced on demand.

A rule that is produced while a model is decoding must not fail, and must have a word. So a survey
checks beforehand all that lowering could refuse, builds the terminals that could be empty or too large,
and finds out which goals have an instance (Horn clauses, least fixed point). Goals without one are never
called. The survey may give up; then the general way says what is wrong or finds the way round it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.horn_clauses import underivable
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_conjunction import (
    LINKS,
    Apart,
    Branch,
    Goal,
    GoalKey,
    branches_of,
    goal_key,
    goal_of,
)
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_forms import (
    TEXT_KEYWORDS,
    allowed_types,
    array_form,
    has_items_alike,
    is_plain_enum,
    listed_values,
    member_goal,
    number_set,
    object_form,
    string_bounds,
)
from syntagma.grammar.schema_numbers import has_members
from syntagma.grammar.schema_plain import NeedsMoreError, check_plain, is_scalar_type

# A goal, or a rule that a goal of the general way calls, by its number.
Key = GoalKey | int
# A way to satisfy a goal: what it needs. One that needs nothing is an instance.
Alternative = list[Key]
# Lowers a goal that is not plain at once; returns the ways to satisfy the rules that it takes.
Delegate = Callable[[Goal], dict[Key, list[Alternative]]]


class Survey:
    """What is known of a document's goals.

    Attributes:
        dead: the goals and rules that have no instance.

    Args:
        document: the schemas.
        terminals: where strings are built.
        budget: bounds on the compilation.
    """

    def __init__(self, document: SchemaDocument, terminals: JsonTerminals, budget: Budget) -> None:
        self.document = document
        self.terminals = terminals
        self.budget = budget
        self._branches: dict[GoalKey, list[Branch | Apart]] = {}
        self._waiting: list[Goal] = []
        self._seen: set[GoalKey] = set()
        self._num_rules = 0
        self._is_done = False
        # What has no instance at hand, in the order it was met.
        self._needs: dict[Key, list[Alternative]] = {}
        self.dead: set[Key] = set()

    def branches(self, goal: Goal) -> list[Branch | Apart]:
        """The alternatives of a goal; see `branches_of`."""
        if len(goal) == 1:
            schema = goal[0]
            if isinstance(schema, dict) and LINKS.isdisjoint(schema):
                if not self._is_done:
                    check_plain(schema, self.document)
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

    def is_dead(self, goal: Goal) -> bool:
        """Whether a goal has no instance."""
        return bool(self.dead) and goal_key(goal) in self.dead

    def is_sound(self, root: Goal, delegate: Delegate) -> bool:
        """Whether a goal has an instance, and it is known which of those that it can lead to have one.

        Args:
            root: the goal to begin with.
            delegate: lowers a goal that is not plain.

        Raises:
            GrammarError, NeedsMoreError: one cannot be lowered on demand.
        """
        self.visit(root)
        while self._waiting:
            self.budget.check_time()
            if self._num_rules > self.budget.limits.max_rules:
                return False
            self._look_at(self._waiting.pop(), delegate)
        self.dead = underivable(self._needs)
        self._is_done = True
        return not self.is_dead(root)

    def visit(self, goal: Goal) -> Alternative:
        """Look at a goal some time; what an alternative needs that needs it."""
        if not goal:
            return []
        key = goal_key(goal)
        if key not in self._seen:
            self._seen.add(key)
            self._waiting.append(goal)
        return [key]

    def _look_at(self, goal: Goal, delegate: Delegate) -> None:
        """Check one goal and note what it needs."""
        self._num_rules += 1
        try:
            alternatives = self._ways(goal)
        except NeedsMoreError:
            found = delegate(goal)
            self._num_rules += len(found)
            self._needs |= {key: ways for key, ways in found.items() if all(ways)}
            return
        if all(alternatives):
            self._needs[goal_key(goal)] = alternatives

    def _ways(self, goal: Goal) -> list[Alternative]:
        """The ways to satisfy a goal, if it is plain."""
        if len(goal) == 1 and type(schema := goal[0]) is dict and LINKS.isdisjoint(schema):
            # Most goals are of this kind; what follows would find the same in more steps.
            check_plain(schema, self.document)
            needs = self._single(schema)
            return self._ways_of_types((schema,)) if needs is None else [needs]
        return [way for branch in self.branches(goal) for way in self._alternatives(branch)]

    def _alternatives(self, branch: Branch | Apart) -> list[Alternative]:
        """The ways to satisfy a branch, one for each type at most."""
        if isinstance(branch, Apart):
            return [self.visit(branch.goal)]
        if len(branch) == 1:
            found = self._single(branch[0])
            if found is not None:
                return [found]
        return self._ways_of_types(branch)

    def _ways_of_types(self, branch: Branch) -> list[Alternative]:
        """The same for schemas that `_single` does not know."""
        values = listed_values(branch)
        if values is not None:
            self.check_enum(values, branch)
            return [[]] if values else []
        types = allowed_types(branch)
        ways: list[Alternative | None] = []
        if not types.isdisjoint(("null", "boolean")):
            ways.append([])
        if not types.isdisjoint(("integer", "number")):
            is_whole = "number" not in types
            numbers = number_set(branch, self.document, is_whole=is_whole)
            ways.append([] if has_members(numbers, self.terminals) else None)
        if "string" in types:
            ways.append([] if self._has_string(branch) else None)
        if "array" in types:
            ways.append(self._array(branch))
        if "object" in types:
            ways.append(self._object(branch))
        return [way for way in ways if way is not None]

    def _single(self, schema: dict[str, Any]) -> Alternative | None:
        """What one plain schema needs; None: look closer."""
        if is_scalar_type(schema):
            return []
        if "enum" in schema or "const" in schema:
            if not is_plain_enum(schema):
                return None
            self.check_enum(schema["enum"], (schema,))
            return [] if schema["enum"] else None
        match schema.get("type"):
            case "object":
                return self._single_object(schema)
            case "array" if has_items_alike(schema):
                least, most = schema.get("minItems", 0), schema.get("maxItems")
                if most is not None and most < max(1, least):
                    return None
                needs = self._visit_schema(schema.get("items", True))
                return needs if least > 0 else []
            case "string" if TEXT_KEYWORDS.isdisjoint(schema):
                most = schema.get("maxLength")
                return [] if most is None or schema.get("minLength", 0) <= most else None
            case _:
                return None

    def _single_object(self, schema: dict[str, Any]) -> Alternative | None:
        properties: dict[str, Any] = schema.get("properties", {})
        required = set(schema.get("required", ()))
        self._num_rules += len(properties) + len(required) + 1
        needs: Alternative = []
        for name, member in properties.items():
            if type(member) is dict and is_scalar_type(member):
                continue
            if member is not False:
                keys = self._visit_schema(member)
                if keys and name in required:
                    needs += keys
            elif name in required:
                return None
        additional = schema.get("additionalProperties", True)
        if additional is not True:
            keys = [] if additional is False else self._visit_schema(additional)
            if (keys or additional is False) and not properties.keys() >= required:
                if additional is False:
                    return None
                needs += keys
        return needs

    def _visit_schema(self, schema: Any) -> Alternative:
        """Look at the goal of one schema some time."""
        if type(schema) is not dict:
            if schema is True:
                return []
            if schema is False:
                return self.visit((False,))
            raise NeedsMoreError("no schema")
        return [] if is_scalar_type(schema) else self.visit(goal_of(schema, self.document))

    def _has_string(self, branch: Branch) -> bool:
        bounds = string_bounds(branch)
        if bounds.patterns or bounds.formats:
            node = self.terminals.string(bounds)
            return isinstance(node, ir.Terminal) and not node.language.dfa.is_empty
        return bounds.max_length is None or bounds.min_length <= bounds.max_length

    def _array(self, branch: Branch) -> Alternative | None:
        form = array_form(branch, self.document)
        if form.max_items is not None and form.max_items < form.min_items:
            return None
        prefix = [self.visit(goal) for goal in form.prefix]
        needs = [key for keys in prefix[: form.min_items] for key in keys]
        if form.max_items is None or form.max_items > len(prefix):
            rest = self.visit(form.rest)
            needs += rest if form.min_items > len(prefix) else []
        return needs

    def _object(self, branch: Branch) -> Alternative | None:
        form = object_form(branch, self.document)
        self._num_rules += len(form.names) + 1
        needs: Alternative = []
        for name in form.names:
            keys = self.visit(member_goal(form, name, self.document))
            if name in form.required:
                needs += keys
        if form.additional is not None:
            self.visit(form.additional)
        return needs
