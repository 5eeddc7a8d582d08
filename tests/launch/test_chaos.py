"""A bounded sample of the fault campaign that `make chaos` runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.conftest import mount


@pytest.mark.slow
def test_a_sweep_under_fire_ends_bit_equal(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.mkdir()
    mount(probe, "size=64k")
    subprocess.run(["umount", probe], check=True)
    found = campaign(faults=10, seed=1, folder=tmp_path)
    assert found.differ == 0
    assert sum(found.faults.values()) == 10
