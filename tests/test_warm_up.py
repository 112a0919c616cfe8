"""After the warm-up no request waits for a kernel to be compiled or read from numba's cache."""

from __future__ import annotations

import importlib
import pkgutil
import random
import subprocess
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher
from toy import JSON_TOKENS, byte_vocabulary, sample

import syntagma.grammar
from syntagma.decoding import Matcher
from syntagma.decoding.batch import fill_bitmasks
from syntagma.grammar import GrammarCompiler
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.warm_up import warm_kernels

SCHEMAS = [
    {"type": "object", "properties": {"name": {"type": "string", "maxLength": 700}, "né": {}}},
    {"anyOf": [{"required": [name], "properties": {name: {"type": "integer"}}} for name in "abc"]},
    {"type": "array", "items": {"pattern": "^[a-z]{1,40}(-[0-9]+)?$"}, "maxItems": 3},
    {"enum": ["red", "green", 1, None, {"a": [1]}]},
    {"type": "string", "format": "date-time"},
    {"type": "array", "uniqueItems": True, "items": {"type": ["string", "null"]}, "maxItems": 4},
]
EBNF = 'root ::= sum\nsum ::= sum "+" sum | [0-9]+ | "(" sum ")" | [a-z]{2,5} - "if"'


def loaded() -> dict[str, int]:
    """How many variants each kernel has in this process."""
    found = {}
    for info in pkgutil.iter_modules(syntagma.grammar.__path__):
        module = importlib.import_module(f"syntagma.grammar.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher):
                found[f"{info.name}.{name}"] = len(value.signatures)
    return found


def use_everything() -> None:
    rng = random.Random(1)
    words = [bytes(rng.choices(b"abcdefgh", k=rng.randint(2, 6))) for _ in range(4000)]
    vocabulary = byte_vocabulary([*JSON_TOKENS, *(w for w in words if w not in JSON_TOKENS)])
    for max_width in (0, 1000):
        compiler = GrammarCompiler(vocabulary)
        compiler._store = MaskStore(vocabulary, max_width=max_width, min_wide_nodes=max_width)
        grammars = [compiler.compile_json_schema(schema) for schema in SCHEMAS]
        grammars += [compiler.compile_ebnf(EBNF), compiler.compile_choice(["a", "bc"])]
        for grammar in grammars:
            for _ in range(4):
                sample(grammar, rng, max_tokens=60)
            matcher = Matcher(grammar)
            matcher.closing_tokens()
            matcher.forced_bytes()
            fill_bitmasks([matcher], np.zeros((1, vocabulary.num_words), np.int32))


def test_the_warm_up_reaches_every_kernel() -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    warm_kernels()
    before = loaded()
    use_everything()
    cold = [k for k, count in loaded().items() if count > before[k]]
    sys.exit("\n".join(f"not warm: {k}" for k in cold) or None)
