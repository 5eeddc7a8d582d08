"""One thread for linear algebra.

The matrices of an analysis are small: threads that wait for each other cost more than they save,
and several times more where other work keeps the cores busy.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import scipy.linalg  # noqa: F401  its library must be there to be found
from threadpoolctl import ThreadpoolController

_P = ParamSpec("_P")
_R = TypeVar("_R")
_LIBRARIES = ThreadpoolController()
"""Finding them takes milliseconds, so once."""


def one_thread(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the same function, with one thread for BLAS while it runs."""

    @wraps(function)
    def limited(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _LIBRARIES.limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
