"""vLLM's own command-line arguments, read by vLLM's own parser."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NoReturn

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser


class _Parser(FlexibleArgumentParser):
    """Raises where vLLM's exits."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"vLLM does not take these arguments: {message}")


def engine_arguments(model: str, arguments: Sequence[str]) -> AsyncEngineArgs:
    """What vLLM makes of a model and arguments as on its command line; the last of two equal ones counts.

    Raises:
        ValueError: an argument it does not know, or an impossible value.
    """
    new_parser: Any = _Parser  # vLLM's parser has no annotations
    parser = new_parser(add_help=False)
    AsyncEngineArgs.add_cli_args(parser)
    # What it prints on the way is about its own command.
    with contextlib.redirect_stdout(io.StringIO()):
        parsed = parser.parse_args(["--model", model, *arguments])
    found: AsyncEngineArgs = AsyncEngineArgs.from_cli_args(parsed)
    return found
