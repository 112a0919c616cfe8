"""Our drafts in vLLM, made where the engine core keeps its requests: chains, or trees (`vllm_tree`).

vLLM asks its workers for drafts, which know neither requests nor grammars. So the worker's proposer proposes
nothing (`NullProposer`), and when the scheduler is told so it puts in what our drafters say, as
``--speculative-config '{"model": "syntagma.decoding.vllm_drafting.NullProposer", "num_speculative_tokens": 8}'``
(`DRAFT_PROPOSER`) asks for. Scheduling is synchronous then, and vLLM verifies: it draws as if there were no draft and sees
whether that is what the draft says.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, Final

from syntagma.decoding.draft_sources import corpus_texts, new_speculator
from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree, Source
from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.speculation import SpeculationOptions, SpeculationSession
from syntagma.decoding.step_costs import StepCosts
from syntagma.decoding.tree_merging import best_chain, subtree
from syntagma.decoding.verification import Walk
from syntagma.decoding.vllm_options import BackendOptions
from syntagma.decoding.vllm_recycling import LikeliestRows
from syntagma.decoding.vllm_sampling import SPECULATION_KEY
from syntagma.decoding.vllm_support import DRAFT_PROPOSER, TREE_PROPOSER
from syntagma.decoding.vllm_usage import UsageLog
from syntagma.grammar import Vocabulary

logger = logging.getLogger(__name__)

VLLM_SOURCES: Final[tuple[Source, ...]] = ("forced", "prompt", "corpus", "recycling", "habit")
"""What the scheduler can draft from."""


class NullProposer:
    """Proposes nothing; vLLM then asks the scheduler all the same."""

    def __init__(self, vllm_config: Any) -> None:
        """What vLLM calls it with."""

    def load_model(self, target_model: Any) -> None:
        """There is none."""

    def propose(self, sampled_token_ids: list[Any], *args: Any, **kwargs: Any) -> list[list[int]]:
        """No draft for any request of the batch."""
        return [[] for _ in sampled_token_ids]


def is_ours(vllm_config: Any) -> bool:
    """Whether a configuration asks for our drafts."""
    speculative = vllm_config.speculative_config
    return speculative is not None and speculative.model in (DRAFT_PROPOSER, TREE_PROPOSER)


def has_trees(vllm_config: Any) -> bool:
    """Whether it asks for trees of them."""
    return is_ours(vllm_config) and vllm_config.speculative_config.model == TREE_PROPOSER


@dataclass
class Drafted:
    """One request's drafts.

    Attributes:
        log: what became of them; None: the request asked for none.
        draft: the latest; vLLM may verify less of it, or nothing.
    """

    session: SpeculationSession
    log: UsageLog | None
    draft: DraftTree = EMPTY_TREE


class RequestDrafts:
    """Drafts for the requests of one scheduler, which calls from one thread.

    Raises:
        ValueError: a file of the draft corpus cannot be read.
    """

    def __init__(self, vllm_config: Any, vocabulary: Vocabulary, tokenizer: Any) -> None:
        self._chains_only = not has_trees(vllm_config)
        self._max_drafts = int(vllm_config.speculative_config.num_speculative_tokens)
        self._max_model_len = int(vllm_config.model_config.max_model_len)
        self._speculator = new_speculator(
            vocabulary,
            tokenizer,
            self._chains_only,
            sources=VLLM_SOURCES,
            corpus=corpus_texts(BackendOptions.of(vllm_config).draft_corpus),
            max_nodes=self._max_drafts,
            max_depth=self._max_drafts,
        )
        # Steps are shared by many requests; what a token of one of them adds is not measured here.
        self._costs = StepCosts(self._max_drafts).costs
        self._open: dict[str, Drafted] = {}

    def draft(self, request: Any, matcher: Matcher | None) -> DraftTree:
        """What may come next in a request.

        Args:
            request: vLLM's.
            matcher: of its output; None: nothing constrains it now.
        """
        drafted = self._drafted(request)
        # Branches take places in the cache, too.
        places = max(min(self._max_drafts, self._max_model_len - request.num_tokens - 1), 0)
        if not self._chains_only and forbids_drafts(request):
            places = 0
        tree = drafted.session.propose(
            matcher,
            costs=self._costs[: places + 1],
            max_tokens=min(places, request.max_tokens - request.num_output_tokens - 1),
        )
        if request.use_structured_output and matcher is None:
            # Where the reasoning ends within a draft vLLM looks for along a chain.
            tree = subtree(tree, best_chain(tree))
        drafted.draft = tree
        return tree

    def draft_safely(self, request: Any, matcher: Matcher | None) -> DraftTree:
        """`draft`, or nothing where that fails: an exception here would end the engine."""
        try:
            return self.draft(request, matcher)
        except Exception:
            logger.exception("request %s: no draft", request.request_id)
            return EMPTY_TREE

    def wants_likeliest(self, request: Any) -> bool:
        """Whether it is of use what the model holds likely in the step that is being sent."""
        drafted = self._open.get(request.request_id)
        if drafted is not None:
            return drafted.session.wants_likeliest
        options = _options_of(request)
        is_chosen = options.enabled and "recycling" in options.sources
        return is_chosen and not request.is_prefill_chunk

    def note_step(
        self, request: Any, scheduled: list[int], output: Any, likeliest: LikeliestRows | None
    ) -> None:
        """Learn from a step, and say in its output what the request's drafts have come to.

        Args:
            request: vLLM's.
            scheduled: what was verified, as in `verified`.
            output: of vLLM's engine core, with the tokens that the request has got.
            likeliest: the row after the request's last token, and that of each token scheduled.
        """
        drafted = self._drafted(request)
        tree = self.verified(request.request_id, scheduled)
        drafted.draft = EMPTY_TREE
        walk = Walk(tree)
        for token_id in output.new_token_ids:
            if not walk.step(token_id):
                break
        rows = () if likeliest is None else (part[: 1 + tree.num_nodes] for part in likeliest)
        drafted.session.observe(tree, walk.accepted, output.new_token_ids, *rows)
        if drafted.log is not None:
            drafted.log.count(tree, walk.accepted, len(output.new_token_ids))
            drafted.log.attach(output)
        if output.finish_reason is not None:
            self._close(request.request_id)

    def note_safely(
        self, request: Any, scheduled: list[int], output: Any, likeliest: LikeliestRows | None
    ) -> None:
        """`note_step`, or nothing where that fails."""
        try:
            self.note_step(request, scheduled, output, likeliest)
        except Exception:
            logger.exception("request %s: a step could not be learned from", request.request_id)

    def verified(self, request_id: str, token_ids: list[int]) -> DraftTree:
        """The part of a request's draft that vLLM has scheduled; nothing if it is none of ours.

        Args:
            token_ids: what it scheduled: the first nodes of the draft, which are a tree as well, or padding.
        """
        drafted = self._open.get(request_id)
        number = len(token_ids)
        if drafted is None or drafted.draft.token_ids[:number].tolist() != token_ids:
            return EMPTY_TREE
        return subtree(drafted.draft, range(number))

    def verifiable(self, request_id: str, token_ids: list[int]) -> DraftTree | None:
        """`verified`; None if that is a chain."""
        tree = self.verified(request_id, token_ids)
        return None if tree.is_chain else tree

    def close_all_but(self, open_ids: Any) -> None:
        """Finish the sessions of requests that vLLM no longer has."""
        for request_id in [found for found in self._open if found not in open_ids]:
            self._close(request_id)

    def _close(self, request_id: str) -> None:
        self._open.pop(request_id).session.finish()

    def _drafted(self, request: Any) -> Drafted:
        """A request's drafts, begun where it is seen for the first time."""
        drafted = self._open.get(request.request_id)
        if drafted is None:
            drafted = self._open[request.request_id] = self._begin(request)
        return drafted

    def _begin(self, request: Any) -> Drafted:
        options = _options_of(request)
        scope = DraftScope(
            grammar_key=_grammar_key(request), tenant=_given_of(request).get("tenant", "")
        )
        session = self._speculator.begin(request.prompt_token_ids or [], scope, options)
        return Drafted(session, UsageLog() if options.enabled else None)


def _given_of(request: Any) -> dict[str, Any]:
    """What our front end has said of drafts for a request."""
    given: dict[str, Any] = (request.sampling_params.extra_args or {}).get(SPECULATION_KEY, {})
    return given


def _options_of(request: Any) -> SpeculationOptions:
    given = _given_of(request)
    return SpeculationOptions(
        enabled=given.get("enabled", True),
        max_tokens=given.get("max_tokens"),
        sources=frozenset(given.get("sources", VLLM_SOURCES)),
    )


def forbids_drafts(request: Any) -> bool:
    """What changes within a step and is only looked at before it, in a step that verifies a tree."""
    params = request.sampling_params
    return request.num_output_tokens < params.min_tokens or params.thinking_token_budget is not None


def _grammar_key(request: Any) -> str:
    """Tells the grammars of requests apart; empty without one."""
    constrained = request.structured_output_request
    if constrained is None:
        return ""
    text = repr(constrained.structured_output_key)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def matcher_of(manager: Any, request: Any) -> tuple[Matcher | None, bool]:
    """A request's matcher, and whether the next tokens may be drafted at all.

    While a request reasons nothing constrains it, and where that ends within a draft is not looked for: vLLM cuts
    drafts that go wrong.
    """
    if not request.use_structured_output:
        return None, True
    grammar = request.structured_output_request.grammar
    matcher = getattr(grammar, "matcher", None)
    if not isinstance(matcher, Matcher) or matcher.is_terminated():
        return None, False
    # Nothing is constrained if even the first of the coming tokens is not.
    start, _ = manager._get_constraint_bounds(request, ())
    return (matcher if start == 0 else None), True


def replace_drafts(scheduler: Any, drafts: RequestDrafts, draft_token_ids: Any) -> None:
    """Give requests our drafts where the worker, as is its way here, has made none."""
    for request_id in draft_token_ids.req_ids:
        request = scheduler.requests.get(request_id)
        if request is None or request.is_finished() or request.is_prefill_chunk:
            continue
        matcher, may_draft = matcher_of(scheduler.structured_output_manager, request)
        if may_draft:
            draft = drafts.draft_safely(request, matcher)
            token_ids = draft.token_ids.tolist()
            # Trees were pruned as they were made.
            request.spec_token_ids = (
                scheduler.structured_output_manager.validate_tokens(request, token_ids)
                if draft.is_chain
                else token_ids
            )
    drafts.close_all_but(scheduler.requests)
