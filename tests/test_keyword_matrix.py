"""The table of keywords: its questions are right, our column is clean, the documentation shows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import keyword_matrix
import vocabularies
from keyword_cases import CASES, KeywordCase

OURS = keyword_matrix.Ours(vocabularies.load("bytes"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_our_column(case: KeywordCase) -> None:
    assert keyword_matrix.verdict(OURS, case) in keyword_matrix.GOOD_VERDICTS


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.is_about_text], ids=lambda case: case.name
)
def test_the_questions_are_right(case: KeywordCase) -> None:
    """By an independent judge; formats that it cannot check are ours to test elsewhere."""
    validator = jsonschema.validators.validator_for(case.schema)(case.schema)
    assert [text for text in case.good if not validator.is_valid(json.loads(text))] == []
    if "format" not in case.name:
        assert [text for text in case.bad if validator.is_valid(json.loads(text))] == []


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (["1", "2"], "ok"),
        (["1", "2", "3"], "ignored"),
        (["1"], "over"),
        (["1", "3"], "wrong"),
        (None, "refused"),
    ],
)
def test_verdicts(accepted: list[str] | None, expected: str) -> None:
    class Scripted:
        name, version = "scripted", "0"

        def acceptor(self, case: KeywordCase) -> Any:
            if accepted is None:
                raise keyword_matrix.Refused("no")
            return accepted.__contains__

    case = KeywordCase("x", {}, ["1", "2"], ["3"])
    engine: Any = Scripted()
    assert keyword_matrix.verdict(engine, case) == expected
    shown = keyword_matrix.table([engine], {"x": [expected]})
    assert f"| x | {expected} |" in shown and f"| all 1 | 1 {expected} |" in shown


def test_the_documentation_shows_our_column() -> None:
    text = (ROOT / "docs" / "json-schema.md").read_text(encoding="utf-8")
    (start,) = [
        i for i, line in enumerate(text.splitlines()) if line.startswith("| keyword or case")
    ]
    rows = [line.split(" | ") for line in text.splitlines()[start + 2 :]]
    shown = {row[0].removeprefix("| "): row[1] for row in rows[: len(CASES)]}
    assert shown == {case.name: keyword_matrix.verdict(OURS, case) for case in CASES}
