"""The commands in the code blocks of README and docs, and what `make` makes of them."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.examples import ROOT

OF_THE_PAST = ("lab-notebook.md", "decisions.md")
"""Pages whose commands are those of their day."""
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in OF_THE_PAST),
)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make|engram-sweep|\.venv/bin/\S+)(?: |$)")
"""How a line that somebody types begins."""


@dataclass(frozen=True)
class Line:
    """One command of a page."""

    page: str
    text: str
    """As typed, without the comment behind it."""

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def lines_of(page: Path) -> list[Line]:
    """Return the commands of a page's indented code blocks, in their order."""
    found = []
    for line in page.read_text().splitlines():
        if line.startswith("    ") and COMMAND.match(line.strip()):
            text = re.split(r"\s+#\s", line.strip())[0]
            found.append(Line(page.name, text))
    return found


def expanded(text: str, bin_folder: Path) -> list[list[str]]:
    """Return the words of every `engram-sweep` that a typed command comes to.

    Args:
        text: the command.
        bin_folder: stands for `.venv/bin`; `make` is told that it is up to date.

    Raises:
        AssertionError: `make` knows no such target.
    """
    words = shlex.split(text)
    while "=" in words[0]:
        words = words[1:]
    if words[0] != "make":
        name = Path(words[0]).name
        return [words[1:]] if name == "engram-sweep" else []
    ready = bin_folder / ".ready"
    # Without jobs and variables of a make above.
    command = ["make", "-n", f"BIN={bin_folder}", "-o", str(ready), *words[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, f"{text}: {done.stderr}"
    starts = re.findall(rf"{re.escape(str(bin_folder))}/engram-sweep ([^;|&\n>]*)", done.stdout)
    return [shlex.split(start) for start in starts]


def _environment() -> dict[str, str]:
    import os

    return {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
