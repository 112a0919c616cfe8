"""JSON Schema -> grammar.

Every goal (a set of schemas that one value must satisfy) becomes a rule: a choice over the goal's
branches and, within a branch, over JSON types. Goals of properties and items are new goals, so that
recursion ends where a goal has been met before; scalars are written where they are used. The
constraints of a branch are merged per type in `schema_forms`; here they become rules, one by one as
their bodies are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.from_schema_formulas import formulas_to_grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.plain_members import PlainMember, PlainMembers
from syntagma.grammar.schema_conjunction import (
    Apart,
    Branch,
    Goal,
    GoalKey,
    goal_key,
    goal_of,
    normal_goal,
)
from syntagma.grammar.schema_delegation import Delegation, alive
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_forms import (
    ArrayForm,
    ObjectForm,
    allowed_types,
    array_form,
    listed_values,
    member_goal,
    number_set,
    object_form,
    only_member_schema,
    only_type,
    string_bounds,
)
from syntagma.grammar.schema_numbers import number_node
from syntagma.grammar.schema_plain import SCALAR_TYPES, NeedsMoreError, is_scalar_type
from syntagma.grammar.schema_survey import Key, Survey
from syntagma.grammar.schema_text import JsonSchema


def json_schema_to_grammar(
    document: SchemaDocument,
    options: JsonOptions,
    budget: Budget,
    *,
    documents: Mapping[str, JsonSchema] | None = None,
) -> ir.Grammar:
    """The grammar of the JSON texts that are valid against a document's root.

    Properties come in the order of the schema, undeclared ones behind them. Keys and the strings of
    ``enum`` and ``const`` are spelled as `json.dumps` does, with or without ``ensure_ascii``; all
    other strings may use any escape.

    A schema of plain keywords of which a survey shows that nothing can go wrong gives a proper grammar
    whose rules are produced on demand. Any other goes the general way of `formulas_to_grammar`, which
    knows all keywords and drafts and lowers at once, so that all errors surface here.

    Args:
        document: the schema.
        options: how JSON may be spelled.
        budget: bounds on this compilation.
        documents: further ones that references may lead into, by URI.

    Raises:
        GrammarError: as `GrammarCompiler.compile_json_schema`.
    """
    if options.is_fast:
        grammar = _produced_on_demand(document, documents or {}, JsonTerminals(options, budget))
        if grammar is not None:
            return grammar
    return formulas_to_grammar(document, documents or {}, options, budget)


def _produced_on_demand(
    document: SchemaDocument, documents: Mapping[str, JsonSchema], terminals: JsonTerminals
) -> ir.Grammar | None:
    """A proper grammar; None if it cannot be shown that no rule will fail."""
    survey = Survey(document, terminals, terminals.budget)
    lowering = Lowering(document, survey, terminals)
    delegation = Delegation(document, documents, terminals, lowering, survey.visit)
    try:
        if documents:
            # What is wrong with them is said even if no reference leads there.
            _ = delegation.universe
        root = normal_goal([document.root], document)
        lowering.call(root)
        if not survey.is_sound(root, delegation.lower):
            return None
        lowering.settle(delegation.bodies)
    except (GrammarError, NeedsMoreError):
        return None
    finally:
        delegation.close()
    table = lowering.table
    return ir.Grammar(table.rules, table.names, lowering.produce, is_proper=True)


class Lowering:
    """The rules of one document; the grammar keeps it to produce what has not been asked for.

    It shares the grammar's lists, but does not hold the grammar, and of rules to come what their bodies
    are made of, but nothing that holds the lowering: a grammar that nobody uses goes at once, without
    waiting for a collection of cycles.

    Attributes:
        table: the rules.
    """

    def __init__(self, document: SchemaDocument, survey: Survey, terminals: JsonTerminals) -> None:
        self.document = document
        self.survey = survey
        self.terminals = terminals
        self.table = ir.Grammar()
        self.lock = threading.Lock()
        self.nodes: dict[GoalKey, ir.Node] = {}
        self.plain_values: dict[str, ir.Node] = {}
        self.plain_members: dict[str, ir.Call] = {}
        self.is_any_order = terminals.options.property_order == "any"
        # What a declared rule is to be: the values of a goal, the members of an object from an index
        # on, one of them in any order, or what was written during the survey.
        self.pending: dict[int, Goal | tuple[PlainMembers, int] | PlainMember | ir.Node] = {}
        self.keys: dict[int, GoalKey] = {}

    def declare(self, name: str, content: Goal | tuple[PlainMembers, int] | PlainMember) -> int:
        """A new rule, its body made when it is asked for."""
        rule = self.table.declare(name)
        self.pending[rule] = content
        return rule

    def call(self, goal: Goal) -> ir.Call:
        """A call of a goal's rule, even if its body is short."""
        key = goal_key(goal)
        node = self.nodes.get(key)
        if not isinstance(node, ir.Call):
            name = "value" if self.table.rules else "root"
            node = self.nodes[key] = ir.Call(self.declare(name, goal))
            self.keys[node.rule] = key
        return node

    def key(self, rule: int) -> Key:
        """Under what the survey knows a rule: a goal's key, or the number of any other rule."""
        return self.keys.get(rule, rule)

    def settle(self, bodies: Mapping[int, ir.Node]) -> None:
        """Take over the rules that were written during the survey; those without a word have no body."""
        self.pending.update(bodies)
        for rule in list(self.pending):
            if self.key(rule) in self.survey.dead:
                self.table.define(rule, ir.NOTHING)
                del self.pending[rule]

    def produce(self, rule: int) -> None:
        """Define a declared rule, unless another thread has done so meanwhile."""
        with self.lock:
            content = self.pending.get(rule)
            if content is None:
                return
            if isinstance(content, PlainMember):
                body = content.body(self)
            elif not isinstance(content, tuple):
                body = alive(content, self.survey.dead, self.key)
            elif content and isinstance(content[0], PlainMembers):
                members, index = content
                body = members.body(index, self)
            else:
                body = self.goal_body(content)
            self.table.define(rule, body)
            del self.pending[rule]

    def value_of(self, schema: dict[str, Any]) -> ir.Node:
        """A value that one schema allows."""
        if is_scalar_type(schema):
            return self.plain_value(schema["type"])
        goal = goal_of(schema, self.document)
        return self.closer_value(goal) if goal and goal[0] is schema else self.value(goal)

    def value(self, goal: Goal) -> ir.Node:
        """A value that satisfies a goal: a call of its rule, or its body if that is short."""
        if len(goal) == 1 and isinstance(goal[0], dict) and is_scalar_type(goal[0]):
            return self.plain_value(goal[0]["type"])
        return self.closer_value(goal)

    def closer_value(self, goal: Goal) -> ir.Node:
        """A value of a goal that is not just a type of scalars."""
        key = goal_key(goal)
        node = self.nodes.get(key)
        if node is None:
            if not self.is_scalar(goal):
                return self.call(goal)
            node = self.nodes[key] = self.goal_body(goal)
        return node

    def plain_value(self, name: str) -> ir.Node:
        """The values of a type without any other assertion."""
        node = self.plain_values.get(name)
        if node is None:
            node = self.plain_values[name] = self.branch(({"type": name},))
        return node

    def is_scalar(self, goal: Goal) -> bool:
        """Whether a goal's values are neither arrays nor objects, as one look can tell."""
        return bool(goal) and all(
            not isinstance(branch, Apart) and any(map(_is_scalar, branch))
            for branch in self.survey.branches(goal)
        )

    def goal_body(self, goal: Goal) -> ir.Node:
        return _choice_of(self.branch(branch) for branch in self.survey.branches(goal))

    def branch(self, branch: Branch | Apart) -> ir.Node:
        """The values of one branch, type by type."""
        if isinstance(branch, Apart):
            return ir.NOTHING if self.survey.is_dead(branch.goal) else self.call(branch.goal)
        name = only_type(branch)
        if name is not None:
            return self.of_type(name, branch)
        values = listed_values(branch)
        if values is not None:
            self.survey.check_enum(values, branch)
            return self.listed(values)
        types = allowed_types(branch)
        parts = self.terminals.literals(types)
        if not types.isdisjoint(("integer", "number")):
            parts.append(self.of_type("number" if "number" in types else "integer", branch))
        parts += [
            self.of_type(name, branch) for name in ("string", "array", "object") if name in types
        ]
        return _choice_of(parts)

    def of_type(self, name: str, branch: Branch) -> ir.Node:
        """The values of a branch that are of a type."""
        if name == "string":
            return self.terminals.string(string_bounds(branch))
        if name == "array":
            return self.array(array_form(branch, self.document))
        if name == "object":
            return self.object(object_form(branch, self.document))
        if name in ("integer", "number"):
            numbers = number_set(branch, self.document, is_whole=name == "integer")
            return number_node(numbers, {}, self.terminals)
        return ir.choice(*self.terminals.literals((name,)))

    def listed(self, values: list[Any]) -> ir.Node:
        """Any of some given values."""
        scalars = [v for v in values if not isinstance(v, list | dict)]
        nested = [self.constant(v) for v in values if isinstance(v, list | dict)]
        return _choice_of([self.terminals.words(scalars), *nested])

    def constant(self, value: Any) -> ir.Node:
        """One given value; its nesting is bounded by the document's."""
        if isinstance(value, list):
            return self.bracketed("[]", [self.constant(v) for v in value])
        if isinstance(value, dict):
            members = [self.member(k, self.constant(v)) for k, v in value.items()]
            return self.bracketed("{}", members)
        return self.terminals.words([value])

    def bracketed(self, brackets: str, members: Sequence[ir.Node]) -> ir.Node:
        """Given members between brackets."""
        if not members:
            return self.terminals.enclosed(brackets, may_be_empty=True)
        parts = [members[0]]
        for member in members[1:]:
            parts += [self.terminals.comma, member]
        content = ir.Sequence((*parts, self.terminals.closing[brackets[1]]))
        return self.terminals.enclosed(brackets, content, may_be_empty=False)

    def member(self, name: str, *value: ir.Node) -> ir.Node:
        """``"name": value``, and what is to follow."""
        return ir.Sequence((self.terminals.key(name), self.terminals.colon, *value))

    def array(self, form: ArrayForm) -> ir.Node:
        """``[`` items ``]``: the prefix one by one, the rest counted."""
        form = self.without_dead_items(form)
        parts: list[ir.Node] = []
        if form.max_items is None or form.max_items >= max(1, form.min_items):
            parts.append(ir.Sequence((self.items(form), self.terminals.closing["]"])))
        if not parts and form.min_items:
            return ir.NOTHING
        return self.terminals.enclosed("[]", *parts, may_be_empty=form.min_items == 0)

    def without_dead_items(self, form: ArrayForm) -> ArrayForm:
        """The form whose arrays end before the first item that has no instance."""
        if not self.survey.dead:
            return form
        items = (*form.prefix, form.rest)
        end = next((i for i, goal in enumerate(items) if self.survey.is_dead(goal)), None)
        if end is None or (form.max_items is not None and form.max_items <= end):
            return form
        return replace(form, max_items=end)

    def items(self, form: ArrayForm) -> ir.Node:
        """One or more items, separated by commas."""
        count = len(form.prefix)
        low = max(0, form.min_items - count)
        high = None if form.max_items is None else form.max_items - count
        # Built from the back: `after` is what may follow the items read so far.
        after: ir.Node = ir.EMPTY
        if high is None or high > 0:
            rest = self.value(form.rest)
            next_item = ir.Sequence((self.terminals.comma, rest))
            if count == 0:
                if high == 1:
                    return rest
                more = ir.Repeat(next_item, max(0, low - 1), None if high is None else high - 1)
                return ir.Sequence((rest, more))
            after = ir.Repeat(next_item, low, high)
        last = count if form.max_items is None else min(count, form.max_items)
        for index in range(last - 1, -1, -1):
            item = self.value(form.prefix[index])
            step = ir.Sequence((item, after) if index == 0 else (self.terminals.comma, item, after))
            after = step if index < max(1, form.min_items) else ir.optional(step)
        return after

    def object(self, form: ObjectForm) -> ir.Node:
        """``{`` members ``}``."""
        form = self.without_dead_members(form)
        if not form.required.issubset(form.names):
            return ir.NOTHING
        parts: list[ir.Node] = []
        if form.names or form.additional is not None:
            if self.is_any_order:
                members = self.in_any_order(form)
                parts.append(ir.Sequence((members, self.terminals.closing["}"])))
            else:
                parts.append(ir.Call(PlainMembers(form).rule(0, self)))
        return self.terminals.enclosed("{}", *parts, may_be_empty=not form.required)

    def in_any_order(self, form: ObjectForm) -> ir.Node:
        """One or more members, separated by commas."""
        required: list[ir.Node] = []
        optional: list[ir.Node] = []
        for name in form.names:
            schema = only_member_schema(form, name)
            if schema is not None and is_scalar_type(schema):
                member = self.plain_member(schema["type"])
            else:
                member = ir.Call(self.declare("member", PlainMember(form, name)))
            part = ir.Sequence((self.terminals.key(name), member))
            (required if name in form.required else optional).append(part)
        repeated: list[ir.Node] = []
        if form.additional is not None:
            key = self.terminals.key_other_than(form.declared)
            is_simple = isinstance(key, ir.Terminal)
            rest = PlainMember(form, None, ir.EMPTY if is_simple else key)
            call = ir.Call(self.declare("member", rest))
            repeated.append(ir.Sequence((key, call)) if is_simple else call)
        comma = self.terminals.comma
        return ir.AnyOrder(tuple(required), tuple(optional), tuple(repeated), comma)

    def member_value(self, form: ObjectForm, name: str) -> ir.Node:
        """The value of a declared member."""
        schema = only_member_schema(form, name)
        if schema is None:
            return self.value(member_goal(form, name, self.document))
        return self.value_of(schema)

    def plain_member(self, name: str) -> ir.Call:
        """What follows the key of a member that need only be of a type of scalars."""
        node = self.plain_members.get(name)
        if node is None:
            rule = self.declare("member", PlainMember(None, name))
            node = self.plain_members[name] = ir.Call(rule)
        return node

    def without_dead_members(self, form: ObjectForm) -> ObjectForm:
        """The form without the members that have no instance."""
        if not self.survey.dead:
            return form
        is_dead = self.survey.is_dead
        return replace(
            form,
            names=tuple(n for n in form.names if not is_dead(member_goal(form, n, self.document))),
            additional=None if is_dead(form.additional or ()) else form.additional,
        )


def _choice_of(nodes: Iterable[ir.Node]) -> ir.Node:
    """Any of some nodes, those without a word left out."""
    return ir.choice(*(node for node in nodes if node != ir.NOTHING))


def _is_scalar(schema: dict[str, Any]) -> bool:
    types = schema.get("type")
    if types is not None:
        return SCALAR_TYPES.issuperset([types] if isinstance(types, str) else types)
    if "enum" in schema:
        return not any(isinstance(value, list | dict) for value in schema["enum"])
    return "const" in schema and not isinstance(schema["const"], list | dict)
