"""What the paper and its followers print about rho, with source and certainty.

No number is read off a figure.

rho is the share of the sparse budget in routed experts. If a work gives memory as a share of all
parameters instead, that is another quantity: such rows say so in `setting` and carry no rho.
"""

from dataclasses import dataclass

PAPER = "arXiv 2601.07372"


@dataclass(frozen=True)
class Point:
    """One printed number."""

    work: str
    """Which work prints it."""
    setting: str
    """Model, tokens, and what was held fixed."""
    rho: float | None
    """Share of the sparse budget in experts; None if the work gives another quantity."""
    loss: float | None
    """Validation loss in nats/token as printed; None if only the place is printed."""
    certainty: str
    """"printed" (read in the source), "derived" (arithmetic on printed numbers) or "second-hand"
    (read in notes on the source)."""
    source: str
    """Where in the work."""


POINTS = (
    Point("Engram", "9.9B total, 993M active, 6e20 FLOPs", 1.0, 1.7248, "printed", f"{PAPER}, 3.1"),
    Point(
        "Engram",
        "the same, near the optimum ('about 80 %')",
        0.8,
        1.7109,
        "printed",
        f"{PAPER}, 3.1",
    ),
    Point(
        "Engram",
        "the same, 43 of 99 experts, said to tie with rho = 1",
        0.4,
        1.7248,
        "derived",
        f"{PAPER}, 3.1",
    ),
    Point(
        "Engram",
        "5.7B total, 568M active, 2e20 FLOPs: ties with rho = 1, 46 of 106 experts",
        0.4,
        None,
        "printed",
        f"{PAPER}, 3.1",
    ),
    Point(
        "Engram",
        "both budgets: lower end of the best range",
        0.75,
        None,
        "printed",
        f"{PAPER}, 3.1",
    ),
    Point(
        "Engram",
        "both budgets: upper end of the best range",
        0.80,
        None,
        "printed",
        f"{PAPER}, 3.1",
    ),
    Point(
        "Engram-27B",
        "26.7B total, 72 to 55 experts, 262B tokens",
        0.743,
        1.622,
        "printed",
        f"{PAPER}, Table 1 and 5",
    ),
    Point(
        "Engram-27B",
        "the same without memory (MoE-27B)",
        1.0,
        1.634,
        "printed",
        f"{PAPER}, Table 1",
    ),
    Point(
        "Qwen3.8-Next",
        "fixed total; memory 0 % (of what, the notes do not say)",
        1.0,
        1.202,
        "second-hand",
        "arXiv 2608.30320, Table 8",
    ),
    Point(
        "Qwen3.8-Next",
        "the same, memory 10 %",
        None,
        1.200,
        "second-hand",
        "arXiv 2608.30320, Table 8",
    ),
    Point(
        "Qwen3.8-Next",
        "the same, memory 25 %",
        None,
        1.197,
        "second-hand",
        "arXiv 2608.30320, Table 8",
    ),
    Point(
        "Qwen3.8-Next",
        "the same, memory 50 %",
        None,
        1.201,
        "second-hand",
        "arXiv 2608.30320, Table 8",
    ),
    Point(
        "LongCat",
        "n-gram embedding at the input: keep it at most 50 % of all parameters",
        None,
        None,
        "printed",
        "arXiv 2601.21204",
    ),
    Point(
        "LongCat-Flash-Lite",
        "31.4B of 68.5B parameters, 46 %, in n-gram embedding",
        None,
        None,
        "printed",
        "arXiv 2601.21204",
    ),
    Point(
        "DeepSeek-V4.1-Flash",
        "196.6B memory beside a 552B backbone, 26 % of all parameters",
        None,
        None,
        "second-hand",
        "arXiv 2609.19969",
    ),
    Point(
        "Qwen3.8-Flash-Next",
        "51.2B memory beside a 125B backbone, 29 % of all parameters",
        None,
        None,
        "second-hand",
        "notes on its published configuration",
    ),
)


@dataclass(frozen=True)
class PrintedOptimum:
    """Where one budget is said to be best."""

    budget: float
    """Training compute C in FLOPs."""
    low: float
    """Lower end of the best range of rho."""
    high: float
    """Its upper end."""
    gain: float | None
    """Loss at rho = 1 minus the lowest, nats/token; None if none is printed."""
    source: str
    """Where in the work."""


OPTIMA = (
    PrintedOptimum(2e20, 0.75, 0.80, None, f"{PAPER}, 3.1"),
    PrintedOptimum(6e20, 0.75, 0.80, 0.0139, f"{PAPER}, 3.1"),
)


@dataclass(frozen=True)
class PrintedGain:
    """A difference of two losses that one work prints."""

    work: str
    """Which work prints it."""
    rho: float
    """Share of the sparse budget in experts."""
    gain: float
    """Loss at rho = 1 minus loss at `rho`, nats/token."""
    certainty: str
    """The lower one of the two points."""


def printed_gains() -> tuple[PrintedGain, ...]:
    """Return every point whose work also gives a loss at rho = 1: what a sweep can stand beside."""
    ends = {p.work: (p.loss, p.certainty) for p in POINTS if p.rho == 1.0 and p.loss is not None}
    order = ("second-hand", "derived", "printed")
    gains = []
    for p in POINTS:
        if p.work in ends and p.rho is not None and p.rho < 1 and p.loss is not None:
            end, certainty = ends[p.work]
            gains.append(
                PrintedGain(
                    p.work, p.rho, end - p.loss, min(p.certainty, certainty, key=order.index)
                )
            )
    return tuple(gains)
