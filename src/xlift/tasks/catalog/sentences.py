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
    "abk aln amh apu aqz arb azz bel ben bho bor bre bua bul cat ces chu cym dan deu ell eng est eus fao fas fin "
    "fra frm fro gla gle glg grc guj hbo heb hin hit hsb hun hye hyw isl ita kat kaz kir kmr koi kpv krl lat lav "
    "lij lit mar mdf mkd myv nds nhi nld olo orv pcm pol por quc ron rus sah slk slv sme sms spa sqi swe tam tpn "
    "tur uig ukr urb urd uzb vep wbp wol xcl xnr xpg yrl"
) | {
    "egy-Latn": "egy", "got-Latn": "got", "ota-Latn": "ota", "sa-Latn": "san",
    # Files of Karo (Brazil) and Teko, named by mistake with the codes of Karo (Ethiopia) and Tektiteko: MultiBLiMP looked the
    # names of the treebanks UD_Karo-TuDeT and UD_Teko-TuDeT up in ISO 639.
    "arr": "kxh", "eme": "ttc",
}  # fmt: skip
MULTIBLIMP = choice_task(
    "multiblimp",
    "MultiBLiMP, minimal pairs of agreement",
    hub(
        "jumelet/multiblimp", "{lang}", {"test": "train"}, tuple(MULTIBLIMP_CODES), codes=MULTIBLIMP_CODES,
        columns={"context": "", "question": "", "choices": ["sen", "wrong_sen"], "label": ""},
    ),
    counts={"test": {
        "ab": 40, "aln": 677, "am": 112, "apu": 28, "aqz": 14, "ar": 1_215, "arr": 120, "azz": 207, "be": 2_570,
        "bg": 2_458, "bho": 34, "bn": 21, "bor": 241, "br": 260, "bua": 103, "ca": 2_284, "cs": 4_256, "cu": 4_166,
        "cy": 1_120, "da": 50, "de": 2_298, "egy-Latn": 22, "el": 1_096, "eme": 69, "en": 770, "es": 2_541, "et": 2_575,
        "eu": 273, "fa": 2_553, "fi": 2_570, "fo": 232, "fr": 2_548, "frm": 294, "fro": 1_976, "ga": 28, "gd": 66,
        "gl": 753, "got-Latn": 1_579, "grc": 3_695, "gu": 7, "hbo": 983, "he": 2_330, "hi": 1_447, "hit": 50,
        "hsb": 186, "hu": 845, "hy": 1_415, "hyw": 1_153, "is": 2_801, "it": 2_999, "ka": 204, "kk": 173, "koi": 43,
        "kpv": 320, "krl": 260, "ku": 544, "ky": 185, "la": 3_149, "lij": 254, "lt": 1_180, "lv": 3_032, "mdf": 82,
        "mk": 39, "mr": 460, "myv": 464, "nds": 1_774, "nhi": 38, "nl": 2_331, "olo": 190, "orv": 4_615, "ota-Latn": 99,
        "pcm": 26, "pl": 3_272, "pt": 3_048, "quc": 131, "ro": 2_056, "ru": 3_832, "sa-Latn": 4_442, "sah": 144,
        "se": 2_536, "sk": 4_145, "sl": 4_483, "sms": 263, "sq": 243, "sv": 201, "ta": 382, "tpn": 9, "tr": 1_742,
        "ug": 758, "uk": 2_744, "ur": 550, "urb": 13, "uz": 50, "vep": 187, "wbp": 12, "wo": 705, "xcl": 1_623,
        "xnr": 86, "xpg": 50, "yrl": 720,
    }},
    licence="CC BY 4.0",
    url="https://huggingface.co/datasets/jumelet/multiblimp",
    citations=("jumelet-etal-2025-multiblimp",),
    note="A sentence of Universal Dependencies, and the same with a word that does not agree. A model in text mode is right where "
    "the sentence is more likely. 100 of its 101 languages: Serbo-Croatian mixes Croatian and Serbian. Its `kxh` is Karo of Brazil "
    "(`arr`), and its `ttc` is Teko (`eme`). Some have few pairs. There is no training data.",
)  # fmt: skip

TASKS = (XWINOGRAD, MULTIBLIMP)
