"""The one exception that a user is meant to see, and what of a text may reach a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, invisible formats, surrogates, line and paragraph separators."""


def not_installed(what: str, package: str) -> UserError:
    """Return the error for an optional package that a scale asks for."""
    return UserError(
        f"{what} package {package} is not installed: pip install -c constraints.txt {package}"
    )


class UserError(ValueError):
    """Bad input. Its message is one line: file, key, what was expected.

    The command line prints it and exits with 2.
    """


MIN_LIKENESS = 0.6
"""Share of letters in common (difflib's ratio) from which a word is taken for a typing error."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean tiny?)`, or nothing if no known word looks like it.

    Args:
        word: what was written.
        known: what there is.

    Example:
        `did_you_mean("tniy", ["smoke", "tiny"])` is `" (did you mean tiny?)"`.
    """
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like a word, in any case; None if none does."""
    # Only after a mistake: no command waits for the import.
    from difflib import get_close_matches

    by_letters = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_letters, n=1, cutoff=MIN_LIKENESS)
    return by_letters[near[0]] if near else None


def printable(text: str) -> str:
    r"""Return a text from a file as one line that moves no cursor and paints nothing.

    Example:
        `printable("red \x1b[31m")` shows the escape character as the four characters `\x1b`.
    """
    return "".join(
        each.encode("unicode_escape").decode()
        if unicodedata.category(each) in _UNSEEN and each != "\t"
        else each
        for each in text
    )
