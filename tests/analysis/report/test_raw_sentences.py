import json
import re

import pytest

from analysis.report.joint_sentences import joint_json, prediction_sentence, state_joint
from tests.analysis.scaling.conftest import quick
from tests.analysis.scaling.test_raw_laws import planted_table, with_a_lost_start


def test_sentences_and_numbers_tell_both_laws():
    joint = quick(planted_table("exponential", 0.002))
    words = " ".join(state_joint(joint))
    assert "One law over all losses (3 shapes, " in words
    assert re.search(r"the best hybrid is worth \d\.\d\dx \[\d\.\d\d, [\d.?]+\] at 10, ", words)
    assert words.count("Held out one at a time") == 2
    assert joint.scaling is not None
    sentence = prediction_sentence(joint.scaling, {"tokens_per_active": 160}, joint.raw)
    assert "By the law over all losses rho* 0." in sentence
    numbers = json.loads(json.dumps(joint_json(joint, []), allow_nan=False))["raw_law"]
    assert numbers["axis"] == "tokens_per_active"
    assert len(numbers["laws"]) == 3
    assert len(numbers["held_out"]) == 4
    lengths = [one["tokens_per_active"] for one in numbers["compute_gain"]]
    assert lengths == pytest.approx([10, 20, 40, 80])
    assert all(one["times"]["low"] > 1 for one in numbers["compute_gain"])
    assert numbers["per_doubling"]["rho_star"]["low"] is not None


def test_refuted_laws_say_nothing_but_that():
    frame = planted_table("exponential", 0.0003)
    frame.loc[frame["rho"].isin([0.0, 0.5, 0.9]), "validation_loss"] += 0.006
    joint = quick(frame)
    words = " ".join(state_joint(joint))
    assert "One law over all losses: all 3 shapes are refuted (p = " in words
    assert joint.scaling is not None
    sentence = prediction_sentence(joint.scaling, {"tokens_per_active": 160}, joint.raw)
    assert "law over all losses" not in sentence
    assert joint_json(joint, [])["raw_law"]["per_doubling"] is None


def test_a_length_that_is_left_out_is_said_to_be():
    joint = quick(with_a_lost_start())
    words = " ".join(state_joint(joint))
    assert "With 10 tokens_per_active every law over all losses is refuted (p = " in words
    assert "what follows is of 20 to 80, a range that was chosen after the losses" in words
    numbers = json.loads(json.dumps(joint_json(joint, []), allow_nan=False))["raw_law"]
    assert numbers["left_out"] == pytest.approx([10])
    assert len(numbers["compute_gain"]) == 3
    assert joint.scaling is not None
    at = {length: {"tokens_per_active": length} for length in (10.0, 20.0)}
    said = {
        length: prediction_sentence(joint.scaling, place, joint.raw) for length, place in at.items()
    }
    assert "law over all losses" not in said[10.0]
    assert "By the law over all losses" in said[20.0]
