"""What a user has, a machine and a text, and the sections of a scale that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engram_sweep.config.commented_yaml import Reasoned
from engram_sweep.planning.cost import GPUS
from engram_sweep.planning.own_geometry import FAMILY_WIDTH

SUSTAINED_GFLOPS = 15.0
"""Training speed of one core, as sweeps/tiny.yaml has it."""
MFU = {FAMILY_WIDTH: 0.1, 512: 0.2, 1024: 0.3, 1472: 0.4}
"""Share of the peak by least width; assumed, as in sweeps/small.yaml and 10B.yaml."""
RHO = (1.0, 0.9, 0.75, 0.6, 0.4, 0.2, 0.0)
"""Both ends, and the inside closer where the paper's optimum lies (near 0.8)."""


@dataclass(frozen=True)
class Machine:
    """What there is to compute on."""

    hours: float
    """Of one GPU, or of one core, for the whole sweep."""
    devices: int
    """GPUs or cores."""
    gpu: str | None = None
    """A key of `GPUS`; None for cores."""

    def __str__(self) -> str:
        kind = f"{GPUS[self.gpu].name} GPUs" if self.gpu else "cores"
        return f"{self.hours:g} {self.unit} on {self.devices} {kind}"

    @property
    def unit(self) -> str:
        """What its hours are hours of."""
        return "GPU-hours" if self.gpu else "core-hours"


@dataclass(frozen=True)
class Text:
    """What there is to read."""

    corpus: dict[str, Reasoned]
    """The `corpus` section of the scale."""
    tokens: int | None
    """Training tokens; None if nobody knows yet."""
    path: str | None = None
    """`launch.corpus_path`."""


def mfu_of(d_model: int) -> float:
    """Return the share of a GPU's peak that a width is assumed to sustain."""
    return max(share for width, share in MFU.items() if width <= d_model)


def sweep_section(seeds: Sequence[int], anchor_seeds: Sequence[int]) -> dict[str, Reasoned]:
    """Return the `sweep` section of a design."""
    section: dict[str, Reasoned] = {
        "iso": ("strict", "P_tot, P_act and FLOPs are held along rho"),
        "rho": (list(RHO), "both ends, and closer near the paper's optimum, 0.8"),
        "seeds": (list(seeds), "as many as the power of the design asks for"),
    }
    if anchor_seeds:
        why = "rho = 1 scatters more than others, and every gain is measured from it"
        section["anchor_seeds"] = (list(anchor_seeds), why)
    return section


def launch_section(
    machine: Machine, gpus: int, d_model: int, corpus_path: str | None
) -> dict[str, Reasoned]:
    """Return the `launch` section of a machine.

    Args:
        machine: where it trains.
        gpus: GPUs of one run.
        d_model: the width, which decides how much of a GPU is used.
        corpus_path: the folder of token shards, if the text is the user's own.
    """
    section: dict[str, Reasoned] = {}
    if corpus_path is not None:
        section["corpus_path"] = (corpus_path, "")
    if machine.gpu is None:
        return section | {
            "executor": ("local", ""),
            "parallel": (machine.devices, "one worker a core"),
            "sustained_gflops": (SUSTAINED_GFLOPS, "of one core, as tiny has it"),
        }
    return section | {
        "gpu": (machine.gpu, ""),
        "gpus": (gpus, "of a run; one is cheapest as long as there are more runs than GPUs"),
        "parallel": (
            max(1, machine.devices // gpus),
            f"runs side by side, on {machine.devices} GPUs in all",
        ),
        "mfu": (mfu_of(d_model), "assumed: share of the dense bf16 peak at this width"),
        "timeout_minutes": (1440, "a day; a longer run goes on in the next job"),
    }
