"""A bounded sample of the fault campaign that `make chaos` runs; rounds on SLURM are its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.chaos.campaign import campaign
from tests.conftest import mount


@pytest.fixture
def may_mount(tmp_path: Path) -> None:
    """The right to mount a small disk."""
    probe = tmp_path / "probe"
    probe.mkdir()
    mount(probe, "size=64k")
    subprocess.run(["umount", probe], check=True)


@pytest.mark.slow
@pytest.mark.usefixtures("may_mount")
def test_a_sweep_under_fire_ends_bit_equal(tmp_path: Path) -> None:
    found = campaign(faults=10, seed=1, folder=tmp_path, slurm=False)
    assert found.differ == 0
    assert sum(found.faults.values()) == 10
