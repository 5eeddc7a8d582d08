import pandas as pd
import pytest

from analysis.inside.depth import analyse_depth, depth_table, state_depth
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import runs_of
from tests.analysis.tables import limits

KL = {0.5: (1.0, 0.2, 0.0), 1.0: (1.5, 0.9, 0.0)}


def depth_rows() -> pd.DataFrame:
    """Divergences as KL says, in documents of different difficulty."""
    return pd.DataFrame(
        {
            **runs_of(rho, seed),
            "layer": layer,
            "document": document,
            "tokens": 1000,
            "kl": 1000 * kl * (1 + 0.1 * (document - 2) + 0.05 * (seed - 1)),
        }
        for rho, layers in KL.items()
        for seed in range(3)
        for layer, kl in enumerate(layers, start=1)
        for document in range(5)
    )


def test_layers_have_the_divergence_and_the_lead_that_were_planted():
    result = analyse_depth(depth_rows(), "demo")
    for rho, layers in KL.items():
        for one, kl in zip(result.at(rho), layers, strict=True):
            assert one.kl.value == pytest.approx(kl)
            if rho < 1:
                lead = KL[1.0][one.layer - 1] - kl
                assert one.below_moe.value == pytest.approx(lead)
                low, _, high = limits(one.below_moe)
                assert low <= lead <= high
    assert result.at(1.0)[0].below_moe.value is None
    said = " ".join(state_depth(result))
    assert "Depth at rho 0.50" in said
    assert "Layer 1: 1.000 [" in said
    assert "below pure MoE by 0.500" in said
    assert "the validation loss is about pure MoE's" in said
    assert "Layer 3" not in said
    assert len(depth_table(result)) == 6


def test_a_sweep_without_pure_moe_is_one_line():
    rows = depth_rows()
    with pytest.raises(UserError, match="demo: expected runs at rho = 1 and below"):
        analyse_depth(rows.loc[rows["rho"] < 1], "demo")
