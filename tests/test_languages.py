"""Languages by name: their outputs against independent parsers, and what they are called with."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import random
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from go_corpus import FILE, STATEMENTS
from go_corpus import OUTSIDE as NOT_GO
from language_walks import walk
from sql_corpus import OUTSIDE, USUAL
from toy import JSON_TOKENS, accepts, byte_vocabulary

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import CompileLimits, GrammarCompiler, GrammarSyntaxError

SQL_WORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "ORDER",
    "BY",
    "GROUP",
    "HAVING",
    "JOIN",
    "LEFT",
    "ON",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "LIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "CREATE",
    "TABLE",
    "UNION",
    "EXISTS",
    "AS",
    "OVER",
    "count",
    "orders",
    "id",
    "(",
    ")",
    "=",
    ",",
    "'",
    "1",
]
# ``make fuzz`` draws as many as the languages are to be shown with.
NUM_WALKS = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 40


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    words = [b"sin(", b" + ", b"**", b'",', b"\r\n", b" | ", b"---", b"|\n|", *JSON_TOKENS]
    for word in (*SQL_WORDS, *GO_WORDS):
        words += [word.encode(), b" " + word.encode()]
    return GrammarCompiler(byte_vocabulary(words), limits=CompileLimits(max_seconds=60))


def read_json(text: str) -> None:
    json.loads(text)


def read_json_lines(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        json.loads(line)


def read_expression(text: str) -> None:
    ast.parse(text, mode="eval")


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def read_three_columns(text: str) -> None:
    assert {len(record) for record in read_csv(text)} == {3}


def read_named_columns(text: str) -> None:
    records = list(csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True))
    assert records[0] == ["a", "b;c", 'd "e"', ""]
    assert {len(record) for record in records} == {4} and len(records) <= 3


def markdown_rows(text: str) -> list[int]:
    """The numbers of cells in the rows of the only table."""
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(text)
    assert (tokens[0].type, tokens[-1].type) == ("table_open", "table_close")
    rows: list[int] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append(0)
        elif token.type in ("th_open", "td_open"):
            rows[-1] += 1
        assert token.type != "paragraph_open"
    # A parser fills short rows up and cuts long ones; the bars are counted beside it.
    for line in text.removesuffix("\n").split("\n"):
        assert line.replace("\\|", "").count("|") == rows[0] + 1
    return rows


def read_markdown(text: str) -> None:
    assert len(set(markdown_rows(text))) == 1


def read_two_columns(text: str) -> None:
    assert set(markdown_rows(text)) == {2}
    assert text.split("\n")[0].replace(" ", "") == "|Name|a\\|b|"


GO_WORDS = [
    "package",
    "import",
    "func",
    "return",
    "if",
    "else",
    "for",
    "range",
    "switch",
    "case",
    "default",
    "select",
    "go",
    "defer",
    "type",
    "struct",
    "interface",
    "map",
    "chan",
    "var",
    "const",
    "break",
    "goto",
    "fallthrough",
    ":=",
    "==",
    "!=",
    "<-",
    "++",
    "--",
    "+=",
    "&&",
    "...",
    "()",
    "{}",
    "[]",
    "string",
    "err",
    "nil",
    '"a"',
    "'a'",
    "0x1",
    "1.5",
    "`r`",
    "//",
    "/*",
]


def read_go(text: str) -> None:
    """Judged by tree-sitter, which wants a last line break."""
    tree_sitter = pytest.importorskip("tree_sitter")
    tree_sitter_go = pytest.importorskip("tree_sitter_go")
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_go.language()))
    assert not parser.parse(f"{text}\n".encode()).root_node.has_error


def read_go_statements(text: str) -> None:
    read_go(f"package p\nfunc f() {{\n{text}\n}}")


def read_go_expression(text: str) -> None:
    read_go(f"package p\nvar x = {text}")


# What SQLite says of a text that it cannot parse; other errors are about tables that are not there.
NOT_SQL = re.compile("syntax error|unrecognized token|incomplete input")
TABLES = {"orders": ["id", "total", "order"], "people": ["id", "Name"]}


def read_sql(text: str) -> None:
    try:
        sqlite3.connect(":memory:").execute("EXPLAIN " + text)
    except sqlite3.OperationalError as error:
        assert not NOT_SQL.search(str(error)), error


def read_sql_expression(text: str) -> None:
    read_sql(f"SELECT ({text})")


def read_given_tables(text: str) -> None:
    """A query of which every name is known; SQLite checks them against tables of the same kind."""
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE orders (id, total, "order")')
    connection.execute("CREATE TABLE people (id, Name)")
    try:
        connection.execute("EXPLAIN " + text)
    except sqlite3.OperationalError as error:
        assert not NOT_SQL.search(str(error)), error
        # Made-up names may stand before a column, or be those of a WITH.
        table = re.match(r"no such table: (.*)", str(error))
        assert table is None or table[1] in {"q", "r"} or f"{table[1]}.*" in text, error
        unknown = re.match(r"no such column: (?:\w+\.)?(.*)", str(error))
        assert unknown is None or unknown[1] in {"id", "total", "order", "Name", "q", "r"}, error


CASES: dict[str, tuple[str, dict[str, Any], Callable[[str], object]]] = {
    "json": ("json", {}, read_json),
    "json objects": ("json", {"start": "object", "whitespace": "none"}, read_json),
    "json-lines": ("json-lines", {}, read_json_lines),
    "json-lines, two": ("json-lines", {"max_lines": 2, "start": "array"}, read_json_lines),
    "arithmetic": ("arithmetic", {}, read_expression),
    "arithmetic, closed": (
        "arithmetic",
        {"names": ["x", "y_1"], "functions": ["max"], "numbers": "integer"},
        read_expression,
    ),
    "csv": ("csv", {}, read_csv),
    "csv, one": ("csv", {"columns": 1}, read_csv),
    "csv, three": ("csv", {"columns": 3}, read_three_columns),
    "csv, names": (
        "csv",
        {"columns": ["a", "b;c", 'd "e"', ""], "delimiter": ";", "max_rows": 2},
        read_named_columns,
    ),
    "markdown-table": ("markdown-table", {}, read_markdown),
    "markdown-table, names": ("markdown-table", {"columns": ["Name", "a|b"]}, read_two_columns),
    "sql": ("sql", {"start": "statement"}, read_sql),
    "sql, expressions": ("sql", {"start": "expression"}, read_sql_expression),
    "sql, tables": ("sql", {"start": "query", "tables": TABLES}, read_given_tables),
    "sql, aliases": (
        "sql",
        {"start": "query", "tables": TABLES, "aliases": ["q", "r"], "keywords": "lower"},
        read_given_tables,
    ),
    "go": ("go", {}, read_go),
    "go, statements": ("go", {"start": "statements"}, read_go_statements),
    "go, expressions": ("go", {"start": "expression"}, read_go_expression),
    "markdown-table, one": ("markdown-table", {"columns": 1, "max_rows": 3}, read_markdown),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_accepted_by_an_independent_parser(
    compiler: GrammarCompiler, case: str
) -> None:
    name, options, read = CASES[case]
    grammar = compiler.compile_language(name, **options)
    rng = random.Random(7)
    # Else most files of Go would be comments.
    start = b"package p\n" if case == "go" else b""
    for _ in range(NUM_WALKS):
        text = walk(grammar, rng, max_tokens=60, start=start).decode()
        try:
            read(text)
        except Exception as error:
            raise AssertionError(f"{error!r} in {text!r}") from error


@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        ("json", {}, ['{"a": [1, -2.5e+3, "\\ud83d\\ude00"], "b": null}\n', "3"]),
        ("json-lines", {}, ['{"a": 1}\n[]\n', "1"]),
        ("arithmetic", {}, ["2 * (x + sin(0.5, y)) ** -2 % 3", "- -x", "f()"]),
        ("arithmetic", {"power": "^", "names": ["x"]}, ["x ^ 2"]),
        ("csv", {}, ['a,b\r\n"1 ""x""",\r\n,2\n']),
        ("csv", {"columns": ["a", "b"]}, ["a,b\n1,2\n", "a,b"]),
        ("markdown-table", {}, ["| a | b |\n| --- | :-: |\n| 1 | x \\| y |\n", "|a|\n|-|"]),
    ],
)
def test_usual_texts_are_accepted(
    compiler: GrammarCompiler, name: str, options: dict[str, Any], texts: list[str]
) -> None:
    grammar = compiler.compile_language(name, **options)
    assert [accepts(grammar, text) for text in texts] == [True] * len(texts)


@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        ("json", {}, ["", "01", "{'a': 1}", '"\\ud800"', "[1,]"]),
        ("json", {"start": "object"}, ["[]"]),
        ("json", {"whitespace": "none"}, ["[1, 2]"]),
        ("json-lines", {"max_lines": 1}, ["1\n2"]),
        ("arithmetic", {}, ["if", "1 +", "01", "x y"]),
        (
            "arithmetic",
            {"names": ["x"], "functions": ["f"], "numbers": "integer"},
            ["y", "g(1)", "1.5"],
        ),
        ("csv", {"columns": 2}, ["a,b\n1\n", "a,b\n1,2,3"]),
        ("csv", {"columns": ["a", "b"], "max_rows": 1}, ["a,c", "a,b\n1,2\n3,4"]),
        ("markdown-table", {}, ["| a | b |\n| - |", "| a |\n| - |\n| 1 | 2 |", "| a |"]),
    ],
)
def test_other_texts_are_refused(
    compiler: GrammarCompiler, name: str, options: dict[str, Any], texts: list[str]
) -> None:
    grammar = compiler.compile_language(name, **options)
    assert [accepts(grammar, text) for text in texts] == [False] * len(texts)


def test_usual_sql_is_accepted(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_language("sql")
    for text in USUAL:
        read_sql(text.removesuffix(";"))
    assert [text for text in USUAL if not accepts(grammar, text)] == []


def test_what_sql_leaves_out(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_language("sql")
    assert [why for why, text in OUTSIDE.items() if accepts(grammar, text)] == []


def test_sql_is_held_to_given_names(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_language(
        "sql", start="query", tables=TABLES, aliases=["o"], functions=["SUM"]
    )
    taken = [
        'SELECT o.id, SUM("order") FROM orders AS o GROUP BY o.id ORDER BY total;',
        "WITH o AS (SELECT id FROM people) SELECT people.Name FROM people, o",
    ]
    left_out = [
        "SELECT salary FROM people",
        "SELECT id FROM users",
        "SELECT MAX(id) FROM people",
        "SELECT people.total FROM people",
        "SELECT id AS x FROM people",
        "DELETE FROM people",
    ]
    assert all(accepts(grammar, text) for text in taken)
    assert not any(accepts(grammar, text) for text in left_out)
    changing = compiler.compile_language("sql", tables=TABLES)
    assert accepts(changing, "DELETE FROM people WHERE id = 1")
    assert not accepts(changing, "CREATE TABLE people (id INT)")
    assert not accepts(changing, "WITH o AS (SELECT id FROM people) SELECT 1")


def test_usual_go_is_accepted(compiler: GrammarCompiler) -> None:
    assert accepts(compiler.compile_language("go"), FILE)
    read_go(FILE)
    grammar = compiler.compile_language("go", start="statements")
    assert [text for text in STATEMENTS if not accepts(grammar, text)] == []
    for text in STATEMENTS:
        read_go_statements(text)


def test_what_is_no_go_is_refused(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_language("go", start="statements")
    assert [text for text in NOT_GO if accepts(grammar, text)] == []


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("jsn", {}, "there are arithmetic, csv, go, json, .*did you mean 'json'"),
        (5, {}, "by its name, not as int"),
        ("csv", {"cols": 1}, "no option 'cols'; its options are: columns, delimiter, max_rows"),
        ("csv", {"columns": 0}, "columns of the language csv must be a number from 1 to 200"),
        ("csv", {"columns": ["a", 1]}, "1 is not one"),
        ("csv", {"columns": ["a"] * 201}, "from 1 to 200, not 201"),
        ("csv", {"delimiter": [","]}, "delimiter of the language csv must be one of ','"),
        ("csv", {"max_rows": True}, "max_rows of the language csv must be a number"),
        ("arithmetic", {"names": []}, "must be a list of names"),
        ("arithmetic", {"names": ["a b"]}, "'a b' is not one"),
        ("markdown-table", {"columns": ["a\nb"]}, "is not one"),
        ("sql", {"tables": ["a"]}, "tables of the language sql must be an object"),
        ("sql", {"tables": {"a": []}}, "for the table 'a' must be a list of names"),
        ("sql", {"tables": {"a": ['b"']}}, "is not one"),
        ("sql", {"aliases": ["q"]}, "aliases of the language sql is for given tables"),
        ("json", {"start": "text"}, "must be one of 'value', 'object', 'array', not 'text'"),
    ],
)
def test_unknown_languages_and_options_are_told(
    compiler: GrammarCompiler, name: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(GrammarSyntaxError, match=told):
        compiler.compile_language(name, **options)


def test_specs_carry_languages(compiler: GrammarCompiler) -> None:
    spec = GrammarSpec("language", {"language": "csv", "columns": 2, "max_rows": None})
    grammar = spec.compile(compiler)
    assert grammar.hash == compiler.compile_language("csv", columns=2).hash
    assert grammar.hash != compiler.compile_language("csv", columns=3).hash
