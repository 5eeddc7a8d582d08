from __future__ import annotations

from dataclasses import fields

from engram_sweep.training.observed import OF_VALIDATION, Observed


def test_what_validation_fills_is_named() -> None:
    """A field that is spelled wrong would travel in checkpoints, and be counted twice."""
    assert set(OF_VALIDATION) < {field.name for field in fields(Observed)}
    assert all(getattr(Observed(), name) == [] for name in OF_VALIDATION)
