"""Every command of README and docs: the line is real, its options are, and what costs little runs.

A line that is not run here has its reason in `ONLY_PARSED`; a new line needs a place in either.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engram_sweep.cli.main import main, parser_of
from engram_sweep.cli.options import name_of
from engram_sweep.config.scale import scale_names
from tests.docs.blocks import PAGES, Line, expanded, lines_of
from tests.examples import ROOT, SWEEPS

LINES = [line for page in PAGES for line in lines_of(page)]
OF_THE_READER = {"mine", "large"}
"""Scales that the reader has made, by the commands of the same pages."""

RUN = (
    r"make (plan|status|cancel|register|doctor)( SCALE=smoke)?( ARGS='--set.*)?$",
    r"make plan SCALE=10B$",
    r"engram-sweep plan (tiny --json|10B --gpu h200 .*)$",
    r"engram-sweep (doctor --json|keys arms|keys --schema|register SCALE)$",
    r"engram-sweep status tiny( --json)?$",
    r"engram-sweep fit --records FILE --json$",
    r"\.venv/bin/engram-sweep (report --records|compare) results/published/.*",
)
"""Lines that run here, in a folder of their own; SCALE stands for smoke, FILE for tiny's table."""

ONLY_PARSED = {
    r"(DRY_RUN=1 |EXECUTOR=slurm )?make (sweep|rerun-failed|publish|tune)\b.*": "trains for "
    "minutes or needs SLURM; tests/docs/test_tutorial.py, tests/launch, tests/slurm run them",
    r"make rehearse.*": "minutes; tests/cli/test_rehearse.py",
    r"make (report|logs|notebooks)\b.*": "needs a trained sweep; tests/docs/test_tutorial.py, "
    "tests/cli/test_logs.py, tests/analysis/test_notebooks.py",
    r"make power.*": "simulates for seconds; tests/analysis/cli/test_power.py",
    r"make (test|lint|docs|test-gpu|chaos).*": "runs this, is run by CI, or takes hours",
    r"(make|engram-sweep) ablate\b.*": "trains for an hour; tests/analysis/cli/test_ablate.py",
    r"make (strata|retrieval|eval|inside)\b.*": "needs trained weights; tests/inside, "
    "tests/analysis/inside",
    r"engram-sweep inspect engram RUN .*": "needs weights; tests/cli/test_inspect_engram.py",
    r"engram-sweep compare tiny other\.csv --json": "the reader's own table; "
    "tests/analysis/cli/test_compare.py",
    r"\.venv/bin/pytest -m slow": "is what CI runs beside this",
    r"(\.venv/bin/)?engram-sweep (init|data) .*": "needs the reader's text, or simulates for "
    "seconds; tests/analysis/cli/test_init.py, tests/cli/test_data.py",
    r"engram-sweep fit (tiny|--records results/published/tiny).*": "fits for up to half a minute "
    "or needs a trained sweep; tests/docs/test_figures.py fits the same tables",
    r"engram-sweep (logs|status tiny --watch).*": "opens a browser or waits; "
    "tests/cli/test_logs.py, tests/cli/test_status.py",
    r"make (plan|doctor) SCALE=(mine|large)$": "the reader's own scale",
    r"\.venv/bin/engram-sweep (export|fit) .*tutorial\.csv.*": "tests/docs/test_tutorial.py",
}
"""Lines whose options are checked only, and why."""


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin")
    (folder / ".ready").touch()
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the scales and the published tables of this one."""
    shutil.copytree(SWEEPS, tmp_path / "sweeps")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "published").symlink_to(ROOT / "results" / "published")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_line_is_either_run_or_has_its_reason() -> None:
    assert len(LINES) > 50
    for line in LINES:
        places = [one for one in (*RUN, *ONLY_PARSED) if re.fullmatch(one, line.text)]
        assert len(places) == 1, f"{line} is in {places}"
    for one in (*RUN, *ONLY_PARSED):
        assert any(re.fullmatch(one, line.text) for line in LINES), f"no line is like {one}"


@pytest.mark.parametrize("text", sorted({line.text for line in LINES}))
def test_make_has_the_target_and_the_parser_takes_the_options(text: str, bin_folder: Path) -> None:
    for words in expanded(text, bin_folder):
        options = parser_of(words).parse_args(words)
        named = getattr(options, "scale", None) or []
        for name in [named] if isinstance(named, str) else named:
            assert name_of(name) in {*scale_names(SWEEPS), *OF_THE_READER, "SCALE"}


@pytest.mark.parametrize(
    "text", sorted({line.text for line in LINES if any(re.fullmatch(r, line.text) for r in RUN)})
)
def test_it_runs(
    text: str, bin_folder: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(ROOT / "results" / "published" / "tiny.parquet")
    for words in expanded(text, bin_folder):
        meant = [{"SCALE": "smoke", "FILE": table}.get(word, word) for word in words]
        # A doctor that finds something wrong says so by its exit code.
        assert main(meant) in ((0, 1) if meant[0] == "doctor" else (0,)), text
    assert capsys.readouterr().out


def test_lines_are_found_in_blocks_without_their_comments(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    block = "    make plan   # why\n    results/tiny/  # a folder\n    A=1 make x\n"
    page.write_text(f"make this\n\n{block}")
    assert lines_of(page) == [Line("page.md", "make plan"), Line("page.md", "A=1 make x")]
