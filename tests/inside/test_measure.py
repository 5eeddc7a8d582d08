from __future__ import annotations

import subprocess
import sys

import pytest

from engram_sweep.inside.measure import SUMMARIES, measure_of
from engram_sweep.runs.measure_schema import MEASURED
from tests.conftest import ROOT


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_every_measure_is_the_module_of_its_name(name: str) -> None:
    assert measure_of(name).name == name


def test_every_measure_has_its_columns() -> None:
    assert set(MEASURED) == set(SUMMARIES)


def test_the_list_of_measures_loads_no_model() -> None:
    code = "import sys, engram_sweep.inside.measure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
