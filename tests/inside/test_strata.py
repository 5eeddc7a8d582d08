from __future__ import annotations

from dataclasses import replace

import pytest

from engram_sweep.errors import UserError
from engram_sweep.inside.strata import MEASURE
from engram_sweep.inside.trained import Trained


def test_strata_sum_to_the_validation_loss(run: Trained, moe_run: Trained) -> None:
    for one in (run, moe_run):
        rows = MEASURE.of_run(one).to_pandas()
        for _, of_order in rows.groupby("order"):
            assert of_order["tokens"].sum() == len(one.shards.validation) - 1
            mean = of_order["loss"].sum() / of_order["tokens"].sum()
            assert mean == pytest.approx(one.validation_loss, abs=1e-6)


def test_weights_that_do_not_give_the_records_loss_are_refused(run: Trained) -> None:
    other = replace(run, validation_loss=run.validation_loss + 0.01)
    with pytest.raises(UserError, match="expected the validation loss of its record, "):
        MEASURE.of_run(other)
