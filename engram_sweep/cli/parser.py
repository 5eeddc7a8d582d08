"""The parser of the command line: a mistake is one line, with the nearest word that there is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from engram_sweep.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """Raises `UserError` in place of printing usage and leaving the process."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # An abbreviation that works today is ambiguous once there is another option.
        super().__init__(*args, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UserError: always.
        """
        command = " ".join(self.prog.split()[1:])
        place = f"{command}: " if command else ""
        raise UserError(f"{place}{message.removeprefix('argument ')}; see {self.prog} --help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse, and refuse what this parser does not know, so that its own words are suggested."""
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(self._unknown(rest[0]))
        return options, rest

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"expected no further word, got {word!r}"
        option = word.partition("=")[0]
        known = re.findall(r"--[a-z][a-z-]*", self.format_help())
        return f"unknown option {option}{did_you_mean(option, known)}"
