"""Multiple choice: commonsense, reading, cause and effect."""

from __future__ import annotations

from typing import Any

from xlift.published_recipes import INTERMEDIATE, xtreme
from xlift.tasks.catalog.common import CHOICE_FROM_ONE, CHOICE_OF_LETTER, ENGLISH, hub, in_splits, split_codes
from xlift.tasks.catalog.flores import BELEBELE as BELEBELE_CODES
from xlift.tasks.faults import Correction, Fault
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

XCOPA_LANGUAGES = split_codes("et ht id it qu sw ta th tr vi zh")
_CAUSE = {"question": {"cause": "What was the cause?", "effect": "What was the effect?"}}
"""The question in English, whatever the language, as in XTREME-R."""
_COPA = {"context": "premise", "choices": ["choice1", "choice2"], "label": "label", "id": "idx"}

WRONG_QUESTION = Fault(
    "wrong-question",
    "the question (cause or effect) is wrong",
    "https://github.com/allenai/natural-instructions/pull/564",
    rows={
        "dev": {"id": 5, "it": 5, "sw": 6, "th": 52, "tr": 52},
        "test": {"id": 4, "it": 4, "sw": 37, "th": 250, "tr": 51},
    },
    correction=Correction(
        "question",
        "copa-question",
        {"c": _CAUSE["question"]["cause"], "e": _CAUSE["question"]["effect"]},
        "the rows of English COPA with the same `idx`",
    ),
)
"""Row n of every language translates row n of English COPA. In th all rows say 'effect', in tr those of dev. The labels are
right."""
PLACEHOLDER_LABELS = Fault(
    "placeholder-labels",
    "the label is always 0, since SuperGLUE hides the labels",
    "https://github.com/google-research/xtreme/blob/master/scripts/download_data.sh",
    rows={"test": {"en": 250}},
    sources=("xtreme",),
    correction=Correction(
        "label", "copa-label", {"0": 0, "1": 1}, "XCOPA, which has the same labels in every language"
    ),
)
"""XTREME's English file is SuperGLUE's test set. Copies whose rows have the label 0 are read; a file without labels is
refused."""


def choice_task(name: str, title: str, source: Any, **more: Any) -> Task:
    """A task of multiple choice; all have the same metric."""
    return Task(name, title, "multiple-choice", ("accuracy",), source, **more)


HELLASWAG = choice_task(
    "hellaswag",
    "HellaSwag, what happens next",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"train": "hellaswag/hellaswag_train.jsonl", "dev": "hellaswag/hellaswag_val.jsonl"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns={"context": "ctx_a", "question": "ctx_b", "choices": "endings", "label": "label"},
        ),
        hub(
            "Rowan/hellaswag", "default", {"train": "train", "dev": "validation"}, ENGLISH,
            columns={"context": "ctx_a", "question": "ctx_b", "choices": "endings", "label": "label"},
        ),
    )),
    train_language="en",
    counts={"train": 39_905, "dev": 10_042},
    official=INTERMEDIATE,
    licence="MIT",
    url="https://rowanzellers.com/hellaswag/",
    citations=("zellers-etal-2019-hellaswag",),
    note="As in jiant, the second sentence starts with the given beginning (ctx_b) and ends with the choice. The labels of the "
    "test set are hidden.",
)  # fmt: skip

_COSMOS = {"choices": ["answer0", "answer1", "answer2", "answer3"], "label": "label", "id": "id"}
COSMOSQA = choice_task(
    "cosmosqa",
    "Cosmos QA, commonsense reading comprehension",
    FallbackSource((
        FileSource(
            reader="csv",
            files={"train": "cosmosqa/train.csv", "dev": "cosmosqa/valid.csv"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns=_COSMOS,
        ),
        hub("allenai/cosmos_qa", "default", {"train": "train", "dev": "validation"}, ENGLISH, columns=_COSMOS),
    )),
    train_language="en",
    max_length=256,
    counts={"train": 25_262, "dev": 2_985},
    official=INTERMEDIATE,
    licence="CC BY 4.0",
    url="https://github.com/wilburOne/cosmosqa",
    citations=("huang-etal-2019-cosmos",),
    note="The labels of the test set are hidden.",
)  # fmt: skip

COMMONSENSEQA = choice_task(
    "commonsenseqa",
    "CommonsenseQA, questions on concepts",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"train": "commonsenseqa/train_rand_split.jsonl", "dev": "commonsenseqa/dev_rand_split.jsonl"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns={"context": "question.stem", "question": "", "choices": "question.choices.text",
                     "label": "answerKey", "id": "id"},
            values={"label": CHOICE_OF_LETTER},
        ),
        hub(
            "tau/commonsense_qa", "default", {"train": "train", "dev": "validation"}, ENGLISH,
            columns={"context": "question", "question": "", "choices": "choices.text", "label": "answerKey", "id": "id"},
            values={"label": CHOICE_OF_LETTER},
        ),
    )),
    train_language="en",
    counts={"train": 9_741, "dev": 1_221},
    official=INTERMEDIATE,
    licence="MIT",
    url="https://www.tau-nlp.sites.tau.ac.il/commonsenseqa",
    citations=("talmor-etal-2019-commonsenseqa",),
    note="The random split. Five choices. The labels of the test set are hidden.",
)  # fmt: skip

JCOMMONSENSEQA = choice_task(
    "jcommonsenseqa",
    "JCommonsenseQA, questions on concepts in Japanese",
    FileSource(
        reader="jsonl",
        files={"train": "jcommonsenseqa/train-v1.3.json", "dev": "jcommonsenseqa/valid-v1.3.json"},
        available=in_splits(("ja",), "train", "dev"),
        columns={"context": "question", "question": "", "choices": [f"choice{i}" for i in range(5)], "label": "label",
                 "id": "q_id"},
    ),
    train_language="ja",
    counts={"train": 8_939, "dev": 1_119},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0",
    url="https://github.com/yahoojapan/JGLUE",
    citations=("kurihara-etal-2022-jglue",),
    note="Version 1.3 in JGLUE (datasets/jcommonsenseqa-v1.3), collected as CommonsenseQA was: five choices. The labels of the "
    "test set are hidden.",
)  # fmt: skip

_SOCIAL = {"choices": ["answerA", "answerB", "answerC"]}
SOCIALIQA = choice_task(
    "socialiqa",
    "SocialIQA, what people feel and do",
    FallbackSource((
        FileSource(
            reader="jsonl-labels",
            files={
                split: (f"socialiqa-train-dev/{split}.jsonl", f"socialiqa-train-dev/{split}-labels.lst")
                for split in ("train", "dev")
            },
            available=in_splits(ENGLISH, "train", "dev"),
            columns=_SOCIAL,
            values={"label": CHOICE_FROM_ONE},
        ),
        FileSource(
            kind="xtreme",
            reader="jsonl",
            files={
                "train": "siqa/socialIQa_v1.4/socialIQa_v1.4_trn.jsonl",
                "dev": "siqa/socialIQa_v1.4/socialIQa_v1.4_dev.jsonl",
            },
            available=in_splits(ENGLISH, "train", "dev"),
            columns={**_SOCIAL, "label": "correct"},
            values={"label": CHOICE_OF_LETTER},
        ),
        hub(
            "allenai/social_i_qa", "default", {"train": "train", "dev": "validation"}, ENGLISH, columns=_SOCIAL,
            values={"label": CHOICE_FROM_ONE},
        ),
    )),
    train_language="en",
    counts={"train": 33_410, "dev": 1_954},
    official=INTERMEDIATE,
    licence="CC BY 4.0",
    url="https://maartensap.com/social-iqa/",
    citations=("sap-etal-2019-social",),
    note="For XCOPA, XTREME-R trains on this and then on COPA.",
)  # fmt: skip

COPA = choice_task(
    "copa",
    "COPA, causal commonsense in English",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"train": "COPA/train.jsonl", "dev": "COPA/val.jsonl"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns=_COPA,
            values=_CAUSE,
        ),
        FileSource(
            reader="copa-xml",
            files={"test": "COPA-resources/datasets/copa-test.xml"},
            available={"test": ENGLISH},
            columns={"context": "p", "question": "asks-for", "choices": ["a1", "a2"], "label": "most-plausible-alternative"},
            values={**_CAUSE, "label": CHOICE_FROM_ONE},
        ),
        FileSource(
            kind="xtreme",
            reader="jsonl",
            files={"train": "xcopa/train.en.jsonl", "dev": "xcopa/val.en.jsonl", "test": "xcopa/test.en.jsonl"},
            available=in_splits(ENGLISH, "train", "dev", "test"),
            columns=_COPA,
            values=_CAUSE,
        ),
        hub("aps/super_glue", "copa", {"train": "train", "dev": "validation"}, ENGLISH, columns=_COPA, values=_CAUSE),
    )),
    train_language="en",
    counts={"train": 400, "dev": 100, "test": 500},
    official=INTERMEDIATE,
    licence="BSD 2-Clause",
    url="https://super.gluebenchmark.com/tasks",
    citations=("roemmele-etal-2011-choice", "wang-etal-2019-superglue"),
    note="SuperGLUE's split of the authors' dev set. Its test set has no labels; the authors' own file has them.",
    faults=(PLACEHOLDER_LABELS,),
)  # fmt: skip

XCOPA = choice_task(
    "xcopa",
    "XCOPA, causal commonsense",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"dev": "xcopa/{lang}/val.{lang}.jsonl", "test": "xcopa/{lang}/test.{lang}.jsonl"},
            available=in_splits(XCOPA_LANGUAGES, "dev", "test"),
            columns=_COPA,
            values=_CAUSE,
        ),
        FileSource(
            kind="xtreme",
            reader="jsonl",
            files={"dev": "xcopa/val.{lang}.jsonl", "test": "xcopa/test.{lang}.jsonl"},
            available=in_splits(XCOPA_LANGUAGES, "dev", "test"),
            columns=_COPA,
            values=_CAUSE,
        ),
        hub(
            "cambridgeltl/xcopa", "{lang}", {"dev": "validation", "test": "test"}, XCOPA_LANGUAGES, columns=_COPA,
            values=_CAUSE,
        ),
    )),
    train_task=("socialiqa", "copa"),
    suites={"xtreme-r": XCOPA_LANGUAGES},
    counts={"dev": 100, "test": 500},
    official=xtreme(2e-5, 3e-5, 5),
    licence="CC BY 4.0",
    url="https://github.com/cambridgeltl/xcopa",
    citations=("ponti-etal-2020-xcopa", "ruder-etal-2021-xtreme"),
    note="The question is in English for every language, as in XTREME-R. XTREME-R trains five epochs on SocialIQA, then five on "
    "English COPA. Its Quechua ('qu') is not the Ayacucho Quechua ('quy') of other tasks.",
    faults=(WRONG_QUESTION,),
)  # fmt: skip

_BELEBELE = {
    "context": "flores_passage", "question": "question", "label": "correct_answer_num",
    "choices": ["mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4"],
}  # fmt: skip
BELEBELE = choice_task(
    "belebele",
    "Belebele, reading comprehension in 122 languages and scripts",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"test": "Belebele/{lang}.jsonl"},
            available={"test": tuple(BELEBELE_CODES)},
            codes=BELEBELE_CODES,
            columns=_BELEBELE,
            values={"label": CHOICE_FROM_ONE},
            numbered=True,
        ),
        hub(
            "facebook/belebele", "{lang}", {"test": "test"}, tuple(BELEBELE_CODES), codes=BELEBELE_CODES,
            columns=_BELEBELE, values={"label": CHOICE_FROM_ONE},
        ),
    )),
    train_task=("cosmosqa",),
    max_length=384,
    counts={"test": 900},
    licence="CC BY-SA 4.0",
    url="https://github.com/facebookresearch/belebele",
    citations=("bandarkar-etal-2024-belebele",),
    note="Passages of FLORES-200. Its authors train on a set assembled from six others (their assemble_training_set.py); here "
    "Cosmos QA, which also has four choices, replaces it.",
)  # fmt: skip

XSTORYCLOZE_LANGUAGES = split_codes("ar en es eu hi id my ru sw te zh")
XSTORYCLOZE = choice_task(
    "xstorycloze",
    "XStoryCloze, the right ending of a story",
    hub(
        "juletxara/xstory_cloze", "{lang}", {"train": "train", "test": "eval"}, XSTORYCLOZE_LANGUAGES,
        columns={"context": [f"input_sentence_{n}" for n in range(1, 5)], "question": "",
                 "choices": ["sentence_quiz1", "sentence_quiz2"], "label": "answer_right_ending", "id": "story_id"},
        values={"label": CHOICE_FROM_ONE},
    ),
    train_language="en",
    counts={"train": 360, "test": 1_511},
    licence="CC BY-SA 4.0",
    url="https://huggingface.co/datasets/juletxara/xstory_cloze",
    citations=("lin-etal-2022-shot", "mostafazadeh-etal-2016-corpus"),
    note="The validation set of Story Cloze (Spring 2016), which professionals translated into ten languages. 'train' and 'test' "
    "are the authors' 20% and 80% of it. Parallel: a story of 'train' is in no language a story of 'test'.",
)  # fmt: skip

TASKS = (HELLASWAG, COSMOSQA, COMMONSENSEQA, JCOMMONSENSEQA, SOCIALIQA, COPA, XCOPA, BELEBELE, XSTORYCLOZE)
