# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inside the memory
#
# A U in the loss says that a share of memory pays. This notebook shows what it is made of: where
# the gain lives, what the memory is used for, how far its gates open, what a cache of rows would
# serve, and how early predictions are ready. It reads what `make strata`, `make suppress`,
# `make gates`, `make hot-rows`, `make depth` and `make cka` measured in the runs of one sweep;
# what was not measured is left out. Choose the sweep with the environment variable `SCALE`;
# everything is computed by `analysis`, without a model.

# %% tags=["parameters"]
import os
from pathlib import Path

from IPython.display import Image, Markdown, display

from analysis.figures.style import render
from analysis.levels import LEVEL
from analysis.report.write_inside import VIEWS
from engram_sweep.runs.measures import has_measure, read_measures

SCALE = os.environ.get("SCALE", "tiny")
RESULTS = Path(os.environ.get("RESULTS", "../results"))

# %% [markdown]
# ## What was measured

# %%
measured = [view for view in VIEWS if has_measure(SCALE, RESULTS, view.measure)]
commands = ", ".join(f"`make {view.measure}`" for view in VIEWS)
names = ", ".join(view.measure for view in measured)
Markdown(f"Of {SCALE}: {names}." if measured else f"Nothing yet; {commands} measure it.")

# %% [markdown]
# ## What it shows
#
# Intervals are over documents and seeds, both drawn again; see docs/inside-the-memory.md for what
# each measure is, and for its controls.

# %%
for view in measured:
    rows = read_measures(SCALE, RESULTS, view.measure)
    result = view.analyse(rows, f"{SCALE}, {view.measure}", LEVEL)
    display(Markdown(f"### {view.title}\n\n" + "\n".join(f"- {s}" for s in view.sentences(result))))
    display(Image(render(view.figure(result, f"{view.title}, {SCALE}"), "png"), width=860))
    display(view.table(result).round(4))
