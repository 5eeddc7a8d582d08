"""What of rho* rests on a smooth curve, in English."""

from analysis.sweep.sweep_analysis import SweepAnalysis


def smoothness_notes(result: SweepAnalysis) -> list[str]:
    """Return what is left of rho* without a smooth curve, and what a form with corners says."""
    dip, rho = result.single_dip, result.means.rho
    notes = []
    if dip.low is not None and dip.high is not None and (dip.low, dip.high) != (rho[0], rho[-1]):
        notes.append(
            "The interval of rho* takes the curve as smooth; a single dip of any shape has its "
            f"lowest rho between {dip.low:.2g} and {dip.high:.2g}."
        )
    if result.corner is not None:
        notes.append(
            "A form with corners, which the noise does not rule out, is lowest at "
            f"rho = {result.corner:.2f}, outside the interval of rho*."
        )
    return notes
