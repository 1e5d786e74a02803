"""Extractive question answering: the answer is a span of the passage."""

from __future__ import annotations

from typing import Any

from xlift.published_recipes import INTERMEDIATE, jiant, mt5, xtreme
from xlift.tasks.catalog.common import ENGLISH, REMOVED_LABELS, hub, in_splits, split_codes
from xlift.tasks.sources.division import DocumentShare
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

XQUAD_LANGUAGES = split_codes("en es de el ru tr ar vi th zh hi")
MLQA_LANGUAGES = split_codes("en es de ar hi vi zh")
TYDIQA_NAMES = {
    "en": "english", "ar": "arabic", "bn": "bengali", "fi": "finnish", "id": "indonesian", "ko": "korean",
    "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
TYDIQA_LANGUAGES = tuple(TYDIQA_NAMES)
SQUAD_TRANSLATIONS = split_codes("ar de el es hi ru th tr vi zh")
_TRANSLATIONS = "xtreme_translations"

SQUAD_RULE = ("squad-f1", "squad-em", "answer-f1", "answer-em")
"""SQuAD's official scoring, with English rules for every language, and our corrected scoring."""
_HUB = {"document": "title"}


def _qa_task(name: str, title: str, source: Any, metrics: tuple[str, ...] = SQUAD_RULE, **more: Any) -> Task:
    return Task(name, title, "span-qa", metrics, source, max_length=384, **more)


SQUAD = _qa_task(
    "squad",
    "SQuAD v1.1, questions on Wikipedia",
    FallbackSource((
        FileSource(
            reader="squad",
            files={"train": "squad/train-v1.1.json", "dev": "squad/dev-v1.1.json"},
            available=in_splits(ENGLISH, "train", "dev"),
        ),
        hub("rajpurkar/squad", "plain_text", {"train": "train", "dev": "validation"}, ENGLISH, columns=_HUB),
    )),
    train_language="en",
    counts={"train": 87_599, "dev": 10_570},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0",
    url="https://rajpurkar.github.io/SQuAD-explorer/",
    citations=("rajpurkar-etal-2016-squad",),
    note="XQuAD, and with it LAReQA, is translated from the dev set: never select on dev before scoring those.",
)  # fmt: skip

SQUAD2 = _qa_task(
    "squad2",
    "SQuAD v2.0, with questions that have no answer",
    FallbackSource((
        FileSource(
            reader="squad",
            files={"train": "squad/train-v2.0.json", "dev": "squad/dev-v2.0.json"},
            available=in_splits(ENGLISH, "train", "dev"),
        ),
        hub("rajpurkar/squad_v2", "squad_v2", {"train": "train", "dev": "validation"}, ENGLISH, columns=_HUB),
    )),
    ("squad2-f1", "squad2-em"),
    labels=("answer", "no-answer"),
    train_language="en",
    counts={"train": 130_319, "dev": 11_873},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0",
    url="https://rajpurkar.github.io/SQuAD-explorer/",
    citations=("rajpurkar-etal-2018-know",),
    examples_of={"dev": "squad/dev"},
    note="jiant reports the score at the best threshold on dev; here the null answer competes with its own score.",
)  # fmt: skip

SQUAD_MT = _qa_task(
    "squad-mt",
    "SQuAD v1.1 translated by machine into XQuAD's languages",
    FileSource(
        reader="squad-translated",
        files={
            "train": {code: f"{_TRANSLATIONS}/SQuAD/translate-train/squad.translate.train.en-{code}.json"
                      for code in SQUAD_TRANSLATIONS} | {"en": "squad/train-v1.1.json"}
        },
        available={"train": ("en", *SQUAD_TRANSLATIONS)},
        joined=True,
    ),
    train_language="en",
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0 (SQuAD's)",
    url="https://console.cloud.google.com/storage/browser/xtreme_translations",
    citations=("rajpurkar-etal-2016-squad", "hu-etal-2020-xtreme"),
    note="The translations published by XTREME's authors; English is SQuAD itself. Languages are matched by SQuAD's ids. In a "
    "translation some questions are missing and some answers are empty (935 and 5 of 16,384 that others examined in German): "
    "these are skipped and counted. An answer that is not at its given place is searched nearby.",
)  # fmt: skip

TYDIQA_TRANSLATED = _qa_task(
    "tydiqa-translate-train",
    "TyDiQA-GoldP's English translated by XTREME's authors",
    FileSource(
        reader="squad-translated",
        files={"train": f"{_TRANSLATIONS}/TyDiQA-GoldP/translate-train/tydiqa.translate.train.en-{{lang}}.json"},
        available={"train": tuple(code for code in TYDIQA_NAMES if code != "en")},
    ),
    train_language="ar",
    official=INTERMEDIATE,
    licence="not stated; TyDiQA's is Apache 2.0",
    url="https://console.cloud.google.com/storage/browser/xtreme_translations",
    citations=("clark-etal-2020-tydi", "hu-etal-2020-xtreme"),
    note="File names follow TensorFlow Datasets (tydi_qa). Languages are not matched: it is unknown whether the ids are those of "
    "the English file, and xTune's code does not rely on them. A subset has different questions in every language.",
)

XQUAD = _qa_task(
    "xquad",
    "XQuAD, extractive question answering",
    FallbackSource((
        FileSource(
            reader="squad",
            files={"test": "xquad/xquad.{lang}.json"},
            available={"test": (*XQUAD_LANGUAGES, "ro")},
            originals={"test": "xquad.LANG.json of https://github.com/google-deepmind/xquad"},
        ),
        hub("google/xquad", "xquad.{lang}", {"test": "validation"}, (*XQUAD_LANGUAGES, "ro")),
    )),
    train_task=("squad",),
    suites={"xtreme": XQUAD_LANGUAGES, "xtreme-r": (*XQUAD_LANGUAGES, "ro")},
    counts={"test": 1_190},
    official=xtreme(3e-5, 3e-5, 3, 384, warmup_steps=500, weight_decay=1e-4) | jiant(2, 384, 16) | mt5(8000),
    licence="CC BY-SA 4.0",
    url="https://github.com/google-deepmind/xquad",
    citations=("artetxe-etal-2020-cross", "rajpurkar-etal-2016-squad"),
    note="240 paragraphs of SQuAD v1.1's dev set in twelve languages: never select on that dev set. XTREME's scripts remove the "
    "answers from the files and skip Romanian, which XTREME-R's evaluation requires.",
    examples_of={"test": "squad/dev"},
    faults=(REMOVED_LABELS,),
)  # fmt: skip

SQUADSHIFTS = _qa_task(
    "squadshifts",
    "SQuADShifts, new questions collected as SQuAD's were",
    FileSource(
        reader="squad",
        files={
            "train": "squadshifts/new_wiki_v1.0.json",
            "test": tuple(f"squadshifts/{domain}_v1.0.json" for domain in ("nyt", "reddit", "amazon_reviews")),
        },
        available=in_splits(ENGLISH, "train", "test"),
    ),
    train_language="en",
    counts={"train": 7_938, "test": 29_753},
    official=INTERMEDIATE,
    licence="none stated in its repository",
    url="https://modestyachts.github.io/squadshifts-website",
    citations=("miller-etal-2020-effect",),
    note="Its authors publish four test sets. Here 'train' is the one on Wikipedia, to train on little English data in place of "
    "SQuAD, and 'test' is the other three, one after the other: New York Times, Reddit, Amazon reviews. Papers score each of the "
    "four alone; declare a custom task for that.",
)

BIPAR = _qa_task(
    "bipar",
    "BiPaR, questions on novels in English and Chinese",
    FileSource(
        reader="squad",
        files={
            split: f"bipar/Monolingual_{{lang}}_{name}.json" for split, name in (("dev", "valid"), ("test", "test"))
        },
        available=in_splits(("en", "zh"), "dev", "test"),
        codes={"en": "EN", "zh": "ZH"},
        numbered=True,
        joined=True,
    ),
    ("answer-f1", "answer-em", "squad-f1", "squad-em"),
    train_task=("squad",),
    counts={"dev": 1_500, "test": 1_500},
    licence="CC BY-NC 4.0",
    url="https://github.com/sharejing/BiPaR",
    citations=("jing-etal-2019-bipar",),
    note="The monolingual files. Row n is the same question in both languages, and so are the ids, which are row numbers here. To "
    "train on it in either language, use `split: dev`; its training set is not in the repository.",
)

XQUAD_ARTICLES = _qa_task(
    "xquad-articles",
    "XQuAD split by article, to train and test on a small scale",
    FileSource(
        reader="squad",
        files={"train": "xquad/xquad.{lang}.json", "test": "xquad/xquad.{lang}.json"},
        available=in_splits((*XQUAD_LANGUAGES, "ro"), "train", "test"),
        document_shares={"train": DocumentShare(0, 2 / 3), "test": DocumentShare(2 / 3, 1)},
        originals={"test": "xquad.LANG.json of https://github.com/google-deepmind/xquad"},
    ),
    SQUAD_RULE[:2],
    train_language="en",
    counts={"train": 826, "test": 364},
    licence="CC BY-SA 4.0",
    url="https://github.com/google-deepmind/xquad",
    citations=("artetxe-etal-2020-cross", "rajpurkar-etal-2016-squad"),
    examples_of={"train": "squad/dev", "test": "squad/dev"},
    note="'train' is the first two thirds of the 48 articles, 'test' the last third, so no article is in both. Not comparable "
    "with published scores, which train on SQuAD v1.1 and test on all 1,190 questions.",
    faults=(REMOVED_LABELS,),
)

MLQA = _qa_task(
    "mlqa",
    "MLQA, extractive question answering",
    FallbackSource((
        FileSource(
            reader="squad",
            files={
                split: f"MLQA_V1/{split}/{split}-context-{{lang}}-question-{{lang}}.json" for split in ("dev", "test")
            },
            available=in_splits(MLQA_LANGUAGES, "dev", "test"),
        ),
        FileSource(
            kind="xtreme",
            reader="squad",
            files={
                split: f"mlqa/MLQA_V1/{split}/{split}-context-{{lang}}-question-{{lang}}.json"
                for split in ("dev", "test")
            },
            available=in_splits(MLQA_LANGUAGES, "dev", "test"),
            originals={"test": "MLQA_V1.zip of https://github.com/facebookresearch/MLQA"},
        ),
        FileSource(
            kind="xtreme",
            reader="squad",
            files={"dev": "mlqa/dev-context-{lang}-question-{lang}.json"},
            available={"dev": MLQA_LANGUAGES},
        ),
        hub("facebook/mlqa", "mlqa.{lang}.{lang}", {"dev": "validation", "test": "test"}, MLQA_LANGUAGES),
    )),
    ("mlqa-f1", "mlqa-em", "answer-f1", "answer-em"),
    train_task=("squad",),
    suites={"xtreme": MLQA_LANGUAGES, "xtreme-r": MLQA_LANGUAGES},
    counts={
        "dev": {"en": 1_148, "es": 500, "de": 512, "ar": 517, "hi": 507, "vi": 511, "zh": 504},
        "test": {"en": 11_590, "es": 5_253, "de": 4_517, "ar": 5_335, "hi": 4_918, "vi": 5_495, "zh": 5_137},
    },
    official=xtreme(3e-5, 3e-5, 3, 384, warmup_steps=500, weight_decay=1e-4) | jiant(2, 384, 16) | mt5(12_000),
    licence="CC BY-SA 3.0",
    url="https://github.com/facebookresearch/MLQA",
    citations=("lewis-etal-2020-mlqa",),
    note="Question and passage are in the same language. The official scoring removes the Arabic article inside words too; the "
    "corrected scoring is shown with it. XTREME's scripts remove the answers from the test files. MLQA's README counts 5,254 "
    "Spanish test questions; the file has 5,253. Dev files may also be directly in mlqa/.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

TYDIQA = _qa_task(
    "tydiqa",
    "TyDiQA-GoldP, questions asked in the language",
    FallbackSource((
        FileSource(
            reader="squad",
            files={
                "train": "tydiqa/tydiqa-goldp-v1.1-train.json",
                "test": "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{lang}.json",
            },
            available=in_splits(TYDIQA_LANGUAGES, "train", "test"),
            codes=TYDIQA_NAMES,
            where={"id": "{lang}-*"},
        ),
        FileSource(
            kind="xtreme",
            reader="squad",
            files={
                "train": "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{lang}.train.json",
                "test": "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{lang}.dev.json",
            },
            available=in_splits(TYDIQA_LANGUAGES, "train", "test"),
            numbered=True,
            originals={"test": "tydiqa-goldp-v1.1-dev.tgz of https://github.com/google-research-datasets/tydiqa"},
        ),
        FileSource(
            kind="xtreme",
            reader="squad",
            files={"train": "tydiqa/tydiqa.goldp.{lang}.train.json"},
            available={"train": TYDIQA_LANGUAGES},
            numbered=True,
        ),
        hub(
            "google-research-datasets/tydiqa", "secondary_task", {"train": "train", "test": "validation"},
            TYDIQA_LANGUAGES, codes=TYDIQA_NAMES, columns=_HUB, where={"id": "{lang}-*"},
        ),
    )),
    train_language="en",
    suites={"xtreme": TYDIQA_LANGUAGES, "xtreme-r": TYDIQA_LANGUAGES},
    counts={
        "train": {"en": 3_696, "ar": 14_805, "bn": 2_390, "fi": 6_855, "id": 5_702, "ko": 1_625, "ru": 6_490,
                  "sw": 2_755, "te": 5_563},
        "test": {"en": 440, "ar": 921, "bn": 113, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669},
    },
    official=xtreme(3e-5, 3e-5, 3, 384, warmup_steps=500, weight_decay=1e-4) | jiant(2, 384, 16) | mt5(8000),
    licence="Apache 2.0",
    url="https://github.com/google-research-datasets/tydiqa",
    citations=("clark-etal-2020-tydi",),
    note="The secondary task. 'test' is the authors' dev set, as in XTREME; it has no Japanese or Thai. XTREME warms up for 500 "
    "steps, more than its whole run on English. Every language has training data. XTREME's training files may also be directly in "
    "tydiqa/.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

TASKS = (SQUAD, SQUAD2, SQUAD_MT, SQUADSHIFTS, TYDIQA_TRANSLATED, XQUAD, MLQA, TYDIQA, BIPAR, XQUAD_ARTICLES)
