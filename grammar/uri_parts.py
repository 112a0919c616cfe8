"""URIs and IRIs of bounded length, part by part.

One automaton for all of a URI with a state for each length would be too large: there are some hundred
states before lengths count. So each part is bounded on its own, such that they stay below the bound
together. What is matched is a URI within the bound; some long ones are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from syntagma.grammar import uri_formats as uris

# Up to here a URI is counted as a whole.
WHOLE_LENGTH = 32
PORT_LENGTH = 5

# Code points of a path, query or fragment at most: what takes a tenth of a second to build.
PARTED_FORMATS = {"uri": 300, "uri-reference": 200, "iri": 120, "iri-reference": 100}


@dataclass(frozen=True)
class Part:
    """A piece of a text: what it matches, and how many code points it may have.

    Attributes:
        max_length: None: no more than the pattern itself allows.
    """

    pattern: str
    max_length: int | None = None


def uri_variants(name: str, max_length: int) -> list[list[Part]]:
    """Sequences of parts; each matches texts of a format no longer than a bound.

    Args:
        name: one of `PARTED_FORMATS`.
        max_length: more than `WHOLE_LENGTH`.
    """
    letters = uris.LETTERS[name]
    pchar = rf"(?:[{letters}{uris.SUB}:@]|{uris.PCT})"
    no_colon = rf"(?:[{letters}{uris.SUB}@]|{uris.PCT})"
    scheme_length, name_length = min(16, max_length // 8), min(64, max_length // 3)
    scheme = rf"[A-Za-z][A-Za-z0-9+\-.]{{0,{scheme_length - 1}}}:"
    authority = rf"[{letters}{uris.SUB}]{{0,{name_length}}}"
    if name_length > uris.LITERAL_LENGTH:
        authority = rf"(?:{authority}|\[{uris.IPV6}\])"
    authority = rf"//{authority}(?::[0-9]{{0,{PORT_LENGTH}}})?"
    rest = max_length - (scheme_length + 1 + 2 + name_length + 1 + PORT_LENGTH)
    length = min(rest // 3, PARTED_FORMATS[name])
    private = uris.PRIVATE[name]
    tail = [
        Part(rf"(?:\?(?:[/?{private}]|{pchar})*)?", length),
        Part(rf"(?:#(?:[/?]|{pchar})*)?", length),
    ]
    after_authority = Part(rf"(?:/(?:/|{pchar})*)?", length)
    absolute = rf"/(?:{pchar}(?:/|{pchar})*)?"
    variants = [
        [Part(scheme + authority), after_authority, *tail],
        [Part(scheme), Part(rf"(?:{absolute}|{pchar}(?:/|{pchar})*)?", length), *tail],
    ]
    if name.endswith("reference"):
        relative = rf"(?:{absolute}|{no_colon}+(?:/(?:/|{pchar})*)?)?"
        variants += [
            [Part(authority), after_authority, *tail],
            [Part(relative, length), *tail],
        ]
    return variants
