"""Finished grammars in a directory that the processes of one server share, by content hash."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from syntagma.grammar import CompiledGrammar, GrammarCompiler, GrammarError
from syntagma.grammar.array_file import StoreFileError

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 1 << 30
_PATTERN = "grammar-*.arrays"


class ArtefactDirectory:
    """Where a front end leaves compiled grammars and an engine's process finds them.

    Trouble with the directory costs time, never an answer: who does not find a grammar compiles it. The
    directory is open to its owner only; who may write it decides about masks.

    Args:
        path: created if need be.
        max_bytes: of all grammars together; the least recently used go first.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.path = Path(path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._written_bytes = 0

    def path_of(self, grammar_hash: str) -> Path:
        """The file of a grammar, whether or not it is there."""
        return self.path / f"grammar-{grammar_hash}.arrays"

    def has(self, grammar_hash: str) -> bool:
        """Whether some process has published a grammar."""
        return self.path_of(grammar_hash).exists()

    def publish(self, grammar: CompiledGrammar) -> bool:
        """Write a grammar unless it is there; tells whether it is there now."""
        path = self.path_of(grammar.hash)
        try:
            os.utime(path)
        except OSError:
            pass
        else:
            return True
        try:
            grammar.save(path)
            size = path.stat().st_size
        except (OSError, GrammarError, ValueError) as error:
            logger.warning("a grammar is not shared with the engine's process: %s", error)
            return False
        self._count(size)
        return True

    def adopt(self, file: Path, grammar_hash: str) -> None:
        """Take in a grammar that lies in a file of the same file system.

        Raises:
            OSError: the file system refuses.
        """
        size = file.stat().st_size
        os.replace(file, self.path_of(grammar_hash))
        self._count(size)

    def load(self, compiler: GrammarCompiler, grammar_hash: str) -> CompiledGrammar | None:
        """A grammar that some process published; None if it is not there, or not fit for use."""
        path = self.path_of(grammar_hash)
        try:
            grammar = compiler.load(path)
        except FileNotFoundError:
            return None
        except (OSError, StoreFileError, GrammarError) as error:
            logger.warning("a grammar is compiled again: %s", error)
            return None
        if grammar.hash != grammar_hash:
            logger.warning("a grammar is compiled again: %s holds that of %s", path, grammar.hash)
            return None
        return grammar

    def _count(self, num_bytes: int) -> None:
        """Note what was written, and look at the bound when that is due."""
        with self._lock:
            self._written_bytes += num_bytes
            is_due = self._written_bytes > self._max_bytes // 8
            if is_due:
                self._written_bytes = 0
        if is_due:
            self._drop_old()

    def _drop_old(self) -> None:
        """Delete the least recently used files beyond the bound; others may do the same at once."""
        files: list[tuple[float, int, Path]] = []
        for path in self.path.glob(_PATTERN):
            try:
                status = path.stat()
            except OSError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
