"""The command that starts a worker, so that the code it imports is this user's own.

A job may wait for days in a results folder that a group shares. Its worker first opens
`<results>/<scale>`, refuses one that is someone else's, and then imports the snapshot through that
open folder: whoever renames folders around it meanwhile changes nothing for the worker. It loads no
pickle.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from engram_sweep.runs.folder import home_of

_OPEN = """\
import os, sys
home, code, run = sys.argv[1:]
held = os.open(home, os.O_DIRECTORY | os.O_NOFOLLOW)
found = os.fstat(held)
if found.st_uid != os.geteuid() or found.st_mode & 0o022:
    sys.exit(f"{home}: expected a folder of your own that nobody else may write to")
sys.dont_write_bytecode = True
if code:
    sys.path.insert(0, f"/proc/self/fd/{held}/code/{code}")
"""
BOOTSTRAP = (
    _OPEN
    + """\
from engram_sweep.worker import run as train
train(os.path.join(home, "runs", run))"""
)
"""What `python -c` is given: it stands in the command, where nobody can change it.

Beside `sys.path` the imports see the user's PYTHONPATH, but no file of the results folder."""


SERVER_BOOTSTRAP = (
    _OPEN
    + """\
from engram_sweep.launch.executors.forking import serve
serve(home, int(run))"""
)
"""The same for a process that forks workers."""
MAX_COMMAND = 16_384
"""Bytes of a server's command line: those of its forks, which take its place, are shorter."""


def worker_command(folder: Path, code: Path | None) -> list[str]:
    """Return the words that train one run folder with this python.

    Args:
        folder: `<results>/<scale>/runs/<run_id>`.
        code: the snapshot, in `<results>/<scale>/code/`; None leaves what python finds itself.
    """
    return [sys.executable, *_arguments(home_of(folder), code), folder.name]


def array_command(python: str, home: Path, code: Path) -> str:
    """Return the line of a batch script that trains the run which `runs_line` gives this task.

    Args:
        python: how python is started on the nodes, a shell line.
        home: `<results>/<scale>`.
        code: the snapshot in its `code/`.
    """
    run = '"${RUNS[${SLURM_ARRAY_TASK_ID:-0}]}"'
    return f"{python} {shlex.join(_arguments(home, code))} {run}"


def server_command(home: Path, code: Path, channel: int) -> list[str]:
    """Return the words that start a process which forks workers of a sweep.

    Args:
        home: `<results>/<scale>`.
        code: the snapshot in its `code/`.
        channel: file descriptor of the socket over which it is asked to.
    """
    words = _arguments(home, code, SERVER_BOOTSTRAP)
    return [sys.executable, *words, str(channel).ljust(MAX_COMMAND)]


def runs_line(run_ids: list[str]) -> str:
    """Return the line of a batch script that says which task trains which run."""
    return f"RUNS=({' '.join(map(shlex.quote, run_ids))})"


def run_folder_of(words: list[str]) -> Path | None:
    """Return the run folder that a process was started for; None if it is no worker.

    Args:
        words: the process's command line.
    """
    if BOOTSTRAP not in words or len(words) < (at := words.index(BOOTSTRAP)) + 4:
        return None
    return Path(words[at + 1]) / "runs" / words[at + 3]


def _arguments(home: Path, code: Path | None, bootstrap: str = BOOTSTRAP) -> list[str]:
    # -P: the working directory is mostly the very checkout that may change.
    return ["-u", "-P", "-c", bootstrap, str(home.resolve()), code.name if code else ""]
