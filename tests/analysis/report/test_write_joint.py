import numpy as np
import pandas as pd
import pytest

from analysis.report.inside_sections import read_inside
from analysis.report.write_inside import write_inside
from analysis.report.write_joint import law_table, write_joint_report
from engram_sweep.errors import UserError
from engram_sweep.runs.records import read_runs
from tests.analysis.report.test_write_inside import write_measured_sweep
from tests.analysis.scaling.conftest import BUDGETS, law, quick, table


def test_a_report_of_several_conditions_holds_all_of_them(tmp_path):
    joint = quick(table())
    lines = write_joint_report(joint, tmp_path, "budgets")
    assert [line.split(":")[0] for line in lines[:3]] == list(joint.labels)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "summary.parquet", "loss_vs_rho.svg", "optimum_over_axes.svg"} <= names
    page = (tmp_path / "report.html").read_text()
    for label in joint.labels:
        assert f">{label}</h1>" in page
    assert page.count("Every run</h2>") == 1
    summary = pd.read_parquet(tmp_path / "summary.parquet")
    assert len(set(summary["budget"])) == len(BUDGETS)
    assert list(dict.fromkeys(summary["condition"])) == list(joint.labels)


def test_what_was_measured_inside_the_runs_has_its_section(tmp_path):
    write_measured_sweep(tmp_path)
    write_inside("demo", tmp_path, 0.9)
    inside = read_inside(tmp_path / "demo", read_runs("demo", tmp_path)).html
    write_joint_report(quick(table()), tmp_path / "demo", "demo", inside=inside)
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.count("Where the gain lives</h2>") == 1


def test_the_law_stands_beside_what_was_measured():
    found = law()
    rows = law_table(found)
    assert list(rows["condition"]) == list(found.labels)
    low, value, high = (rows[f"rho*, law{end}"].to_numpy() for end in (" from", "", " to"))
    assert np.all(low <= value)
    assert np.all(value <= high)
    missed = [one.error[1] for one in found.held_out]
    assert list(rows["gain, missed by"]) == pytest.approx(missed)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="the report cannot be written"):
        write_joint_report(quick(table()), tmp_path / "nowhere", "budgets")
