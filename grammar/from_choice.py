"""List of texts -> grammar: one terminal that matches any of them."""

from __future__ import annotations

from collections.abc import Sequence

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.limits import Budget


def choice_to_grammar(choices: Sequence[str], budget: Budget) -> ir.Grammar:
    """The grammar of a finite set of texts; doubles are harmless.

    Raises:
        GrammarSyntaxError: not a non-empty list of strings.
        GrammarLimitError: too many or too long.
    """
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        raise GrammarSyntaxError("choice needs a non-empty list of strings")
    budget.check("max_enum_values", len(choices), "number of choices")
    words = set()
    for index, text in enumerate(choices):
        if not isinstance(text, str):
            raise GrammarSyntaxError(f"choice {index} is a {type(text).__name__}, not a string")
        try:
            words.add(text.encode())
        except UnicodeEncodeError:
            raise GrammarSyntaxError(f"choice {index} contains a lone surrogate") from None
    budget.check("max_source_bytes", sum(map(len, words)), "bytes of all choices")
    grammar = ir.Grammar()
    parts: list[ir.Node] = [ir.EMPTY] if b"" in words else []
    words.discard(b"")
    if words:
        parts.append(ir.Terminal(dfas.from_words(words, budget)))
    grammar.add("choice", ir.choice(*parts))
    return grammar
