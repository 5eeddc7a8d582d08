"""The section of a scale that says what varies: rho, seeds, axes, control arms, the full table."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from engram_sweep.config.sections import Count, Seed, Share
from engram_sweep.config.strict_yaml import Section


class Arms(Section):
    """Control arms beside the curve; each trains every seed."""

    over_encoding: Annotated[tuple[Share, ...], Field(strict=False)] = ()
    """At these rho: narrow hashed tables, projected and averaged with the token's embedding."""
    one_row: bool = False
    """The Engram modules with one row per head and all experts: the compute without the memory."""
    dense: bool = False
    """The same activated parameters, nothing sparse."""


Iso = Literal["strict", "paper"]
"""What is held along rho: P_tot, P_act and FLOPs, or P_tot only, as in the paper."""


def _as_list(value: object) -> object:
    """Return a name by itself as a list of one, so that `iso: paper` needs no brackets."""
    return [value] if isinstance(value, str) else value


Rhos = Annotated[tuple[Share, ...], Field(strict=False)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
AnchorSeeds = Annotated[tuple[Seed, ...], Field(strict=False)]
Lengths = Annotated[tuple[Annotated[float, Field(gt=0, le=1e9)], ...], Field(strict=False)]
Budgets = Annotated[tuple[Annotated[float, Field(gt=0, le=1e40)], ...], Field(strict=False)]
Rows = Annotated[tuple[Annotated[int, Field(ge=0, le=10**12)], ...], Field(strict=False)]
Variants = dict[str, dict[str, Any]]


class Adaptive(Section):
    """How `design: adaptive` chooses its runs; all of it is noted before the first one."""

    width: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Stop when the 90 % interval of rho* at the longest length is no wider."""
    batch: Count = 6
    """Runs between two looks at the losses; one in three goes to the largest gap in rho."""
    looks: Annotated[int, Field(ge=1, le=4)] = 4
    """At most so many looks at the losses, the first after the pilot; the last ends the sweep."""
    floor: Count = 3
    """Runs of the longest length that rho = 1 gets at least, and the two rho around the optimum."""


MIN_LENGTHS = 3
"""Training lengths that a law over lengths needs, so an adaptive sweep too."""
MIN_RHOS = 5
"""Shares that can place an optimum."""


class Full(Section):
    """What `--full` puts in place of the same keys: the table to publish after the quick look."""

    rho: Rhos | None = None
    """In place of `sweep.rho`."""
    seeds: Seeds | None = None
    """In place of `sweep.seeds`."""
    anchor_seeds: AnchorSeeds | None = None
    """In place of `sweep.anchor_seeds`."""
    tokens_per_active: Lengths | None = None
    """In place of `sweep.tokens_per_active`."""
    arms: Arms | None = None
    """In place of `sweep.arms`."""


class Sweep(Section):
    """What varies; a sweep is the product of its axes."""

    iso: Annotated[
        tuple[Iso, ...],
        BeforeValidator(_as_list, json_schema_input_type=Iso | tuple[Iso, ...]),
        Field(min_length=1, strict=False),
    ] = ("strict",)
    """How points are compared; both modes give two curves that share their runs at rho = 1.

    `strict` takes what the Engram module activates out of the shared expert; `paper` changes routed
    experts and table rows only (paper section 3.1)."""
    rho: Rhos
    """Shares of P_sparse in routed experts; empty only if `arms.dense` is all that trains."""
    seeds: Seeds
    """Of initial values and of the order of the text; every point trains all of them."""
    anchor_seeds: AnchorSeeds = ()
    """Further seeds that train rho = 1 only, e.g. [2, 3, 4] beside seeds [0, 1].

    Pure MoE may scatter several times as much as hybrids, and every gain is measured from it."""
    total_over_active: Annotated[
        tuple[Annotated[float, Field(gt=1, le=1e9)], ...], Field(strict=False)
    ] = ()
    """P_tot / P_act at rho = 1; sets the number of experts in place of `model.routed_experts`."""
    tokens_per_active: Lengths = ()
    """Training tokens per activated parameter (P_act of rho = 1), in place of `training.tokens`."""
    budgets: Budgets = ()
    """Training compute C in FLOPs, in place of `training.tokens`.

    The tokens are C / (6 P_act of rho = 1), paper section 3.1."""
    rows_per_head: Rows = ()
    """Table sizes in place of what the experts give up; P_tot is then not held (paper section 3.2).

    Rows of every Engram head; over-encoding gets as many parameters. One rho stands beside them. 0
    is the backbone without a memory and stands beside rho = 1 only."""
    arms: Arms = Arms()
    variants: Variants = Field(default_factory=dict)
    """Named changes of `memory.*` keys, e.g. `no_gate: {memory.gate: false}` (paper section 6.2).

    Each trains every seed beside the whole module, with its experts and P_tot held. The curve stays
    that of the whole module; `make ablate` compares them."""
    variant_rho: Rhos = ()
    """The rho of `sweep.rho` at which variants train; every rho with a memory if left out."""
    design: Literal["grid", "adaptive"] = "grid"
    """Which runs are trained: all (`grid`), or a pilot and then batches of those that tell most.

    An adaptive sweep chooses among the runs of the grid over rho, tokens_per_active and seeds."""
    adaptive: Adaptive = Adaptive()
    full: Full | None = None

    @model_validator(mode="after")
    def _possible(self) -> Sweep:
        for key in (
            "iso",
            "rho",
            "seeds",
            "anchor_seeds",
            "total_over_active",
            "tokens_per_active",
            "budgets",
            "rows_per_head",
            "variant_rho",
        ):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: expected distinct values, got {list(values)}")
        if not self.rho and not self.arms.dense:
            raise ValueError("rho: expected at least one value (or arms.dense), got none")
        if len(self.iso) > 1 and 1 not in self.rho:
            raise ValueError(
                "iso: expected rho = 1 in sweep.rho beside two modes, their curves meet there, got "
                f"{list(self.rho)}"
            )
        if self.anchor_seeds and 1 not in self.rho:
            raise ValueError(
                f"anchor_seeds: expected rho = 1 among sweep.rho, got rho {list(self.rho)}"
            )
        if 1 in self.arms.over_encoding and not self.rows_per_head:
            raise ValueError(
                "arms.over_encoding: expected rho below 1, where experts give up parameters, got 1"
            )
        self._check_variants()
        if self.rows_per_head:
            self._check_table_sizes()
        if self.design == "adaptive":
            self._check_adaptive()
        elif self.adaptive != Adaptive():
            raise ValueError("adaptive: expected design: adaptive beside it, got design: grid")
        if self.full is not None:
            self.in_full()
        return self

    def _check_variants(self) -> None:
        """Check that variants have a memory to change wherever they are to train.

        Raises:
            ValueError: they have none, or are to train beside no point of the curve.
        """
        with_memory = [rho for rho in self.rho if rho < 1 or any(self.rows_per_head)]
        if self.variants and not with_memory:
            raise ValueError(
                "variants: expected a memory to change: a rho below 1 in sweep.rho, or "
                f"sweep.rows_per_head, got rho {list(self.rho)}"
            )
        if self.variant_rho and not self.variants:
            raise ValueError(
                f"variant_rho: expected variants beside it, got {list(self.variant_rho)} alone"
            )
        for rho in self.variant_rho:
            if rho not in with_memory:
                raise ValueError(
                    f"variant_rho: expected rho of sweep.rho that have a memory ({with_memory}), "
                    f"got {rho:g}"
                )

    def _check_adaptive(self) -> None:
        """Check that there are candidates to choose from, along rho, length and seed only.

        Raises:
            ValueError: there are too few, or something else varies too.
        """
        lengths, rhos, seeds = len(self.tokens_per_active), len(self.rho), len(self.seeds)
        if lengths < MIN_LENGTHS:
            raise ValueError(
                f"tokens_per_active: expected at least {MIN_LENGTHS} lengths beside design: "
                f"adaptive, got {lengths}"
            )
        if rhos < MIN_RHOS or 1 not in self.rho:
            raise ValueError(
                f"rho: expected at least {MIN_RHOS} values beside design: adaptive, 1 among them, "
                f"got {list(self.rho)}"
            )
        if seeds < max(2, self.adaptive.floor):
            raise ValueError(
                f"seeds: expected at least {max(2, self.adaptive.floor)} beside design: adaptive "
                f"(adaptive.floor), got {seeds}"
            )
        others = {
            "anchor_seeds": self.anchor_seeds,
            "total_over_active": self.total_over_active,
            "budgets": self.budgets,
            "rows_per_head": self.rows_per_head,
            "arms": self.arms != Arms(),
            "variants": self.variants,
            "iso": len(self.iso) > 1,
        }
        for key, varies in others.items():
            if varies:
                raise ValueError(
                    f"{key}: expected nothing that varies beside rho, tokens_per_active and seeds "
                    "in design: adaptive"
                )

    def _check_table_sizes(self) -> None:
        """Check what stands beside `rows_per_head`: one backbone, and an arm for every size.

        Raises:
            ValueError: something else does.
        """
        rho, others = list(self.rho), list(self.arms.over_encoding)
        if 0 in self.rows_per_head and set(rho) != {1}:
            raise ValueError(
                f"rows_per_head: expected 0 (no memory) beside rho = 1 only, got rho {rho}"
            )
        if len(rho) != 1:
            raise ValueError(
                f"rows_per_head: expected one rho beside it, whose model gets the tables, got {rho}"
            )
        if others and others != rho:
            raise ValueError(
                f"arms.over_encoding: expected {rho} beside rows_per_head, the rho that Engram "
                f"has, got {others}"
            )
        if others and not any(self.rows_per_head):
            raise ValueError("rows_per_head: expected a size above 0 for arms.over_encoding, got 0")

    def in_full(self) -> Sweep:
        """Return the sweep with the keys of `full` in place of its own.

        Raises:
            ValueError: they do not fit together.
        """
        given = {key: getattr(self.full, key, None) for key in Full.model_fields}
        own = {key: getattr(self, key) for key in type(self).model_fields if key != "full"}
        return Sweep(**own | {key: value for key, value in given.items() if value is not None})
