import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.report.inside_sections import read_inside
from analysis.report.write import write_report
from analysis.report.write_ablation import write_ablation
from analysis.report.write_joint import write_joint_report
from analysis.report.write_slots import write_slots_report
from analysis.scaling.joint import analyse
from analysis.slots.slots_analysis import analyse_slots
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import is_variant
from engram_sweep.runs.records import read_runs
from tests.analysis.tables import ablation, sweep, write_runs

WORTH = {"no_gate": 0.05, "no_convolution": 0.0}


def test_variants_become_a_section_of_the_page(tmp_path: Path) -> None:
    write_runs(tmp_path, "demo", ablation(WORTH, sweep__variant_rho=[0.6]))
    said = write_ablation(read_runs("demo", tmp_path), tmp_path / "demo", "demo", 0.9)
    folder = tmp_path / "demo" / "inside"
    assert json.loads((folder / "ablate.json").read_text())["sentences"] == said
    assert {path.name for path in folder.iterdir()} == {
        "ablate.json", "ablate.pdf", "ablate.png", "ablate.svg", "ablate_table.parquet"
    }  # fmt: skip
    assert len(pd.read_parquet(folder / "ablate_table.parquet")) == 4
    runs = read_runs("demo", tmp_path)
    (html,) = read_inside(tmp_path / "demo", runs).html
    assert "What each part of the module is worth" in html

    write_report(runs, tmp_path / "demo", "demo")
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "What each part of the module is worth" in page
    # The table of all runs has them under their names; the curve has none of them.
    assert "engram/no_gate" in page
    per_rho = pd.read_parquet(tmp_path / "demo" / "summary.parquet")
    assert sum(per_rho["runs"]) == sum(not is_variant(arm) for arm in runs["arm"])


def test_a_sweep_of_table_sizes_has_the_section_too(tmp_path: Path) -> None:
    """As the paper's Fig. 5 has it: one backbone, one memory on top, its variants."""
    sizes: dict[str, Any] = {"sweep__rho": [1.0], "sweep__rows_per_head": [0, 1000]}
    table = ablation(WORTH, sweep__iso="paper", **sizes)
    write_runs(tmp_path, "demo", table)
    said = write_ablation(read_runs("demo", tmp_path), tmp_path / "demo", "demo", 0.9)
    assert said[2].startswith("No gate (hash_seed: 1): 0.0")
    assert said[3].startswith("Beside them: pure MoE minus the whole module")
    slots = analyse_slots(read_runs("demo", tmp_path), "demo")
    plain = analyse_slots(table.loc[[not is_variant(arm) for arm in table["arm"]]], "demo")
    gains = [
        [(one.arm, one.over_moe.mean) for one in each.arms if one.over_moe]
        for each in (slots, plain)
    ]
    assert gains[0] == gains[1] != []
    assert len(slots.runs.variants) == 2 * 3
    inside = read_inside(tmp_path / "demo", read_runs("demo", tmp_path)).html
    write_slots_report(slots, tmp_path / "demo", "demo", inside=inside)
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "What each part of the module is worth" in page
    assert "engram/no_gate" in page


def test_every_condition_is_compared_by_itself(tmp_path: Path) -> None:
    lengths: dict[str, Any] = {"training__tokens": None, "sweep__tokens_per_active": [2, 4]}
    write_runs(tmp_path, "demo", ablation(WORTH, sweep__variant_rho=[0.6], **lengths))
    said = write_ablation(read_runs("demo", tmp_path), tmp_path / "demo", "demo", 0.9)
    table = pd.read_parquet(tmp_path / "demo" / "inside" / "ablate_table.parquet")
    assert len(set(table["condition"])) == 2
    assert sum("No gate" in words for words in said) == 2
    assert all(words.startswith("tokens_per_active") for words in said)
    runs = read_runs("demo", tmp_path)
    inside = read_inside(tmp_path / "demo", runs).html
    write_joint_report(analyse(runs, "demo"), tmp_path / "demo", "demo", inside=inside)
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.count("What each part of the module is worth</h2>") == 1


def test_a_sweep_without_variants_is_one_line(tmp_path: Path) -> None:
    write_runs(tmp_path, "demo", sweep().assign(arm="engram"))
    with pytest.raises(UserError, match=r"demo: expected finished runs of variants"):
        write_ablation(read_runs("demo", tmp_path), tmp_path / "demo", "demo", 0.9)
    assert not (tmp_path / "demo" / "inside").exists()
