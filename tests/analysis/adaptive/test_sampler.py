"""The sampler in a study of Optuna: asked and told, it goes on; what is pending counts."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from analysis.adaptive.sampler import AXIS, LawSampler, parameters_of, runs_of, trial_of
from analysis.simulation.adaptive import trainer
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS
from engram_sweep.planning.adaptive import Finished
from tests.analysis.adaptive.worlds import DESIGN, cell, piloted


def study_of(done: list[Finished]) -> tuple[optuna.Study, LawSampler]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = LawSampler(DESIGN, draws=10)
    study = optuna.create_study(sampler=sampler)
    study.add_trials([trial_of(DESIGN, run) for run in done])
    return study, sampler


def test_asked_for_several_runs_it_proposes_different_ones() -> None:
    study, sampler = study_of(piloted())
    asked = [study.ask(parameters_of(DESIGN)) for _ in range(5)]
    assert len({tuple(trial.params.values()) for trial in asked}) == 5
    for trial in asked:
        chosen = sampler.chosen[trial.number]
        assert trial.params["rho"] == DESIGN.cells[chosen.cell].rho
        assert trial.params[AXIS] == DESIGN.cells[chosen.cell].length
        assert trial.params["seed"] == chosen.seed


def test_told_losses_it_goes_on_from_them_as_if_they_had_been_added() -> None:
    train = trainer(ADAPTIVE_WORLDS["exponential"], DESIGN, np.random.default_rng(5))
    study, sampler = study_of(piloted())
    done = piloted()
    for _ in range(2):
        trial = study.ask(parameters_of(DESIGN))
        chosen = sampler.chosen[trial.number]
        run = train(chosen.cell, chosen.seed)
        study.tell(trial, run.loss)
        done.append(run)
    told = study.ask(parameters_of(DESIGN)).params
    rebuilt, _ = study_of(done)
    assert rebuilt.ask(parameters_of(DESIGN)).params == told


def test_a_diverged_run_is_a_failed_trial() -> None:
    lost = trial_of(DESIGN, Finished(cell(0.5, 48.0), 1, float("nan")))
    assert lost.state == TrialState.FAIL
    assert lost.params == {"rho": 0.5, AXIS: 48.0, "seed": 1}


def test_parameters_that_a_run_does_not_have_are_refused() -> None:
    study, _ = study_of([])
    with pytest.raises(ValueError, match="learning_rate: expected rho, tokens_per_active and seed"):
        study.ask().suggest_float("learning_rate", 0.0, 1.0)


def test_runs_are_what_the_laws_take() -> None:
    runs = runs_of(DESIGN, [Finished(cell(0.5, 48.0), 2, 1.25), Finished(cell(1.0, 5.0), 0, 1.5)])
    assert runs.size == pytest.approx(np.log2([48, 5]))
    assert runs.rho.tolist() == [0.5, 1.0]
    assert runs.seed.tolist() == [2, 0]
    assert runs.loss.tolist() == [1.25, 1.5]
