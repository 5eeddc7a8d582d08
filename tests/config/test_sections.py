"""The model's keys in a scale: defaults, and one line for what cannot be."""

from __future__ import annotations

import pytest
import yaml

from engram_sweep.config.scale import load_scale
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import canonical_json
from tests.model.shapes import SWEEPS

MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 12, "qk_rope_head_dim": 4, "v_head_dim": 16}


def write(folder, model=(), memory=(), training=(), corpus=(), without=()) -> None:
    data = yaml.safe_load((SWEEPS / "smoke.yaml").read_text())
    data["model"] = {key: value for key, value in data["model"].items() if key not in without}
    sections = {"model": model, "memory": memory, "training": training, "corpus": corpus}
    for section, changes in sections.items():
        data[section] |= dict(changes)
    data["training"]["learning_rate"] = 5e-3
    data["training"]["balance_rate"] = 1e-2
    (folder / "x.yaml").write_text(yaml.safe_dump(data))


def test_defaults_are_the_plain_model():
    spec = make_plan(load_scale("smoke", SWEEPS)).runs[0].spec
    g, t = spec.geometry, spec.training
    assert (g.streams, g.mla, t.optimizer, t.precision, t.compile, t.balance_loss) == (
        1, None, "adamw", "fp32", "auto", 0.0,
    )  # fmt: skip
    assert (g.norm_eps, g.routed_scaling_factor) == (1e-5, 1.0)
    assert (t.eps, t.table_optimizer) == (1e-8, "adam")


def test_the_keys_of_deepseeks_recipe_reach_the_spec(tmp_path):
    training = {"eps": 1e-20, "table_optimizer": "lazy_adam"}
    write(tmp_path, model={"norm_eps": 1e-20, "routed_scaling_factor": 2.5}, training=training)
    spec = make_plan(load_scale("x", tmp_path)).runs[0].spec
    assert (spec.geometry.norm_eps, spec.geometry.routed_scaling_factor) == (1e-20, 2.5)
    assert (spec.training.eps, spec.training.table_optimizer) == (1e-20, "lazy_adam")


def test_a_share_of_needles_is_another_run_and_none_is_the_run_of_before(tmp_path):
    first = make_plan(load_scale("smoke", SWEEPS)).runs[0].spec
    write(tmp_path, corpus={"retrieval_share": 0.02, "retrieval_tokens": 64})
    spec = make_plan(load_scale("x", tmp_path)).runs[0].spec
    assert (spec.corpus.retrieval_share, spec.corpus.retrieval_tokens) == (0.02, 64)
    assert "retrieval_share" in canonical_json(spec)
    assert "retrieval" not in canonical_json(first)


def test_heads_of_latent_attention(tmp_path):
    write(tmp_path, model={"mla": MLA}, without=("head_dim", "n_kv_heads"))
    g = make_plan(load_scale("x", tmp_path)).runs[0].spec.geometry
    assert g.mla is not None
    assert (g.head_dim, g.n_kv_heads, g.mla.q_lora_rank) == (16, g.n_heads, 0)


def test_reset_names_the_tokenizers_document_end(tmp_path):
    write(tmp_path, memory={"reset_at_documents": True})
    memory = [run.spec.geometry.memory for run in make_plan(load_scale("x", tmp_path)).runs]
    assert {m.document_end for m in memory if m} == {0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"mla": MLA}}, "model.mla: expected neither head_dim nor n_kv_heads"),
        ({"without": ("head_dim",)}, "model.head_dim: expected this key"),
        ({"model": {"expert_width": 12}}, "model.expert_width: .*multiple of 8, got 12"),
        ({"model": {"n_layers": 2**31}}, "model.n_layers: .*less than or equal to 1000, got 2147"),
        ({"model": {"routed_experts": 2**63}}, "model.routed_experts: .*equal to 1000000, got 9"),
        ({"model": {"d_model": 10**30}}, "model.d_model: .*less than or equal to 10000000, got 1"),
        ({"model": {"n_heads": 10**30}}, "model.n_heads: .*less than or equal to 10000, got 1"),
        ({"model": {"head_dim": 10**30}}, "model.head_dim: .*less than or equal to 10000000, "),
        ({"model": {"shared_width": 10**30}}, "model.shared_width: .*less than or equal to"),
        ({"memory": {"heads": 2**31}}, "memory.heads: .*less than or equal to 256, got 2147"),
        ({"memory": {"max_order": 2**31}}, "memory.max_order: .*less than or equal to 64, got"),
        ({"memory": {"hash_seed": 2**63}}, "memory.hash_seed: .*less than or equal to 9223"),
        ({"training": {"tokens": 10**30}}, "training.tokens: .*equal to 1000000000000000000, "),
        ({"training": {"window": 10**30}}, "training.window: .*less than or equal to 1000000000"),
        ({"training": {"batch_windows": 10**30}}, "batch_windows: .*less than or equal to 1000000"),
        ({"model": {"streams": 0}}, "model.streams: .*greater than or equal to 1, got 0"),
        (
            {"model": {"mla": {**MLA, "rank": 1}}, "without": ("head_dim", "n_kv_heads")},
            "mla.*unknown key",
        ),
        ({"training": {"optimizer": "sgd"}}, "training.optimizer: .*'adamw' or 'muon', got 'sgd'"),
        ({"training": {"precision": "fp8"}}, "training.precision: .*'fp32' or 'bf16', got 'fp8'"),
        ({"training": {"compile": 1}}, "training.compile: .*'auto', 'on' or 'off', got 1"),
        (
            {"training": {"balance_loss": -1.0}},
            "training.balance_loss: .*greater than or equal to 0",
        ),
        (
            {"training": {"table_optimizer": "sgd"}},
            "training.table_optimizer: .*'adam' or 'lazy_adam', got 'sgd'",
        ),
        (
            {"training": {"betas": [0.95, 0.9]}},
            r"training.betas: expected the first below the root .*adam.*, got \[0.95, 0.9\]",
        ),
        ({"training": {"eps": 0.0}}, "training.eps: expected at least 1e-30, got 0"),
        ({"model": {"norm_eps": 1e-40}}, "model.norm_eps: expected at least 1e-30, got 1e-40"),
        (
            {"model": {"routed_scaling_factor": 0.0}},
            "model.routed_scaling_factor: .*greater than 0",
        ),
        (
            {"corpus": {"retrieval_share": 0.6}},
            "corpus.retrieval_share: .*or equal to 0.5, got 0.6",
        ),
        (
            {"corpus": {"retrieval_share": 0.1, "retrieval_tokens": 8}},
            "corpus.retrieval_tokens: .*greater than or equal to 32, got 8",
        ),
        ({"corpus": {"fingerprint": ""}}, "corpus.fingerprint: expected it to match .*, got ''"),
        ({"corpus": {"fingerprint": "5"}}, "corpus.fingerprint: expected it to match .*, got '5'"),
        ({"corpus": {"retrieval_tokens": 64}}, "retrieval_tokens: .*only beside retrieval_share"),
        (
            {"corpus": {"source": "shards", "retrieval_share": 0.1}},
            "corpus.retrieval_share: expected 0 where source is shards, .* got 0.1",
        ),
    ],
)
def test_what_cannot_be_is_one_line(changes, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(UserError, match=message) as error:
        load_scale("x", tmp_path)
    assert "\n" not in str(error.value)
