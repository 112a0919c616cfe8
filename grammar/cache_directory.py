"""A directory of files that spare a later process some work, and that may fail without harm."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from syntagma.grammar.array_file import (
    ArrayFile,
    Field,
    StoreFileError,
    open_arrays,
    write_arrays,
)
from syntagma.grammar.kernel_types import AnyArray

logger = logging.getLogger(__name__)


class CacheDirectory:
    """Array files by kind and key; shared by any number of processes.

    The first trouble is logged, none is raised: a file that cannot be read is not there, one that
    cannot be written is left out.

    Args:
        path: the directory; it is created, open to its owner only, when something is first written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._has_warned = False

    def path_of(self, kind: str, key: str) -> Path:
        """Where a file is or would be."""
        return self.path / f"{kind}-{key}.arrays"

    def read(self, kind: str, key: str, *, writable: bool = False) -> ArrayFile | None:
        """A file, mapped (arguments: `open_arrays`); None if there is none fit for use."""
        path = self.path_of(kind, key)
        try:
            return open_arrays(path, kind=kind, key=key, verify="once", writable=writable)
        except FileNotFoundError:
            return None
        except (OSError, StoreFileError) as error:
            self.warn(error)
            return None

    def write(
        self,
        kind: str,
        key: str,
        arrays: Mapping[str, AnyArray],
        fields: Mapping[str, Field] | None = None,
    ) -> None:
        """Write a file or replace it."""
        try:
            self.create()
            write_arrays(self.path_of(kind, key), kind=kind, key=key, arrays=arrays, fields=fields)
        except OSError as error:
            self.warn(error)

    def create(self) -> None:
        """Make the directory if it is not there.

        Raises:
            OSError: the file system refuses.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def warn(self, error: Exception) -> None:
        """Log trouble with the directory, the first time only."""
        with self._lock:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            logger.warning("the cache in %s is not fully usable: %s", self.path, error)
