"""SQL, whole or held to given tables and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.language_options import (
    MAX_NAMES,
    Language,
    LanguageOption,
    grammar_of,
    language_text,
    literal,
    names,
    one_of,
)
from syntagma.grammar.limits import Budget

# Words that are no names without quotes: SQLite's, but for some that are common names of columns and
# that its parser takes for names wherever they could be either.
RESERVED = [
    "ABORT",
    "ADD",
    "AFTER",
    "ALL",
    "ALTER",
    "ALWAYS",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "ATTACH",
    "AUTOINCREMENT",
    "BEFORE",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASCADE",
    "CASE",
    "CAST",
    "CHECK",
    "COLLATE",
    "COLUMN",
    "COMMIT",
    "CONFLICT",
    "CONSTRAINT",
    "CREATE",
    "CROSS",
    "CURRENT",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "DEFAULT",
    "DEFERRABLE",
    "DEFERRED",
    "DELETE",
    "DESC",
    "DETACH",
    "DISTINCT",
    "DO",
    "DROP",
    "EACH",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXCLUDE",
    "EXCLUSIVE",
    "EXISTS",
    "EXPLAIN",
    "FAIL",
    "FALSE",
    "FILTER",
    "FOLLOWING",
    "FOR",
    "FOREIGN",
    "FROM",
    "FULL",
    "GENERATED",
    "GLOB",
    "GROUP",
    "GROUPS",
    "HAVING",
    "IF",
    "IGNORE",
    "IMMEDIATE",
    "IN",
    "INDEX",
    "INDEXED",
    "INITIALLY",
    "INNER",
    "INSERT",
    "INSTEAD",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "ISNULL",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATCH",
    "MATERIALIZED",
    "NATURAL",
    "NOT",
    "NOTHING",
    "NOTNULL",
    "NULL",
    "NULLS",
    "OF",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OTHERS",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRAGMA",
    "PRECEDING",
    "PRIMARY",
    "QUALIFY",
    "RAISE",
    "RECURSIVE",
    "REFERENCES",
    "REGEXP",
    "REINDEX",
    "RELEASE",
    "RENAME",
    "RESTRICT",
    "RETURNING",
    "RIGHT",
    "ROLLBACK",
    "ROWS",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "TABLE",
    "TEMP",
    "TEMPORARY",
    "THEN",
    "TIES",
    "TO",
    "TRANSACTION",
    "TRIGGER",
    "TRUE",
    "UNBOUNDED",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VACUUM",
    "VALUES",
    "VIRTUAL",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHOUT",
]
STARTS = ("script", "statement", "query", "expression")
CHANGES = ("insert", "update", "delete", "drop", "create")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = names(r'[^"\x00-\x1f]+', "names without quotes")
_KEYWORD = re.compile(r"\b[A-Z][A-Z_]+\b")


def build_sql(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """A script, statement, query or expression."""
    rules = [f"root ::= {_root(options['start'])}", *_keyword_rules(options["keywords"])]
    rules.append(f"name ::= (identifier - ({_any_case(RESERVED)})) | quoted")
    rules.append(f"function ::= {_alternatives(options['functions']) or 'name'}")
    if options["tables"] is None:
        if options["aliases"] is not None:
            raise GrammarSyntaxError(
                "the option aliases of the language sql is for given tables; give tables too"
            )
        rules += _open_names()
        changes: tuple[str, ...] = CHANGES
    else:
        rules += _given_names(options["tables"], options["aliases"])
        changes = CHANGES[:-1]
    rules.append("statement ::= " + " | ".join(("query", *changes)))
    return grammar_of("sql.ebnf", "\n".join(rules), budget)


def _root(start: str) -> str:
    return (
        "script" if start == "script" else f"ws {start} {'' if start == 'expression' else _END} ws"
    )


_END = '(ws ";")?'


def _keyword_rules(spelling: str) -> list[str]:
    words = sorted(set(_KEYWORD.findall(language_text("sql.ebnf"))) - {"SQL"})
    spellings = {"upper": ["upper"], "lower": ["lower"], "any": ["upper", "lower"]}[spelling]
    return [
        f"{word} ::= " + " | ".join(literal(getattr(word, case)()) for case in spellings)
        for word in words
    ]


def _open_names() -> list[str]:
    return [
        "with ::= common",
        "table_name ::= name",
        "column_name ::= name",
        "alias ::= name",
        "new_name ::= name",
        "qualifier ::= name",
        'column ::= name ("." name)?',
    ]


def _given_names(tables: dict[str, list[str]], aliases: list[str] | None) -> list[str]:
    """Rules for names where the tables are given.

    A name that a query makes up may stand before a column, but not for one, for the rules cannot tell
    what was made up; so aliases that are to be used otherwise are given too.
    """
    columns = _alternatives(dict.fromkeys(name for found in tables.values() for name in found))
    own = "".join(
        f' | {_spelled(table)} "." ({_alternatives(found)})' for table, found in tables.items()
    )
    given = _alternatives(aliases)
    more = f" | {given}" if given else ""
    return [
        "with ::= common" if given else 'with ::= "" - ""',
        f"table_name ::= {_alternatives(tables)}{more}",
        f"column_name ::= {columns}",
        f"alias ::= {given or 'name'}",
        f"new_name ::= {given or 'name'}",
        f"qualifier ::= {_alternatives(tables)} | alias",
        f'column ::= {columns}{own} | alias "." ({columns}{more}){more}',
    ]


def _alternatives(given: Iterable[str] | None) -> str:
    return " | ".join(map(_spelled, given or ()))


def _spelled(name: str) -> str:
    """A name as SQL has it, in quotes only if it needs them."""
    if _BARE.fullmatch(name) and name.upper() not in RESERVED:
        return literal(name)
    return literal(f'"{name}"')


def _any_case(words: Iterable[str]) -> str:
    return " | ".join(
        " ".join(f"[{char}{char.lower()}]" if char.isalpha() else literal(char) for char in word)
        for word in words
    )


def _tables(value: Any) -> dict[str, list[str]]:
    """A check: columns by table."""
    if not isinstance(value, dict) or not value:
        raise ValueError("must be an object: the columns, as a list, by the name of their table")
    _NAME(list(value))
    found = {}
    for table, columns in value.items():
        try:
            found[table] = _NAME(columns)
        except ValueError as error:
            raise ValueError(f"for the table {table!r} {error}") from None
    if sum(map(len, found.values())) > MAX_NAMES:
        raise ValueError(f"must have {MAX_NAMES} columns at most")
    return found


SQL = Language(
    "SQL that SQLite reads: queries, and statements that change tables",
    build_sql,
    {
        "start": LanguageOption(
            "what the text is: statements, one statement, one query (`SELECT`), an expression",
            "script",
            one_of(*STARTS),
        ),
        "tables": LanguageOption(
            'the tables that may be named and their columns: `{"orders": ["id", "total"]}`; not given: '
            "any names",
            None,
            _tables,
        ),
        "aliases": LanguageOption(
            "beside `tables`: names that `AS` and `WITH` may give, which then may stand for columns and "
            "tables; not given: any, which then may stand before columns only (`o.id`), and no `WITH`",
            None,
            _NAME,
        ),
        "functions": LanguageOption(
            "the functions that may be called; not given: any", None, _NAME
        ),
        "keywords": LanguageOption(
            "how keywords are written: upper or lower case, or any of the two",
            "any",
            one_of("any", "upper", "lower"),
        ),
    },
)
