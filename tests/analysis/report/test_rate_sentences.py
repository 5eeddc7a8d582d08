from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.rates.tuned_rates import TunedRates, analyse_rates
from analysis.report.rate_sentences import rates_json, rates_table, state_rates
from tests.analysis.rates.worlds import OWN, World


def analysed(world: World, seed: int = 0) -> TunedRates:
    return analyse_rates(world.table(np.random.default_rng(seed)), "tables", OWN, draws=300)


QUIET = World(noise=0.0005)


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (QUIET, "The gain is not explained by rho = 1 being badly tuned: rho = 0.5 lies 0.02"),
        # Tuned alike, rho = 1 would do as well; at one rate it is 0.025 behind.
        (
            replace(QUIET, best=(1.2, 0.2, 0.2), bend=(0.018, 0.004, 0.004), lowest=(1.17,) * 3),
            "The gain may be nothing but rho = 1 being badly tuned",
        ),
        (
            replace(QUIET, lowest=(1.16, 1.17, 1.17), best=(0.0, 0.0, 0.0)),
            "No gain over rho = 1 is shown at the one rate",
        ),
    ],
)
def test_the_sentence_says_whether_tuning_explains_the_gain(world: World, words: str) -> None:
    assert words in " ".join(state_rates(analysed(world)))


def test_edges_divergence_and_missing_rates_are_said() -> None:
    world = replace(QUIET, best=(1.0, 3.0, 0.4))
    table = world.table(np.random.default_rng(0))
    table.loc[(table["rho"] == 1) & (table["learning_rate"] > 1.4 * OWN), "validation_loss"] = (
        np.nan
    )
    table = table.loc[(table["rho"] > 0) | (table["learning_rate"] <= OWN)]
    lines = state_rates(analyse_rates(table, "tables", OWN, draws=100))
    text = " ".join(lines)
    assert "rho = 0.5: the best rate is the largest that was fitted, 0.042; a better one" in text
    assert "rho = 0 has too few rates near its best" in text
    assert "rho = 1 has too few rates near its best" in text
    assert "above rho" not in text, "one rho shows no U"


def test_the_table_has_a_row_per_rho_and_marks_open_limits() -> None:
    result = analysed(replace(QUIET, best=(1.0, 3.0, 0.4)))
    rows = rates_table(result).set_index("rho")
    assert list(rows.index) == ["1", "0.5", "0"]
    assert rows.loc["0.5", "best rate"].endswith(">= 0.042]")
    assert "<=" not in rows.loc["1", "best rate"]
    assert rows.loc["1", "below rho = 1 at 0.015"] == ""
    assert rows.loc["0.5", "below rho = 1 at 0.015"] != ""


def test_the_numbers_are_json() -> None:
    numbers = json.loads(json.dumps(rates_json(analysed(QUIET)), allow_nan=False))
    assert numbers["one_rate"] == OWN
    assert len(numbers["each"]) == 3
    assert numbers["each"][1]["gain_by_tuning"]["low"] < numbers["each"][1]["gain"]["high"]
    assert numbers["sentences"]
