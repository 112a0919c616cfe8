"""What can go wrong between a grammar's text and its masks.

    GrammarError                    anything wrong with a grammar
    ├─ GrammarSyntaxError           the text is not a grammar (line, column or pointer)
    ├─ UnsupportedGrammarError      understood but not enforceable here (keyword, pointer)
    ├─ UnsatisfiableGrammarError    no output fits (conflict)
    └─ GrammarLimitError            a work or size budget is used up (limit, given)

Every message says what was given, where, which rule it met and, where there is one, the way out.
"""

from __future__ import annotations


class GrammarError(ValueError):
    """Root of all grammar errors.

    Attributes:
        message: one sentence or two, fit for an end user.
        pointer: JSON pointer into the schema (``""`` is its root), or None outside JSON Schema.
    """

    code = "invalid_grammar"

    def __init__(self, message: str, *, pointer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer

    def __str__(self) -> str:
        if self.pointer is None:
            return self.message
        return f"{self.message} (at {self.pointer or 'the root'})"


class GrammarSyntaxError(GrammarError):
    """The text is malformed; ``line`` and ``column`` count from 1, None in JSON Schema."""

    code = "grammar_syntax"

    def __init__(
        self,
        message: str,
        *,
        pointer: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = f" (line {self.line}, column {self.column})" if self.line is not None else ""
        return super().__str__() + where


class UnsupportedGrammarError(GrammarError):
    """A construct that is legal but cannot be enforced; ``keyword`` names it."""

    code = "grammar_unsupported"

    def __init__(self, message: str, *, keyword: str, pointer: str | None = None) -> None:
        super().__init__(message, pointer=pointer)
        self.keyword = keyword


class UnsatisfiableGrammarError(GrammarError):
    """No output can fit; ``conflict`` lists the constraints that exclude each other."""

    code = "grammar_unsatisfiable"

    def __init__(
        self, message: str, *, conflict: tuple[str, ...] = (), pointer: str | None = None
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.conflict = conflict


class GrammarLimitError(GrammarError):
    """A budget ran out; ``limit`` is its name in `CompileLimits`, ``given`` what was met.

    The bounds on output in `JsonOptions` count, too.
    """

    code = "grammar_limit"

    def __init__(
        self, message: str, *, limit: str, given: int | None = None, pointer: str | None = None
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.limit = limit
        self.given = given
