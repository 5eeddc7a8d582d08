"""One checkpoint of a run of several processes: a folder, written and read by all of them.

step-00001200-<xxh3_128 of digests.json>/
__<rank>_<n>.distcp   tensors of one process, by torch.distributed.checkpoint
.metadata             where in them each tensor lies
rest.pt               plain data and small tensors, alike in all processes
digests.json          xxh3_128 of every other file

Tensors are known by name and row, so another number of processes may read them.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import xxhash
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from engram_sweep.atomic_files import open_plain, read_plain
from engram_sweep.training.distributed import all_well, rank

DIGESTS, REST = "digests.json", "rest.pt"
_PLAIN = {
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch._utils", "_rebuild_device"),
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
}
"""What `.metadata` may name beside the classes of `torch.distributed.checkpoint.metadata`."""


def digest_of(path: Path) -> str:
    """Return the xxh3_128 of a file, 32 hex digits."""
    digest = xxhash.xxh3_128()
    with open_plain(path) as file:
        while part := file.read(1 << 24):
            digest.update(part)
    return digest.hexdigest()


class FolderWriter:
    """One checkpoint on its way to disk while the run goes on; all processes make and finish it.

    Tensors are copied at once, so the run may change them after that.

    Args:
        writing: what is not whole yet; replaced if it is there.
        name: of the folder beside `writing`, to which its digest is added, e.g. `step-00001200`.
        tensors: by name, `DTensor` if they are cut.
        rest: plain data and tensors, as `torch.load(weights_only=True)` reads them.
        group: over gloo; nothing else may talk over it meanwhile.

    Raises:
        OSError: one of the processes could not begin.
    """

    def __init__(
        self,
        writing: Path,
        name: str,
        tensors: dict[str, Tensor],
        rest: dict[str, Any],
        group: dist.ProcessGroup,
    ) -> None:
        self.writing, self.name = writing, name
        with all_well(f"checkpoint {name}"):
            if rank() == 0:
                shutil.rmtree(writing, ignore_errors=True)
                writing.mkdir(mode=0o700)
                torch.save(rest, writing / REST)
        self.saved = async_save(
            tensors,
            storage_writer=FileSystemWriter(writing, overwrite=False),
            process_group=group,
        )

    def done(self) -> bool:
        """Return whether this process has nothing more to write."""
        assert isinstance(self.saved, Future)
        return self.saved.done()

    def finish(self) -> None:
        """Wait for all of it, read it back, and give it its name.

        Raises:
            OSError: in every process, if one of them could not write or read back.
        """
        writing = self.writing
        with all_well(f"checkpoint {self.name}"), _as_usual():
            assert isinstance(self.saved, Future)
            self.saved.result()
        with all_well(f"checkpoint {self.name}"):
            # Each process reads back what it wrote.
            mine = {path.name: digest_of(path) for path in writing.glob(f"__{rank()}_*.distcp")}
        every: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(every, mine)
        with all_well(f"checkpoint {self.name}"):
            if rank() == 0:
                digests = {each: digest_of(writing / each) for each in (REST, ".metadata")}
                for each in every:
                    digests |= each
                (writing / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
                for path in (writing / REST, writing / DIGESTS, writing):
                    _sync(path)
                writing.replace(writing.with_name(f"{self.name}-{digest_of(writing / DIGESTS)}"))
                _sync(writing.parent)


def problem_of(folder: Path, digest: str) -> str | None:
    """Return what is wrong with this process's share of a folder's files, None if nothing is.

    Args:
        folder: a checkpoint.
        digest: of its list of digests, from its name.
    """
    try:
        if digest_of(folder / DIGESTS) != digest:
            return f"the digest of {DIGESTS} differs"
        listed = json.loads(read_plain(folder / DIGESTS))
        ranks = dist.get_world_size() if dist.is_initialized() else 1
        for name in sorted(listed)[rank() :: ranks]:
            if digest_of(folder / name) != listed[name]:
                return f"the digest of {name} differs"
    except (OSError, ValueError, TypeError) as error:
        return str(error).partition("\n")[0]
    return None


def read_rest(folder: Path) -> dict[str, Any]:
    """Return the plain data of a checkpoint."""
    return torch.load(folder / REST, map_location="cpu", weights_only=True)


def shapes_in(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return shape and type of every tensor of a checkpoint, by its name."""
    found = _Reader(folder).read_metadata().state_dict_metadata
    return {
        name: (each.size, each.properties.dtype)
        for name, each in found.items()
        if isinstance(each, TensorStorageMetadata)
    }


def load_into(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Fill tensors, wherever their rows lie now; all processes call it."""
    with _as_usual():
        load(tensors, storage_reader=_Reader(folder), no_dist=not dist.is_initialized())


class _Reader(FileSystemReader):
    """torch's own, but for a file that it would unpickle whatever is in it."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with open_plain(Path(self.path) / ".metadata") as file:
            metadata = _Unpickler(file).load()
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of tensors, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch.distributed.checkpoint.metadata" or (module, name) in _PLAIN:
            return super().find_class(module, name)
        value = getattr(torch, name, None) if module == "torch" else None
        if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
            return value
        raise pickle.UnpicklingError(f"expected a description of tensors, got {module}.{name}")


@contextmanager
def _as_usual() -> Iterator[None]:
    """Let torch's checkpoints fail by an OSError, and read alone what several wrote unwarned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.distributed is disabled, unavailable.*")
        try:
            yield
        except CheckpointException as error:
            # It is no Exception, and holds one of every process that failed.
            why = [problem for problem, _ in error.failures.values()]
            raise OSError(str(why[0])) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
