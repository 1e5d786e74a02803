"""Tagging of words: parts of speech, names, supertags."""

from __future__ import annotations

from typing import Any

from xlift.published_recipes import INTERMEDIATE, jiant, mt5, xtreme
from xlift.tasks.catalog.common import ENGLISH, REMOVED_LABELS, Languages, hub, in_splits, split_codes
from xlift.tasks.metrics.chunks import UPOS
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

PANX_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
MASAKHANER_TAGS = (*PANX_TAGS, "B-DATE", "I-DATE")
SPLITS = ("train", "dev", "test")
VALIDATION = {"train": "train", "dev": "validation", "test": "test"}

UDPOS_LANGUAGES = split_codes(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"
)
UDPOS_R = (*UDPOS_LANGUAGES, *split_codes("lt pl uk wo ro"))
UDPOS_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "kk": "Kazakh", "ko": "Korean",
    "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian", "ta": "Tamil", "te": "Telugu", "th": "Thai",
    "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu", "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip
"""Language -> the configuration of google/xtreme."""
WITHOUT_TRAINING = split_codes("kk th tl yo")
"""Languages without usable train or dev (XTREME: "th, tl, yo, kk have no train or dev")."""

PANX_LANGUAGES = split_codes(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
)
PANX_R = (*PANX_LANGUAGES, *split_codes("qu pl uk az lt pa gu ro"))

MASAKHANER = {
    "bm": "bam", "bbj": "bbj", "ee": "ewe", "fon": "fon", "ha": "hau", "ig": "ibo", "rw": "kin", "lg": "lug", "luo": "luo",
    "mos": "mos", "ny": "nya", "pcm": "pcm", "sn": "sna", "sw": "swa", "tn": "tsn", "tw": "twi", "wo": "wol", "xh": "xho",
    "yo": "yor", "zu": "zul",
}  # fmt: skip


def _map_numbers(tags: tuple[str, ...]) -> dict[str, dict[str, str]]:
    return {"tags": {str(number): tag for number, tag in enumerate(tags)}}


def _parse_counts(table: str) -> dict[str, dict[str, int]]:
    """Split -> language -> number of examples, from lines of 'code train dev test'."""
    rows = [line.split() for line in table.strip().splitlines()]
    return {split: {row[0]: int(row[i]) for row in rows} for i, split in enumerate(SPLITS, start=1)}


def _with_training(languages: Languages) -> Languages:
    return tuple(code for code in languages if code not in WITHOUT_TRAINING)


def _pos_task(name: str, title: str, source: Any, **more: Any) -> Task:
    return Task(
        name, title, "tagging", ("tag-accuracy", "chunk-f1-legacy"), source, labels=UPOS, train_language="en",
        licence="the treebanks' own, mostly CC BY-SA 3.0 or 4.0", url="https://universaldependencies.org",
        citations=("nivre-etal-2020-universal",), **more,
    )  # fmt: skip


UDPOS = _pos_task(
    "udpos",
    "Universal Dependencies, parts of speech",
    FallbackSource((
        FileSource(
            reader="conllu",
            files={split: f"ud*/UD_*/{{lang}}_*-ud-{split}.conllu" for split in SPLITS},
            available={**in_splits(_with_training(UDPOS_R), "train", "dev"), "test": UDPOS_R},
        ),
        FileSource(
            kind="xtreme",
            reader="conll",
            files={split: f"udpos/{split}-{{lang}}.tsv" for split in SPLITS},
            available={**in_splits(_with_training(UDPOS_R), "train", "dev"), "test": UDPOS_R},
            originals={"test": "the treebanks of Universal Dependencies 2.5 (2.7 for lt, pl, ro, uk, wo)"},
        ),
        hub(
            "google/xtreme", "udpos.{lang}", {"train": "train", "dev": "validation"}, _with_training(UDPOS_LANGUAGES),
            codes=UDPOS_NAMES, values=_map_numbers(UPOS),
        ),
        hub("google/xtreme", "udpos.{lang}", {"test": "test"}, UDPOS_LANGUAGES, codes=UDPOS_NAMES, values=_map_numbers(UPOS)),
    )),
    suites={"xtreme": UDPOS_LANGUAGES, "xtreme-r": UDPOS_R},
    counts={"train": {"en": 21_253}, "dev": {"en": 3_974}},
    official=xtreme(2e-5, 2e-5, 10, eval_steps=500) | jiant(10),
    note="All treebanks of a language one after the other, as in XTREME: version 2.5, and 2.7 for lt, pl, ro, uk and wo. Other "
    "treebanks or versions give other scores. The Hub's copy is of 2.5 and differs slightly from XTREME's (22,458 German test "
    "sentences; the paper counts at most 20,436). XTREME reports chunk F1 by seqeval 0.0.12, shown second; accuracy per word "
    "better separates a tagger from the majority tag.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

UDPOS_PUD = _pos_task(
    "udpos-pud",
    "Parts of speech in parallel treebanks (PUD)",
    FileSource(
        reader="conllu",
        files={
            "train": {"en": "ud/UD_English-EWT/en_ewt-ud-dev.conllu"},
            "dev": {"en": "ud/UD_English-EWT/en_ewt-ud-test.conllu"},
            "test": {
                "en": "ud/UD_English-PUD/en_pud-ud-test.conllu",
                "de": "ud/UD_German-PUD/de_pud-ud-test.conllu",
                "fr": "ud/UD_French-PUD/fr_pud-ud-test.conllu",
                "hi": "ud/UD_Hindi-PUD/hi_pud-ud-test.conllu",
            },
        },
        available={"train": ENGLISH, "dev": ENGLISH, "test": ("en", "de", "fr", "hi")},
    ),
    counts={"train": 2_001, "dev": 2_077, "test": 1_000},
    note="To train and test on a small scale: 'train' is EWT's *dev* file and 'dev' is EWT's *test* file (its train file is not "
    "used); 'test' is the same 1,000 sentences in each language.",
)

PANX = Task(
    "panx",
    "PAN-X (WikiANN), named entities",
    "tagging",
    ("entity-f1",),
    FallbackSource((
        FileSource(
            reader="panx",
            files={split: f"panx_dataset/{{lang}}-{split}" for split in SPLITS},
            available=in_splits(PANX_R, *SPLITS),
        ),
        FileSource(
            kind="xtreme",
            reader="conll",
            files={split: f"panx/{split}-{{lang}}.tsv" for split in SPLITS},
            available=in_splits(PANX_R, *SPLITS),
            originals={"test": "LANG-test of XTREME's panx_dataset, or unimelb-nlp/wikiann on the Hub"},
        ),
        hub("unimelb-nlp/wikiann", "{lang}", VALIDATION, PANX_R, values=_map_numbers(PANX_TAGS)),
    )),
    labels=PANX_TAGS,
    train_language="en",
    suites={"xtreme": PANX_LANGUAGES, "xtreme-r": PANX_R},
    counts=_parse_counts("""
        af  5000  1000  1000
        ar 20000 10000 10000
        bg 20000 10000 10000
        bn 10000  1000  1000
        de 20000 10000 10000
        el 20000 10000 10000
        en 20000 10000 10000
        es 20000 10000 10000
        et 15000 10000 10000
        eu 10000 10000 10000
        fa 20000 10000 10000
        fi 20000 10000 10000
        fr 20000 10000 10000
        he 20000 10000 10000
        hi  5000  1000  1000
        hu 20000 10000 10000
        id 20000 10000 10000
        it 20000 10000 10000
        ja 20000 10000 10000
        jv   100   100   100
        ka 10000 10000 10000
        kk  1000  1000  1000
        ko 20000 10000 10000
        ml 10000  1000  1000
        mr  5000  1000  1000
        ms 20000  1000  1000
        my   100   100   100
        nl 20000 10000 10000
        pt 20000 10000 10000
        ru 20000 10000 10000
        sw  1000  1000  1000
        ta 15000  1000  1000
        te  1000  1000  1000
        th 20000 10000 10000
        tl 10000  1000  1000
        tr 20000 10000 10000
        ur 20000  1000  1000
        vi 20000 10000 10000
        yo   100   100   100
    """),
    official=xtreme(2e-5, 2e-5, 10, eval_steps=1000) | jiant(10) | mt5(12_000, batch_tokens=2**16),
    licence="ODC-BY (of the splits by Rahimi et al.)",
    url="https://github.com/afshinrahimi/mmner",
    citations=("pan-etal-2017-cross", "rahimi-etal-2019-massively"),
    note="The splits of Rahimi et al. Chinese and Japanese are split into characters. XTREME reads a token that contains white "
    "space as untagged; here it keeps its tag.",
    faults=(REMOVED_LABELS,),
)  # fmt: skip

MASAKHANER2 = Task(
    "masakhaner2",
    "MasakhaNER 2.0, named entities",
    "tagging",
    ("entity-f1",),
    FallbackSource((
        FileSource(
            reader="conll",
            files={split: f"masakhaner2/{{lang}}/{split}.txt" for split in SPLITS},
            available=in_splits(tuple(MASAKHANER), *SPLITS),
            codes=MASAKHANER,
        ),
        hub(
            "masakhane/masakhaner2", "{lang}", VALIDATION, tuple(MASAKHANER), codes=MASAKHANER,
            values=_map_numbers(MASAKHANER_TAGS),
        ),
    )),
    labels=MASAKHANER_TAGS,
    train_language="sw",
    counts=_parse_counts("""
        bm  4463  638 1274
        bbj 3384  483  966
        ee  3505  501 1001
        fon 4343  621 1240
        ha  5716  816 1633
        ig  7634 1090 2181
        rw  7825 1118 2235
        lg  4942  706 1412
        luo 5161  737 1474
        mos 4532  648 1613
        pcm 5646  806 1294
        ny  6250  893 1785
        sn  6207  887 1773
        sw  6593  942 1883
        tn  3289  499  996
        tw  4240  605 1211
        wo  4593  656 1312
        xh  5718  817 1633
        yo  6877  983 1964
        zu  5848  836 1670
    """),
    licence="CC BY-NC 4.0",
    url="https://github.com/masakhane-io/masakhane-ner",
    citations=("adelani-etal-2022-masakhaner",),
    note="Twenty languages of Africa, with the authors' splits and the sizes of their README.",
)  # fmt: skip

CCG = Task(
    "ccg",
    "CCGbank, supertags",
    "tagging",
    ("tag-accuracy",),
    FileSource(
        reader="ccgbank",
        files={
            "train": tuple(f"ccgbank_1_1/data/AUTO/{section:02}/*.auto" for section in range(2, 22)),
            "dev": "ccgbank_1_1/data/AUTO/00/*.auto",
            "test": "ccgbank_1_1/data/AUTO/23/*.auto",
        },
        available=in_splits(ENGLISH, *SPLITS),
        originals=dict.fromkeys(SPLITS, "LDC2005T13 of the Linguistic Data Consortium; it may not be redistributed"),
    ),
    train_language="en",
    official=INTERMEDIATE,
    licence="LDC User Agreement (LDC2005T13)",
    url="https://catalog.ldc.upenn.edu/LDC2005T13",
    citations=("hockenmaier-steedman-2007-ccgbank",),
    note="Licensed: read from your own copy. Sections 02 to 21, 00 and 23. The labels are the categories in these files. jiant "
    "trains on 38,015 sentences and counts 1,363 categories.",
)

TASKS = (UDPOS, PANX, MASAKHANER2, UDPOS_PUD, CCG)
