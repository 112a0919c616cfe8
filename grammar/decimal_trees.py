"""Decimal spellings of numbers, compared digit by digit.

A number is spelled plainly (``-12.50``) or scientifically with one digit before the point (``1.25e-7``).
The trees here say which spellings of non-negative numbers are at least or at most a bound; they do not
count digits, which is left to the language of all numbers that they are intersected with.
"""

from __future__ import annotations

from fractions import Fraction

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.json_numbers import DIGIT, MINUS, NON_ZERO, natural_numbers
from syntagma.grammar.json_options import JsonOptions

ZERO = ast.literal(b"0")
POINT = ast.literal(b".")
DIGITS = ast.Repeat(DIGIT, 0, None)
ANY_FRACTION = ast.optional(ast.concat(POINT, ast.Repeat(DIGIT, 1, None)))
EXPONENT_MARK = ast.CharSet(((0x45, 0x45), (0x65, 0x65)))
PLUS = ast.optional(ast.literal(b"+"))
ANY_MANTISSA = ast.concat(NON_ZERO, ANY_FRACTION)


def at_least(bound: Fraction, options: JsonOptions, *, is_open: bool) -> ast.Node:
    """The spellings of the numbers from a non-negative bound on, or above it."""
    whole = bound.numerator // bound.denominator
    digits = fraction_digits(bound - whole)
    parts = [
        ast.concat(part, ANY_FRACTION)
        for part in natural_numbers(whole + 1, _largest(options, whole + 1))
    ]
    parts.append(ast.concat(ast.literal(str(whole).encode()), _fraction_from(digits, is_open)))
    return ast.union([*parts, *_scientific_from(bound, is_open, options)])


def at_most(bound: Fraction, options: JsonOptions, *, is_open: bool) -> ast.Node:
    """The spellings of the non-negative numbers up to a bound that is not negative, or below it."""
    whole = bound.numerator // bound.denominator
    digits = fraction_digits(bound - whole)
    parts = [ast.concat(part, ANY_FRACTION) for part in natural_numbers(0, whole - 1)]
    parts.append(ast.concat(ast.literal(str(whole).encode()), _fraction_to(digits, is_open)))
    return ast.union([*parts, *_scientific_to(bound, is_open, options)])


def fraction_digits(value: Fraction) -> str:
    """The digits behind the point of a number below 1, without zeros at the end."""
    digits = ""
    while value:
        value *= 10
        digits += str(value.numerator // value.denominator)
        value %= 1
    return digits


def _largest(options: JsonOptions, value: int) -> int | None:
    """The largest integer of as many digits as the options allow, or a value has."""
    most = options.max_digits
    return None if most is None else 10 ** max(most, len(str(value))) - 1


def _digit_from(low: int, high: int = 9) -> ast.Node:
    return ast.CharSet(((0x30 + low, 0x30 + high),) if low <= high else ())


def _fraction_from(digits: str, is_open: bool) -> ast.Node:
    """Fractions, the point included, that are at least (above) ``0.digits``."""
    larger: list[ast.Node] = [
        ast.concat(ast.literal(digits[:i].encode()), _digit_from(int(digit) + 1), DIGITS)
        for i, digit in enumerate(digits)
    ]
    same = ast.literal(digits.encode())
    beyond = ast.concat(same, ast.Repeat(ZERO, 0, None), NON_ZERO, DIGITS)
    if is_open:
        return ast.concat(POINT, ast.union([*larger, beyond]))
    if not digits:
        return ANY_FRACTION
    return ast.concat(POINT, ast.union([*larger, ast.concat(same, DIGITS)]))


def _fraction_to(digits: str, is_open: bool) -> ast.Node:
    """Fractions, the point included, that are at most (below) ``0.digits``; none counts as zero."""
    if not digits:
        zeros = ast.optional(ast.concat(POINT, ast.Repeat(ZERO, 1, None)))
        return ast.NOTHING if is_open else zeros
    smaller: list[ast.Node] = [
        ast.concat(ast.literal(digits[:i].encode()), _digit_from(0, int(digit) - 1), DIGITS)
        for i, digit in enumerate(digits)
    ]
    # What stops early or goes on with zeros.
    smaller += [ast.literal(digits[:i].encode()) for i in range(1, len(digits))]
    if not is_open:
        smaller.append(ast.concat(ast.literal(digits.encode()), ast.Repeat(ZERO, 0, None)))
    return ast.optional(ast.concat(POINT, ast.union(smaller)))


def _order(bound: Fraction) -> tuple[int, int, str]:
    """(e, d, digits) of a positive number ``d.digits * 10**e`` with a digit ``d`` from 1 to 9."""
    exponent = len(str(bound.numerator)) - len(str(bound.denominator))
    while bound < Fraction(10) ** exponent:
        exponent -= 1
    while bound >= Fraction(10) ** (exponent + 1):
        exponent += 1
    mantissa = bound / Fraction(10) ** exponent
    first = mantissa.numerator // mantissa.denominator
    return exponent, first, fraction_digits(mantissa - first)


def _scientific_from(bound: Fraction, is_open: bool, options: JsonOptions) -> list[ast.Node]:
    largest = 10**options.max_exponent_digits - 1
    if bound == 0:
        return [ast.concat(ANY_MANTISSA, _exponents(-largest, largest))]
    exponent, first, digits = _order(bound)
    mantissa = ast.union(
        [
            ast.concat(_digit_from(first + 1), ANY_FRACTION),
            ast.concat(_digit_from(first, first), _fraction_from(digits, is_open)),
        ]
    )
    return [
        ast.concat(mantissa, _exponents(max(exponent, -largest), min(exponent, largest))),
        ast.concat(ANY_MANTISSA, _exponents(max(exponent + 1, -largest), largest)),
    ]


def _scientific_to(bound: Fraction, is_open: bool, options: JsonOptions) -> list[ast.Node]:
    if bound == 0:
        return []
    largest = 10**options.max_exponent_digits - 1
    exponent, first, digits = _order(bound)
    mantissa = ast.union(
        [
            ast.concat(_digit_from(1, first - 1), ANY_FRACTION),
            ast.concat(_digit_from(first, first), _fraction_to(digits, is_open)),
        ]
    )
    return [
        ast.concat(mantissa, _exponents(max(exponent, -largest), min(exponent, largest))),
        ast.concat(ANY_MANTISSA, _exponents(-largest, min(exponent - 1, largest))),
    ]


def _exponents(low: int, high: int) -> ast.Node:
    """``e`` and an exponent from ``low`` to ``high``; a single digit may have a zero before it."""
    parts: list[ast.Node] = []
    if low <= 0:
        # Zero may be negative.
        parts += [ast.concat(MINUS, part) for part in _padded(max(0, -high), -low)]
    if high >= 0:
        parts += [ast.concat(PLUS, part) for part in _padded(max(0, low), high)]
    return ast.concat(EXPONENT_MARK, ast.union(parts))


def _padded(low: int, high: int) -> list[ast.Node]:
    parts = natural_numbers(low, high)
    if low <= high and low < 10:
        parts.append(ast.concat(ZERO, _digit_from(low, min(high, 9))))
    return parts
