"""Which JSON Schema keywords each engine enforces, asked by example.

    python keyword_matrix.py            prints the table of docs/json-schema.md

ok        every valid instance of the row is accepted, every invalid one is not
ignored   an invalid one is accepted
over      a valid one is not accepted
wrong     both
refused   the engine does not take the schema, and says so

Engines that are not installed are left out. An instance counts as accepted if an engine accepts it with or
without blanks between its tokens. The exit status is 1 if our own column has anything but ok and refused.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import peers
import vocabularies
from keyword_cases import CASES, KeywordCase

from syntagma.decoding import self_test
from syntagma.grammar import GrammarCompiler, GrammarError, Vocabulary

Acceptor = Callable[[str], bool]
GOOD_VERDICTS = frozenset(["ok", "refused"])


class Refused(Exception):
    """An engine does not take a schema."""


class Ours:
    """This engine, with the policy that a row asks for."""

    name = peers.OURS

    def __init__(self, vocabulary: vocabularies.BenchVocabulary) -> None:
        self.version = version("syntagma")
        self._compiler = GrammarCompiler(Vocabulary(vocabulary.vocab, stop_ids=[vocabulary.eos_id]))

    def acceptor(self, case: KeywordCase) -> Acceptor:
        """Raises `Refused`."""
        policies: dict[str, Any] = dict(case.policy)
        try:
            grammar = self._compiler.compile_json_schema(case.schema, **policies)
        except GrammarError as error:
            raise Refused(str(error)) from error
        return lambda text: self_test.accepts(grammar, text)


class Peer:
    """An engine of `peers`."""

    def __init__(self, name: str, vocabulary: vocabularies.BenchVocabulary) -> None:
        self.name = name
        self._engine = peers.build(name, vocabulary)
        self._encode = vocabulary.encode
        self.version = self._engine.version

    def acceptor(self, case: KeywordCase) -> Acceptor:
        """Raises `Refused`."""
        try:
            matcher = self._engine.compile(json.dumps(case.schema), "json_schema")
        except Exception as error:
            raise Refused(str(error)) from error

        def accepts(text: str) -> bool:
            fresh = matcher.fresh()
            for token_id in self._encode(text):
                fresh.mask()
                is_allowed = fresh.bits[token_id >> 5] >> (token_id & 31) & 1
                if not is_allowed or not fresh.accept(token_id):
                    return False
            return fresh.is_accepting()

        return accepts


class OutlinesCore:
    """outlines-core makes a regular expression of a schema; Python reads it."""

    name = "outlines-core"

    def __init__(self) -> None:
        self.version = version("outlines-core")
        module = importlib.import_module("outlines_core.json_schema")
        self._regex_of = module.build_regex_from_schema

    def acceptor(self, case: KeywordCase) -> Acceptor:
        """Raises `Refused`."""
        try:
            pattern = re.compile(self._regex_of(json.dumps(case.schema)))
        except Exception as error:
            raise Refused(str(error)) from error
        return lambda text: pattern.fullmatch(text) is not None


Engine = Ours | Peer | OutlinesCore


def installed_engines() -> list[Engine]:
    """Ours first."""
    vocabulary = vocabularies.load("bytes")
    engines: list[Engine] = [Ours(vocabulary)]
    engines += [Peer(name, vocabulary) for name in peers.PEERS if peers.is_installed(name)]
    if importlib.util.find_spec("outlines_core") is not None:
        engines.append(OutlinesCore())
    return engines


def verdict(engine: Engine, case: KeywordCase) -> str:
    """How an engine treats a row."""
    try:
        accepts = engine.acceptor(case)
    except Refused:
        return "refused"
    is_over = not all(any(map(accepts, spellings(text))) for text in case.good)
    is_ignored = any(any(map(accepts, spellings(text))) for text in case.bad)
    if is_over and is_ignored:
        return "wrong"
    if is_over:
        return "over"
    return "ignored" if is_ignored else "ok"


def spellings(text: str) -> set[str]:
    """A text as given, and without the blanks behind its punctuation."""
    return {text, text.replace(": ", ":").replace(", ", ",")}


def matrix(engines: list[Engine]) -> dict[str, list[str]]:
    """By row: the verdicts, in the order of the engines."""
    return {case.name: [verdict(engine, case) for engine in engines] for case in CASES}


def table(engines: list[Engine], verdicts: dict[str, list[str]]) -> str:
    """The verdicts in Markdown."""
    heads = [f"{engine.name} {engine.version}" for engine in engines]
    lines = [f"| keyword or case | {' | '.join(heads)} |", "| --- |" + " --- |" * len(engines)]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in verdicts.items()]
    sums = [
        ", ".join(
            f"{sum(row[i] == kind for row in verdicts.values())} {kind}"
            for kind in ("ok", "ignored", "over", "wrong", "refused")
            if any(row[i] == kind for row in verdicts.values())
        )
        for i in range(len(engines))
    ]
    return "\n".join([*lines, f"| all {len(verdicts)} | {' | '.join(sums)} |"])


def main() -> int:
    """Print the table."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    engines = installed_engines()
    verdicts = matrix(engines)
    print(table(engines, verdicts))
    return int(not all(GOOD_VERDICTS.issuperset(row[:1]) for row in verdicts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
