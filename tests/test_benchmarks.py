"""The scripts of `benchmarks/` run, on a toy vocabulary and at tiny sizes, and count right."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import bench_masks
import cfg_cases
import growth
import hostile
import measure
import named_cases
import peers
import python_files
import startup
import tree_or_chain
import vllm_speculation
import vocabularies

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}})
CASE = measure.Case("toy", {"json_schema": SCHEMA}, [('{"a": 12}', True), ('{"a": "x"}', False)])


class WrongEngine:
    """Allows every token by mask and accepts none but ``{``: everything a report has to notice."""

    version = "0"
    kinds = ("json_schema",)

    def __init__(self, words: int) -> None:
        self.bits = np.full(words, -1, np.int32)

    def compile(self, text: str, kind: str) -> WrongEngine:
        if text == "{}":
            raise ValueError("not this one")
        return self

    def mask(self) -> None: ...

    def accept(self, token_id: int) -> bool:
        return token_id == ord("{")

    def is_accepting(self) -> bool:
        return True

    def fresh(self) -> WrongEngine:
        return self


def outcome_of(engine: Any, case: measure.Case) -> measure.Outcome:
    """Run a case in this process."""
    encode = vocabularies.load("bytes").encode
    outcome = measure.Outcome(case.name, "x", "crash")
    encoded = [(encode(text), expected) for text, expected in case.texts]
    for name, value in measure.run_case(engine, encoded, case):
        if name in ("first", "second"):
            getattr(outcome, name).append(value)
        else:
            setattr(outcome, name, value)
    return outcome


def test_our_engine_gets_a_case_right() -> None:
    outcome = outcome_of(peers.build(peers.OURS, vocabularies.load("bytes")), CASE)
    assert outcome.status == "ok" and outcome.is_right
    assert [text.accepted for text in outcome.second] == [True, False]
    # The refused text ends with the first token that does not fit: {"a": and then the quote.
    assert [len(text.step_ns) for text in outcome.first] == [9, 7]
    assert sum(text.mismatches for text in outcome.first) == 0
    assert outcome.ttfm_ns is not None and min(outcome.steps()) > 0


def test_a_wrong_engine_is_noticed() -> None:
    engine = WrongEngine(vocabularies.load("bytes").words)
    outcome = outcome_of(engine, CASE)
    assert outcome.status == "ok" and not outcome.is_right
    assert [text.mismatches for text in outcome.first] == [1, 1]
    refused = outcome_of(engine, measure.Case("other", {"json_schema": "{}"}, []))
    assert refused.status == "refused" and "not this one" in refused.error
    unknown = outcome_of(engine, measure.Case("other", {"lark": "start: A"}, []))
    assert unknown.status == "unknown kind"


def test_a_worker_measures_in_its_own_process() -> None:
    run = measure.run_interleaved([CASE], [peers.OURS], "bytes")
    outcome = run.outcomes[peers.OURS]["toy"]
    assert outcome.status == "ok" and outcome.is_right
    # A clock that stands still between ticks would make steps of no time at all.
    assert run.clock_ns > 0 and min(outcome.steps()) > 0
    assert outcome.peak >= outcome.resident > measure.MIB
    assert run.common() == ["toy"]


def test_a_worker_that_takes_too_long_is_replaced() -> None:
    worker = measure.Worker(peers.OURS, "bytes", seconds=-1.0)
    assert worker.run(CASE).status == "timeout"
    worker.seconds = 20.0
    assert worker.run(CASE).is_right
    worker.stop()


@pytest.mark.parametrize(
    ("percent", "expected"), [(50.0, 5.0), (90.0, 9.0), (99.0, 10.0), (100.0, 10.0), (10.0, 1.0)]
)
def test_percentiles_are_nearest_ranks(percent: float, expected: float) -> None:
    assert measure.percentile(range(1, 11), percent) == expected
    assert math.isnan(measure.percentile([], percent))


def made_run(ours: list[int], theirs: list[int]) -> measure.Run:
    """A run of two engines whose steps took so many nanoseconds."""
    outcomes = {
        engine: {
            "toy": measure.Outcome(
                "toy", engine, "ok", ttfm_ns=max(steps), first=[text(steps)], second=[text(steps)]
            )
        }
        for engine, steps in ((peers.OURS, ours), ("llguidance", theirs))
    }
    return measure.Run(outcomes, {}, 1)


def text(steps: list[int]) -> measure.Decoded:
    return measure.Decoded(True, step_ns=steps)


def test_ratios_are_against_the_better_peer_and_judged() -> None:
    run = made_run([1000, 2000, 3000], [10_000, 5000, 5000])
    p50 = next(figure for figure in bench_masks.FIGURES if figure.name == "TBM p50")
    assert bench_masks.ratio(run, p50, ["toy"]) == pytest.approx(0.4)
    assert bench_masks.verdict(0.4, p50.must, p50.aim) == "must"
    assert bench_masks.verdict(0.3, p50.must, p50.aim) == "aim"
    assert bench_masks.verdict(0.61, p50.must, p50.aim) == "missed"
    assert bench_masks.verdict(math.nan, p50.must, p50.aim) == ""
    line = next(line for line in bench_masks.speed_table([run]).splitlines() if "TBM p50" in line)
    assert line.split("|")[2:5] == [" 2.00 ", " 5.00 ", " 0.40 (the better peer) "]


def test_schemas_of_the_repository_are_decoded_right() -> None:
    engine = peers.build(peers.OURS, vocabularies.load("bytes"))
    cases = bench_masks.read_schemas(BENCHMARKS / "schemas")
    assert len(cases) >= 10
    assert [case.name for case in cases if not outcome_of(engine, case).is_right] == []


def test_bench_prints_its_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    bench_masks.main(
        f"--engines {peers.OURS} --vocabulary bytes --sections schemas --limit 2 --rows {rows}".split()
    )
    printed = capsys.readouterr().out
    assert "| TBM p50 |" in printed and "| resident MiB |" in printed
    assert len(rows.read_text().splitlines()) == 2


def test_named_cases_have_names_and_texts() -> None:
    cases = named_cases.named_cases()
    assert len({case.name for case in cases}) == len(cases) >= 8
    assert all(case.texts for case in cases)
    assert named_cases.nested_text(3) == (
        '{"leaf": 2, "next": {"children": [{"leaf": 0, "next": {"leaf": 3}}]}}'
    )


def test_rewording_leaves_no_blank_rule() -> None:
    reworded = cfg_cases.reworded('root ::= "a" blank\nblank ::= [ \\t]*\n')
    assert reworded == 'root ::= "a" [ \\t]*\n'
    rules = cfg_cases.source("json", "reworded")
    assert "blank" not in rules and "rest ::=" in rules


@pytest.mark.parametrize("language", cfg_cases.LANGUAGES)
def test_cfg_texts_are_seeded_and_spoiled(language: str) -> None:
    case = cfg_cases.cfg_case(language, "plain", 6)
    assert case == cfg_cases.cfg_case(language, "plain", 6)
    good = {text for text, expected in case.texts if expected}
    bad = {text for text, expected in case.texts if not expected}
    assert len(bad) == 3 and not good & bad


def test_made_up_tokens_are_new() -> None:
    made = vocabularies.joined_tokens([b"a", b"b", b"ab"], 4)
    assert len(set(made)) == 4 and b"ab" not in made


def test_growth_writes_numbers_pictures_and_tables(tmp_path: Path) -> None:
    if find_spec("matplotlib") is None:
        pytest.skip("matplotlib comes with the extra 'bench'")
    page = tmp_path / "performance.md"
    template = (BENCHMARKS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    page.write_text(template, encoding="utf-8")
    growth.write(tiny_curves(), growth.environment("bytes"), tmp_path, page)
    assert (tmp_path / "depth.png").stat().st_size > 1000
    assert len(json.loads((tmp_path / "growth.json").read_text())["curves"]) == 4
    assert "| nesting depth | first use p50 |" in page.read_text()


def tiny_curves() -> list[growth.Curve]:
    """All curves but that of the vocabulary, which needs tekken."""
    decoder = growth.Decoder("bytes")
    return [
        growth.grammar_curve(decoder, (1, 2)),
        growth.length_curve(decoder, 200, 100),
        growth.depth_curve(decoder, (1, 4)),
        growth.batch_curve(decoder, (1, 3)),
    ]


def test_curves_have_a_value_for_every_size() -> None:
    for curve in tiny_curves():
        columns = [*curve.lines.values(), *curve.extra.values()]
        assert all(len(values) == len(curve.x) for values in columns)
        assert all(value > 0 for values in curve.lines.values() for value in values)


def test_text_is_replaced_between_markers_only() -> None:
    page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb"
    assert growth.between_markers(page, "x", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="no markers"):
        growth.between_markers(page, "y", "new")


def test_attacks_have_unique_names() -> None:
    names = [(attack.group, attack.kind, attack.name) for attack in hostile.attacks()]
    assert len(set(names)) == len(names)
    assert {group for group, _, _ in names} == {f"A{n}" for n in (1, *range(3, 13))}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_attacks_end_in_errors_and_overruns_are_seen() -> None:
    def endless(pattern: str) -> None:
        raise MemoryError

    class Fragile:
        compile_regex = staticmethod(endless)

    vocabulary = vocabularies.load("bytes")
    compiler = hostile.GrammarCompiler(
        hostile.Vocabulary(vocabulary.vocab, stop_ids=[vocabulary.eos_id])
    )
    attack = hostile.Attack("A1", "groups", "regex", lambda: "(" * 60_000)
    result = hostile.run_attack(attack, compiler, vocabulary.encode)
    assert result.ended == "refused" and result.detail.startswith("GrammarLimitError")
    assert result.is_survived
    broken: Any = Fragile()
    overrun = hostile.run_attack(attack, broken, vocabulary.encode)
    assert overrun.ended == "out of memory" and not overrun.is_survived
    missing = hostile.run_attack(
        hostile.Attack("A1", "x", "nothing", lambda: ""), compiler, vocabulary.encode
    )
    assert not missing.is_run and not missing.is_survived


def test_stages_of_a_start_add_up() -> None:
    seconds = startup.measured("bytes", None, None)
    assert set(seconds) == {*startup.STAGES, "process"}
    assert sum(seconds[stage] for stage in startup.STAGES) <= seconds["process"]


def test_python_files_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"taken": "if x:\n  y\n", "refused": "(x)if y else z\n", "no Python": "x y\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys, "argv", ["python_files", str(tmp_path), "--vocabulary", "bytes"])
    python_files.main()
    written = capsys.readouterr().out
    assert "1 of 2 files pass" in written and "mask: 1" in written
    assert "refused: refused.py b'(x)' >> b'if '" in written


def test_trees_and_chains_are_compared_on_outputs_of_the_demo_model() -> None:
    options = tree_or_chain.parse(
        ["--tasks", "1", "--max-tokens", "30", "--workloads", "extraction"]
    )
    rows = asyncio.run(tree_or_chain.measure(options))
    assert len(rows) == len(tree_or_chain.SIZES) * len(tree_or_chain.TEMPERATURES)
    for row in rows:
        assert 1 <= row["chain"] <= row["nodes"] + 1
        assert 1 <= row["tree"] <= row["nodes"] + 1


def test_vllm_speculation_counts_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Six tokens in three passes; half as many seconds; one output of two is another."""
    plain = {"outputs": [[1, 2, 3], [4, 5, 6]], "accepted": 0, "drafted": 0, "seconds": 4.0}
    ours = {"outputs": [[1, 2, 3], [4, 5, 7]], "accepted": 3, "drafted": 9, "seconds": 2.0}
    results = {"none": {"editing": plain}, "chains": {"editing": ours}}
    vllm_speculation.print_rows(["none", "chains"], results, ["editing"])
    rows = [line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0] == ["none", "6", "1.00", "0.00", "0", "1.00"]
    assert rows[1] == ["chains", "6", "2.00", "1.50", "1", "2.00"]


def test_vllm_speculation_says_which_arm_cannot_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_speculation, "find_spec", lambda name: None)
    assert vllm_speculation.arms_to_run(["ngram", "suffix"]) == ["ngram"]
    assert "arctic-inference" in capsys.readouterr().out
    monkeypatch.setattr(vllm_speculation, "find_spec", lambda name: object())
    assert vllm_speculation.arms_to_run(["ngram", "suffix"]) == ["ngram", "suffix"]
