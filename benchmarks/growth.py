"""How cost grows: vocabulary, grammar size, output length, nesting depth, batch (`make growth`).

Every curve is measured on this engine alone, first use and second use apart, beside the floor: copying
the rows, which no engine that hands out masks can avoid. Numbers go to ``docs/performance/growth.json``,
pictures beside it, and the tables of ``docs/performance.md`` are written between their markers.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench_masks
import measure
import named_cases
import numpy as np
import peers
import vocabularies
from measure import MIB, average, decode, percentile, shown

from syntagma.decoding import Matcher
from syntagma.grammar import CompiledGrammar, GrammarCompiler, Vocabulary

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = Path(__file__).resolve().parent / "schemas"

VOCABULARIES = ("tekken-32k", "tekken", "tekken-200k")
FACTORS = (1, 2, 4, 8, 16, 32, 64)
DEPTHS = (1, 3, 10, 30, 100, 300, 1000)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NUM_TOKENS = 20_000
WINDOW = 1000

KINDS: tuple[tuple[dict[str, Any], Any], ...] = (
    ({"type": "string"}, "some words here"),
    ({"type": "integer"}, 1234),
    ({"type": "boolean"}, True),
    ({"type": "array", "items": {"type": "number"}}, [1.5, 2]),
    ({"enum": ["low", "medium", "high"]}, "medium"),
)
PROPERTIES = 10


@dataclass(frozen=True)
class Curve:
    """Numbers over one growing size; ``lines`` are y values by name, ``extra`` go in the table only."""

    name: str
    x_name: str
    y_name: str
    x: list[int]
    lines: dict[str, list[float]]
    extra: dict[str, list[float]]
    is_logarithmic: bool = True


def us(nanoseconds: float) -> float:
    """Nanoseconds -> microseconds."""
    return nanoseconds / 1e3


def best_of(action: Callable[[], object], *, rounds: int, calls: int) -> float:
    """The least mean time of a call over some rounds, microseconds: what the work itself takes."""
    times = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(calls):
            action()
        spent = min(time.perf_counter_ns() - wall, time.process_time_ns() - cpu)
        times.append(spent / calls)
    return us(min(times))


def row_copy_us(num_words: int, num_rows: int = 1) -> float:
    """Copying so many rows of masks from rows that lie apart, microseconds."""
    source = np.ones((max(512, num_rows), num_words), np.int32)
    target = np.zeros((num_rows, num_words), np.int32)
    picks = np.random.default_rng(0).permutation(len(source))[:num_rows]
    pairs = [(target[row], source[pick]) for row, pick in enumerate(picks)]

    def copy() -> None:
        for destination, origin in pairs:
            destination[:] = origin

    return best_of(copy, rounds=7, calls=max(10, 2000 // num_rows))


def bandwidth_bytes_per_us() -> float:
    """What one core copies when no cache helps, bytes read per microsecond."""
    source = np.ones(32 * MIB, np.uint8)
    target = np.zeros_like(source)
    return len(source) / best_of(lambda: np.copyto(target, source), rounds=15, calls=1)


# -------------------------------------------------------------------------------------- curves


def vocabulary_curve(names: Sequence[str], num_cases: int | None = None) -> Curve:
    """The schemas of this folder with each vocabulary, a new process each."""
    sizes: list[int] = []
    lines = new_lines("first use p50", "first use avg", "second use p50")
    extra = new_lines("TTFM p50", "TTFM p99", "resident MiB")
    floor = []
    for name in names:
        loaded = vocabularies.load(name)
        run = measure.run_interleaved(
            bench_masks.read_schemas(SCHEMAS, num_cases), [peers.OURS], name
        )
        outcomes = [o for o in run.outcomes[peers.OURS].values() if o.status == "ok"]
        sizes.append(loaded.size)
        add_use(
            lines,
            [ns for o in outcomes for ns in o.steps()],
            [ns for o in outcomes for ns in o.steps("second")],
        )
        times = [o.ttfm_ns for o in outcomes if o.ttfm_ns is not None]
        extra["TTFM p50"].append(us(percentile(times, 50)))
        extra["TTFM p99"].append(us(percentile(times, 99)))
        extra["resident MiB"].append(max((o.resident for o in outcomes), default=0) / MIB)
        floor.append(row_copy_us(loaded.words))
    lines["floor: row copy"] = floor
    return Curve("vocabulary", "tokens in the vocabulary", "µs a token", sizes, lines, extra)


def new_lines(*names: str) -> dict[str, list[float]]:
    """Empty lines of a curve."""
    return {name: [] for name in names}


def add_use(lines: dict[str, list[float]], first: list[int], second: list[int]) -> None:
    """Append the figures of one point, from nanoseconds of single steps."""
    lines["first use p50"].append(us(percentile(first, 50)))
    lines["first use avg"].append(us(average(first)))
    lines["second use p50"].append(us(percentile(second, 50)))


class Decoder:
    """Compiles and decodes in this process."""

    def __init__(self, name: str) -> None:
        self.vocabulary = vocabularies.load(name)
        self.engine = peers.build(peers.OURS, self.vocabulary)

    def compiled(self, schema: Any) -> tuple[peers.BenchMatcher, float]:
        """A matcher and the microseconds of compilation and first mask."""
        text = json.dumps(schema)
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        matcher = self.engine.compile(text, "json_schema")
        matcher.mask()
        spent = min(time.perf_counter_ns() - wall, time.process_time_ns() - cpu)
        return matcher, us(spent)

    def steps(self, matcher: peers.BenchMatcher, text: str) -> list[int]:
        """Nanoseconds of each token of a text; ValueError if the text is refused."""
        decoded = decode(matcher.fresh(), self.vocabulary.encode(text), True)
        if not decoded.accepted:
            raise ValueError(f"refused at token {len(decoded.step_ns)}: {text[:80]!r}...")
        return decoded.step_ns


def grammar_curve(decoder: Decoder, factors: Sequence[int]) -> Curve:
    """Closed objects with 10 required properties times the factor, names all different."""
    lines = new_lines("first use p50", "first use avg", "second use p50")
    extra = new_lines("TTFM")
    for factor in factors:
        names = [
            f"{chr(97 + number % 26)}_{factor}_{number}" for number in range(PROPERTIES * factor)
        ]
        schema = {
            "type": "object",
            "properties": {name: KINDS[n % len(KINDS)][0] for n, name in enumerate(names)},
            "required": names,
            "additionalProperties": False,
        }
        text = json.dumps({name: KINDS[n % len(KINDS)][1] for n, name in enumerate(names)})
        matcher, ttfm_us = decoder.compiled(schema)
        extra["TTFM"].append(ttfm_us)
        add_use(lines, decoder.steps(matcher, text), decoder.steps(matcher, text))
    return Curve("grammar", "properties (times 10)", "µs a token", list(factors), lines, extra)


def length_curve(decoder: Decoder, num_tokens: int, window: int) -> Curve:
    """One long output, a list of records: time by position, in windows."""
    record = {
        "type": "object",
        "properties": {f"field_{n}": kind for n, (kind, _) in enumerate(KINDS)},
        "required": [f"field_{n}" for n in range(len(KINDS))],
        "additionalProperties": False,
    }
    one = json.dumps({f"field_{n}": value for n, (_, value) in enumerate(KINDS)})
    tokens_each = len(decoder.vocabulary.encode(one + ", "))
    text = "[" + ", ".join([one] * (num_tokens // tokens_each + 1)) + "]"
    matcher, _ = decoder.compiled({"type": "array", "items": record})
    steps = {
        name: decoder.steps(matcher, text)[:num_tokens] for name in ("first use", "second use")
    }
    starts = range(0, min(num_tokens, len(steps["first use"])), window)
    lines = {
        f"{name} {figure}": [us(of(values[start : start + window])) for start in starts]
        for name, values in steps.items()
        for figure, of in (("p50", lambda part: percentile(part, 50)), ("avg", average))
    }
    return Curve(
        "length", "position in the output, tokens", "µs a token", list(starts), lines, {}, False
    )


def depth_curve(decoder: Decoder, depths: Sequence[int]) -> Curve:
    """Objects and arrays nested through ``$ref``: a text as deep as asked for."""
    lines = new_lines("first use p50", "first use avg", "second use p50")
    extra = new_lines("tokens")
    schema = json.loads(named_cases.deep_recursion(()).sources["json_schema"])
    for depth in depths:
        # Compiled anew: what the last depth has left behind would make this one second use.
        matcher, _ = decoder.compiled(schema)
        text = named_cases.nested_text(depth)
        first = decoder.steps(matcher, text)
        add_use(lines, first, decoder.steps(matcher, text))
        extra["tokens"].append(len(first))
    return Curve("depth", "nesting depth", "µs a token", list(depths), lines, extra)


def batch_fill(grammars: list[Matcher], bitmask: np.ndarray[Any, Any]) -> Callable[[], object]:
    """Fill one row for each matcher: with the batch call where there is one."""
    if find_spec("syntagma.decoding.batch") is not None:
        from importlib import import_module

        fill = import_module("syntagma.decoding.batch").fill_bitmasks
        rows = list(range(len(grammars)))
        return lambda: fill(grammars, bitmask, rows)

    def loop() -> None:
        for row, matcher in enumerate(grammars):
            matcher.fill_bitmask(bitmask, row)

    return loop


def batch_curve(decoder: Decoder, batches: Sequence[int]) -> Curve:
    """All rows of a step: matchers spread over one output, whose states are known already."""
    vocabulary = Vocabulary(decoder.vocabulary.vocab, stop_ids=[decoder.vocabulary.eos_id])
    schema = json.loads((SCHEMAS / "invoice.json").read_text(encoding="utf-8"))
    grammar = GrammarCompiler(vocabulary).compile_json_schema(schema["schema"])
    text = json.dumps(schema["tests"][0]["data"])
    matchers = spread_matchers(grammar, decoder.vocabulary.encode(text), max(batches))
    bytes_per_us = bandwidth_bytes_per_us()
    lines = new_lines("fill", "floor: row copies", "copy from main memory")
    extra = new_lines("µs a row")
    for batch in batches:
        bitmask = np.zeros((batch, vocabulary.num_words), np.int32)
        fill = batch_fill(matchers[:batch], bitmask)
        fill()
        lines["fill"].append(best_of(fill, rounds=7, calls=max(5, 1000 // batch)))
        lines["floor: row copies"].append(row_copy_us(vocabulary.num_words, batch))
        lines["copy from main memory"].append(bitmask.nbytes / bytes_per_us)
        extra["µs a row"].append(lines["fill"][-1] / batch)
    return Curve("batch", "rows in the batch", "µs a step", list(batches), lines, extra)


def spread_matchers(grammar: CompiledGrammar, token_ids: list[int], count: int) -> list[Matcher]:
    """``count`` matchers, each a token further than the last, round and round the text."""
    matchers, matcher = [], Matcher(grammar)
    for number in range(count):
        position = number % len(token_ids)
        if position == 0:
            matcher = Matcher(grammar)
        matchers.append(matcher.fork())
        if not matcher.accept_token(token_ids[position]):
            raise ValueError(f"token {position} of the text is refused")
    return matchers


# -------------------------------------------------------------------------------------- output


def table(curve: Curve) -> str:
    """A curve's numbers as Markdown."""
    columns = {**curve.lines, **curve.extra}
    rows = [
        [f"{x:,}", *(shown(values[number]) for values in columns.values())]
        for number, x in enumerate(curve.x)
    ]
    return measure.markdown_table([curve.x_name, *columns], rows)


def draw(curve: Curve, path: Path) -> None:
    """A curve as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    for name, values in curve.lines.items():
        is_floor = name.startswith("floor")
        axes.plot(curve.x, values, "--" if is_floor else "o-", markersize=3, label=name)
    if curve.is_logarithmic:
        axes.set_xscale("log", base=2 if curve.name in ("batch", "grammar") else 10)
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curve.x_name)
    axes.set_ylabel(curve.y_name)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def between_markers(text: str, name: str, content: str) -> str:
    """Replace what stands between a name's markers.

    Raises:
        ValueError: the text does not have both markers.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no markers {begin} ... {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


def environment(vocabulary: str) -> dict[str, str]:
    """Where the numbers come from."""
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = f"{len(names)} × {names[0]}" if names else processor
    versions = {name: version(name) for name in ("syntagma", "numba", "numpy")}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor,
        "python": platform.python_version(),
        "vocabulary": vocabulary,
        **versions,
    }


def write(curves: Sequence[Curve], where: dict[str, str], folder: Path, page: Path) -> None:
    """Numbers, pictures and tables."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"environment": where, "curves": [asdict(curve) for curve in curves]}
    (folder / "growth.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    described = ", ".join(f"{name} {value}" for name, value in where.items())
    text = between_markers(text, "environment", f"Measured with {described}.")
    for curve in curves:
        draw(curve, folder / f"{curve.name}.png")
        text = between_markers(text, curve.name, table(curve))
    page.write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all curves and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", choices=vocabularies.NAMES, default="tekken")
    parser.add_argument("--vocabularies", nargs="+", default=list(VOCABULARIES))
    parser.add_argument("--factors", nargs="+", type=int, default=list(FACTORS))
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--tokens", type=int, default=NUM_TOKENS)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--cases", type=int, help="only so many schemas for the vocabulary curve")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "performance")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    arguments = parser.parse_args(argv)
    decoder = Decoder(arguments.vocabulary)
    # Kernels are compiled before anything is measured, and read from numba's cache in this process too.
    measure.fill_kernel_cache(
        [*bench_masks.read_schemas(SCHEMAS), named_cases.deep_recursion((2,))]
    )
    depth_curve(decoder, [2])
    curves = []
    for curve in (
        lambda: vocabulary_curve(arguments.vocabularies, arguments.cases),
        lambda: grammar_curve(decoder, arguments.factors),
        lambda: length_curve(decoder, arguments.tokens, arguments.window),
        lambda: depth_curve(decoder, arguments.depths),
        lambda: batch_curve(decoder, arguments.batches),
    ):
        curves.append(curve())
        print(f"\n{curves[-1].name}\n\n{table(curves[-1])}", flush=True)
    write(curves, environment(arguments.vocabulary), arguments.folder, arguments.page)


if __name__ == "__main__":
    main()
