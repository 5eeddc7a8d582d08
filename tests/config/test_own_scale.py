from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engram_sweep.config.own_scale import as_yaml, corpus_section, scale_like, write_scale_like
from engram_sweep.config.scale import load_scale, scale_names
from engram_sweep.corpus.manifest import Manifest
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from tests.examples import SWEEPS, write_scale

OWN = {
    "source": "shards",
    "tokenizer": "shards",
    "validation_share": 0.03,
    "fingerprint": "0" * 32,
    "vocab_size": 512,
    "document_end": 7,
}


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_all_but_the_corpus_is_the_templates(name: str) -> None:
    template = (SWEEPS / f"{name}.yaml").read_text()
    made = yaml.safe_load(scale_like(template, name, OWN, "data/mine"))
    wanted = yaml.safe_load(template)
    assert made.pop("corpus") == OWN
    assert made["launch"].pop("corpus_path") == "data/mine"
    assert "data/mine" in made.pop("about")
    del wanted["corpus"], wanted["about"]
    assert made == wanted


def test_a_scale_is_written_once_and_plans(tmp_path: Path) -> None:
    write_scale(tmp_path, launch__corpus_path="elsewhere", corpus__source="shards")
    path = tmp_path / "mine.yaml"
    scale = write_scale_like("example", path, OWN, 'a "folder": é')
    assert scale is not None
    assert scale.launch.corpus_path == 'a "folder": é'
    plan = make_plan(load_scale("mine", tmp_path))
    assert {run.spec.geometry.vocab_size for run in plan.runs} == {512}
    memory = [run.spec.geometry.memory for run in plan.runs]
    assert {each.pad_id for each in memory if each} == {7}
    assert {run.spec.corpus.tokenizer for run in plan.runs} == {"shards"}
    written = path.read_text()
    assert write_scale_like("example", path, OWN | {"fingerprint": "1" * 32}, "other") is None
    assert path.read_text() == written


def test_a_template_that_is_missing_or_cannot_take_it_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no scale named 'example'"):
        write_scale_like("example", tmp_path / "mine.yaml", OWN, "data/mine")
    write_scale(tmp_path)
    bad = OWN | {"document_end": 512}
    with pytest.raises(
        UserError, match=r"^example\.yaml cannot take this corpus: mine\.yaml: "
    ) as no:
        write_scale_like("example", tmp_path / "mine.yaml", bad, "data/mine")
    assert "document_end: expected less than vocab_size (512), got 512" in str(no.value)
    assert [path.name for path in tmp_path.iterdir()] == ["example.yaml"]


def test_a_fingerprint_of_digits_stays_text() -> None:
    for fingerprint in ("1" * 32, "12e4" + "0" * 28, "a" * 32):
        read = yaml.safe_load(as_yaml("corpus", OWN | {"fingerprint": fingerprint}))
        assert read["corpus"]["fingerprint"] == fingerprint


def test_only_an_own_tokenizer_needs_its_numbers_in_the_scale() -> None:
    def section(tokenizer: str) -> dict[str, object]:
        manifest = Manifest("", "", "", tokenizer, 7, "|u1", 90, 10, 9, (), "0" * 32)
        return corpus_section(manifest, 300)

    assert section("bytes") == {
        "source": "shards",
        "tokenizer": "bytes",
        "validation_share": 0.1,
        "fingerprint": "0" * 32,
    }
    assert section("shards") == section("bytes") | {
        "tokenizer": "shards",
        "vocab_size": 300,
        "document_end": 7,
    }
