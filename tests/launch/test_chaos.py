"""A bounded sample of the fault campaign that `make chaos` runs, here and on a real SLURM."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.chaos.campaign import campaign
from tests.conftest import mount
from tests.slurm.cluster import what_is_missing


@pytest.fixture
def may_mount(tmp_path: Path) -> None:
    """The right to mount a small disk."""
    probe = tmp_path / "probe"
    probe.mkdir()
    mount(probe, "size=64k")
    subprocess.run(["umount", probe], check=True)


@pytest.mark.slow
@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("slurm", [False, True])
def test_a_sweep_under_fire_ends_bit_equal(tmp_path: Path, slurm: bool) -> None:
    if slurm and (missing := what_is_missing()) is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    found = campaign(faults=10, seed=1, folder=tmp_path, slurm=slurm)
    assert found.differ == 0
    assert sum(found.faults.values()) == 10
