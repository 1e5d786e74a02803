"""Retrieval of translations, mining, and trained retrieval (dual encoding)."""

from __future__ import annotations

from xlift.published_recipes import xtreme
from xlift.tasks.catalog.common import ENGLISH, REMOVED_LABELS, hub, in_splits, split_codes
from xlift.tasks.catalog.flores import FLORES
from xlift.tasks.catalog.question_answering import XQUAD_LANGUAGES
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

TATOEBA_NAMES = {
    "ar": "ara", "he": "heb", "vi": "vie", "id": "ind", "jv": "jav", "tl": "tgl", "eu": "eus", "ml": "mal", "ta": "tam",
    "te": "tel", "af": "afr", "nl": "nld", "de": "deu", "el": "ell", "bn": "ben", "hi": "hin", "mr": "mar", "ur": "urd",
    "fa": "pes", "fr": "fra", "it": "ita", "pt": "por", "es": "spa", "bg": "bul", "ru": "rus", "ja": "jpn", "ka": "kat",
    "ko": "kor", "th": "tha", "sw": "swh", "zh": "cmn", "kk": "kaz", "tr": "tur", "et": "est", "fi": "fin", "hu": "hun",
    "az": "aze", "lt": "lit", "pl": "pol", "uk": "ukr", "ro": "ron",
}  # fmt: skip
TATOEBA_R = tuple(TATOEBA_NAMES)
TATOEBA_LANGUAGES = TATOEBA_R[:36]
BUCC_LANGUAGES = split_codes("de fr ru zh")
MEWSLIX_LANGUAGES = split_codes("ar de en es fa ja pl ro ta tr uk")
LAREQA_LANGUAGES = tuple(sorted(XQUAD_LANGUAGES))

BUCC2018 = Task(
    "bucc2018",
    "BUCC 2018, mining of parallel sentences",
    "mining",
    ("bucc-f1", "mining-f1"),
    FallbackSource((
        FileSource(
            reader="bucc",
            files={
                split: tuple(f"bucc2018/{{lang}}-en/{{lang}}-en.{name}.{ending}" for ending in ("{lang}", "en", "gold"))
                for split, name in (("dev", "sample"), ("test", "training"))
            },
            available=in_splits(BUCC_LANGUAGES, "dev", "test"),
        ),
        FileSource(
            kind="xtreme",
            reader="bucc",
            files={
                "dev": tuple(f"bucc2018/{{lang}}-en.dev.{ending}" for ending in ("{lang}", "en", "gold")),
                "test": tuple(f"bucc2018/{{lang}}-en.test.{ending}" for ending in ("{lang}", "en")),
            },
            available=in_splits(BUCC_LANGUAGES, "dev", "test"),
            originals={"test": "bucc2018-LANG-en.training-gold.tar.bz2 of https://comparable.limsi.fr/bucc2018/"},
        ),
    )),
    suites={"xtreme": BUCC_LANGUAGES},
    licence="free for research (see the site)",
    url="https://comparable.limsi.fr/bucc2018/bucc2018-task.html",
    citations=("zweigenbaum-etal-2018-overview",),
    note="As in XTREME, 'dev' is BUCC's sample and 'test' its training set, whose gold is public; the threshold is tuned on "
    "dev. 1,896 to 14,330 gold pairs among hundreds of thousands of sentences.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

TATOEBA = Task(
    "tatoeba",
    "Tatoeba, retrieval of translations",
    "retrieval",
    ("accuracy",),
    FallbackSource((
        FileSource(
            reader="pairs",
            files={"test": ("tatoeba/tatoeba.{lang}-eng.{lang}", "tatoeba/tatoeba.{lang}-eng.eng")},
            available={"test": TATOEBA_R},
            codes=TATOEBA_NAMES,
        ),
        hub(
            "google/xtreme", "tatoeba.{lang}", {"test": "validation"}, TATOEBA_LANGUAGES,
            codes=TATOEBA_NAMES, columns={"text": "source_sentence", "translation": "target_sentence"},
        ),
    )),
    suites={"xtreme": TATOEBA_LANGUAGES, "xtreme-r": TATOEBA_R},
    counts={
        "test": dict.fromkeys(split_codes("de fr es zh ar hi ja tr fi"), 1_000)
        | {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ka": 746},
    },
    licence="CC BY 2.0 FR",
    url="https://github.com/facebookresearch/LASER",
    citations=("artetxe-schwenk-2019-massively",),
    note="LASER's files, each language with English; from 205 (jv) to 1,000 sentences. Nothing is trained: the encoder of the "
    "intermediate stage is used unchanged. XTREME's scripts sort the English side and do not publish its order, so their "
    "files cannot be scored.",
)  # fmt: skip

FLORES200 = Task(
    "flores200",
    "FLORES-200, sentences in 204 languages and scripts",
    "retrieval",
    ("accuracy",),
    FileSource(
        reader="pairs",
        files={
            "dev": ("flores200_dataset/dev/{lang}.dev", "flores200_dataset/dev/eng_Latn.dev"),
            "test": ("flores200_dataset/devtest/{lang}.devtest", "flores200_dataset/devtest/eng_Latn.devtest"),
        },
        available=in_splits(tuple(code for code in FLORES if code != "en"), "dev", "test"),
        codes=FLORES,
    ),
    counts={"dev": 997, "test": 1_012},
    licence="CC BY-SA 4.0",
    url="https://github.com/facebookresearch/flores/tree/main/flores200",
    citations=("nllb-2022-no", "goyal-etal-2022-flores"),
    note="Each language paired with English. 'test' is devtest; the third part was never published. SIB-200 and Belebele are "
    "made from the same sentences.",
)

LAREQA = Task(
    "lareqa",
    "LAReQA (XQuAD-R), retrieval of answers in all languages",
    "dual-encoding",
    ("map@20", "map"),
    FallbackSource((
        FileSource(
            reader="lareqa",
            files={
                "train": {"en": "squad/train-v1.1.json"},
                "dev": {"en": ("squad/dev-v1.1.json", "squad/dev-v1.1.json")},
                "test": {code: (f"xquad-r/{code}.json", *(f"xquad-r/{other}.json" for other in LAREQA_LANGUAGES))
                         for code in LAREQA_LANGUAGES},
            },
            available={"train": ENGLISH, "dev": ENGLISH, "test": LAREQA_LANGUAGES},
        ),
        FileSource(
            kind="xtreme",
            reader="lareqa",
            files={
                "test": {code: (f"lareqa/xquad-r/{code}.json", *(f"lareqa/xquad-r/{other}.json" for other in LAREQA_LANGUAGES))
                         for code in LAREQA_LANGUAGES},
            },
            available={"test": LAREQA_LANGUAGES},
        ),
    )),
    train_language="en",
    suites={"xtreme-r": ()},
    official=xtreme(2e-5, 2e-5, 3, 256, batch_size=16),
    max_length=256,
    options={"query_length": 96, "pooling": "pooler"},
    licence="CC BY-SA 4.0",
    url="https://github.com/google-research-datasets/lareqa",
    citations=("roy-etal-2020-lareqa", "ruder-etal-2021-xtreme"),
    examples_of={"dev": "squad/dev", "test": "squad/dev"},
    note="XQuAD-R: the questions of a language against the sentences of all eleven. Trained on SQuAD v1.1's questions and the "
    "sentences of their answers. XTREME-R's evaluate.py lists it without languages or a metric, so its total is never "
    "printed; its script for it computes mAP@20, the paper reports full mAP.",
)  # fmt: skip

_MEWSLIX = {
    "train": {"en": "mewslix/wikipedia_pairs-train.jsonl"},
    **{
        split: dict.fromkeys(
            MEWSLIX_LANGUAGES, (f"mewslix/wikinews_mentions-{split}.jsonl", "mewslix/candidate_set_entities.jsonl")
        )
        for split in ("dev", "test")
    },
}
MEWSLIX = Task(
    "mewslix",
    "Mewsli-X, retrieval of entities",
    "dual-encoding",
    ("mrr@20", "map@20"),
    FileSource(
        reader="mewslix",
        files=_MEWSLIX,
        available={"train": ENGLISH, **in_splits(MEWSLIX_LANGUAGES, "dev", "test")},
    ),
    train_language="en",
    suites={"xtreme-r": MEWSLIX_LANGUAGES},
    counts={
        "train": 167_719,
        "dev": {"ar": 318, "de": 326, "en": 316, "es": 311, "fa": 72, "ja": 310, "pl": 304, "ro": 145, "ta": 312, "tr": 262,
                "uk": 315},
        "test": {"ar": 1_501, "de": 1_551, "en": 1_490, "es": 1_552, "fa": 458, "ja": 1_519, "pl": 1_562, "ro": 672,
                 "ta": 1_567, "tr": 1_215, "uk": 1_537},
    },
    official=xtreme(2e-5, 1e-5, 2, 64, batch_size=256),
    max_length=64,
    options={"pooling": "pooler"},
    licence="CC BY-SA 4.0 (Wikipedia), CC BY 2.5 (WikiNews)",
    url="https://github.com/google-research/google-research/tree/master/dense_representations_for_entity_retrieval/mel",
    citations=("ruder-etal-2021-xtreme", "botha-etal-2020-entity"),
    note="Mentions in WikiNews, each linked to one of 1,003,893 entities described in 50 languages. The counts are the mentions "
    "of release 20220518, which differs from the paper's. The benchmark's mAP@20 is the mean reciprocal rank at 20, since one "
    "entity is correct. XTREME-R's large model is trained with batches of 32.",
)  # fmt: skip

TASKS = (BUCC2018, TATOEBA, LAREQA, MEWSLIX, FLORES200)
