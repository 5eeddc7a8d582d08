from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.cli.options import (
    add_command,
    add_dry_run_option,
    add_launch_options,
    changes_of,
    plan_of,
    positive,
    scale_of,
)
from tests.conftest import SWEEPS
from tests.examples import write_scale


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command = add_command(parser.add_subparsers(), "go", "a command", lambda _: 0)
    add_launch_options(command)
    add_dry_run_option(command)
    return parser.parse_args(["go", "tiny", "--sweeps", str(SWEEPS), *words])


def test_full_takes_the_full_sweep_of_the_scale() -> None:
    assert len(plan_of(parse("--full")).runs) > len(plan_of(parse()).runs)


@pytest.mark.parametrize(("value", "dry"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_dry_run_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, dry: bool
) -> None:
    monkeypatch.setenv("DRY_RUN", value)
    assert parse().dry_run is dry
    assert parse("--dry-run").dry_run is True


def test_an_executor_on_the_line_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXECUTOR", "slurm")
    assert parse().executor == "slurm"
    assert parse("--executor", "inline").executor == "inline"


def test_changes_are_those_of_the_scale() -> None:
    words = ("sweep.anchor_seeds=[]", "sweep.seeds=[3]", "training.tokens=1e6")
    options = parse(*(word for change in words for word in ("--set", change)))
    assert changes_of(options) == (*words[:2], "training.tokens=1000000")
    assert scale_of(options).changes == changes_of(options)
    assert {run.spec.seed for run in plan_of(options).runs if run.spec.rho < 1} == {3}
    assert changes_of(parse()) == ()


def test_the_path_of_no_file_is_no_scale_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "nosuch/tiny.yaml", "--sweeps", str(SWEEPS)]) == 2
    said = capsys.readouterr().err
    assert said == "engram-sweep: nosuch/tiny.yaml: expected the file of a scale, there is none\n"


@pytest.mark.parametrize("written", ["tiny", str(SWEEPS / "tiny.yaml")])
def test_a_folder_of_scales_that_is_not_there_is_refused(
    capsys: pytest.CaptureFixture[str], written: str
) -> None:
    assert main(["plan", written, "--sweeps", "/nosuch"]) == 2
    said = capsys.readouterr().err
    assert said == "engram-sweep: --sweeps /nosuch: expected a folder of scales, there is none\n"


@pytest.mark.parametrize("written", ["tiny.yaml", str(SWEEPS / "tiny.yaml")])
def test_a_scale_may_be_named_by_its_file(written: str) -> None:
    options = parse()
    options.scale = written
    assert scale_of(options).name == "tiny"
    assert scale_of(options) == scale_of(parse())


def test_the_folder_of_a_named_file_is_where_the_scale_lies(tmp_path: Path) -> None:
    path = write_scale(tmp_path, "mine")
    options = parse()
    options.scale = str(path)
    assert scale_of(options).name == "mine"


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_what_is_not_above_zero_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number above 0, got"):
        positive(text)
    assert positive("2.5") == 2.5
