"""Readers, one module per file format. A reader turns files into rows and depends on no task.

| name | files | formats |
| --- | --- | --- |
| csv, tsv, quoted-tsv, jsonl, parquet | records with named columns (fields.py) | all; tagging needs lists: jsonl, parquet |
| json | records in a .json file: JSON lines, a list, or an object of objects | all except span-qa |
| tar-jsonl | JSON lines inside a .tar.gz archive | all |
| aligned-lines | one file of aligned lines for each column (e-SNLI, InferSent) | classification, regression |
| jsonl-labels | records and a separate file of labels (SocialIQA) | classification, multiple-choice |
| copa-xml | COPA's original XML | multiple-choice |
| txt | one text per line | text |
| squad | SQuAD v1.1 and v2.0, XQuAD, MLQA, TyDiQA GoldP | span-qa |
| translated-tsv | rows with their English original (XTREME's translations of XNLI and PAWS-X) | classification |
| squad-translated | machine-translated SQuAD v1.1; answers are searched in the passage | span-qa |
| lareqa | XQuAD-R; SQuAD for training | dual-encoding |
| mewslix | Mewsli-X: mentions and entities | dual-encoding |
| conll, panx, conllu, ccgbank | words and tags | tagging |
| pairs | two files of aligned lines (LASER's Tatoeba, FLORES-200, OPUS) | retrieval, text, translation |
| parallel-tsv | two tables of the same sentences, joined by an id (SIB-200) | retrieval, text, translation |
| bucc | two files of sentences with ids, and gold pairs | mining, retrieval |
"""

from __future__ import annotations

from xlift.tasks.sources.readers import (
    aligned_lines,
    bucc,
    ccgbank,
    conll,
    conllu,
    copa,
    json_records,
    jsonl_labels,
    lareqa,
    mewslix,
    pairs,
    panx,
    parallel_tables,
    parquet,
    records,
    squad,
    tar_jsonl,
    translated,
)
from xlift.tasks.sources.readers.base import Reader

EXTENSIONS = {
    ".csv": ("csv",),
    ".tsv": ("tsv", "conll"),
    ".jsonl": ("jsonl",),
    ".parquet": ("parquet",),
    ".json": ("squad", "json"),
    ".conll": ("conll",),
    ".conllu": ("conllu",),
    ".txt": ("txt", "conll"),
}
"""Extension of a user's file -> its readers, of which no two read the same format. All but Parquet may be gzip: `.csv.gz`."""

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        records.CSV,
        records.TSV,
        records.QUOTED_TSV,
        records.JSONL,
        records.TXT,
        parquet.PARQUET,
        json_records.JSON,
        tar_jsonl.TAR_JSONL,
        aligned_lines.ALIGNED_LINES,
        jsonl_labels.JSONL_LABELS,
        copa.COPA,
        squad.SQUAD,
        translated.TRANSLATED_TSV,
        translated.SQUAD_TRANSLATED,
        lareqa.LAREQA,
        mewslix.MEWSLIX,
        conll.CONLL,
        panx.PANX,
        conllu.CONLLU,
        ccgbank.CCGBANK,
        pairs.PAIRS,
        parallel_tables.PARALLEL_TSV,
        bucc.BUCC,
    )
}
