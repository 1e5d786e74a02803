"""The features of every sample of the catalogue equal those in features.json, to the last number.

To accept an intended change, run `PYTHONPATH=src:. python tests/tasks/test_features_pinned.py`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.support import tiny
from tests.tasks.test_samples import WHOLE

from xlift.tasks import catalog, formats

PINNED = Path(__file__).parent / "features.json"
TOKENIZERS = ("bpe", "wordpiece")
"""Without and with token types."""
SHORT = 24
"""A length at which rows are truncated, split and windowed, tested beside the task's own."""


def read_examples(name):
    """(split, examples) of a task: all of its samples, or the first few of a generated task."""
    task = catalog.get(name)
    for split in task.source.splits() if task in catalog.ISLES else ():
        yield split, list(task.source.read(task, task.source.languages(split)[0], split, None, size=6))
    for other, source, split, language, folder in (case.values for case in WHOLE):
        if other is task:
            yield split, list(source.read(task, language, split, folder))


def to_lists(value):
    """Arrays and rows of any kind as lists of lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [to_lists(item) for item in value] if isinstance(value, list) else value


def digest(name):
    """Hash of all features of a task's examples, with both tokenizers and at both lengths."""
    task, found = catalog.get(name), hashlib.sha256()
    format = formats.get(task.format)
    for split, examples in read_examples(name):
        labels = task.labels or sorted({tag for example in examples for tag in getattr(example, "tags", ())})
        for tokenizer in TOKENIZERS:
            for length in (SHORT, task.max_length):
                rows = format.features(
                    examples, tiny.tokenizer(tokenizer), labels, max_length=length, train=split == "train"
                )
                one_by_one = {name: to_lists(value) for name, value in (rows.targets | rows.extra).items()}
                found.update(
                    json.dumps(
                        [to_lists(rows.input_ids), to_lists(rows.token_type_ids), to_lists(rows.example_index),
                         to_lists(rows.unit), one_by_one], sort_keys=True,
                    ).encode()
                )  # fmt: skip
    return found.hexdigest()[:16]


NAMES = [
    name
    for name in dict.fromkeys([*(case.values[0].name for case in WHOLE), *(task.name for task in catalog.ISLES)])
    if formats.get(catalog.get(name).format).output_kind != "text"  # translation has no head
]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_unchanged(name):
    assert digest(name) == json.loads(PINNED.read_text(encoding="utf-8"))[name]


if __name__ == "__main__":
    digests = {name: digest(name) for name in NAMES}
    PINNED.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
