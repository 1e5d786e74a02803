"""Run the studies whose pages stand in this folder, and write the pages.

    python docs/studies/make.py [--store DIR] [NAME ...]

NAME.html is the report page as `xlift report --html` writes it, NAME.md the same results for readers of the repository.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from xlift.report.page import answer, render
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
"""Name -> what follows `xlift run`, in the root of the repository."""


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
    """Both pages of a study that was run."""
    report = make_report(read_record(store, name), store)
    (HERE / f"{name}.html").write_text(render(report.rows, report.info), encoding="utf-8")
    study = read_study(str(ROOT / STUDIES[name][0]) if "/" in STUDIES[name][0] else name).study
    parts = [
        f"# {study.title}",
        f"**{study.question}**",
        answer(report.rows),
        f"Made by `xlift run {' '.join(STUDIES[name])}`; the page with heat maps is [{name}.html]({name}.html).",
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
