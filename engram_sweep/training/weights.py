"""Final weights of a run: one safetensors file that says which spec it belongs to.

The file holds the model's tensors by their names in `Transformer`, the tokenizer compression map
if the model uses one, and in its metadata the spec as canonical JSON: all that is needed to build
the model again, without corpus or tokenizer. No pickle is involved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engram_sweep.atomic_files import write_atomically
from engram_sweep.errors import UserError
from engram_sweep.model.transformer import Transformer
from engram_sweep.spec import RunSpec, canonical_json, from_json, run_id

FILE_NAME = "weights.safetensors"
COMPRESSION = "compression"
"""Name of the tokenizer compression map among the tensors."""


def save_weights(
    path: Path, weights: Mapping[str, Tensor], spec: RunSpec, compression: Tensor | None
) -> None:
    """Write the weights of a trained model: temporary file, sync, read back, rename.

    Args:
        path: where to.
        weights: the model's tensors by name, its `state_dict`, on any device.
        spec: the run that it was trained by.
        compression: (V,) int64, the map that the model was built with, if any.

    Raises:
        OSError: the disk is full or read-only; nothing is left behind.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    if compression is not None:
        tensors[COMPRESSION] = compression.cpu().contiguous()

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, {"spec": canonical_json(spec)})
        except SafetensorError as error:  # its own error for a full disk
            raise OSError(f"{path}: {error}") from error
        with safe_open(temporary, "pt") as file:
            for name, tensor in tensors.items():
                read = file.get_tensor(name)
                # By bytes, because a NaN does not equal itself.
                if not torch.equal(read.view(torch.uint8), tensor.view(torch.uint8)):
                    raise OSError(f"{path}: {name} read back differs from what was written")

    write_atomically(path, write)


def load_trained(run_folder: Path) -> tuple[Transformer, RunSpec]:
    """Return the trained model of a run folder, on the CPU and in evaluation mode, and its spec.

    Args:
        run_folder: `<results>/<scale>/runs/<run_id>` of a finished run that kept its weights.

    Raises:
        UserError: there are no weights, they cannot be read, they are another run's, or a number
            among them is not finite.

    Example:
        `model, spec = load_trained(Path("results/tiny/runs/116a..."))`, then
        `model(tokens)` with tokens (B, T) int64 gives logits (B, T, V).
    """
    path = run_folder / FILE_NAME
    if not path.is_file():
        raise UserError(
            f"{path}: expected the final weights of a run, there are none (launch.keep_weights: "
            "final keeps them)"
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            spec = from_json(RunSpec, json.loads(metadata.get("spec", "null")))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{path}: expected final weights with their spec, got: {str(error).splitlines()[0]}"
        ) from None
    # The folder's name is the run's identity, as for work orders.
    if (wanted := run_folder.absolute().name) != (found := run_id(spec)):
        raise UserError(f"{path}: expected the weights of run {wanted}, got those of run {found}")
    model = Transformer(spec.geometry, tensors.pop(COMPRESSION, None))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path}: expected the tensors of its spec: {problem:.200}") from None
    for name, tensor in model.state_dict().items():
        # A diverged run keeps no weights: these were changed.
        if not tensor.isfinite().all():
            raise UserError(f"{path}: {name}: expected finite numbers, got some that are not")
    return model.eval(), spec
