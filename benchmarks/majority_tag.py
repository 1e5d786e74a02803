"""Accuracy of the most frequent tag on the tagging targets of studies/real-small.yaml: the baseline that a tagger must
beat.

python benchmarks/majority_tag.py --data ../shared/data
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from xlift.tasks import catalog

TARGETS = {"udpos-pud": ("en", "de", "fr", "hi")}
SIZE = 500
"""Test sentences per language, as in the study."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    print("| task | language | most frequent tag | accuracy |\n| --- | --- | --- | --- |")
    for name, languages in TARGETS.items():
        task = catalog.get(name)
        for language in languages:
            tags = Counter(
                tag
                for example in task.source.read(task, language, "test", options.data, size=SIZE)
                for tag in example.tags
            )
            tag, count = tags.most_common(1)[0]
            print(f"| {name} | {language} | {tag} | {count / tags.total():.3f} |")


if __name__ == "__main__":
    main()
