"""What a server and its compiling processes say to each other: frames on two pipes.

A frame is its length (uint32, big-endian) and its content. Questions are marshalled, for they may hold megabytes of schema
and come from the process that the other one trusts with everything. Answers are JSON: whoever compiles a stranger's
grammar is not trusted with more than an answer.
"""

from __future__ import annotations

import json
import marshal
import struct
from typing import Any, BinaryIO

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import CompileLimits, Vocabulary
from syntagma.grammar.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)

LENGTH = struct.Struct(">I")
MAX_ANSWER_BYTES = 1 << 20
# Where a process writes a grammar, in its own directory.
GRAMMAR_FILE = "grammar.arrays"
ERRORS: dict[str, type[GrammarError]] = {
    error.code: error
    for error in (
        GrammarError,
        GrammarLimitError,
        GrammarSyntaxError,
        UnsatisfiableGrammarError,
        UnsupportedGrammarError,
    )
}


def framed(content: bytes) -> bytes:
    """A frame."""
    return LENGTH.pack(len(content)) + content


def read_frame(stream: BinaryIO) -> bytes | None:
    """The content of the next frame; None at the stream's end, also within a frame."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    content = stream.read(size)
    return content if len(content) == size else None


def content_of_setup(vocabulary: Vocabulary, limits: CompileLimits, **fields: str | int) -> bytes:
    """The first question: what the process is for."""
    tokens = {
        "tokens": list(vocabulary.tokens),
        "stop_ids": list(vocabulary.stop_ids),
        "special_ids": sorted(vocabulary.special_ids),
        "special_names": vocabulary.special_names,
    }
    return marshal.dumps({"vocabulary": tokens, "limits": vars(limits), **fields})


def content_of_spec(spec: GrammarSpec) -> bytes:
    """A grammar to be compiled."""
    plain = {"schemas": dict(spec.schemas), "files": dict(spec.files)}
    return marshal.dumps(vars(spec) | {"policies": dict(spec.policies)} | plain)


def spec_of_content(content: bytes) -> GrammarSpec:
    """What `content_of_spec` wrote."""
    return GrammarSpec(**marshal.loads(content))


def answer_of_error(error: GrammarError) -> dict[str, Any]:
    """A refusal as plain data."""
    return {"refused": error.code, "fields": vars(error)}


def error_of_answer(answer: dict[str, Any]) -> GrammarError:
    """The refusal that `answer_of_error` wrote.

    Raises:
        KeyError, TypeError: it is none.
    """
    fields = dict(answer["fields"])
    if "conflict" in fields:
        fields["conflict"] = tuple(fields["conflict"])
    return ERRORS[answer["refused"]](fields.pop("message"), **fields)


def content_of_answer(answer: dict[str, Any]) -> bytes:
    """An answer's content; one that is too long tells no more than that."""
    content = json.dumps(answer).encode()
    if len(content) > MAX_ANSWER_BYTES:
        return json.dumps({"failed": "the answer is too long"}).encode()
    return content


def overrun(limits: CompileLimits) -> GrammarLimitError:
    """A refusal by whoever watches the time from outside."""
    return GrammarLimitError(
        f"compilation takes longer than {limits.max_seconds:g} s; "
        "simplify the grammar or raise max_seconds",
        limit="max_seconds",
    )
