"""The official JSON Schema Test Suite, all drafts: nothing is wrong, and what is refused is listed here.

The suite takes formats as annotations, properties in any order and any spelling of numbers, so these
options are set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy import accepts, byte_vocabulary

from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.json_formats import FORMATS

SUITE = Path(__file__).resolve().parent.parent / "../shared/data/JSON-Schema-Test-Suite"
HOST = "http://localhost:1234/"
URIS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
# Groups that are refused, by file, and why.
REFUSED = {
    "schema that uses custom metaschema with with no validation vocabulary": "$schema",
    "ignore unrecognized optional vocabulary": "$schema",
    "float division = inf": "max_dfa_states",
}
# Valid texts of formats that are not written: leap seconds, quoted local parts, names in Punycode,
# named groups, look-behind and empty classes of expressions.
UNWRITTEN = {"date-time": 3, "time": 6, "email": 5, "hostname": 15, "ecmascript-regex": 6}

pytestmark = pytest.mark.skipif(
    not SUITE.is_dir(), reason="the official test suite does not lie beside the checkout"
)


def groups(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((SUITE / "tests" / folder).glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            yield path.stem, group


def remotes(draft: str) -> dict[str, Any]:
    """The documents that the suite's references lead into; those of other drafts say which."""
    root = SUITE / "remotes"
    found = {
        path.relative_to(root).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.json"))
    }
    return {
        HOST + name: schema
        for name, schema in found.items()
        if name.startswith(draft) or not name.startswith("draft") or "$schema" in schema
    }


def compiler() -> GrammarCompiler:
    # The machine may be busy.
    return GrammarCompiler(byte_vocabulary(), limits=CompileLimits(max_seconds=20))


@pytest.mark.parametrize("draft", URIS)
def test_required_tests(draft: str) -> None:
    documents = remotes(draft)
    ours = compiler()
    wrong, refused = [], set()
    for file, group in groups(draft):
        schema = group["schema"]
        if isinstance(schema, dict) and "$schema" not in schema:
            schema = {"$schema": URIS[draft], **schema}
        try:
            grammar = ours.compile_json_schema(
                schema,
                whitespace="compact",
                property_order="any",
                numbers="any",
                formats="annotate",
                schemas=documents if HOST in json.dumps(schema) else None,
            )
        except UnsatisfiableGrammarError:
            grammar = None
        except GrammarError as error:
            assert isinstance(error, UnsupportedGrammarError | GrammarLimitError), error
            name = error.limit if isinstance(error, GrammarLimitError) else error.keyword
            assert REFUSED[group["description"]] == name, error
            refused.add(group["description"])
            continue
        for test in group["tests"]:
            text = json.dumps(test["data"], separators=(",", ":"))
            if (grammar is not None and accepts(grammar, text)) != test["valid"]:
                wrong.append((file, group["description"], test["description"], text))
    assert wrong == []
    assert refused <= REFUSED.keys()


@pytest.mark.parametrize("draft", ["draft7", "draft2019-09", "draft2020-12"])
def test_formats(draft: str) -> None:
    ours = compiler()
    unwritten: dict[str, int] = {}
    for file, group in groups(f"{draft}/optional/format"):
        names = {group["schema"].get("format")}
        if not names <= {*FORMATS, "regex"}:
            with pytest.raises(UnsupportedGrammarError):
                ours.compile_json_schema(group["schema"])
            continue
        grammar = ours.compile_json_schema(group["schema"])
        for test in group["tests"]:
            is_accepted = accepts(grammar, json.dumps(test["data"]))
            assert test["valid"] or not is_accepted, (file, test["data"])
            if test["valid"] and not is_accepted:
                unwritten[file] = unwritten.get(file, 0) + 1
    assert all(number <= UNWRITTEN.get(file, 0) for file, number in unwritten.items()), unwritten
