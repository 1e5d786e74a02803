"""Run the studies that have pages in this folder, and write the pages.

    python docs/studies/make.py [--store DIR] [NAME ...]

NAME.html is the report page that `xlift report --html` writes. NAME.md has the same results as Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from xlift.report.page import render_page, summarize_lifts
from xlift.report.study import make_report
from xlift.report.tables import to_markdown
from xlift.studies.record import read_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STUDIES = {
    "english_intermediate": ["english_intermediate"],
    "data_scale": ["data_scale"],
    "high_resource_languages": ["high_resource_languages"],
    "real-small": ["studies/real-small.yaml", "--data", "../shared/data"],
}
"""Name -> arguments of `xlift run`, in the root of the repository."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--store", type=Path, default=ROOT / "xlift-store")
    options = parser.parse_args()
    for name in options.names or STUDIES:
        command = [*STUDIES[name], "--store", str(options.store)]
        subprocess.run([sys.executable, "-m", "xlift", "run", *command], check=True, cwd=ROOT)
        write(name, Store(options.store))


def write(name: str, store: Store) -> None:
    """Write both pages of a finished study."""
    report = make_report(read_record(store, name), store)
    (HERE / f"{name}.html").write_text(render_page(report.rows, report.info), encoding="utf-8")
    study = read_study(str(ROOT / STUDIES[name][0]) if "/" in STUDIES[name][0] else name).study
    parts = [
        f"# {study.title}",
        f"**{study.question}**",
        summarize_lifts(report.rows),
        f"Made by `xlift run {' '.join(STUDIES[name])}`. [{name}.html]({name}.html) has heat maps.",
        to_markdown(report.rows),
        "## Language by language",
        to_markdown(report.rows, per_language=True),
        "## How it was made",
        report.info.method,
        "; ".join(f"{key}: {value}" for key, value in report.info.runs.items()) + ".",
    ]
    (HERE / f"{name}.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
