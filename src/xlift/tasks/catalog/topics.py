"""Topics of sentences."""

from __future__ import annotations

from xlift.tasks.catalog.common import hub, in_splits
from xlift.tasks.catalog.flores import SIB
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

SIB200 = Task(
    "sib200",
    "SIB-200, topics of sentences",
    "classification",
    ("accuracy",),
    FallbackSource((
        FileSource(
            reader="tsv",
            files={split: f"sib200/{{lang}}/{split}.tsv" for split in ("train", "dev", "test")},
            available=in_splits(tuple(SIB), "train", "dev", "test"),
            codes=SIB,
            columns={"text_a": "text", "label": "category", "id": "index_id"},
        ),
        hub(
            "Davlan/sib200", "{lang}", {"train": "train", "dev": "validation", "test": "test"}, tuple(SIB), codes=SIB,
            columns={"text_a": "text", "label": "category", "id": "index_id"},
        ),
    )),
    labels=("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography"),
    train_language="en",
    counts={"train": 701, "dev": 99, "test": 204},
    licence="CC BY-SA 4.0",
    url="https://github.com/dadelani/sib-200",
    citations=("adelani-etal-2024-sib",),
    note="The same 1,004 sentences of FLORES-200 in 205 languages and scripts, with the authors' splits.",
)  # fmt: skip

SIB200_PARALLEL = Task(
    "sib200-parallel",
    "SIB-200's sentences with their English translation",
    "text",
    (),
    FileSource(
        reader="parallel-tsv",
        files={split: (f"sib200/{{lang}}/{split}.tsv", f"sib200/eng_Latn/{split}.tsv") for split in ("train", "dev", "test")},
        available=in_splits(tuple(code for code in SIB if code != "en"), "train", "dev", "test"),
        codes=SIB,
        columns={"text": "text", "id": "index_id"},
    ),
    train_language="de",
    counts={"train": 701, "dev": 99, "test": 204},
    licence="CC BY-SA 4.0",
    url="https://github.com/dadelani/sib-200",
    citations=("adelani-etal-2024-sib",),
    note="Text for `pretrain:` and `intermediate:`, read as pairs (translation language modelling). The sentences are "
    "FLORES-200's: do not score FLORES-200 or SIB-200 with a model trained on them.",
)  # fmt: skip

TASKS = (SIB200, SIB200_PARALLEL)
