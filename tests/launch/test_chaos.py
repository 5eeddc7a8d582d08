"""A bounded sample of the fault campaign that `make chaos` runs, here and on a real SLURM."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.campaign import campaign
from tests.slurm.cluster import what_is_missing


@pytest.mark.slow
@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("slurm", [False, True])
def test_a_sweep_under_fire_ends_bit_equal(tmp_path: Path, slurm: bool) -> None:
    if slurm and (missing := what_is_missing()) is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    found = campaign(faults=10, seed=1, folder=tmp_path, slurm=slurm)
    assert found.differ == 0
    assert sum(found.faults.values()) == 10
