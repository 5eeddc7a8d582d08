from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.curve.readings import Interval
from analysis.report.ablation_sentences import ablation_table, state_ablation
from analysis.sweep.ablation import analyse_ablation
from tests.analysis.tables import ablation

WORTH = {"no_gate": 0.05, "no_convolution": 0.0, "order_4": -0.05}
AT: dict[str, Any] = {"sweep__variant_rho": [0.6]}


def test_every_variant_has_its_sentence_and_its_verdict() -> None:
    first, *said, moe = state_ablation(analyse_ablation(ablation(WORTH, seeds=4, **AT), "demo"))
    assert first.startswith("3 variants of the Engram module, paired with the whole one over 4")
    assert "hold all of them at once with 90% (Dunnett, 9 degrees of freedom" in first
    assert [words.partition(" (")[0] for words in said] == [
        "No convolution", "No gate", "Order 4"
    ]  # fmt: skip
    assert "not resolved: a difference of more than 0.0" in said[0]
    assert said[1].endswith("worse than the whole module.")
    assert "No gate (hash_seed: 1): 0.0489 [0.04" in said[1]
    assert said[2].endswith("better than the whole module.")
    assert moe.startswith("Beside them: pure MoE minus the whole module 0.0085 [")


def test_several_rho_are_named() -> None:
    said = state_ablation(analyse_ablation(ablation({"no_gate": 0.05}), "demo"))
    assert sum(" at rho " in words for words in said) == 5 + 5


def test_one_seed_says_that_there_are_no_intervals() -> None:
    said = state_ablation(analyse_ablation(ablation(WORTH, seeds=1, **AT), "demo"))
    assert "nothing measures the noise, so there are no intervals" in said[0]
    assert all(words.endswith("nats/token, one seed.") for words in said[1:4])


def test_what_is_not_known_is_said() -> None:
    result = analyse_ablation(ablation(WORTH, **AT), "demo")
    lost = replace(result.effects[0], difference=Interval(None, None, None))
    said = state_ablation(replace(result, effects=(lost,), failed=("engram/no_gate",)))
    assert "no seed in common with the whole module" in said[1]
    assert said[-1] == "Runs without a loss: engram/no_gate."


def test_the_table_has_the_whole_module_first_and_pure_moe_last() -> None:
    result = analyse_ablation(ablation(WORTH, **AT), "demo")
    table = ablation_table(result)
    assert list(table["variant"]) == [
        "whole module", "no convolution", "no gate", "order 4", "pure MoE"
    ]  # fmt: skip
    assert table["difference"].iloc[0] == 0
    losses = table.set_index("variant")["loss"]
    cost = losses["no gate"] - losses["whole module"]
    assert table["difference"].iloc[2] == pytest.approx(cost)
    inside = table["difference"].between(table["difference low"], table["difference high"])
    assert inside.iloc[1:].all()
    assert pd.isna(table["adjusted p"].iloc[-1])
