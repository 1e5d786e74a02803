"""Random declarations of custom tasks over a folder of small files, right and wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from xlift.tasks import formats, metrics

ROWS: dict[str, list[dict[str, Any]]] = {
    "classification": [{"text": "red sky", "label": "a"}, {"text": "blue sea", "label": "b"}],
    "pairs": [
        {"premise": "red sky", "hypothesis": "sky", "label": "0"},
        {"premise": "a", "hypothesis": "b", "label": "1"},
    ],
    "multi-label": [{"text": "red sky", "labels": "a|b"}, {"text": "blue sea", "labels": "b"}],
    "regression": [
        {"text_a": "red sky", "text_b": "sky", "score": "0.5"},
        {"text_a": "a", "text_b": "b", "score": "1"},
    ],
    "tagging": [{"words": ["a", "b"], "tags": ["O", "B-PER"]}, {"words": ["c"], "tags": ["PER"]}],
    "names": [{"tokens": ["a", "b"], "ner_tags": [0, 1]}, {"tokens": ["c"], "ner_tags": [0]}],
    "span-qa": [{"context": "in Rome", "question": "where?", "answer": "Rome"}],
    "spans": [{"context": "in Rome", "question": "where?", "answers": {"text": ["Rome"], "answer_start": [3]}}],
    "multiple-choice": [{"context": "a", "question": "b", "choice1": "c", "choice2": "d", "label": "1"}],
    "retrieval": [
        {"text": "ein", "translation": "a", "lang": "de"},
        {"text": "zwei", "translation": "b", "lang": "en"},
    ],
    "dual-encoding": [{"query": "where?", "passage": "in Rome"}, {"query": "who?", "passage": "Ada"}],
    "translation": [{"source": "ein", "translation": "a", "source_lang": "de", "target_lang": "en"}],
}
"""Name of a file -> its rows."""
FORMAT_OF = {
    **{name: name for name in ROWS}, "pairs": "classification", "names": "tagging", "spans": "span-qa", "squad": "span-qa",
    "plain": "tagging", "bio": "tagging", "pos": "tagging", "lines": "text",
}  # fmt: skip
"""Name of a file -> the format of its examples."""
SQUAD = {
    "data": [{"title": "t", "paragraphs": [{"context": "in Rome", "qas": [
        {"id": "1", "question": "where?", "answers": [{"text": "Rome", "answer_start": 3}]}]}]}]
}  # fmt: skip
OTHERS = {
    "squad.json": json.dumps(SQUAD), "plain.conll": "a PER\nb O\n", "bio.conll": "a B-PER\nb O\n",
    "pos.conllu": "1\ta\ta\tNOUN\t_\t_\t0\troot\t_\t_\n2\tb\tb\tVERB\t_\t_\t1\tdep\t_\t_\n", "lines.txt": "red sky\nblue sea\n",
    "empty.csv": "", "header.csv": "text,label\n", "bare.csv": "red sky,a\nblue sea,b\n", "odd.xml": "<a/>",
}  # fmt: skip


def _contents() -> dict[str, str]:
    contents = dict(OTHERS)
    for name, rows in ROWS.items():
        contents[f"{name}.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in rows)
        if not any(isinstance(value, list | dict) for row in rows for value in row.values()):
            for extension, comma in ((".csv", ","), (".tsv", "\t")):
                contents[name + extension] = "".join(
                    f"{comma.join(row)}\n" for row in (rows[0], *(r.values() for r in rows))
                )
    return contents


FILES = _contents()
"""Name of a file -> its text."""


LANGUAGES = ("en", "de", "sw", "swh", "zh-TW", "xx", "no", "english", "", False, None, "{lang}")
FIELDS = sorted({field for format in formats.FORMATS.values() for field in format.columns}) + [
    "id", "lable", "hypothesis", "document", "gold_label", "", "Text_A",
]  # fmt: skip
COLUMNS = sorted({column for rows in ROWS.values() for row in rows for column in row}) + [
    "answers.text", "answers.answer_start", "nowhere", "", "a.b.c",
]  # fmt: skip
TEXTS = ("", " ", "a", "b", "0", "1", "O", "B-PER", "I-PER", "PER", "no-answer", "é")
SCALARS = st.sampled_from((True, False, None, 0, 1, 2.5, 750, *TEXTS))
NAMES = st.one_of(
    st.sampled_from(("t", "xnli-1.0", "type", "training", "items", "values", "a.b.c", "0", "keys", "My Task", "", "-x", "all", "none", "mlm", 1.0, True)),
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
)  # fmt: skip
METRICS = st.sampled_from((*metrics.names(), "acuracy", "", "F1", 3))


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    """A declaration over `FILES`: a right one with up to four other keys, or one that may have anything."""
    wild = draw(st.integers(0, 3)) == 0
    file = draw(st.sampled_from(sorted(FILES)))
    fitting = st.sampled_from(sorted(FILES)) if wild else st.just(file)
    languages = st.sampled_from(LANGUAGES if wild else ("en", "de", "sw"))
    by_language = st.dictionaries(languages, st.one_of(fitting, st.lists(fitting, max_size=2)), max_size=2)
    splits = st.sampled_from(("train", "dev", "test", "tset", True))
    files: Any = {"train": {"en": file}, "test": {"de": file}}
    if wild:
        files = draw(st.dictionaries(splits, st.one_of(by_language, fitting), max_size=3))
    format = FORMAT_OF.get(Path(file).stem, "classification")
    if wild:
        format = draw(st.sampled_from((*formats.FORMATS, "clasification", None)))
    declaration: dict[str, Any] = {"name": draw(NAMES) if wild else "t", "format": format, "files": files}
    fields = st.sampled_from(
        [*formats.FORMATS[format].columns, "id", "lable"] if format in formats.FORMATS and not wild else FIELDS
    )
    columns = st.sampled_from(COLUMNS)
    texts = SCALARS if wild else st.sampled_from(TEXTS)
    optional = {
        "languages": st.lists(languages, max_size=3),
        "columns": st.dictionaries(fields, st.one_of(columns, st.lists(columns, max_size=3), texts), max_size=2),
        "values": st.dictionaries(fields, st.dictionaries(st.sampled_from(("0", "1", "a", "b", "A", "")), texts, max_size=2), max_size=2),
        "where": st.dictionaries(columns, st.one_of(st.sampled_from(("{lang}", "de", "*")), texts), max_size=1),
        "header": st.lists(columns, max_size=3),
        "direction": st.lists(st.sampled_from(LANGUAGES), max_size=3),
        "joined": st.sampled_from((True, False, "yes", 1)),
        "labels": st.one_of(st.lists(texts, max_size=4), st.sampled_from((["a", "b"], ["0", "1"], ["O", "B-PER"], ["no-answer"]))),
        "metric": st.one_of(METRICS, st.lists(METRICS, max_size=3)),
        "train_language": languages,
        "max_length": st.sampled_from((128, 1, 0, True, "128", 2.0)),
        "title": texts,
        "labls": texts,
    }  # fmt: skip
    for key in draw(
        st.lists(st.sampled_from(sorted(optional)), max_size=draw(st.sampled_from((1, 1, 2, 4))), unique=True)
    ):
        declaration[key] = draw(optional[key])
    return declaration
