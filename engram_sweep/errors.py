"""The one exception that a user is meant to see."""

from __future__ import annotations


def not_installed(what: str, package: str) -> UserError:
    """Return the error for an optional package that a scale asks for."""
    return UserError(
        f"{what} package {package} is not installed: pip install -c constraints.txt {package}"
    )


class UserError(ValueError):
    """Bad input. Its message is one line: file, key, what was expected.

    The command line prints it and exits with 2.
    """
