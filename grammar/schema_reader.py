"""What the keywords of one schema assert, as formulas."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from syntagma.grammar.errors import GrammarError, UnsupportedGrammarError
from syntagma.grammar.json_formats import FORMATS, FORMATS_WITHOUT_EFFECT, NUMBER_FORMATS
from syntagma.grammar.number_sets import ABOVE_ALL, BELOW_ALL, exact
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.schema_dialects import Dialect, assertions
from syntagma.grammar.schema_logic import FALSE, KINDS, TRUE, Formula, Place
from syntagma.grammar.schema_text import JsonSchema, escape, shorten

if TYPE_CHECKING:
    from syntagma.grammar.schema_formulas import Formulas


class SchemaReader:
    """One schema in its scope, its keywords checked.

    Attributes:
        keywords: those that have an effect.
    """

    def __init__(self, formulas: Formulas, place: Place) -> None:
        universe = formulas.universe
        self.formulas = formulas
        self.logic = formulas.logic
        self.schema = universe.schema(place.schema)
        self.scope = place.scope
        site = universe.site(self.schema)
        self.pointer = site.pointer
        self.dialect = site.dialect
        self.keywords = assertions(
            self.schema,
            site.dialect,
            site.pointer,
            refuses_slips=formulas.options.slips == "refuse",
        )

    def where(self, keyword: str) -> str:
        """The pointer of a keyword."""
        return f"{self.pointer}/{escape(keyword)}"

    def child(self, value: JsonSchema) -> Formula:
        """A subschema."""
        return self.formulas.of(value, self.scope)

    def referred(self, keyword: str) -> Formula:
        """The schema that a reference means."""
        universe = self.formulas.universe
        return self.formulas.of(universe.resolve(self.schema, keyword, self.scope), self.scope)

    def atom(self, keyword: str, kind: str, name: str, payload: Hashable = None) -> Formula:
        """An atom of a keyword."""
        formula = self.logic.atom(kind, name, payload)
        self.logic.origins.setdefault(formula, (keyword, self.where(keyword)))
        return formula

    def has(self, keyword: str, name: str) -> Formula:
        """An object with a member of a name."""
        return ~self.atom(keyword, "object", "all", (self.formulas.names([name]), FALSE))

    def own(self) -> Formula:
        """What the schema asserts without the schemas that it applies to the same value."""
        parts: list[Formula] = []
        for keyword in self.keywords:
            read = getattr(self, f"_read_{keyword}", None)
            if read is not None:
                parts.append(read(self.keywords[keyword]))
        parts += [self._members(), self._items(), self._contains()]
        return self.logic.all_of(parts)

    def in_place(self) -> Formula:
        """What the schemas assert that this one applies to the same value."""
        keywords, logic = self.keywords, self.logic
        parts = [
            self.referred(k) for k in ("$ref", "$dynamicRef", "$recursiveRef") if k in keywords
        ]
        parts += [self.child(schema) for schema in keywords.get("allOf", ())]
        for keyword, name, formula in self.dependents():
            parts.append(self._mentioned(keyword, [name]))
            parts.append(logic.any_of([~self.has(keyword, name), formula]))
        if "anyOf" in keywords:
            parts.append(logic.any_of(map(self.child, keywords["anyOf"])))
        if "oneOf" in keywords:
            parts.append(logic.one_of(list(map(self.child, keywords["oneOf"]))))
        if "if" in keywords:
            parts.append(logic.if_else(*self.conditional()))
        if "not" in keywords:
            parts.append(~self.child(keywords["not"]))
        return logic.all_of(parts)

    def conditional(self) -> tuple[Formula, Formula, Formula]:
        """``if``, ``then`` and ``else``."""
        keywords = self.keywords
        return (
            self.child(keywords["if"]),
            self.child(keywords.get("then", True)),
            self.child(keywords.get("else", True)),
        )

    def dependents(self) -> list[tuple[str, str, Formula]]:
        """The schemas that apply if a name is there: (keyword, name, schema)."""
        return [
            (keyword, name, self.child(value))
            for keyword in ("dependentSchemas", "dependencies")
            for name, value in self.keywords.get(keyword, {}).items()
            if isinstance(value, dict | bool)
        ]

    def _read_type(self, value: str | list[str]) -> Formula:
        names = {value} if isinstance(value, str) else set(value)
        parts = [
            self.atom("type", kind, "never")
            for kind in KINDS
            if kind not in names and not (kind == "number" and "integer" in names)
        ]
        if "integer" in names and "number" not in names:
            parts.append(self.atom("type", "number", "multiple", Fraction(1)))
        return self.logic.all_of(parts)

    def _read_enum(self, values: list[Any]) -> Formula:
        limit = self.formulas.universe.budget
        limit.check("max_enum_values", len(values), "values of an enum", pointer=self.pointer)
        return self.formulas.listed(values, "enum", self.where("enum"))

    def _read_const(self, value: Any) -> Formula:
        return self.formulas.listed([value], "const", self.where("const"))

    def _read_multipleOf(self, value: float) -> Formula:
        return self.atom("multipleOf", "number", "multiple", exact(value))

    def _read_minimum(self, value: float) -> Formula:
        is_open = self.dialect is Dialect.DRAFT4 and self.keywords.get("exclusiveMinimum") is True
        return self._from("minimum", value, is_open)

    def _read_maximum(self, value: float) -> Formula:
        is_open = self.dialect is Dialect.DRAFT4 and self.keywords.get("exclusiveMaximum") is True
        return self._up_to("maximum", value, is_open)

    def _read_exclusiveMinimum(self, value: float) -> Formula:
        return TRUE if isinstance(value, bool) else self._from("exclusiveMinimum", value, True)

    def _read_exclusiveMaximum(self, value: float) -> Formula:
        return TRUE if isinstance(value, bool) else self._up_to("exclusiveMaximum", value, True)

    def _from(self, keyword: str, value: float, is_open: bool) -> Formula:
        cut = (exact(value), int(is_open))
        return self.atom(keyword, "number", "range", ((cut, ABOVE_ALL),))

    def _up_to(self, keyword: str, value: float, is_open: bool) -> Formula:
        cut = (exact(value), 1 - int(is_open))
        return self.atom(keyword, "number", "range", ((BELOW_ALL, cut),))

    def _read_minLength(self, value: float) -> Formula:
        return self.atom("minLength", "string", "longer", int(value)) if value > 0 else TRUE

    def _read_maxLength(self, value: float) -> Formula:
        return self._no_more("maxLength", "string", "longer", int(value))

    def _read_pattern(self, value: str) -> Formula:
        return self.atom("pattern", "string", "pattern", value)

    def _read_format(self, value: str) -> Formula:
        policy = self.formulas.options.formats
        if policy == "annotate" or value in FORMATS_WITHOUT_EFFECT:
            return TRUE
        if value in FORMATS:
            return self.atom("format", "string", "format", value)
        if value in NUMBER_FORMATS:
            low, high = NUMBER_FORMATS[value]
            whole = self.atom("format", "number", "multiple", Fraction(1))
            within = (((Fraction(low), 0), (Fraction(high), 1)),)
            return self.logic.all_of([whole, self.atom("format", "number", "range", within)])
        if policy == "known":
            return TRUE
        raise UnsupportedGrammarError(
            f"the format {shorten(value)!r} is not enforced, so it is refused; "
            f"enforced are {', '.join([*FORMATS, *NUMBER_FORMATS])}",
            keyword="format",
            pointer=self.where("format"),
        )

    def _no_more(self, keyword: str, kind: str, name: str, most: int) -> Formula:
        return self.logic.unless(kind, self.atom(keyword, kind, name, most + 1))

    def _read_minItems(self, value: float) -> Formula:
        return self.atom("minItems", "array", "size", int(value)) if value > 0 else TRUE

    def _read_maxItems(self, value: float) -> Formula:
        return self._no_more("maxItems", "array", "size", int(value))

    def _read_uniqueItems(self, value: bool) -> Formula:
        return self.atom("uniqueItems", "array", "unique") if value else TRUE

    def _read_minProperties(self, value: float) -> Formula:
        return self.atom("minProperties", "object", "size", int(value)) if value > 0 else TRUE

    def _read_maxProperties(self, value: float) -> Formula:
        return self._no_more("maxProperties", "object", "size", int(value))

    def _read_required(self, names: list[str]) -> Formula:
        return self._needs("required", names)

    def _needs(self, keyword: str, names: list[str]) -> Formula:
        """That an object has members of some names."""
        logic = self.logic
        return logic.all_of(logic.unless("object", ~self.has(keyword, name)) for name in names)

    def _read_dependentRequired(self, value: dict[str, list[str]]) -> Formula:
        return self._needed_together("dependentRequired", value)

    def _read_dependencies(self, value: dict[str, Any]) -> Formula:
        lists = {name: needed for name, needed in value.items() if isinstance(needed, list)}
        return self._needed_together("dependencies", lists)

    def _needed_together(self, keyword: str, value: dict[str, list[str]]) -> Formula:
        return self.logic.all_of(
            self.logic.all_of(
                [
                    self._mentioned(keyword, [name, *needed]),
                    self.logic.any_of([~self.has(keyword, name), self._needs(keyword, needed)]),
                ]
            )
            for name, needed in value.items()
            if needed
        )

    def _mentioned(self, keyword: str, names: list[str]) -> Formula:
        """Nothing, but it gives names their place in the order."""
        return self.logic.all_of(
            self.atom(keyword, "object", "all", (self.formulas.names([name]), TRUE))
            for name in names
        )

    def _members(self) -> Formula:
        """``properties``, ``patternProperties``, ``additionalProperties``, ``propertyNames``."""
        keywords, logic = self.keywords, self.logic
        parts = [
            # Without any assertion it still says where the name comes in the order.
            self.atom("properties", "object", "all", (self.formulas.names([n]), self.child(v)))
            for n, v in keywords.get("properties", {}).items()
        ]
        parts += [
            self.all_members("patternProperties", self.matching(pattern), self.child(value))
            for pattern, value in keywords.get("patternProperties", {}).items()
        ]
        if "additionalProperties" in keywords:
            value = self.child(keywords["additionalProperties"])
            others = ~self.declared_keys()
            parts.append(self.all_members("additionalProperties", others, value))
        if "propertyNames" in keywords:
            wrong = ~self.child(keywords["propertyNames"])
            parts.append(self.all_members("propertyNames", wrong, FALSE))
        return logic.all_of(parts)

    def matching(self, pattern: str) -> Formula:
        """The keys that a pattern matches; it is read even where that has no effect."""
        try:
            parse_regex(pattern, self.formulas.universe.budget)
        except GrammarError as error:
            error.pointer = f"{self.where('patternProperties')}/{escape(pattern)}"
            raise
        return self.atom("patternProperties", "string", "pattern", pattern)

    def declared_keys(self) -> Formula:
        """The keys that ``properties`` and ``patternProperties`` speak of."""
        return self.logic.any_of(
            [
                self.formulas.names(self.keywords.get("properties", ())),
                *map(self.matching, self.keywords.get("patternProperties", ())),
            ]
        )

    def all_members(self, keyword: str, keys: Formula, value: Formula) -> Formula:
        """That all members with certain keys fit a formula."""
        if value == TRUE or keys == FALSE:
            return TRUE
        return self.atom(keyword, "object", "all", (keys, value))

    def prefix(self) -> tuple[str, list[JsonSchema]]:
        """The schemas of the first items and the keyword that gives them."""
        if self.dialect >= Dialect.DRAFT2020:
            return "prefixItems", self.keywords.get("prefixItems", [])
        items = self.keywords.get("items")
        return "items", items if isinstance(items, list) else []

    def rest(self) -> tuple[str, JsonSchema] | None:
        """The schema of all further items and its keyword, if there is one."""
        items = self.keywords.get("items")
        if isinstance(items, list):
            items, keyword = self.keywords.get("additionalItems"), "additionalItems"
        else:
            keyword = "items"
        return None if items is None else (keyword, items)

    def _items(self) -> Formula:
        keyword, prefix = self.prefix()
        parts = [
            self.atom(keyword, "array", "at", (index, formula))
            for index, schema in enumerate(prefix)
            if (formula := self.child(schema)) != TRUE
        ]
        rest = self.rest()
        if rest is not None:
            parts.append(self.all_items(rest[0], len(prefix), self.child(rest[1])))
        return self.logic.all_of(parts)

    def all_items(self, keyword: str, start: int, formula: Formula) -> Formula:
        """That all items from one on fit a formula."""
        return TRUE if formula == TRUE else self.atom(keyword, "array", "from", (start, formula))

    def _contains(self) -> Formula:
        keywords = self.keywords
        if "contains" not in keywords:
            return TRUE
        item = self.child(keywords["contains"])
        low, high = int(keywords.get("minContains", 1)), keywords.get("maxContains")
        parts = []
        if low > 0:
            parts.append(self.atom("contains", "array", "count", (0, item, low)))
        if high is not None:
            more = self.atom("maxContains", "array", "count", (0, item, int(high) + 1))
            parts.append(self.logic.unless("array", more))
        return self.logic.all_of(parts)
