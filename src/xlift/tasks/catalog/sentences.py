"""Which sentence is more likely: Winograd schemas and minimal pairs. Models in text mode compare likelihoods, without training."""

from __future__ import annotations

from xlift.tasks.catalog.common import CHOICE_FROM_ONE, hub, map_codes, split_codes
from xlift.tasks.catalog.multiple_choice import choice_task

XWINOGRAD = choice_task(
    "xwinograd",
    "XWinograd, what a word in a sentence refers to",
    hub(
        "Muennighoff/xwinograd", "{lang}", {"test": "test"}, split_codes("en fr ja pt ru zh"), codes={"ja": "jp"},
        columns={"context": "sentence", "question": "", "choices": ["option1", "option2"], "label": "answer"},
        values={"label": CHOICE_FROM_ONE},
    ),
    licence="CC BY 4.0",
    url="https://huggingface.co/datasets/Muennighoff/xwinograd",
    citations=("tikhonov-ryabinin-2021-heads", "muennighoff-etal-2023-crosslingual"),
    note="A sentence with a blank '_' and two choices for it. In text mode the likelihood of the text after the blank is compared, "
    "given the text before it and a choice. Languages have different sentences. 16 of the Chinese ones are XWinograd's own, and "
    "488 were added from CLUEWSC2020. There is no training data.",
)  # fmt: skip

MULTIBLIMP_CODES = map_codes(
    "amh arb bel ben bho bul cat ces cym dan deu ell eng est eus fao fas fin fra gla gle glg guj heb hin hun hye isl ita kat kaz "
    "kir kmr lav lij lit mar mkd nld pcm pol por ron rus slk slv spa sqi swe tam tur uig ukr urd uzb wol"
)
MULTIBLIMP = choice_task(
    "multiblimp",
    "MultiBLiMP, minimal pairs of agreement",
    hub(
        "jumelet/multiblimp", "{lang}", {"test": "train"}, tuple(MULTIBLIMP_CODES), codes=MULTIBLIMP_CODES,
        columns={"context": "", "question": "", "choices": ["sen", "wrong_sen"], "label": ""},
    ),
    counts={"test": {
        "am": 112, "ar": 1_215, "be": 2_570, "bg": 2_458, "bho": 34, "bn": 21, "ca": 2_284, "cs": 4_256, "cy": 1_120, "da": 50,
        "de": 2_298, "el": 1_096, "en": 770, "es": 2_541, "et": 2_575, "eu": 273, "fa": 2_553, "fi": 2_570, "fo": 232,
        "fr": 2_548, "ga": 28, "gd": 66, "gl": 753, "gu": 7, "he": 2_330, "hi": 1_447, "hu": 845, "hy": 1_415, "is": 2_801,
        "it": 2_999, "ka": 204, "kk": 173, "ku": 544, "ky": 185, "lij": 254, "lt": 1_180, "lv": 3_032, "mk": 39, "mr": 460,
        "nl": 2_331, "pcm": 26, "pl": 3_272, "pt": 3_048, "ro": 2_056, "ru": 3_832, "sk": 4_145, "sl": 4_483, "sq": 243,
        "sv": 201, "ta": 382, "tr": 1_742, "ug": 758, "uk": 2_744, "ur": 550, "uz": 50, "wo": 705,
    }},
    licence="CC BY 4.0",
    url="https://huggingface.co/datasets/jumelet/multiblimp",
    citations=("jumelet-etal-2025-multiblimp",),
    note="A sentence of Universal Dependencies, and the same with a word that does not agree. A model in text mode is right where "
    "the sentence is more likely. 56 of its 101 languages: those of the table of languages, without Sanskrit, since no source says "
    "in which script it is. Some have few pairs. There is no training data.",
)  # fmt: skip

TASKS = (XWINOGRAD, MULTIBLIMP)
