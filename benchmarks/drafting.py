"""What drafters guess of recorded outputs: tokens per step by source, without a model.

    python benchmarks/drafting.py --requests 60

The texts are the demo model's (`demo_corpus`), written as a tokenizer writes them, and taken for what a greedy
model would say. Workloads: extraction to JSON with a schema, tool calls, JSON editing (the prompt holds the
text), free text, invented words. Requests of a workload come one after the other; those with the same schema share a scope.
Token recycling is left out: it lives on what a model holds likely.

Reported: tokens per step, with all sources, without each, and with each alone; the share of drafted tokens
that were accepted; microseconds of processor time for drafting, each step. A step is taken to cost 2 % more for each drafted token.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import demo_corpus
import numpy as np
import speculation_workloads
from tokenizers import Tokenizer

from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.draft_tree import ROOT, DraftTree, Source
from syntagma.decoding.drafter import Drafter, DraftScope
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.speculation import SpeculationOptions, Speculator
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter
from syntagma.grammar import CompiledGrammar, GrammarCompiler, Vocabulary

MODEL = Path(__file__).resolve().parent.parent / "decoding" / "demo_model"
SEED = 11
SOURCES: tuple[Source, ...] = ("forced", "prompt", "corpus")


@dataclass(frozen=True)
class Recording:
    """A prompt, what was said, and the schema that it had to fit."""

    prompt: str
    answer: str
    schema: dict[str, Any] | None


def schema_of(value: Any) -> dict[str, Any]:
    """A schema that asks for values of the same shape."""
    return speculation_workloads.schema_of(value, is_bounded=False)


def extraction() -> Iterator[Recording]:
    for example in demo_corpus.generate(SEED, "held_out", ["person", "record"]):
        yield Recording(example.prompt, example.answer, schema_of(json.loads(example.answer)))


def tool_calls() -> Iterator[Recording]:
    for example in demo_corpus.generate(SEED, "held_out", ["call"]):
        value = json.loads(example.answer)
        schema = schema_of(value)
        schema["properties"]["name"] = {"const": value["name"]}
        yield Recording(json.dumps(example.tools) + example.prompt, example.answer, schema)


def editing() -> Iterator[Recording]:
    """A list of records comes back with one value changed."""
    rng = random.Random(SEED)
    pools = demo_corpus.Pools(rng, "held_out")
    while True:
        rows = [
            {"name": pools.person(), "city": pools.city(), "age": pools.age()} for _ in range(6)
        ]
        row, city = rng.choice(rows), pools.city()
        prompt = f"{json.dumps(rows, ensure_ascii=False)}\n{row['name']} moved to {city}."
        row["city"] = city
        yield Recording(prompt, json.dumps(rows, ensure_ascii=False), schema_of(rows))


def free_text() -> Iterator[Recording]:
    """Sentences that the prompt says nothing of."""
    pools = demo_corpus.Pools(random.Random(SEED), "held_out")
    while True:
        yield Recording(demo_corpus.filler(pools, 3), demo_corpus.filler(pools, 4), None)


def unforeseeable() -> Iterator[Recording]:
    """Invented words: nothing to guess, to see what trying costs."""
    pools = demo_corpus.Pools(random.Random(SEED), "held_out")
    while True:
        first, second = (" ".join(pools.invented_word() for _ in range(20)) for _ in range(2))
        yield Recording(first, second, None)


WORKLOADS: dict[str, Callable[[], Iterator[Recording]]] = {
    "extraction": extraction,
    "tool calls": tool_calls,
    "editing": editing,
    "free text": free_text,
    "invented words": unforeseeable,
}


class Player:
    """Plays recordings to drafters."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self.vocabulary = Vocabulary.from_tokenizer(self.tokenizer, stop_ids=[self._stop_id()])
        self.compiler = GrammarCompiler(self.vocabulary)
        self.grammars: dict[str, CompiledGrammar] = {}

    def _stop_id(self) -> int:
        name = json.loads((MODEL / "tokenizer_config.json").read_text())["eos_token"]
        return int(self.tokenizer.token_to_id(name if isinstance(name, str) else name["content"]))

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def grammar(self, schema: dict[str, Any]) -> tuple[str, CompiledGrammar]:
        key = json.dumps(schema)
        if key not in self.grammars:
            self.grammars[key] = self.compiler.compile_json_schema(schema)
        return key, self.grammars[key]

    def speculator(self) -> Speculator:
        drafters: list[Drafter] = [
            ForcedDrafter(self.vocabulary, ForcedText(self.vocabulary, self.encode)),
            PromptDrafter(),
            CorpusDrafter(DraftStore(self.vocabulary.hash)),
        ]
        return Speculator(self.vocabulary, drafters)

    def play(self, recordings: Sequence[Recording], sources: frozenset[Source]) -> Score:
        """All recordings, one after the other, with some sources."""
        speculator = self.speculator()
        score = Score()
        costs = 1.0 + 0.02 * np.arange(speculator.max_nodes + 1)
        for recording in recordings:
            key, matcher = "", None
            if recording.schema is not None:
                key, grammar = self.grammar(recording.schema)
                matcher = Matcher(grammar)
            session = speculator.begin(
                self.encode(recording.prompt),
                DraftScope(grammar_key=key),
                SpeculationOptions(sources=sources),
            )
            output = [*self.encode(recording.answer), self.vocabulary.stop_ids[0]]
            done = 0
            while done < len(output):
                started = time.process_time()
                tree = session.propose(matcher, costs=costs, max_tokens=len(output) - done - 1)
                score.seconds += time.process_time() - started
                accepted = followed(tree, output[done:])
                new = output[done : done + len(accepted) + 1]
                started = time.process_time()
                session.observe(tree, accepted, new)
                score.seconds += time.process_time() - started
                if matcher is not None and not matcher.accept_tokens(new):
                    raise SystemExit(f"the recording does not fit its schema: {recording}")
                done += len(new)
                score.costs += float(costs[tree.num_nodes])
            session.finish()
            score.tokens += len(output)
            score.steps += session.usage.steps
            score.drafted += session.usage.drafted
            score.accepted += session.usage.accepted
            for source, usage in session.usage.by_source.items():
                score.by_source[source] = score.by_source.get(source, 0) + usage.accepted
        return score


def followed(tree: DraftTree, output: Sequence[int]) -> list[int]:
    """The nodes that the output goes through; its last token is never a draft's."""
    accepted: list[int] = []
    node = ROOT
    for token_id in output[:-1]:
        below = np.flatnonzero((tree.parents == node) & (tree.token_ids == token_id))
        if below.size == 0:
            break
        node = int(below[0])
        accepted.append(node)
    return accepted


class Score:
    """Sums over a workload."""

    def __init__(self) -> None:
        self.tokens = self.steps = self.drafted = self.accepted = 0
        self.costs = self.seconds = 0.0
        self.by_source: dict[Source, int] = {}

    def __str__(self) -> str:
        shares = " ".join(
            f"{source} {count / self.tokens:.0%}" for source, count in self.by_source.items()
        )
        return (
            f"{self.tokens / self.steps:5.2f} tokens/step  {self.tokens / self.costs:5.2f} per cost"
            f"  {self.drafted / self.steps:5.1f} drafted/step"
            f"  {self.accepted / max(self.drafted, 1):4.0%} accepted"
            f"  {1e6 * self.seconds / self.steps:5.0f} us/step  {shares}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=60, help="recordings of each workload")
    parser.add_argument("--workload", choices=WORKLOADS, help="this one only")
    arguments = parser.parse_args()
    player = Player()
    everything = frozenset(SOURCES)
    for name, workload in WORKLOADS.items():
        if arguments.workload not in (None, name):
            continue
        recordings = list(islice(workload(), arguments.requests))
        player.play(recordings[:3], everything)  # compile kernels and grammars
        print(f"{name}: {arguments.requests} requests")
        print(f"  {'all':18}{player.play(recordings, everything)}")
        for source in SOURCES:
            print(f"  {'without ' + source:18}{player.play(recordings, everything - {source})}")
        for source in SOURCES:
            print(f"  {source + ' only':18}{player.play(recordings, frozenset([source]))}")


if __name__ == "__main__":
    main()
