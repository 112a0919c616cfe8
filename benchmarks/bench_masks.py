"""Masks against llguidance and xgrammar: `make bench`.

Three tables, each from one interleaved run (see `measure`): schemas, named hard cases, context-free
grammars. Without ``--data`` the schemas are those of ``benchmarks/schemas``; with it, the files of a folder
in MaskBench's format: ``{"schema": ..., "tests": [{"data": ..., "valid": true}, ...]}``.

Figures are microseconds. TTFM is compilation plus first mask; TBM is mask plus accept of one token, on
first use of the grammar; "second use" decodes the same texts again. Ratios are computed within a
repetition and then the median is taken.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cfg_cases
import measure
import named_cases
import peers
import vocabularies
from measure import MIB, Case, Outcome, Run, average, median, percentile, shown

SCHEMAS = Path(__file__).resolve().parent / "schemas"
SECTIONS = ("schemas", "named", "cfg")
BETTER = "the better peer"


@dataclass(frozen=True)
class Figure:
    """A row of the first table: a number per engine, and what is asked of ours.

    ``must`` and ``aim`` are upper bounds: of our number divided by ``against`` (an engine, or the smaller
    of the peers' numbers), or of our number itself if ``against`` is None.
    """

    name: str
    of: Callable[[list[Outcome]], float]
    against: str | None = BETTER
    must: float | None = None
    aim: float | None = None


def tbm(percent: float) -> Callable[[list[Outcome]], float]:
    """A percentile of mask + accept over all tokens, first use, microseconds."""
    return lambda outcomes: percentile([ns for o in outcomes for ns in o.steps()], percent) / 1e3


def tbm_average(outcomes: list[Outcome]) -> float:
    """The mean of mask + accept over all tokens, first use, microseconds."""
    return average([ns for o in outcomes for ns in o.steps()]) / 1e3


def ttfm(percent: float) -> Callable[[list[Outcome]], float]:
    """A percentile of compilation + first mask over the cases, microseconds."""
    return lambda outcomes: percentile([o.ttfm_ns for o in outcomes if o.ttfm_ns], percent) / 1e3


def second_use(outcomes: list[Outcome]) -> float:
    """The median of mask + accept over all tokens, second use, microseconds."""
    return percentile([ns for o in outcomes for ns in o.steps("second")], 50) / 1e3


FIGURES = (
    Figure("TBM p50", tbm(50), must=0.6, aim=0.3),
    Figure("TBM avg", tbm_average, must=0.5, aim=0.25),
    Figure("TBM p90", tbm(90)),
    Figure("TBM p99", tbm(99), must=0.5, aim=0.25),
    Figure("TBM p99.9", tbm(99.9)),
    Figure("TBM max", tbm(100), must=1.0),
    Figure("TTFM p50", ttfm(50), "llguidance", must=0.5, aim=0.2),
    Figure("TTFM p99", ttfm(99), "llguidance", must=0.6, aim=0.25),
    Figure("second use p50", second_use, None, must=1.5, aim=0.6),
)
# The bound on memory is for the whole split, over all cases in the order of the run.
MEMORY_MUST, MEMORY_AIM = 400, 200
MAX_TBM_AIM_US = 1000.0


def read_schemas(folder: Path, limit: int | None = None) -> list[Case]:
    """The cases of a folder by name; with a limit, evenly spread ones.

    Raises:
        ValueError: no JSON file there.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"{folder} holds no .json files")
    if limit is not None and limit < len(paths):
        paths = [paths[number * len(paths) // limit] for number in range(limit)]
    cases = []
    for path in paths:
        data = json.loads(path.read_text(encoding="utf-8"))
        texts = [(as_text(test["data"]), bool(test["valid"])) for test in data["tests"]]
        cases.append(Case(path.stem, {"json_schema": as_text(data["schema"])}, [*texts]))
    return cases


def as_text(value: Any) -> str:
    """JSON as models write it; lone surrogates, which UTF-8 cannot hold, as escapes."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


# ------------------------------------------------------------------------------------- tables


def outcomes_of(run: Run, engine: str, names: Sequence[str]) -> list[Outcome]:
    """An engine's outcomes of the named cases."""
    return [run.outcomes[engine][name] for name in names]


def ratio(run: Run, figure: Figure, names: Sequence[str]) -> float:
    """Ours divided by what the figure is compared with, or ours itself; nan without that peer."""
    ours = figure.of(outcomes_of(run, peers.OURS, names))
    if figure.against is None:
        return ours
    engines = [
        e
        for e in run.outcomes
        if e in (peers.PEERS if figure.against == BETTER else [figure.against])
    ]
    others = [figure.of(outcomes_of(run, engine, names)) for engine in engines]
    return ours / min(others) if others else float("nan")


def verdict(value: float, must: float | None, aim: float | None) -> str:
    """``aim``, ``must`` or ``missed``: the best bound that the value keeps."""
    if math.isnan(value) or (must is None and aim is None):
        return ""
    if aim is not None and value <= aim:
        return "aim"
    return "must" if must is not None and value <= must else "missed"


def bound(value: float | None, against: str | None) -> str:
    """A bound for reading."""
    if value is None:
        return ""
    return f"≤ {value:g} µs" if against is None else f"≤ {value:g} ×"


def speed_table(runs: Sequence[Run]) -> str:
    """The issue's table: medians over the repetitions, over the cases that all engines finished."""
    engines = list(runs[0].outcomes)
    commons = [run.common() for run in runs]
    rows = []
    for figure in FIGURES:
        values = {
            engine: median(
                figure.of(outcomes_of(run, engine, names))
                for run, names in zip(runs, commons, strict=True)
            )
            for engine in engines
        }
        ratios = [ratio(run, figure, names) for run, names in zip(runs, commons, strict=True)]
        middle = median(ratios)
        kept = verdict(middle, figure.must, figure.aim)
        aim = bound(figure.aim, figure.against)
        if figure.name == "TBM max":
            aim = "≤ 1 ms"
            kept = "aim" if values[peers.OURS] <= MAX_TBM_AIM_US else kept
        rows.append(
            [
                figure.name,
                *(shown(values[engine]) for engine in engines),
                "" if figure.against is None else f"{shown(middle)} ({figure.against})",
                bound(figure.must, figure.against),
                aim,
                kept,
            ]
        )
    resident = {
        engine: median(last_outcome(run, engine).resident / MIB for run in runs)
        for engine in engines
    }
    kept = verdict(resident[peers.OURS], MEMORY_MUST, MEMORY_AIM)
    rows.append(
        [
            "resident MiB",
            *(shown(resident[engine]) for engine in engines),
            "",
            f"≤ {MEMORY_MUST}",
            f"≤ {MEMORY_AIM}",
            kept,
        ]
    )
    return measure.markdown_table(["µs", *engines, "ratio", "must", "aim", "kept"], rows)


def last_outcome(run: Run, engine: str) -> Outcome:
    """The outcome after which the engine's process had seen everything."""
    return max(run.outcomes[engine].values(), key=lambda outcome: outcome.peak)


def correctness_table(run: Run) -> str:
    """What was accepted and refused, over all cases of one repetition."""
    rows: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        rows.setdefault(name, []).append(value)

    for by_name in run.outcomes.values():
        outcomes = list(by_name.values())
        add("cases", str(len(outcomes)))
        add("all texts right", str(sum(o.is_right for o in outcomes)))
        for status in ("refused", "unknown kind", "timeout", "crash"):
            add(status, str(sum(o.status == status for o in outcomes)))
        texts = [text for o in outcomes for text in o.first]
        for expected, name in ((True, "valid texts accepted"), (False, "invalid texts refused")):
            known = [text for text in texts if text.expected is expected]
            add(name, f"{sum(text.accepted is expected for text in known)}/{len(known)}")
        add("mask and accept disagree", str(sum(text.mismatches for text in texts)))
        add("tokens", f"{sum(len(text.step_ns) for text in texts):,}")
    return measure.markdown_table(
        ["", *run.outcomes], [[name, *values] for name, values in rows.items()]
    )


def case_row(
    label: str, figure: str, runs: Sequence[Run], columns: Sequence[tuple[str, str]]
) -> list[str]:
    """One figure of one case for (engine, case) columns, and our ratio to the best other column."""
    of = {
        "TTFM": ttfm(50),
        "TBM avg": tbm_average,
        "TBM p50": tbm(50),
        "TBM p99": tbm(99),
        "second use p50": second_use,
    }[figure]
    values = [median(of([run.outcomes[engine][name]]) for run in runs) for engine, name in columns]
    ours = [
        v
        for v, (engine, _) in zip(values, columns, strict=True)
        if engine == peers.OURS and not math.isnan(v)
    ]
    others = [
        v
        for v, (engine, _) in zip(values, columns, strict=True)
        if engine != peers.OURS and not math.isnan(v)
    ]
    quotient = shown(max(ours) / min(others)) if ours and others else "–"
    cells = [
        shown(value) + status_note(runs[-1].outcomes[engine][name])
        for value, (engine, name) in zip(values, columns, strict=True)
    ]
    return [label, figure, *cells, quotient]


def status_note(outcome: Outcome) -> str:
    """What to know about a number: an outcome that is not simply right."""
    if outcome.status != "ok":
        return f" ({outcome.status})"
    return "" if outcome.is_right else " (wrong)"


def cases_table(runs: Sequence[Run], figures: Sequence[str]) -> str:
    """Every case with some figures: ours beside the peers."""
    engines = list(runs[0].outcomes)
    rows = [
        case_row(name, figure, runs, [(engine, name) for engine in engines])
        for name in runs[0].outcomes[engines[0]]
        for figure in figures
    ]
    return measure.markdown_table(["case", "µs", *engines, "ratio"], rows)


# ------------------------------------------------------------------------------- command line


def cases_of(section: str, arguments: argparse.Namespace) -> list[Case]:
    """The cases of one section."""
    if section == "schemas":
        return read_schemas(arguments.data or SCHEMAS, arguments.limit)
    if section == "named":
        return named_cases.named_cases()
    return [
        cfg_cases.cfg_case(language, wording, arguments.texts)
        for language in cfg_cases.LANGUAGES
        for wording in cfg_cases.WORDINGS
    ]


def kernel_cases(section: str) -> list[Case]:
    """Small cases that between them need every kernel that a section does."""
    if section == "cfg":
        return [cfg_cases.cfg_case(language, "plain", 2) for language in cfg_cases.LANGUAGES]
    return read_schemas(SCHEMAS) if section == "schemas" else named_cases.named_cases()


def jit_warning(runs: Sequence[Run]) -> str:
    """A line for the reader if kernels were compiled during a run."""
    outcomes = [o for run in runs for by_name in run.outcomes.values() for o in by_name.values()]
    if not any(outcome.num_jit for outcome in outcomes):
        return ""
    return "\n\n**Kernels were compiled meanwhile, which takes seconds: run this again.**"


def report(section: str, runs: Sequence[Run], arguments: argparse.Namespace) -> str:
    """The tables of one section as Markdown."""
    if section == "schemas":
        source = "benchmarks/schemas" if arguments.data is None else "the folder given as --data"
        common = len(runs[0].common())
        return (
            f"## Schemas of {source}\n\nOver the {common} of {len(next(iter(runs[0].outcomes.values())))} "
            f"schemas that every engine finished; resident memory after all of them.\n\n"
            f"{speed_table(runs)}\n\n{correctness_table(runs[-1])}"
        )
    if section == "named":
        figures = ("TTFM", "TBM avg", "TBM p50", "TBM p99", "second use p50")
        return f"## Named cases\n\n{cases_table(runs, figures)}"
    figures = ("TTFM", "TBM p50", "TBM p99", "second use p50")
    return (
        "## Context-free grammars\n\nllguidance reads Lark, the others EBNF; a new process for each.\n\n"
        f"{cases_table(runs, figures)}"
    )


def rows_as_json(section: str, repetition: int, run: Run) -> list[str]:
    """Everything that was measured, one line a case and engine."""
    return [
        json.dumps(
            {
                "section": section,
                "repetition": repetition,
                "case": outcome.case,
                "engine": engine,
                "status": outcome.status,
                "error": outcome.error,
                "ttfm_ns": outcome.ttfm_ns,
                "resident": outcome.resident,
                "first": [vars(text) for text in outcome.first],
                "second_ns": outcome.steps("second"),
            }
        )
        for engine, by_name in run.outcomes.items()
        for outcome in by_name.values()
    ]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of schemas in MaskBench's format")
    parser.add_argument("--limit", type=int, help="only so many schemas, evenly spread")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--engines", nargs="+", choices=list(peers.CLASSES), default=None)
    parser.add_argument("--vocabulary", choices=vocabularies.NAMES, default="tekken")
    parser.add_argument("--repetitions", type=int, default=1, help="whole runs, in new processes")
    parser.add_argument("--texts", type=int, default=20, help="valid texts of each CFG case")
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds for one case")
    parser.add_argument("--rows", type=Path, help="write every measurement to this .jsonl file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    arguments = parse_arguments(argv)
    engines = arguments.engines or [name for name in peers.CLASSES if peers.is_installed(name)]
    lines: list[str] = []
    measure.fill_kernel_cache([case for name in arguments.sections for case in kernel_cases(name)])
    for section in arguments.sections:
        cases = cases_of(section, arguments)
        runs = []
        for repetition in range(arguments.repetitions):
            run = measure.run_interleaved(
                cases,
                engines,
                arguments.vocabulary,
                seconds=arguments.seconds,
                fresh_process=section == "cfg",
                progress=lambda text: print(text, file=sys.stderr, flush=True),
            )
            lines += rows_as_json(section, repetition, run)
            runs.append(run)
        if section == arguments.sections[0]:
            versions = ", ".join(f"{name} {text}" for name, text in runs[0].versions.items())
            print(
                f"{versions}; {arguments.vocabulary} vocabulary; {platform.machine()}, Python "
                f"{platform.python_version()}; {arguments.repetitions} repetition(s); the clocks alone "
                f"take {runs[0].clock_ns / 1e3:.2f} µs of every step"
            )
        print(f"\n{report(section, runs, arguments)}{jit_warning(runs)}", flush=True)
    if arguments.rows is not None:
        arguments.rows.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
