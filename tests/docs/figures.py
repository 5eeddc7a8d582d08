"""Figures in README and docs, recomputed from the published tables and from the plans.

A figure in a text stands between two HTML comments, which no reader sees:

    <!--tiny/gain_over_moe/4-->0.0231 [0.0200, 0.0294]<!--/-->

names its source, the field (dotted, as in `engram-sweep fit --json`), and its digits (`,0` for
thousands). Sources are

- `tiny` and the like: `results/published/<name>.parquet`, fitted;
- `first`: of `tiny`, the runs of the first sweep that a newcomer trains;
- `plan.10B` and the like: the plan of a scale, and its cost.

Code blocks show comments, so their figures are found by the expressions of `IN_CODE`.

`python -m tests.docs.figures` checks them, `--write` puts the recomputed ones in.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.examples import ROOT, load

PUBLISHED = ROOT / "results" / "published"
TEXTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
"""Where figures are looked for."""
MARK = re.compile(
    r"<!--(?P<source>[\w.-]+?)/(?P<field>[\w.]+)(?:/(?P<form>,?\d))?-->(?P<text>.*?)<!--/-->",
    re.DOTALL,
)
IN_CODE = (
    (
        "README.md",
        r"SCALE=10B +# (\S+) runs of (\S+) to (\S+) H100-hours: (\S+) GPU-hours",
        "plan.10B",
        ("runs/0", "gpu_hours_per_run.0/,0", "gpu_hours_per_run.1/,0", "gpu_hours/,0"),
    ),
)
"""Per figure of a code block: file, expression, source, and the field and form of each group."""
OF_OTHERS = {"1.7248": "the paper, section 3.1", "1.7109": "the paper, section 3.1"}
"""Losses that the README quotes from elsewhere."""
RESULT = re.compile(r"(?<![\w./])\d\.\d{3,}(?![\w.]*/)")
"""What looks like a measured loss."""
WIDTH = 104
"""Columns of a paragraph that is written anew."""


def problems() -> Iterator[str]:
    """Yield a line for each figure that is not what its source says."""
    for name in TEXTS:
        text = (ROOT / name).read_text()
        for mark in MARK.finditer(text):
            wanted = figure_of(mark["source"], mark["field"], mark["form"])
            if (found := " ".join(mark["text"].split())) != wanted:
                where = f"{name}:{text[: mark.start()].count(chr(10)) + 1}"
                yield f"{where}: {mark['source']}/{mark['field']}: {found!r}, now {wanted!r}"
    for name, found, source, fields in IN_CODE:
        match = re.search(found, (ROOT / name).read_text())
        if match is None:
            yield f"{name}: expected {found!r}, found nothing like it"
            continue
        for text, field in zip(match.groups(), fields, strict=True):
            wanted = figure_of(source, *field.split("/"))
            if text != wanted:
                yield f"{name}: {source}/{field}: {text!r}, now {wanted!r}"
    yield from unmarked((ROOT / "README.md").read_text())


def unmarked(text: str) -> Iterator[str]:
    """Yield a line for each result of the README that nothing would recompute."""
    for found in RESULT.findall(MARK.sub("", text)):
        if found not in OF_OTHERS:
            yield f"README.md: {found} stands in no mark and is not quoted from elsewhere"


def write() -> list[str]:
    """Put the recomputed figures in; return the files that changed."""
    changed = []
    for name in TEXTS:
        path = ROOT / name
        before = path.read_text()
        after = "\n\n".join(map(_renewed, before.split("\n\n")))
        for file, found, source, fields in IN_CODE:
            if file == name:
                after = _renewed_code(after, found, source, fields)
        if after != before:
            path.write_text(after)
            changed.append(name)
    return changed


def _renewed(paragraph: str) -> str:
    """Return a paragraph with its figures recomputed; wrapped anew if one changed."""

    def renew(mark: re.Match[str]) -> str:
        wanted = figure_of(mark["source"], mark["field"], mark["form"])
        if " ".join(mark["text"].split()) == wanted:
            return mark[0]
        start = mark[0][: mark.start("text") - mark.start()]
        return f"{start}{wanted}<!--/-->"

    renewed = MARK.sub(renew, paragraph)
    if renewed == paragraph or "\n|" in f"\n{paragraph}":
        return renewed
    ending = "\n" if renewed.endswith("\n") else ""
    return (
        textwrap.fill(
            " ".join(renewed.split()), WIDTH, break_long_words=False, break_on_hyphens=False
        )
        + ending
    )


def _renewed_code(text: str, found: str, source: str, fields: tuple[str, ...]) -> str:
    match = re.search(found, text)
    if match is None:
        return text
    # From the last group on, so that earlier places stay where they are.
    for group in range(len(fields), 0, -1):
        wanted = figure_of(source, *fields[group - 1].split("/"))
        text = text[: match.start(group)] + wanted + text[match.end(group) :]
    return text


def figure_of(source: str, field: str, form: str | None = None) -> str:
    """Return a figure as text.

    Args:
        source: as in the module's docstring.
        field: dotted path in the source's numbers.
        form: decimals, after a comma if thousands are to be set apart; None for text.

    Raises:
        LookupError: the source has no such field.
    """
    value: Any = numbers_of(source)
    for key in field.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return _text(value, form)


def _text(value: Any, form: str | None) -> str:
    if isinstance(value, dict):
        return (
            f"{_text(value['value'], form)} [{_text(value['low'], form)}, "
            f"{_text(value['high'], form)}]"
        )
    if form is None or value is None:
        return str(value)
    return f"{value:{form[:-1]}.{form[-1]}f}"


@cache
def numbers_of(source: str) -> dict[str, Any]:
    """Return the numbers of a source, as `engram-sweep fit --json` and `plan --json` have them."""
    if source.startswith("plan."):
        return _plan_numbers(source.removeprefix("plan."))
    from engram_sweep.planning.plan import make_plan
    from engram_sweep.runs.table_files import read_table

    name = "tiny" if source == "first" else source
    table: Any = read_table(PUBLISHED / f"{name}.parquet")
    if source == "first":
        first = {run.run_id for run in make_plan(load("tiny")).runs}
        missing = first - set(table["run_id"])
        if missing:
            raise LookupError(f"{name}.parquet lacks {len(missing)} runs of the first sweep")
        table = table[table["run_id"].isin(first)].reset_index(drop=True)
    return {**_fitted(table, source), "runs": len(table)}


def _fitted(table: Any, source: str) -> dict[str, Any]:
    from analysis.report.joint_sentences import joint_json
    from analysis.report.numbers import as_json
    from analysis.report.slot_numbers import slots_json
    from analysis.runs.slot_table import has_table_sizes
    from analysis.scaling.joint import analyse
    from analysis.slots.slots_analysis import analyse_slots

    if has_table_sizes(table):
        return slots_json(analyse_slots(table, source))
    joint = analyse(table, source)
    return as_json(joint.sweeps[0]) if joint.alone else joint_json(joint, [])


def _plan_numbers(name: str) -> dict[str, Any]:
    from engram_sweep.planning.cost import cost, price_of
    from engram_sweep.planning.plan import make_plan

    plan = make_plan(load(name))
    numbers = cost(plan, price_of(plan.scale.launch))
    hours = numbers.get("worker_hours")
    # Of plans for workers of this machine: two of them side by side.
    return numbers if hours is None else {**numbers, "minutes_on_two_cores": 60 * hours / 2}


def main() -> int:
    """Check or write; return 1 if a figure is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the recomputed figures in")
    if parser.parse_args().write:
        for name in write():
            print(f"{name} written anew")
    found = list(problems())
    print("\n".join(found) or "every figure is what its source says")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
