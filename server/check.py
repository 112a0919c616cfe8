"""``syntagma check``: compile a grammar without a model and report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
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
from syntagma.server.grammar_report import (
    checked_num_samples,
    grammar_report,
    schema_report,
    self_test_report,
)
from syntagma.server.settings import Settings

# Where the text of a report begins.
INDENT = 11
# Keywords without effect that are named.
SHOWN = 5
# Kinds that are complete without one.
WITHOUT_FILE = ("json_object", "language")
# Lark files beside the one that is checked.
MAX_FILES = 100


class InputError(ValueError):
    """A file that cannot be read; the message says which and why."""


def check(
    file: str | None,
    kind: ConstraintKind,
    settings: Settings,
    *,
    tokenizer: str | None,
    num_samples: int = 0,
    is_json: bool = False,
    language: dict[str, Any] | None = None,
    indenter: dict[str, Any] | None = None,
) -> int:
    """Print whether a grammar compiles, what it means and takes, or what is wrong with it.

    Args:
        file: the grammar; ``-``: standard input.
        kind: what the file holds.
        settings: policies and limits.
        tokenizer: whose tokens to compile for; None: the demo model's.
        num_samples: outputs to draw and judge.
        is_json: print the report as the server would send it.
        language: for the kind ``language``: its name and options; there is no file then.
        indenter: for the kind ``lark``: the terminals that tell indentation; refused for others.

    Returns:
        Exit status: 0 compiled, and no self-test failed; 1 refused or failed; 2 nothing to read.
    """
    try:
        text = "" if kind in WITHOUT_FILE else read_text(file)
        vocabulary = load_vocabulary(tokenizer or settings.model)
    except InputError as error:
        print(f"syntagma: {error}", file=sys.stderr)
        return 2
    name = "json_object" if kind == "json_object" else file or ""
    if language is not None:
        name = str(language["language"])
    limits = CompileLimits(max_seconds=settings.compile_timeout)
    compiler = GrammarCompiler(vocabulary, limits=limits)
    source = file_body(text, kind, name) if language is None else language
    if indenter is not None:
        source = {**source, "indenter": indenter}
    found = checked(source, kind, name, settings, compiler, num_samples)
    if is_json:
        print(json.dumps({"object": "grammar.check", **found}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(report_lines(found, name)))
    return 0 if found["ok"] and found.get("self_test", {"is_passed": True})["is_passed"] else 1


def checked(
    source: dict[str, Any],
    kind: ConstraintKind,
    name: str,
    settings: Settings,
    compiler: GrammarCompiler,
    num_samples: int,
) -> dict[str, Any]:
    """The report on the body of a check, as `grammar_check` makes it."""
    constraint: Constraint | None = None
    limits = compiler.limits
    try:
        constraint = read_constraint(source, name, settings)
        num_samples = checked_num_samples(num_samples, constraint)
        grammar = compile_constraint(constraint, compiler)
    except ApiError as error:
        refusal: dict[str, Any] = {"ok": False, "kind": kind}
        if constraint is not None and kind == "json_schema":
            refusal |= schema_report(constraint, limits, refusal=error)
        return refusal | error.body()
    found = grammar_report(constraint, grammar, limits)
    if num_samples:
        found["self_test"] = self_test_report(constraint, grammar, compiler, limits, num_samples)
    return found


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


def read_constraint(body: dict[str, Any], name: str, settings: Settings) -> Constraint:
    """What the body of a check asks for.

    Raises:
        ApiError: it cannot be read as its kind.
    """
    reader = ConstraintReader(settings.json_policy, settings.max_json_depth)
    return dataclasses.replace(reader.grammar_check(body), param=name)


def file_body(text: str, kind: ConstraintKind, name: str) -> dict[str, Any]:
    """A file's content as the body of a check."""
    sources: dict[ConstraintKind, Any] = {
        "json_schema": text,
        "json_object": True,
        "regex": text.removesuffix("\n"),
        "choice": text.splitlines(),
        "ebnf": text,
        "lark": text,
        "structural_tag": text,
    }
    body: dict[str, Any] = {kind: sources[kind]}
    if kind == "lark":
        body["files"] = files_beside(name)
    return body


def files_beside(name: str) -> dict[str, str]:
    """The Lark files in the folder of one, for its imports, by the path from there."""
    folder = Path(name).parent
    if name == "-" or not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.glob("*.lark"))[:MAX_FILES]:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found[path.name] = path.read_text("utf-8")
    return found


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


def report_lines(found: dict[str, Any], name: str) -> list[str]:
    """A report for people: a word and what it is about in each line."""
    lines = list(_refusal(found) if not found["ok"] else _figures(found, name))
    lines += [
        _line("refused", f"{use['keyword']}  {use['pointer']}")
        for use in found.get("keywords", ())
        if use["treatment"] == "refused" and use["pointer"] != found.get("error", {}).get("pointer")
    ]
    ignored = [u["pointer"] for u in found.get("keywords", ()) if u["treatment"] == "annotation"]
    if ignored:
        more = f" and {len(ignored) - SHOWN} more" if len(ignored) > SHOWN else ""
        lines.append(_line("no effect", ", ".join(ignored[:SHOWN]) + more))
    lines += [
        _line("lint", f"{lint['message']}  ({lint['code']} at {lint['pointer'] or 'the root'})")
        for lint in found.get("lints", ())
    ]
    if "self_test" in found:
        lines += _self_test(found["self_test"])
    return lines


def _refusal(found: dict[str, Any]) -> Iterator[str]:
    error = found["error"]
    yield _line("refused", error["message"])
    details = {k: v for k, v in error.items() if k not in ("message", "type", "param", "conflict")}
    yield _line("", ", ".join(f"{key} {value}" for key, value in details.items() if value != ""))
    if error.get("conflict"):
        yield _line("conflict", ", ".join(pointer or "the root" for pointer in error["conflict"]))


def _figures(found: dict[str, Any], name: str) -> Iterator[str]:
    milliseconds = found["compile_seconds"] * 1000
    yield _line(
        "ok",
        f"{name}: {found['kind']}, {found['num_bytes'] / 1024:.1f} KiB, "
        f"compiled in {milliseconds:.1f} ms",
    )
    yield _line("", ", ".join(f"{key} {value}" for key, value in found["figures"].items()))
    yield _line("", f"hash {found['hash']}")
    if found["witness"] is None:
        yield _line("shortest", f"{found['min_bytes']} bytes")
    else:
        yield _line("shortest", f"{found['witness']}  (tokens: {found['witness_tokens']})")


def _self_test(found: dict[str, Any]) -> Iterator[str]:
    verdict = "passed" if found["is_passed"] else "FAILED"
    unjudged = f", {found['num_unjudged']} without verdict" if found["num_unjudged"] else ""
    cut = "" if found["is_complete"] else "; there was no time for all"
    yield _line(
        "self-test",
        f"{verdict}: {found['num_samples']} outputs{unjudged}, {found['num_values']} given values{cut}",
    )
    for text in found["invalid"]:
        yield _line("", f"not valid: {text}")
    for pointer in found["rejected"]:
        yield _line("", f"valid, but not accepted: {pointer}")


def _line(word: str, text: str) -> str:
    return f"{word:<{INDENT}}{text}"
