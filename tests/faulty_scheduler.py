"""A scheduler for vLLM whose grammars break: for tests that name it in place of ours.

Which fault strikes is the first word of a pattern: making, mask, accept, validate or rollback. It imports vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syntagma.decoding.grammar_spec import TICKET_PREFIX, GrammarTicket
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.vllm_grammar import SyntagmaBackend, SyntagmaGrammar
from syntagma.decoding.vllm_scheduler import GrammarScheduler

# Tokens that go well before the fault.
NUM_GOOD_TOKENS = 2


class MatcherFault(Exception):
    """Nothing that the code under test could know."""


class FaultyMatcher(Matcher):
    """Raises from one method, once some tokens are accepted."""

    def __init__(self, original: Matcher, fault: str) -> None:
        super().__init__(original.grammar)
        self._fault = fault

    def _strike(self, fault: str) -> None:
        if fault == self._fault and self.num_tokens >= NUM_GOOD_TOKENS:
            raise MatcherFault(fault)

    def fill_bitmask(self, bitmask: Any, row: int = 0) -> None:
        self._strike("mask")
        super().fill_bitmask(bitmask, row)

    def accept_token(self, token_id: int) -> bool:
        self._strike("accept")
        return super().accept_token(token_id)

    def validate_tokens(self, token_ids: Sequence[int]) -> int:
        self._strike("validate")
        return super().validate_tokens(token_ids)

    def rollback(self, num_tokens: int) -> None:
        self._strike("rollback")
        super().rollback(num_tokens)


class FaultyBackend(SyntagmaBackend):
    """Gives requests that ask for it a matcher that breaks."""

    def compile_grammar(
        self, request_type: Any, grammar_spec: str, stop_token_ids: set[int] | None = None
    ) -> SyntagmaGrammar:
        grammar = super().compile_grammar(request_type, grammar_spec, stop_token_ids)
        assert grammar_spec.startswith(TICKET_PREFIX)
        spec = GrammarTicket.from_text(grammar_spec).spec
        source = str(spec.source) if spec is not None else ""
        fault, _, _ = source.partition(" ")
        if fault == "making":
            raise MatcherFault(fault)
        grammar.matcher = FaultyMatcher(grammar.matcher, fault)
        return grammar


class FaultyScheduler(GrammarScheduler):
    """Ours with that backend."""

    backend_class = FaultyBackend
