"""``--language``, ``--option`` and ``--indenter`` of the command line, as a request has them."""

from __future__ import annotations

import argparse
import json
from typing import Any


def given_language(parsed: argparse.Namespace) -> dict[str, Any] | None:
    """The flags for a language by name as a request has them; None without one."""
    if parsed.language is None:
        return None
    return {**dict(parsed.option), "language": parsed.language}


def language_option(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``; what is not JSON is a text.

    Raises:
        ArgumentTypeError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def indenter_option(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return found


def add_language_options(parser: Any) -> None:
    """``--option`` beside ``--language``."""
    parser.add_argument(
        "--option",
        type=language_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the language, its value as JSON or as plain text; may come again",
    )
