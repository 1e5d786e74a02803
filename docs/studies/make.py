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
from pathlib import Path

from xlift.report.page import render_page, summarize_lifts
from xlift.report.study import make_report
from xlift.report.tables import to_markdown
from xlift.studies.bundle import store_of_bundle
from xlift.studies.record import Record, read_record

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
    (HERE / f"{name}.html").write_text(render_page(report.rows, report.info), encoding="utf-8")
    file = HERE / f"{name}.md"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    written = text.partition(MARK)[0] if MARK in text else f"# {record.study.title}\n\n**{record.study.question}**\n\n"
    parts = [
        written.rstrip(),
        MARK,
        summarize_lifts(report.rows),
        *claims_section(bundle, record),
        "## Scores and lifts",
        to_markdown(report.rows),
        "## How it was made",
        f"`xlift run {' '.join(STUDIES[name])}` runs the study. [{name}.zip]({name}.zip) holds its results: `xlift report {name}.zip "
        f"--languages` shows every language, and `--html` writes the page with heat maps.",
        report.info.method,
        "; ".join(f"{key}: {value}" for key, value in report.info.runs.items()) + ".",
    ]
    file.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def claims_section(bundle: Path, record: Record) -> list[str]:
    """The table of `xlift claims`, if the study has claims."""
    return []


if __name__ == "__main__":
    main()
