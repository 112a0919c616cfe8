"""Our compiler and matcher behind the interfaces that vLLM's engine core has for grammars.

The engine core launches a forward pass, asks for one bitmask row per position meanwhile, and reports the
tokens that were drawn. A request's grammar arrives as a string: a ticket (`grammar_spec`) from our own front
end, or plain text from vLLM's. Names of methods and arguments are vLLM's.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.v1.structured_output.backend_types import (
    StructuredOutputBackend,
    StructuredOutputGrammar,
    StructuredOutputOptions,
)

from syntagma.decoding.artefact_directory import ArtefactDirectory
from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.grammar_cache import GrammarCache
from syntagma.decoding.grammar_spec import TICKET_PREFIX, GrammarSpec, GrammarTicket
from syntagma.decoding.interpreter import short_turns
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_masks import fill_tree
from syntagma.decoding.vllm_options import BackendOptions
from syntagma.decoding.vllm_vocabulary import vocabulary_of
from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler

logger = logging.getLogger(__name__)

MAX_CACHED_GRAMMARS = 1024
MAX_CACHED_BYTES = 256 << 20


class SyntagmaBackend(StructuredOutputBackend):
    """Makes the grammar of each request; one in an engine core's process.

    Its constructor builds the token trie and loads the kernels, so that no request waits for that.

    Attributes:
        vocabulary: of the model.
        rows: int32[max_num_seqs, num_words], what `allocate_token_bitmask` made.
        complete_ids: where grammars note the requests whose outputs can only end; None: tokens are only tried.
    """

    def __init__(self, vllm_config: Any, tokenizer: Any, vocab_size: int) -> None:
        super().__init__(vllm_config, tokenizer=tokenizer, vocab_size=vocab_size)
        options = BackendOptions.of(vllm_config)
        self.vocabulary = vocabulary_of(vllm_config.model_config, tokenizer)
        self._artefacts = options.directory and ArtefactDirectory(options.directory)
        limits = CompileLimits(
            max_seconds=options.max_seconds, max_schema_depth=options.max_schema_depth
        )
        self._compiler = GrammarCompiler(
            self.vocabulary, cache_dir=options.directory, limits=limits
        )
        self._lock = threading.Lock()
        self._grammars: GrammarCache[tuple[str, str]] = GrammarCache(
            max_entries=MAX_CACHED_GRAMMARS, max_bytes=MAX_CACHED_BYTES
        )
        self._pending: dict[tuple[str, str], Future[CompiledGrammar]] = {}
        self.rows: NDArray[np.int32] = np.empty((0, self.vocabulary.num_words), np.int32)
        self._bitmask: torch.Tensor | None = None
        self.complete_ids: set[str] | None = None

    def compile_grammar(
        self,
        request_type: StructuredOutputOptions,
        grammar_spec: str,
        stop_token_ids: set[int] | None = None,
    ) -> SyntagmaGrammar:
        """A request's grammar; equal ones are compiled once, however many requests bring them.

        ``stop_token_ids`` is not needed: the vocabulary knows which tokens end an output, and a grammar
        allows no other.

        Raises:
            GrammarError: it is refused.
            ValueError: it is for another vocabulary, or of a kind that is not known here.
        """
        is_ticket = request_type is StructuredOutputOptions.GRAMMAR and grammar_spec.startswith(
            TICKET_PREFIX
        )
        if is_ticket:
            ticket = GrammarTicket.from_text(grammar_spec)
            key = ("TICKET", ticket.grammar_hash)
            return SyntagmaGrammar(self, Matcher(self._once(key, lambda: self._redeem(ticket))))
        spec = spec_of(request_type, grammar_spec)
        key = (request_type.name, grammar_spec)
        return SyntagmaGrammar(self, Matcher(self._once(key, lambda: spec.compile(self._compiler))))

    def _once(self, key: tuple[str, str], make: Callable[[], CompiledGrammar]) -> CompiledGrammar:
        """The grammar of a key: remembered, being made in another thread, or made now."""
        with self._lock:
            found = self._grammars.get(key)
            if found is not None:
                return found
            pending = self._pending.get(key)
            is_ours = pending is None
            if pending is None:
                pending = self._pending[key] = Future()
        if is_ours:
            self._settle(key, pending, make)
        return pending.result()

    def _settle(
        self,
        key: tuple[str, str],
        pending: Future[CompiledGrammar],
        make: Callable[[], CompiledGrammar],
    ) -> None:
        try:
            with short_turns():
                grammar = make()
                grammar.prepare()  # in this thread, for which no step waits
        except Exception as error:  # noqa: BLE001 - raised again in all threads that wait
            pending.set_exception(error)
            with self._lock:
                del self._pending[key]
            return
        pending.set_result(grammar)
        with self._lock:
            self._grammars.put(key, grammar)
            del self._pending[key]

    def _redeem(self, ticket: GrammarTicket) -> CompiledGrammar:
        """The finished grammar if it can be found, else one compiled from its source."""
        if ticket.vocabulary_hash != self.vocabulary.hash:
            raise ValueError(
                f"the grammar was compiled for the vocabulary {ticket.vocabulary_hash}, but this "
                f"engine's is {self.vocabulary.hash}: do both have the same model and tokenizer?"
            )
        if self._artefacts and (ticket.is_shared or ticket.spec is None):
            grammar = self._artefacts.load(self._compiler, ticket.grammar_hash)
            if grammar is not None:
                return grammar
        if ticket.spec is None:
            raise ValueError(
                f"the grammar {ticket.grammar_hash} is not in the shared directory, "
                "and the request does not say what it was compiled from"
            )
        return ticket.spec.compile(self._compiler)

    def allocate_token_bitmask(self, max_num_seqs: int) -> torch.Tensor:
        """int32[max_num_seqs, num_words], one row a position; the backend keeps a view of it."""
        self.rows = np.full((max_num_seqs, self.vocabulary.num_words), -1, np.int32)
        self._bitmask = torch.from_numpy(self.rows)
        return self._bitmask

    def rows_of(self, bitmask: torch.Tensor) -> NDArray[np.int32]:
        """The array behind a bitmask, the same object each time for the one allocated here."""
        if bitmask is self._bitmask:
            return self.rows
        rows: NDArray[np.int32] = bitmask.numpy()
        return rows

    def step_rows(self, grammars: Sequence[SyntagmaGrammar]) -> NDArray[np.int32]:
        """One row for each grammar, in their order; good until the next step."""
        if len(self.rows) < len(grammars):
            self.allocate_token_bitmask(self.vllm_config.scheduler_config.max_num_seqs)
        for row, grammar in enumerate(grammars):
            grammar.fill_row(self.rows, row)
        return self.rows[: len(grammars)]

    def destroy(self) -> None:
        """Nothing to do: all that is held goes with the process."""


class SyntagmaGrammar(StructuredOutputGrammar):
    """One request's matcher.

    A fault of the matcher must end this request alone, but vLLM lets an exception of a grammar end the
    engine. So faults are caught: the row is left open, and the token drawn under it is refused, which is
    how vLLM is told that a request has failed.

    Attributes:
        matcher: follows the output.
    """

    def __init__(self, backend: SyntagmaBackend, matcher: Matcher) -> None:
        self.matcher = matcher
        self._backend = backend
        self._has_failed = False

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        """Advance by drawn tokens; False ends the request with an error.

        Tokens behind a stop token do not count: vLLM cuts them off. While completeness is noted, a stop token behind a
        complete output does not count either, for the scheduler takes it away.
        """
        matcher, complete_ids = self.matcher, self._backend.complete_ids
        stop_ids = matcher.grammar.vocabulary.stop_ids
        try:
            for token_id in tokens:
                if matcher.is_terminated():
                    break
                if complete_ids is not None and token_id in stop_ids and matcher.is_complete():
                    break
                if self._has_failed or not matcher.accept_token(token_id):
                    logger.error("request %s: token %d is refused", request_id, token_id)
                    return False
            if complete_ids is not None and not matcher.is_terminated() and matcher.is_complete():
                complete_ids.add(request_id)
        except Exception:
            logger.exception("request %s: the matcher failed", request_id)
            self._has_failed = True
            return False
        return True

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        """The longest prefix that could be accepted, up to the first stop token; nothing changes."""
        stop_ids = self.matcher.grammar.vocabulary.stop_ids
        end = next((i + 1 for i, token in enumerate(tokens) if token in stop_ids), len(tokens))
        if self._has_failed or self.matcher.is_terminated():
            return []
        try:
            return tokens[: self.matcher.validate_tokens(tokens[:end])]
        except Exception:
            logger.exception("a draft could not be checked")
            self._has_failed = True
            return []

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""
        try:
            self.matcher.rollback(num_tokens)
        except Exception:
            logger.exception("tokens could not be taken back")
            self._has_failed = True

    def fill_bitmask(self, bitmask: torch.Tensor, batch_index: int) -> None:
        """Write the tokens allowed next."""
        self.fill_row(self._backend.rows_of(bitmask), batch_index)

    def fill_row(self, rows: NDArray[np.int32], row: int) -> None:
        """Write the tokens allowed next; all, where the output has ended or the matcher fails."""
        try:
            if self.matcher.is_terminated():
                rows[row] = -1
            else:
                self.matcher.fill_bitmask(rows, row)
        except Exception:
            logger.exception("a mask could not be computed")
            self._has_failed = True
            rows[row] = -1

    def fill_tree(self, tree: DraftTree, rows: NDArray[np.int32]) -> None:
        """Write what may follow the output and each node of a draft (`tree_masks.fill_tree`), now."""
        try:
            fill_tree(self.matcher, tree, rows)
        except Exception:
            logger.exception("the masks of a draft tree could not be computed")
            self._has_failed = True
            rows[:] = -1

    def is_terminated(self) -> bool:
        """Whether a stop token was accepted."""
        return self.matcher.is_terminated()

    def reset(self) -> None:
        """Begin again."""
        self.rollback(self.matcher.num_tokens)


def spec_of(request_type: StructuredOutputOptions, text: str) -> GrammarSpec:
    """What vLLM's own front end sends, as a spec.

    Raises:
        ValueError: a kind of constraint that has no counterpart here.
    """
    match request_type:
        case StructuredOutputOptions.JSON:
            return GrammarSpec("json_schema", text)
        case StructuredOutputOptions.JSON_OBJECT:
            return GrammarSpec("json_object", None)
        case StructuredOutputOptions.REGEX:
            return GrammarSpec("regex", text)
        case StructuredOutputOptions.CHOICE:
            return GrammarSpec("choice", json.loads(text))
        case StructuredOutputOptions.GRAMMAR:
            return GrammarSpec("ebnf", text)
        case StructuredOutputOptions.STRUCTURAL_TAG:
            return GrammarSpec("structural_tag", text)
    raise ValueError(f"constraints of kind {request_type.name.lower()} are not supported")
