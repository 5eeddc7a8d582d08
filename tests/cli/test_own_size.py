from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from engram_sweep.cli.own_size import (
    add_size_options,
    machine_of,
    path_of,
    print_size,
    text_of,
    write_scale,
)
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import Shards
from engram_sweep.errors import UserError
from engram_sweep.planning.own_size import solve


def parse(sweeps: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_size_options(parser)
    return parser.parse_args(["--sweeps", str(sweeps), *words])


def test_a_folder_of_shards_becomes_the_corpus(tmp_path: Path, shards: Shards, capsys) -> None:
    folder = shards_folder(shards)
    options = parse(tmp_path, "--cores", "2", "--hours", "1", "--data", str(folder), "--to", "own")
    text, path = text_of(options), path_of(options)
    assert text.tokens == len(shards.train)
    own = solve(machine_of(options), text, path.stem, [0, 1])
    write_scale(path, own)
    scale = load_scale("own", tmp_path)
    assert scale.corpus.fingerprint == shards.manifest.fingerprint
    assert scale.launch.corpus_path == str(folder)
    print_size(path, own, "core-hours")
    out = capsys.readouterr().out
    assert f"{path}: " in out
    assert "no wider because" in out
    assert "names no text yet" not in out


def shards_folder(shards: Shards) -> Path:
    return Path(str(shards.train.filename)).parent  # type: ignore[attr-defined]


def test_the_default_text_is_packaged_for_cores_and_named_later_for_gpus(tmp_path: Path) -> None:
    assert text_of(parse(tmp_path, "--cores", "1", "--hours", "1")).corpus["source"][0] == "sotu"
    own = text_of(parse(tmp_path, "--gpus", "1", "--hours", "1"))
    assert (own.corpus["source"][0], own.tokens) == ("shards", None)


def read_all(options: argparse.Namespace) -> None:
    machine_of(options)
    path_of(options)
    text_of(options)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--cores", "0", "--hours", "1"], "--cores: expected 1 to 100,000, got 0"),
        (["--gpus", "-2", "--hours", "1"], "--gpus: expected 1 to 100,000, got -2"),
        (["--gpus", "9" * 23, "--hours", "1"], "--gpus: expected 1 to 100,000, got 999"),
        (["--cores", "1", "--hours", "1e300"], r"--hours: expected at most 100,000,000, got 1e\+3"),
        (["--cores", "1", "--hours", "1", "--to", "a/b"], "--to: expected a name of letters"),
        (["--cores", "1", "--hours", "1", "--to", "x.yaml"], "--to: .*does not end in .yaml, got"),
        (["--cores", "1", "--hours", "1", "--to", "there"], "expected no such file yet"),
        (
            ["--cores", "1", "--hours", "1", "--data", "nowhere"],
            "nowhere: expected a folder of token",
        ),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "there.yaml").write_text("about: mine")
    options = parse(tmp_path, *words)
    with pytest.raises(UserError, match=says):
        read_all(options)
    assert (tmp_path / "there.yaml").read_text() == "about: mine"


def test_no_folder_of_scales_is_one_line(tmp_path: Path) -> None:
    options = parse(tmp_path / "no", "--cores", "1", "--hours", "1")
    with pytest.raises(UserError, match="expected the folder of scales"):
        path_of(options)


def test_the_name_is_that_of_the_data(tmp_path: Path) -> None:
    words = ["--cores", "1", "--hours", "1", "--data", str(tmp_path / "my corpus")]
    assert path_of(parse(tmp_path, *words)).name == "my-corpus.yaml"
    assert path_of(parse(tmp_path, *words[:4])).name == "mine.yaml"
