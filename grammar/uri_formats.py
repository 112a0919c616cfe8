"""Addresses and identifiers as regular expressions: RFC 3986 (URI), 3987 (IRI), 6570, 1123, 4291.

The names follow the grammars of the RFCs. Apart from host names, what they match is exactly what the RFCs
allow; of host names no more than three labels are longer than 30 characters, which keeps the whole within
its 253 without counting.
"""

from __future__ import annotations

OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(?:\.{OCTET}){{3}}"

_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"(?:{_H16}:{_H16}|{IPV4})"
IPV6 = (
    "(?:"
    + "|".join(
        [
            rf"(?:{_H16}:){{6}}{_LS32}",
            rf"::(?:{_H16}:){{5}}{_LS32}",
            rf"(?:{_H16})?::(?:{_H16}:){{4}}{_LS32}",
            rf"(?:(?:{_H16}:){{0,1}}{_H16})?::(?:{_H16}:){{3}}{_LS32}",
            rf"(?:(?:{_H16}:){{0,2}}{_H16})?::(?:{_H16}:){{2}}{_LS32}",
            rf"(?:(?:{_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
            rf"(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}",
            rf"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
            rf"(?:(?:{_H16}:){{0,6}}{_H16})?::",
        ]
    )
    + ")"
)

# Characters of an IPv6 address in brackets, at most.
LITERAL_LENGTH = 47

PCT = r"%[0-9A-Fa-f]{2}"
_ASCII = r"A-Za-z0-9\-._~"
SUB = r"!$&'()*+,;="
_UCS = (
    "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(plane << 16)}-{chr((plane << 16) + 0xFFFD)}" for plane in range(1, 14))
    + "\U000e1000-\U000efffd"
)
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"


LETTERS = {
    "uri": _ASCII,
    "uri-reference": _ASCII,
    "iri": _ASCII + _UCS,
    "iri-reference": _ASCII + _UCS,
}
PRIVATE = {"uri": "", "uri-reference": "", "iri": _PRIVATE, "iri-reference": _PRIVATE}


def _reference(letters: str, private: str, *, is_absolute: bool) -> str:
    """URIs or relative references over some unreserved characters."""
    pchar = rf"(?:[{letters}{SUB}:@]|{PCT})"
    literal = rf"\[(?:{IPV6}|[Vv][0-9A-Fa-f]+\.[{_ASCII}{SUB}:]+)\]"
    name = rf"(?:[{letters}{SUB}]|{PCT})*"
    authority = rf"(?:(?:[{letters}{SUB}:]|{PCT})*@)?(?:{literal}|{name})(?::[0-9]*)?"
    segments = rf"(?:/{pchar}*)*"
    # A colon in the first segment of a relative path would make what stands before it a scheme.
    first = pchar if is_absolute else rf"(?:[{letters}{SUB}@]|{PCT})"
    path = rf"(?://{authority}{segments}|/(?:{pchar}+{segments})?|{first}+{segments})?"
    query = rf"(?:\?(?:[{letters}{SUB}:@/?{private}]|{PCT})*)?"
    fragment = rf"(?:#(?:[{letters}{SUB}:@/?]|{PCT})*)?"
    scheme = r"[A-Za-z][A-Za-z0-9+\-.]*:" if is_absolute else ""
    return f"{scheme}{path}{query}{fragment}"


URI = _reference(_ASCII, "", is_absolute=True)
URI_REFERENCE = rf"(?:{URI}|{_reference(_ASCII, '', is_absolute=False)})"
IRI = _reference(_ASCII + _UCS, _PRIVATE, is_absolute=True)
IRI_REFERENCE = rf"(?:{IRI}|{_reference(_ASCII + _UCS, _PRIVATE, is_absolute=False)})"

_VARCHAR = rf"(?:[A-Za-z0-9_]|{PCT})"
_VARSPEC = rf"{_VARCHAR}(?:\.?{_VARCHAR})*(?::[1-9][0-9]{{0,3}}|\*)?"
URI_TEMPLATE = (
    rf"(?:[!#$&-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|{PCT}"
    rf"|\{{[+#./;?&=,!@|]?{_VARSPEC}(?:,{_VARSPEC})*\}})*"
)


def _label(inner: int) -> str:
    """A label of a host name; two hyphens in its third and fourth place are reserved (RFC 5891)."""
    a, x = "[A-Za-z0-9]", r"[A-Za-z0-9\-]"
    return rf"(?:{a}|{a}{a}|{a}{x}{a}|{a}{x}(?:{a}|-){a}|{a}{x}(?:{a}{x}|-{a}){x}{{0,{inner}}}{a})"


_LONG, _SHORT = _label(58), _label(25)
HOSTNAME = rf"(?:{_LONG}(?:\.{_LONG}){{0,2}}|{_SHORT}(?:\.{_SHORT}){{0,7}})"
