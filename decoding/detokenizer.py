"""From token bytes to text: whole characters only, and nothing past a stop string.

Two small automata in a row. The first is Python's incremental UTF-8 decoder: it keeps the bytes of
an unfinished character. The second runs Knuth, Morris and Pratt's over each stop string: its state
is the length of the longest suffix of the text that begins the stop string, which is exactly what
must be held back. Both see one character at a time, so the outcome does not depend on how the text
was cut into tokens.
"""

from __future__ import annotations

import codecs


class _StopPattern:
    """One stop string and how much of it the text read so far ends with."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.num_matched = 0
        self._borders = _border_lengths(text)

    def read(self, character: str) -> bool:
        """Advance over one character; True if the stop string is now complete."""
        while self.num_matched and self.text[self.num_matched] != character:
            self.num_matched = self._borders[self.num_matched]
        if self.text[self.num_matched] == character:
            self.num_matched += 1
        return self.num_matched == len(self.text)


def _border_lengths(text: str) -> list[int]:
    """For each prefix length, the length of its longest proper prefix that is also its suffix."""
    borders = [0] * (len(text) + 1)
    border = 0
    for length in range(2, len(text) + 1):
        character = text[length - 1]
        while border and text[border] != character:
            border = borders[border]
        if text[border] == character:
            border += 1
        borders[length] = border
    return borders


class Detokenizer:
    """The text of one output, given out as soon as it is certain.

    The output ends at the first place where a stop string is complete; of several complete there,
    the longest counts. Bytes that are no UTF-8 become U+FFFD, as `bytes.decode` has it.

    Args:
        stop: strings that end the output and are not part of it.

    Raises:
        ValueError: a stop string is empty.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        if "" in stop:
            raise ValueError(f"stop strings must not be empty, got {stop!r}")
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._patterns = [_StopPattern(text) for text in stop]
        self._held = ""
        self._stop_reason: str | None = None

    @property
    def stop_reason(self) -> str | None:
        """The stop string that ended the output, if one did."""
        return self._stop_reason

    def add(self, token_bytes: bytes) -> str:
        """Take a token's bytes (``b""`` for a special token); return the text now certain."""
        return self._release(self._decoder.decode(token_bytes))

    def finish(self) -> str:
        """Return what was held back; an unfinished character becomes U+FFFD."""
        text = self._release(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        """The part of the held and the new text that no stop string can claim any more."""
        if self._stop_reason is not None:
            return ""
        if not self._patterns:
            return text
        pending = self._held + text
        for end, character in enumerate(text, start=len(self._held) + 1):
            complete = [pattern.text for pattern in self._patterns if pattern.read(character)]
            if complete:
                self._stop_reason = max(complete, key=len)
                self._held = ""
                return pending[: end - len(self._stop_reason)]
        num_held = max(pattern.num_matched for pattern in self._patterns)
        certain = len(pending) - num_held
        self._held = pending[certain:]
        return pending[:certain]
