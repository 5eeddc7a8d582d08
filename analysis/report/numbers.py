"""The numbers of a result as plain data: one JSON object, one table per rho."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.verdict_sentences import state_verdict
from analysis.sweep.sweep_analysis import SweepAnalysis


def as_json(result: SweepAnalysis) -> dict[str, Any]:
    """Return what `engram-sweep fit --json` prints; null if a number does not exist, never NaN.

    Losses and gains are in nats/token. `near_optimal` is {rho : L(rho) - L_min < delta}: value is
    rho*, low and high its ends, each end with its own interval. `break_even` is null if the
    curve never rises to the loss at rho = 1 in the measured range; a limit of null lies below that
    range.
    """
    verdict, near, chosen = state_verdict(result), result.near_optimal, result.curve.chosen
    test = result.test
    return {
        "verdict": verdict.word,
        "sentence": verdict.sentence,
        "rho_star": result.rho_star.as_dict(),
        "single_dip": result.single_dip.as_dict(),
        "corner": result.corner,
        "near_optimal": {
            "value": near.value,
            "low": near.low,
            "high": near.high,
            "low_interval": near.low_interval,
            "high_interval": near.high_interval,
        },
        "gain_over_moe": result.gain_over_moe.as_dict(),
        "break_even": result.break_even.as_dict(),
        "p_u": test and test.p_u,
        "p_gain": test and test.p_gain,
        "form": chosen.form,
        "converged": chosen.converged,
        "on_bound": chosen.on_bound,
        "cv_error": {fit.form: _finite(fit.cv_error) for fit in (chosen, *result.curve.others)},
        "model_uncertainty": result.model_uncertainty(),
        "diagnostics": asdict(result.diagnostics),
        "noise": _finite(result.means.sigma),
        "anchor_noise": result.anchor_noise.as_dict(),
        "next_run": result.next_run and asdict(result.next_run),
        "level": result.level,
        "delta": result.delta,
        "n_runs": len(result.sweep.curve),
        "n_rho": len(result.means.rho),
        "n_seeds": result.means.seeds,
        "n_diverged": len(result.sweep.failed),
        "n_outliers": int(result.means.outliers.sum()),
        "arms": [
            {
                "arm": arm.arm,
                "rho": _finite(arm.rho),
                "n_runs": arm.runs,
                "validation_loss": arm.loss,
                "gain_over_moe": arm.gain_over_moe.as_dict(),
                "gain_over_hybrid": arm.gain_over_hybrid.as_dict(),
            }
            for arm in result.arms
        ],
        "gain_parts": result.parts and asdict(result.parts),
    }


def per_rho(result: SweepAnalysis) -> pd.DataFrame:
    """Return one row per measured rho; losses in nats/token.

    Columns: rho, runs, outliers, mean (seed-adjusted), se (of that mean, finite validation set
    included), fitted, low and high (the curve's band), gain_over_end (fitted loss at the largest
    rho minus fitted loss here), and near_optimal (whether rho lies in the near-optimal range).
    """
    means, grid = result.means, result.curve.grid
    rho = means.rho
    fitted = result.curve.chosen.at_rho
    band = np.full((2, len(rho)), np.nan) if result.band is None else result.band
    low, high = (np.interp(rho, grid, edge) if result.band is not None else edge for edge in band)
    marked = result.sweep.curve[means.outliers].groupby("rho").size().reindex(rho, fill_value=0)
    return pd.DataFrame(
        {
            "rho": rho,
            "runs": means.runs,
            "outliers": marked.to_numpy(),
            "mean": means.loss,
            "se": np.sqrt(np.diag(means.cov)),
            "fitted": fitted,
            "low": low,
            "high": high,
            "gain_over_end": fitted[-1] - fitted,
            "near_optimal": (rho >= result.near_optimal.low) & (rho <= result.near_optimal.high),
        }
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
