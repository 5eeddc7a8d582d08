from __future__ import annotations

import numpy as np
import pytest

from engram_sweep.inside.positions import Positions
from engram_sweep.inside.tallies import tally
from engram_sweep.runs.measure_schema import KEYS, schema_with


def some_positions(n: int, seed: int) -> Positions:
    rng = np.random.default_rng(seed)
    counts = {order: rng.choice([-1, 0, 2, 5, 50, 1000, 1001], n) for order in (2, 3)}
    copied = {order: rng.random(n) < 0.3 for order in (2, 3)}
    return Positions(np.sort(rng.integers(0, 3, n)), counts, copied)


@pytest.mark.parametrize("seed", range(3))
def test_rows_equal_sums_one_by_one_and_those_of_an_order_are_the_total(seed: int) -> None:
    positions, rng = some_positions(400, seed), np.random.default_rng(seed)
    loss = rng.random(400)
    by_order = {2: rng.random(400), 3: rng.random(400)}
    table = tally(positions, {"loss": loss, "other": by_order})
    assert table.schema.equals(schema_with("loss", "other"))
    assert table.column_names == [*KEYS.names, "loss", "other"]
    frame = table.to_pandas()
    for row in frame.itertuples():
        limits = {"never": (0, 0), "1-3": (1, 3), "4-9": (4, 9), "10-99": (10, 99),
                  "100-1000": (100, 1000), "> 1000": (1001, 10**9), "cut": (-1, -1)}  # fmt: skip
        low, high = limits[str(row.stratum)]
        counts = positions.counts[row.order]
        chosen = (counts >= low) & (counts <= high) & (positions.document == row.document)
        chosen &= positions.copied[row.order] == row.copied
        assert row.tokens == chosen.sum() > 0
        assert row.loss == pytest.approx(loss[chosen].sum(), rel=1e-12)
        assert row.other == pytest.approx(by_order[row.order][chosen].sum(), rel=1e-12)
    for order in (2, 3):
        of_order = frame[frame["order"] == order]
        assert of_order["tokens"].sum() == 400
        assert of_order["loss"].sum() == pytest.approx(loss.sum(), rel=1e-12)
