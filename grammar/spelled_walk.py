"""Where in a token trie the spellings of a text lead."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.token_trie import TokenTrie

ROOT = 0
QUOTE = b'"'
BLANKS = b" \t\r\n"
SHORT_ESCAPES = {'"': b'"', "\\": b"\\", "/": b"/", "\b": b"b", "\f": b"f", "\n": b"n", "\r": b"r"}
SHORT_ESCAPES["\t"] = b"t"

# The bytes of a spelling; where more than one may stand, all of them.
Spelling = tuple[bytes, ...]


class SpelledWalk:
    """Walks of one trie; what it has looked up it keeps.

    Args:
        trie: the vocabulary's.
    """

    def __init__(self, trie: TokenTrie) -> None:
        self._trie = trie
        self._children: dict[int, dict[int, int]] = {}

    def along(
        self, texts: Iterable[str], begun: bytes, *, is_quoted: bool
    ) -> tuple[set[int], set[int]]:
        """The nodes at which a text, or a beginning of it, has been spelled as a JSON string goes on.

        Args:
            texts: what may be to come.
            begun: bytes of the first character that have come already.
            is_quoted: whether the opening quote, maybe behind white space, is still to come.

        Returns:
            (nodes at which the string is open, nodes at which it has just been closed).
        """
        inside: set[int] = set()
        closed: set[int] = set()
        starts = self._behind_quote() if is_quoted else [ROOT]
        for text in texts:
            self._spell(text, starts, begun, inside, closed)
        inside.update(starts if is_quoted else ())
        return inside, closed

    def _spell(
        self, text: str, starts: list[int], begun: bytes, inside: set[int], closed: set[int]
    ) -> None:
        nodes = set(starts)
        for index, character in enumerate(text):
            after: set[int] = set()
            for spelling in spellings(character):
                rest: Spelling | None = spelling
                if index == 0 and begun:
                    rest = _behind(spelling, begun)
                if rest is not None:
                    # A character may be longer than what is left of a token.
                    after.update(self._follow(nodes, rest, inside))
            nodes = after
            if not nodes:
                return
        closed.update(end for n in nodes if (end := self._child(n, ord(QUOTE))) is not None)

    def tokens_at(self, nodes: Iterable[int]) -> Iterator[int]:
        """The tokens that end at some nodes."""
        starts, token_ids = self._trie.token_start, self._trie.token_ids
        for node in nodes:
            yield from token_ids[starts[node] : starts[node + 1]].tolist()

    def tokens_below(self, nodes: Iterable[int]) -> Iterator[int]:
        """The tokens that end at some nodes or go on behind them."""
        trie = self._trie
        for node in nodes:
            first, last = trie.token_start[node], trie.token_start[trie.subtree_end[node]]
            found: Int32Array = trie.token_ids[first:last]
            yield from found.tolist()

    def _behind_quote(self) -> list[int]:
        found = []
        waiting = [ROOT]
        for node in waiting:
            for byte, child in self._children_of(node).items():
                if byte == ord(QUOTE):
                    found.append(child)
                elif byte in BLANKS:
                    waiting.append(child)
        return found

    def _follow(self, nodes: Iterable[int], spelling: Spelling, inside: set[int]) -> Iterable[int]:
        """The nodes behind one character; those on the way are inside the string as well."""
        for alternatives in spelling:
            nodes = [
                child
                for node in nodes
                for byte in alternatives
                if (child := self._child(node, byte)) is not None
            ]
            inside.update(nodes)
        return nodes

    def _child(self, node: int, byte: int) -> int | None:
        return self._children_of(node).get(byte)

    def _children_of(self, node: int) -> dict[int, int]:
        known = self._children.get(node)
        if known is None:
            trie = self._trie.with_children
            places = slice(trie.child_start[node], trie.child_start[node + 1])
            pairs = zip(
                trie.child_byte[places].tolist(), trie.child_node[places].tolist(), strict=True
            )
            known = self._children[node] = dict(pairs)
        return known


@functools.lru_cache(maxsize=4096)
def spellings(character: str) -> list[Spelling]:
    """How a character may be written in a JSON string."""
    found = []
    if character >= " " and character not in '"\\':
        found.append(_each(character.encode("utf-8", "surrogatepass")))
    if character in SHORT_ESCAPES:
        found.append(_each(b"\\" + SHORT_ESCAPES[character]))
    units = character.encode("utf-16-be", "surrogatepass")
    spelled: Spelling = ()
    for at in range(0, len(units), 2):
        digits = units[at : at + 2].hex().encode()
        spelled += (*_each(b"\\u"), *(bytes({d, *bytes([d]).upper()}) for d in digits))
    return [*found, spelled]


def _each(text: bytes) -> Spelling:
    return tuple(bytes([byte]) for byte in text)


def _behind(spelling: Spelling, begun: bytes) -> Spelling | None:
    """What is left of a spelling that has begun; None: it has not begun like that."""
    if len(begun) > len(spelling) or any(
        byte not in alternatives for byte, alternatives in zip(begun, spelling, strict=False)
    ):
        return None
    return spelling[len(begun) :]
