from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from syntagma.grammar.lru import ByteLru

operations = st.lists(
    st.tuples(st.sampled_from(["get", "put"]), st.integers(0, 6), st.integers(0, 40)), max_size=60
)


class NaiveLru:
    """Oldest first in a list; sizes are added up anew each time."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.items: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def get(self, key: int) -> int | None:
        if key not in self.items:
            return None
        self.items[key] = self.items.pop(key)
        return self.items[key][0]

    def put(self, key: int, value: int, size: int) -> None:
        self.items.pop(key, None)
        self.items[key] = (value, size)
        while len(self.items) > 1 and self.num_bytes > self.max_bytes:
            del self.items[next(iter(self.items))]

    @property
    def num_bytes(self) -> int:
        return sum(size for _, size in self.items.values())


@given(st.integers(0, 100), operations)
def test_behaves_like_its_twin(max_bytes: int, steps: list[tuple[str, int, int]]) -> None:
    lru: ByteLru[int, int] = ByteLru(max_bytes)
    twin = NaiveLru(max_bytes)
    for number, (operation, key, size) in enumerate(steps):
        if operation == "put":
            lru.put(key, number, size)
            twin.put(key, number, size)
        else:
            assert lru.get(key) == twin.get(key)
        assert (len(lru), lru.num_bytes) == (len(twin.items), twin.num_bytes)
        assert lru.num_bytes <= max_bytes or len(lru) == 1


def test_a_value_too_large_for_the_cache_is_kept_alone() -> None:
    lru: ByteLru[str, str] = ByteLru(10)
    lru.put("a", "A", 4)
    lru.put("b", "B", 11)
    assert (lru.get("a"), lru.get("b"), lru.num_bytes) == (None, "B", 11)
    lru.put("c", "C", 1)
    assert (lru.get("b"), lru.get("c"), lru.num_bytes) == (None, "C", 1)


def test_what_was_read_lives_longer() -> None:
    lru: ByteLru[str, int] = ByteLru(2)
    lru.put("a", 1, 1)
    lru.put("b", 2, 1)
    assert lru.get("a") == 1
    lru.put("c", 3, 1)
    assert (lru.get("a"), lru.get("b"), lru.get("c")) == (1, None, 3)
