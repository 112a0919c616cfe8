"""The string formats that are enforced, as regular expressions over code points.

Each is at least as strict as the RFC that JSON Schema names for it asks, so that every text it matches is
valid; where that allows exotic forms (quoted e-mail local parts, leap seconds) the plain ones must do.
"""

from __future__ import annotations

from syntagma.grammar import uri_formats as uris
from syntagma.grammar.regex_format import REGEX

_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    rf"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,30}[A-Za-z0-9])?"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]"
_DATE_PART = r"(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_TIME_PART = r"T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION = rf"P(?:{_DATE_PART}(?:{_TIME_PART})?|{_TIME_PART}|[0-9]+W)"
_POINTER = r"(?:/(?:[^/~]|~[01])*)*"
_LOOSE_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+\-][0-9]{2}:[0-9]{2})"


def _uuid_of(version: int) -> str:
    return (
        rf"[0-9A-Fa-f]{{8}}-[0-9A-Fa-f]{{4}}-{version}[0-9A-Fa-f]{{3}}-[89ABab][0-9A-Fa-f]{{3}}"
        r"-[0-9A-Fa-f]{12}"
    )


# A text must match all patterns of its format. The second one of an e-mail address bounds the local
# part to 64 characters (RFC 5321, section 4.5.3.1.1).
FORMATS: dict[str, tuple[str, ...]] = {
    "date": (_DATE,),
    "time": (_TIME,),
    "date-time": (rf"{_DATE}[Tt]{_TIME}",),
    "uuid": (r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",),
    "email": (
        rf"{_ATEXT}+(?:\.{_ATEXT}+)*@{_LABEL}(?:\.{_LABEL}){{0,4}}",
        r"[^@]{1,64}@[^@]*",
    ),
    "ipv4": (uris.IPV4,),
    "ipv6": (uris.IPV6,),
    "hostname": (uris.HOSTNAME,),
    "uri": (uris.URI,),
    "uri-reference": (uris.URI_REFERENCE,),
    "iri": (uris.IRI,),
    "iri-reference": (uris.IRI_REFERENCE,),
    "uri-template": (uris.URI_TEMPLATE,),
    "duration": (_DURATION,),
    "json-pointer": (_POINTER,),
    "relative-json-pointer": (rf"(?:0|[1-9][0-9]*)(?:#|{_POINTER})",),
    "regex": (REGEX,),
    # pydantic's names for the versions of RFC 9562.
    **{f"uuid{version}": (_uuid_of(version),) for version in range(1, 9)},
    "byte": (r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",),
}

# What most schemas use; their automata are kept ready.
COMMON_FORMATS = ("date", "time", "date-time", "uuid", "email", "ipv4")

# Integers of a width (OpenAPI format registry): smallest and largest.
NUMBER_FORMATS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}

# Names of that registry, and pydantic's of paths, that say how a value is meant and leave out none.
FORMATS_WITHOUT_EFFECT = frozenset(
    ["float", "double", "binary", "password", "path", "file-path", "directory-path"]
)

UNBOUNDED = 1 << 40
# Code points of the shortest and longest texts, so that a length that excludes none costs nothing.
FORMAT_LENGTHS: dict[str, tuple[int, int]] = {
    "date": (10, 10),
    "time": (9, 24),
    "date-time": (20, 35),
    "uuid": (36, 36),
    "email": (3, 229),
    "ipv4": (7, 15),
    "ipv6": (2, 45),
    "hostname": (1, 247),
    "uri": (2, UNBOUNDED),
    "uri-reference": (0, UNBOUNDED),
    "iri": (2, UNBOUNDED),
    "iri-reference": (0, UNBOUNDED),
    "uri-template": (0, UNBOUNDED),
    "duration": (3, UNBOUNDED),
    "json-pointer": (0, UNBOUNDED),
    "relative-json-pointer": (1, UNBOUNDED),
    "regex": (0, UNBOUNDED),
    **{f"uuid{version}": (36, 36) for version in range(1, 9)},
    "byte": (0, UNBOUNDED),
}

# Every text of a format matches these; where that is more than `FORMATS` writes, some that are none do,
# too. They tell what is no text of a format (``not``), and whether listed values are.
LOOSE_FORMATS = FORMATS | {
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}",),
    "time": (_LOOSE_TIME,),
    "date-time": (rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_LOOSE_TIME}",),
    "email": (r"[^@]*@.*|\"(?:.|\n)*\"@.*",),
    "hostname": (r"[A-Za-z0-9_.\-]*",),
    "regex": (r"(?:.|\n)*",),
}
