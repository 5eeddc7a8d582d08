"""The one exception that a user is meant to see, and what of a text may reach a terminal."""

from __future__ import annotations

import unicodedata

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
