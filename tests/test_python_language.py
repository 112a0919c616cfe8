"""Python by name, against `ast.parse`."""

from __future__ import annotations

import ast
import os
import random
import sysconfig
import warnings
from pathlib import Path

import pytest
from language_walks import check_masks, closed
from toy import accepts, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler

IS_FUZZ = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
NUM_WALKS = 500 if IS_FUZZ else 60
NUM_FILES = 200 if IS_FUZZ else 15
WORDS = [
    "if ", "elif ", "else", "while ", "for ", "x", " in ", "try", "except", " as ", "finally", "with ",
    "def f(", "class A", "match ", "case ", "return ", "yield", "await ", "async ", "lambda ", "not ",
    " and ", " is ", "import ", "from ", "del ", "raise ", "assert ", "global ", "pass", "\n", ":\n",
    "    ", "\n    ", "\n        ", ":", "(", ")", "[", "]", "{", "}", "(x)", "[x]", ", ", ",", "=", " = ",
    "*", "**", ":=", "->", ".y", "/", "@", "f'", 'f"', "'''", '"""', "{x}", "!r}", "'a'", "b'a'",
    "r'", "1", "0x1", "1.5", "1j", "...", "# c", ";", "\\\n", "_", "|", "-", "+=", "é", " x", "finally:\n",
    "else:\n", "    x\n", "pass\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    words = [word.encode() for word in WORDS]
    return GrammarCompiler(byte_vocabulary(words), limits=CompileLimits(max_seconds=60))


@pytest.fixture(scope="module")
def grammar(compiler: GrammarCompiler) -> CompiledGrammar:
    return compiler.compile_language("python")


def parsed(text: str, mode: str = "exec") -> None:
    with warnings.catch_warnings():
        # `"a" is x` and the like parse, with a warning.
        warnings.simplefilter("ignore")
        ast.parse(text, mode=mode)


def walk(grammar: CompiledGrammar, rng: random.Random, max_tokens: int) -> str:
    """An output, mostly of words, so that statements and blocks come about; then closed."""
    matcher = Matcher(grammar)
    vocabulary = grammar.vocabulary
    out = b""
    for _ in range(rng.randint(0, max_tokens)):
        allowed = allowed_ids(matcher) - set(vocabulary.stop_ids)
        if not allowed:
            break
        words = sorted(t for t in allowed if t >= 256)
        token_id = rng.choice(words if words and rng.random() < 0.95 else sorted(allowed))
        assert matcher.accept_token(token_id)
        out += vocabulary.tokens[token_id]
    return (out + closed(matcher)).decode()


@pytest.mark.parametrize("start", ["file", "statement", "expression"])
def test_walks_parse(compiler: GrammarCompiler, start: str) -> None:
    grammar = compiler.compile_language("python", start=start)
    rng = random.Random(11)
    for _ in range(NUM_WALKS):
        text = walk(grammar, rng, 80)
        parsed(text, "eval" if start == "expression" else "exec")
        if start == "statement":
            assert len(ast.parse(text).body) >= 1


def test_files_of_the_standard_library_pass(grammar: CompiledGrammar) -> None:
    """`benchmarks/python_files.py` takes all of them; its few refusals are listed in the docs."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = [p for p in sorted(folder.glob("*.py")) if p.stat().st_size < 30_000]
    for path in random.Random(5).sample(paths, min(NUM_FILES, len(paths))):
        state = grammar.recognizer.initial
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            after = grammar.recognizer.read(state, line)
            assert after is not None, f"{path.name}:{number}: {line!r}"
            state = after
        assert grammar.recognizer.is_accepting(state), path.name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only\n\n",
        "if x:\n    y\nelif z: a; b;\nelse:\n\tpass\n",
        "def f(a, /, b: int = 1, *c, d, **e) -> int:\n  if a:\n     return\n  # odd\n\n  return 1\n",
        "class A(B, metaclass=C):\n  @d\n  async def f(self): await x\n",
        "try:\n  x\nexcept A as e:\n  y\nexcept:\n  z\nelse:\n  a\nfinally:\n  b\n",
        "match x, y:\n  case [1, *_] | {'a': b, **c} if b: d\n  case A(x=1): pass\n  case _: pass\n",
        "match = case = 1\nprint(match, case)\n",
        "x = (1,\n  # inside\n2)\n",
        "f'{x!r:>{w}} {{}} {y=}' f\"{a['b']}\"\n",
        "a = b, *c = d = yield\n",
        "x[1:2, ::3, *y] += lambda *a, b=1: (c := a)\n",
        "with (a as b, c as d,): pass\nwith a, b as c: pass\n",
        "for x, *y in z: break\nelse: continue\n",
        "[x async for x in y if z if w for a in b]\n",
        "from . import (a, b as c,)\nfrom ..a.b import *\nimport a.b as c, d\n",
        "not(x) or-y if(a) else[b]\n",
        "x = 0_0 + 0xF_F + 1e-5j + .5 + 10 .real\n",
        "été = 'a' \"b\"\n",
        "print(*a, b=1, *c, **d)\nf(x for x in y)\n",
        "x: int\n(x): int = 1\nx.y: int = 2, 3\n",
        "raise A from B\nassert a, b\ndel a, (b, [c.d])\nglobal a, b\n",
        "try: x\nexcept* A: y\n",
    ],
)
def test_takes(grammar: CompiledGrammar, text: str) -> None:
    parsed(text)
    assert accepts(grammar, text)


@pytest.mark.parametrize(
    "text",
    [
        "if x:\n    y\n  z\n",
        "if x:\ny\n",
        "  x\n",
        "x\n  y\n",
        "if x:\n  y\n else:\n  z\n",
        "else:\n  x\n",
        "if = 1\n",
        "f() = 1\n",
        "1 = x\n",
        "f(a=1, b)\n",
        "f(**a, *b)\n",
        "def f(a=1, b): pass\n",
        "def f(*): pass\n",
        "returnx y\n",
        "x y\n",
        "a + not b\n",
        "01\n",
        "'\\x1'\n",
        "'a' b'b'\n",
        "(*a)\n",
        "f'{x'\n",
        "f'{}'\n",
        "try: x\n",
        "class A(x for x in y): pass\n",
        "lambda: yield\n",
        "del f()\n",
        "x = \\\n",
        "match x:\n  y\n",
        "case x: pass\n",
        "a = b: int\n",
        "import a.b as c.d\n",
        "@x\ny\n",
    ],
)
def test_refuses(grammar: CompiledGrammar, text: str) -> None:
    with pytest.raises(SyntaxError):
        parsed(text)
    assert not accepts(grammar, text)


def test_masks_are_what_can_be_read(grammar: CompiledGrammar) -> None:
    check_masks(grammar, random.Random(8), 5)
