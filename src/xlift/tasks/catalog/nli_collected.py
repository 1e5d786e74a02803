"""NLI that people wrote or translated in one or two languages: training data of some thousand pairs."""

from __future__ import annotations

from xlift.published_recipes import INTERMEDIATE
from xlift.tasks.catalog.common import ENGLISH, in_splits
from xlift.tasks.catalog.nli import nli_task
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource

_INDONESIAN = ("id",)
_FIRST_LETTERS = {"label": {"e": "entailment", "n": "neutral", "c": "contradiction"}}
_GOLD = {"text_a": "sentence1", "text_b": "sentence2", "label": "gold_label"}

LITL_NLI = nli_task(
    "litl-nli",
    "LitL, NLI written for premises of MultiNLI",
    FileSource(
        reader="jsonl",
        files={
            "train": "litl-nli/train_round3_baseline_combined.jsonl",
            "dev": "litl-nli/val_round3_base_combined.jsonl",
        },
        available=in_splits(ENGLISH, "train", "dev"),
    ),
    train_language="en",
    counts={"train": 8_997, "dev": 1_481},
    official=INTERMEDIATE,
    licence="none stated; the premises are MultiNLI's",
    url="https://github.com/Alicia-Parrish/ling_in_loop",
    citations=("parrish-etal-2021-putting-linguist",),
    note="The baseline protocol of 'linguist in the loop' (NLI_data/1_Baseline_protocol), rounds 1 to 3: new hypotheses for "
    "2,999 premises of MultiNLI. The labels of dev are a majority of five. For later rounds or the other protocols declare a "
    "custom task.",
)

ESNLI = nli_task(
    "esnli",
    "e-SNLI's files of SNLI's dev and test sets",
    FileSource(
        reader="aligned-lines",
        files={split: tuple(f"esnli/{name}.{split}" for name in ("s1", "s2", "labels")) for split in ("dev", "test")},
        available=in_splits(ENGLISH, "dev", "test"),
        header=("text_a", "text_b", "label"),
    ),
    train_task=("snli",),
    counts={"dev": 9_842, "test": 9_824},
    licence="CC BY-SA 4.0 (SNLI's)",
    url="https://github.com/OanaMariaCamburu/e-SNLI",
    citations=("camburu-etal-2018-e-snli", "bowman-etal-2015-large"),
    note="The pairs and labels of `snli`, with spaces around punctuation (dataset/eSNLI). As little English training data, use "
    "`split: dev`.",
)

OCNLI_10K = nli_task(
    "ocnli-10k",
    "OCNLI's sample of 10,000 training pairs",
    FileSource(
        reader="jsonl",
        files={"train": "ocnli/train.10k.json"},
        available={"train": ("zh",)},
        columns={"text_a": "sentence1", "text_b": "sentence2", "label": "label", "id": "id"},
        drop=("-",),
    ),
    train_language="zh",
    counts={"train": 9_985},
    official=INTERMEDIATE,
    licence="CC BY-NC 2.0",
    url="https://github.com/CLUEbenchmark/OCNLI",
    citations=("hu-etal-2020-ocnli",),
    note="A part of `ocnli`, and it holds the sample of 3,000 (train.3k). 15 pairs without a majority label ('-') are dropped.",
)

INDONLI = nli_task(
    "indonli",
    "IndoNLI, NLI written in Indonesian",
    FileSource(
        reader="jsonl",
        files={"train": "indonli/train.jsonl", "dev": "indonli/val.jsonl", "test": "indonli/test_lay.jsonl"},
        available=in_splits(_INDONESIAN, "train", "dev", "test"),
        values=_FIRST_LETTERS,
    ),
    train_language="id",
    counts={"train": 10_330, "dev": 2_197, "test": 2_201},
    official=INTERMEDIATE,
    licence="premises CC BY-SA 3.0, CC BY-SA 4.0 and Apache 2.0",
    url="https://github.com/ir-nlp-csui/indonli",
    citations=("mahendra-etal-2021-indonli",),
    note="'test' is the test set by lay annotators (test_lay); that by experts is `indonli-expert`.",
)

INDONLI_EXPERT = nli_task(
    "indonli-expert",
    "IndoNLI's test set written by experts",
    FileSource(
        reader="jsonl",
        files={"test": "indonli/test_expert.jsonl"},
        available={"test": _INDONESIAN},
        values=_FIRST_LETTERS,
    ),
    train_task=("indonli",),
    counts={"test": 2_984},
    licence="premises CC BY-SA 3.0, CC BY-SA 4.0 and Apache 2.0",
    url="https://github.com/ir-nlp-csui/indonli",
    citations=("mahendra-etal-2021-indonli",),
    note="Written by experts to be hard: numbers, changes of structure, idioms, time and space.",
)

INDONLI_MT = nli_task(
    "indonli-mt",
    "A part of MultiNLI translated by machine into Indonesian",
    FallbackSource(
        tuple(
            FileSource(
                reader="tar-jsonl",
                files={split: "indonli/translate_train_small.tar.gz"},
                available={split: _INDONESIAN},
                columns=_GOLD,
                where={"member": f"translate_train_small/{split}.jsonl"},
                drop=("-",),
            )
            for split in ("train", "dev")
        )
    ),
    train_language="id",
    counts={"train": 10_330, "dev": 2_158},
    official=INTERMEDIATE,
    licence="not stated; MultiNLI's is mixed, from OANC's to CC BY-SA 3.0",
    url="https://github.com/ir-nlp-csui/indonli",
    citations=("mahendra-etal-2021-indonli", "williams-etal-2018-broad"),
    note="The authors' translate_train_small.tar.gz: as many pairs of MultiNLI as `indonli` has. The archive is read as it is. 40 "
    "pairs of dev without a majority label ('-') are dropped.",
)

FARSTAIL = nli_task(
    "farstail",
    "FarsTail, NLI written in Persian",
    FileSource(
        reader="quoted-tsv",
        files={"train": "farstail/Train-word.csv", "dev": "farstail/Val-word.csv", "test": "farstail/Test-word.csv"},
        available=in_splits(("fa",), "train", "dev", "test"),
        values=_FIRST_LETTERS,
    ),
    train_language="fa",
    counts={"train": 7_266, "dev": 1_537, "test": 1_564},
    official=INTERMEDIATE,
    licence="Apache 2.0",
    url="https://github.com/dml-qom/FarsTail",
    citations=("amirkhani-etal-2020-farstail",),
    note="Made from multiple-choice questions. The files are separated by tabs in spite of their names.",
)

_SICK_SPLITS = {"train": "TRAIN", "dev": "TRIAL", "test": "TEST"}
_SICK_SUFFIXES = {"en": "_original", "nl": ""}
SICK = nli_task(
    "sick",
    "SICK and SICK-NL, NLI of short sentences in English and Dutch",
    FallbackSource(
        tuple(
            FileSource(
                reader="tsv",
                files={split: "sick/SICK_NL.txt"},
                available={split: (language,)},
                columns={
                    "text_a": f"sentence_A{suffix}",
                    "text_b": f"sentence_B{suffix}",
                    "label": "entailment_label",
                    "id": "pair_ID",
                },
                values={"label": {name.upper(): name for name in ("entailment", "neutral", "contradiction")}},
                where={"SemEval_set": published},
                joined=True,
            )
            for split, published in _SICK_SPLITS.items()
            for language, suffix in _SICK_SUFFIXES.items()
        )
    ),
    train_language="en",
    counts={"train": 4_439, "dev": 495, "test": 4_906},
    official=INTERMEDIATE,
    licence="CC BY-NC-SA 3.0 (SICK-NL: MIT)",
    url="https://github.com/gijswijnholds/sick_nl",
    citations=("wijnholds-moortgat-2021-sick", "marelli-etal-2014-sick"),
    note="One table: each row has the Dutch pair beside the English one, with one label, and names its split. 'dev' is SemEval's "
    "trial set.",
)

TASKS = (LITL_NLI, OCNLI_10K, INDONLI, INDONLI_MT, FARSTAIL, SICK, ESNLI, INDONLI_EXPERT)
