"""Lark text -> terminals and productions, read by the `lark` package under a budget.

The package reads the text, resolves imports, templates and references among terminals and turns its
operators into rules; what it makes of them decides which lookaheads its parser has, so none of it is
done here a second time. But some of its steps multiply things out without a bound. Each is measured
before it is taken: expansions of optional parts, patterns of terminals within terminals, templates
that use themselves. Nothing is read from disk: imports come from the package's own library
(``common``, ``unicode``, ...) or from the texts given with the grammar.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lark.exceptions import GrammarError as LarkGrammarError
from lark.exceptions import LarkError
from lark.load_grammar import GrammarBuilder, _parse_grammar, resolve_term_references

from syntagma.grammar.errors import GrammarError
from syntagma.grammar.grammar_source import GrammarSource, closest
from syntagma.grammar.lark_compilation import LarkCompilation
from syntagma.grammar.lark_errors import located, too_deep
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lark_indenter import Indenter, named_indenter
from syntagma.grammar.lark_scanner import Word, scan_lark
from syntagma.grammar.lark_sizes import check_terminals
from syntagma.grammar.limits import Budget

LIBRARY = ("common", "lark", "python", "unicode")
MAX_IMPORT_DEPTH = 8


def load_lark(
    text: str,
    budget: Budget,
    *,
    start: str = "start",
    files: Mapping[str, str] | None = None,
    indenter: Indenter | None = None,
) -> tuple[LarkGrammar, GrammarSource]:
    """The grammar that a text describes, and the text for further errors.

    Args:
        text: Lark's grammar syntax.
        start: name of the rule to start from.
        files: texts that ``%import`` may lead into, by path: ``"lib/names.lark"`` for
            ``%import lib.names.NAME`` and ``%import .lib.names.NAME``.
        indenter: what makes the terminals that are declared; None: the usual one, if any are.

    Raises:
        GrammarSyntaxError: not a Lark grammar, with line and column; no such terminals for an indenter.
        UnsupportedGrammarError: other terminals that are declared, extensions of other programs.
        GrammarLimitError: too large, or multiplied out to something too large.
    """
    source = GrammarSource(text, "Lark")
    builder = _Builder(files or {}, budget)
    try:
        builder.read(source, "<string>")
        definitions = builder.build()
        _check_start(start, definitions.rule_defs, builder.words, source)
        found = named_indenter(indenter, definitions, builder.words, source)
        return LarkCompilation(definitions, start, builder.words, budget, found).grammar(), source
    except GrammarError:
        raise
    except RecursionError:
        raise too_deep() from None
    except (LarkError, AssertionError, KeyError, ValueError, OverflowError, re.error) as error:
        raise located(error, source, builder.words) from None


class _Builder(GrammarBuilder):
    """Reads definitions; imports come from given texts and from the package.

    Attributes:
        words: of the text that is read.
    """

    def __init__(self, files: Mapping[str, str], budget: Budget, depth: int = 0) -> None:
        super().__init__()
        self._files = files
        self._budget = budget
        self._depth = depth
        self.words: list[Word] = []

    def read(self, source: GrammarSource, name: str, mangle: Any = None) -> None:
        """Add the definitions of a text; what `GrammarBuilder.load_grammar` does, under a budget."""
        self.words = scan_lark(source, self._budget)
        tree = _parse_grammar(source.text, name)
        self._budget.check_time()
        imports: dict[tuple[str, ...], dict[str, str]] = {}
        for statement in tree.children:
            if statement.data == "import":
                path, _, aliases = self._unpack_import(statement, name)
                imports.setdefault(path, {}).update(aliases)
        for path, aliases in imports.items():
            self.do_import(path, None, aliases, mangle)
        for statement in tree.children:
            self._budget.check_time()
            parts = statement.children
            if statement.data in ("term", "rule"):
                self._define(*self._unpack_definition(statement, mangle))
            elif statement.data == "override":
                self._define(*self._unpack_definition(parts[0], mangle), override=True)
            elif statement.data == "extend":
                self._extend(*self._unpack_definition(parts[0], mangle))
            elif statement.data == "ignore" and mangle is None:
                self._ignore(*parts)
            elif statement.data == "declare":
                for symbol in parts:
                    renamed = symbol.name if mangle is None else mangle(symbol.name)
                    self._define(renamed, symbol.is_term, None)
        terminals = {
            name: d.tree
            for name, d in self._definitions.items()
            if d.is_term and d.tree is not None
        }
        check_terminals(terminals, self._budget)
        resolve_term_references(terminals)

    def do_import(
        self,
        dotted_path: tuple[str, ...],
        base_path: Any,
        aliases: dict[str, str],
        base_mangle: Any = None,
    ) -> None:
        path = "/".join(dotted_path)
        if self._depth == MAX_IMPORT_DEPTH:
            raise LarkGrammarError(
                f"imports lead more than {MAX_IMPORT_DEPTH} files deep: '{path}'"
            )
        mangle = _mangled("__".join(dotted_path), aliases, base_mangle)
        builder = _Builder(self._files, self._budget, self._depth + 1)
        source = GrammarSource(self._text_of(path), f"Lark file {path}.lark")
        try:
            builder.read(source, path, mangle)
        except (LarkError, AssertionError, KeyError, ValueError) as error:
            raise (
                error if isinstance(error, GrammarError) else located(error, source, builder.words)
            ) from None
        builder._remove_unused(map(mangle, aliases))
        for name in builder._definitions:
            if name in self._definitions:
                raise LarkGrammarError(
                    f"cannot import '{name}' from '{path}': it is defined already"
                )
        self._definitions.update(builder._definitions)

    def _text_of(self, path: str) -> str:
        name = f"{path}.lark"
        if name in self._files:
            return self._files[name]
        data = pkgutil.get_data("lark", f"grammars/{name}") if path in LIBRARY else None
        if data is None:
            known = ", ".join([*sorted(self._files), *LIBRARY])
            raise LarkGrammarError(
                f"there is no file to import '{path.split('/')[-1]}' from: {known}"
            )
        return data.decode()


def _mangled(prefix: str, aliases: Mapping[str, str], outer: Any) -> Any:
    """How Lark names what is imported."""

    def mangle(name: str) -> str:
        if name in aliases:
            name = aliases[name]
        elif name[0] == "_":
            name = f"_{prefix}__{name[1:]}"
        else:
            name = f"{prefix}__{name}"
        return name if outer is None else outer(name)

    return mangle


def _check_start(
    start: str, rules: Iterable[Any], words: list[Word], source: GrammarSource
) -> None:
    names = [str(name) for name, params, *_ in rules if not params]
    if start in names:
        return
    guess = closest(start, names)
    hint = f"did you mean {guess!r}?" if guess else "name the first rule so, or say which to take"
    position = next((word.position for word in words if word.text == guess), 0)
    raise source.error(
        f"the grammar has no rule {source.shown(start)} to start from", position, hint=hint
    )
