"""Scores of the shipped encoder per language: zero-shot NLI after 4,000 pairs in the source language, and sentence
retrieval.

    python benchmarks/encoder_quality.py            print the table
    python benchmarks/encoder_quality.py --write    and save it beside the encoder

Takes about a minute on two cores. tests/test_shipped_encoder.py checks that the saved scores are those of the encoder
file. The keys of the jobs are saved beside the scores: while they stay the same, so do the scores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from xlift.analysis.lift import compute_lifts
from xlift.analysis.scores import load_cells
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.execution.progress import SilentDisplay
from xlift.execution.scheduler import run_plan
from xlift.studies.plan import make_plan
from xlift.studies.record import make_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

RECORD = Path(__file__).parent.parent / "src/xlift/archipelago/encoder/quality.json"


def plan_keys() -> list[str]:
    """The keys of all jobs of the study `isles-quality`, sorted."""
    return sorted(make_plan(read_study("isles-quality")).jobs)


def measure(root: Path) -> dict[str, dict[str, float]]:
    """Task -> language -> score, from a run of the study `isles-quality` in a store at `root`."""
    file = read_study("isles-quality")
    plan, store = make_plan(file), Store(root)
    run_plan(plan, store, SilentDisplay())
    cells, _ = load_cells(make_record(file, plan), store)
    scores: dict[str, dict[str, float]] = {}
    for row in compute_lifts(cells):
        if not row.is_mean:
            scores.setdefault(row.target, {})[row.language] = row.value
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="save the scores beside the encoder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scores = measure(Path(folder) / "store")
    tasks = list(scores)
    print("| code | language | family | tier | " + " | ".join(tasks) + " |")
    print("| --- " * (4 + len(tasks)) + "|")
    for code, language in GENERATED_LANGUAGES.items():
        values = " | ".join(f"{scores[task][code]:.3f}" if code in scores[task] else "" for task in tasks)
        print(f"| {code} | {language.name} | {language.family} | {language.tier} | {values} |")
    if options.write:
        record = {"scores": scores, "jobs": plan_keys()}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {RECORD.name}")


if __name__ == "__main__":
    main()
