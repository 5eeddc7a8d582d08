from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.report import registered_plan as module
from analysis.report.registered_plan import (
    KIND,
    content_of,
    digest_of,
    register,
    registered_sentence,
)
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.runs.records import note_file
from tests.examples import scale

LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(scale(sweep__rho=[1.0, 0.6], sweep__seeds=[0, 1]))


def table_of(plan: Plan, **changes: Any) -> pd.DataFrame:
    rows = [{"run_id": run.run_id, "started_at": LATER} for run in plan.runs]
    return pd.DataFrame(rows).assign(**changes)


def registered(plan: Plan, results: Path) -> Path:
    return register(content_of(plan, results, 0.9, 0.001), results)


def sentence(plan: Plan, results: Path, table: pd.DataFrame, **changes: Any) -> str:
    asked = {"level": 0.9, "delta": 0.001, **changes}
    said = registered_sentence(plan.scale.name, results, plan.scale.changes, table, **asked)
    assert said is not None
    return said


def test_a_plan_that_was_kept_is_said_to_be(plan: Plan, tmp_path: Path) -> None:
    path = registered(plan, tmp_path)
    assert path == tmp_path / "example" / "registered.json"
    said = sentence(plan, tmp_path, table_of(plan))
    assert " before the first run was kept: all 4 runs and no other, level 0.9, delta 0.001" in said
    assert json.loads(path.read_text())["digest"][:8] in said
    assert " was kept so far: 1 run of 4 without a result." in sentence(
        plan, tmp_path, table_of(plan).iloc[1:]
    )


def test_an_adaptive_sweep_keeps_to_the_runs_that_it_may_choose(tmp_path: Path) -> None:
    adaptive = make_plan(
        scale(
            training__tokens=None,
            sweep__design="adaptive",
            sweep__rho=[0.0, 0.25, 0.5, 0.75, 1.0],
            sweep__seeds=[0, 1, 2],
            sweep__tokens_per_active=[1, 2, 4],
        )
    )
    registered(adaptive, tmp_path)
    some = table_of(adaptive).iloc[:5]
    said = sentence(adaptive, tmp_path, some)
    assert f"kept so far: 5 of the {len(adaptive.runs)} runs that it may choose" in said
    assert "it ends when the interval of rho* is as narrow as sweep.adaptive.width" in said
    other = pd.concat([some, some.iloc[:1].assign(run_id="f" * 32)])
    assert "was broken: 1 run not registered" in sentence(adaptive, tmp_path, other)


def test_no_registered_plan_says_nothing(plan: Plan, tmp_path: Path) -> None:
    assert registered_sentence("example", tmp_path, (), table_of(plan), 0.9, 0.001) is None


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[:1].assign(run_id="f" * 32)]), {}, "1 run not registered"),
        (lambda t: t, {"delta": 0.002}, "delta 0.002 in place of 0.001"),
        (lambda t: t, {"level": 0.95}, "level 0.95 in place of 0.9"),
        (lambda t: t.assign(started_at=LATER - timedelta(days=1)), {}, "4 runs had begun before"),
    ],
)
def test_every_way_to_break_it_is_named(
    plan: Plan,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    options: dict[str, float],
    words: str,
) -> None:
    registered(plan, tmp_path)
    said = sentence(plan, tmp_path, change(table_of(plan)), **options)
    assert " was broken: " in said
    assert words in said


def test_other_code_of_the_tests_breaks_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(plan, tmp_path)
    monkeypatch.setattr(module, "tests_code", lambda: "another")
    assert "the code of the tests has changed" in sentence(plan, tmp_path, table_of(plan))


def test_an_edit_shows(plan: Plan, tmp_path: Path) -> None:
    path = registered(plan, tmp_path)
    file = json.loads(path.read_text())
    file["content"]["delta"] = 0.01
    path.write_text(json.dumps(file))
    assert "was edited after it was written" in sentence(plan, tmp_path, table_of(plan), delta=0.01)
    path.write_text("{}")
    assert "was edited after it was written" in sentence(plan, tmp_path, table_of(plan))


def test_a_plan_is_registered_once(plan: Plan, tmp_path: Path) -> None:
    path = registered(plan, tmp_path)
    before = path.read_bytes()
    assert registered(plan, tmp_path) == path
    assert path.read_bytes() == before, "the same again changes nothing"
    with pytest.raises(UserError, match="with other delta; a plan is registered once"):
        register(content_of(plan, tmp_path, 0.9, 0.002), tmp_path)
    wider = make_plan(scale(sweep__rho=[1.0, 0.6], sweep__seeds=[0, 1, 2]))
    with pytest.raises(UserError, match="with other asked, runs"):
        register(content_of(wider, tmp_path, 0.9, 0.001), tmp_path)
    assert path.read_bytes() == before
    path.write_text("no plan")
    with pytest.raises(UserError, match="this file is none"):
        registered(plan, tmp_path)


def test_after_the_first_result_it_has_to_be_said(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sorted(run.run_id for run in plan.runs)[0]
    monkeypatch.setattr(module, "is_done", lambda folder, run_id: run_id == first)
    content = content_of(plan, tmp_path, 0.9, 0.001)
    with pytest.raises(UserError, match="1 of 4 runs are finished, and a plan is registered"):
        register(content, tmp_path)
    assert not note_file(KIND, "example", tmp_path, ()).exists()
    path = register(content, tmp_path, late=True)
    assert json.loads(path.read_text())["content"]["finished_before"] == [first]
    table = table_of(plan)
    table.loc[table["run_id"] == first, "started_at"] = LATER - timedelta(days=1)
    said = sentence(plan, tmp_path, table)
    assert " after 1 run had a result was kept: all 4 runs" in said


def test_where_runs_train_is_not_registered_and_what_they_train_is(
    plan: Plan, tmp_path: Path
) -> None:
    def digest(**changes: Any) -> str:
        rho, seeds = {"sweep__rho": [1.0, 0.6]}, {"sweep__seeds": [0, 1]}
        made = make_plan(scale(**rho, **seeds, **changes))
        return digest_of(content_of(made, tmp_path, 0.9, 0.001), "now")

    same = digest_of(content_of(plan, tmp_path, 0.9, 0.001), "now")
    assert digest(launch__parallel=7) == same
    assert digest(training__weight_decay=0.2) != same
