"""Which learning rate to try next at one rho, and which to give up: Optuna's part of `tune`.

Rates are proposed by a Gaussian process over the logarithm of the rate, after the sweep's own rate,
half of it and twice it. A parabola is fitted to the losses, and near repeats tell little of its
bend, so proposals keep a distance from each other.

Seeds of a rate are compared in pairs with those of the best rate so far by a Wilcoxon signed-rank
test (Optuna's pruner): a rate that is surely worse gets no further seeds. That test's least
one-sided p-value is 2^-n with n seeds, so nothing is given up before `MIN_SEEDS_TO_PRUNE` of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

SPAN = 4.0
"""Rates are searched between the scale's own over and times this."""
FIRST = (1.0, 0.5, 2.0)
"""Rates before anything is learnt from losses, times the scale's own: a parabola's least."""
MIN_STEP = 0.5
"""Octaves between two proposed rates, halved when the span is full."""
PRUNE_P = 0.1
"""A rate is given up if it is worse than the best one with a smaller one-sided p-value."""
MIN_SEEDS_TO_PRUNE = math.ceil(-math.log2(PRUNE_P))
"""Paired seeds from which the signed-rank test can reach PRUNE_P."""
UNKNOWN_LOSS = 100.0
"""What a diverged rate costs, nats/token, as long as no rate has a finite loss."""


class RateStudy:
    """The search at one rho; its state is what is known of the runs, so it can start anywhere.

    Call `ask`, train what it returns, call `learn`, until `ask` returns None.
    """

    def __init__(
        self,
        own: float,
        seeds: Sequence[int],
        rates: int,
        known: Mapping[float, Mapping[int, float]] | None = None,
    ) -> None:
        """Prepare the search.

        Args:
            own: the scale's own rate, which is always tried.
            seeds: seeds of every rate that is not given up.
            rates: how many rates there are to be in all.
            known: losses (nats/token, NaN if diverged) of finished runs, by rate and seed.
        """
        import optuna  # takes a second, and only this command needs it

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.own, self.seeds, self.rates = own, tuple(seeds), rates
        self.losses = {rate: dict(losses) for rate, losses in (known or {}).items() if losses}
        self.given_up: set[float] = set()
        """Rates that get no further seeds, because they diverge or are surely worse."""
        self._settled: set[float] = set()
        self._current: tuple[float, optuna.Trial] | None = None
        self._space = optuna.distributions.FloatDistribution(own / SPAN, own * SPAN, log=True)
        with warnings.catch_warnings():
            # Experimental: its interface may change, and the tests would say so.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            pruner = optuna.pruners.WilcoxonPruner(p_threshold=PRUNE_P)
        sampler = optuna.samplers.GPSampler(seed=0, n_startup_trials=len(FIRST))
        self._study = optuna.create_study(sampler=sampler, pruner=pruner)

        # Whole rates are given to Optuna as they are; those with seeds to come are trained first.
        whole = [rate for rate, found in self.losses.items() if set(found) >= set(self.seeds)]
        for rate in sorted(whole):
            self._add(rate)
        begun = sorted(set(self.losses) - set(whole))
        first = dict.fromkeys((own, *begun, *(own * factor for factor in FIRST)))
        self._queue = [rate for rate in first if rate not in whole]

    def ask(self) -> tuple[float, tuple[int, ...]] | None:
        """Return the rate to train next and its seeds; None if there are enough rates.

        It returns the same until `learn` brings their losses.
        """
        while True:
            if self._current is None:
                if len(self._settled) >= self.rates and self.own in self._settled:
                    return None
                rate = self._queue.pop(0) if self._queue else self._proposal()
                self._study.enqueue_trial({"learning_rate": rate})
                self._current = rate, self._study.ask({"learning_rate": self._space})
            rate, trial = self._current
            if seeds := self._next_seeds(rate, trial):
                return rate, seeds
            self._tell(rate, trial)
            self._current = None

    def learn(self, rate: float, losses: Mapping[int, float]) -> None:
        """Take the losses of a rate's seeds, nats/token; NaN if a run diverged."""
        self.losses.setdefault(rate, {}).update(losses)

    def _proposal(self) -> float:
        """Return the sampler's next rate, moved if it lies too near to a known one."""
        import optuna

        asked = self._study.ask({"learning_rate": self._space})
        self._study.tell(asked, state=optuna.trial.TrialState.FAIL)  # samplers leave it out
        place = math.log2(asked.params["learning_rate"] / self.own)
        rate = self.own * 2 ** free_place(place, [math.log2(r / self.own) for r in self.losses])
        # Two digits: a rate that a person can write down.
        rounded = float(f"{rate:.2g}")
        in_span = self._space.low <= rounded <= self._space.high
        return rounded if in_span and rounded not in self.losses else rate

    def _next_seeds(self, rate: float, trial: optuna.Trial) -> tuple[int, ...]:
        """Return the seeds of a rate that are to be trained now; none if it is done or given up."""
        found = self.losses.get(rate, {})
        left = tuple(seed for seed in self.seeds if seed not in found)
        if not left or self._diverged(rate):
            return ()
        # As many at once as the test needs; then one after the other, as each may be the last.
        if len(self.seeds) <= MIN_SEEDS_TO_PRUNE:
            return left
        if missing := left[: max(0, MIN_SEEDS_TO_PRUNE - len(found))]:
            return missing
        return () if self._is_worse(rate, trial) else left[:1]

    def _is_worse(self, rate: float, trial: optuna.Trial) -> bool:
        """Return whether a rate is surely worse than the best one, seed by seed."""
        import optuna

        whole = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if not any(other.intermediate_values for other in whole):
            return False
        self._report(rate, trial)
        return trial.should_prune()

    def _tell(self, rate: float, trial: optuna.Trial) -> None:
        """Tell Optuna how a rate that it was asked for ended."""
        import optuna

        self._settled.add(rate)
        if not self._is_whole(rate):
            self.given_up.add(rate)
        if rate in self.given_up and not self._diverged(rate):
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
        self._report(rate, trial)
        self._study.tell(trial, self._cost(rate))

    def _report(self, rate: float, trial: optuna.Trial) -> None:
        """Report the losses that a trial does not have yet, a step being a seed."""
        reported = self._study.trials[trial.number].intermediate_values
        for seed, loss in self._paired(rate).items():
            if seed not in reported:
                trial.report(loss, seed)

    def _add(self, rate: float) -> None:
        """Give Optuna a rate that is done."""
        import optuna

        self._settled.add(rate)
        self._study.add_trial(
            optuna.trial.create_trial(
                params={"learning_rate": rate},
                distributions={"learning_rate": self._space},
                value=self._cost(rate),
                intermediate_values=self._paired(rate),
            )
        )

    def _is_whole(self, rate: float) -> bool:
        return set(self.losses.get(rate, {})) >= set(self.seeds)

    def _paired(self, rate: float) -> dict[int, float]:
        """Return the losses of a rate by seed, as the pruner compares them; none if it diverged."""
        if self._diverged(rate):
            return {}
        return {seed: self.losses[rate][seed] for seed in self.seeds if seed in self.losses[rate]}

    def _diverged(self, rate: float) -> bool:
        """Return whether a rate has a seed that diverged."""
        return any(not math.isfinite(loss) for loss in self.losses.get(rate, {}).values())

    def _cost(self, rate: float) -> float:
        """Return what the search minimises: the mean loss over seeds, nats/token.

        A rate that diverges costs as much as the worst one that does not: the sampler scales
        losses by their spread, and a huge number would make all others equal.
        """
        if not self._diverged(rate):
            paired = self._paired(rate)
            return sum(paired.values()) / len(paired)
        finite = [
            sum(losses.values()) / len(losses)
            for other, losses in self.losses.items()
            if losses and not self._diverged(other)
        ]
        return max(finite, default=UNKNOWN_LOSS)


def free_place(place: float, known: Sequence[float]) -> float:
    """Return the place nearest to a proposed one that keeps its distance from known ones.

    Args:
        place: octaves above the scale's own rate, within the span.
        known: places of rates that are there.

    Example:
        `free_place(0.1, [0.0])` is 0.5.
    """
    edge, step = math.log2(SPAN), MIN_STEP
    while True:
        candidates = [place, *(other + side for other in known for side in (-step, step))]
        free = [
            one
            for one in candidates
            if abs(one) <= edge and all(abs(one - other) >= step * 0.999 for other in known)
        ]
        if free:
            return min(free, key=lambda one: abs(one - place))
        step /= 2
