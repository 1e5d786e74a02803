"""Translation into and out of English; each direction is a separate task, so that a study can name one."""

from __future__ import annotations

from typing import Any

from xlift.languages import LANGUAGES
from xlift.tasks.catalog.common import Languages, in_splits
from xlift.tasks.catalog.flores import FLORES, SIB
from xlift.tasks.catalog.retrieval import TATOEBA_NAMES, TATOEBA_R
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

METRICS = ("chrf++", "bleu", "on-target")


def _two_directions(
    name: str,
    title: str,
    reader: str,
    files: dict[str, tuple[str, str]],
    languages: Languages,
    *,
    source_options: dict[str, Any] | None = None,
    note: str,
    **more: Any,
) -> tuple[Task, Task]:
    """The tasks into and out of English.

    Args:
        files: split -> (file of the language, file of its English).
        source_options: further fields of `FileSource`.
    """

    def task(into_english: bool) -> Task:
        sides = {split: paths if into_english else paths[::-1] for split, paths in files.items()}
        return Task(
            f"{name}-{'to' if into_english else 'from'}-en",
            f"{title}, {'into' if into_english else 'out of'} English",
            "translation",
            METRICS,
            FileSource(
                reader=reader,
                files=sides,
                available=in_splits(languages, *files),
                direction=("{lang}", "en") if into_english else ("en", "{lang}"),
                **(source_options or {}),
            ),
            train_language="sw" if "train" in files else "",
            train_task=() if "train" in files else (f"parallel-{'to' if into_english else 'from'}-en",),
            max_length=256,
            note=f"{note} The language of a row is the one that is not English. For models that generate text (seq2seq, decoder).",
            **more,
        )

    return task(True), task(False)


FLORES200 = _two_directions(
    "flores200",
    "FLORES-200",
    "pairs",
    {
        "dev": ("flores200_dataset/dev/{lang}.dev", "flores200_dataset/dev/eng_Latn.dev"),
        "test": ("flores200_dataset/devtest/{lang}.devtest", "flores200_dataset/devtest/eng_Latn.devtest"),
    },
    tuple(code for code in FLORES if code != "en"),
    source_options={"codes": FLORES},
    counts={"dev": 997, "test": 1_012},
    licence="CC BY-SA 4.0",
    url="https://github.com/facebookresearch/flores/tree/main/flores200",
    citations=("nllb-2022-no", "goyal-etal-2022-flores"),
    note="'test' is devtest. Papers report chrF++ and spBLEU; spBLEU needs sentencepiece and its model (declare a custom task "
    "with `metric: spbleu`). It has no training data: train on your own parallel text.",
)

SIB200 = _two_directions(
    "sib200",
    "SIB-200's sentences of FLORES-200",
    "parallel-tsv",
    {split: (f"sib200/{{lang}}/{split}.tsv", f"sib200/eng_Latn/{split}.tsv") for split in ("train", "dev", "test")},
    tuple(code for code in SIB if code != "en"),
    source_options={"codes": SIB, "columns": {"text": "text", "id": "index_id"}},
    counts={"train": 701, "dev": 99, "test": 204},
    licence="CC BY-SA 4.0",
    url="https://github.com/dadelani/sib-200",
    citations=("adelani-etal-2024-sib", "nllb-2022-no"),
    note="1,004 sentences in 205 languages and scripts, matched by id, in SIB-200's splits: little training data, the same in "
    "every language. Do not score FLORES-200 or Belebele with a model trained on them.",
)

TATOEBA = _two_directions(
    "tatoeba",
    "Tatoeba, LASER's sentences",
    "pairs",
    {"test": ("tatoeba/tatoeba.{lang}-eng.{lang}", "tatoeba/tatoeba.{lang}-eng.eng")},
    TATOEBA_R,
    source_options={"codes": TATOEBA_NAMES},
    counts={"test": {"de": 1_000, "fr": 1_000, "es": 1_000, "zh": 1_000, "ja": 1_000, "sw": 390, "jv": 205, "te": 234}},
    licence="CC BY 2.0 FR",
    url="https://github.com/facebookresearch/LASER",
    citations=("artetxe-schwenk-2019-massively",),
    note="Short everyday sentences, the same as in `tatoeba`. It has no training data: train on your own parallel text.",
)

PARALLEL = _two_directions(
    "parallel",
    "Your own parallel text, two files of aligned lines per language",
    "pairs",
    {
        split: (f"parallel/{split}.{{lang}}-en.{{lang}}", f"parallel/{split}.{{lang}}-en.en")
        for split in ("train", "dev", "test")
    },
    tuple(language.code for language in LANGUAGES if language.code != "en"),
    licence="depends on your files",
    url="https://opus.nlpl.eu",
    citations=("tiedemann-2012-parallel",),
    note="Files such as parallel/train.sw-en.sw and parallel/train.sw-en.en under the data folder, as in OPUS's Moses format. "
    "Lines that are blank on one side are skipped. For other files declare a custom task.",
)

TASKS = (*FLORES200, *SIB200, *TATOEBA, *PARALLEL)
