"""Natural language inference (NLI): whether one sentence follows from another."""

from __future__ import annotations

from typing import Any

from xlift.hub import PARQUET_BRANCH
from xlift.published_recipes import INTERMEDIATE, jiant, mt5, xtreme
from xlift.tasks.catalog.common import ENGLISH, REMOVED_LABELS, hub, in_splits, map_codes, split_codes
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

NLI = ("entailment", "neutral", "contradiction")
"""The same class order for every NLI task (GLUE's), so that a head trained on one fits the others. XTREME and jiant order
the classes contradiction, entailment, neutral."""
NLI_NUMBERS = {"label": {"0": "entailment", "1": "neutral", "2": "contradiction"}}
"""The label numbers of the Hub's datasets and of the typo files."""

XNLI_LANGUAGES = split_codes("ar bg de el en es fr hi ru sw th tr ur vi zh")
AMERICAS = split_codes("ay bzd cni gn hch nah oto quy shp tar")
AFRICAN_CODES = map_codes("amh eng ewe fra hau ibo kin lin lug orm sna sot swa twi wol xho yor zul")
_PAIR = {"text_a": "sentence1", "text_b": "sentence2"}
_TRANSLATIONS = "xtreme_translations/XNLI/translate-train"
_GOLD = {**_PAIR, "label": "gold_label"}


def nli_task(name: str, title: str, source: Any, **more: Any) -> Task:
    """An NLI task; all have the same labels and metric."""
    return Task(name, title, "classification", ("accuracy",), source, labels=NLI, **more)


MNLI = nli_task(
    "mnli",
    "MultiNLI, natural language inference",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"train": "multinli_1.0/multinli_1.0_train.jsonl", "dev": "multinli_1.0/multinli_1.0_dev_matched.jsonl"},
            available=in_splits(ENGLISH, "train", "dev"),
            columns=_GOLD,
            drop=("-",),
        ),
        FileSource(
            kind="xtreme",
            reader="quoted-tsv",
            files={"train": "xnli/train-en.tsv"},
            available={"train": ENGLISH},
            header=("text_a", "text_b", "label"),
        ),
        hub("nyu-mll/glue", "mnli", {"train": "train", "dev": "validation_matched"}, ENGLISH, values=NLI_NUMBERS),
    )),
    train_language="en",
    counts={"train": 392_702, "dev": 9_815},
    official=INTERMEDIATE,
    licence="mixed, from OANC's to CC BY-SA 3.0 (see the paper)",
    url="https://cims.nyu.edu/~sbowman/multinli/",
    citations=("williams-etal-2018-broad",),
    note="'dev' is the matched part without the 185 pairs that have no majority label. XTREME trains on this for XNLI.",
)  # fmt: skip

SNLI = nli_task(
    "snli",
    "SNLI, natural language inference",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={split: f"snli_1.0/snli_1.0_{split}.jsonl" for split in ("train", "dev", "test")},
            available=in_splits(ENGLISH, "train", "dev", "test"),
            columns=_GOLD,
            drop=("-",),
        ),
        hub(
            "stanfordnlp/snli", "plain_text", {"train": "train", "dev": "validation", "test": "test"}, ENGLISH,
            values=NLI_NUMBERS, drop=("-1",),
        ),
    )),
    train_language="en",
    counts={"train": 549_367, "dev": 9_842, "test": 9_824},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0",
    url="https://nlp.stanford.edu/projects/snli/",
    citations=("bowman-etal-2015-large",),
    note="Pairs without a majority label ('-') are dropped: 785 of the 550,152 training pairs.",
)  # fmt: skip

_ROUNDS = ("R1", "R2", "R3")
ANLI = nli_task(
    "anli",
    "ANLI, adversarial NLI in three rounds",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={split: tuple(f"anli_v1.0/{r}/{split}.jsonl" for r in _ROUNDS) for split in ("train", "dev", "test")},
            available=in_splits(ENGLISH, "train", "dev", "test"),
            columns={"text_a": "context", "text_b": "hypothesis", "label": "label"},
            values={"label": {"e": "entailment", "n": "neutral", "c": "contradiction"}},
        ),
        hub(
            "facebook/anli", "plain_text",
            {ours: tuple(f"{theirs}_{r.lower()}" for r in _ROUNDS)
             for ours, theirs in (("train", "train"), ("dev", "dev"), ("test", "test"))},
            ENGLISH, values=NLI_NUMBERS,
        ),
    )),
    train_language="en",
    counts={"train": 162_865, "dev": 3_200, "test": 3_200},
    official=INTERMEDIATE,
    licence="CC BY-NC 4.0",
    url="https://github.com/facebookresearch/anli",
    citations=("nie-etal-2020-adversarial",),
    note="The three rounds one after the other: 16,946, 45,460 and 100,459 training pairs.",
)  # fmt: skip

ANLI_PLUS = nli_task(
    "anli-plus",
    "ANLI+: SNLI, MNLI and ANLI as one task",
    ConcatenatedSource((SNLI, MNLI, ANLI), available=in_splits(ENGLISH, "train", "dev")),
    train_language="en",
    counts={"train": 549_367 + 392_702 + 162_865, "dev": 9_842 + 9_815 + 3_200},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0 (SNLI), mixed (MNLI), CC BY-NC 4.0 (ANLI)",
    url="https://github.com/facebookresearch/anli",
    citations=(
        "bowman-etal-2015-large",
        "williams-etal-2018-broad",
        "nie-etal-2020-adversarial",
        "phang-etal-2020-english",
    ),
    note="The three concatenated: one head, each sampled in proportion to its size, as in X-STILTs.",
)

XNLI = nli_task(
    "xnli",
    "XNLI, natural language inference",
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"dev": "XNLI-1.0/xnli.dev.tsv", "test": "XNLI-1.0/xnli.test.tsv"},
            available=in_splits(XNLI_LANGUAGES, "dev", "test"),
            columns=_GOLD,
            where={"language": "{lang}"},
        ),
        FileSource(
            reader="jsonl",
            files={"dev": "XNLI-1.0/xnli.dev.jsonl", "test": "XNLI-1.0/xnli.test.jsonl"},
            available=in_splits(XNLI_LANGUAGES, "dev", "test"),
            columns=_GOLD,
            where={"language": "{lang}"},
        ),
        FileSource(
            reader="tsv",
            files={"dev": "kornli/xnli.dev.{lang}.tsv", "test": "kornli/xnli.test.{lang}.tsv"},
            available=in_splits(("ko",), "dev", "test"),
            columns=_GOLD,
        ),
        FileSource(
            kind="xtreme",
            reader="quoted-tsv",
            files={"dev": "xnli/dev-{lang}.tsv", "test": "xnli/test-{lang}.tsv"},
            available=in_splits(XNLI_LANGUAGES, "dev", "test"),
            header=("text_a", "text_b", "label"),
            originals={"test": "XNLI-1.0/xnli.test.tsv of XNLI-1.0.zip, https://github.com/facebookresearch/XNLI"},
        ),
        hub("facebook/xnli", "{lang}", {"dev": "validation", "test": "test"}, XNLI_LANGUAGES, values=NLI_NUMBERS),
    )),
    train_task=("mnli",),
    suites={"xtreme": XNLI_LANGUAGES, "xtreme-r": XNLI_LANGUAGES},
    counts={"dev": 2_490, "test": 5_010},
    official=xtreme(2e-5, 3e-5, 5, eval_steps=100) | jiant(2) | mt5(8000, batch_tokens=2**20),
    licence="CC BY-NC 4.0 (Korean: CC BY-SA 4.0)",
    url="https://github.com/facebookresearch/XNLI",
    citations=("conneau-etal-2018-xnli", "ham-etal-2020-kornli"),
    note="Korean is KorNLI's dev and test, translated by people from XNLI; it is not one of XNLI's own 15 languages. "
    "XTREME's files have no labels in the test sets, and doubled quotes in the texts.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

XNLI_MT = nli_task(
    "xnli-mt",
    "MultiNLI translated by machine into XNLI's languages",
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"train": "XNLI-MT-1.0/multinli/multinli.train.{lang}.tsv"},
            available={"train": XNLI_LANGUAGES},
            columns={"text_a": "premise", "text_b": "hypo", "label": "label"},
            values={"label": {"contradictory": "contradiction"}},
            joined=True,
        ),
        hub("facebook/xnli", "{lang}", {"train": "train"}, XNLI_LANGUAGES, values=NLI_NUMBERS, joined=True),
    )),
    train_language="en",
    counts={"train": 392_702},
    official=INTERMEDIATE,
    licence="CC BY-NC 4.0",
    url="https://github.com/facebookresearch/XNLI",
    citations=("conneau-etal-2018-xnli",),
    note="The English file is MultiNLI itself. Row n of every file is assumed to translate row n of the English one; no source "
    "states this. If both files are present, their labels are compared, and a difference is an error.",
)  # fmt: skip

XNLI_TRANSLATED = nli_task(
    "xnli-translate-train",
    "MultiNLI translated by XTREME's authors into XNLI's languages",
    FileSource(
        reader="translated-tsv",
        files={
            "train": {code: f"{_TRANSLATIONS}/en-{code}-translated.tsv" for code in XNLI_LANGUAGES if code != "en"}
            | {"en": f"{_TRANSLATIONS}/en-de-translated.tsv"}
        },
        available={"train": XNLI_LANGUAGES},
        values={"label": {"contradictory": "contradiction"}},
        joined=True,
    ),
    train_language="en",
    official=INTERMEDIATE,
    licence="not stated; MultiNLI's is mixed, from OANC's to CC BY-SA 3.0",
    url="https://console.cloud.google.com/storage/browser/xtreme_translations",
    citations=("williams-etal-2018-broad", "hu-etal-2020-xtreme"),
    note="Translations by another system than XNLI's own (xnli-mt). Files and columns follow TensorFlow Datasets (xtreme_xnli); "
    "no source gives the numbers of rows. Rows are in another order than in MultiNLI and include their English original, by "
    "which languages are matched; 'en' is the originals in the German file.",
)  # fmt: skip

OCNLI = nli_task(
    "ocnli",
    "OCNLI, NLI written in Chinese",
    FallbackSource((
        FileSource(
            reader="jsonl",
            files={"train": "ocnli/train.50k.json", "test": "ocnli/dev.json"},
            available=in_splits(("zh",), "train", "test"),
            columns={**_PAIR, "label": "label", "id": "id"},
            drop=("-",),
        ),
        FileSource(
            reader="jsonl",
            files={"train": "ocnli/train.3k.json"},
            available={"train": ("zh",)},
            columns={**_PAIR, "label": "label", "id": "id"},
            drop=("-",),
        ),
        hub(
            "clue/clue", "ocnli", {"train": "train", "test": "validation"}, ("zh",),
            values={"label": {"0": "neutral", "1": "entailment", "2": "contradiction"}}, drop=("-1",),
        ),
    )),
    train_language="zh",
    counts={"train": 50_437, "test": 2_950},
    official=INTERMEDIATE,
    licence="CC BY-NC 2.0",
    url="https://github.com/CLUEbenchmark/OCNLI",
    citations=("hu-etal-2020-ocnli",),
    note="Without the authors' train.50k, 'train' is their sample of 3,000 pairs (train.3k). 'test' is their public dev set, "
    "since the labels of their test set are hidden; there is no dev split to select on. Pairs without a majority label ('-') "
    "are dropped.",
)  # fmt: skip

KORNLI = nli_task(
    "kornli",
    "KorNLI, SNLI and MNLI translated by machine into Korean",
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"train": ("kornli/snli_1.0_train.{lang}.tsv", "kornli/multinli.train.{lang}.tsv")},
            available={"train": ("ko",)},
            columns=_GOLD,
        ),
        HubSource(
            "kakaobrain/kor_nli",
            files={"train": ("snli/train/*.parquet", "multi_nli/train/*.parquet")},
            available={"train": ("ko",)},
            values=NLI_NUMBERS,
            revision=PARQUET_BRANCH,
        ),
    )),
    train_language="ko",
    counts={"train": 942_854},
    official=INTERMEDIATE,
    licence="CC BY-SA 4.0",
    url="https://github.com/kakaobrain/kor-nlu-datasets",
    citations=("ham-etal-2020-kornli",),
    note="Its dev and test sets, translated by people, are the Korean part of `xnli`.",
)  # fmt: skip

AMERICASNLI = nli_task(
    "americasnli",
    "AmericasNLI, NLI in languages of the Americas",
    FallbackSource((
        FileSource(
            reader="tsv",
            files={"dev": "americasnli/dev/{lang}.tsv", "test": "americasnli/test/{lang}.tsv"},
            available=in_splits(AMERICAS, "dev", "test"),
            codes={"ay": "aym"},
            columns={"text_a": "premise", "text_b": "hypothesis", "label": "label", "id": "id"},
        ),
        hub(
            "nala-cub/americas_nli", "{lang}", {"dev": "validation", "test": "test"}, AMERICAS, codes={"ay": "aym"},
            values=NLI_NUMBERS,
        ),
    )),
    train_task=("mnli",),
    counts={
        "dev": dict.fromkeys(split_codes("ay bzd gn hch quy shp tar"), 743) | {"cni": 658, "nah": 376, "oto": 222},
        "test": dict.fromkeys(split_codes("ay bzd cni gn hch quy shp tar"), 750) | {"nah": 738, "oto": 748},
    },
    licence="CC BY-SA 4.0",
    url="https://github.com/abteen/americasnli",
    citations=("ebrahimi-etal-2022-americasnli",),
    note="Translated from XNLI's Spanish dev and test sets, so a model selected on XNLI has seen the content. Nahuatl ('nah') "
    "and Otomi ('oto') are groups of languages, named as by the authors.",
)  # fmt: skip

AFRIXNLI = nli_task(
    "afrixnli",
    "AfriXNLI, NLI in African languages",
    hub(
        "masakhane/afrixnli", "{lang}", {"dev": "validation", "test": "test"}, tuple(AFRICAN_CODES), codes=AFRICAN_CODES,
        values=NLI_NUMBERS,
    ),
    train_task=("mnli",),
    counts={"dev": 450, "test": 600},
    licence="Apache 2.0",
    url="https://huggingface.co/datasets/masakhane/afrixnli",
    citations=("adelani-etal-2025-irokobench",),
    note="Part of IrokoBench: people translated pairs of XNLI's English dev and test sets into 16 African languages; English and "
    "French are beside them. A model selected on XNLI has seen the content.",
)  # fmt: skip

XNLI_TYPOS = nli_task(
    "xnli-typos",
    "XNLI test with natural typos",
    FileSource(
        reader="tsv",
        files={"test": "xnli-typos/test_{lang}_typos_0.05.tsv"},
        available={"test": split_codes("en de es fr hi tr")},
        columns={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
        values=NLI_NUMBERS,
        unquote=True,
    ),
    train_task=("mnli",),
    counts={"test": {"en": 5_010, "de": 658, "hi": 3_709}},
    licence="CC BY-NC 4.0",
    url="https://github.com/amazon-science/multilingual-robust-contrastive-pretraining",
    citations=("stickland-etal-2023-robustification",),
    note="5% of the words are replaced by misspellings made by people. The languages have different numbers of pairs (en 5,010, "
    "de 658), so rows are not aligned between languages or with clean XNLI.",
)

TASKS = (MNLI, SNLI, ANLI, ANLI_PLUS, XNLI_MT, XNLI_TRANSLATED, OCNLI, KORNLI, XNLI, AMERICASNLI, AFRIXNLI, XNLI_TYPOS)
