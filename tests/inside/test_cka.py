from __future__ import annotations

import numpy as np
import torch

from engram_sweep.inside.block_states import watched_blocks
from engram_sweep.inside.cka import MEASURE, POSITIONS, SCHEMA, states_at
from engram_sweep.inside.trained import Trained


def test_states_are_those_of_the_whole_text_at_their_positions(run: Trained) -> None:
    every = []
    for inputs, _ in run.held_out():
        with watched_blocks(run.model) as states, torch.no_grad():
            run.model(inputs)
        every.append(torch.stack([state.flatten(0, 1) for state in states]))
    whole = torch.cat(every, dim=1).numpy()
    positions = np.array([0, 1, 63, 64, 2000, whole.shape[1] - 1])
    found = states_at(run, run.model, positions)
    np.testing.assert_allclose(found, whole[:, positions], atol=2e-5)


def test_every_run_has_its_states_and_those_of_its_start(run: Trained, moe_run: Trained) -> None:
    tables = [MEASURE.of_run(one) for one in (run, moe_run)]
    positions = []
    for table in tables:
        assert table.schema.equals(SCHEMA)
        rows = table.to_pandas()
        assert rows.groupby(["kind", "layer"]).size().to_dict() == {
            (kind, layer): POSITIONS for kind in ("trained", "start") for layer in (1, 2)
        }
        positions.append(rows["position"].tolist())
    assert positions[0] == positions[1]
    # At their start both models have the first block in common: pairing by seed.
    first = [t.to_pandas().query("kind == 'start' and layer == 1")["state"] for t in tables]
    trained = [t.to_pandas().query("kind == 'trained' and layer == 1")["state"] for t in tables]
    assert np.abs(np.stack(trained[0]) - np.stack(trained[1])).max() > 0.01
    assert np.stack(first[0]).shape == (POSITIONS, 32)
