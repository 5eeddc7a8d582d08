"""The choice as a sampler of Optuna: ask it for runs, tell it losses.

Optuna's own samplers seek a minimum, and its pruners stop what looks bad early: both starve the
ends of the curve, from which the gain and the U are measured. This one asks what would tell most.
It has no state but the study's trials.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.adaptive.beliefs import beliefs_of
from analysis.adaptive.choice import Knowledge, Places, next_run
from analysis.adaptive.estimate import estimate
from analysis.levels import LEVEL
from analysis.scaling.raw_laws import DRAWS
from analysis.scaling.run_laws import Runs, fit_longest_run_laws
from engram_sweep.planning.adaptive import Chosen, Design, Finished

AXIS = "tokens_per_active"
"""The parameter of a trial that is its length."""


def parameters_of(design: Design) -> dict[str, BaseDistribution]:
    """Return the parameters of a trial: share, length and seed, each from a list."""
    rhos = sorted({cell.rho for cell in design.cells})
    return {
        "rho": CategoricalDistribution(rhos),
        AXIS: CategoricalDistribution(design.lengths),
        "seed": CategoricalDistribution(design.seeds),
    }


def trial_of(design: Design, run: Finished) -> FrozenTrial:
    """Return a finished run as a trial to add to a study; one that diverged has failed."""
    cell, ok = design.cells[run.cell], math.isfinite(run.loss)
    return optuna.trial.create_trial(
        params={"rho": cell.rho, AXIS: cell.length, "seed": run.seed},
        distributions=parameters_of(design),
        value=run.loss if ok else None,
        state=TrialState.COMPLETE if ok else TrialState.FAIL,
    )


class LawSampler(optuna.samplers.BaseSampler):
    """Proposes the run that tells most of rho*, the gain and the U contrast per FLOP.

    Trials that were asked for and not told yet count as if they were finished: what a run tells
    does not depend on its loss.

    Args:
        design: the candidates.
        level: nominal coverage of the interval of rho*.
        draws: draws of every law.

    Example:
        study = optuna.create_study(sampler=LawSampler(design))
        trial = study.ask(parameters_of(design))
    """

    def __init__(self, design: Design, level: float = LEVEL, draws: int = DRAWS) -> None:
        self.design, self.level, self.draws = design, level, draws
        self.final = False
        """Whether what is asked for next is the last batch, which has to meet the floors."""
        self.chosen: dict[int, Chosen] = {}
        """What was proposed, by the trial's number."""
        self._read: tuple[list[Finished], Knowledge] | None = None

    def read(self, study: optuna.Study) -> Knowledge:
        """Return what a study's finished trials say."""
        done = self._finished(study)
        if self._read is None or self._read[0] != done:
            self._read = done, self._knowledge(done)
        return self._read[1]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters, which are proposed together."""
        return parameters_of(self.design)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next run.

        Raises:
            ValueError: every candidate is trained.
        """
        known = self.read(study)
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        taken = self._places(others, (TrialState.COMPLETE, TrialState.FAIL))
        pending = self._places(others, (TrialState.RUNNING,))
        chosen = next_run(self.design, known, taken, pending, self.final)
        if chosen is None:
            raise ValueError("expected a candidate that is not trained, all are")
        self.chosen[trial.number] = chosen
        cell = self.design.cells[chosen.cell]
        return {"rho": cell.rho, AXIS: cell.length, "seed": chosen.seed}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse parameters that a run of the sweep does not have.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{param_name}: expected rho, {AXIS} and seed as parameters_of gives them")

    def _places(self, trials: list[FrozenTrial], states: tuple[TrialState, ...]) -> Places:
        return {self._place(one) for one in trials if one.state in states and one.params}

    def _place(self, trial: FrozenTrial) -> tuple[int, int]:
        wanted = (trial.params["rho"], trial.params[AXIS])
        number = {(cell.rho, cell.length): i for i, cell in enumerate(self.design.cells)}
        return number[wanted], trial.params["seed"]

    def _finished(self, study: optuna.Study) -> list[Finished]:
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [Finished(*self._place(one), one.value or 0.0) for one in trials]

    def _knowledge(self, done: list[Finished]) -> Knowledge:
        runs = runs_of(self.design, done)
        fitted = fit_longest_run_laws(runs, AXIS, self.level, self.draws)
        laws = None if fitted is None else fitted[0]
        optimum = estimate(self.design, done, laws, self.level)
        if fitted is None or not fitted[0].in_play:
            return Knowledge(optimum, None)
        return Knowledge(optimum, beliefs_of(self.design, *fitted))


def runs_of(design: Design, done: Sequence[Finished]) -> Runs:
    """Return finished runs as the laws take them."""
    cells = [design.cells[run.cell] for run in done]
    return Runs(
        size=np.log2([cell.length for cell in cells]),
        rho=np.array([cell.rho for cell in cells]),
        seed=np.array([run.seed for run in done], dtype=int),
        loss=np.array([run.loss for run in done]),
    )
