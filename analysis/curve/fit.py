"""The curve: four forms fitted to the losses, one chosen by leaving out one rho at a time.

The default, a sum of two saturating power laws (two_power.py), gives way only to a form that
predicts the points left out clearly better. The others stay in play: draws are refitted by all
forms that the noise does not rule out, so that how far they disagree is in every interval. Nothing
is extrapolated: a curve lives between the smallest and the largest rho measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.curve.forms import smoothers
from analysis.curve.forms.double_power_law import DoublePowerLaw, Refined
from analysis.curve.forms.split_quadratic import SplitQuadratic
from analysis.curve.means import RhoMeans

GRID_POINTS = 401
FORMS = ("two_power", "split_quadratic", "local_quadratic", "spline")
DEFAULT = "two_power"
MIN_POINTS = 3
RULED_OUT = 0.1  # a form whose misses are less probable than this takes no draws
CV_POINTS = 5  # fewer leave too little to predict a left-out point from

CurvesOf = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fit:
    """One form fitted to one sweep.

    Attributes:
        form: one of FORMS.
        curve: fitted loss on the grid, nats/token, shape (P,).
        at_rho: fitted loss at the measured rho, shape (R,).
        curves_of: fits many data sets alike, losses (R, B) -> curves (P, B); what was tuned stays
            as tuned.
        cv_error: root mean squared error at interior rho left out, nats/token; NaN with fewer than
            five points.
        refined: shapes, coefficients and convergence of the default form; None for the others.
    """

    form: str
    curve: np.ndarray
    at_rho: np.ndarray
    curves_of: CurvesOf
    cv_error: float
    refined: Refined | None


@dataclass(frozen=True)
class UCurve:
    """All forms, and the one that was chosen.

    Attributes:
        grid: shares of the curves, ascending over the measured range, shape (P,).
        chosen: the fit to read.
        others: the forms not chosen.
        in_play: the chosen form, and every other one whose misses the noise can explain.
    """

    grid: np.ndarray
    chosen: Fit
    others: tuple[Fit, ...]
    in_play: tuple[Fit, ...]

    def refit(self, losses: np.ndarray) -> np.ndarray:
        """Fits many data sets, an equal share by each form in play: losses (R, B) -> curves (P, B), nats/token."""
        forms = len(self.in_play)
        curves = np.empty((len(self.grid), losses.shape[1]))
        for turn, fit in enumerate(self.in_play):
            curves[:, turn::forms] = fit.curves_of(losses[:, turn::forms])
        return curves


def fit_curve(means: RhoMeans, form: str | None = None) -> UCurve:
    """Fits all forms and chooses one.

    Args:
        means: at least MIN_POINTS values of rho.
        form: one of FORMS to choose it regardless of cross-validation.

    Raises:
        ValueError: fewer than MIN_POINTS values of rho, or an unknown form.
    """
    if len(means.rho) < MIN_POINTS:
        raise ValueError(
            f"a curve needs at least {MIN_POINTS} values of rho, found {len(means.rho)}"
        )
    if form is not None and form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, found {form!r}")
    grid = np.linspace(means.rho[0], means.rho[-1], GRID_POINTS)
    fitted = [_fit_two_power(means, grid), _fit_split(means, grid)]
    fitted += [_fit_smoother(name, means, grid) for name in ("local_quadratic", "spline")]
    chosen = next(f for f in fitted if f.form == form) if form else _choose(fitted, means)
    others = tuple(f for f in fitted if f is not chosen)
    in_play = (chosen, *(f for f in others if _plausible(f, means)))
    return UCurve(grid=grid, chosen=chosen, others=others, in_play=in_play)


def _plausible(fit: Fit, means: RhoMeans) -> bool:
    """Whether the noise can explain the misses; what the fit itself took from them is not counted, which is lenient."""
    if means.dof < 1 or means.sigma == 0:
        return True
    off = means.loss - fit.at_rho
    statistic = off @ np.linalg.solve(means.cov, off) / len(off)
    return bool(special.fdtrc(len(off), means.dof, statistic) > RULED_OUT)


def _choose(fitted: list[Fit], means: RhoMeans) -> Fit:
    """The default, unless another form's cross-validation error is lower by more than the noise explains."""
    default = fitted[0]
    best = min(fitted, key=lambda fit: np.inf if np.isnan(fit.cv_error) else fit.cv_error)
    if best is default or not np.isfinite(best.cv_error):
        return default
    # Squared errors of R - 2 points scatter by about sqrt(2 / (R - 2)) of themselves.
    slack = 1 + 2 * np.sqrt(2 / (len(means.rho) - 2))
    return best if default.cv_error**2 > slack * best.cv_error**2 else default


def _fit_two_power(means: RhoMeans, grid: np.ndarray) -> Fit:
    model = DoublePowerLaw(means.rho, means.unit_cov)
    refined = model.refine(means.loss, np.concatenate([grid, means.rho]))

    return Fit(
        form="two_power",
        curve=refined.curve[: len(grid)],
        at_rho=refined.curve[len(grid) :],
        curves_of=lambda losses: model.curves(losses, grid),
        cv_error=float(_cv_error(means, _left_out(DoublePowerLaw, means))),
        refined=refined,
    )


def _fit_split(means: RhoMeans, grid: np.ndarray) -> Fit:
    model = SplitQuadratic(means.rho, means.unit_cov)
    fitted = model.curves(means.loss[:, None], np.concatenate([grid, means.rho]))[:, 0]
    return Fit(
        form="split_quadratic",
        curve=fitted[: len(grid)],
        at_rho=fitted[len(grid) :],
        curves_of=lambda losses: model.curves(losses, grid),
        cv_error=float(_cv_error(means, _left_out(SplitQuadratic, means))),
        refined=None,
    )


def _left_out(
    model: type[DoublePowerLaw] | type[SplitQuadratic], means: RhoMeans
) -> Callable[[int], float]:
    """What a form predicts at one rho from the others."""

    def predict(i: int) -> float:
        keep = np.delete(np.arange(len(means.rho)), i)
        part = model(means.rho[keep], means.unit_cov[np.ix_(keep, keep)])
        return float(part.curves(means.loss[keep, None], means.rho[[i]])[0, 0])

    return predict


def _fit_smoother(form: str, means: RhoMeans, grid: np.ndarray) -> Fit:
    """Fits a linear smoother with the width that predicts the left-out points best."""
    operator, widths = {
        "local_quadratic": (smoothers.local_quadratic, smoothers.WIDTHS),
        "spline": (smoothers.spline, smoothers.STIFFNESS),
    }[form]
    variances = np.diag(means.unit_cov)

    def leave_out(i: int) -> np.ndarray:
        keep = np.delete(np.arange(len(means.rho)), i)
        return (
            operator(means.rho[keep], means.rho[[i]], variances[keep], widths)[:, 0]
            @ means.loss[keep]
        )

    errors = _cv_error(means, leave_out) * np.ones(len(widths))
    width = (
        widths[int(np.argmin(errors))] if np.isfinite(errors).all() else widths[len(widths) // 2]
    )
    on_grid, at_rho = (operator(means.rho, at, variances, [width])[0] for at in (grid, means.rho))
    return Fit(
        form=form,
        curve=on_grid @ means.loss,
        at_rho=at_rho @ means.loss,
        curves_of=lambda losses: on_grid @ losses,
        cv_error=float(errors.min()),
        refined=None,
    )


def _cv_error(means: RhoMeans, leave_out: Callable[[int], np.ndarray | float]) -> np.ndarray:
    """Leaves out each interior rho in turn; the ends would be extrapolated, which a fit never does in use."""
    if len(means.rho) < CV_POINTS:
        return np.array(np.nan)
    errors = [leave_out(i) - means.loss[i] for i in range(1, len(means.rho) - 1)]
    return np.sqrt(np.mean(np.square(errors), axis=0))
