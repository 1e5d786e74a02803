"""What changes in the state of a decoder's last token after an intermediate stage.

    make real-models
    python -m benchmarks.last_token measure NUMBERS.json --data ../shared/data --model real-models/gemma-3-270m \\
        [--store STORE] [--only TEXT] [--seed 1] [--targets] [--languages en,hi,zh] [--train 400] [--rows 204]
    python -m benchmarks.last_token show NUMBERS.json [--figures DIR]

`measure` computes hidden states of SIB-200's sentences, of every second layer, by the pretrained model and by the trained models of
a store, and trains nothing but probes. (A study with `keep: predictions` removes their weights.) It adds each model to NUMBERS.json as soon as it is done, and
goes on where it stopped. A model takes minutes on one core. `show` makes the tables and figures of docs/why-shuffled-labels-lift.md
from NUMBERS.json alone, in seconds.

Probes are logistic regressions on states that are standardized on the English training sentences. The test sentences of all
languages are translations of each other.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xlift.execution.work.shared import MODEL
from xlift.studies.job import TrainSpec
from xlift.studies.store import Store
from xlift.tasks import catalog

if TYPE_CHECKING:
    from xlift.models.model import Model

TASK = "sib200"
SOURCE = "en"
LANGUAGES = ("en", "de", "fr", "zh", "hi", "sw", "ta", "th")
STATES: tuple[str, ...] = ("last", "mean", "stop", "end")
"""States of a row: of its last token; the mean over all its tokens; of a '.' that is appended to the text; of the end token after it."""
CENTRED = " centred"
"""Suffix of a state whose language's mean is subtracted."""
GEOMETRY = ("distance", "cosine", "norm", "spread")
"""Numbers of the states of a language beside those of English (`analyse`)."""
REGULARIZATION = 0.01
"""`C` of the probes."""
MAX_LENGTH = 128
TOKENS = 1024
"""Tokens of one forward pass."""
KINDS = {".": "'.'", "。": "'。'", "।": "'।'"}
"""Text of a last token -> its kind. Others are 'other punctuation' or 'a word'."""
PRETRAINED = "pretrained"
THEN = " > "
"""Between the stages in the name of a model."""

Vectors = dict[str, np.ndarray]
"""State -> (layers, rows, hidden) float32."""


class Sentences(NamedTuple):
    """The sentences of one language, split into tokens."""

    ids: list[list[int]]
    """Without what is appended."""
    labels: np.ndarray
    """(rows,) index of the topic."""
    last: list[str]
    """(rows,) text of the last token."""


class Source(NamedTuple):
    """A model to measure."""

    name: str
    key: str
    """Of the job that made it; '' for the pretrained model."""


def read_sentences(tokenizer: Any, data: Path, language: str, split: str, rows: int) -> Sentences:
    """The first rows of a split, in the order of their ids, so that those of all languages are translations."""
    task = catalog.get(TASK)
    examples: list[Any] = sorted(task.source.read(task, language, split, data), key=lambda each: int(each.id))[:rows]
    ids = [tokenizer(each.text_a, truncation=True, max_length=MAX_LENGTH)["input_ids"] for each in examples]
    labels = np.array([task.labels.index(each.label) for each in examples])
    return Sentences(ids, labels, [tokenizer.decode(row[-1:]).strip() for row in ids])


def kind_of(token: str) -> str:
    """The kind of a last token."""
    if token in KINDS:
        return KINDS[token]
    return "a word" if any(letter.isalnum() for letter in token) else "other punctuation"


def compute_vectors(model: Model, tokenizer: Any, rows: Sequence[list[int]], layers: Sequence[int]) -> Vectors:
    """The states of rows of tokens. What is appended does not change the states before it, since the model is a decoder: one pass
    gives all states."""
    import torch

    from xlift.evaluation.batching import iterate_batches
    from xlift.models.heads import row_state
    from xlift.tasks.formats.features import Features
    from xlift.tasks.formats.ragged import Ragged
    from xlift.training.progress import Progress

    (stop,) = tokenizer(".", add_special_tokens=False)["input_ids"]
    index = np.arange(len(rows))
    extended = Ragged.from_rows(np.array([*row, stop, tokenizer.eos_token_id], dtype=np.int32) for row in rows)
    features = Features(extended, example_index=index, unit=index)
    shape = (len(layers), len(rows), int(model.backbone.config.hidden_size))
    vectors = {name: np.empty(shape, dtype=np.float32) for name in STATES}
    with torch.inference_mode():
        for indices, inputs in iterate_batches(model, features, tokenizer.pad_token_id, TOKENS, Progress()):
            found, lengths = model.hidden_states(inputs, layers), inputs["attention_mask"].sum(dim=1)
            position = torch.arange(inputs["attention_mask"].shape[1])
            masks = {"last": lengths - 2, "mean": lengths - 2, "stop": lengths - 1, "end": lengths}
            for name, end in masks.items():
                mask = (position < end[:, None]).long()
                for at, layer in enumerate(layers):
                    vectors[name][at, indices] = row_state(
                        found[layer], mask, "mean" if name == "mean" else "last"
                    ).numpy()
    return vectors


class Probe:
    """A logistic regression on standardized states."""

    def __init__(self, states: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        self.mean, self.std = states.mean(axis=0), states.std(axis=0) + 1e-6
        self.model = LogisticRegression(C=REGULARIZATION, max_iter=300).fit(self._scale(states), labels)

    def _scale(self, states: np.ndarray) -> np.ndarray:
        return (states - self.mean) / self.std

    def is_right(self, states: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return self.model.predict(self._scale(states)) == labels


def analyse(train: Vectors, train_labels: np.ndarray, test: dict[str, Vectors], sentences: dict[str, Sentences]) -> dict[str, Any]:  # fmt: skip
    """All numbers of one model: for each state and language a list with a number for each layer.

    `accuracy`: of the probe, in percent. `distance`: between the means of a language and of English, as multiples of the distance
    of a row from its language's mean (root mean square), the `spread`. `cosine`: of these two means. `norm`: mean norm of the
    language's rows.
    `by_token`: of the last layer and the state 'last', language -> kind of last token -> [right, rows].
    """
    result: dict[str, Any] = {"accuracy": {}, "by_token": {}, **{each: {} for each in GEOMETRY}}
    for name in STATES:
        accuracy = {language: [] for language in test}
        centred = {language: [] for language in test}
        geometry = {each: {language: [] for language in test} for each in GEOMETRY}
        for layer, states in enumerate(train[name]):
            probe = Probe(states, train_labels)
            own = test[SOURCE][name][layer]
            for language, vectors in test.items():
                rows, labels = vectors[name][layer], sentences[language].labels
                right = probe.is_right(rows, labels)
                accuracy[language].append(percent(right))
                centred[language].append(
                    percent(probe.is_right(rows - rows.mean(axis=0) + states.mean(axis=0), labels))
                )
                for key, value in compare_means(rows, own).items():
                    geometry[key][language].append(value)
                if name == "last" and layer == len(train[name]) - 1:
                    result["by_token"][language] = count_by_token(sentences[language].last, right)
        result["accuracy"] |= {name: accuracy, name + CENTRED: centred}
        for key, values in geometry.items():
            result[key][name] = values
    return result


def percent(right: np.ndarray) -> float:
    return round(100 * float(right.mean()), 2)


def compare_means(rows: np.ndarray, source: np.ndarray) -> dict[str, float]:
    """The numbers of GEOMETRY, of a language's (rows, hidden) and those of English."""
    one, other = rows.mean(axis=0), source.mean(axis=0)
    own, theirs = (float(((each - mean) ** 2).sum(axis=1).mean()) for each, mean in ((rows, one), (source, other)))
    return {
        "distance": round(float(np.linalg.norm(one - other)) / ((own + theirs) / 2) ** 0.5, 4),
        "cosine": round(float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), 4),
        "norm": round(float(np.linalg.norm(rows, axis=1).mean()), 3),
        "spread": round(own**0.5, 3),
    }


def count_by_token(last: Sequence[str], right: np.ndarray) -> dict[str, list[int]]:
    """Kind of last token -> [right, rows]."""
    counts: dict[str, list[int]] = {}
    for token, is_right in zip(last, right, strict=True):
        count = counts.setdefault(kind_of(token), [0, 0])
        count[0] += int(is_right)
        count[1] += 1
    return counts


def find_sources(store: Path | None, only: str, seed: int, targets: bool) -> Iterator[Source]:
    """The pretrained model, and the trained models of a store that have weights, in the order of their stages.

    Args:
        only: text that their names have.
        targets: whether models that were trained on SIB-200 count.
    """
    yield Source(PRETRAINED, "")
    specs: dict[str, TrainSpec] = {}
    for path in sorted(store.glob("artifacts/*/*/manifest.json")) if store else ():
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["kind"] == "train" and (path.parent / MODEL).is_dir():
            specs[manifest["key"]] = TrainSpec.model_validate({"kind": "train", **manifest["spec"]})
    named = {key: name for key, spec in specs.items() if spec.seed == seed and (name := name_of(spec, specs))}
    seen: Counter[str] = Counter()
    for key, name in sorted(named.items(), key=lambda item: (item[1].count(THEN), item[1])):
        if only in name and (targets or TASK not in name):
            seen[name] += 1
            yield Source(name if seen[name] == 1 else f"{name} ({seen[name]})", key)


def name_of(spec: TrainSpec, specs: Mapping[str, TrainSpec]) -> str:
    """The stages of a model, such as 'ocnli-10k/zh/640 > sib200/en/400'; '' if one of them is not there."""
    own = " + ".join(spec.part_names())
    if any(data.task == TASK for data in spec.mixture):
        own += " at the chosen rate" if spec.lr_choices else f" at {spec.recipe.lr:g}"
    if spec.model.fingerprint:
        return own
    before = name_of(specs[spec.model.job], specs) if spec.model.job in specs else ""
    return f"{before}{THEN}{own}" if before else ""


def load(source: Source, folder: Path, store: Path | None) -> tuple[Model, Any]:
    from xlift.execution.work.model_loading import find_model_files
    from xlift.models.backbone import load, load_stored_model

    if not source.key:
        return load(folder)
    assert store is not None
    return load_stored_model(find_model_files(source.key, Store(store), lambda _: folder))


def measure(options: argparse.Namespace) -> None:
    languages = tuple(options.languages.split(","))
    settings = {
        "train": options.train, "rows": options.rows, "languages": list(languages), "C": REGULARIZATION, "model": options.model.name,
    }  # fmt: skip
    numbers: dict[str, Any] = {"settings": settings, "layers": [], "tokens": {}, "models": {}}
    if options.numbers.is_file():
        numbers = json.loads(options.numbers.read_text(encoding="utf-8"))
        if numbers["settings"] != settings:
            raise SystemExit(f"{options.numbers} has other settings: {numbers['settings']}")
    import torch

    torch.set_num_threads(1)
    for source in find_sources(options.store, options.only, options.seed, options.targets):
        if numbers["models"].get(source.name, {}).get("key") == source.key:
            continue
        started = time.process_time()
        model, tokenizer = load(source, options.model, options.store)
        model.eval()
        train = read_sentences(tokenizer, options.data, SOURCE, "train", options.train)
        tests = {each: read_sentences(tokenizer, options.data, each, "test", options.rows) for each in languages}
        depth = int(model.backbone.config.num_hidden_layers)
        layers = sorted({*range(0, depth + 1, 2), depth})
        vectors = {each: compute_vectors(model, tokenizer, rows.ids, layers) for each, rows in tests.items()}
        found = analyse(compute_vectors(model, tokenizer, train.ids, layers), train.labels, vectors, tests)
        numbers["layers"] = layers
        numbers["tokens"] = {each: dict(Counter(rows.last).most_common(4)) for each, rows in tests.items()}
        numbers["models"][source.name] = {"key": source.key, "seed": options.seed, **found}
        options.numbers.write_text(json.dumps(numbers, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{source.name}: {time.process_time() - started:.0f} s of one core", flush=True)


def add_model_arguments(parser: argparse.ArgumentParser, *, needs_store: bool) -> None:
    """The arguments that name models, data and languages; outlier_dimensions.py has them too."""
    parser.add_argument("numbers", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--model", type=Path, default=Path("real-models/gemma-3-270m"), help="folder of the pretrained model"
    )
    parser.add_argument("--store", type=Path, required=needs_store, help="store with the trained models")
    parser.add_argument("--only", default="", help="measure models whose stages have this text")
    parser.add_argument("--seed", type=int, default=1, help="seed of the stages")
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--rows", type=int, default=204, help="test sentences of each language")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    one = modes.add_parser("measure", help="compute the numbers of some models")
    add_model_arguments(one, needs_store=False)
    one.add_argument("--targets", action="store_true", help="measure models that were trained on SIB-200 too")
    one.add_argument("--train", type=int, default=400, help="English sentences for the probes")
    two = modes.add_parser("show", help="make tables and figures of the numbers")
    two.add_argument("numbers", type=Path)
    two.add_argument("--figures", type=Path, help="folder to write the figures to")
    options = parser.parse_args()
    if options.mode == "measure":
        measure(options)
        return
    from benchmarks.last_token_figures import show

    show(json.loads(options.numbers.read_text(encoding="utf-8")), options.figures)


if __name__ == "__main__":
    main()
