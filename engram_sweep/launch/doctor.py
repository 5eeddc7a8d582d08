"""What this machine has of what a sweep needs, and what to do about what it has not.

Every check answers within a fraction of a second, imports neither torch nor numpy, and leaves
nothing behind. A SLURM that hangs is waited for as long as `PING_SECONDS`.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engram_sweep.compiler import compiler_is_missing
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import read_user_file, user_file
from engram_sweep.corpus.sources import SHARDS, SOURCES, Source
from engram_sweep.corpus.tokenizer import TOKENIZERS, PackagedTokenizer
from engram_sweep.errors import UserError
from engram_sweep.launch.executors.registry import choose
from engram_sweep.launch.executors.slurm import SlurmScheduler
from engram_sweep.launch.executors.slurm_clients import CLIENTS, client
from engram_sweep.launch.sweep import check_path

MIN_PYTHON = (3, 11)
MIN_FREE_GB = 1.0
"""Room for the records, logs and checkpoints of the small sweeps; a plan names what it needs."""
PING_SECONDS = 5.0
"""How long a SLURM controller may take to say that it is there."""
DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver lists its GPUs."""

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    """One answer."""

    name: str
    state: State
    """`missing` is what no sweep, or not the asked one, runs without."""
    found: str
    advice: str = ""
    """What to do; empty if there is nothing to do."""


def examine(results: Path, scale: Scale | None = None, corpus: Path | None = None) -> list[Check]:
    """Return what there is, in the order in which a sweep comes to need it.

    Args:
        results: the results folder, which need not be there.
        scale: the sweep to look for everything of; None looks for what any sweep needs.
        corpus: its folder of token shards, in place of `launch.corpus_path`.
    """
    slurm = _slurm()
    if scale is not None and choose(scale.launch).name != SlurmScheduler.name:
        # Whatever is wrong with it, this sweep does without.
        slurm = replace(slurm, state="ok" if slurm.state == "ok" else "note")
    checks = [
        _python(),
        _packages(),
        _torch(),
        _compiler(),
        _gpus(),
        slurm,
        _disk(results),
        _locks(results),
    ]
    checks += _sources() if scale is None else _corpus(scale, corpus)
    checks += _tokenizers(scale)
    if scale is not None:
        checks.append(_launch(scale, slurm))
    return checks


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= MIN_PYTHON:
        return Check("Python", "ok", f"{version} at {sys.executable}")
    wanted = ".".join(map(str, MIN_PYTHON))
    return Check("Python", "missing", version, f"make PYTHON=python{wanted}, or newer")


def _packages() -> Check:
    """Look for every package that engram-sweep depends on, without importing any."""
    try:
        asked = importlib.metadata.requires("engram-sweep") or []
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "packages", "missing", "engram-sweep is not installed", "make plan installs it"
        )
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in asked if "extra ==" not in line]
    missing = [name for name in names if _version(name) is None]
    if not missing:
        return Check("packages", "ok", f"all {len(names)}")
    fix = f"pip install -c constraints.txt {' '.join(missing)}"
    return Check("packages", "missing", f"without {', '.join(missing)}", fix)


def _torch() -> Check:
    version, cuda = _version("torch"), cuda_of_torch()
    if version is None:
        return Check("torch", "missing", "not installed", "pip install -c constraints.txt torch")
    return Check("torch", "ok", f"{version}, built for {f'CUDA {cuda}' if cuda else 'CPUs'}")


def _compiler() -> Check:
    missing = compiler_is_missing()
    if missing is None:
        return Check("compiler", "ok", "torch.compile can build for the CPU")
    fix = "steps on the CPU take half as long again (training.compile); apt-get install g++"
    return Check(
        "compiler", "note", missing, fix if "compiler" in missing else f"{fix} python3-dev"
    )


def cuda_of_torch() -> str | None:
    """Return the CUDA version that torch was built for, None for a CPU build.

    Read from its version file: importing torch takes seconds.
    """
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text()
    except OSError:
        return None
    cuda = re.search(r"^cuda[^=]*= '([^']+)'", text, re.MULTILINE)
    return cuda[1] if cuda else None


def _gpus() -> Check:
    names = [
        line.partition(":")[2].strip()
        for path in sorted(DRIVER_FOLDER.glob("*/information"))
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("Model:")
    ]
    if not names:
        return Check("GPUs", "note", "none here", "scales with launch.gpu train elsewhere (SLURM)")
    found = f"{len(names)}: {', '.join(sorted(set(names)))}"
    if cuda_of_torch() is None:
        return Check("GPUs", "missing", found, "install a torch that is built for CUDA")
    return Check("GPUs", "ok", found)


def _slurm() -> Check:
    absent = [name for name in CLIENTS if shutil.which(name) is None]
    if len(absent) == len(CLIENTS):
        return Check("SLURM", "note", "none here", "runs train on this machine")
    if absent:
        return Check("SLURM", "missing", f"without {', '.join(absent)}", "install its clients")
    answer = client("scontrol", "ping", seconds=PING_SECONDS)
    if answer is None or " UP" not in answer:
        advice = "ask whoever runs it; EXECUTOR=local trains here"
        return Check("SLURM", "missing", "its controller does not answer (scontrol ping)", advice)
    try:
        read_user_file()
    except UserError as error:
        return Check("SLURM", "missing", str(error), f"mend {user_file()}")
    there = user_file().exists()
    advice = "" if there else f"partition and account for all sweeps may stand in {user_file()}"
    return Check("SLURM", "ok", "its controller answers", advice)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that there is."""
    folder = folder.resolve()
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _disk(results: Path) -> Check:
    try:
        check_path(results)
    except UserError as error:
        return Check("disk", "missing", str(error), "name another folder by --results")
    folder = _existing(results)
    free = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK | os.X_OK):
        found = f"{folder} cannot be written"
        return Check("disk", "missing", found, "name another folder by --results")
    if free < MIN_FREE_GB:
        return Check("disk", "missing", f"{free:.1f} GB free in {folder}", "make room")
    return Check("disk", "ok", f"{free:,.0f} GB free in {folder}")


def _locks(results: Path) -> Check:
    """Take a lock on the results' disk and see that a second one is refused."""
    advice = "keep results on another disk (--results): locks keep two drivers apart"
    try:
        with (
            tempfile.NamedTemporaryFile(dir=_existing(results), prefix=".doctor-") as first,
            open(first.name, "rb") as second,
        ):
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return Check("file locks", "ok", "flock holds")
            return Check("file locks", "missing", "two locks at once on one file", advice)
    except OSError as error:
        return Check("file locks", "missing", f"none: {error.strerror or error}", advice)


def _sources() -> Iterator[Check]:
    for name, source in SOURCES.items():
        if isinstance(source, Source):
            yield _installed(f"corpus {name}", source.package, source.version)


def _corpus(scale: Scale, given: Path | None) -> Iterator[Check]:
    """Look for the text of one sweep."""
    corpus, name = scale.corpus, f"corpus of {scale.name}"
    if corpus.source != SHARDS:
        source = SOURCES[corpus.source]
        if isinstance(source, Source):
            yield _installed(name, source.package, source.version)
        else:
            yield Check(name, "ok", "generated")
        return
    named = given or (Path(scale.launch.corpus_path) if scale.launch.corpus_path else None)
    if named is None:
        advice = "name the folder of your shards: --corpus FOLDER or launch.corpus_path"
        yield Check(name, "missing", "your own shards, no folder is named", advice)
    elif not (named / "manifest.json").is_file():
        advice = "a folder of token shards has manifest.json, train.bin, validation.bin"
        yield Check(name, "missing", f"no shards in {named}", advice)
    elif corpus.fingerprint is None:
        advice = "add corpus.fingerprint of the manifest to the scale"
        yield Check(name, "missing", f"{named}, no fingerprint in the scale", advice)
    else:
        yield Check(name, "ok", str(named))


def _tokenizers(scale: Scale | None) -> Iterator[Check]:
    """Look for tokenizers that are packages: that of a sweep, or all."""
    for name, tokenizer in TOKENIZERS.items():
        if isinstance(tokenizer, PackagedTokenizer):
            check = _installed(f"tokenizer {name}", tokenizer.package, None)
            if scale is None and check.state == "missing":
                yield Check(
                    check.name, "note", check.found, f"if a scale asks for it: {check.advice}"
                )
            elif scale is None or scale.corpus.tokenizer == name:
                yield check


def _installed(name: str, package: str, ask: Callable[[], str] | None) -> Check:
    """Return whether a package is there, and answers if it is asked."""
    version = _version(package)
    try:
        if version is not None and ask is not None:
            ask()
    except UserError as error:
        return Check(name, "missing", str(error), f"pip install -c constraints.txt {package}")
    if version is None:
        fix = f"pip install -c constraints.txt {package}"
        return Check(name, "missing", f"{package} is not installed", fix)
    return Check(name, "ok", f"{package} {version}")


def _launch(scale: Scale, slurm: Check) -> Check:
    """Look for what the executor of one sweep asks for."""
    chosen = choose(scale.launch)
    missing = chosen.what_is_missing(scale)
    if missing is None and slurm.state == "missing":
        missing = f"{scale.name} trains on SLURM: {slurm.found}"
    if missing is None:
        return Check("launch", "ok", f"{scale.name} would start here ({chosen.name})")
    return Check("launch", "missing", missing, f"make plan SCALE={scale.name} works anywhere")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
