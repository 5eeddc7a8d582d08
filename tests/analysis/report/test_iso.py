"""Both modes in words, as data, as a table, and on the page."""

import json
import re

import pandas as pd
import pytest

from analysis.report.iso import iso_table, state_iso
from analysis.report.joint_sentences import joint_json, state_joint
from analysis.report.write_joint import write_joint_report
from analysis.scaling.joint import JointAnalysis
from engram_sweep.cli.main import main
from tests.analysis.scaling.test_iso_difference import compared
from tests.analysis.tables import iso_sweep, write_runs


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return iso_sweep(0.004, noise=0.001)


@pytest.fixture(scope="module")
def joint(table: pd.DataFrame) -> JointAnalysis:
    return compared(table)


def test_one_sentence_says_the_difference_and_its_part_of_the_step(joint: JointAnalysis):
    (one,) = joint.iso
    words = state_iso(joint, one)
    assert state_joint(joint)[0] == words
    number = r"[+-]0\.0\d{3} \[[+-]0\.0\d{3}, [+-]0\.0\d{3}\]"
    parts = (
        r"iso strict \(shared experts [+-]\d+% to [+-]\d+% against their width at rho = 1\) minus",
        rf"paper: {number} nats/token \(mean of 15 pairs of runs at 5 rho below 1\)\.",
        r"From rho = 1, whose runs both share, to 0\.8\d the loss moves by",
        rf"{number} under strict and {number} under paper:",
        rf"{number} of strict's step is the shared experts' width \(90% intervals\)\.",
    )
    assert re.fullmatch(" ".join(parts), words), words


def test_the_numbers_as_data_and_as_a_table(joint: JointAnalysis):
    data = json.loads(json.dumps(joint_json(joint, []), allow_nan=False))
    assert [one["iso"] for one in data["conditions"]] == ["strict", "paper"]
    (one,) = data["iso"]
    assert set(one["step_from_moe"]) == {"rho", "strict", "paper"}
    assert [at["rho"] for at in one["at_rho"]] == sorted(at["rho"] for at in one["at_rho"])
    assert one["difference"]["low"] < one["difference"]["value"] < one["difference"]["high"]
    rows = iso_table(joint.iso[0])
    assert list(rows["rho"]) == ["all", *joint.iso[0].rho]
    assert rows["strict minus paper"].iloc[0] == one["difference"]["value"]


def test_the_page_lists_a_shared_run_once(table: pd.DataFrame, joint: JointAnalysis, tmp_path):
    write_joint_report(joint, tmp_path, "both")
    page = (tmp_path / "report.html").read_text()
    assert "Strict and paper</h2>" in page
    every_run = page.split("Every run</h2>")[1].split("<h2")[0]
    for run_id in table["run_id"]:
        assert every_run.count(f">{run_id}<") == 1


def test_fit_and_report_read_the_records_of_both_modes(table: pd.DataFrame, tmp_path, capsys):
    write_runs(tmp_path, "both", table)
    for command in ("fit", "report"):
        assert main([command, "both", "--results", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert "iso strict: " in out
        assert "nats/token (mean of 15 pairs of runs at 5 rho below 1)" in out
    assert main(["fit", "both", "--iso", "strict", "--results", str(tmp_path)]) == 0
    assert "minus paper" not in capsys.readouterr().out
