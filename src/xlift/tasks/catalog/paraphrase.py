"""Paraphrase: whether two sentences or questions have the same meaning."""

from __future__ import annotations

from xlift.published_recipes import INTERMEDIATE, jiant, mt5, xtreme
from xlift.tasks.catalog.common import ENGLISH, REMOVED_LABELS, hub, in_splits, split_codes
from xlift.tasks.faults import Fault
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

PARAPHRASE = ("different", "paraphrase")
"""The labels of both QQP and PAWS-X, so that a model trained on one can predict the other."""
PARAPHRASE_NUMBERS = {"label": {"0": "different", "1": "paraphrase"}}
PAWSX_LANGUAGES = split_codes("de en es fr ja ko zh")
TRANSLATED = split_codes("de es fr ja ko zh")
_TRANSLATIONS = "xtreme_translations/PAWSX/translate-train"

QQP = Task(
    "qqp",
    "QQP, questions that ask the same",
    "classification",
    ("accuracy-f1", "accuracy"),
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"train": "QQP/train.tsv", "dev": "QQP/dev.tsv"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns={"text_a": "question1", "text_b": "question2", "label": "is_duplicate", "id": "id"},
            values=PARAPHRASE_NUMBERS,
            ragged=True,
        ),
        hub(
            "nyu-mll/glue", "qqp", {"train": "train", "dev": "validation"}, ENGLISH,
            columns={"text_a": "question1", "text_b": "question2"}, values=PARAPHRASE_NUMBERS,
        ),
    )),
    labels=PARAPHRASE,
    train_language="en",
    counts={"train": 363_846, "dev": 40_430},
    official=INTERMEDIATE,
    licence="Quora's terms of service",
    url="https://quoradata.quora.com/First-Quora-Dataset-Release-Question-Pairs",
    citations=("wang-etal-2018-glue",),
    note="GLUE's files have a few malformed rows, which are skipped, as in GLUE's own readers.",
)  # fmt: skip

PLACEHOLDER_SENTENCE = Fault(
    "placeholder-sentence",
    "a sentence is the placeholder 'NS', with the label 'different',",
    "https://github.com/google-research-datasets/paws/issues/15",
    rows={
        "dev": {"de": 68, "es": 38, "fr": 8, "ja": 20, "ko": 35, "zh": 16},
        "test": {"de": 33, "es": 1, "fr": 15, "ja": 54, "ko": 28, "zh": 25},
    },
    placeholder="NS",
)
"""The numbers are those of the authors' README: 2,000 less the translated pairs. dev was counted in de, es, fr and zh. XTREME
scores these rows."""
OTHER_LABEL = Fault(
    "other-label",
    "the label differs from that of the English row",
    "https://github.com/google-research-datasets/paws/issues/15",
    rows={"dev": {"de": 32, "es": 16, "fr": 3, "zh": 10}},
    differs_from_english=True,
)
"""All of these rows have the placeholder."""
EMPTY_TRANSLATION = Fault(
    "empty-translation",
    "a sentence is empty, because its machine translation failed,",
    "https://github.com/google-research-datasets/paws/issues/4",
    placeholder="",
)
_PAWSX = {"text_a": "sentence1", "text_b": "sentence2", "label": "label", "id": "id"}
PAWSX = Task(
    "pawsx",
    "PAWS-X, adversarial paraphrase",
    "classification",
    ("accuracy",),
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"train": "x-final/{lang}/train.tsv", "dev": "x-final/{lang}/dev_2k.tsv",
                   "test": "x-final/{lang}/test_2k.tsv"},
            available={"train": ENGLISH, **in_splits(PAWSX_LANGUAGES, "dev", "test")},
            columns=_PAWSX,
            values=PARAPHRASE_NUMBERS,
        ),
        FileSource(
            kind="xtreme",
            reader="quoted-tsv",
            files={split: f"pawsx/{split}-{{lang}}.tsv" for split in ("train", "dev", "test")},
            available={"train": ENGLISH, **in_splits(PAWSX_LANGUAGES, "dev", "test")},
            header=("text_a", "text_b", "label"),
            values=PARAPHRASE_NUMBERS,
            originals={"test": "test_2k.tsv of x-final.tar.gz, https://github.com/google-research-datasets/paws"},
        ),
        hub("google-research-datasets/paws-x", "{lang}", {"train": "train"}, ENGLISH,
            columns=_PAWSX, values=PARAPHRASE_NUMBERS),
        hub("google-research-datasets/paws-x", "{lang}", {"dev": "validation", "test": "test"}, PAWSX_LANGUAGES,
            columns=_PAWSX, values=PARAPHRASE_NUMBERS),
    )),
    labels=PARAPHRASE,
    train_language="en",
    suites={"xtreme": PAWSX_LANGUAGES},
    counts={"train": 49_401, "dev": 2_000, "test": 2_000},
    official=xtreme(2e-5, 2e-5, 5, eval_steps=200) | jiant(5) | mt5(12_000),
    licence="free for any purpose, with acknowledgement of Google LLC",
    url="https://github.com/google-research-datasets/paws/tree/master/pawsx",
    citations=("yang-etal-2019-paws-x",),
    note="XTREME's files have no labels in the test sets.",
    faults=(PLACEHOLDER_SENTENCE, OTHER_LABEL, REMOVED_LABELS),
)  # fmt: skip

PAWSX_MT = Task(
    "pawsx-mt",
    "PAWS translated by machine into PAWS-X's languages",
    "classification",
    ("accuracy",),
    FallbackSource((
        FileSource(
            reader="tsv",
            files={
                "train": {code: f"x-final/{code}/translated_train.tsv" for code in TRANSLATED}
                | {"en": "x-final/en/train.tsv"}
            },
            available={"train": PAWSX_LANGUAGES},
            columns=_PAWSX,
            values=PARAPHRASE_NUMBERS,
            joined=True,
        ),
        hub("google-research-datasets/paws-x", "{lang}", {"train": "train"}, PAWSX_LANGUAGES,
            columns=_PAWSX, values=PARAPHRASE_NUMBERS, joined=True),
    )),
    labels=PARAPHRASE,
    train_language="en",
    counts={"train": 49_401},
    official=INTERMEDIATE,
    licence="free for any purpose, with acknowledgement of Google LLC",
    url="https://github.com/google-research-datasets/paws/tree/master/pawsx",
    citations=("yang-etal-2019-paws-x",),
    note="The training sets of PAWS-X; English is PAWS itself. Languages are matched by the files' ids.",
    faults=(EMPTY_TRANSLATION,),
)  # fmt: skip

PAWSX_TRANSLATED = Task(
    "pawsx-translate-train",
    "PAWS translated by XTREME's authors into PAWS-X's languages",
    "classification",
    ("accuracy",),
    FileSource(
        reader="translated-tsv",
        files={
            "train": {code: f"{_TRANSLATIONS}/en-{code}-translated.tsv" for code in TRANSLATED}
            | {"en": f"{_TRANSLATIONS}/en-de-translated.tsv"}
        },
        available={"train": PAWSX_LANGUAGES},
        values=PARAPHRASE_NUMBERS,
        unquote=True,
        ragged=True,
        joined=True,
    ),
    labels=PARAPHRASE,
    train_language="en",
    official=INTERMEDIATE,
    licence="not stated; PAWS-X's: free for any purpose, with acknowledgement of Google LLC",
    url="https://console.cloud.google.com/storage/browser/xtreme_translations",
    citations=("yang-etal-2019-paws-x", "hu-etal-2020-xtreme"),
    note="Files and columns follow TensorFlow Datasets (xtreme_pawsx), which reports that some rows are wrongly populated: rows "
    "without five fields and a label 0 or 1 are skipped and counted. It is unknown whether texts are quoted: a pair of quotes "
    "around a whole text is removed. Languages are matched by the English pair in each row; 'en' is the originals in the "
    "German file.",
)  # fmt: skip

TASKS = (QQP, PAWSX_MT, PAWSX_TRANSLATED, PAWSX)
