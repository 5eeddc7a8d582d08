from __future__ import annotations

import pytest
import torch

from engram_sweep.inside import depth
from engram_sweep.inside.depth import MEASURE, SCHEMA, divergences
from engram_sweep.inside.trained import Trained
from tests.model.shapes import GEOMETRIES, build, tokens


@pytest.mark.parametrize("name", ["engram", "streams"])
def test_the_last_block_is_the_prediction_and_others_are_as_a_sum_over_words_says(
    name: str,
) -> None:
    model, ids = build(GEOMETRIES[name]), tokens(2, 5)
    with torch.no_grad():
        first, *_, last = divergences(model, ids)
        assert (last == 0).all()
        assert (first > 0).all()
        # The first block's reading, from a model of that block alone.
        p = model(ids).softmax(-1)
        del model.blocks[1:]
        looked_up = [memory.look_up(ids) for memory in model.memories()]
        q = model.head(model.hidden(ids, looked_up)).softmax(-1)
    for b in range(2):
        for t in range(5):
            plain = sum(float(p[b, t, v] * (p[b, t, v] / q[b, t, v]).log()) for v in range(40))
            assert float(first[b, t]) == pytest.approx(plain, abs=1e-4)


def test_rows_hold_every_position_once_per_layer(
    run: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "MAX_POSITIONS", len(run.shards.validation))
    table = MEASURE.of_run(run)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pandas()
    tokens_of = rows.groupby("layer")["tokens"].sum()
    assert (tokens_of == len(run.shards.validation) - 1).all()
    assert list(tokens_of.index) == [1, 2]
    assert rows.loc[rows["layer"] == 2, "kl"].abs().max() < 1e-2
    assert (rows.loc[rows["layer"] == 1, "kl"] > 0).all()
