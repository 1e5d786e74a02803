"""Seconds and memory of the check for leaks over training rows like MNLI's, against scored sets like XNLI's.

    python benchmarks/leaks.py [--rows N] [--languages N]

Every language of the scored side has 5,010 pairs; a hundredth of the training rows are planted in it, so that what is found
can be seen to be right.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

SCORED = 5_010


def rows(dice: random.Random, words: list[str], count: int) -> list[str]:
    """Pairs of 20 and 11 words on average, as in MNLI."""
    return [
        "\t".join(
            (" ".join(dice.choices(words, k=dice.randint(5, 35))), " ".join(dice.choices(words, k=dice.randint(5, 17))), "x")
        )
        for _ in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--languages", type=int, default=15)
    options = parser.parse_args()

    from xlift.analysis.leaks import find
    from xlift.studies.plan import make_plan
    from xlift.studies.reading import read_study

    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(50_000)]
    with tempfile.TemporaryDirectory() as name:
        folder, header = Path(name), "text_a\ttext_b\tlabel"
        planted: list[str] = []
        with (folder / "train.tsv").open("w", encoding="utf-8") as file:
            print(header, file=file)
            for start in range(0, options.rows, 10_000):
                made = rows(dice, words, min(10_000, options.rows - start))
                planted += made[:100]
                print("\n".join(made), file=file)
        codes = [f"l{chr(97 + n)}" for n in range(options.languages)]
        inside = 0
        for code in codes:
            mine, planted = planted[: SCORED // 2], planted[SCORED // 2 :]
            inside += len(mine)
            lines = [header, *mine, *rows(dice, words, SCORED - len(mine))]
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
        found = find(plan)
        clock, work = time.perf_counter() - clock, time.process_time() - work
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{found.texts:,} training texts against {found.examples:,} scored examples of {found.scored} sets")
    print(f"{clock:.0f} s ({work:.0f} s of processor; {options.rows / work:,.0f} rows a second of it)")
    print(f"peak {after / 1024:.0f} MB, {(after - before) / 1024:.0f} MB of it more than planning took")
    print(f"{sum(finding.every for finding in found.findings):,} examples found whole, {inside:,} were planted")


if __name__ == "__main__":
    main()
