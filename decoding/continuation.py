"""How a draft goes on behind its leaves: with what the grammar forces, and with habits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from syntagma.decoding.drafter import DraftSession
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_pruning import Guess


def continue_leaf(
    sessions: Iterable[DraftSession], matcher: Matcher, path: Sequence[int], max_tokens: int
) -> list[Guess]:
    """The likeliest chain of tokens, as long as a drafter is nearly certain of it; the grammar allows all of it.

    Args:
        sessions: who is asked, in this order, for each part anew.
        matcher: behind a leaf of a draft, left as it was found.
        path: the tokens from the output's end to the leaf.
        max_tokens: of the chain.
    """
    found: list[Guess] = []
    whole = list(path)
    probability = 1.0
    while len(found) < max_tokens and not matcher.is_terminated():
        new: list[Guess] = []
        for session in sessions:
            new = session.after(
                matcher, whole, max_tokens=max_tokens - len(found), path_probability=probability
            )
            if new:
                break
        if not new or not matcher.accept_tokens([guess.token_id for guess in new]):
            break  # habits of another mask with the same hash may be refused
        probability *= math.prod(guess.probability for guess in new)
        whole += [guess.token_id for guess in new]
        found += new
    matcher.rollback(len(found))
    return found
