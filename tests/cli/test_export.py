from __future__ import annotations

from pathlib import Path

from engram_sweep.runs.records import read_parquet, read_runs
from engram_sweep.runs.table_files import read_table
from tests.conftest import call


def test_an_exported_table_is_the_table(smoke_results: Path, tmp_path: Path) -> None:
    done = call("export", "smoke", tmp_path / "runs.parquet", "--results", smoke_results)
    assert done.returncode == 0, done.stderr
    assert "6 runs" in done.stdout
    assert read_parquet(tmp_path / "runs.parquet").equals(read_runs("smoke", smoke_results))
    refused = call("export", "smoke", tmp_path / "no" / "runs.parquet", "--results", smoke_results)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def test_a_csv_is_one(smoke_results: Path, tmp_path: Path) -> None:
    done = call("export", "smoke", tmp_path / "runs.csv", "--results", smoke_results)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs.csv").read_text().startswith("schema_version,run_id,")
    losses = read_table(tmp_path / "runs.csv").validation_loss
    assert losses.tolist() == read_runs("smoke", smoke_results).validation_loss.tolist()
