"""Regular expression -> grammar: one terminal that matches the whole output."""

from __future__ import annotations

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa_builder import dfa_from_all
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex


def regex_to_grammar(pattern: str, budget: Budget) -> ir.Grammar:
    """The grammar of the texts that a pattern matches from beginning to end.

    Raises:
        GrammarSyntaxError, UnsupportedGrammarError, GrammarLimitError: see `parse_regex`.
    """
    if not isinstance(pattern, str):
        raise GrammarSyntaxError(f"a regex must be a string, not {type(pattern).__name__}")
    budget.check("max_source_bytes", len(pattern), "characters of the regex")
    parsed = parse_regex(pattern, budget, is_whole=True)
    dfa = dfa_from_all(parsed.whole, Encoder.UTF8, budget, excluded=parsed.excluded)
    grammar = ir.Grammar()
    grammar.add("regex", ir.regular(dfa, non_empty=dfas.without_empty_word(dfa)))
    return grammar
