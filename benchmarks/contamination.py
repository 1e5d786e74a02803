"""Seconds and memory of the contamination check on training rows like MNLI's and scored sets like XNLI's.

    python benchmarks/contamination.py [--rows N] [--languages N]

Every scored language has 5,010 pairs. A hundredth of the training rows is planted in them to verify the result.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

SCORED = 5_010


def rows(rng: random.Random, words: list[str], count: int) -> list[str]:
    """Pairs of 20 and 11 words on average, as in MNLI."""
    return [
        "\t".join(
            (
                " ".join(rng.choices(words, k=rng.randint(5, 35))),
                " ".join(rng.choices(words, k=rng.randint(5, 17))),
                "x",
            )
        )
        for _ in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--languages", type=int, default=15)
    options = parser.parse_args()

    from xlift.analysis.contamination import check_contamination
    from xlift.studies.plan import make_plan
    from xlift.studies.study_file import read_study

    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(50_000)]
    with tempfile.TemporaryDirectory() as name:
        folder, header = Path(name), "text_a\ttext_b\tlabel"
        planted: list[str] = []
        with (folder / "train.tsv").open("w", encoding="utf-8") as file:
            print(header, file=file)
            for start in range(0, options.rows, 10_000):
                new = rows(rng, words, min(10_000, options.rows - start))
                planted += new[:100]
                print("\n".join(new), file=file)
        codes = [f"l{chr(97 + n)}" for n in range(options.languages)]
        num_planted = 0
        for code in codes:
            chosen, planted = planted[: SCORED // 2], planted[SCORED // 2 :]
            num_planted += len(chosen)
            lines = [header, *chosen, *rows(rng, words, SCORED - len(chosen))]
            (folder / f"test.{code}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "study.yaml").write_text(
            "models: [isles]\ntargets: [{task: pairs}]\ntasks:\n"
            "  - {name: pairs, format: classification, labels: [x], languages: [" + ", ".join(codes) + "],\n"
            '     files: {train: {en: train.tsv}, test: "test.{lang}.tsv"}}\n',
            encoding="utf-8",
        )
        plan = make_plan(read_study(str(folder / "study.yaml")))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clock, work = time.perf_counter(), time.process_time()
        report = check_contamination(plan)
        clock, work = time.perf_counter() - clock, time.process_time() - work
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{report.num_training_texts:,} training texts against {report.num_scored_examples:,} scored examples of {report.num_scored_sets} sets"
    )
    print(f"{clock:.0f} s ({work:.0f} s of processor time, {options.rows / work:,.0f} rows per second)")
    print(f"peak {after / 1024:.0f} MB, {(after - before) / 1024:.0f} MB more than planning")
    print(
        f"{sum(finding.num_all_exact for finding in report.findings):,} exact examples found, {num_planted:,} were planted"
    )


if __name__ == "__main__":
    main()
