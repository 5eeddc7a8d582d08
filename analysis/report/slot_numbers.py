"""A sweep over table sizes as plain data: one JSON object, one table per arm and size."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.slot_sentences import state_slots, word
from analysis.slots.line_test import LineTest
from analysis.slots.paired_gains import PairedGains
from analysis.slots.slots_analysis import SlotsAnalysis


def slots_json(result: SlotsAnalysis) -> dict[str, Any]:
    """Return what `engram-sweep fit --json` prints of table sizes; null if there is no number.

    Losses are in nats/token, slopes in nats/token per doubling of the table.
    """
    table = per_size(result)
    return {
        "sentence": " ".join(state_slots(result)),
        "arms": [
            {
                "arm": one.arm,
                "word": word(one),
                "slope": one.slope.as_dict(),
                "line": one.line and _line_json(one.line),
                "over_moe": one.over_moe and _gains_json(one.over_moe),
                "sizes": _rows(table.loc[table["arm"] == one.arm].drop(columns="arm")),
            }
            for one in result.arms
        ],
        "paired": [_gains_json(one) for one in result.paired],
        "level": result.level,
        "n_runs": len(result.runs.sized),
        "n_diverged": len(result.runs.failed),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, float | None]]:
    """Return the rows of a table of numbers, null for what is not known."""
    return [
        {name: float(value) if np.isfinite(value) else None for name, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _line_json(test: LineTest) -> dict[str, Any]:
    return {
        "p_bend": test.p_bend,
        "p_misfit": test.p_misfit,
        "first_slope": test.first_slope.as_dict(),
        "last_slope": test.last_slope.as_dict(),
        "holds": test.holds and {"from": test.holds[0], "to": test.holds[1]},
        "saturating_law": test.law and asdict(test.law),
    }


def _gains_json(gains: PairedGains) -> dict[str, Any]:
    return {
        "arm": gains.arm,
        "over": gains.over,
        "seeds": gains.seeds,
        "mean": gains.mean.as_dict(),
        "slope": gains.slope.as_dict(),
        "at": [
            {"rows_per_head": float(size), **one.as_dict()}
            for size, one in zip(gains.rows, gains.at_size, strict=True)
        ],
    }


def per_size(result: SlotsAnalysis) -> pd.DataFrame:
    """Return one row per arm and table size; losses in nats/token.

    Columns: arm, rows_per_head (asked, of Engram), runs, mean (seed-adjusted), se (of that mean,
    finite validation set included), gain_over_moe, table_rows and rows_touched (mean over runs),
    and touched (their share); NaN if not known.
    """
    parts = []
    for one in result.arms:
        part = pd.DataFrame(
            {
                "arm": one.arm,
                "rows_per_head": one.rows,
                "runs": one.means.runs,
                "mean": one.means.loss,
                "se": np.sqrt(np.diag(one.means.cov)),
            }
        )
        gains = {}
        if one.over_moe is not None:
            values = [interval.value for interval in one.over_moe.at_size]
            gains = dict(zip(one.over_moe.rows, values, strict=True))
        part["gain_over_moe"] = [gains.get(size, np.nan) for size in one.rows]
        touched = one.touched
        part["table_rows"] = np.nan if touched is None else touched.table_rows
        part["rows_touched"] = np.nan if touched is None else touched.touched
        part["touched"] = np.nan if touched is None else touched.share
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
