"""Strongly connected components of a graph of numbered nodes."""

from __future__ import annotations

from collections.abc import Sequence


def strong_components(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """The components, each before those that lead to it (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    is_on_path = [False] * len(successors)
    path: list[int] = []
    components: list[list[int]] = []
    for root in range(len(successors)):
        work = [] if root in index else [(root, 0)]
        while work:
            node, child = work.pop()
            if child == 0:
                index[node] = low[node] = len(index)
                path.append(node)
                is_on_path[node] = True
            else:
                low[node] = min(low[node], low[successors[node][child - 1]])
            while child < len(successors[node]):
                target = successors[node][child]
                child += 1
                if target not in index:
                    work += [(node, child), (target, 0)]
                    break
                if is_on_path[target]:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(path.pop())
                        is_on_path[component[-1]] = False
                    components.append(component)
    return components
