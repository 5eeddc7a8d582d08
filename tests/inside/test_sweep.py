from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.inside.sweep import Outcome, measure_run, measure_sweep
from engram_sweep.runs.measures import measured_file, read_measured, read_measures
from engram_sweep.runs.records import runs_folder


@pytest.fixture
def results(smoke_results: Path, tmp_path: Path) -> Path:
    """A copy of the finished smoke sweep."""
    return Path(shutil.copytree(smoke_results, tmp_path / "results", symlinks=True))


def test_every_run_is_measured_once_side_by_side_or_not(results: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = measure_sweep(
        "smoke", results, "strata", jobs=2, watch=lambda done, total: seen.append((done, total))
    )
    assert found == Outcome(measured=6, known=0)
    assert seen == [(done, 6) for done in range(1, 7)]
    rows = read_measures("smoke", results, "strata")
    assert len(set(rows["run_id"])) == 6
    # One that was measured in this process is the same to the last bit; what cannot be read is
    # measured anew.
    one = runs_folder(results, "smoke") / rows["run_id"].iloc[0]
    before = read_measured(one, "strata")
    measured_file(one, "strata").write_bytes(b"no parquet")
    assert measure_sweep("smoke", results, "strata", jobs=1) == Outcome(measured=1, known=5)
    after = read_measured(one, "strata")
    assert before is not None
    assert after is not None
    assert before.equals(after)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_without_weights_is_one_line_and_what_was_measured_stays(
    results: Path, jobs: int
) -> None:
    folders = sorted(runs_folder(results, "smoke").iterdir())
    for folder in folders:
        if folder != folders[0]:
            (folder / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"there are none \(launch.keep_weights: final keeps"):
        measure_sweep("smoke", results, "strata", jobs=jobs)
    assert not list(folders[1].glob(".strata*"))
    measure_run(folders[0], "strata")
    assert read_measured(folders[0], "strata") is not None
