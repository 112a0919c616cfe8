"""Grammars -> masks: the engine that says which tokens may come next."""

from syntagma.grammar.compiled_grammar import CompiledGrammar, GrammarKind
from syntagma.grammar.compiler import GrammarCompiler
from syntagma.grammar.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.limits import CompileLimits
from syntagma.grammar.vocabulary import Vocabulary

__all__ = [
    "CompileLimits",
    "CompiledGrammar",
    "GrammarCompiler",
    "GrammarError",
    "GrammarKind",
    "GrammarLimitError",
    "GrammarSyntaxError",
    "UnsatisfiableGrammarError",
    "UnsupportedGrammarError",
    "Vocabulary",
]
