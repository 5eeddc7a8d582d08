"""Strata: the validation loss, split by how well known the n-gram is that ends at a position."""

from __future__ import annotations

import pyarrow as pa

from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.predictions import predict
from engram_sweep.inside.tallies import tally
from engram_sweep.inside.trained import Trained


def _of_run(run: Trained) -> pa.Table:
    found = predict(run)
    run.check_loss(found.mean_loss)
    return tally(positions_of(run.spec, run.shards), {"loss": found.loss, "correct": found.correct})


MEASURE = Measure(name="strata", of_run=_of_run)
