"""The keys of an object sorted into names and classes, so that each key meets one formula.

Names that a clause speaks of stand for themselves, in the order of the schema. All other keys are split
by the key patterns of the clause into classes that no pattern divides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syntagma.grammar.schema_atoms import MembersForm
from syntagma.grammar.schema_clauses import Clause
from syntagma.grammar.schema_logic import FALSE, TRUE, Atom, Formula
from syntagma.grammar.schema_texts import Texts


@dataclass(frozen=True)
class Obligation:
    """There must be a member with a key of some names or classes whose value fits a formula.

    Attributes:
        names, classes: indices of those the key may belong to.
        source: the atom that asks for it.
    """

    names: frozenset[int]
    classes: frozenset[int]
    value: Formula
    source: Formula


@dataclass(frozen=True)
class KeyClass:
    """Keys that are not among the names, as alternatives, and what their values must fit."""

    keys: tuple[Clause, ...]
    value: Formula


@dataclass(frozen=True)
class SortedKeys:
    """An object's members by key.

    Attributes:
        names: in the order in which members are written.
        values: what the value of each name must fit.
        required: indices of names that must be there.
        classes: the other keys.
        obligations: further members that must be there.
    """

    names: tuple[str, ...]
    values: tuple[Formula, ...]
    required: frozenset[int]
    classes: tuple[KeyClass, ...]
    obligations: tuple[Obligation, ...]


class KeySorter:
    """Sorts the keys of clauses."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.logic = texts.logic
        self.clauses = texts.clauses
        self.budget = texts.budget

    def sorted(self, form: MembersForm) -> SortedKeys:
        """The keys of a form."""
        names = self._names(form)
        index = {name: i for i, name in enumerate(names)}
        parts: list[list[Formula]] = [[] for _ in names]
        wide: list[tuple[Formula, Formula]] = []
        for keys, value in form.every:
            single = self._listed(keys)
            if single is None:
                wide.append((keys, value))
                continue
            for name in single:
                parts[index[name]].append(value)
        for keys, value in wide:
            for i, name in enumerate(names):
                if self.texts.holds(keys, name):
                    parts[i].append(value)
        required: set[int] = set()
        open_obligations = []
        for keys, value, source in form.some:
            single = self._listed(keys)
            if single is not None and len(single) == 1:
                (name,) = single
                required.add(index[name])
                parts[index[name]].append(value)
            else:
                open_obligations.append((keys, value, source))
        classes, splitters = self._classes(names, wide, open_obligations)
        return SortedKeys(
            names=tuple(names),
            values=tuple(self.logic.all_of(found) for found in parts),
            required=frozenset(required),
            classes=tuple(found for found in classes if found.value != FALSE),
            obligations=tuple(
                self._obligation(names, classes, splitters, *obligation)
                for obligation in open_obligations
            ),
        )

    def _listed(self, keys: Formula) -> frozenset[str] | None:
        """The names that a formula lists; None: it says something else."""
        atom = self.logic.node(keys)
        if keys >= 0 and isinstance(atom, Atom) and atom.name == "in":
            assert isinstance(atom.payload, frozenset), "names are a set"
            return atom.payload
        return None

    def _names(self, form: MembersForm) -> list[str]:
        """All names that a form speaks of: declared ones, then required ones, then others."""
        names: dict[str, None] = {}
        spoken = [keys for keys, _ in form.every] + [keys for keys, _, _ in form.some]
        for keys in spoken:
            names.update(dict.fromkeys(sorted(self._listed(keys) or ())))
        for keys in dict.fromkeys(spoken):
            if self._listed(keys) is None:
                names.update(dict.fromkeys(self._mentioned(keys)))
        return list(names)

    def _mentioned(self, keys: Formula) -> Iterable[str]:
        """The names that decide whether a key fits a formula."""
        for formula in (keys, ~keys):
            for clause in self.clauses.of(formula, "string"):
                form = self.texts.form(clause)
                yield from sorted(form.values or form.excluded)

    def _classes(
        self,
        names: list[str],
        wide: list[tuple[Formula, Formula]],
        obligations: list[tuple[Formula, Formula, Formula]],
    ) -> tuple[list[KeyClass], list[frozenset[Formula]]]:
        """The classes of other keys, each with the formulas about keys that hold in it."""
        others = ~self.logic.atom("string", "in", frozenset(names)) if names else TRUE
        splitting = dict.fromkeys([k for k, _ in wide] + [k for k, _, _ in obligations])
        found: list[tuple[Formula, frozenset[Formula]]] = [(others, frozenset())]
        for keys in splitting:
            split = []
            for formula, holding in found:
                inside = self.logic.all_of([formula, keys])
                outside = self.logic.all_of([formula, ~keys])
                if self._has_texts(inside):
                    split.append((inside, holding | {keys}))
                if self._has_texts(outside):
                    split.append((outside, holding))
            self.budget.check("max_branches", len(split), "classes of keys")
            self.budget.check_time()
            found = split
        classes = [
            KeyClass(
                tuple(c for c in self.clauses.of(f, "string") if not self._is_empty(c)),
                self.logic.all_of(value for keys, value in wide if keys in holding),
            )
            for f, holding in found
        ]
        return classes, [holding for _, holding in found]

    def _has_texts(self, keys: Formula) -> bool:
        return any(not self._is_empty(clause) for clause in self.clauses.of(keys, "string"))

    def _is_empty(self, clause: Clause) -> bool:
        return self.texts.is_empty(self.texts.form(clause))

    def _obligation(
        self,
        names: list[str],
        classes: list[KeyClass],
        holding: list[frozenset[Formula]],
        keys: Formula,
        value: Formula,
        source: Formula,
    ) -> Obligation:
        possible = [i for i, found in enumerate(classes) if found.value != FALSE]
        return Obligation(
            names=frozenset(i for i, name in enumerate(names) if self.texts.holds(keys, name)),
            classes=frozenset(
                position for position, i in enumerate(possible) if keys in holding[i]
            ),
            value=value,
            source=source,
        )
