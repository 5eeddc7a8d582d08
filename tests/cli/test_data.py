from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from engram_sweep.cli.main import main
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.own_text.token_files import TokenRequest, import_tokens
from engram_sweep.corpus.shards import verified
from engram_sweep.corpus.sources import SOURCES
from engram_sweep.planning.plan import make_plan
from tests.conftest import SWEEPS, call


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of text, and a folder of scales with the smoke scale in it."""
    (tmp_path / "texts").mkdir()
    for name, text in list(SOURCES["sotu"].documents())[::8]:
        (tmp_path / "texts" / name).write_text(text[:8000], "utf8")
    (tmp_path / "sweeps").mkdir()
    shutil.copy(SWEEPS / "smoke.yaml", tmp_path / "sweeps")
    return tmp_path


def places(home: Path) -> list[str]:
    return ["--data", str(home / "data"), "--sweeps", str(home / "sweeps"), "--like", "smoke"]


def prepare(home: Path, *words: str) -> int:
    return main(["data", "prepare", str(home / "texts"), "--workers", "1", *places(home), *words])


def test_three_commands_lead_from_a_folder_of_text_to_a_plot(home: Path) -> None:
    """As a user calls them; `make sweep` is the sweep and its report."""
    where = ("--sweeps", home / "sweeps", "--results", home / "results")
    words = ["data", "prepare", str(home / "texts"), "--train-bpe", "300", *places(home)]
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert "make sweep SCALE=texts" in done.stdout
    assert call("plan", "texts", "--sweeps", home / "sweeps").returncode == 0
    # In one process: importing torch for each run would take longer than all of them.
    done = call("sweep", "texts", *where, "--executor", "inline")
    assert done.returncode == 0, done.stderr
    done = call("report", "texts", "--results", home / "results")
    assert done.returncode == 0, done.stderr
    assert (home / "results" / "texts" / "report.html").exists()
    assert (home / "results" / "texts" / "loss_vs_rho.png").exists()


def test_run_ids_follow_the_tokenizer(home: Path) -> None:
    """Two vocabularies of one size on one text are two sweeps."""
    ids = []
    for size in ("300", "301"):
        assert prepare(home, "--train-bpe", size, "--to", f"bpe{size}") == 0
        plan = make_plan(load_scale(f"bpe{size}", home / "sweeps"))
        ids.append({run.run_id for run in plan.runs})
        assert {run.spec.geometry.vocab_size for run in plan.runs} == {int(size)}
    assert not ids[0] & ids[1]
    # The same ids, but another file: its fingerprint is the corpus's too.
    folder = home / "data" / "bpe300"
    own = folder / "tokenizer.json"
    before = verified(folder).manifest.fingerprint
    own.write_text(json.dumps(json.loads(own.read_text()), indent=1))
    words = ["data", "prepare", str(home / "texts"), *places(home), "--tokenizer", str(own)]
    assert main([*words, "--to", "again"]) == 0
    again = verified(home / "data" / "again")
    assert again.manifest.fingerprint != before
    assert np.array_equal(again.train, np.fromfile(folder / "train.bin", np.uint16))


def test_calling_twice_changes_nothing_and_a_changed_scale_is_not_overwritten(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(home, "--to", "mine") == 0
    path = home / "sweeps" / "mine.yaml"
    path.write_text(path.read_text().replace("seeds: [0, 1]", "seeds: [7]"))
    capsys.readouterr()
    assert prepare(home, "--to", "mine") == 0
    assert "names it already; make sweep SCALE=mine trains it" in capsys.readouterr().out
    assert load_scale("mine", home / "sweeps").sweep.seeds == (7,)
    assert prepare(home, "--to", "smoke") == 0
    out = capsys.readouterr().out
    assert "smoke.yaml is there and has another corpus" in out
    section = yaml.safe_load(out[out.index("corpus:\n") :])
    found = verified(home / "data" / "smoke").manifest.fingerprint
    assert section["corpus"]["fingerprint"] == found
    assert section["launch"]["corpus_path"] == str(home / "data" / "smoke")


def test_token_files_are_taken_over_with_their_tokenizer(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = ("--validation-share", "0.0001")
    assert prepare(home, "--train-bpe", "300", "--to", "first", *share) == 0
    assert "asked for were 0.0001" in capsys.readouterr().out
    folder = home / "data" / "first"
    words = ["data", "import", str(folder / "train.bin"), *places(home), "--to", "second"]
    words += ["--validation", str(folder / "validation.bin"), "--dtype", "uint16"]
    assert main([*words, "--tokenizer", str(folder / "tokenizer.json")]) == 0
    first, second = verified(folder), verified(home / "data" / "second")
    assert first.manifest.fingerprint == second.manifest.fingerprint
    assert "asked for were" not in capsys.readouterr().out
    assert main([*words, "--tokenizer", str(folder / "tokenizer.json")]) == 2
    assert "second: expected no such folder, or an empty one" in capsys.readouterr().err


def test_check_shows_what_a_scale_makes_of_a_corpus(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(home, "--to", "mine") == 0
    capsys.readouterr()
    words = ["data", "check", str(home / "data" / "mine"), "--scale", "mine", "--json"]
    assert main([*words, "--sweeps", str(home / "sweeps")]) == 0
    found = json.loads(capsys.readouterr().out)
    shards = verified(home / "data" / "mine")
    assert found["train_tokens"] == len(shards.train)
    assert next(use["rho"] for use in found["scale"]) == 1
    for use in found["scale"]:
        assert use["epochs"] == pytest.approx(use["tokens"] / len(shards.train))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        # As numpy says it.
        (OSError("500 requested and 0 written"), "500 requested and 0 written"),
    ],
)
@pytest.mark.parametrize("command", ["prepare", "import"])
def test_a_full_disk_names_the_folder(
    command: str,
    error: OSError,
    says: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engram_sweep.corpus.own_text.prepare.write_shards", full)
    monkeypatch.setattr("engram_sweep.corpus.own_text.token_files.write_shards", full)
    (home / "a.bin").write_bytes(b"to be\0or not\0")
    given = ["import", str(home / "a.bin"), "--tokenizer", "bytes", "--dtype", "uint8"]
    if command == "prepare":
        given = ["prepare", str(home / "texts"), "--workers", "1"]
    assert main(["data", *given, *places(home)]) == 2
    said = capsys.readouterr().err
    assert said == f"engram-sweep: {home / 'data'}: cannot be written: {says}\n"


def test_what_a_short_text_cannot_show_is_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = np.array([1, 2, 0, 3, 4, 0], np.uint8)
    ids.tofile(tmp_path / "a.bin")
    shards = import_tokens(
        TokenRequest((tmp_path / "a.bin",), (), "uint8", "bytes", 0.1), tmp_path / "own"
    )
    assert len(shards.validation) < 50
    assert main(["data", "check", str(tmp_path / "own"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["copies"]["seen"] is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prepare", "nowhere"], "nowhere: expected a file, a folder or hf:OWNER/NAME"),
        (["prepare", "TEXTS", "--to", "../mine"], "--to: expected a name of letters, digits, dots"),
        (["prepare", "TEXTS", "--to", "a.csv"], "--to: expected a name that does not end in .csv"),
        (["prepare", "TEXTS", "--validation-share", "3"], "--validation-share: expected a share"),
        (["prepare", "TEXTS", "--workers", "0"], "--workers: expected at least 1, got 0"),
        (["prepare", "TEXTS", "--train-bpe", "256"], "--train-bpe: expected 257 to 1,048,576 ids"),
        (
            ["prepare", "TEXTS", "--train-bpe", "300", "--document-end", "x"],
            "--document-end: expected no such option beside --train-bpe",
        ),
        (["prepare", "TEXTS", "--tokenizer", "gpt2"], "--tokenizer: expected one of bytes, deepse"),
        (["prepare", "TEXTS", "--like", "huge"], "no scale named 'huge'; there are: smoke"),
        (["import", "nowhere", "--tokenizer", "bytes"], "nowhere: expected uint16 ids: "),
        (["check", "nowhere"], "nowhere: expected a folder of token shards"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    words: list[str], says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(home / "texts") if word == "TEXTS" else word for word in words]
    more = [] if words[0] == "check" else places(home)
    assert main(["data", given[0], *more, *given[1:]]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"engram-sweep: {says}")
    assert len(message.splitlines()) == 1
    assert sorted(path.name for path in home.iterdir()) == ["sweeps", "texts"]
    assert [path.name for path in (home / "sweeps").iterdir()] == ["smoke.yaml"]
