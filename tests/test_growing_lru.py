"""Values that grow, in a cache bounded by bytes."""

from __future__ import annotations

from syntagma.decoding.growing_lru import GrowingLru


def new_cache(max_bytes: int) -> GrowingLru[str, bytearray]:
    return GrowingLru(max_bytes, len)


def test_growth_counts_and_the_one_not_used_for_longest_goes() -> None:
    cache = new_cache(10)
    first = cache.get_or_make("first", lambda: bytearray(4))
    second = cache.get_or_make("second", lambda: bytearray(4))
    assert cache.get_or_make("first", bytearray) is first
    first += bytes(2)
    assert cache.num_bytes == 8
    cache.note_growth("first", first)
    assert (cache.num_bytes, len(cache), cache.num_evicted) == (10, 2, 0)
    first += bytes(1)
    cache.note_growth("first", first)
    assert (cache.num_bytes, len(cache), cache.num_evicted) == (7, 1, 1)
    assert cache.get("second") is None
    assert cache.get("first") is first
    assert second == bytearray(4)


def test_what_was_dropped_does_not_come_back_by_growing() -> None:
    cache = new_cache(5)
    dropped = cache.get_or_make("key", lambda: bytearray(4))
    cache.get_or_make("other", lambda: bytearray(4))
    cache.note_growth("key", dropped)
    assert cache.get("key") is None
    successor = cache.get_or_make("key", lambda: bytearray(1))
    cache.note_growth("key", dropped)
    assert cache.get("key") is successor
