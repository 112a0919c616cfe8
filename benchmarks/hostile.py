"""Grammars written to hurt: each has to end, refused or served, within bounds (`make hostile`).

Every attack runs in a process forked from one whose kernels are loaded, with so much address space and
not more; what is measured is its own time and the memory it adds. A grammar that is accepted also has to
give its first mask and take some tokens. The exit status is 1 if an attack takes too long, takes too much,
crashes, or ends in anything but a mask or a `GrammarError`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import measure
import numpy as np
import vocabularies
from measure import MIB

from syntagma.decoding import Matcher
from syntagma.grammar import CompiledGrammar, GrammarCompiler, GrammarError, Vocabulary
from syntagma.grammar.warm_up import warm_kernels

MAX_SECONDS = 2.0
MAX_BYTES = 1 << 30
KILL_SECONDS = 30.0
NOT_RUN = "not run: no front end"


@dataclass(frozen=True)
class Attack:
    """A grammar to compile.

    Attributes:
        group: number of the attack's family, see `attacks`.
        name: unique.
        kind: the compiler's method is ``compile_`` + kind.
        source: makes the argument; called in the child, outside the measured time.
        text: what to feed afterwards, token by token, as far as it is legal.
    """

    group: str
    name: str
    kind: str
    source: Callable[[], Any]
    text: str = ""


@dataclass
class Result:
    """How an attack ended; ``step_seconds`` is the slowest mask + accept."""

    attack: Attack
    ended: str
    detail: str = ""
    seconds: float = 0.0
    step_seconds: float = 0.0
    added_bytes: int = 0

    @property
    def is_run(self) -> bool:
        """Whether there is a front end for this kind of grammar."""
        return self.ended != NOT_RUN

    @property
    def is_survived(self) -> bool:
        """Whether all bounds were kept."""
        is_fair = self.ended in ("served", "refused")
        return is_fair and self.seconds <= MAX_SECONDS and self.added_bytes <= MAX_BYTES


def nested_schema(depth: int) -> str:
    """``items`` in ``items``, as text: building it as objects would hit Python's own limits."""
    return '{"items":' * depth + "{}" + "}" * depth


def reference_chain(length: int) -> dict[str, Any]:
    """Definitions that refer to the next one each."""
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**chain, f"d{length}": {"type": "integer"}}}


def array_chain(length: int) -> dict[str, Any]:
    """Arrays of arrays by reference, so deep."""
    chain = {
        f"d{n}": {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**chain, f"d{length}": {"type": "integer"}}}


def doubling(depth: int, keyword: str = "prefixItems") -> dict[str, Any]:
    """Every definition names the next one twice: 2^depth leaves ("billion laughs")."""
    definitions: dict[str, Any] = {
        f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{depth}": {"type": "integer"}}}


def nested_choice(depth: int, keyword: str) -> dict[str, Any]:
    """``oneOf`` or ``anyOf`` in each other, two further branches a level that overlap those below."""
    schema: dict[str, Any] = {"type": "integer"}
    for level in range(depth):
        record = {"type": "object", "properties": {f"p{level}": {"type": "integer"}}}
        schema = {keyword: [schema, record, {"type": "string", "maxLength": level}]}
    return schema


def tools(count: int, parameters: int) -> dict[str, Any]:
    """Calls of so many functions with so many parameters each."""
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "name": {"const": f"tool_{tool}"},
                    "arguments": {
                        "type": "object",
                        "properties": {
                            f"parameter_{n}": {"type": "string"} for n in range(parameters)
                        },
                        "additionalProperties": False,
                    },
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for tool in range(count)
        ]
    }


def ebnf_chain(length: int) -> str:
    """Rules that call the next one each."""
    lines = [f"r{n} ::= r{n + 1}" for n in range(length)]
    return "\n".join(["root ::= r0", *lines, f'r{length} ::= "a"'])


def string_schema(**keywords: Any) -> dict[str, Any]:
    """A string with bounds."""
    return {"type": "string", **keywords}


def attacks() -> list[Attack]:
    """All attacks; groups: A1 deep nesting of patterns and rules, A3 chains, A4 recursion without base,
    A5 empty loops, A6 malformed, A7 exponential determinisation, A8 nested and giant repetition, A9 giant
    bounds, A10 multiplied branches, A11 sheer size, A12 ambiguity.
    """
    found: list[Attack] = []

    def add(group: str, kind: str, text: str, sources: dict[str, Callable[[], Any]]) -> None:
        found.extend(Attack(group, name, kind, source, text) for name, source in sources.items())

    def object_of(**properties: Any) -> str:
        return json.dumps({"type": "object", "properties": properties})

    add(
        "A1",
        "regex",
        "a",
        {
            "60,000 groups": lambda: "(" * 60_000 + "a" + ")" * 60_000,
            "60,000 open groups": lambda: "(" * 60_000,
            "50,000 nested classes": lambda: "[" * 50_000,
        },
    )
    add(
        "A1",
        "json_schema",
        '{"p": "a',
        {"pattern of 60,000 groups": lambda: object_of(p={"pattern": "(" * 60_000 + ")" * 60_000})},
    )
    add(
        "A1",
        "ebnf",
        "a",
        {"EBNF of 60,000 groups": lambda: "root ::= " + "(" * 60_000 + '"a"' + ")" * 60_000},
    )
    add(
        "A3",
        "json_schema",
        "[[[[1",
        {
            "50,000 references": lambda: json.dumps(reference_chain(50_000)),
            "1,000 references": lambda: json.dumps(reference_chain(1_000)),
            "10,000 array definitions": lambda: json.dumps(array_chain(10_000)),
            "items nested 100,000 deep": lambda: nested_schema(100_000),
            "items nested 100 deep": lambda: nested_schema(100),
        },
    )
    add("A3", "ebnf", "a", {"EBNF chain of 50,000 rules": lambda: ebnf_chain(50_000)})
    add(
        "A4",
        "json_schema",
        '{"a": {"a": 1',
        {
            "reference to itself": lambda: '{"$ref": "#"}',
            "allOf of itself": lambda: '{"allOf": [{"$ref": "#"}]}',
            "required recursion": lambda: (
                '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}'
            ),
        },
    )
    add(
        "A4",
        "ebnf",
        "a" * 200,
        {
            "mutual rules without base": lambda: "root ::= a\na ::= b\nb ::= a",
            "left recursion": lambda: 'root ::= root "a" | "a"',
            "hidden left recursion": lambda: 'root ::= x root "a" | "a"\nx ::= "b"?',
            "nullable left recursion": lambda: 'root ::= root root "a"?',
        },
    )
    add(
        "A5",
        "regex",
        "a" * 200,
        {"(a*)*": lambda: "(a*)*", "(|a)*": lambda: "(|a)*", "((a?)*)*": lambda: "((a?)*)*"},
    )
    add(
        "A5",
        "ebnf",
        "a" * 200,
        {
            '("a"*)*': lambda: 'root ::= ("a"*)*',
            '(""*)*': lambda: 'root ::= (""*)* "a"',
            '("" | "a")*': lambda: 'root ::= ("" | "a")*',
        },
    )
    add(
        "A6",
        "ebnf",
        "",
        {
            "undefined rule": lambda: "root ::= missing",
            "rule defined twice": lambda: 'root ::= "a"\nroot ::= "b"',
            "no root": lambda: 'other ::= "a"',
            "unterminated literal": lambda: 'root ::= "a',
            "nothing": lambda: "",
            "only comments": lambda: "# nothing here\n" * 1000,
        },
    )
    wide = {
        ".*a.{30}": ".*a.{30}",
        ".*a.{2000}": ".*a.{2000}",
        "(.*a){20}.{20}": "(.*a){20}.{20}",
        ".*x{0,999} five times": ".*x{0,999}" * 5,
    }
    add("A7", "regex", "ababab" * 10, {name: lambda p=p: p for name, p in wide.items()})
    add(
        "A7",
        "json_schema",
        '{"p": "ababab',
        {f"pattern {name}": lambda p=p: object_of(p={"pattern": p}) for name, p in wide.items()},
    )
    repeated = ["((a+)+)+b", "((a{0,100}){0,100}){0,100}", "a{1,1000000}", "a{2147483648}"]
    repeated.append("a{" + str(10**20) + "}")
    add("A8", "regex", "a" * 100, {p: lambda p=p: p for p in repeated})
    add(
        "A8",
        "ebnf",
        "a" * 100,
        {
            '"a"{1,1000000}': lambda: 'root ::= "a"{1,1000000}',
            '(("a"{0,100}){0,100}){0,100}': lambda: 'root ::= (("a"{0,100}){0,100}){0,100}',
        },
    )
    add(
        "A9",
        "json_schema",
        '"Straße 17 und mehr',
        {
            "\\p{L}{500}": lambda: json.dumps(string_schema(pattern=r"^\p{L}{500}$")),
            "maxLength 1,000": lambda: json.dumps(string_schema(maxLength=1000)),
            "maxLength 10^6": lambda: json.dumps(string_schema(maxLength=10**6)),
            "maxLength 2^63": lambda: json.dumps(string_schema(maxLength=2**63)),
            "minLength 10^6": lambda: json.dumps(string_schema(minLength=10**6)),
        },
    )
    add(
        "A9",
        "json_schema",
        "[1, 2, 3",
        {
            "maxItems 10^9": lambda: json.dumps(
                {"type": "array", "items": {"type": "integer"}, "maxItems": 10**9}
            ),
            "minItems 10^9": lambda: json.dumps(
                {"type": "array", "items": {"type": "integer"}, "minItems": 10**9}
            ),
        },
    )
    add(
        "A10",
        "json_schema",
        '{"p15": {"p14": 1',
        {
            "anyOf 16 deep": lambda: json.dumps(nested_choice(16, "anyOf")),
            "oneOf 16 deep": lambda: json.dumps(nested_choice(16, "oneOf")),
            "doubling prefixItems, 40 levels": lambda: json.dumps(doubling(40)),
            "doubling anyOf, 40 levels": lambda: json.dumps(doubling(40, "anyOf")),
            "doubling allOf, 40 levels": lambda: json.dumps(doubling(40, "allOf")),
        },
    )
    add(
        "A11",
        "json_schema",
        '{"p17": "x", "p4000": "y',
        {
            "enum of 100,000": lambda: json.dumps({"enum": [f"value {n}" for n in range(100_000)]}),
            "5,000 optional properties": lambda: object_of(
                **{f"p{n}": {"type": "string"} for n in range(5000)}
            ),
            "128 tools of 30 parameters": lambda: json.dumps(tools(128, 30)),
            "schema of 4 MB": lambda: json.dumps(
                {
                    "type": "object",
                    "properties": {f"p{n}" * 8: {"type": "integer"} for n in range(65_000)},
                }
            ),
        },
    )
    add(
        "A11",
        "regex",
        "word17",
        {"alternation of 20,000 words": lambda: "|".join(f"word{n}" for n in range(20_000))},
    )
    add(
        "A11",
        "ebnf",
        "w1",
        {
            "EBNF of 150 KB": lambda: "\n".join(
                [
                    "root ::= r0",
                    *(f'r{n} ::= "w{n}" r{n + 1}?' for n in range(6000)),
                    'r6000 ::= "z"',
                ]
            )
        },
    )
    add("A12", "ebnf", "a" * 2000, {"E ::= E E | a": lambda: 'root ::= root root | "a"'})
    return found


# ------------------------------------------------------------------------------------ running


def feed(grammar: CompiledGrammar, token_ids: Sequence[int]) -> float:
    """First mask, then tokens as far as they are legal; the slowest step in seconds."""
    matcher = Matcher(grammar)
    bitmask = np.zeros((1, grammar.vocabulary.num_words), np.int32)
    slowest = 0.0
    for token_id in [*token_ids, -1]:
        started = time.perf_counter()
        matcher.fill_bitmask(bitmask, 0)
        is_accepted = token_id >= 0 and matcher.accept_token(token_id)
        slowest = max(slowest, time.perf_counter() - started)
        if not is_accepted:
            return slowest
    return slowest


def attempt(
    pipe: Connection, attack: Attack, compiler: GrammarCompiler, token_ids: list[int]
) -> None:
    """The forked child: compile and feed under a memory limit, report how it ended."""
    source = attack.source()
    statm = Path("/proc/self/statm").read_text(encoding="ascii")
    space = int(statm.split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (space + MAX_BYTES, space + MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = measure.resident_bytes()
    started = time.perf_counter()
    slowest = 0.0
    try:
        slowest = feed(getattr(compiler, f"compile_{attack.kind}")(source), token_ids)
        ended, detail = "served", ""
    except GrammarError as error:
        limit = getattr(error, "limit", "")
        ended, detail = "refused", type(error).__name__ + (f" ({limit})" if limit else "")
    except MemoryError:
        ended, detail = "out of memory", ""
    except Exception as error:  # noqa: BLE001 (anything else is what is looked for)
        ended, detail = "failed", f"{type(error).__name__}: {error}"[:100]
    seconds = time.perf_counter() - started
    pipe.send((ended, detail, seconds, slowest, max(0, measure.peak_bytes() - before)))


def run_attack(
    attack: Attack, compiler: GrammarCompiler, encode: Callable[[str], list[int]]
) -> Result:
    """Run one attack in a child of its own."""
    if not hasattr(compiler, f"compile_{attack.kind}"):
        return Result(attack, NOT_RUN)
    context = multiprocessing.get_context("fork")
    pipe, child_pipe = context.Pipe()
    child = context.Process(
        target=attempt, args=(child_pipe, attack, compiler, encode(attack.text)), daemon=True
    )
    child.start()
    child_pipe.close()
    try:
        if not pipe.poll(KILL_SECONDS):
            return Result(attack, "killed", f"after {KILL_SECONDS:g} s", KILL_SECONDS)
        return Result(attack, *pipe.recv())
    except EOFError:
        child.join()
        return Result(attack, "crashed", f"exit status {child.exitcode}")
    finally:
        child.kill()
        child.join()


def row(result: Result) -> list[str]:
    """One line of the table."""
    return [
        f"{result.attack.group} {result.attack.name.replace('|', chr(92) + '|')}",
        result.attack.kind,
        " ".join([result.ended, result.detail.replace("|", "")]).strip(),
        f"{result.seconds:.2f}",
        f"{result.step_seconds * 1e3:.1f}",
        f"{result.added_bytes / MIB:.0f}",
        ("yes" if result.is_survived else "**no**") if result.is_run else "–",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the attacks, print the table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", choices=vocabularies.NAMES, default="tekken")
    parser.add_argument("--only", help="attacks whose group or name contains this")
    arguments = parser.parse_args(argv)
    loaded = vocabularies.load(arguments.vocabulary)
    warm_kernels()
    compiler = GrammarCompiler(Vocabulary(loaded.vocab, stop_ids=[loaded.eos_id]))
    chosen = [a for a in attacks() if not arguments.only or arguments.only in f"{a.group} {a.name}"]
    results = []
    for attack in chosen:
        print(f"{attack.group} {attack.name}", file=sys.stderr, flush=True)
        results.append(run_attack(attack, compiler, loaded.encode))
    header = ["attack", "kind", "ended", "s", "slowest step, ms", "MiB added", "within bounds"]
    print(measure.markdown_table(header, map(row, results)))
    run = [result for result in results if result.is_run]
    missed = [result for result in run if not result.is_survived]
    print(
        f"\n{len(run) - len(missed)} of {len(run)} within {MAX_SECONDS:g} s and 1 GiB; "
        f"{len(results) - len(run)} not run"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
