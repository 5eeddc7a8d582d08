"""What an ablation shows, in sentences and as a table: one for each variant."""

import pandas as pd

from analysis.curve.readings import Interval
from analysis.curve.rounding import decimals_of, number, with_interval
from analysis.inside.words import with_limits
from analysis.levels import percent
from analysis.sweep.ablation import Ablation, VariantEffect, WholeModule


def state_ablation(result: Ablation) -> list[str]:
    """Return how the variants were compared, what each costs, and pure MoE beside them."""
    count = len(result.effects)
    counted = f"{count} variant{'s' if count > 1 else ''} of the Engram module"
    how = f"{counted}, paired with the whole one over {result.seeds} seeds"
    if result.dof:
        how += (
            f": intervals hold all of them at once with {percent(result.level)} (Dunnett, "
            f"{result.dof} degrees of freedom, run noise {result.sigma:.2g} nats/token)"
        )
    else:
        how += ": nothing measures the noise, so there are no intervals"
    said = [f"{how}; positive means that the variant is worse."]
    several = len(result.wholes) > 1
    said += [_sentence(one, several) for one in result.effects]
    for one in result.wholes:
        if one.moe.value is not None:
            said.append(
                f"Beside them: pure MoE minus the whole module{_where(one, several)} "
                f"{with_interval(one.moe, 4)} nats/token, with an interval of its own."
            )
    if result.failed:
        said.append(f"Runs without a loss: {', '.join(result.failed)}.")
    return said


def _sentence(one: VariantEffect, several: bool) -> str:
    """Return what one variant costs, and whether that can be told from nothing."""
    name = f"{one.label}{_where(one, several)}"
    name = f"{name[:1].upper()}{name[1:]}"
    if one.changed:
        name += f" ({one.changed})"
    found = one.difference
    if found.value is None:
        return f"{name}: no seed in common with the whole module."
    words = f"{name}: {with_interval(found, 4)} nats/token"
    if found.low is None or found.high is None:
        return f"{words}, one seed."
    return f"{words}, {_verdict(found)}."


def _verdict(found: Interval) -> str:
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    if found.low > 0:
        return "worse than the whole module"
    if found.high < 0:
        return "better than the whole module"
    most = number(max(-found.low, found.high), decimals_of(found, 4))
    return f"not resolved: a difference of more than {most} either way is excluded"


def _where(one: VariantEffect | WholeModule, several: bool) -> str:
    if not several:
        return ""
    return f" at rho {one.rho:.2f}" if one.size is None else f" with {one.size:,} rows per head"


def ablation_table(result: Ablation) -> pd.DataFrame:
    """Return one row per variant, after the whole module and pure MoE at its place."""
    rows = []
    for whole in result.wholes:
        place = {"rho": whole.rho}
        if whole.size is not None:
            place["rows per head"] = whole.size
        nothing = Interval(0.0, None, None)
        rows.append(_row("whole module", "", place, whole.runs, whole.loss, nothing, None))
        for one in result.effects:
            if (one.rho, one.size) == (whole.rho, whole.size):
                rows.append(
                    _row(one.label, one.changed, place, one.runs, one.loss, one.difference, one.p)
                )
        if whole.moe.value is not None:
            loss = whole.loss + whole.moe.value
            rows.append(_row("pure MoE", "no memory", place, None, loss, whole.moe, None))
    return pd.DataFrame(rows)


def _row(
    variant: str,
    changed: str,
    place: dict[str, float],
    runs: int | None,
    loss: float,
    difference: Interval,
    p: float | None,
) -> dict[str, object]:
    return {
        "variant": variant,
        "changed": changed,
        **place,
        "runs": runs,
        "loss": loss,
        **with_limits("difference", difference),
        "adjusted p": p,
    }
