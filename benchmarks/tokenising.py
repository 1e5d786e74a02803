"""Tokenization of generated examples: xlift against loops over the tokenizer, in rows per second and memory.

    python -m benchmarks.tokenising [--rows N] [--repeats N]

Uses the shipped tokenizer. NLI (isle-nli): pairs. QA (isle-qa): windows with the first and last token of the answer.
`one by one` calls the tokenizer for each example and keeps lists, as XTREME's scripts do; `batches` calls it for 1,000
examples at a time and keeps lists, as `datasets.map` in transformers' run_xnli.py and run_qa.py does (without the
writing to disk of datasets). Every contestant is a separate process, in turns. Reading the examples does not count.
Memory is the growth of the peak of the process during tokenization. All contestants must produce the same number of
tokens.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.timing import peak_megabytes, ratios, report_results, run_in_processes, spread, table

ENCODER = Path(__file__).parent.parent / "src/xlift/archipelago/encoder"
TASKS = {"isle-nli": "NLI", "isle-qa": "QA"}
LENGTHS = {"isle-nli": 128, "isle-qa": 384}
"""For QA long enough that every context is one window, as the contestants overlap windows differently."""
STRIDE, BATCH = 128, 1000
Rows = dict[str, list[Any]]
Maker = Callable[[list[Any], Any, tuple[str, ...]], Rows]


def pairs_one_by_one(examples: list[Any], tokenizer: Any, labels: tuple[str, ...]) -> Rows:
    rows: Rows = {"input_ids": [], "attention_mask": [], "label": []}
    for example in examples:
        encoded = tokenizer(example.text_a, example.text_b, truncation=True, max_length=LENGTHS["isle-nli"])
        rows["input_ids"].append(encoded["input_ids"])
        rows["attention_mask"].append(encoded["attention_mask"])
        rows["label"].append(labels.index(example.label))
    return rows


def pairs_in_batches(examples: list[Any], tokenizer: Any, labels: tuple[str, ...]) -> Rows:
    rows: Rows = {"input_ids": [], "attention_mask": [], "label": []}
    for at in range(0, len(examples), BATCH):
        batch = examples[at : at + BATCH]
        encoded = tokenizer(
            [e.text_a for e in batch], [e.text_b for e in batch], truncation=True, max_length=LENGTHS["isle-nli"]
        )
        rows["input_ids"] += encoded["input_ids"]
        rows["attention_mask"] += encoded["attention_mask"]
        rows["label"] += [labels.index(e.label) for e in batch]
    return rows


def windows(examples: list[Any], tokenizer: Any, rows: Rows) -> None:
    """As `prepare_train_features` of transformers' run_qa.py."""
    encoded = tokenizer(
        [e.question for e in examples], [e.context for e in examples], truncation="only_second",
        max_length=LENGTHS["isle-qa"],
        stride=STRIDE, return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    rows["input_ids"] += encoded["input_ids"]
    rows["attention_mask"] += encoded["attention_mask"]
    for row, (owner, offsets) in enumerate(
        zip(encoded["overflow_to_sample_mapping"], encoded["offset_mapping"], strict=True)
    ):
        start = examples[owner].starts[0]
        end = start + len(examples[owner].answers[0])
        sides = encoded.sequence_ids(row)
        first = sides.index(1)
        last = len(sides) - 1 - sides[::-1].index(1)
        if offsets[first][0] > start or offsets[last][1] < end:
            first = last = 0
        else:
            while first < len(offsets) and offsets[first][0] <= start:
                first += 1
            while offsets[last][1] >= end:
                last -= 1
            first, last = first - 1, last + 1
        rows["start"].append(first)
        rows["end"].append(last)


def windows_by(size: int) -> Maker:
    def make(examples: list[Any], tokenizer: Any, labels: tuple[str, ...]) -> Rows:
        rows: Rows = {"input_ids": [], "attention_mask": [], "start": [], "end": []}
        for at in range(0, len(examples), size):
            windows(examples[at : at + size], tokenizer, rows)
        return rows

    return make


PEERS: dict[tuple[str, str], Maker] = {
    ("isle-nli", "one by one"): pairs_one_by_one,
    ("isle-nli", "batches"): pairs_in_batches,
    ("isle-qa", "one by one"): windows_by(1),
    ("isle-qa", "batches"): windows_by(BATCH),
}
CONTESTANTS = ("xlift", "one by one", "batches")


def run_contestant(name: str, contestant: str, count: int) -> None:
    """Tokenize once, in this process."""
    from transformers import AutoTokenizer

    from xlift.tasks import catalog
    from xlift.training.stage import make_features

    task = catalog.get(name)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    examples = list(task.source.read(task, "qen", "train", None, size=count))

    def make(some: list[Any]) -> Any:
        if contestant == "xlift":
            return make_features(task, some, tokenizer, max_length=LENGTHS[name], train=True).input_ids
        return PEERS[name, contestant](some, tokenizer, task.labels)["input_ids"]

    make(examples[:100])
    before, start_time = peak_megabytes(), time.perf_counter()
    rows = make(examples)
    seconds, after = time.perf_counter() - start_time, peak_megabytes()
    report_results(
        {"rate": len(rows) / seconds, "memory": after - before, "tokens": sum(map(len, rows)), "rows": len(rows)}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="examples per task")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--act", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act:
        return run_contestant(options.act[0], options.act[1], options.rows)
    for name, title in TASKS.items():
        command = [sys.executable, "-m", "benchmarks.tokenising", "--rows", str(options.rows), "--act", name]
        results = run_in_processes(
            {contestant: [*command, contestant] for contestant in CONTESTANTS}, options.repeats, {"HF_HUB_OFFLINE": "1"}
        )
        column = {
            contestant: {key: [numbers[key] for numbers in rounds] for key in rounds[0]}
            for contestant, rounds in results.items()
        }
        totals = {(numbers["rows"], numbers["tokens"]) for rounds in results.values() for numbers in rounds}
        if len(totals) > 1:
            sys.exit(f"{name}: the contestants made different rows: {totals}")
        ((rows, tokens),) = totals
        print(f"\n{title}: {options.rows:,} examples, {rows:,} rows, {tokens:,} tokens ({os.cpu_count()} cores)\n")
        header = (
            "contestant",
            "rows per second",
            "MB",
            "bytes per token",
            "speed relative to xlift",
            "memory relative to xlift",
        )
        ours = column["xlift"]
        print(table(header, [
            (
                contestant, spread(found["rate"], ",.0f"), spread(found["memory"], ",.0f"),
                spread([megabytes * 2**20 / tokens for megabytes in found["memory"]], ",.0f"),
                spread(ratios(found["rate"], ours["rate"])), spread(ratios(found["memory"], ours["memory"])),
            )
            for contestant, found in column.items()
        ]))  # fmt: skip


if __name__ == "__main__":
    main()
