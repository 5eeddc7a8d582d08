"""Workers of this machine as forks of one process that has imported everything.

Importing torch and Lightning takes seconds, of every run. A driver therefore starts one process
that imports them, starts nothing (no thread, no pool, no device) and forks for each run: first
submitit's controller, which forks its workers in place of starting them. Who is whose child, the
signals, the time limit, logs, environment and even the command lines in the process table are those
of workers that start by themselves. The process ends with its driver; the workers do not.

If it cannot be had, workers start by themselves.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from submitit.core.utils import JobPaths
from submitit.local.local import Controller

from engram_sweep import worker
from engram_sweep.launch.worker_command import run_folder_of, server_command

TIMEOUT_SECONDS = 120.0
"""A server that has not forked within so long, its imports included, is given up."""
QUIET = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Variables with which importing starts no thread: pyarrow's allocator would."""
MAX_ANSWER = 32
"""Bytes of a process id and its line's end."""
CONTROLLER = (sys.executable, "-m", "submitit.local._local")
"""How submitit starts a controller, and how it is found."""


class ForkServer:
    """The driver's end of it.

    Args:
        home: `<results>/<scale>` of the runs.
        code: the snapshot that workers import.
    """

    def __init__(self, home: Path, code: Path) -> None:
        self.home, self.code = home, code
        self._channel: socket.socket | None = None
        self._end: weakref.finalize | None = None
        self._given_up = False

    def start(self, files: Path, words: Sequence[str], environment: dict[str, str]) -> int | None:
        """Fork a controller with its workers.

        Args:
            files: the folder of submitit's files.
            words: the command line of a worker.
            environment: of the controller; that of its workers is made from it.

        Returns:
            The controller's process id; None if it has to be started in another way.
        """
        if self._given_up:
            return None
        try:
            if self._channel is None:
                self._channel = self._started()
            request = {"files": str(files), "words": list(words), "environment": environment}
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            return int(self._channel.recv(MAX_ANSWER))
        except (OSError, ValueError):
            self._given_up = True
            self.stop()
            return None
        except BaseException:
            # Ctrl-C: its answer would be taken for that of the next request.
            self.stop()
            raise

    def stop(self) -> None:
        """End the server; its forks go on."""
        if self._end is not None:
            self._end()
        self._channel = self._end = None

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                server_command(self.home, self.code, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                # What fails there fails in a worker too, whose output is kept.
                stderr=subprocess.DEVNULL,
                env={**QUIET, **os.environ, "CUDA_VISIBLE_DEVICES": ""},
            )
        ours.settimeout(TIMEOUT_SECONDS)
        self._end = weakref.finalize(self, _end, ours, process)
        return ours


def _end(channel: socket.socket, server: subprocess.Popen) -> None:
    channel.close()
    # It may be importing.
    server.kill()
    server.wait()


def serve(home: str, channel_number: int) -> None:
    """Import what training needs, then fork a controller for each line that comes.

    A fork returns too: whoever called ends, as a program does.

    Args:
        home: `<results>/<scale>`.
        channel_number: file descriptor of the socket to the driver.
    """
    channel = socket.socket(fileno=channel_number)
    # The terminal's Ctrl-C is the driver's, whose end is this process's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.preload(Path(home))
    if len(os.listdir("/proc/self/task")) > 1:
        # A thread would be missing in the forks, and whatever it holds would stay locked.
        return
    # Forks share the pages of what was imported as long as nobody counts references there.
    gc.collect()
    gc.freeze()
    # Nobody waits for controllers.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    controller = None
    with channel, channel.makefile(encoding="utf8") as requests:
        for line in requests:
            if os.fork():
                continue
            try:
                controller = _control(**json.loads(line))
            finally:
                # Not before it can be found, or the run would seem to have vanished.
                answer = os.getpid() if controller else ""
                channel.sendall(f"{answer}\n".encode())
            break
    if controller is not None:
        controller.run()


def _control(files: str, words: list[str], environment: dict[str, str]) -> _Controller:
    """Turn this process into submitit's controller of a run."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    _write_to(Path(files) / "controller.err", 2)
    appear_as([*CONTROLLER, files])
    return _Controller(Path(files), words)


def _write_to(path: Path, descriptor: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, descriptor)
    os.close(handle)


class _Controller(Controller):
    """submitit's, whose tasks are forks of it."""

    def __init__(self, files: Path, words: list[str]) -> None:
        super().__init__(files)
        self.words = words

    def start_tasks(self) -> None:
        """Fork the workers."""
        for rank in range(self.ntasks):
            pid = os.fork()
            if not pid:
                self._work(rank)
            self.tasks.append(_Task(pid))  # type: ignore[arg-type]  # it asks for no more

    def _work(self, rank: int) -> NoReturn:
        """Be a worker; what ends it ends the process, through `run`."""
        # On that way the others are not this process's to end.
        self.tasks = []
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        paths = JobPaths(self.folder, self.pid, rank)
        _write_to(paths.stdout, 1)
        _write_to(paths.stderr, 2)
        os.environ |= {
            "SUBMITIT_LOCAL_LOCALID": str(rank),
            "SUBMITIT_LOCAL_GLOBALID": str(rank),
            "SUBMITIT_LOCAL_JOB_ID": self.pid,
        }
        appear_as(self.words)
        folder = run_folder_of(self.words)
        assert folder is not None
        worker.run(str(folder))
        sys.exit()


class _Task:
    """A child, with what submitit's controller asks of a process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.code = pid, None

    def poll(self) -> int | None:
        """Return its exit code, -n if signal n killed it; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def send_signal(self, number: int) -> None:
        """Signal it, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def appear_as(words: Sequence[str]) -> None:
    """Be listed in the process table with another command line, as setproctitle does.

    Raises:
        ValueError: it is longer than the one that this process was started with.
    """
    # Fields of proc(5), counted behind the name: where the command line begins and ends.
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    first, last = int(fields[45]), int(fields[46])
    line = b"".join(os.fsencode(word) + b"\0" for word in words)
    if not first or len(line) > last - first:
        raise ValueError(f"expected at most {last - first} bytes of command line, got {len(line)}")
    ctypes.memset(first, 0, last - first)
    ctypes.memmove(first, line, len(line))
