"""Make the pages of this folder from its bundles: NAME.zip holds the results of a study, without weights.

    python docs/studies/make.py                          # NAME.html and NAME.md of every bundle: `make docs` does this
    python docs/studies/make.py --run NAME [--store DIR]  # run a study, and write its bundle

NAME.html is the report page that `xlift report NAME.zip --html` writes. NAME.md has the same results as Markdown; what a person wrote
in it, above the line `MARK`, stays. Pages whose study has no bundle yet are text: the numbers of an earlier run, and the command that
makes them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from xlift.analysis.judged_study import judge_study
from xlift.analysis.verdicts import Judgement
from xlift.claims import FACT
from xlift.evidence.files import SHIPPED, read_evidence
from xlift.evidence.verdicts import judge_published
from xlift.report.claims import claims_notes, format_confidence, format_effect, format_needs, format_verdict
from xlift.report.literature import literature_cell
from xlift.report.page import summarize_lifts
from xlift.report.study import make_report
from xlift.report.study_page import make_page
from xlift.report.tables import to_markdown
from xlift.studies.bundle import store_of_bundle
from xlift.studies.record import Record, read_record
from xlift.studies.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STUDIES = {
    "quickstart": ["quickstart"],
    "english_intermediate": ["english_intermediate"],
    "data_scale": ["data_scale"],
    "high_resource_languages": ["high_resource_languages"],
    "translation": ["translation"],
    "low_resource": ["low_resource"],
    "llms": ["llms"],
    "real-small": ["studies/real-small.yaml", "--data", "../shared/data"],
    **{
        name: [f"studies/real/{name}.yaml", "--data", "../shared/data"]
        for name in (
            "language",
            "language_prompted",
            "sizes",
            "tasks",
            "low_resource_languages",
            "shuffled_labels",
            "head_start",
            "head_start_pairs",
            "shuffled_labels_variants",
            "shuffled_labels_words",
        )
    },
}
"""Name -> arguments of `xlift run`, in the root of the repository."""
MARK = "<!-- What follows is made by make.py. -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=STUDIES, metavar="NAME")
    parser.add_argument("--store", type=Path, default=ROOT / "xlift-store")
    options = parser.parse_args()
    if options.run:
        write_bundle(options.run, options.store)
    for bundle in sorted(HERE.glob("*.zip")):
        write_pages(bundle)


def write_bundle(name: str, store: Path) -> None:
    """Run a study, and write its bundle."""
    bundle = HERE / f"{name}.zip"
    for command in (["run", *STUDIES[name]], ["store", "export", name, "--results", str(bundle)]):
        if command[0] == "store":
            bundle.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", "xlift", *command, "--store", str(store)], check=True, cwd=ROOT)


def write_pages(bundle: Path) -> None:
    """Write both pages of a bundle."""
    with store_of_bundle(bundle) as (name, store):
        record = read_record(store, name)
        report = make_report(record, store)
        claims = claims_section(record, store)
        page = make_page(record, store, report)
    (HERE / f"{name}.html").write_text(page, encoding="utf-8")
    file = HERE / f"{name}.md"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    written = text.partition(MARK)[0] if MARK in text else f"# {record.study.title}\n\n**{record.study.question}**\n\n"
    parts = [
        written.rstrip(),
        MARK,
        summarize_lifts(report.rows),
        *claims,
        "## Scores and lifts",
        to_markdown(report.rows),
        "## How it was made",
        f"`xlift run {' '.join(STUDIES[name])}` runs the study. [{name}.zip]({name}.zip) holds its results: `xlift report {name}.zip "
        f"--languages` shows every language, and `--html` writes the page with heat maps.",
        report.info.method,
        "; ".join(f"{key}: {value}" for key, value in report.info.runs.items()) + ".",
    ]
    file.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def claims_section(record: Record, store: Store) -> list[str]:
    """The sentence that a person can quote, and the table of `xlift claims`; empty if the study has no claims."""
    judged = judge_study(record, store)
    if judged is None:
        return []
    published = judge_published(judged.claim_set.without_study(), read_evidence(sorted(SHIPPED.glob("*.yaml"))))
    literature = {each.claim: literature_cell(each) for each in published}
    lines = ["| claim | verdict | effect | confidence | needs | literature |", "| --- | --- | --- | --- | --- | --- |"]
    for each in judged.judgements:
        cells = (
            f"**{each.claim}**: {each.text}", format_verdict(each), format_effect(each), format_confidence(each),
            format_needs(each.needs), literature.get(each.claim, "–"),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    fixed = f"The claims were fixed on {record.claims.date}." if record.claims else ""
    return [
        "## Claims",
        quote(judged.judgements),
        " ".join([fixed, *judged.changes]).strip(),
        "\n".join(lines),
        " ".join(claims_notes(judged.judgements, literature=True)),
    ]


def quote(judgements: Sequence[Judgement]) -> str:
    """All verdicts of statistical claims in one paragraph, with their effects and intervals."""
    tested = [each for each in judgements if each.kind != FACT]
    parts = []
    for verdict in ("supported", "refuted", "undecided", "not measured"):
        found = [each for each in tested if each.verdict == verdict]
        if found:
            texts = [
                each.text.rstrip(".") + (f" ({format_effect(each)})" if each.effect is not None else "")
                for each in found
            ]
            parts.append(f"{verdict.capitalize()}: {'; '.join(texts)}.")
    return " ".join(parts)


if __name__ == "__main__":
    main()
