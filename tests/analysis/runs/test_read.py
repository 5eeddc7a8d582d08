"""Runs by the name of a sweep or of a file."""

import pandas as pd
import pytest

from analysis.runs.read import is_table, read_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep, write_runs


def test_a_sweep_and_a_table_of_it_are_the_same_runs(tmp_path):
    runs = sweep()
    write_runs(tmp_path, "tiny", runs)
    losses = sorted(runs["validation_loss"])
    for suffix in ("parquet", "csv"):
        file = tmp_path / f"mine.{suffix}"
        runs.to_parquet(file) if suffix == "parquet" else runs.to_csv(file, index=False)
        assert is_table(str(file))
        assert sorted(read_sweep(str(file))["validation_loss"]) == losses
    found = read_sweep("tiny", tmp_path)
    assert isinstance(found, pd.DataFrame)
    assert sorted(found["validation_loss"]) == losses
    with pytest.raises(UserError, match="no sweep named 'mine'"):
        read_sweep("mine", tmp_path)
