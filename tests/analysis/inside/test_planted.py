"""The planted sweeps as published: their known truth comes out in order."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from analysis.inside.strata import analyse_strata
from tests.analysis.tables import limits

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"
DIALS = ("planted-look-up", "planted-half", "planted-computed")


@pytest.fixture(scope="module")
def wholes():
    """The analyses of the three sweeps, from look-up to computation."""
    tables = {dial: pd.read_parquet(PUBLISHED / f"{dial}-strata.parquet") for dial in DIALS}
    return [analyse_strata(table, dial).whole for dial, table in tables.items()]


def test_the_gain_falls_from_look_up_to_computation(wholes):
    gains = [limits(one.gain_over_moe) for one in wholes]
    for more, less in itertools.pairwise(gains):
        # Not only in order: the intervals do not meet.
        assert more[0] > less[2]


def test_the_optimum_is_at_the_memory_end_only_if_text_is_looked_up(wholes):
    highs = [limits(one.rho_star)[2] for one in wholes]
    assert highs == sorted(highs)
    # Computed text says nothing against many experts; looked-up text rules them out.
    assert highs[0] < 0.25
    assert highs[-1] > 0.75
