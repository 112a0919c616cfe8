"""``syntagma check``: compile a grammar without a model and report."""

from __future__ import annotations

import dataclasses
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    Vocabulary,
)
from syntagma.server.compile_service import grammar_error
from syntagma.server.constraint_kinds import ConstraintKind
from syntagma.server.constraint_reader import ConstraintReader
from syntagma.server.constraints import Constraint
from syntagma.server.errors import ApiError
from syntagma.server.settings import Settings


class InputError(ValueError):
    """A file that cannot be read; the message says which and why."""


def check(
    file: str | None, kind: ConstraintKind, settings: Settings, *, tokenizer: str | None
) -> int:
    """Print whether a grammar compiles, what it takes, or what is wrong with it.

    Returns:
        Exit status: 0 compiled, 1 refused, 2 nothing to read.
    """
    try:
        text = read_text(file) if kind != "json_object" else ""
        vocabulary = load_vocabulary(tokenizer or settings.model)
    except InputError as error:
        print(f"syntagma: {error}", file=sys.stderr)
        return 2
    name = "json_object" if kind == "json_object" else file or ""
    compiler = GrammarCompiler(
        vocabulary, limits=CompileLimits(max_seconds=settings.compile_timeout)
    )
    try:
        constraint = read_constraint(text, kind, name, settings)
        started = time.perf_counter()
        grammar = compile_constraint(constraint, compiler)
    except ApiError as error:
        print(f"refused  {error.message}\n         code {error.code}{_details(error)}")
        return 1
    print(report(grammar, name, time.perf_counter() - started))
    return 0


def read_text(file: str | None) -> str:
    """The content of a file, or of standard input for ``-``.

    Raises:
        InputError: there is none, or it is not UTF-8.
    """
    if file is None:
        raise InputError("check needs a FILE; - reads standard input")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 (byte {error.start})") from None


def read_constraint(text: str, kind: ConstraintKind, name: str, settings: Settings) -> Constraint:
    """What the file asks for.

    Raises:
        ApiError: the text cannot be read as this kind.
    """
    sources: dict[ConstraintKind, Any] = {
        "json_schema": text,
        "json_object": True,
        "regex": text.removesuffix("\n"),
        "choice": text.splitlines(),
        "ebnf": text,
    }
    reader = ConstraintReader(settings.json_policy, settings.max_json_depth)
    return dataclasses.replace(reader.grammar_check({kind: sources[kind]}), param=name)


def load_vocabulary(model: str | None) -> Vocabulary:
    """A model's tokens; of the model only its tokenizer is read.

    Raises:
        InputError: there is no such tokenizer, or it is of an unknown kind.
    """
    source = model or str(files("syntagma.decoding").joinpath("demo_model"))
    file = Path(source) / "tokenizer.json"
    try:
        from tokenizers import Tokenizer

        is_folder = file.parent.is_dir()
        tokenizer = (
            Tokenizer.from_file(str(file)) if is_folder else Tokenizer.from_pretrained(source)
        )
        # Which of the special tokens ends a text makes no difference to a grammar.
        special = [i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special]
        return Vocabulary.from_tokenizer(tokenizer, stop_ids=special[:1])
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises nothing narrower
        raise InputError(f"cannot load the tokenizer of {source}: {error}") from None


def compile_constraint(constraint: Constraint, compiler: GrammarCompiler) -> CompiledGrammar:
    """Compile it here and now.

    Raises:
        ApiError: the grammar is refused.
    """
    try:
        return constraint.compile(compiler)
    except GrammarError as error:
        raise grammar_error(error, constraint) from None


def report(grammar: CompiledGrammar, name: str, seconds: float) -> str:
    """One line of result, one line of figures."""
    figures = grammar.describe()
    shown = ", ".join(
        f"{key} {value}"
        for key, value in figures.items()
        if key not in ("kind", "hash", "compile_seconds")
    )
    return (
        f"ok       {name}: {grammar.kind}, {grammar.num_bytes / 1024:.1f} KiB, "
        f"compiled in {seconds * 1000:.1f} ms\n         {shown}\n         hash {grammar.hash}"
    )


def _details(refusal: ApiError) -> str:
    return "".join(f", {key} {value}" for key, value in refusal.details.items() if value != "")
