"""What the grammar allows behind each node of a draft tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.matcher import Matcher


def fill_tree(matcher: Matcher, tree: DraftTree, rows: NDArray[np.int32]) -> None:
    """Write one row for the output itself and one for each node, each state looked at once.

    Nodes that the grammar does not allow, and what is below them, are never reached by a draw under the row above
    them; their rows stay as they were given, and so does the row behind a stop token.

    Args:
        matcher: of the output, left as it was found.
        tree: the draft.
        rows: int32[1 + num_nodes, num_words]; row 0 is that of the output.
    """
    children = tree.children()
    matcher.fill_bitmask(rows, 0)
    # Nodes still to visit, with the number of tokens above them; the matcher stands behind ``depth`` tokens.
    open_nodes = [(node, 0) for node in reversed(children.get(ROOT, []))]
    depth = 0
    while open_nodes:
        node, above = open_nodes.pop()
        if depth > above:
            matcher.rollback(depth - above)
            depth = above
        if not matcher.accept_token(int(tree.token_ids[node])):
            continue
        depth += 1
        if not matcher.is_terminated():
            matcher.fill_bitmask(rows, 1 + node)
            open_nodes += [(child, depth) for child in reversed(children.get(node, []))]
    if depth:
        matcher.rollback(depth)
