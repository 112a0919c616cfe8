"""What the engine core's side is told through vLLM's ``additional_config``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from syntagma.grammar import CompileLimits

CONFIG_KEY: Final = "syntagma"
"""Where our options lie."""


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """What the engine core's side is told through ``additional_config``.

    Attributes:
        directory: of finished grammars and of what depends on the vocabulary alone; None: no files.
        max_seconds: that compiling one grammar may take where no artefact is found.
        max_schema_depth: of schemas, likewise.
        draft_corpus: files of texts that outputs are likely to resemble, for drafts of all tenants.
    """

    directory: str | None = None
    max_seconds: float = CompileLimits().max_seconds
    max_schema_depth: int = CompileLimits().max_schema_depth
    draft_corpus: Sequence[str] = ()

    @classmethod
    def of(cls, vllm_config: Any) -> BackendOptions:
        """The options in a `VllmConfig`; what is not there has its default.

        Raises:
            ValueError: an option that is not known.
        """
        additional = vllm_config.additional_config
        given = additional.get(CONFIG_KEY, {}) if isinstance(additional, dict) else {}
        try:
            return cls(**{key: value for key, value in given.items() if key != "plugin"})
        except TypeError as error:
            raise ValueError(f"additional_config[{CONFIG_KEY!r}]: {error}") from None
