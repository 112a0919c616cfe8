"""One running choice: everything that moves while it is decoded, and nothing that is shared.

Prefill and decode are one thing here: a sequence has tokens, the first ``num_cached`` of them are
in its KV cache, and a forward pass over the rest gives the logits of the next one.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.detokenizer import Detokenizer
from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.engine import EngineError, FinishReason, GenerationRequest
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.sampling import next_law, pack_bitmask, sample
from syntagma.decoding.speculation import SpeculationSession
from syntagma.decoding.verification import RandomChance, pick
from syntagma.grammar import Vocabulary


@dataclass(frozen=True)
class SharedPrompt:
    """A prompt already run through the model, for choices that have not started.

    Attributes:
        cache: the model's KV cache after the prompt; to be copied, never extended.
        logits: float32[vocab_size], of the first output token.
    """

    cache: object
    logits: NDArray[np.float32]


@dataclass(eq=False, kw_only=True)
class Sequence:
    """The one mutable record of a choice.

    Attributes:
        request, index: which choice of what.
        vocabulary: of the model; all token ids below are its.
        max_output_tokens: by the request and by the model's context, at least 1.
        matcher: the grammar's state; None without a grammar, and where an engine follows it elsewhere.
        is_constrained: whether a grammar decides what may come, which control tokens and a stop token are part of.
        bitmask: int32[1, num_words], the tokens allowed next; shared and constant without a grammar.
        detokenizer: turns the output's bytes into text.
        seed: of the choice's own random numbers; None: any.
        drafts: proposes what may come next; None: nothing is drafted.
        num_allowed: how many tokens the bitmask allows; 0 without a grammar, where nobody asks.
        output_token_ids: what was drawn so far, a final stop token included.
        cache: the model's KV cache, as the model returned it; None before the first forward pass.
        num_cached: how many tokens it holds.
        prompt: set while the choice waits to start from another choice's prefill.
        finish_reason: None as long as the choice runs.
    """

    request: GenerationRequest
    index: int
    vocabulary: Vocabulary
    max_output_tokens: int
    matcher: Matcher | None
    is_constrained: bool
    bitmask: NDArray[np.int32]
    detokenizer: Detokenizer
    seed: int | None = None
    drafts: SpeculationSession | None = None
    num_allowed: int = 0
    output_token_ids: list[int] = field(default_factory=list)
    cache: object = None
    num_cached: int = 0
    prompt: SharedPrompt | None = None
    finish_reason: FinishReason | None = None

    @classmethod
    def from_request(
        cls,
        request: GenerationRequest,
        index: int,
        *,
        vocabulary: Vocabulary,
        max_model_len: int,
        matcher: Matcher | None,
        text_bitmask: NDArray[np.int32],
        drafts: SpeculationSession | None = None,
    ) -> Sequence:
        """A choice that has not begun; ``text_bitmask`` is what outputs without a grammar obey."""
        sampling = request.sampling
        room = max_model_len - len(request.prompt_token_ids)
        # numpy takes no negative seeds; seeds are integers modulo 2**64.
        seed = None if sampling.seed is None else (sampling.seed + index) % 2**64
        return cls(
            request=request,
            index=index,
            vocabulary=vocabulary,
            max_output_tokens=room
            if sampling.max_tokens is None
            else min(sampling.max_tokens, room),
            matcher=matcher,
            is_constrained=request.grammar is not None,
            bitmask=text_bitmask if matcher is None else np.zeros_like(text_bitmask),
            detokenizer=Detokenizer(sampling.stop),
            seed=seed,
            drafts=drafts,
        )

    @functools.cached_property
    def generator(self) -> np.random.Generator:
        """Where random numbers come from, for engines that draw here: to make one asks the system for entropy."""
        return np.random.default_rng(self.seed)

    @property
    def num_tokens(self) -> int:
        """Prompt and output tokens."""
        return len(self.request.prompt_token_ids) + len(self.output_token_ids)

    @property
    def num_uncached(self) -> int:
        """Tokens the next forward passes must still read; 1 while decoding."""
        return self.num_tokens - self.num_cached

    @property
    def max_draft_depth(self) -> int:
        """How deep a draft may be: the last token of an output comes from verification.

        The prompt must have been read alone before, for other choices start from its cache.
        """
        if not self.output_token_ids:
            return 0
        return self.max_output_tokens - len(self.output_token_ids) - 1

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None

    @property
    def is_forced(self) -> bool:
        """The grammar leaves no choice about the next token."""
        return self.num_allowed == 1

    @property
    def is_complete(self) -> bool:
        """The grammar allows nothing more than to stop."""
        return self.matcher is not None and self.matcher.is_complete()

    def uncached_token_ids(self, limit: int) -> list[int]:
        """The next tokens to run through the model, ``limit`` at most."""
        prompt = self.request.prompt_token_ids
        if self.num_cached >= len(prompt):
            start = self.num_cached - len(prompt)
            return self.output_token_ids[start : start + limit]
        return list(prompt[self.num_cached : self.num_cached + limit])

    def start_from_shared_prompt(self) -> NDArray[np.float32]:
        """Copy the prefill of another choice; return the logits of the first output token."""
        assert self.prompt is not None, "the prompt has not been read yet"
        logits = self.prompt.logits
        self.cache = copy.deepcopy(self.prompt.cache)
        self.num_cached = len(self.request.prompt_token_ids)
        self.prompt = None
        return logits

    def fill_bitmask(self) -> None:
        """Write the tokens allowed next; nothing to do without a grammar.

        Raises:
            EngineError: no token is allowed, which an exact matcher never says.
        """
        if self.matcher is None:
            return
        self.matcher.fill_bitmask(self.bitmask, 0)
        self.num_allowed = int(np.bitwise_count(self.bitmask.view(np.uint32)).sum())
        if self.num_allowed == 0:
            raise EngineError("the grammar's mask is empty before the output is complete")

    def draw(self, logits: NDArray[np.float32], tree: DraftTree, node: int = ROOT) -> int:
        """Draw the next token, which may be a draft's: the output stands at one of its nodes.

        One random number a token, unless the node's children were drawn as well: so a seed gives the
        same text with drafts and without.
        """
        sampling = self.request.sampling
        prompt, output = self.request.prompt_token_ids, self.output_token_ids
        bitmask_row = self.bitmask[0]
        if node not in tree.laws:
            return sample(
                logits,
                bitmask_row,
                sampling,
                prompt_token_ids=prompt,
                output_token_ids=output,
                generator=self.generator,
            )
        token_ids, probabilities = next_law(
            logits, bitmask_row, sampling, prompt_token_ids=prompt, output_token_ids=output
        )
        target = np.zeros(self.vocabulary.size)
        target[token_ids] = probabilities
        return pick(target, tree, node, RandomChance(self.generator))

    def accept(self, token_id: int) -> str:
        """Append a drawn token and return the text now certain.

        A stop token or a complete stop string ends the choice.

        Raises:
            EngineError: the matcher refuses the token although its bitmask allows it.
        """
        if self.matcher is not None and not self.matcher.accept_token(token_id):
            raise EngineError(f"the matcher refuses token {token_id}, which its bitmask allows")
        self.output_token_ids.append(token_id)
        may_stop = self.is_constrained or not self.request.sampling.ignore_eos
        if may_stop and token_id in self.vocabulary.stop_ids:
            return self.finish("stop")
        # Without a grammar nobody has asked for special tokens, though some engines draw them.
        vocabulary = self.vocabulary
        text_of = vocabulary.output_bytes if self.is_constrained else vocabulary.token_bytes
        text = self.detokenizer.add(text_of(token_id))
        if self.detokenizer.stop_reason is not None:
            self.finish("stop")
        return text

    def conclude(self) -> str:
        """End the choice if no further token may come; return the text that was held back until then.

        The bitmask must be that of the next token.
        """
        if self.is_complete:
            return self.finish("stop")
        if len(self.output_token_ids) >= self.max_output_tokens:
            return self.finish("length")
        return ""

    def finish(self, reason: FinishReason) -> str:
        """End the choice, free what it held, and return the text held back so far."""
        text = self.detokenizer.finish()
        self.finish_reason = reason if self.detokenizer.stop_reason is None else "stop"
        self.cache = None
        self.prompt = None
        return text


def text_bitmask(vocabulary: Vocabulary) -> NDArray[np.int32]:
    """int32[1, num_words]: what an output without a grammar may contain, text and stop tokens."""
    allowed = np.zeros(vocabulary.num_words * 32, dtype=np.bool_)
    allowed[: vocabulary.size] = vocabulary.token_lengths > 0
    allowed[list(vocabulary.stop_ids)] = True
    return pack_bitmask(allowed)[np.newaxis]
