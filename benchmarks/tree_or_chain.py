"""Does it pay to verify trees? Accepted drafts of the best tree against the best chain, at equal size.

    make tree-or-chain ARGS="--tasks 40"

The demo model (or --model) answers four workloads, greedily and at temperature 0.8, without drafts. Its outputs are
then drafted again, step by step, from all sources: once with trees, once with chains, of 8, 16, 32 and 64 nodes, every
node used. A draft stands as far as the output has the same tokens, which is what verification would have accepted.
No forward pass is saved or timed here: the figures are tokens a pass.

What recycling learns is the model's likeliest successors after each token of the output; after drafted tokens that
did not stand it learns nothing here, as in an engine that verifies chains.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from speculation_workloads import new_parser, prompt_of, tasks

from syntagma.decoding import Matcher
from syntagma.decoding.draft_sources import new_speculator
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, DraftTree
from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.decoding.engine import GenerationRequest, SamplingParams
from syntagma.decoding.speculation import Speculator
from syntagma.decoding.tree_merging import subtree
from syntagma.grammar import CompiledGrammar, GrammarCompiler

SIZES = (8, 16, 32, 64)
TEMPERATURES = (0.0, 0.8)
NUM_SUCCESSORS = 8
# Below this gain chains are what a server should verify.
WORTHWHILE = 1.1


@dataclass(frozen=True)
class Recorded:
    """One output of the model.

    Attributes:
        successors, probabilities: the likeliest tokens at each place of the output.
    """

    prompt: tuple[int, ...]
    grammar: CompiledGrammar | None
    token_ids: tuple[int, ...]
    successors: NDArray[np.int32]
    probabilities: NDArray[np.float64]


async def record(
    engine: EmbeddedEngine, workload: str, num_tasks: int, temperature: float, max_tokens: int
) -> list[Recorded]:
    """Outputs without drafts."""
    compiler = GrammarCompiler(engine.vocabulary)
    found = []
    for number, task in enumerate(tasks(workload, num_tasks)):
        grammar = None if task.schema is None else compiler.compile_json_schema(task.schema)
        request = GenerationRequest(
            request_id=f"{workload}-{number}",
            prompt_token_ids=prompt_of(engine.tokenizer, task),
            sampling=SamplingParams(
                temperature=temperature, seed=number, max_tokens=max_tokens, logprobs=NUM_SUCCESSORS
            ),
            grammar=grammar,
        )
        deltas = [delta async for delta in engine.generate(request)]
        places = [place for delta in deltas for place in delta.logprobs]
        found.append(
            Recorded(
                request.prompt_token_ids,
                grammar,
                tuple(token_id for delta in deltas for token_id in delta.token_ids),
                np.array([[top[0] for top in place.top] for place in places], np.int32),
                np.exp([[top[2] for top in place.top] for place in places]),
            )
        )
    return found


def steps(recorded: Recorded, speculator: Speculator, max_nodes: int) -> Iterator[int]:
    """How many drafted tokens stand in each pass over an output."""
    session = speculator.begin(recorded.prompt, scope_of(recorded))
    matcher = None if recorded.grammar is None else Matcher(recorded.grammar)
    costs = np.ones(max_nodes + 1)
    # The first token comes with the prompt.
    accepted, tree = [], EMPTY_TREE
    done = 0
    while done < len(recorded.token_ids):
        new = recorded.token_ids[done : done + len(accepted) + 1]
        rows = slice(done, done + len(new))
        if matcher is not None:
            matcher.accept_tokens(new)
        # Only what stood has been read, as far as it is recorded.
        read = subtree(tree, np.array(accepted, np.int64)) if accepted else EMPTY_TREE
        session.observe(
            read,
            list(range(len(accepted))),
            new,
            recorded.successors[rows],
            recorded.probabilities[rows],
        )
        if done:
            yield len(accepted)
        done += len(new)
        room = len(recorded.token_ids) - done - 1
        if room < 0:
            break
        tree = session.propose(matcher, costs=costs, max_tokens=room)
        accepted = standing(tree, recorded.token_ids[done : done + room])
    session.finish()


def scope_of(recorded: Recorded) -> DraftScope:
    return DraftScope(grammar_key="" if recorded.grammar is None else recorded.grammar.hash)


def standing(tree: DraftTree, token_ids: Sequence[int]) -> list[int]:
    """The nodes that agree with what came."""
    children = tree.children()
    node, found = ROOT, []
    for token_id in token_ids:
        same = [c for c in children.get(node, []) if tree.token_ids[c] == token_id]
        if not same:
            break
        node = same[0]
        found.append(node)
    return found


def tokens_per_pass(
    outputs: Sequence[Recorded], engine: EmbeddedEngine, max_nodes: int, *, chains_only: bool
) -> float:
    """Over all outputs, one after the other, so that later ones are drafted from earlier ones as well."""
    speculator = new_speculator(
        engine.vocabulary, engine.tokenizer, chains_only, max_nodes=max_nodes
    )
    counts = [count for recorded in outputs for count in steps(recorded, speculator, max_nodes)]
    return 1 + sum(counts) / len(counts)


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    engine = EmbeddedEngine.from_pretrained(options.model, device=options.device)
    await engine.start()
    rows = []
    print(f"{'':12}{'temperature':>12}{'nodes':>7}{'chain':>8}{'tree':>8}{'gain':>8}")
    for workload in options.workloads:
        for temperature in TEMPERATURES:
            outputs = await record(engine, workload, options.tasks, temperature, options.max_tokens)
            for size in SIZES:
                chain = tokens_per_pass(outputs, engine, size, chains_only=True)
                tree = tokens_per_pass(outputs, engine, size, chains_only=False)
                rows.append(
                    {
                        "workload": workload,
                        "temperature": temperature,
                        "nodes": size,
                        "chain": chain,
                        "tree": tree,
                    }
                )
                gain = tree / chain
                mark = "" if gain < WORTHWHILE else "  trees pay"
                print(
                    f"{workload:12}{temperature:12}{size:7}{chain:8.2f}{tree:8.2f}{gain:8.2f}{mark}",
                    flush=True,
                )
    await engine.shutdown()
    return rows


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__, num_tasks=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", help="write the figures here, too")
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> None:
    rows = asyncio.run(measure(options))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(parse())
