"""The scale's options through a whole Lightning run, and in the identity of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engram_sweep.corpus.manifest import Manifest
from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.tokenizer import TOKENIZERS, compression
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training.train import train
from tests.model.shapes import scale

MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 12, "qk_rope_head_dim": 4, "v_head_dim": 16}
OPTIONS = {
    "muon, step decay": ({}, {"optimizer": "muon", "schedule": "step"}),
    "bf16, balance loss": ({}, {"precision": "bf16", "balance_loss": 1e-2}),
    "streams": ({"streams": 2}, {}),
    "mla": ({"mla": MLA, "head_dim": None, "n_kv_heads": None}, {}),
}


def spec(
    model: dict, training: dict, arm: str = "engram", steps: int = 25, memory: dict | None = None
) -> RunSpec:
    which = scale(
        "smoke",
        model=model,
        training={**training, "tokens": steps * 16 * 64, "learning_rate": 1e-2},
        memory={"reset_at_documents": True, **(memory or {})},
        sweep={"rho": (1.0, 0.5), "iso": "paper"},
    )
    return next(run.spec for run in make_plan(which).runs if run.spec.arm == arm)


@pytest.fixture(scope="module")
def shards() -> Shards:
    """Text that a model learns in no time: few words, in documents."""
    generator = np.random.default_rng(0)
    words = generator.choice(["the state", " of ", "the union ", "is strong.\0"], size=20_000)
    text = np.frombuffer("".join(words).encode(), np.uint8)
    manifest = Manifest(
        source="words",
        source_version="0",
        licence="none",
        tokenizer="bytes",
        document_end=0,
        dtype="|u1",
        train_tokens=len(text) - 1000,
        validation_tokens=1000,
        train_documents=1,
        validation_documents=("words",),
        fingerprint="0" * 32,
    )
    return Shards(manifest, text[:-1000], text[-1000:], compression(TOKENIZERS["bytes"]))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_run_learns(option, shards, tmp_path):
    model, training = OPTIONS[option]
    result = train(spec(model, training), shards, tmp_path)
    assert result.outcome == "ok"
    # Even guessing among the 256 bytes costs 5.5 nats.
    assert result.validation_loss < 3.5
    assert all(0 < gate < 1 for gate in result.gate_mean)


@pytest.mark.parametrize(
    "memory",
    [{"gate": False}, {"conv_kernel": 0, "fusion": "single"}, {"gate": False, "conv_kernel": 0}],
    ids=str,
)
def test_a_module_without_a_part_learns(memory, shards, tmp_path):
    result = train(spec({"streams": 2}, {"optimizer": "muon"}, memory=memory), shards, tmp_path)
    assert result.outcome == "ok"
    assert result.validation_loss < 3.5
    # Without a gate everything comes in.
    assert all((gate == 1) == ("gate" in memory) for gate in result.gate_mean)


def test_runs_repeat_bit_for_bit(shards, tmp_path):
    model, training = {"streams": 2}, {"optimizer": "muon", "precision": "bf16"}
    losses = [
        train(spec(model, training, steps=4), shards, tmp_path / str(i)).window_losses
        for i in range(2)
    ]
    assert losses[0] == losses[1]


def test_every_option_is_part_of_the_identity():
    plain = spec({}, {})
    ids = {run_id(spec(*options)) for options in OPTIONS.values()} | {run_id(plain)}
    compiled = replace(plain, training=replace(plain.training, compile="on"))
    assert len(ids | {run_id(compiled)}) == len(OPTIONS) + 2
