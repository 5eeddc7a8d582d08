"""Checkpoints of one run: whole or not there, two at least, never trusted without their digest.

checkpoints/step-00001200-<xxh3_128 of the file>.pt

A run that goes on from one ends bit-equal to one that was never stopped (on the CPU): batches are a
function of the step, so the state is the model, the optimizers, the random generators and what was
observed so far.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
import xxhash

from engram_sweep.atomic_files import open_plain, write_atomically

KEEP = 2
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{32})\.pt")


class Checkpoints:
    """The checkpoint folder of one run.

    Args:
        folder: where they lie; made at the first save.
        every_seconds: time between two of them; the last step is saved whatever it is.
    """

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self.folder, self.every_seconds = folder, every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps, then drop all but the newest two.

        Temporary file, read back, rename.

        A disk that is full or read-only costs the checkpoint, not the run: it is said on stderr,
        and training goes on.

        Args:
            step: optimizer steps done.
            state: tensors and plain data only, because it is read with `weights_only=True`; with
                the run's id as `run_id`.
        """
        self._last = time.monotonic()
        writing = self.folder / "writing"
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            meant = xxhash.xxh3_128()
            write_atomically(writing, lambda path: _save(state, path, meant))
            if _digest(writing) != meant.hexdigest():
                raise OSError("it read back differs from what was written")
            writing.replace(self.folder / f"step-{step:08d}-{meant.hexdigest()}.pt")
        except (OSError, RuntimeError) as error:  # torch raises a RuntimeError if a disk is full
            with suppress(OSError):
                writing.unlink(missing_ok=True)
            print(
                f"no checkpoint at step {step}: {str(error).splitlines()[0]}",
                file=sys.stderr,
                flush=True,
            )
            return
        for path in self._newest_first()[KEEP:]:
            path.unlink(missing_ok=True)

    def newest(self, run_id: str) -> dict[str, Any] | None:
        """Return the state of the newest whole checkpoint, on the CPU; None if there is none.

        A damaged one is removed, with a line on stderr, and the one before is taken. One of another
        run is renamed to `other-...`: it may be the only copy, and it must not count here.

        Args:
            run_id: the run that goes on; its checkpoints hold it as `run_id`.
        """
        for path in self._newest_first():
            name = _NAME.fullmatch(path.name)
            try:
                if name and _digest(path) == name[2]:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                    owner = state.get("run_id") if isinstance(state, dict) else None
                    if owner == run_id:
                        return state
                    self._set_aside(path, owner)
                    continue
                problem = "its digest differs"
            # torch raises exceptions of many kinds for a file that is none of its own.
            except Exception as error:
                problem = str(error).partition("\n")[0]
            print(
                f"{path.name}: damaged ({problem}), going back to the one before",
                file=sys.stderr,
                flush=True,
            )
            # A folder in its place stays, and is passed over next time too.
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return None

    @staticmethod
    def _set_aside(path: Path, owner: str | None) -> None:
        print(
            f"{path.name}: of another run ({owner}), going back to the one before",
            file=sys.stderr,
            flush=True,
        )
        # Every rank comes by here; the first one renames it.
        with suppress(FileNotFoundError):
            path.rename(path.with_name(f"other-{path.name}"))

    def clear(self) -> None:
        """Remove them all: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


class _Hashing:
    """A file that takes the digest of what is written to it."""

    def __init__(self, file: BinaryIO, digest: xxhash.xxh3_128) -> None:
        self.file, self.digest = file, digest

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _save(state: dict[str, Any], path: Path, digest: xxhash.xxh3_128) -> None:
    with path.open("wb") as file:
        torch.save(state, _Hashing(file, digest))  # type: ignore[arg-type]  # it asks for no more than write and flush


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open_plain(path) as file:
        while part := file.read(1 << 24):
            digest.update(part)
    return digest.hexdigest()
