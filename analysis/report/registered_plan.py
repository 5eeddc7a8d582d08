"""A plan written down before its first run, and whether the report that follows kept to it.

`results/<scale>/registered.json` holds the runs, what a scale says of them, the tests with their
level and delta, and the rule by which training stops; a digest over all of it shows an edit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from engram_sweep.atomic_files import read_fields, write_json
from engram_sweep.errors import UserError
from engram_sweep.runs.records import is_done, note_file, runs_folder

if TYPE_CHECKING:
    import pandas as pd

    from engram_sweep.planning.plan import Plan

KIND = "registered"
"""Stem of the file's name; a sweep with `--set` has one of its own."""
STOPPING_RULE = "when every registered run has a result; none is added, none is left out"
"""The rule if no other is given."""
ADAPTIVE_RULE = (
    "when the interval of rho* is as narrow as sweep.adaptive.width and the floors are laid, or "
    "after the last look"
)
"""The same of an adaptive sweep, whose registered runs are those that it may choose."""
TESTS = (
    "a U: one rho inside beats both ends (Dunnett, largest of all contrasts), one-sided at "
    "(1 - level) / 2; flat or monotone: limits at the same level within 5 delta "
    "(analysis/sweep/verdict.py)"
)
"""What decides the verdict; `tests_code` is the digest of what computes it."""
TESTS_SOURCES = ("levels.py", "runs", "curve", "sweep", "scaling", "slots")
"""What of the package analysis the verdicts come from."""


def content_of(
    plan: Plan, results: Path, level: float, delta: float, stopping_rule: str | None = None
) -> dict[str, Any]:
    """Return what is registered of a plan.

    Args:
        plan: the plan.
        results: results folder, for runs that are finished already.
        level: coverage of intervals.
        delta: nats/token that count as near-optimal.
        stopping_rule: when training ends, in words; None for that of the design.
    """
    scale = plan.scale
    run_ids = sorted(run.run_id for run in plan.runs)
    runs = runs_folder(results, scale.name)
    # Where runs train and who may read them says nothing of what is tested.
    own_rule = ADAPTIVE_RULE if scale.sweep.design == "adaptive" else STOPPING_RULE
    asked = scale.model_dump(mode="json", exclude={"launch", "results", "about"})
    return {
        "scale": scale.name,
        "set": sorted(scale.changes),
        "runs": run_ids,
        "asked": asked,
        "level": level,
        "delta": delta,
        "tests": TESTS,
        "tests_code": tests_code(),
        "stopping_rule": stopping_rule or own_rule,
        "finished_before": [name for name in run_ids if is_done(runs / name, name)],
    }


def register(content: dict[str, Any], results: Path, late: bool = False) -> Path:
    """Write what is registered, once; return the file.

    Args:
        content: as `content_of` returns it.
        results: results folder.
        late: register although runs are finished; the file names them.

    Raises:
        UserError: runs are finished, or another plan is registered.
        OSError: the folder cannot be written.
    """
    path = note_file(KIND, content["scale"], results, content["set"])
    there = read_fields(path, content=dict, at=str)
    if there is not None:
        differing = _differing(there["content"], content)
        if differing:
            raise UserError(
                f"{path}: registered at {there['at']} with other {', '.join(differing)}; a plan "
                "is registered once"
            )
        return path
    if path.exists():
        raise UserError(f"{path}: expected a registered plan, this file is none")
    finished = content["finished_before"]
    if finished and not late:
        raise UserError(
            f"{content['scale']}: {len(finished)} of {len(content['runs'])} runs are finished, and "
            "a plan is registered before the first; --late registers it and says so in the file"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(path, {"digest": digest_of(content, at), "at": at, "content": content})
    return path


def registered_sentence(
    scale: str,
    results: Path,
    changes: Collection[str],
    table: pd.DataFrame,
    level: float,
    delta: float,
) -> str | None:
    """Say whether a registered plan was kept; None if none was registered.

    Args:
        scale: name of the sweep.
        results: results folder.
        changes: its `--set`, as in `Scale.changes`.
        table: the runs that are reported, one row each.
        level: coverage of the intervals that are reported.
        delta: nats/token that count as near-optimal there.
    """
    path = note_file(KIND, scale, results, changes)
    if not path.exists():
        return None
    file = read_fields(path, digest=str, at=str, content=dict)
    if file is None or file["digest"] != digest_of(file["content"], file["at"]):
        return f"The registered plan was broken: {path.name} was edited after it was written."
    content, at = file["content"], file["at"]
    asked, found = set(content["runs"]), set(table["run_id"])
    late = set(content["finished_before"])
    when = f"registered at {at}" + (f" after {_runs(len(late))} had a result" if late else "")
    broken = _broken(content, at, table, level, delta)
    if broken:
        return f"The plan {when} was broken: {'; '.join(broken)}."
    if content["asked"]["sweep"]["design"] == "adaptive":
        return (
            f"The plan {when} was kept so far: {len(asked & found)} of the {len(asked)} runs "
            f"that it may choose, and no other; it ends {content['stopping_rule']}."
        )
    if left := len(asked - found):
        return f"The plan {when} was kept so far: {_runs(left)} of {len(asked)} without a result."
    before = "" if late else " before the first run"
    return (
        f"The plan {when}{before} was kept: all {len(asked)} runs and no other, level {level:g}, "
        f"delta {delta:g}, the tests (digest {file['digest'][:8]})."
    )


def digest_of(content: dict[str, Any], at: str) -> str:
    """Return the xxh3_128 of what was registered and when."""
    whole = json.dumps({"at": at, "content": content}, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(whole.encode())


def tests_code() -> str:
    """Return the xxh3_128 of the sources that the verdicts come from."""
    package = Path(__file__).resolve().parent.parent
    digest = xxhash.xxh3_128()
    for name in TESTS_SOURCES:
        found = package / name
        for path in [found] if found.is_file() else sorted(found.rglob("*.py")):
            digest.update(f"{path.relative_to(package)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _broken(
    content: dict[str, Any], at: str, table: pd.DataFrame, level: float, delta: float
) -> list[str]:
    """Return every way in which a report departs from what was registered, in words."""
    said = []
    if others := set(table["run_id"]) - set(content["runs"]):
        said.append(f"{_runs(len(others))} not registered")
    for name, now in (("level", level), ("delta", delta)):
        if now != content[name]:
            said.append(f"{name} {now:g} in place of {content[name]:g}")
    if content["tests_code"] != tests_code():
        said.append("the code of the tests has changed")
    if "started_at" in table:
        moment = datetime.fromisoformat(at)
        new = set(content["runs"]) - set(content["finished_before"])
        starts = zip(table["run_id"], table["started_at"], strict=True)
        early = sum(run_id in new and started < moment for run_id, started in starts)
        if early:
            said.append(f"{_runs(early)} had begun before")
    return said


def _differing(there: dict[str, Any], content: dict[str, Any]) -> Sequence[str]:
    """Return what a registered plan says otherwise; the same plan may be registered again."""
    keys = sorted({*there, *content} - {"finished_before"})
    return [key for key in keys if there.get(key) != content.get(key)]


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
