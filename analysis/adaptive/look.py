"""One look at the losses of an adaptive sweep: whether rho* is known well enough, and what next.

The answer is a function of the design and of finished runs, so who asks again gets it again.
"""

from collections.abc import Sequence

import optuna

from analysis.adaptive.choice import floor_is_met
from analysis.adaptive.sampler import LawSampler, parameters_of, trial_of
from analysis.levels import LEVEL
from analysis.scaling.raw_laws import DRAWS
from analysis.threads import one_thread
from engram_sweep.planning.adaptive import Design, Finished, Look


@one_thread
def look(
    design: Design,
    finished: Sequence[Finished],
    number: int,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Look:
    """Look at finished runs and choose the next ones.

    It stops on the width of an interval, never on where that lies: stopping on a verdict would
    choose the verdict.

    Args:
        design: candidates and rules.
        finished: all runs that count.
        number: of this look, from 1.
        level: nominal coverage of the interval of rho*.
        draws: draws of every law.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = LawSampler(design, level, draws)
    last, sampler.final = number >= design.rules.looks, number == design.rules.looks - 1
    study = optuna.create_study(sampler=sampler)
    order = sorted(finished, key=lambda run: (run.cell, run.seed))
    study.add_trials([trial_of(design, run) for run in order])
    optimum = sampler.read(study).optimum

    # The width decides, and the floors; where the interval lies does not.
    taken, wanted = {(run.cell, run.seed) for run in finished}, design.rules.width
    width, words = None, "too few runs to say where rho* is"
    if optimum is not None:
        width = optimum.width
        words = (
            f"the interval of rho* at length {design.lengths[-1]:g} is {width:.2f} wide, "
            f"{optimum.source}; wanted is {wanted:g}"
        )
        if width <= wanted and floor_is_met(design, optimum, taken):
            return Look(width, f"{words}: the sweep ends", stop=True)
        if width <= wanted:
            words += ", and the floors"
    left = len(design.cells) * len(design.seeds) - len(taken)
    if last or left == 0:
        end = "the last look" if last else "every candidate is trained"
        return Look(width, f"{words}; {end}: the sweep ends", stop=True)
    asked = [study.ask(parameters_of(design)) for _ in range(min(design.rules.batch, left))]
    batch = tuple(sampler.chosen[trial.number] for trial in asked)
    return Look(width, words, stop=False, batch=batch)
