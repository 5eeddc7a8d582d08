from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engram_sweep.corpus.shards import Shards
from engram_sweep.planning.plan import Plan
from engram_sweep.training import trackers as module
from engram_sweep.training.trackers import Careful, Tracking, _Started, title_of, trackers
from engram_sweep.training.train import train


class Recorded:
    """Stands in for W&B and Trackio: keeps what it was given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **given: Any) -> Recorded:
        self.given = given
        return self

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.logged.append((step, metrics))

    def finish(self) -> None:
        self.finished += 1


def as_module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)
    return made


def test_wandb_gets_the_curve_of_the_log_and_stays_offline(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorded()
    fake = as_module("wandb", init=seen.init, Settings=lambda **settings: settings)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    spec = smoke_plan.runs[0].spec
    result = train(
        spec, shards, tmp_path / "logs", tracking=Tracking(("wandb",), tmp_path / "smoke")
    )
    assert [step for step, _ in seen.logged] == result.curve_steps
    assert [metrics["train_loss"] for _, metrics in seen.logged] == result.curve_losses
    assert seen.finished == 1
    assert seen.given["mode"] == "offline"
    assert seen.given["group"] == "smoke"
    assert seen.given["config"]["seed"] == spec.seed
    assert not (tmp_path / "logs" / "tb").exists(), "TensorBoard was not asked for"


def test_trackio_replaces_what_an_earlier_attempt_left(
    smoke_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, seen, deleted = smoke_plan.runs[0].spec, Recorded(), []

    class Run:
        def __init__(self, name: str) -> None:
            self.name = name

        def delete(self) -> None:
            deleted.append(self.name)

    class Api:
        def runs(self, project: str) -> list[Run]:
            assert project == "smoke"
            return [Run("another"), Run(title_of(spec))]

    monkeypatch.setitem(sys.modules, "trackio", as_module("trackio", init=seen.init, Api=Api))
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    (logger,) = trackers(Tracking(("trackio",), tmp_path / "smoke"), tmp_path, spec)
    logger.log_metrics({"train_loss": 1.5}, step=3)
    logger.finalize("success")
    assert deleted == [title_of(spec)]
    assert seen.logged == [(3, {"train_loss": 1.5})]
    assert seen.given["name"] == title_of(spec)
    assert module.os.environ["TRACKIO_DIR"] == str(tmp_path / "smoke" / "trackio")


def test_a_tracker_that_fails_is_one_line_and_the_run_goes_on(
    smoke_plan: Plan,
    shards: Shards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(home: Path, logs: Path, spec: object) -> _Started:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(module.STARTS, "wandb", refuse)
    spec = smoke_plan.runs[0].spec
    plain = train(spec, shards, tmp_path / "plain")
    capsys.readouterr()
    tracked = train(spec, shards, tmp_path / "logs", tracking=Tracking(("wandb",), tmp_path))
    assert capsys.readouterr().err == (
        "wandb: ConnectionError: no route; this run goes on without it\n"
    )
    assert tracked.validation_loss == plain.validation_loss


def test_a_tracker_that_breaks_in_the_middle_is_left_alone_after() -> None:
    calls: list[int] = []

    def log(metrics: dict[str, float], step: int) -> None:
        calls.append(step)
        raise OSError("disk full")

    logger = Careful("wandb", lambda: _Started(log, lambda: calls.append(-1)))
    for step in (1, 2, 3):
        logger.log_metrics({}, step=step)
    logger.finalize("success")
    assert calls == [1]
