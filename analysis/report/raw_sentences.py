"""What the laws over the losses of all conditions say, as sentences and as plain data."""

from typing import Any

import numpy as np

from analysis.curve.readings import Interval
from analysis.levels import percent
from analysis.scaling.compute_gain import AXES_OF_COMPUTE, compute_gain
from analysis.scaling.raw_laws import RawLaws


def state_raw_laws(raw: RawLaws) -> list[str]:
    """Return what the laws that are not refuted say together."""
    if not raw.in_play:
        return [
            f"One law over all losses: all {len(raw.laws)} shapes are refuted (p = "
            f"{raw.best_p:.2g} at best), so none says anything."
        ]
    slope = raw.per_doubling()
    least, most = raw.range_of_slopes()
    count = len(raw.laws)
    lines = []
    if raw.left_out:
        first, last = (_value(raw, size) for size in raw.span)
        lines.append(
            f"With {', '.join(f'{2**place:.3g}' for place in raw.left_out)} {raw.axis} every law "
            f"over all losses is refuted (p = {raw.p_of_all:.2g} at best): what follows is of "
            f"{first:.3g} to {last:.3g}, a range that was chosen after the losses were seen."
        )
    lines += [
        f"One law over all losses ({count} shapes, {count - len(raw.in_play)} refuted): "
        "per doubling "
        f"of {raw.axis} rho* moves by {_signed(slope.rho_star)}, by {least:+.2f} to {most:+.2f} "
        f"depending on the shape, and the gain becomes {_plain(slope.gain_factor, 2)} times as "
        f"large ({percent(raw.level)} intervals over shapes and noise)."
    ]
    if raw.errors:
        rho_star, gain = np.sqrt(np.mean(np.square(raw.errors), axis=0))
        lines.append(
            f"Held out one at a time, it misses conditions by {rho_star:.2f} in rho* and by "
            f"{gain:.4f} nats/token in the gain (root mean square)."
        )
    if raw.axis in AXES_OF_COMPUTE:
        lines.append(
            "In training, the best hybrid is worth "
            + ", ".join(f"{_worth(raw, size)} at {_value(raw, size):.3g}" for size in raw.sizes)
            + f" {raw.axis} (how many times as long pure MoE would train for the same loss, at "
            "equal FLOPs per token)."
        )
    return lines


def predict_raw(raw: RawLaws, position: float) -> str:
    """Return what to expect at a position (log2 of the axis); nothing if no law reaches it."""
    if not raw.in_play or raw.leaves_out(position):
        return ""
    there = raw.predict(position)
    return (
        f" By the law over all losses rho* {_plain(there.rho_star, 2)}, gain "
        f"{_plain(there.gain_over_moe, 4)} nats/token."
    )


def raw_json(raw: RawLaws) -> dict[str, Any]:
    """Return the laws as plain data; gains in nats/token."""
    said: dict[str, Any] = {"per_doubling": None, "range_of_slopes": None}
    if raw.in_play:
        slope = raw.per_doubling()
        said["per_doubling"] = {
            "rho_star": slope.rho_star.as_dict(),
            "gain_factor": slope.gain_factor.as_dict(),
        }
        said["range_of_slopes"] = list(raw.range_of_slopes())
    return {
        "axis": raw.axis,
        **said,
        "laws": [
            {
                "shapes": law.family.name,
                "refuted": i not in raw.in_play,
                "chi2": law.chi2,
                "spare": law.spare,
                "p_fit": law.p_fit,
            }
            for i, law in enumerate(raw.laws)
        ],
        "compute_gain": [
            {raw.axis: _value(raw, size), "times": found.as_dict()}
            for size in raw.sizes
            if (found := compute_gain(raw, size + raw.centre)) is not None
        ],
        "held_out": [{"rho_star_error": one, "gain_error": two} for one, two in raw.errors],
        "left_out": [float(2.0**place) for place in raw.left_out],
        "p_of_all": raw.p_of_all,
        "level": raw.level,
    }


def _value(raw: RawLaws, size: float) -> float:
    return float(2.0 ** (size + raw.centre))


def _worth(raw: RawLaws, size: float) -> str:
    """Return the compute-equivalent gain at a size with its limits, "1.23x [1.10, 1.40]"."""
    found = compute_gain(raw, size + raw.centre)
    assert found is not None  # the axis is one of compute and a law is in play
    if found.low is None:
        return "more than pure MoE was followed"
    if found.value is None:
        return f"at least {found.low:.2f}x"
    high = "?" if found.high is None else f"{found.high:.2f}"
    return f"{found.value:.2f}x [{found.low:.2f}, {high}]"


def _signed(one: Interval) -> str:
    return f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"


def _plain(one: Interval, digits: int) -> str:
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"
