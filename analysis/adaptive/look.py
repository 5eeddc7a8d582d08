"""One look at the losses of an adaptive sweep: is rho* known well enough, and if not, what next?

The answer is a function of the design and of finished runs, so who asks again gets it again.
"""

from collections.abc import Sequence

import optuna

from analysis.adaptive.beliefs import Beliefs
from analysis.adaptive.choice import floor_is_met
from analysis.adaptive.sampler import LawSampler, parameters_of, trial_of
from analysis.levels import LEVEL
from analysis.scaling.raw_laws import DRAWS, RawLaws
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
    laws, beliefs = sampler.read(study)
    width, seen = _width(design, laws, beliefs)

    taken = {(run.cell, run.seed) for run in finished}
    met = beliefs is not None and floor_is_met(design, beliefs, taken)
    wanted = design.rules.width
    if width is not None and width <= wanted and met:
        return Look(width, f"{seen}, no wider than {wanted:g}: the sweep ends", stop=True)
    why = f"wider than {wanted:g}" if width is None or width > wanted else "but the floor is not met"
    words = f"{seen}, {why}" if width is not None else seen
    left = len(design.cells) * len(design.seeds) - len(taken)
    if last or left == 0:
        end = "the last look" if last else "every candidate is trained"
        return Look(width, f"{words}; {end}: the sweep ends", stop=True)
    asked = [study.ask(parameters_of(design)) for _ in range(min(design.rules.batch, left))]
    batch = tuple(sampler.chosen[trial.number] for trial in asked)
    return Look(width, words, stop=False, batch=batch)


def _width(
    design: Design, laws: RawLaws | None, beliefs: Beliefs | None
) -> tuple[float | None, str]:
    """Return the width of the interval of rho* at the longest length, and words for it."""
    longest = design.lengths[-1]
    if laws is None:
        return None, "too few runs for a law, so rho* is not known"
    if beliefs is None:
        return None, "every law is refuted, so gaps are closed"
    words = f"the interval of rho* at length {longest:g} is {beliefs.width:.2f} wide"
    return beliefs.width, words
