"""Fixtures that faults share with other rooms."""

from __future__ import annotations

from tests.launch.conftest import pretended

__all__ = ["pretended"]
