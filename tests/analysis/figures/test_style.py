from io import BytesIO
from typing import Any

import matplotlib as mpl
import pytest
import seaborn as sns
from matplotlib import colors

from analysis.figures.loss_vs_rho import loss_vs_rho
from analysis.figures.style import DPI, FORMATS, METADATA, SEABORN, render, styled
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep

OURS = ("font.family", "font.sans-serif", "image.cmap")
"""Fonts are matplotlib's own on purpose; no figure of ours uses the default colour map."""


def test_the_style_is_seaborns():
    given: dict[str, Any] = {
        **sns.plotting_context("paper", font_scale=1.25),
        **sns.axes_style("ticks"),
    }
    settings: dict[str, Any] = {**mpl.rcParamsDefault, **SEABORN}
    for name in given.keys() - set(OURS):
        mine, theirs = settings[name], given[name]
        if name.endswith("color") and isinstance(theirs, str):
            assert colors.same_color(mine, theirs), name
        else:
            assert mine == (pytest.approx(theirs) if isinstance(theirs, float) else theirs), name


def test_the_style_is_gone_after_drawing():
    before = dict(mpl.rcParams)
    with styled():
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_what_savefig_writes(kind):
    result, buffer = analyse_sweep(sweep(), draws=20), BytesIO()
    mine = render(loss_vs_rho(result, "title"), kind)
    with styled():
        loss_vs_rho(result, "title").savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
    assert mine == buffer.getvalue()
    assert mine == render(loss_vs_rho(result, "title"), kind)
