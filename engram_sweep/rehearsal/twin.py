"""The twin of a sweep: its layers, arms, mesh, optimizers and launcher, with small widths.

It trains on CPUs within minutes, so that everything but size is tried before a launch: the mesh of
processes, micro-batches, recomputation, rows that travel, checkpoints, a kill and the way back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engram_sweep.atomic_files import write_atomically
from engram_sweep.config.own_scale import corpus_section
from engram_sweep.config.scale import Scale, load_scale
from engram_sweep.corpus.manifest import Manifest
from engram_sweep.corpus.shards import load
from engram_sweep.corpus.tokenizer import TOKENIZERS
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan, make_plan

SIDE = 2
"""Copies of the weights, and processes that each is cut over, if the sweep has several of both."""
STEPS = 8
WINDOW = 128
MICRO_WINDOWS = 1
LOSS_CHUNK = 48
"""No divisor of a micro-batch's tokens, as in a run there may be."""
DOCUMENTS, DOCUMENT = 60, 2049
"""Documents that are trained on, beside one that is held out, and their bytes."""
SMALL = {"d_model": 64, "expert_width": 16, "init_std": 0.1, "n_heads": 2}
MLA = {"kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16}
ROWS_PER_HEAD = 500
"""Of the twin of a sweep over table sizes; in others experts give up parameters for rows."""


def mesh_of_twin(placement: Placement) -> tuple[int, int]:
    """Return copies and processes of each: one where the run has one, else two, or four in all.

    Example:
        4 x 8 is 2 x 2, 1 x 8 is 1 x 4, 1 x 1 is 1 x 1.
    """
    replicas, shards = (SIDE if size > 1 else 1 for size in (placement.replicas, placement.shards))
    if replicas * shards == SIDE:
        # Both on one line: as many processes as of two by two.
        return replicas**2, shards**2
    return replicas, shards


def write_twin(scale: Scale, placement: Placement, folder: Path) -> Plan:
    """Write the twin of a scale as a file of its own, and plan it.

    Args:
        scale: the sweep.
        placement: how its runs lie on their GPUs.
        folder: where `<name>-twin.yaml` goes.

    Returns:
        Its plan: the first and the last rho, one seed, the control arms; no variants.

    Raises:
        UserError: no small model has the sweep's ratios.
    """
    name = f"{scale.name}-twin"
    folder.mkdir(parents=True, exist_ok=True)
    data = _data(scale, placement, folder / "text")
    found: UserError | None = None
    # Under `iso: strict` whole widths have to meet a thousandth of P_act: small ones may not.
    for iso in ([*scale.sweep.iso], ["paper"]):
        data["sweep"]["iso"] = iso
        text = yaml.safe_dump(data, sort_keys=False)
        path = folder / f"{name}.yaml"
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text, "utf8"))
        try:
            return make_plan(load_scale(name, folder))
        except UserError as error:
            found = found or error
    raise UserError(f"{scale.name}: no small model has its ratios: {found}")


def write_text(folder: Path) -> Manifest:
    """Write a text of words drawn at random, unless it is there: a corpus that no package brings.

    The held-out part is small, because a twin's validation loss means nothing.
    """
    if folder.exists():
        return load(folder).manifest
    draw = np.random.Generator(np.random.Philox(0))
    words = [bytes(draw.integers(97, 123, size).tolist()) for size in draw.integers(2, 9, 300)]

    def document(size: int) -> bytes:
        text = b" ".join(words[i] for i in draw.zipf(1.3, size) % len(words))
        return text[: size - 1] + b"\0"

    documents = [document(DOCUMENT) for _ in range(DOCUMENTS + 1)]
    *train, validation = (np.frombuffer(each, np.uint8) for each in documents)
    return write_shards(
        folder,
        cache=folder.parent / "compression",
        train=np.concatenate(train),
        validation=validation,
        tokenizer="bytes",
        source="words drawn at random",
        source_version="1",
        licence="none needed",
        train_documents=DOCUMENTS,
        validation_documents=("held-out",),
    )


def _data(scale: Scale, placement: Placement, text: Path) -> dict[str, Any]:
    replicas, shards = mesh_of_twin(placement)
    processes = replicas * shards
    # Two nodes as SLURM sees them, so that copies or cuts of one lie apart.
    nodes = SIDE if processes > 1 else 1
    plain = scale.model_dump(mode="json", exclude_unset=True)
    rho = list(scale.sweep.rho)
    return {
        "about": f"the twin of {scale.name}: everything but its size",
        "corpus": corpus_section(write_text(text), TOKENIZERS["bytes"].vocab_size),
        "model": _model(plain["model"]),
        "memory": {**plain["memory"], "head_dim": 4},
        "training": {
            **plain["training"],
            "tokens": STEPS * processes * 2 * MICRO_WINDOWS * WINDOW,
            "window": WINDOW,
            "batch_windows": processes * 2 * MICRO_WINDOWS,
        },
        "sweep": {
            "rho": sorted({*rho[:1], *rho[-1:]}, reverse=True),
            "seeds": [scale.sweep.seeds[0]],
            "rows_per_head": [ROWS_PER_HEAD] if scale.sweep.rows_per_head else [],
            "arms": scale.sweep.arms.model_dump(mode="json"),
        },
        "launch": {
            "executor": "local",
            "corpus_path": str(text.resolve()),
            "parallel": 1,
            "timeout_minutes": 10,
            "checkpoint_minutes": 0.02,
            "keep_weights": "none",
            "sustained_gflops": 5.0,
            "shard": shards,
            "micro_windows": MICRO_WINDOWS,
            "recompute": placement.recompute,
            "loss_chunk": LOSS_CHUNK,
            "tables": placement.tables,
            "slurm": {"nodes": nodes, "processes_per_node": processes // nodes},
        },
    }


def _model(model: dict[str, Any]) -> dict[str, Any]:
    """Return a model of as many layers, experts and streams, whose widths are small."""
    small = {**model, **SMALL}
    if model.get("mla"):
        rank = 16 if model["mla"].get("q_lora_rank") else 0
        small["mla"] = {**MLA, "q_lora_rank": rank}
    else:
        grouped = model.get("n_kv_heads", model["n_heads"]) < model["n_heads"]
        small |= {"head_dim": 16, "n_kv_heads": 1 if grouped else SMALL["n_heads"]}
    for key, width in (("shared_width", 64), ("dense_width", 128)):
        if model.get(key):
            small[key] = width
    return small
