"""Checks of the whole catalogue: every declaration is complete, matches the code, and agrees with published numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from xlift import languages
from xlift.errors import UserError
from xlift.language_tags import find_language
from xlift.recipes import Recipe
from xlift.tasks import catalog, formats, metrics
from xlift.tasks.catalog import FILES, TASKS
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.readers import READERS

each = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_of_files = pytest.mark.parametrize("task", FILES, ids=lambda task: task.name)

SUITES = {
    # Languages in the benchmarks' evaluate.py, listed here independently of the package.
    "xtreme": {
        "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
        "pawsx": "de en es fr ja ko zh",
        "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
        "panx": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur"
        " vi yo zh",
        "xquad": "ar de el en es hi ru th tr vi zh",
        "mlqa": "ar de en es hi vi zh",
        "tydiqa": "ar bn en fi id ko ru sw te",
        "bucc2018": "de fr ru zh",
        "tatoeba": "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh",
    },
    "xtreme-r": {
        "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
        "xcopa": "et ht id it qu sw ta th tr vi zh",
        "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl pt ro ru ta te th tl tr uk ur vi wo"
        " yo zh",
        "panx": "af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru"
        " sw ta te th tl tr uk ur vi yo zh",
        "xquad": "ar de el en es hi ro ru th tr vi zh",
        "mlqa": "ar de en es hi vi zh",
        "tydiqa": "ar bn en fi id ko ru sw te",
        "tatoeba": "af ar az bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko lt ml mr nl pl pt ro ru sw ta te th tl"
        " tr uk ur vi zh",
        "mewslix": "ar de en es fa ja pl ro ta tr uk",
        "lareqa": "",  # listed there without languages or a metric
    },
}
NUMBERS = {"xtreme": "15 7 33 40 11 7 9 4 36", "xtreme-r": "15 11 38 48 12 7 9 41 11 0"}


def members(task):
    return getattr(task.source, "members", (task.source,))


def mapped(source, field):
    """Value in the files -> value in the example, if the source maps it."""
    return getattr(source, "values", {}).get(field, {})


def test_names_are_unique():
    assert len(set(catalog.names())) == len(TASKS)


@each
def test_format_metrics_and_languages_exist(task):
    formats.get(task.format)
    assert [metrics.get(name).name for name in task.metrics] == list(task.metrics)
    known = set(catalog.all_languages())
    assert task.source.splits()
    for split in task.source.splits():
        languages = task.source.languages(split)
        assert len(set(languages)) == len(languages) > 0
        assert set(languages) <= known


@each
def test_labels_are_unique_and_present_if_the_format_needs_them(task):
    assert len(set(task.labels)) == len(task.labels)
    # CCGbank's 1,363 categories are read from the licensed files.
    assert task.labels or task.format not in ("classification", "tagging") or task.name == "ccg"


@each
def test_the_train_language_has_a_training_split(task):
    assert task.train_language in task.source.languages("train") or not task.train_language


@each
def test_train_tasks_match_the_task_and_exist_without_a_training_split(task):
    for name in task.train_task:
        trained = catalog.get(name)
        assert (trained.format, trained.labels) == (task.format, task.labels)
        assert trained.train_language in trained.source.languages("train")
    trained_here = "train" in task.source.splits()
    # Retrieval and mining are scored without training.
    compared = ("xwinograd", "multiblimp")  # by likelihood, as they are published
    assert bool(task.train_task) != trained_here or task.format in ("retrieval", "mining") or task.name in compared


@each_of_files
def test_is_documented(task):
    assert task.licence
    assert task.note
    assert task.url.startswith("https://")
    assert task.citations or task.name == "plain-text"
    assert not set(task.citations) - set(catalog.citations())


def test_every_bibtex_entry_is_complete_and_cited():
    assert {key for task in FILES for key in task.citations} == set(catalog.citations())
    for key, entry in catalog.citations().items():
        assert re.match(r"@(article|inproceedings|misc)\{" + re.escape(key) + ",\n", entry)
        assert entry.endswith("\n}")
        body = entry.partition(",")[2].rstrip()[:-1]
        fields = re.findall(r"\n  (\w+) = \{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\},", body)
        assert re.sub(r"\n  \w+ = \{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\},", "", body).strip() == ""
        names = [name for name, _ in fields]
        assert len(set(names)) == len(names)
        assert {"title", "author", "year"} <= set(names)
        assert re.fullmatch(r"(19|20)\d\d", dict(fields)["year"])
        if not entry.startswith("@misc"):
            assert "booktitle" in names or "journal" in names


def test_bibtex_gives_all_the_entries_of_a_task():
    assert re.findall(r"^@\w+\{(.*),$", catalog.bibtex(catalog.get("xquad")), re.M) == list(
        catalog.get("xquad").citations
    )


@each_of_files
def test_readers_support_the_format_and_every_path_is_valid(task):
    for source in members(task):
        if isinstance(source, ConcatenatedSource):
            assert all((part.format, part.labels) == (task.format, task.labels) for part in source.parts)
            continue
        reader = READERS["parquet" if isinstance(source, HubSource) else source.reader]
        assert task.format in reader.formats
        for split in source.splits():
            for language in source.languages(split):
                paths = (
                    source.patterns(language, split)
                    if isinstance(source, HubSource)
                    else source._relative(language, split)
                )
                assert paths
                assert all("{" not in path and not path.startswith("/") and ".." not in path for path in paths)
        if isinstance(source, HubSource):
            assert re.fullmatch(r"[\w-]+/[\w-]+", source.repository)


@each_of_files
def test_sources_agree_on_the_languages_of_a_split(task):
    # The most complete source has every language of the others; XNLI's Korean is from another publisher.
    for split in task.source.splits():
        having = [set(source.languages(split)) for source in members(task)]
        if task.name == "sick":  # two pairs of columns in one table, each read as one language
            assert [found for found in having if found] == [{"en"}, {"nl"}]
            continue
        assert set().union(*having) - {"ko"} == max(having, key=len) - {"ko"}


@each_of_files
def test_codes_in_file_names_mean_the_language(task):
    # MultiBLiMP's transcribed languages, and two files that it gave the code of a language with the same name.
    multiblimp = {"egy": "egy-Latn", "got": "got-Latn", "ota": "ota-Latn", "san": "sa-Latn", "kxh": "arr", "ttc": "eme"}
    known = {"North Macedonian": "Macedonian", "jp": "ja"} | (multiblimp if task.name == "multiblimp" else {})
    for source in members(task):
        for code, name in getattr(source, "codes", {}).items():
            name = known.get(name, name)
            found = find_language(name)
            assert (found and found.code) == code or languages.get(code).name.lower() == name.lower()


@each_of_files
def test_label_maps_of_every_source_cover_exactly_the_labels(task):
    for source in members(task):
        for mapping in (mapped(source, "label"), mapped(source, "tags")):
            if not mapping:
                continue
            if task.format == "multiple-choice":
                assert [int(value) for value in mapping.values()] == list(range(len(mapping)))
            else:
                assert set(mapping.values()) <= set(task.labels)
                numbers = all(key.isdigit() for key in mapping)
                assert len(set(mapping.values())) == len(mapping)
                assert set(mapping.values()) == set(task.labels) or not numbers
        assert not set(getattr(source, "drop", ())) & set(task.labels)


def test_nli_tasks_have_one_order_of_labels():
    # A head trained on one task is reused for another, so an index must mean the same label.
    orders = {task.labels for task in TASKS if "entailment" in task.labels and len(task.labels) == 3}
    assert orders == {("entailment", "neutral", "contradiction")}


@pytest.mark.parametrize("suite", SUITES)
def test_suites_score_the_tasks_and_languages_of_the_benchmark(suite):
    declared = {task.name: task.suites[suite] for task in FILES if suite in task.suites}
    assert {name: sorted(codes) for name, codes in declared.items()} == {
        n: codes.split() for n, codes in SUITES[suite].items()
    }
    assert [len(declared[name]) for name in SUITES[suite]] == [int(number) for number in NUMBERS[suite].split()]
    for name, codes in declared.items():
        assert set(codes) <= set(catalog.get(name).source.languages("test"))


@each
def test_only_known_suites_are_named(task):
    assert set(task.suites) <= set(SUITES)


@each
def test_counts_are_of_declared_splits_and_languages(task):
    for split, number in task.counts.items():
        assert split in task.source.splits()
        if isinstance(number, int):
            assert number > 0
        else:
            assert set(number) <= set(task.source.languages(split))
            assert all(count > 0 for count in number.values())


@pytest.mark.parametrize(
    ("name", "split", "total"),
    # Totals stated by their publishers.
    [("tydiqa", "train", 49_881), ("tydiqa", "test", 5_077), ("americasnli", "dev", 6_457), ("americasnli", "test", 7_486),
     ("mewslix", "dev", 2_991), ("mewslix", "test", 14_624)],
)  # fmt: skip
def test_counts_add_up_to_the_published_totals(name, split, total):
    assert sum(catalog.get(name).counts[split].values()) == total


def test_counts_of_mlqa_are_those_of_its_readme():
    header, dev, test = """
        en    | de   | es   | ar   | zh   | vi   | hi
        1148  | 512  | 500  | 517  | 504  | 511  | 507
        11590 | 4517 | 5254 | 5335 | 5137 | 5495 | 4918
    """.strip().splitlines()
    published = [
        dict(zip(*([c.strip() for c in row.split("|")] for row in (header, numbers)))) for numbers in (dev, test)
    ]
    published[1]["es"] = "5253"  # as counted in the file by the makers of the Hub's copy
    counts = catalog.get("mlqa").counts
    assert [{k: str(v) for k, v in counts[split].items()} for split in ("dev", "test")] == published


def test_numbers_of_languages_are_the_published_ones():
    found = {name: len(catalog.get(name).source.languages("test")) for name in
             ("sib200", "belebele", "masakhaner2", "americasnli", "xcopa", "mewslix", "lareqa", "xquad", "xnli-typos", "afrixnli",
              "massive", "xstorycloze", "global-mmlu", "include", "xwinograd", "multiblimp")}  # fmt: skip
    assert found == {"sib200": 205, "belebele": 122, "masakhaner2": 20, "americasnli": 10, "xcopa": 11, "mewslix": 11,
                     "lareqa": 11, "xquad": 12, "xnli-typos": 6, "afrixnli": 16 + 2, "massive": 51, "xstorycloze": 11,
                     "global-mmlu": 42, "include": 44, "xwinograd": 6, "multiblimp": 100}  # fmt: skip
    assert len(catalog.get("flores200").source.languages("test")) == 204 - 1  # each is paired with English


@each
def test_official_settings_are_keys_of_a_study(task):
    for name, settings in task.official.items():
        assert Recipe(**settings).lr <= (1e-3 if name == "mt5" else 3e-5)


@pytest.mark.parametrize(
    ("task", "xtreme", "large", "jiant"),
    # lr, epochs, batch size and max length of the benchmarks' scripts.
    [("xnli", (2e-5, 5, 32, 128), 3e-5, (1e-5, 2, 32, 256)), ("pawsx", (2e-5, 5, 32, 128), 2e-5, (1e-5, 5, 32, 256)),
     ("udpos", (2e-5, 10, 32, 128), 2e-5, (1e-5, 10, 32, 256)), ("xquad", (3e-5, 3, 32, 384), 3e-5, (1e-5, 2, 16, 384)),
     ("tydiqa", (3e-5, 3, 32, 384), 3e-5, (1e-5, 2, 16, 384)), ("xcopa", (2e-5, 5, 32, 128), 3e-5, None),
     ("lareqa", (2e-5, 3, 16, 256), 2e-5, None), ("mewslix", (2e-5, 2, 256, 64), 1e-5, None)],
)  # fmt: skip
def test_official_settings_are_those_of_the_scripts(task, xtreme, large, jiant):
    official = catalog.get(task).official
    assert tuple(official["xtreme"][key] for key in ("lr", "epochs", "batch_size", "max_length")) == xtreme
    assert official["xtreme-large"]["lr"] == large
    assert ("jiant" in official) == (jiant is not None)
    if jiant:
        assert tuple(official["jiant"][key] for key in ("lr", "epochs", "batch_size", "max_length")) == jiant


def test_mt5_settings_are_the_same_for_its_published_tasks():
    having = {task.name for task in TASKS if "mt5" in task.official}
    assert having == {"xnli", "pawsx", "panx", "xquad", "mlqa", "tydiqa"}
    recipe = Recipe(**catalog.get("xquad").official["mt5"])
    assert (recipe.lr, recipe.lr_scheduler_type, recipe.optimizer, recipe.warmup_steps) == (
        1e-3,
        "constant",
        "adafactor",
        0,
    )
    assert recipe.batch_size * (recipe.max_length or 0) == 2**17


def test_originals_are_declared_for_files_without_labels():
    for task in FILES:
        for source in members(task):
            if isinstance(source, FileSource) and source.kind == "xtreme" and "test" in source.splits():
                # XTREME-R's XCOPA and LAReQA files keep their answers, and the labels of English COPA are corrected.
                assert ("test" in source.originals) != (task.name in ("xcopa", "lareqa", "copa")), task.name


def test_unknown_task_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'xquad'"):
        catalog.get("xqad")


def test_catalogue_import_is_light():
    # `xlift --help` and `xlift tasks` import it.
    heavy = "torch transformers pyarrow scipy pydantic huggingface_hub datasets"
    code = f"import sys, xlift.tasks.catalog; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True).stdout
    assert found.strip() == ""
