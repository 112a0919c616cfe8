"""A compiled JSON grammar tried out: outputs drawn from it are valid, values that are valid fit it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Unpack
from urllib.parse import quote

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar, GrammarError
from syntagma.grammar.json_options import JsonOptions, JsonPolicies
from syntagma.grammar.schema_examination import SchemaExamination
from syntagma.grammar.schema_judge import SchemaJudge

# Tokens drawn freely before an output is brought to its end.
MAX_FREE_TOKENS = 60
# What tends to lead out of strings and numbers.
STRUCTURAL = frozenset([b'"', b"}", b"]", b",", b":", b"{", b"["])
CHECKED_URI = "urn:syntagma:checked"


class SchemaCompiler(Protocol):
    """What is needed of `GrammarCompiler`."""

    def compile_json_schema(
        self,
        schema: dict[str, Any] | bool | str,
        *,
        schemas: Mapping[str, dict[str, Any] | bool | str] | None = ...,
        **policies: Unpack[JsonPolicies],
    ) -> CompiledGrammar: ...


@dataclass(frozen=True)
class SelfTest:
    """What came out.

    Attributes:
        num_samples: outputs drawn.
        num_unjudged: outputs that the judge could not tell about.
        invalid: outputs that are not valid.
        num_values: values given by the schema that are valid and were tried.
        rejected: pointers of those that the grammar does not accept.
        is_complete: whether there was time for everything.
    """

    num_samples: int
    num_unjudged: int
    invalid: tuple[str, ...]
    num_values: int
    rejected: tuple[str, ...]
    is_complete: bool

    @property
    def is_passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.invalid and not self.rejected


def self_test(
    grammar: CompiledGrammar,
    examination: SchemaExamination,
    compiler: SchemaCompiler,
    *,
    num_samples: int,
    seed: int = 0,
    max_seconds: float = 10.0,
) -> SelfTest:
    """Draw outputs and have them judged; offer the grammar what the schema's author gave.

    Args:
        grammar: of the schema.
        examination: of the same schema under the same policies.
        compiler: the one that compiled it.
        num_samples: outputs to draw.
        seed: the same outputs again.
        max_seconds: after that what has been found is returned.
    """
    deadline = time.monotonic() + max_seconds
    judge = examination.judge()
    options = grammar.options or JsonOptions()
    rng = random.Random(seed)
    verdicts: list[tuple[str, bool | None]] = []
    while len(verdicts) < num_samples and time.monotonic() < deadline:
        text = draw(grammar, rng)
        if text is None:
            verdicts.append(("", None))
            continue
        shown = text.decode("utf-8", "replace")
        verdicts.append((shown, judge.verdict(text)))
    values: list[tuple[str, bool]] = []
    is_complete = len(verdicts) == num_samples
    for result in _values(examination, judge, options, compiler):
        values.append(result)
        if time.monotonic() > deadline:
            is_complete = False
            break
    return SelfTest(
        num_samples=len(verdicts),
        num_unjudged=sum(verdict is None for _, verdict in verdicts),
        invalid=tuple(text for text, verdict in verdicts if verdict is False),
        num_values=len(values),
        rejected=tuple(pointer for pointer, is_accepted in values if not is_accepted),
        is_complete=is_complete,
    )


def draw(grammar: CompiledGrammar, rng: random.Random) -> bytes | None:
    """A random walk through the masks, brought to its end; None: the way there is too long."""
    matcher = Matcher(grammar)
    vocabulary = grammar.vocabulary
    out = b""
    for _ in range(rng.randint(0, MAX_FREE_TOKENS)):
        allowed = _allowed(matcher)
        if rng.random() < 0.5:
            ends = [i for i in allowed.tolist() if vocabulary.tokens[i][:1] in STRUCTURAL]
            token_id = int(rng.choice(ends or allowed.tolist()))
        else:
            token_id = int(allowed[rng.randrange(allowed.size)])
        if not matcher.accept_token(token_id):
            raise AssertionError(f"the mask allows token {token_id}, the matcher does not")
        if matcher.is_terminated():
            return out
        out += vocabulary.tokens[token_id]
    try:
        closing = matcher.closing_tokens()
    except ValueError:
        return None
    return out + b"".join(vocabulary.tokens[token_id] for token_id in closing)


def _allowed(matcher: Matcher) -> Any:
    bitmask = np.zeros((1, matcher.grammar.vocabulary.num_words), np.int32)
    matcher.fill_bitmask(bitmask, 0)
    return np.flatnonzero(np.unpackbits(bitmask.view(np.uint8), bitorder="little"))


def _values(
    examination: SchemaExamination,
    judge: SchemaJudge,
    options: JsonOptions,
    compiler: SchemaCompiler,
) -> Iterator[tuple[str, bool]]:
    """For each valid value that a schema gives: its pointer, and whether the grammar accepts it."""
    grammars: dict[str, CompiledGrammar | None] = {}
    for place, pointer, value in examination.values():
        if judge.verdict(json.dumps(value), pointer=place) is not True:
            continue
        if place not in grammars:
            grammars[place] = _grammar_of_place(examination, place, options, compiler)
        grammar = grammars[place]
        if grammar is not None:
            yield pointer, any(accepts(grammar, text) for text in spellings(value, options))


def _grammar_of_place(
    examination: SchemaExamination, place: str, options: JsonOptions, compiler: SchemaCompiler
) -> CompiledGrammar | None:
    """The grammar of one schema of the document, members in any order; None: there is none."""
    root = examination.root
    schema: dict[str, Any] = {"$ref": f"{CHECKED_URI}#{quote(place)}"}
    if isinstance(root, dict) and "$schema" in root:
        schema["$schema"] = root["$schema"]
    policies = options.describe() | {
        "property_order": "any",
        "additional_properties_default": True,
    }
    try:
        return compiler.compile_json_schema(
            schema, schemas={**examination.documents, CHECKED_URI: root}, **policies
        )
    except GrammarError:
        # Too many members to be told apart in any order, or a schema that nothing reaches.
        return None


def spellings(value: Any, options: JsonOptions) -> list[str]:
    """A value as an output may write it, numbers as given or without a fraction that is zero."""
    layout: dict[str, Any] = {"ensure_ascii": False}
    if options.whitespace == "compact":
        layout["separators"] = (",", ":")
    if options.whitespace == "pretty":
        layout["indent"] = 2
    texts = [json.dumps(value, **layout), json.dumps(_without_zero_fractions(value), **layout)]
    return list(dict.fromkeys(texts))


def _without_zero_fractions(value: Any) -> Any:
    return json.loads(
        json.dumps(value),
        parse_float=lambda t: int(float(t)) if float(t).is_integer() else float(t),
    )


def accepts(grammar: CompiledGrammar, text: str) -> bool:
    """Whether a whole text is an output."""
    recognizer = grammar.recognizer
    state = recognizer.initial
    for byte in text.encode():
        after = recognizer.read(state, bytes([byte]))
        if after is None:
            return False
        state = after
    return recognizer.is_accepting(state)
