"""vLLM's own command-line arguments, read by vLLM's own parser, and what we put into them."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser

from syntagma.decoding import vllm_scheduler, vllm_worker
from syntagma.decoding.vllm_options import CONFIG_KEY
from syntagma.decoding.vllm_support import TREE_PROPOSER
from syntagma.decoding.vllm_tree import WORKER
from syntagma.grammar import CompileLimits


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


def split_adapters(arguments: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The adapters of ``--lora-modules NAME=PATH ...``, which is no argument of vLLM's engine but of its server,
    and the other arguments.

    Raises:
        ValueError: an adapter without name or path, or two of one name.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--lora-modules", nargs="+", action="extend", default=[])
    parsed, others = parser.parse_known_args(arguments)
    adapters: dict[str, Path] = {}
    for text in parsed.lora_modules:
        name, _, path = text.partition("=")
        if not name or not path or name in adapters:
            raise ValueError(
                f"--lora-modules takes NAME=PATH with names of their own, not {text!r}"
            )
        adapters[name] = Path(path)
    return adapters, others


def with_our_classes(
    arguments: AsyncEngineArgs,
    directory: Path,
    limits: CompileLimits | None,
    draft_corpus: Sequence[Path] = (),
) -> AsyncEngineArgs:
    """The arguments with our classes and options.

    Raises:
        ValueError: a scheduler class is given, or that grammars are to hold within the reasoning.
    """
    limits = limits if limits is not None else CompileLimits()
    options = {
        "directory": str(directory),
        "max_seconds": limits.max_seconds,
        "max_schema_depth": limits.max_schema_depth,
        "draft_corpus": [str(file.absolute()) for file in draft_corpus],
    }
    if arguments.scheduler_cls is not None:
        raise ValueError(
            f"scheduler_cls={arguments.scheduler_cls!r} cannot be given: masks come from our own class"
        )
    given = arguments.additional_config or {}
    is_default_worker = arguments.worker_cls == "auto"
    drafts = arguments.speculative_config or {}
    worker = WORKER if drafts.get("model") == TREE_PROPOSER else vllm_worker.QUALIFIED_NAME
    return replace(
        arguments,
        scheduler_cls=vllm_scheduler.QUALIFIED_NAME,
        worker_cls=worker if is_default_worker else arguments.worker_cls,
        additional_config=given | {CONFIG_KEY: options | given.get(CONFIG_KEY, {})},
    )
