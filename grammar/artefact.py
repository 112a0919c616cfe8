"""A compiled grammar in a file: what another process needs to compile it again without its source.

The file holds the rules of the intermediate representation; rebuilding automata from them costs a
fraction of a front end's work and fits them into the other process's mask store. Nodes are numbered so
that parts come before the whole, equal ones once. Arrays, for N nodes and R rules, beside those of
`language_arrays`:

    operators    uint8[N]        part_start  int64[N + 1]     rule_bodies  int32[R], nodes
    low, high    int64[N]        parts       int32[...]       name_ends    int64[R], into name_text
                                                              proper_rules uint8[R], 0 or 1

``low`` is a terminal's language, a call's rule or a repetition's least count; ``high`` is its greatest
count, -1 for none. Parts in any order have counts like a repetition; the node's parts are the separator and
then those of each kind (see `ir.AnyOrder`), an empty sequence between two kinds.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from syntagma.grammar import ir
from syntagma.grammar.array_file import StoreFileError, open_arrays, write_arrays
from syntagma.grammar.captures import NUM_KINDS, kind_of, of_kind, pattern_of
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.flat_arrays import are_below, check_members, is_partition, joined, split
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.language_arrays import arrays_of_languages, languages_of_arrays
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import Language

FILE_KIND = "grammar"

# Nodes of the rules written out, shared parts as often as they occur.
MAX_TREE_NODES = 20_000_000


class Operator(enum.IntEnum):
    """The nodes of the intermediate representation."""

    TERMINAL = 0
    SEQUENCE = 1
    CHOICE = 2
    REPEAT = 3
    CALL = 4
    ANY_ORDER = 5


DTYPES = {
    "operators": ("uint8", 1),
    "low": ("int64", 1),
    "high": ("int64", 1),
    "part_start": ("int64", 1),
    "parts": ("int32", 1),
    "rule_bodies": ("int32", 1),
    "proper_rules": ("uint8", 1),
    "name_text": ("uint8", 1),
    "name_ends": ("int64", 1),
}

Row = tuple[int, int, int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Artefact:
    """What a file of a compiled grammar says.

    Attributes:
        kind: the front end it came from.
        hash: of its source, options and vocabulary.
        vocabulary_hash: of the vocabulary it was compiled for.
        grammar: its rules, all of them produced.
        options: the policies it was compiled under; None: it is not of JSON.
    """

    kind: str
    hash: str
    vocabulary_hash: str
    grammar: ir.Grammar
    options: JsonOptions | None = None


def save(path: str | os.PathLike[str], artefact: Artefact, budget: Budget) -> None:
    """Write a grammar; rules that have not been produced yet are, within the budget.

    Raises:
        OSError: the file system refuses.
        GrammarError: a rule cannot be produced, or there are too many.
        ValueError: a count that does not fit 64 bits.
    """
    grammar = artefact.grammar
    write_arrays(
        path,
        kind=FILE_KIND,
        key=artefact.hash,
        arrays=arrays_of_grammar(grammar, budget),
        fields={
            "kind": artefact.kind,
            "vocabulary_hash": artefact.vocabulary_hash,
            "is_proper": grammar.is_proper,
            "policies": json.dumps(artefact.options and artefact.options.describe()),
        },
    )


def load(path: str | os.PathLike[str]) -> Artefact:
    """Read a grammar; its automata are views into the mapped file.

    Raises:
        FileNotFoundError: no such file.
        OSError: the file system refuses.
        StoreFileError: damaged, or not rules that a front end could have made.
    """
    file = open_arrays(path, kind=FILE_KIND)
    kind, vocabulary_hash = file.fields.get("kind"), file.fields.get("vocabulary_hash")
    is_proper, policies = file.fields.get("is_proper"), file.fields.get("policies")
    if not (
        isinstance(kind, str)
        and isinstance(vocabulary_hash, str)
        and isinstance(is_proper, bool)
        and isinstance(policies, str)
    ):
        raise StoreFileError(f"{os.fspath(path)!r} does not say what it holds")
    try:
        grammar = grammar_of_arrays(file.arrays, is_proper=is_proper)
        options = _options(policies)
    except (StoreFileError, GrammarSyntaxError) as error:
        raise StoreFileError(f"{os.fspath(path)!r}: {error}") from None
    return Artefact(kind, file.key, vocabulary_hash, grammar, options)


def _options(text: str) -> JsonOptions | None:
    try:
        policies = json.loads(text)
    except (ValueError, RecursionError):
        raise StoreFileError("its policies are no JSON") from None
    if not isinstance(policies, dict | None):
        raise StoreFileError("its policies are no object")
    return None if policies is None else JsonOptions.from_description(policies)


def arrays_of_grammar(grammar: ir.Grammar, budget: Budget) -> dict[str, AnyArray]:
    """The arrays that `grammar_of_arrays` reads; equal rules give equal arrays.

    Raises:
        GrammarError: a rule cannot be produced, or there are too many.
        ValueError: a count that does not fit 64 bits.
    """
    bodies = _bodies(grammar, budget)
    languages: dict[bytes, Language] = {}
    rows: dict[Row, int] = {}
    # By identity: a part that stands in many places is visited once.
    numbers: dict[int, int] = {}
    language_numbers: dict[bytes, int] = {}
    for body in bodies:
        waiting = [body]
        while waiting:
            node = waiting[-1]
            missing = [part for part in _parts(node) if id(part) not in numbers]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if isinstance(node, ir.Terminal):
                languages.setdefault(node.language.key, pattern_of(node.language))
                language_numbers.setdefault(node.language.key, len(language_numbers))
            row = _row(node, language_numbers, numbers)
            numbers[id(node)] = rows.setdefault(row, len(rows))
    if any(max(low, high) >= 1 << 63 for _, low, high, _ in rows):
        raise ValueError("a repetition's count does not fit 64 bits")
    name_text, name_ends = joined(
        [name.encode("utf-8", "surrogatepass") for name in grammar.names[: len(bodies)]]
    )
    sizes = np.array([0, *(len(parts) for *_, parts in rows)], np.int64)
    return {
        "operators": np.array([row[0] for row in rows], np.uint8),
        "low": np.array([row[1] for row in rows], np.int64),
        "high": np.array([row[2] for row in rows], np.int64),
        "part_start": np.cumsum(sizes),
        "parts": np.array([part for *_, parts in rows for part in parts], np.int32),
        "rule_bodies": np.array([numbers[id(body)] for body in bodies], np.int32),
        "proper_rules": np.array(
            [rule in grammar.proper_rules for rule in range(len(bodies))], np.uint8
        ),
        "name_text": name_text,
        "name_ends": name_ends,
        **arrays_of_languages(languages.values()),
    }


def grammar_of_arrays(arrays: Mapping[str, AnyArray], *, is_proper: bool) -> ir.Grammar:
    """The rules that the arrays describe; parts that are equal are one object.

    Raises:
        StoreFileError: numbers out of range, or rules that grow beyond `MAX_TREE_NODES` when written
            out.
    """
    check_members(arrays, DTYPES)
    languages = languages_of_arrays(arrays)
    names = _names(arrays)
    _check_nodes(arrays, len(languages))
    bodies = arrays["rule_bodies"].tolist()
    start, parts = arrays["part_start"].tolist(), arrays["parts"].tolist()
    nodes: list[ir.Node] = []
    sizes: list[int] = []
    for i, (operator, low, high) in enumerate(
        zip(
            arrays["operators"].tolist(),
            arrays["low"].tolist(),
            arrays["high"].tolist(),
            strict=True,
        )
    ):
        own = parts[start[i] : start[i + 1]]
        nodes.append(_node(operator, low, high, [nodes[part] for part in own], languages))
        sizes.append(1 + sum(sizes[part] for part in own))
        if sizes[-1] > MAX_TREE_NODES:
            raise StoreFileError("a grammar's rules are too large when written out")
    if sum(sizes[body] for body in bodies) > MAX_TREE_NODES:
        raise StoreFileError("a grammar's rules are too large when written out")
    return ir.Grammar(
        rules=[nodes[body] for body in bodies],
        names=names,
        is_proper=is_proper,
        proper_rules=set(np.flatnonzero(arrays["proper_rules"]).tolist()),
    )


def _check_nodes(arrays: Mapping[str, AnyArray], num_languages: int) -> None:
    operators, low, high = arrays["operators"], arrays["low"], arrays["high"]
    start, parts, bodies = arrays["part_start"], arrays["parts"], arrays["rule_bodies"]
    num_nodes = operators.size
    if not (low.size == high.size == num_nodes == start.size - 1):
        raise StoreFileError("a grammar's nodes do not fit each other")
    if not is_partition(start, parts.size):
        raise StoreFileError("a grammar's parts do not fit its nodes")
    counts = start[1:] - start[:-1]
    is_before = (parts >= 0) & (parts < np.repeat(np.arange(num_nodes), counts))
    if not is_before.all() or (operators > max(Operator)).any() or (low < 0).any():
        raise StoreFileError("a grammar's node is unknown or has parts that do not come before it")
    is_leaf = (operators == Operator.TERMINAL) | (operators == Operator.CALL)
    is_counted = (operators == Operator.REPEAT) | (operators == Operator.ANY_ORDER)
    if counts[is_leaf].any() or (counts[operators == Operator.REPEAT] != 1).any():
        raise StoreFileError("a grammar's node has too many parts or too few")
    if (low[operators == Operator.TERMINAL] >= num_languages).any():
        raise StoreFileError("a grammar uses a terminal it does not have")
    if (low[operators == Operator.CALL] >= bodies.size).any():
        raise StoreFileError("a grammar calls a rule it does not have")
    is_terminal = operators == Operator.TERMINAL
    if (high[is_terminal] < 0).any() or (high[is_terminal] >= NUM_KINDS).any():
        raise StoreFileError("a grammar's terminal is of a kind that is not known here")
    if high[~is_counted & ~is_terminal].any() or low[~is_counted & ~is_leaf].any():
        raise StoreFileError("a grammar's node has counts that mean nothing")
    if ((high[is_counted] < low[is_counted]) & (high[is_counted] != -1)).any():
        raise StoreFileError("a grammar's repetition has impossible counts")
    if bodies.size == 0 or not are_below(bodies, num_nodes):
        raise StoreFileError("a grammar's rule has a body that is not there")
    if arrays["name_ends"].size != bodies.size:
        raise StoreFileError("a grammar has other names than rules")
    proper = arrays["proper_rules"]
    if proper.size != bodies.size or (proper > 1).any():
        raise StoreFileError("a grammar does not say of each rule whether it is proper")


def _bodies(grammar: ir.Grammar, budget: Budget) -> list[ir.Node]:
    bodies: list[ir.Node] = []
    while len(bodies) < len(grammar.rules):
        budget.check_time()
        budget.check("max_rules", len(grammar.rules), "rules of the grammar")
        bodies.append(grammar.body(len(bodies)))
    return bodies


def _names(arrays: Mapping[str, AnyArray]) -> list[str]:
    words = split(arrays["name_text"], arrays["name_ends"])
    try:
        return [word.decode("utf-8", "surrogatepass") for word in words]
    except UnicodeDecodeError:
        raise StoreFileError("a rule's name is not UTF-8") from None


def _parts(node: ir.Node) -> Sequence[ir.Node]:
    match node:
        case ir.Sequence(parts) | ir.Choice(parts):
            return parts
        case ir.Repeat(part, _, _):
            return (part,)
        case ir.AnyOrder():
            found: list[ir.Node] = [node.separator]
            for kind in (node.required, node.final, node.optional, node.repeated):
                found += (*kind, ir.EMPTY)
            return found[:-1]
        case ir.Terminal() | ir.Call():
            return ()


def _row(node: ir.Node, language_numbers: Mapping[bytes, int], numbers: Mapping[int, int]) -> Row:
    parts = tuple(numbers[id(part)] for part in _parts(node))
    match node:
        case ir.Terminal(language):
            return Operator.TERMINAL, language_numbers[language.key], kind_of(language), parts
        case ir.Sequence():
            return Operator.SEQUENCE, 0, 0, parts
        case ir.Choice():
            return Operator.CHOICE, 0, 0, parts
        case ir.Repeat(_, low, high):
            return Operator.REPEAT, low, -1 if high is None else high, parts
        case ir.AnyOrder(min_count=low, max_count=high):
            return Operator.ANY_ORDER, low, -1 if high is None else high, parts
        case ir.Call(rule):
            return Operator.CALL, rule, 0, parts


def _node(
    operator: int, low: int, high: int, parts: Sequence[ir.Node], languages: Sequence[Language]
) -> ir.Node:
    match operator:
        case Operator.TERMINAL:
            try:
                return ir.Terminal(of_kind(high, languages[low]))
            except ValueError as error:
                raise StoreFileError(f"a grammar's terminal cannot be: {error}") from None
        case Operator.SEQUENCE:
            return ir.Sequence(tuple(parts))
        case Operator.CHOICE:
            return ir.Choice(tuple(parts))
        case Operator.REPEAT:
            return ir.Repeat(parts[0], low, None if high == -1 else high)
        case Operator.ANY_ORDER:
            return _any_order(parts, low, None if high == -1 else high)
        case _:
            return ir.Call(low)


def _any_order(parts: Sequence[ir.Node], low: int, high: int | None) -> ir.AnyOrder:
    ends = [i for i, part in enumerate(parts) if part == ir.EMPTY]
    if len(ends) != 3 or ends[0] == 0:
        raise StoreFileError("a grammar's parts in any order are not of four kinds")
    separator = parts[0]
    required, final, optional, repeated = (
        tuple(parts[start + 1 : end])
        for start, end in zip([0, *ends], [*ends, len(parts)], strict=True)
    )
    for part in required + final + optional + repeated:
        match part:
            case ir.Call() | ir.Sequence((ir.Terminal(), ir.Call())):
                pass
            case _:
                raise StoreFileError("a grammar's part in any order is no call behind a terminal")
    if not isinstance(separator, ir.Terminal):
        raise StoreFileError("a grammar's parts in any order have no terminal between them")
    return ir.AnyOrder(required, optional, repeated, separator, low, high, final)
