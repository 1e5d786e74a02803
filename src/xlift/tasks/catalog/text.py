"""Plain text, for masked language modelling."""

from __future__ import annotations

from xlift.languages import LANGUAGES
from xlift.tasks.catalog.common import split_codes
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

WIKIPEDIA_LANGUAGES = split_codes(
    "af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru sw ta"
    " te th tl tr uk ur vi wo yo zh"
)
"""The 50 languages of XTREME-R."""

WIKIPEDIA = Task(
    "wikipedia",
    "Wikipedia, articles of November 2023",
    "text",
    (),
    HubSource(
        "wikimedia/wikipedia",
        files={"train": "20231101.{lang}/train-*.parquet"},
        available={"train": WIKIPEDIA_LANGUAGES},
        columns={"text": "text", "id": "id"},
    ),
    train_language="en",
    licence="CC BY-SA 3.0 and GFDL",
    url="https://huggingface.co/datasets/wikimedia/wikipedia",
    citations=("wikimedia-2023-downloads",),
    note="Text for `pretrain:` and `intermediate:`, one article per example. Large: English alone has 6.4 million articles; set "
    "a size.",
)

PLAIN_TEXT = Task(
    "plain-text",
    "Your own text, one file per language",
    "text",
    (),
    FileSource(
        reader="txt",
        files={"train": "text/{lang}.txt"},
        available={"train": tuple(language.code for language in LANGUAGES)},
    ),
    train_language="en",
    licence="depends on your files",
    url="https://en.wikipedia.org/wiki/Plain_text",
    note="Text for `pretrain:` and `intermediate:`: files such as text/sw.txt under the data folder, one text per line. Any "
    "language of the table; for other languages or files declare a custom task.",
)

TASKS = (WIKIPEDIA, PLAIN_TEXT)
