"""How a code point is spelled in bytes: plain UTF-8, or inside a JSON string."""

from __future__ import annotations

import enum


class Encoder(enum.Enum):
    """The spellings of a code point (`spelling_kernels` builds them).

    UTF8: its UTF-8 bytes.
    JSON: every way a JSON string may spell it (RFC 8259, section 7): raw, short escape, ``\\uXXXX``
        in either case, surrogate pairs for astral code points; never a lone surrogate.
    """

    UTF8 = "utf8"
    JSON = "json"
