"""What a report says of how an adaptive sweep's runs were chosen, and what it does not say."""

import json
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from analysis.levels import percent
from analysis.report.page import section
from analysis.report.page_table import table

MEASURED = "adaptive_coverage.json"
"""What `python -m analysis.simulation.adaptive --write` measured, in analysis/simulation."""


def state_adaptive(design: dict[str, Any]) -> list[str]:
    """Return how the sweep ended and how far its intervals may be trusted.

    Args:
        design: rules and looks as noted (`engram_sweep.runs.design_note`).
    """
    rules, looks = design["rules"], design["looks"]
    if not looks:
        return ["This sweep is adaptive and was not looked at yet: these are runs of its pilot."]
    last = looks[-1]
    ended = "ended" if not last["runs"] else "stands"
    return [
        "This sweep is adaptive: its runs were chosen by what those before them showed. It "
        f"{ended} after look {len(looks)} of at most {rules['looks']}, by a width of "
        f"{rules['width']:g} noted before the first run. That look is no result: whether there is "
        f"a U is said by the test at the longest length alone. {_coverage(measured())}"
    ]


def looks_section(design: dict[str, Any]) -> str:
    """Return the section of a page that lists the looks and why every run was chosen."""
    rows = [
        {
            "look": number,
            "width of rho*": one["width"],
            "what was seen": one["words"],
            "runs chosen": len(one["runs"]),
        }
        for number, one in enumerate(design["looks"], start=1)
    ]
    reasons = "".join(
        f"<li>look {number}, {escape(run[:8])}: {escape(reason)}</li>"
        for number, one in enumerate(design["looks"], start=1)
        for run, reason in zip(one["runs"], one["reasons"], strict=True)
    )
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    return section("How runs were chosen", table(pd.DataFrame(rows), {"width of rho*": 2}) + listed)


def measured() -> dict[str, Any] | None:
    """Return what the simulation of adaptive sweeps measured last; None if it never did."""
    found = files("analysis.simulation").joinpath(MEASURED)
    return json.loads(found.read_text(encoding="utf-8")) if found.is_file() else None


def _coverage(found: dict[str, Any] | None) -> str:
    if not found:
        return "How often intervals at such an end hold the truth was not measured."
    worlds = list(found.values())
    rho, gain = ([100 * one[key] for one in worlds] for key in ("rho_star", "gain"))
    sweeps, level = min(one["sweeps"] for one in worlds), worlds[0]["level"]
    return (
        f"At the end of simulated adaptive sweeps ({len(worlds)} worlds, {sweeps} or more each) "
        f"{percent(level)} intervals held rho* in {min(rho):.0f} to {max(rho):.0f} % and the "
        f"gain in {min(gain):.0f} to {max(gain):.0f} %, by the laws, or by the longest length "
        "alone if every law was refuted."
    )
