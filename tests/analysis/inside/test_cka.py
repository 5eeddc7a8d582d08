import numpy as np
import pandas as pd
import pytest

from analysis.inside.cka import analyse_cka, cka_table, state_cka
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import runs_of
from tests.analysis.tables import limits

LAYERS, POSITIONS, DOCUMENTS = 6, 96, 6


def cka_rows(ahead: int, seeds: int = 3) -> pd.DataFrame:
    """A hybrid whose layer j has the state of pure MoE's layer j + ahead, each in its own basis."""
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.standard_normal((LAYERS + ahead, POSITIONS, 12)), axis=0)
    rows = []
    for rho in (0.5, 1.0):
        for seed in range(seeds):
            basis, _ = np.linalg.qr(rng.standard_normal((12, 12)))
            for layer in range(LAYERS):
                state = path[layer + (ahead if rho < 1 else 0)] @ basis
                state = state + 0.3 * rng.standard_normal(state.shape)
                for kind in ("trained", "start"):
                    values = state if kind == "trained" else rng.standard_normal(state.shape)
                    rows += [
                        {
                            **runs_of(rho, seed),
                            "kind": kind,
                            "layer": layer + 1,
                            "position": at,
                            "document": at * DOCUMENTS // POSITIONS,
                            "state": values[at].astype(np.float32),
                        }
                        for at in range(POSITIONS)
                    ]
    return pd.DataFrame(rows)


def test_a_hybrid_that_is_layers_ahead_is_seen_to_be():
    result = analyse_cka(cka_rows(ahead=2), "demo")
    hybrid = [one for one in result.layers if one.rho == 0.5]
    for one in hybrid[1:3]:
        # The mean over the most similar layers lies nearer to the middle than the layer itself.
        low, value, _ = limits(one.above_null)
        assert 0.8 < value < 2.2
        assert low > 0.3
        assert one.likeness.argmax() == one.layer + 1
    pure = [one for one in result.layers if one.rho == 1.0]
    assert [one.index.value for one in pure] == pytest.approx([one.null for one in pure])
    assert pure[0].above_null.value is None
    said = " ".join(state_cka(result))
    assert "At rho 0.50: layer 1 " in said
    assert f"{POSITIONS} held-out positions of {DOCUMENTS} documents" in said
    assert len(cka_table(result)) == 2 * LAYERS


def test_a_hybrid_that_is_not_ahead_is_not_seen_to_be():
    result = analyse_cka(cka_rows(ahead=0), "demo")
    gaps = [limits(one.above_null) for one in result.layers if one.rho == 0.5]
    assert all(low < 0.15 and high > -0.15 for low, _, high in gaps)


def test_one_seed_has_no_null():
    with pytest.raises(UserError, match="demo: expected two seeds at rho = 1 or more, got 1"):
        analyse_cka(cka_rows(ahead=0, seeds=1), "demo")


@pytest.mark.parametrize("column", ["layer", "document", "position"])
def test_a_run_with_states_at_other_places_is_one_line(column: str):
    rows = cka_rows(ahead=0)
    others = rows.assign(**{column: rows[column].where(rows["run_id"] != "0.5-0", 99)})
    fewer = rows.loc[(rows["run_id"] != "0.5-0") | (rows["kind"] == "start")]
    for changed in (others, fewer):
        with pytest.raises(UserError, match="demo: expected every run's states at the same kind, "):
            analyse_cka(changed, "demo")
