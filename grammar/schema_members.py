"""What object forms ask of their members, whatever their order."""

from __future__ import annotations

from syntagma.grammar import ir
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.marks import NEW_KEY
from syntagma.grammar.schema_atoms import MembersForm
from syntagma.grammar.schema_item_rules import Lowering
from syntagma.grammar.schema_keys import KeyClass, Obligation, SortedKeys
from syntagma.grammar.schema_logic import Formula
from syntagma.grammar.schema_sizes import Sizes

# Of so many keys there is always another one.
MANY_KEYS = 1 << 31


class Members:
    """The members of one object form.

    Attributes:
        written: the names that may come, as bits.
        required: those that must, as bits.
        classes: the other keys that may come; ``class_numbers``: their numbers among all classes.
        low, high: bounds on their number that exclude anything; 0 and None: no bound.
        are_others_marked: whether several undeclared members must be there, which therefore need
            different keys.

    Raises:
        UnsupportedGrammarError: several undeclared members must be there, out of few keys.
    """

    def __init__(self, lowering: Lowering, form: MembersForm, keys: SortedKeys) -> None:
        self.lowering = lowering
        self.logic = lowering.logic
        self.keys = keys
        self.is_any_order = lowering.terminals.options.property_order == "any"
        empty = [lowering.emptiness.is_empty(value) for value in keys.values]
        self.written = sum(1 << i for i, is_empty in enumerate(empty) if not is_empty)
        self.required = sum(1 << i for i in keys.required)
        self.classes = [c for c in keys.classes if not lowering.emptiness.is_empty(c.value)]
        self.class_numbers = [i for i, c in enumerate(keys.classes) if c in self.classes]
        num_written = self.written.bit_count()
        is_closed = not self.classes
        needs_low = form.low > len(keys.required)
        needs_high = form.high is not None and (not is_closed or form.high < num_written)
        self.low = form.low if needs_low else 0
        self.high = form.high if needs_high else None
        self.are_others_marked = self._must_mark_others(form)

    def _must_mark_others(self, form: MembersForm) -> bool:
        """Whether several undeclared members must be there, which therefore need different keys.

        Raises:
            UnsupportedGrammarError: there may not be enough keys.
        """
        # They are met in any combination.
        combinations = 1 << len(self.keys.obligations)
        self.logic.budget.check("max_branches", combinations, "combinations of needed members")
        wide = [o for o in self.keys.obligations if o.classes and not self.is_free(o)]
        are_counted = bool(self.classes) and self.low > len(self.keys.required) + 1
        if self.is_any_order and wide:
            num_undeclared = sum(bool(o.classes) for o in self.keys.obligations)
        else:
            num_undeclared = len(wide)
        if not are_counted and num_undeclared < 2:
            return False
        sizes = Sizes(self.lowering.emptiness, self.lowering.sorter)
        are_many = [
            any(sizes.num_texts(clause, MANY_KEYS) >= MANY_KEYS for clause in found.keys)
            for found in self.keys.classes
        ]
        if are_counted and not any(are_many[i] for i in self.class_numbers):
            self._refuse(form.low_source)
        for obligation in wide:
            if not any(are_many[i] for i in obligation.classes):
                self._refuse(obligation.source)
        return True

    def _refuse(self, source: Formula) -> None:
        keyword, pointer = self.logic.origins.get(
            source, self.logic.origins.get(~source, ("minProperties", ""))
        )
        raise UnsupportedGrammarError(
            f"{keyword} cannot be enforced here: it asks for several undeclared properties, and their "
            "names could run out; declare the properties",
            keyword=keyword,
            pointer=pointer,
        )

    def is_free(self, obligation: Obligation) -> bool:
        """Whether every value that an undeclared member may have meets an obligation."""
        return all(
            self.logic.all_of([self.keys.classes[i].value, obligation.value])
            == self.keys.classes[i].value
            for i in obligation.classes
        )

    def key_of(self, found: KeyClass) -> ir.Node:
        """A key of a class, with its mark if it has one."""
        texts = self.lowering.emptiness.texts
        key = ir.choice(*(texts.node(texts.form(clause)) for clause in found.keys))
        return ir.Sequence((key, NEW_KEY)) if self.are_others_marked else key
