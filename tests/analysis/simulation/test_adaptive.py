"""What the comparison counts; the simulations themselves are the tests of analysis/adaptive."""

from __future__ import annotations

import json

import pytest

from analysis.simulation import adaptive
from analysis.simulation.adaptive import MEASURED, Compared, Outcome, main, markdown, note
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS, LENGTHS

WORLD = ADAPTIVE_WORLDS["exponential"]


def compared(*outcomes: Outcome) -> Compared:
    return Compared(WORLD, outcomes)


def test_covered_width_and_excess_are_those_of_the_outcomes() -> None:
    best, gain = WORLD.truth(LENGTHS[-1])
    held = Outcome((best, best - 0.1, best + 0.1), (gain, gain - 0.01, gain + 0.01), 0.5, 2)
    missed = Outcome((best + 0.2, best + 0.1, best + 0.3), (gain, gain, gain), 0.7, 4)
    both = compared(held, missed)
    assert both.covered(of_gain=False) == 0.5
    assert both.covered(of_gain=True) == 1.0
    assert both.width(of_gain=False) == pytest.approx(0.2)
    assert both.width(of_gain=True) == pytest.approx(0.01)
    assert both.flops == pytest.approx(0.6)
    assert compared(held).excess == pytest.approx(0, abs=1e-9)
    assert compared(missed).excess > 1e-4


def test_the_command_compares_and_notes_what_it_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    file = tmp_path / "measured.json"
    monkeypatch.setattr(adaptive, "MEASURED", file)
    monkeypatch.setattr(adaptive, "GRID_DRAWS", 60)
    assert main(["--sweeps", "1", "--worlds", "exponential", "--write"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| exponential | 9 x 3 | 1.00 |")
    assert lines[3].startswith("| exponential | adaptive | 0.")
    assert list(json.loads(file.read_text())) == ["exponential"]
    # The same seed gives the same table.
    assert main(["--sweeps", "1", "--worlds", "exponential"]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == lines[:4]


def test_a_flat_world_has_no_optimum_to_cover() -> None:
    flat = Compared(ADAPTIVE_WORLDS["flat"], (Outcome((0.5, 0.0, 1.0), (0.0, 0.0, 0.01), 0.6, 4),))
    grid = Compared(flat.world, flat.outcomes)
    assert "| - (1.00) | 100 (0.0100) | 0 | - | - |" in markdown([(grid, flat)])
    note((grid, flat))
    assert not MEASURED.exists() or "flat" not in MEASURED.read_text()
