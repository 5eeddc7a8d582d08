from __future__ import annotations

import pytest

from engram_sweep.config.scale import load_scale
from engram_sweep.planning.plan import make_plan
from tests.config.conftest import check_refusal, refusal
from tests.examples import write_scale

ADAPTIVE = {
    "training__tokens": None,
    "sweep__tokens_per_active": [5, 10, 20],
    "sweep__seeds": [0, 1, 2],
    "sweep__design": "adaptive",
}
"""What an adaptive sweep needs beside the example's rho."""
IMPOSSIBLE = [
    (
        {"sweep__adaptive": {"width": 0.3}},
        r"sweep\.adaptive: expected design: adaptive beside it, got design: grid",
    ),
    (
        ADAPTIVE | {"sweep__tokens_per_active": [5, 10]},
        r"sweep\.tokens_per_active: expected at least 3 lengths beside design: adaptive, got 2",
    ),
    (
        ADAPTIVE | {"sweep__rho": [0.8, 0.6, 0.4, 0.2, 0.0]},
        r"sweep\.rho: expected at least 5 values beside design: adaptive, 1 among them, got",
    ),
    (
        ADAPTIVE | {"sweep__seeds": [0, 1]},
        r"sweep\.seeds: expected at least 3 beside design: adaptive \(adaptive\.floor\), got 2",
    ),
    (
        ADAPTIVE | {"sweep__anchor_seeds": [7]},
        r"sweep\.anchor_seeds: expected nothing that varies beside rho, tokens_per_active",
    ),
    (
        ADAPTIVE | {"sweep__arms": {"dense": True}},
        r"sweep\.arms: expected nothing that varies beside rho",
    ),
    (ADAPTIVE | {"sweep__adaptive": {"looks": 5}}, r"sweep\.adaptive\.looks: .*4"),
    (
        {"sweep__arms": {"dens": True}},
        r"sweep\.arms\.dens: unknown key, did you mean dense\?",
    ),
    ({"sweep__rho": []}, r"sweep\.rho: expected at least one value \(or arms\.dense\), got none"),
    ({"sweep__seeds": [2**63]}, r"sweep\.seeds\.0: .*less than or equal to 9223372036854775807"),
    (
        {"sweep__anchor_seeds": [2**63]},
        r"sweep\.anchor_seeds\.0: .*less than or equal to 9223372036854775807",
    ),
    (
        {"training__tokens": None, "sweep__tokens_per_active": [1e308]},
        r"sweep\.tokens_per_active\.0: .*less than or equal to 1000000000",
    ),
    (
        {"training__tokens": None, "sweep__budgets": [1e308]},
        r"sweep\.budgets\.0: .*less than or equal to 1",
    ),
    (
        {"sweep__rho": [1], "sweep__rows_per_head": [10**30]},
        r"sweep\.rows_per_head\.0: .*less than or equal to 1000000000000",
    ),
    ({"sweep__seeds": []}, r"sweep\.seeds: .*at least 1 item"),
    (
        {"sweep__total_over_active": [1.0]},
        r"sweep\.total_over_active\.0: .*greater than 1, got 1",
    ),
    ({"sweep__total_over_active": [4, 4.0]}, r"sweep\.total_over_active: expected distinct values"),
    (
        {"sweep__rows_per_head": [0, 9]},
        r"sweep\.rows_per_head: expected 0 \(no memory\) beside rho = 1 only",
    ),
    (
        {"sweep__rows_per_head": [9, 16]},
        r"sweep\.rows_per_head: expected one rho beside it, .* got \[1\.0, 0\.8, ",
    ),
    (
        {"sweep__rho": [], "sweep__rows_per_head": [9], "sweep__arms": {"dense": True}},
        r"sweep\.rows_per_head: expected one rho beside it, whose model gets the tables, got \[\]",
    ),
    (
        {
            "sweep__rho": [1.0],
            "sweep__rows_per_head": [9],
            "sweep__arms": {"over_encoding": [0.5]},
        },
        r"sweep\.arms\.over_encoding: expected \[1\.0\] beside rows_per_head, .* got \[0\.5\]",
    ),
    (
        {
            "sweep__rho": [1.0],
            "sweep__rows_per_head": [0],
            "sweep__arms": {"over_encoding": [1.0]},
        },
        r"sweep\.rows_per_head: expected a size above 0 for arms\.over_encoding, got 0",
    ),
    ({"sweep__iso": "loose"}, r"sweep\.iso\.0: .*'strict' or 'paper', got 'loose'"),
    ({"sweep__iso": []}, r"sweep\.iso: .*at least 1 item"),
    ({"sweep__iso": 1}, r"sweep\.iso: expected a list, .*, got 1"),
    ({"sweep__iso": ["paper", "paper"]}, r"sweep\.iso: expected distinct values"),
    (
        {"sweep__iso": ["strict", "paper"], "sweep__rho": [0.5, 0.2]},
        r"sweep\.iso: expected rho = 1 in sweep\.rho beside two modes, .* got \[0\.5, 0\.2\]",
    ),
    ({"sweep__rho": [1.2]}, r"sweep\.rho\.0: .*less than or equal to 1, got 1\.2"),
    ({"sweep__rho": [1, 1.0]}, r"sweep\.rho: expected distinct values"),
    ({"sweep__rho": 0.5}, r"sweep\.rho: expected a list, e\.g\. \[1, 0\.5\], got 0\.5"),
    ({"sweep__seeds": [0, 0]}, r"sweep\.seeds: expected distinct values"),
    ({"sweep__anchor_seeds": [2, 2]}, r"sweep\.anchor_seeds: expected distinct values"),
    (
        {"sweep__rho": [0.5, 0.2], "sweep__anchor_seeds": [2]},
        r"sweep\.anchor_seeds: expected rho = 1 among sweep\.rho, got rho \[0\.5, 0\.2\]",
    ),
    ({"sweep__seeds": [-1]}, r"sweep\.seeds\.0: .*greater than or equal to 0, got -1"),
    (
        {"sweep__arms": {"over_encoding": [1.0]}},
        r"sweep\.arms\.over_encoding: expected rho below 1, .* got 1",
    ),
]


@pytest.mark.parametrize(("changes", "says"), IMPOSSIBLE, ids=[says[:40] for _, says in IMPOSSIBLE])
def test_a_wrong_key_is_one_line_with_file_key_and_expectation(tmp_path, capsys, changes, says):
    check_refusal(tmp_path, capsys, changes, says)


def test_the_full_sweep_replaces_what_it_names(tmp_path):
    write_scale(tmp_path, sweep__full={"seeds": [0, 1, 2], "arms": {"dense": True}})
    quick = load_scale("example", tmp_path)
    full = quick.in_full()
    assert (full.sweep.seeds, full.sweep.rho, full.sweep.arms.dense) == (
        (0, 1, 2),
        quick.sweep.rho,
        True,
    )
    assert full.sweep.full is None
    quick_runs = {run.run_id for run in make_plan(quick).runs}
    assert quick_runs < {run.run_id for run in make_plan(full).runs}, "the quick look is part of it"


def test_a_full_sweep_is_checked_like_any_other(tmp_path, capsys):
    write_scale(tmp_path, sweep__full={"rho": [0.5, 0.5]})
    assert "rho: expected distinct values" in refusal(tmp_path, capsys)
    write_scale(tmp_path)
    assert load_scale("example", tmp_path).in_full() == load_scale("example", tmp_path), (
        "all there is"
    )
