import argparse
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from analysis.cli.report import register_fit, register_report
from analysis.report.numbers import as_json
from analysis.report.slot_sentences import state_slots
from analysis.report.verdict_sentences import state_verdict
from analysis.report.write_inside import write_inside
from analysis.slots.slots_analysis import analyse_slots
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.config.changes import read_changes
from engram_sweep.config.scale import load_scale
from engram_sweep.errors import UserError
from engram_sweep.launch.sweep import sweep as train
from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.records import read_runs, write_members
from engram_sweep.runs.table_files import write_table
from tests.analysis.report.test_write_inside import write_measured_sweep
from tests.analysis.slots.conftest import counted, slots
from tests.analysis.tables import sweep, write_runs
from tests.examples import load


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    register_fit(commands)
    register_report(commands)
    options = parser.parse_args(list(map(str, words)))
    return options.func(options)


@pytest.fixture
def records(tmp_path):
    """A parquet table, whose rows are also the records of a sweep called tiny."""
    write_runs(tmp_path, "tiny", sweep())
    sweep().to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def test_fit_prints_one_json_object(records, tmp_path, capsys):
    assert call("fit", "--records", records, "--json") == 0
    from_file = json.loads(capsys.readouterr().out)
    assert call("fit", "tiny", "--results", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == from_file
    assert from_file["gain_over_moe"]["value"] == analyse_sweep(sweep()).gain_over_moe.value


def test_the_level_widens_the_interval(records, capsys):
    widths = []
    for level in ("0.5", "0.99"):
        call("fit", "--records", records, "--json", "--level", level)
        gain = json.loads(capsys.readouterr().out)["gain_over_moe"]
        widths.append(gain["high"] - gain["low"])
    assert widths[1] > 2 * widths[0]


def test_an_interval_of_almost_all_is_not_called_one_of_all(records, capsys):
    call("fit", "--records", records, "--level", "0.999")
    assert "99.9% intervals, 3 seeds" in capsys.readouterr().out


def test_a_single_condition_has_nothing_to_predict_from(records):
    with pytest.raises(UserError, match="--at: One condition cannot show"):
        call("fit", "--records", records, "--at", "C=6e20")


def test_fit_without_json_prints_the_sentence(records, capsys):
    call("fit", "--records", records)
    assert capsys.readouterr().out.strip() == state_verdict(analyse_sweep(sweep())).sentence


def test_report_prints_the_sentence_and_the_page(records, tmp_path, capsys):
    assert call("report", "tiny", "--results", tmp_path) == 0
    sentence, page = capsys.readouterr().out.splitlines()
    assert sentence == state_verdict(analyse_sweep(sweep())).sentence
    assert page == str(tmp_path / "tiny" / "report.html")
    assert (tmp_path / "tiny" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit"], "the name of a sweep, or --records FILE, got neither"),
        (["fit", "tiny", "--records", "x.parquet"], "got both"),
        (["fit", "--records", "nowhere.parquet"], "nowhere.parquet: expected a parquet file"),
        (["fit", "nothing", "--results", "."], "no sweep named 'nothing'"),
        (["fit", "tiny", "--at", "depth=3"], "--at depth=3: expected AXIS=NUMBER"),
        (["fit", "tiny", "--level", "90"], "--level: expected a share"),
        (["fit", "--records", "x.csv", "--set", "a=1"], "expected --set beside names of sweeps"),
        (["fit", "--records", "nowhere.csv"], "nowhere.csv: expected a CSV file, there is none"),
        (["fit", "tiny", "--level", "0.999999999"], "from 0.5 to 0.999, got 0.999999999"),
        (["report", "tiny", "--delta", "-1"], "--delta: expected nats/token above 0"),
        (["report", "tiny", "--delta", "inf"], "--delta: .*, at most 1e.06, got inf"),
        (["report"], "report: expected the name of a sweep, or --records FILE, got neither"),
        (["report", "tiny", "--records", "x.csv"], "report: expected either names of sweeps or"),
    ],
)
def test_bad_calls_are_refused(words, message):
    with pytest.raises(UserError, match=message):
        call(*words)


def test_a_csv_table_says_what_its_parquet_says(records, tmp_path, capsys):
    write_table(pa.Table.from_pandas(sweep()), tmp_path / "table.csv")
    assert call("fit", "--records", records, "--json") == 0
    from_parquet = capsys.readouterr().out
    assert call("fit", "--records", tmp_path / "table.csv", "--json") == 0
    assert capsys.readouterr().out == from_parquet


def test_a_sweep_with_changes_is_found_by_them(tmp_path, capsys):
    """Two sweeps lie in one folder; each is read by the changes that it was trained with."""
    runs = sweep()
    half = runs[runs.seed < 2]
    write_runs(tmp_path, "tiny", runs)
    names = sorted(path.name for path in (tmp_path / "tiny" / "runs").iterdir())
    write_members("tiny", names, tmp_path)
    write_members("tiny", names[: len(half)], tmp_path, ["sweep.seeds=[0, 1]"])
    for words, count in ((["--set", "sweep.seeds=[0,1]"], len(half)), ([], len(runs))):
        assert len(read_runs("tiny", tmp_path, changes_of_words(words))) == count
    with pytest.raises(
        UserError, match=r"expected a sweep with --set a=3, trained there: --set sweep"
    ):
        call("fit", "tiny", "--results", tmp_path, "--set", "a=3")


def test_sections_inside_another_sweep_of_the_folder_are_left_out_and_named(tmp_path, capsys):
    write_measured_sweep(tmp_path)
    runs = read_runs("demo", tmp_path)
    write_members("demo", runs.loc[runs["seed"] < 2, "run_id"].tolist(), tmp_path, ["a=1"])
    write_members("demo", runs["run_id"].tolist(), tmp_path)
    write_inside("demo", tmp_path, 0.9)
    said = "Left out of the page, to be made again: strata (made from other runs)."
    for words, there in (([], True), (["--set", "a=1"], False)):
        assert call("report", "demo", "--results", tmp_path, *words) == 0
        assert (said in capsys.readouterr().out.splitlines()) == (not there)
        page = (tmp_path / "demo" / "report.html").read_text()
        assert ("Where the gain lives</h2>" in page) == there
        assert (said in page) == (not there)


def changes_of_words(words):
    return read_changes([word for word in words if word != "--set"])


@pytest.fixture
def lengths(tmp_path):
    """A sweep of two lengths of training as its records say it, and the same as two tables."""
    parts = [
        sweep(seed=number).assign(
            scale="axes", params_total=10_000, params_active=1_000, tokens=tokens
        )
        for number, tokens in enumerate((20_000, 40_000))
    ]
    for number, part in enumerate(parts):
        part.to_parquet(tmp_path / f"{number}.parquet")
    write_runs(tmp_path, "axes", pd.concat(parts))
    return tmp_path


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_any_table_has_a_report_of_its_own(records, tmp_path, capsys, suffix):
    """A table without a single column beyond the three that are needed."""
    table = tmp_path / f"theirs.{suffix}"
    write_table(pa.Table.from_pandas(sweep()[["rho", "seed", "validation_loss"]]), table)
    assert call("report", "--records", table) == 0
    sentence, page = capsys.readouterr().out.splitlines()
    assert sentence == state_verdict(analyse_sweep(sweep())).sentence
    assert page == str(tmp_path / "theirs-report" / "report.html")
    assert f"engram-sweep report --records {table}" in (tmp_path / page).read_text()
    assert call("report", "--records", table, "--to", tmp_path / "here" / "there") == 0
    assert (tmp_path / "here" / "there" / "loss_vs_rho.png").is_file()


def test_a_report_that_cannot_be_made_leaves_no_folder(tmp_path):
    sweep().head(2).to_parquet(tmp_path / "few.parquet")
    with pytest.raises(UserError, match="expected at least 3 for a curve"):
        call("report", "--records", tmp_path / "few.parquet")
    assert not (tmp_path / "few-report").exists()
    (tmp_path / "file").write_text("")
    sweep().to_parquet(tmp_path / "many.parquet")
    with pytest.raises(UserError, match="file: expected a folder to write into"):
        call("report", "--records", tmp_path / "many.parquet", "--to", tmp_path / "file")


def test_several_conditions_are_each_fitted_and_then_together(lengths, capsys):
    assert call("fit", "axes", "--results", lengths, "--json", "--at", "tokens_per_active=80") == 0
    found = json.loads(capsys.readouterr().out)
    alone = as_json(analyse_sweep(sweep(), "axes, tokens_per_active 20"))
    assert len(found["conditions"]) == 2
    assert {key: found["conditions"][0][key] for key in alone} == json.loads(json.dumps(alone))
    assert found["conditions"][0]["axes"] == {
        "total_over_active": 10,
        "tokens_per_active": 20,
        "budget": 1.2e8,
    }
    assert list(found["joint"]["axes"]) == ["tokens_per_active"]
    assert set(found["joint"]["not_identified"]) == {"total_over_active", "budget"}
    prediction = found["joint"]["predictions"][0]
    assert prediction["at"] == {"tokens_per_active": 80}
    assert prediction["beyond"] == 1
    assert prediction["gain_over_moe"]["low"] <= prediction["gain_over_moe"]["value"]

    call(
        "fit",
        "--records",
        lengths / "0.parquet",
        lengths / "1.parquet",
        "--json",
        "--at",
        "tokens_per_active=80",
    )
    assert json.loads(capsys.readouterr().out) == found


def test_several_conditions_in_words_and_in_a_report(lengths, capsys):
    assert call("fit", "axes", "--results", lengths, "--at", "C=4.8e8") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tokens_per_active 20: A U is supported")
    assert lines[2].startswith(
        "Per doubling of tokens_per_active (20 to 40, 2 values; two values tell no bend) rho*"
    )
    assert lines[-1].startswith("At budget 4.8e+08 (1.0 doublings beyond what was trained): rho* ")

    assert call("report", "axes", "--results", lengths) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == lines[:-1]
    page = (lengths / "axes" / "report.html").read_text()
    assert page.count("<svg") == 4  # all curves, the axes, and each curve by itself
    assert "Per doubling of tokens_per_active" in page
    summary = pd.read_parquet(lengths / "axes" / "summary.parquet")
    assert set(summary["tokens_per_active"]) == {20, 40}
    assert (lengths / "axes" / "optimum_over_axes.png").is_file()


def test_a_foreign_parquet_is_refused(tmp_path):
    path = tmp_path / "foreign.parquet"
    sweep().rename(columns={"rho": "lr"}).to_parquet(path)
    with pytest.raises(UserError, match=r"foreign\.parquet: .*rho"):
        call("fit", "--records", path)
    path.write_text("no parquet")
    with pytest.raises(UserError, match=r"foreign\.parquet: expected a readable parquet file"):
        call("fit", "--records", path)


def test_table_sizes_are_fitted_and_reported(tmp_path, capsys):
    table = counted(slots())
    write_runs(tmp_path, "sizes", table)
    table.to_parquet(tmp_path / "table.parquet")
    assert call("fit", "sizes", "--results", tmp_path) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == state_slots(analyse_slots(table))
    assert call("fit", "--records", tmp_path / "table.parquet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sentence"] == " ".join(told)
    assert call("report", "sizes", "--results", tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [
        *told,
        str(tmp_path / "sizes" / "report.html"),
    ]
    assert (tmp_path / "sizes" / "loss_vs_slots.pdf").is_file()
    with pytest.raises(UserError, match="--at C=1e9: sizes varies table sizes and has no"):
        call("fit", "sizes", "--results", tmp_path, "--at", "C=1e9")


def test_a_curve_beside_table_sizes_is_one_line(tmp_path):
    both = pd.concat([slots(), sweep().assign(rows_per_head_asked=np.nan)])
    both.to_parquet(tmp_path / "both.parquet")
    with pytest.raises(UserError, match="24 runs with tables have no rows_per_head"):
        call("fit", "--records", tmp_path / "both.parquet")


def test_table_sizes_are_trained_and_read(tmp_path, capsys):
    """Smoke's backbone with tables of two sizes in both arms, from YAML to a page."""
    data = load("smoke").model_dump(mode="json", exclude={"name"}, exclude_none=True)
    sizes = {"rho": [1.0], "rows_per_head": [0, 16, 512], "iso": "paper"}
    data["sweep"] |= {**sizes, "seeds": [0, 1], "arms": {"over_encoding": [1.0]}}
    data["training"]["tokens"] = 4096
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "sizes.yaml").write_text(yaml.safe_dump(data))
    results = tmp_path / "results"
    plan = make_plan(load_scale("sizes", tmp_path / "sweeps"))
    assert all(one.finished for one in train(plan, results, lambda statuses: None, "inline"))
    assert call("fit", "sizes", "--results", results, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["arm"] for one in found["arms"]] == ["engram", "over_encoding"]
    for one in found["arms"]:
        assert [size["rows_per_head"] for size in one["sizes"]] == [16, 512]
        shares = [size["touched"] for size in one["sizes"]]
        assert shares[0] > shares[-1], "a short text fills a small table only"
        assert one["over_moe"]["seeds"] == 2
        assert one["slope"]["low"] < one["slope"]["high"]
    assert found["paired"][0]["over"] == "over_encoding"
    assert call("report", "sizes", "--results", results) == 0
    assert "rows (" in capsys.readouterr().out


def test_an_adaptive_sweep_is_reported_by_laws_over_its_single_runs(tmp_path, capsys):
    """Its conditions are thin; the report says how runs were chosen, and lists why."""
    from analysis.adaptive.sampler import runs_of
    from engram_sweep.runs.design_note import write_looks, write_rules
    from tests.analysis.adaptive.worlds import DESIGN, piloted

    runs = runs_of(DESIGN, piloted())
    table = pd.DataFrame(
        {
            "arm": np.where(runs.rho == 1, "moe", "engram"),
            "rho": runs.rho,
            "seed": runs.seed,
            "outcome": "ok",
            "validation_loss": runs.loss,
            "tokens_per_active": 2.0**runs.size,
        }
    )
    write_runs(tmp_path, "tiny", table)
    assert call("fit", "tiny", "--results", tmp_path) == 0
    assert "One law over all losses (3 shapes" not in capsys.readouterr().out
    write_rules("tiny", {"width": 0.2, "looks": 4}, tmp_path)
    look = {"width": 0.5, "words": "0.50 wide", "runs": ["ab" * 16], "reasons": ["largest gap"]}
    write_looks("tiny", [look], tmp_path)
    assert call("fit", "tiny", "--results", tmp_path) == 0
    assert "One law over all losses (3 shapes" in capsys.readouterr().out
    assert call("report", "tiny", "--results", tmp_path) == 0
    said = capsys.readouterr().out
    assert "This sweep is adaptive" in said
    assert "That look is no result" in said
    page = (tmp_path / "tiny" / "report.html").read_text()
    assert "How runs were chosen" in page
    assert "look 1, abababab: largest gap" in page
