"""Exam questions with four choices, without a passage."""

from __future__ import annotations

from xlift.tasks.catalog.common import CHOICE_OF_LETTER, hub, map_codes
from xlift.tasks.catalog.multiple_choice import choice_task

_OPTIONS = [f"option_{letter}" for letter in "abcd"]
GLOBAL_MMLU_CODES = map_codes(
    "am ar bn cs de el en es fa fil fr ha he hi id ig it ja ko ky lt mg ms ne nl ny pl pt ro ru si sn so sr sv sw te tr uk vi yo "
    "zh"
)
GLOBAL_MMLU = choice_task(
    "global-mmlu",
    "Global-MMLU, exam questions in 42 languages",
    hub(
        "CohereLabs/Global-MMLU", "{lang}", {"dev": "dev", "test": "test"}, tuple(GLOBAL_MMLU_CODES),
        codes=GLOBAL_MMLU_CODES,
        columns={"context": "question", "question": "", "choices": _OPTIONS, "label": "answer", "id": "sample_id"},
        values={"label": CHOICE_OF_LETTER},
    ),
    train_task=("commonsenseqa",),
    max_length=512,
    counts={"dev": 285, "test": 14_042},
    licence="Apache 2.0",
    url="https://huggingface.co/datasets/CohereLabs/Global-MMLU",
    citations=("singh-etal-2025-global", "hendrycks-etal-2021-measuring"),
    note="The questions of MMLU, in some languages translated or corrected by people, in others by machine. 'dev' is meant for "
    "few-shot prompts, and no data for training belongs to it. Here CommonsenseQA, which has questions without a passage too, "
    "is trained on. MMLU has wrong answers: of the analysed questions on virology 57% have an error (arXiv 2406.04127).",
)  # fmt: skip

INCLUDE_NAMES = {
    "sq": "Albanian", "ar": "Arabic", "hy": "Armenian", "az": "Azerbaijani", "eu": "Basque", "be": "Belarusian",
    "bn": "Bengali", "bg": "Bulgarian", "zh": "Chinese", "hr": "Croatian", "nl": "Dutch", "et": "Estonian",
    "fi": "Finnish", "fr": "French", "ka": "Georgian", "de": "German", "el": "Greek", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "kk": "Kazakh", "ko": "Korean",
    "lt": "Lithuanian", "ms": "Malay", "ml": "Malayalam", "ne": "Nepali", "mk": "North Macedonian", "fa": "Persian",
    "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "sr": "Serbian", "es": "Spanish", "tl": "Tagalog", "ta": "Tamil",
    "te": "Telugu", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese",
}  # fmt: skip
INCLUDE = choice_task(
    "include",
    "INCLUDE, exam questions from where a language is spoken",
    hub(
        "CohereLabs/include-base-44", "{lang}", {"dev": "validation", "test": "test"}, tuple(INCLUDE_NAMES),
        codes=INCLUDE_NAMES,
        columns={"context": "question", "question": "", "choices": _OPTIONS, "label": "answer"},
    ),
    train_task=("commonsenseqa",),
    max_length=512,
    licence="Apache 2.0",
    url="https://huggingface.co/datasets/CohereLabs/include-base-44",
    citations=("romanou-etal-2024-include",),
    note="include-base: local exams of 44 languages, not translated, so rows are not aligned between languages; 22,637 questions "
    "in all. No data for training belongs to it. Here CommonsenseQA, which has questions without a passage too, is trained on.",
)  # fmt: skip

TASKS = (GLOBAL_MMLU, INCLUDE)
