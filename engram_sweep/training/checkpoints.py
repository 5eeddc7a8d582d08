"""Checkpoints of one run: whole or not there, two at least, never trusted without their digest.

checkpoints/step-00001200-<xxh3_128 of the file>.pt   of a run of one process
checkpoints/step-00001200-<xxh3_128>/                 of one of several, see `sharded_checkpoints`

Either is read by any number of processes.

A run that goes on from one ends bit-equal to one that was never stopped (on the CPU): batches are a
function of the step, so the state is the model, the optimizers, the random generators and what was
observed so far.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
import xxhash

from engram_sweep.atomic_files import write_atomically
from engram_sweep.training.distributed import all_well, any_of, rank, same
from engram_sweep.training.run_state import RunState, skeleton
from engram_sweep.training.sharded_checkpoints import (
    FolderWriter,
    digest_of,
    load_into,
    problem_of,
    read_rest,
    shapes_in,
)

KEEP = 2
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{32})(?:\.pt)?")


class Checkpoints:
    """The checkpoint folder of one run.

    Args:
        folder: where they lie; made at the first save.
        every_seconds: time between two of them; the last step is saved whatever it is.
    """

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self.folder, self.every_seconds = folder, every_seconds
        self._last = time.monotonic()
        self._step = 0
        self._under_way: FolderWriter | None = None

    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, step: int, state: RunState, rest: dict[str, Any], wait: bool = True) -> None:
        """Write the state after `step` steps, then drop all but the newest two.

        Temporary file or folder, read back, rename. All processes of a run call it, and none while
        one is under way.

        A disk that is full or read-only costs the checkpoint, not the run: it is said on stderr,
        and training goes on.

        Args:
            step: optimizer steps done.
            state: of model and optimizers.
            rest: tensors and plain data only, because it is read with `weights_only=True`; alike
                in all processes; with the run's id as `run_id`.
            wait: until it is on disk; a run of several processes may go on without, and `finish`.
        """
        self._last, self._step = time.monotonic(), step
        name = f"step-{step:08d}"
        with self._no_harm():
            with all_well(name):
                self.folder.mkdir(mode=0o700, exist_ok=True)
            if state.cuts.layout is None:
                save_file(self.writing, name, state.whole() | rest)
                self._drop_old()
                return
            bones = {"optimizers": [skeleton(o) for o in state.optimizers]}
            self._under_way = FolderWriter(
                self.writing, name, state.tensors(), bones | rest, state.cuts.layout.saves
            )
        if wait:
            self.finish()

    def under_way(self) -> bool:
        """Return whether a checkpoint is being written; in all processes the same."""
        return self._under_way is not None

    def on_disk(self) -> bool:
        """Return whether this process has nothing more to write."""
        return self._under_way is None or self._under_way.done()

    def finish(self) -> None:
        """Wait for the checkpoint that is under way, if one is; all processes call it."""
        if self._under_way is None:
            return
        writer, self._under_way = self._under_way, None
        with self._no_harm():
            writer.finish()
            self._drop_old()

    @contextmanager
    def _no_harm(self) -> Iterator[None]:
        """Let a checkpoint that cannot be written be one line."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # torch raises a RuntimeError if a disk is full
            with suppress(OSError):
                _remove(self.writing)
            print(
                f"no checkpoint at step {self._step}: {str(error).splitlines()[0]}",
                file=sys.stderr,
                flush=True,
            )

    def _drop_old(self) -> None:
        if rank() == 0:
            for path in self._newest_first()[KEEP:]:
                _remove(path)

    @property
    def writing(self) -> Path:
        """What is not whole yet."""
        return self.folder / "writing"

    def newest(self, run_id: str) -> Saved | None:
        """Return the newest whole checkpoint; None if there is none. All processes call it.

        A damaged one is removed, with a line on stderr, and the one before is taken. One of another
        run is renamed to `other-...`: it may be the only copy, and it must not count here.

        Args:
            run_id: the run that goes on; its checkpoints hold it as `run_id`.

        Raises:
            OSError: the processes of the run see different checkpoints.
        """
        waiting = self._newest_first()
        while True:
            path = waiting.pop(0) if waiting else None
            if not same(int(_NAME.sub(r"\1", path.name)) if path else -1):
                here = path.name if path else "none"
                raise OSError(f"the processes of this run see different checkpoints (here: {here})")
            if path is None:
                return None
            saved, problem = _read(path)
            if any_of([problem is not None])[0]:
                self._drop(path, problem)
                continue
            assert saved is not None
            owner = saved.rest.get("run_id")
            if owner == run_id:
                return saved
            self._set_aside(path, owner)

    @staticmethod
    def _drop(path: Path, problem: str | None) -> None:
        """Remove a checkpoint that is damaged; whoever found it so says it."""
        if problem is not None:
            print(
                f"{path.name}: damaged ({problem}), going back to the one before",
                file=sys.stderr,
                flush=True,
            )
        if rank() == 0:
            with suppress(OSError):
                _remove(path)

    @staticmethod
    def _set_aside(path: Path, owner: str | None) -> None:
        if rank() == 0:
            print(
                f"{path.name}: of another run ({owner}), going back to the one before",
                file=sys.stderr,
                flush=True,
            )
            path.rename(path.with_name(f"other-{path.name}"))

    def clear(self) -> None:
        """Remove them all: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name)]
        return sorted(found, reverse=True)


@dataclass
class Saved:
    """A checkpoint that was found whole."""

    path: Path
    rest: dict[str, Any]
    """Plain data; of a file all of it, also the tensors of model and optimizers."""

    def restore(self, state: RunState) -> None:
        """Let a run go on from it; all processes call it.

        Args:
            state: model and optimizers, or the model alone if it only is to be validated.
        """
        if self.path.suffix == ".pt":
            state.fill_from_whole(self.rest)
        else:
            state.fill_from(shapes_in(self.path), self.rest, partial(load_into, self.path))


def _read(path: Path) -> tuple[Saved | None, str | None]:
    """Return a checkpoint, or what is wrong with it."""
    name = _NAME.fullmatch(path.name)
    assert name is not None
    try:
        if path.suffix == ".pt":
            problem = None if digest_of(path) == name[2] else "its digest differs"
            load = read_file
        else:
            problem = problem_of(path, name[2])
            load = read_rest
        if problem is not None:
            return None, problem
        rest = load(path)
        return (Saved(path, rest), None) if isinstance(rest, dict) else (None, "no state")
    # torch raises exceptions of many kinds for a file that is none of its own.
    except Exception as error:
        return None, str(error).partition("\n")[0]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_file(writing: Path, name: str, state: dict[str, Any]) -> None:
    """Write a checkpoint of one process as a file beside `writing`: temporary, read back, rename.

    Args:
        writing: what is not whole yet.
        name: of the file, to which its digest is added, e.g. `step-00001200`.
        state: tensors and plain data.

    Raises:
        OSError, RuntimeError: it cannot be written.
    """
    meant = xxhash.xxh3_128()
    write_atomically(writing, lambda path: _save(state, path, meant))
    if digest_of(writing) != meant.hexdigest():
        raise OSError("it read back differs from what was written")
    writing.replace(writing.with_name(f"{name}-{meant.hexdigest()}.pt"))


def read_file(path: Path) -> dict[str, Any]:
    """Return what `save_file` wrote, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


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
