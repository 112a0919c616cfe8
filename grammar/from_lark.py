"""Lark text -> grammar of the texts that Lark accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError, GrammarSyntaxError
from syntagma.grammar.grammar_source import GrammarSource
from syntagma.grammar.indented_rules import IndentedRules
from syntagma.grammar.lalr import LalrBuilder
from syntagma.grammar.lark_contexts import contexts_of_parser, contexts_without_states
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lark_indenter import Indenter
from syntagma.grammar.lark_loader import load_lark
from syntagma.grammar.lexed_rules import LexedRules
from syntagma.grammar.lexing import Lexing
from syntagma.grammar.limits import Budget

LarkSemantics = Literal["lexed", "scannerless"]
SEMANTICS: tuple[LarkSemantics, ...] = ("lexed", "scannerless")


def lark_to_grammar(
    text: str,
    budget: Budget,
    *,
    start: str = "start",
    semantics: LarkSemantics = "lexed",
    files: Mapping[str, str] | None = None,
    indenter: Mapping[str, Any] | None = None,
) -> ir.Grammar:
    """The grammar of the texts that a Lark grammar describes.

    Args:
        text: rules and terminals.
        start: the rule that the whole text must match.
        semantics: ``lexed``: what ``Lark(text, parser="lalr")`` accepts or, where the grammar is not
            LALR, ``Lark(text, parser="earley")``; ``scannerless``: any word of a terminal may stand
            for it, with or without ignored ones between.
        files: see `load_lark`.
        indenter: what makes terminals of indentation, as `Indenter.from_value` reads it; None: the usual
            one, where terminals are declared.

    Raises:
        GrammarSyntaxError: see `load_lark`; also options that are not known.
        UnsupportedGrammarError: see `load_lark`; also patterns with anchors, look-around and the like.
        GrammarLimitError: too large.
    """
    if not isinstance(text, str):
        raise GrammarSyntaxError(f"a Lark grammar must be a string, not {type(text).__name__}")
    if semantics not in SEMANTICS:
        raise GrammarSyntaxError(
            f"semantics must be one of {', '.join(SEMANTICS)}, not {semantics!r}"
        )
    budget.check("max_source_bytes", len(text), "characters of the grammar")
    asked = None if indenter is None else Indenter.from_value(indenter)
    grammar, source = load_lark(text, budget, start=start, files=files, indenter=asked)
    if semantics == "lexed":
        return _lexed(grammar, source, budget)
    if grammar.lines is not None:
        raise _without_lexer(source, 'ask for "lexed" semantics')
    lexing = Lexing(grammar, "scannerless", budget=budget, source=source)
    return LexedRules(grammar, contexts_without_states(grammar), lexing, budget).rules()


def _lexed(grammar: LarkGrammar, source: GrammarSource, budget: Budget) -> ir.Grammar:
    table = LalrBuilder(grammar, budget).table()
    if table.loop is not None:
        name = grammar.rule_names[table.loop - len(grammar.terminals)]
        # Lark makes rules of its own for repetitions, and for uses of templates.
        written = re.sub(r"^__(.+?)_(?:star|plus|repeat)_.*$", r"\1", name).split("{")[0]
        place = re.search(rf"^[?!]*{re.escape(written)}\b", source.text, re.MULTILINE)
        raise source.unsupported(
            f"a part of rule {source.shown(written)} may be empty and may come again with nothing "
            "between, which Lark's parser does not handle the same way every time",
            0 if place is None else place.start(),
            keyword="lexed",
            hint='change the rule or ask for "scannerless" semantics',
        )
    if not table.is_lalr and grammar.lines is not None:
        raise _without_lexer(source, "the grammar has reduce/reduce conflicts")
    if not table.is_lalr:
        lexing = Lexing(grammar, "dynamic", source, budget)
        return LexedRules(grammar, contexts_without_states(grammar), lexing, budget).rules()
    lexing = Lexing(grammar, "contextual", source, budget)
    contexts = contexts_of_parser(grammar, table, lexing, budget)
    if grammar.lines is not None:
        return IndentedRules(grammar, grammar.lines, contexts, lexing, budget).rules()
    return LexedRules(grammar, contexts, lexing, budget).rules()


def _without_lexer(source: GrammarSource, hint: str) -> GrammarError:
    return source.unsupported(
        "an indenter works with the lexer of an LALR parser only",
        max(source.text.find("%declare"), 0),
        keyword="indenter",
        hint=hint,
    )
