import numpy as np
import pytest

from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from analysis.sweep.noise_sources import noise_sources
from tests.analysis.tables import NINE, sweep


def test_sources_are_recovered():
    noise = Noise(run=0.002, seed=0.006, windows=100, window_run=0.0, window_tilt=0.02)
    table = sweep(seeds=60, noise=noise)
    sources = noise_sources(rho_means(table)).set_index("source")
    found = sources.to_dict("index")
    for run in ("run", "run at rho = 1"):
        assert found[run]["one_seed"] == pytest.approx(0.002, rel=0.2)
        assert found[run]["all_seeds"] == pytest.approx(np.sqrt(1 / 60) * 0.002, rel=0.2)
    assert found["seed's shift"]["one_seed"] == pytest.approx(np.sqrt(2) * 0.006, rel=0.3)
    assert found["seed's shift"]["share"] == 0
    tilt = 0.02 / np.sqrt(100) * np.sqrt(np.mean((1 - NINE[:-1]) ** 2))
    assert found["validation windows"]["one_seed"] == pytest.approx(tilt, rel=0.3)
    assert found["validation windows"]["all_seeds"] == pytest.approx(
        found["validation windows"]["one_seed"]
    )
    assert sum(source["share"] for source in found.values()) == pytest.approx(1)


def test_one_seed_shows_no_noise():
    table = sweep(seeds=1)
    found = noise_sources(rho_means(table))
    assert found[["one_seed", "all_seeds", "share"]].isna().to_numpy().all()
