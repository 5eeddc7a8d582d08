import json

import pandas as pd
import pytest

from analysis.report.write_inside import VIEWS, write_inside
from engram_sweep.errors import UserError
from engram_sweep.inside.measure import SUMMARIES
from engram_sweep.runs.measure_schema import MEASURED
from engram_sweep.runs.measures import write_measured
from tests.analysis.inside.measured import strata_rows
from tests.analysis.tables import write_runs


def write_measured_sweep(results):
    """A finished sweep whose runs have the measure `strata`."""
    import pyarrow as pa

    rows = strata_rows()
    names = {run: f"{i:04d}" for i, run in enumerate(rows["run_id"].unique())}
    rows["run_id"] = [names[run] for run in rows["run_id"]]
    columns = ["run_id", "arm", "rho", "rho_asked", "seed", "steps", "validation_loss"]
    runs = rows.drop_duplicates("run_id").loc[:, columns]
    write_runs(results, "demo", runs)
    for run, of_run in rows.groupby("run_id"):
        schema = MEASURED["strata"].schema
        table = pa.Table.from_pandas(of_run, schema, preserve_index=False)
        write_measured(results / "demo" / "runs" / str(run), "strata", table)
    return rows


def test_a_measure_becomes_sentences_a_figure_and_tables(tmp_path):
    rows = write_measured_sweep(tmp_path)
    said = write_inside("demo", tmp_path, 0.9)
    folder = tmp_path / "demo" / "inside"
    assert json.loads((folder / "strata.json").read_text())["sentences"] == said
    assert "split at rho 0.50" in said[0]
    assert len(pd.read_parquet(folder / "strata.parquet")) == len(rows)
    assert len(pd.read_parquet(folder / "strata_table.parquet")) == 5
    assert {path.suffix for path in folder.glob("strata.*")} == {
        ".json", ".parquet", ".pdf", ".png", ".svg"
    }  # fmt: skip


def test_runs_that_share_no_seed_are_one_line(tmp_path):
    rows = write_measured_sweep(tmp_path)
    apart = rows.loc[(rows["rho"] == 1) == (rows["seed"] == 0), "run_id"]
    for run in set(rows["run_id"]) - set(apart):
        (tmp_path / "demo" / "runs" / run / "strata.parquet").unlink()
    with pytest.raises(UserError, match="demo, strata: expected runs that share a seed, found"):
        write_inside("demo", tmp_path, 0.9)
    assert not (tmp_path / "demo" / "inside").exists()


def test_every_measure_has_a_view_and_every_view_a_measure():
    assert [view.measure for view in VIEWS] == list(SUMMARIES)


def test_a_sweep_that_nobody_measured_is_one_line(tmp_path):
    (tmp_path / "demo" / "runs").mkdir(parents=True)
    with pytest.raises(UserError, match="demo: expected runs that were measured, found none"):
        write_inside("demo", tmp_path, 0.9)
