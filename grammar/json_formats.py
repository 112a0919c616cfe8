"""The string formats that are enforced, as regular expressions over code points.

Each is at least as strict as RFC 3339, RFC 4122, RFC 5321 or RFC 2673 asks, so that every text it
matches is valid; where they allow exotic forms (quoted e-mail local parts, leap seconds) the plain
ones must do.
"""

from __future__ import annotations

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
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

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
    "ipv4": (rf"{_OCTET}(?:\.{_OCTET}){{3}}",),
}

# Code points of the shortest and longest texts, so that a length that excludes none costs nothing.
FORMAT_LENGTHS: dict[str, tuple[int, int]] = {
    "date": (10, 10),
    "time": (9, 24),
    "date-time": (20, 35),
    "uuid": (36, 36),
    "email": (3, 229),
    "ipv4": (7, 15),
}

# What a text of a format looks like at the widest: what is no text of the format must not match these.
LOOSE_FORMATS = FORMATS
