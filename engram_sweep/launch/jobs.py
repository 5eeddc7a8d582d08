"""A job: the worker of one run in the hands of an executor.

It is known by a note in its run folder (`job.json`), so that whoever comes later, a new driver, a
second one, the status or `cancel`, can ask about it and stop it without the driver that submitted
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engram_sweep.atomic_files import read_fields, write_json

State = Literal["queued", "running", "ended", "unknown"]
"""`unknown`: the queue did not answer. Ask again; until then the job does not count as ended."""

NOTE = "job.json"


@dataclass(frozen=True)
class Job:
    """What was submitted, when, and to whom."""

    folder: Path
    """The run folder."""
    executor: str
    """Name of the executor: local, slurm or inline."""
    id: str
    """The executor's own name for the job."""
    submitted_at: str
    """ISO 8601, UTC."""

    def note(self) -> None:
        """Write the note, over that of the run's job before.

        Raises:
            OSError: the run folder cannot be written.
        """
        facts = {"executor": self.executor, "id": self.id, "submitted_at": self.submitted_at}
        write_json(self.folder / NOTE, facts)


def now() -> str:
    """Return the current UTC time as ISO 8601, the format of `submitted_at`."""
    return datetime.now(UTC).isoformat()


def noted_job(folder: Path) -> Job | None:
    """Return the job last submitted for a run folder; None if its note cannot be read."""
    facts = read_fields(folder / NOTE, executor=str, id=str, submitted_at=str)
    return Job(folder, facts["executor"], facts["id"], facts["submitted_at"]) if facts else None
