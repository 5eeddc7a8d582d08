"""The curve: every form fitted to the losses, one chosen by leaving out one rho at a time.

The default, a sum of two saturating power laws (forms/double_power_law.py), gives way only to a
form that predicts the points left out clearly better. The others stay in play: draws are refitted
by all forms that the noise does not rule out, so that how far they disagree is in every interval.
Nothing is extrapolated: a curve lives between the smallest and the largest rho measured.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.curve.forms import DEFAULT, FORMS
from analysis.curve.forms.form import Fit
from analysis.curve.means import RhoMeans
from analysis.runs.table import MIN_POINTS

GRID_POINTS = 401
"""Points of the grid on which curves are read, over the measured range of rho."""
RULED_OUT_P = 0.1
"""A form whose misses are less probable than this takes no draws."""
MAX_END_MISS = 1.5
"""Standard errors by which a form may miss the loss at an end of the range.

The gain is a loss at an end, and cross-validation never leaves an end out: without this rule a
smoother that is 3 standard errors off there took draws.
"""


@dataclass(frozen=True)
class UCurve:
    """All forms, and the one that was chosen."""

    grid: np.ndarray
    """Shares of the curves, ascending over the measured range, shape (P,)."""
    chosen: Fit
    """The fit to read."""
    others: tuple[Fit, ...]
    """The forms that were not chosen."""
    in_play: tuple[Fit, ...]
    """The chosen form, and every other one whose misses the noise can explain."""

    def refit(self, losses: np.ndarray) -> np.ndarray:
        """Fit many data sets, an equal share by each form in play.

        Args:
            losses: one data set per column, nats/token, shape (R, B).

        Returns:
            Curves in nats/token, shape (P, B).
        """
        forms = len(self.in_play)
        curves = np.empty((len(self.grid), losses.shape[1]))
        for turn, fit in enumerate(self.in_play):
            curves[:, turn::forms] = fit.curves_of(losses[:, turn::forms])
        return curves


def fit_curve(means: RhoMeans, form: str | None = None) -> UCurve:
    """Fit all forms and choose one.

    Args:
        means: at least MIN_POINTS values of rho.
        form: name of the form to choose, regardless of cross-validation; for example "spline".

    Raises:
        ValueError: fewer than MIN_POINTS values of rho, or an unknown form.
    """
    if len(means.rho) < MIN_POINTS:
        raise ValueError(f"a curve needs at least {MIN_POINTS} values of rho, got {len(means.rho)}")
    if form is not None and form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    grid = np.linspace(means.rho[0], means.rho[-1], GRID_POINTS)
    fits = {name: one.fit(means, grid) for name, one in FORMS.items()}
    chosen = _choose(fits, means) if form is None else fits[form]
    others = tuple(fit for fit in fits.values() if fit is not chosen)
    in_play = (
        chosen,
        *(fit for fit in others if is_tenable(fit, means)),
    )
    return UCurve(grid=grid, chosen=chosen, others=others, in_play=in_play)


def is_tenable(fit: Fit, means: RhoMeans) -> bool:
    """Return whether the noise does not rule out a fit, at the ends or as a whole."""
    return _meets_ends(fit, means) and _plausible(fit, means)


def _meets_ends(fit: Fit, means: RhoMeans) -> bool:
    """Return whether a fit misses neither end of the range by more than MAX_END_MISS.

    The standard error is that of the common run noise: an anchor that scatters is no reason to
    take its loss from a smooth continuation of its neighbours.
    """
    if means.dof < 1 or means.sigma == 0:
        return True
    ends = [0, -1]
    error = means.sigma / np.sqrt(means.runs[ends])
    return bool(np.all(np.abs(means.loss - fit.at_rho)[ends] <= MAX_END_MISS * error))


def _plausible(fit: Fit, means: RhoMeans) -> bool:
    """Return whether the noise can explain the misses of a fit, by an F test.

    Degrees of freedom that the fit itself took are not counted, which is lenient.
    """
    if means.dof < 1 or means.sigma == 0:
        return True
    off = means.loss - fit.at_rho
    statistic = off @ np.linalg.solve(means.cov, off) / len(off)
    return bool(special.fdtrc(len(off), means.dof, statistic) > RULED_OUT_P)


def _choose(fits: dict[str, Fit], means: RhoMeans) -> Fit:
    """Return the default, unless another form's cross-validation error is clearly lower.

    Clearly means by more than the noise explains. A form that misses an end is not chosen, not even
    the default, unless all do.
    """
    default = fits[DEFAULT]
    meeting = [fit for fit in fits.values() if _meets_ends(fit, means)]
    compared = [fit for fit in meeting if np.isfinite(fit.cv_error)]
    best = min(compared, key=lambda fit: fit.cv_error, default=default)
    if best is default:
        return default
    if default not in meeting:
        return best
    # Squared errors of R - 2 points scatter by about sqrt(2 / (R - 2)) of themselves.
    slack = 1 + 2 * np.sqrt(2 / (len(means.rho) - 2))
    return best if default.cv_error**2 > slack * best.cv_error**2 else default
