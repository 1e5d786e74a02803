"""Files of shared/data that no test reads yet: they wait for the issue on inputs that reads them.

The list names each file, so a new file fails the tests until it is listed or read, and so does a listed file that is missing.
"""

from __future__ import annotations

_NAMES = {
    "bipar": "Monolingual_EN_valid.json Monolingual_ZH_valid.json",
    "commonsenseqa": "dev_rand_split.jsonl train_rand_split.jsonl",
    "copa-en": "test-en.jsonl train-en.jsonl val-en.jsonl",
    "esnli": "labels.dev labels.test s1.dev s1.test s2.dev s2.test",
    "farstail": "Train-word.csv Val-word.csv",
    "indonli": "train.jsonl translate_train_small.tar.gz val.jsonl",
    "jcommonsenseqa": "train-v1.3.json valid-v1.3.json",
    "litl-nli": "train_round3_baseline_combined.jsonl val_round3_base_combined.jsonl",
    "mlqa": "dev-context-de-question-de.json dev-context-es-question-es.json dev-context-zh-question-zh.json",
    "mnli-10k": "dev.json train.json",
    "panx": " ".join(f"dev-{code}.tsv" for code in "af bn de en gu hi jv mr ms my pa qu sw ta ur".split()),
    "pawsx": " ".join(f"dev-{code}.tsv" for code in "de en es fr zh".split()),
    "sick": "SICK_NL.txt",
    "squadshifts": "new_wiki_v1.0.json",
    "tydiqa": "tydiqa.goldp.en.train.json tydiqa.goldp.sw.train.json",
    "udpos": "dev-en.tsv test-af.tsv test-el.tsv test-eu.tsv test-kk.tsv test-mr.tsv test-ta.tsv test-vi.tsv test-yo.tsv"
    " train-hu.tsv train-mr.tsv train-ta.tsv train-te.tsv train-vi.tsv",
    "xnli": " ".join(f"dev-{code}.tsv" for code in "ar de en es fr hi sw tr zh".split()),
}
PENDING_FILES = frozenset(f"{folder}/{name}" for folder, names in _NAMES.items() for name in names.split())
"""Paths relative to shared/data."""
