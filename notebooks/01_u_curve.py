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
# # The loss over the share of experts
#
# At a fixed number of total and activated parameters, how much of the sparse budget belongs in
# experts ($\rho$) and how much in n-gram memory ($1 - \rho$)? This notebook reads the finished runs
# of one sweep and says what they show. Everything is computed by `analysis`.
#
# **A table of your own**: name a file in place of a sweep, below or in the environment variable
# `SCALE`, e.g. `"my_runs.csv"`. It needs the columns `rho`, `seed` and `validation_loss`.

# %% tags=["parameters"]
import os
from pathlib import Path

from IPython.display import Markdown, display

from analysis import (
    analyse_sweep,
    as_json,
    compare,
    per_rho,
    read_sweep,
    state_comparison,
    state_verdict,
)
from analysis.figures.learning_curves import learning_curves
from analysis.figures.literature import gains_over_rho
from analysis.figures.loss_vs_rho import loss_vs_rho
from analysis.figures.router import expert_load, gates
from analysis.figures.two_sweeps import two_sweeps

SCALE = os.environ.get("SCALE", "tiny")
OTHER = os.environ.get("OTHER", "")  # a second sweep or table, to compare with
RESULTS = Path(os.environ.get("RESULTS", "../results"))
NAME = Path(SCALE).stem

# %% [markdown]
# ## What it says

# %%
runs = read_sweep(SCALE, RESULTS)
result = analyse_sweep(runs, NAME)
verdict = state_verdict(result)
Markdown(verdict.sentence)

# %% [markdown]
# ## The picture
#
# Every run is a dot, runs of one seed are joined. The yellow range is within `delta` of the lowest
# loss: the argmin alone is weakly determined, this range and the gain are not.

# %%
figure = loss_vs_rho(result, f"Loss over the share of experts, {NAME}")
figure

# %% [markdown]
# Every picture is a matplotlib `Figure` and can be changed before it is shown or saved:

# %%
axes = figure.axes[0]
axes.axvspan(0.75, 0.80, color="#3b8f5a", alpha=0.2, lw=0)
axes.text(0.775, 0.98, "the paper", transform=axes.get_xaxis_transform(), ha="center", va="top")
figure

# %% [markdown]
# ## Per rho
#
# `mean` is adjusted for seeds, which shift a whole curve; `se` is the error of differences along
# rho.

# %%
per_rho(result).round(4)

# %% [markdown]
# ## How it was learned
#
# Training losses at every rho, and their distance from the largest rho on the same batches; how
# evenly routers chose their experts; how far gates let memory in. A table without these columns
# shows nothing here.

# %%
for draw in (learning_curves, expert_load, gates):
    drawn = draw(runs, NAME)
    if drawn is not None:
        display(drawn)

# %% [markdown]
# ## Two sweeps
#
# Name a second one in `OTHER`: what differs at every common rho, with intervals. Runs of one seed
# are paired if both sweeps read the same text.

# %%
if OTHER:
    names = NAME, Path(OTHER).stem
    found = compare(result, analyse_sweep(read_sweep(OTHER, RESULTS), names[1]))
    display(Markdown(state_comparison(found, *names)), two_sweeps(found, *names))
else:
    display(Markdown("`OTHER` names no second sweep."))

# %% [markdown]
# ## Every number with its interval

# %%
as_json(result)

# %% [markdown]
# ## Beside what is printed
#
# Scales differ by orders of magnitude, so the place of the minimum is to be compared, not its
# depth.

# %%
gains_over_rho(result, NAME)
