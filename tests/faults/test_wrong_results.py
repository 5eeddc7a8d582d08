"""W: what is read back is what it is taken for, or there is one line and no result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engram_sweep import worker
from engram_sweep.corpus.shards import prepare
from engram_sweep.corpus.tokenizer import TOKENIZERS, cached_compression
from engram_sweep.launch.status import folder_of
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder
from tests.conftest import call, write_two_runs
from tests.examples import work_order


def reverse(path: Path) -> None:
    """Other bytes, as many of them."""
    path.write_bytes(path.read_bytes()[::-1])


@pytest.fixture
def corpora(smoke_results: Path, tmp_path: Path) -> Path:
    """A results folder with the tokenised corpus in its cache."""
    return Path(shutil.copytree(smoke_results / "corpora", tmp_path / "results" / "corpora"))


@pytest.mark.parametrize("name", ["train.bin", "validation.bin", "compression.npy"])
def test_w2_a_changed_corpus_is_refused_at_launch(corpora: Path, tmp_path: Path, name: str) -> None:
    (path,) = corpora.glob(f"*/{name}")
    reverse(path)
    sweeps = write_two_runs(tmp_path / "sweeps")
    done = call("sweep", "smoke", "--sweeps", sweeps, "--results", corpora.parent)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{path.parent}: " in done.stderr
    assert "delete the folder to tokenise again" in done.stderr
    assert not (corpora.parent / "smoke").exists()


def planned(plan: Plan, results: Path, shards: Path, **changes: Any) -> RunFolder:
    here = folder_of(plan.runs[0], results)
    here.write_work_order(work_order(plan.runs[0], shards, **changes))
    return here


def failure(here: RunFolder) -> tuple[str, str]:
    worker.run(str(here.path), inline=True)
    found = here.failure()
    assert found is not None
    assert not here.record.exists()
    return found["kind"], found["message"]


def test_w2_a_corpus_that_changes_while_a_job_waits(one_run: Plan, corpora: Path) -> None:
    shards = prepare(one_run.runs[0].spec.corpus, corpora)
    here = planned(one_run, corpora.parent, shards)
    reverse(shards / "train.bin")
    kind, message = failure(here)
    assert kind == "bad data"
    assert "were changed" in message


def test_w2_a_corpus_of_another_version_in_its_place(one_run: Plan, corpora: Path) -> None:
    """Whole, and with a fingerprint of its own, but not what the sweep was launched with."""
    shards = prepare(one_run.runs[0].spec.corpus, corpora)
    here = planned(one_run, corpora.parent, shards, corpus_fingerprint="0" * 32)
    kind, message = failure(here)
    assert kind == "bad data"
    assert "expected the corpus that the sweep was launched with (00000000" in message


def test_w2_a_corpus_that_was_only_copied_is_the_same(one_run: Plan, corpora: Path) -> None:
    shards = prepare(one_run.runs[0].spec.corpus, corpora)
    here = planned(one_run, corpora.parent, shards)
    for path in shards.iterdir():
        path.touch()
    worker.run(str(here.path), inline=True)
    assert here.is_done()


def test_w2_a_changed_compression_map_in_the_cache_is_made_again(tmp_path: Path) -> None:
    made = cached_compression(TOKENIZERS["bytes"], "bytes", tmp_path)
    (path,) = tmp_path.glob("compression-*.npy")
    text = bytearray(path.read_bytes())
    text[-8] ^= 1
    path.write_bytes(text)
    assert (cached_compression(TOKENIZERS["bytes"], "bytes", tmp_path) == made).all()


def test_w3_a_run_that_asks_for_gpus_never_trains_on_the_cpu(one_run: Plan, corpora: Path) -> None:
    """SLURM grants the GPU, and the node has no driver."""
    shards = prepare(one_run.runs[0].spec.corpus, corpora)
    here = planned(one_run, corpora.parent, shards, gpus_per_node=1)
    kind, message = failure(here)
    assert kind == "node"
    assert "launch.gpus: expected 1 per node, torch finds 0 on " in message


def test_w4_a_run_json_with_another_seed(one_run: Plan, corpora: Path) -> None:
    shards = prepare(one_run.runs[0].spec.corpus, corpora)
    here = planned(one_run, corpora.parent, shards)
    order = json.loads((here.path / "run.json").read_text())
    order["spec"]["seed"] = 77
    (here.path / "run.json").write_text(json.dumps(order))
    kind, message = failure(here)
    assert kind == "bad data"
    assert f"expected the spec of run {here.run_id}" in message
