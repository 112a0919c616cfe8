"""The words for kinds of constraints; apart, so that the command line needs nothing else."""

from __future__ import annotations

from typing import Literal

Whitespace = Literal["flexible", "compact"]
ConstraintKind = Literal["json_schema", "json_object", "regex", "choice"]
