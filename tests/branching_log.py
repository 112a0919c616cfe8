"""What `branching_scheduler` has written down; no vLLM here."""

from __future__ import annotations

import time
from pathlib import Path

LOG_VARIABLE = "SYNTAGMA_TEST_TREE_LOG"


class BranchingLog:
    """The lines of one engine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[tuple[int, int, int]]:
        """Trees, requests, free blocks; a line that is being written does not count."""
        whole = self.path.read_text().rpartition("\n")[0].splitlines()
        return [(int(a), int(b), int(c)) for a, b, c in map(str.split, whole)]

    def num_trees(self) -> int:
        """Of all steps until now."""
        return sum(trees for trees, _, _ in self.lines())

    def is_in_mid_tree(self) -> bool:
        """Whether trees have just been sent, and nothing has come back."""
        return self.lines()[-1][0] > 0

    def lost_blocks(self) -> int:
        """Once no request is left: how many blocks are not free again."""
        patience = time.monotonic() + 30
        while self.lines()[-1][1] > 0:
            assert time.monotonic() < patience, "requests do not end"
            time.sleep(0.05)
        return self.lines()[0][2] - self.lines()[-1][2]
