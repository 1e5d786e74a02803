"""Intents of what people say to a voice assistant."""

from __future__ import annotations

from xlift.tasks.catalog.common import hub, split_codes
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

MASSIVE_LANGUAGES = split_codes(
    "af am ar az bn cy da de el en es fa fi fr he hi hu hy id is it ja jv ka km kn ko lv ml mn ms my nb nl pl pt ro ru sl sq sv "
    "sw ta te th tl tr ur vi zh zh-Hant"
)
_LOCALES = dict(zip(MASSIVE_LANGUAGES, split_codes(
    "af-ZA am-ET ar-SA az-AZ bn-BD cy-GB da-DK de-DE el-GR en-US es-ES fa-IR fi-FI fr-FR he-IL hi-IN hu-HU hy-AM id-ID is-IS "
    "it-IT ja-JP jv-ID ka-GE km-KH kn-IN ko-KR lv-LV ml-IN mn-MN ms-MY my-MM nb-NO nl-NL pl-PL pt-PT ro-RO ru-RU sl-SL sq-AL "
    "sv-SE sw-KE ta-IN te-IN th-TH tl-PH tr-TR ur-PK vi-VN zh-CN zh-TW"
), strict=True))  # fmt: skip
INTENTS = split_codes(
    "alarm_query alarm_remove alarm_set audio_volume_down audio_volume_mute audio_volume_other audio_volume_up calendar_query "
    "calendar_remove calendar_set cooking_query cooking_recipe datetime_convert datetime_query email_addcontact email_query "
    "email_querycontact email_sendemail general_greet general_joke general_quirky iot_cleaning iot_coffee iot_hue_lightchange "
    "iot_hue_lightdim iot_hue_lightoff iot_hue_lighton iot_hue_lightup iot_wemo_off iot_wemo_on lists_createoradd lists_query "
    "lists_remove music_dislikeness music_likeness music_query music_settings news_query play_audiobook play_game play_music "
    "play_podcasts play_radio qa_currency qa_definition qa_factoid qa_maths qa_stock recommendation_events "
    "recommendation_locations recommendation_movies social_post social_query takeaway_order takeaway_query transport_query "
    "transport_taxi transport_ticket transport_traffic weather_query"
)

MASSIVE = Task(
    "massive",
    "MASSIVE, intents of requests to a voice assistant",
    "classification",
    ("accuracy",),
    FallbackSource((
        *(
            FileSource(
                reader="jsonl",
                files={split: "massive/1.0/data/{lang}.jsonl"},
                available={split: MASSIVE_LANGUAGES},
                codes=_LOCALES,
                columns={"text_a": "utt", "label": "intent", "id": "id"},
                where={"partition": split},
            )
            for split in ("train", "dev", "test")
        ),
        hub(
            "mteb/amazon_massive_intent", "{lang}", {"train": "train", "dev": "validation", "test": "test"},
            MASSIVE_LANGUAGES, codes={"zh": "zh-CN", "zh-Hant": "zh-TW"},
            columns={"text_a": "text", "label": "label", "id": "id"},
        ),
    )),
    labels=INTENTS,
    train_language="en",
    counts={"train": 11_514, "dev": 2_033, "test": 2_974},
    licence="CC BY 4.0",
    url="https://github.com/alexa/massive",
    citations=("fitzgerald-etal-2023-massive", "bastianelli-etal-2020-slurp"),
    note="Parallel: people localized the English requests of SLURP into 50 languages. Version 1.0, unpacked in a folder "
    "'massive'. The 60 intents have very different numbers of examples.",
)  # fmt: skip

TASKS = (MASSIVE,)
