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
# of one sweep and says what they show. Choose the sweep with the environment variable `SCALE`;
# everything is computed by `analysis`.

# %% tags=["parameters"]
import os
from pathlib import Path

from IPython.display import Image, Markdown

from analysis import analyse_sweep, as_json, per_rho, state_verdict
from analysis.figures.literature import gains_over_rho
from analysis.figures.loss_vs_rho import loss_vs_rho
from analysis.figures.style import render
from engram_sweep.runs.records import read_runs

SCALE = os.environ.get("SCALE", "tiny")
RESULTS = Path(os.environ.get("RESULTS", "../results"))

# %% [markdown]
# ## What it says

# %%
runs = read_runs(SCALE, RESULTS)
result = analyse_sweep(runs, SCALE)
verdict = state_verdict(result)
Markdown(f"**{verdict.word}**: {verdict.sentence}")

# %% [markdown]
# ## The picture
#
# Every run is a dot, runs of one seed are joined. The yellow range is within `delta` of the lowest
# loss: the argmin alone is weakly determined, this range and the gain are not.

# %%
Image(render(loss_vs_rho(result, f"Loss over the share of experts, {SCALE}"), "png"), width=720)

# %% [markdown]
# ## Per rho
#
# `mean` is adjusted for seeds, which shift a whole curve; `se` is the error of differences along
# rho.

# %%
per_rho(result).round(4)

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
Image(render(gains_over_rho(result, SCALE), "png"), width=720)
