"""JSON numbers as trees over bytes."""

from __future__ import annotations

import itertools

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.json_options import JsonOptions

DIGIT = ast.CharSet(((0x30, 0x39),))
NON_ZERO = ast.CharSet(((0x31, 0x39),))
MINUS = ast.literal(b"-")


def number_tree(options: JsonOptions) -> ast.Node:
    """Any number (RFC 8259, section 6), its digits bounded."""
    most = options.max_digits
    integer = ast.union(
        [
            ast.literal(b"0"),
            ast.concat(NON_ZERO, ast.Repeat(DIGIT, 0, None if most is None else most - 1)),
        ]
    )
    fraction = ast.concat(ast.literal(b"."), ast.Repeat(DIGIT, 1, most))
    exponent = ast.concat(
        ast.CharSet(((0x45, 0x45), (0x65, 0x65))),
        ast.optional(ast.CharSet(((0x2B, 0x2B), (0x2D, 0x2D)))),
        ast.Repeat(DIGIT, 1, options.max_exponent_digits),
    )
    return ast.concat(ast.optional(MINUS), integer, ast.optional(fraction), ast.optional(exponent))


def integer_tree(low: int | None, high: int | None, options: JsonOptions) -> ast.Node:
    """The decimal integers from ``low`` to ``high``, both included; None: no bound but the digits.

    Written without leading zeros, fraction or exponent, and zero without a sign.
    """
    if options.max_digits is not None:
        # A bound with more digits makes room for as many.
        smallest = -(10 ** max(options.max_digits, len(str(abs(min(0, high or 0))))) - 1)
        largest = 10 ** max(options.max_digits, len(str(max(0, low or 0)))) - 1
        low = smallest if low is None else low
        high = largest if high is None else high
    parts: list[ast.Node] = []
    if low is None or low < 0:
        first = 1 if high is None else max(1, -high)
        negative = natural_numbers(first, None if low is None else -low)
        parts += [ast.concat(MINUS, part) for part in negative]
    parts += natural_numbers(0 if low is None else max(0, low), high)
    return ast.union(parts)


def natural_numbers(low: int, high: int | None) -> list[ast.Node]:
    """``low..high`` as sequences of digit ranges, split by length; None: no end."""
    if high is None:
        num_digits = len(str(low))
        longer = ast.concat(NON_ZERO, ast.Repeat(DIGIT, num_digits, None))
        return [*natural_numbers(low, 10**num_digits - 1), longer]
    parts: list[ast.Node] = []
    while low <= high:
        num_digits, most_digits = len(str(low)), len(str(high + 1)) - 1
        if low == 10 ** (num_digits - 1) and most_digits >= num_digits:
            # All numbers of these lengths.
            parts.append(ast.Concat((NON_ZERO, ast.Repeat(DIGIT, num_digits - 1, most_digits - 1))))
            low = 10**most_digits
            continue
        top = min(high, 10**num_digits - 1)
        parts += [_digit_ranges(ranges) for ranges in _same_length(str(low), str(top))]
        low = top + 1
    return parts


def _same_length(low: str, high: str) -> list[list[tuple[str, str]]]:
    """Numbers of equal length as products of digit ranges."""
    shared = 0
    while shared < len(low) and low[shared] == high[shared]:
        shared += 1
    prefix = [(digit, digit) for digit in low[:shared]]
    if shared == len(low):
        return [prefix]
    rest = len(low) - shared - 1
    free = [("0", "9")] * rest
    found = []
    first, last = low[shared], high[shared]
    # The lowest and highest leading digits bound what follows, unless what follows is free anyway.
    if low[shared + 1 :] != "0" * rest:
        found += [prefix + tail for tail in _tails(low[shared:], upwards=True)]
        first = _shifted(first, 1)
    if high[shared + 1 :] != "9" * rest:
        found += [prefix + tail for tail in _tails(high[shared:], upwards=False)]
        last = _shifted(last, -1)
    if first <= last:
        found.append([*prefix, (first, last), *free])
    return found


def _tails(digits: str, *, upwards: bool) -> list[list[tuple[str, str]]]:
    """Digit strings that keep the first digit and are at least (at most) ``digits``."""
    found = [[(digit, digit) for digit in digits]]
    for i in range(1, len(digits)):
        low, high = (_shifted(digits[i], 1), "9") if upwards else ("0", _shifted(digits[i], -1))
        if "0" <= low <= high <= "9":
            same = [(digit, digit) for digit in digits[:i]]
            found.append([*same, (low, high), *([("0", "9")] * (len(digits) - i - 1))])
    return found


def _shifted(digit: str, by: int) -> str:
    return chr(ord(digit) + by)


def _digit_ranges(ranges: list[tuple[str, str]]) -> ast.Node:
    parts: list[ast.Node] = []
    for (first, last), group in itertools.groupby(ranges):
        digit = ast.CharSet(((ord(first), ord(last)),))
        count = sum(1 for _ in group)
        parts.append(digit if count == 1 else ast.Repeat(digit, count, count))
    return ast.Concat(tuple(parts))
