"""How much of a zero-shot score a few dimensions of the last token's state take away, and whether it comes back without them.

    python -m benchmarks.outlier_dimensions measure NUMBERS.json --store STORE --data ../shared/data \\
        [--model real-models/gemma-3-270m] [--only TEXT] [--seed 1] [--languages en,hi,ta] [--rows 204]
    python -m benchmarks.outlier_dimensions show NUMBERS.json

`measure` takes the models of a store that were fine-tuned on English labels of SIB-200, and their own heads. For each language it finds
the dimensions in which the states of its test texts are farthest from those of English texts, and gives them the English mean. That
uses texts and no labels, and trains nothing. (A study with `keep: predictions` removes the weights that this needs.) `show` makes the
table of docs/why-shuffled-labels-lift.md from NUMBERS.json alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.last_token import (
    LANGUAGES,
    SOURCE,
    TASK,
    Source,
    compute_vectors,
    find_sources,
    load,
    percent,
    read_sentences,
)
from xlift.report.markdown import table

REPLACED = (1, 3, 10)
"""Numbers of dimensions that get the English mean."""


def measure_language(states: np.ndarray, english: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    """Scores of a head, in percent, on changed states.

    Args:
        states: (rows, hidden) last states of the language.
        english: (rows, hidden) those of English.
        weight: (labels, hidden) of the head.
    """
    mean = english.mean(axis=0)
    energy = (states**2).mean(axis=0)
    farthest = np.argsort(-((states.mean(axis=0) - mean) ** 2))

    def accuracy(changed: np.ndarray) -> float:
        return percent((changed @ weight.T).argmax(axis=1) == labels)

    def replaced(count: int) -> np.ndarray:
        changed = states.copy()
        changed[:, farthest[:count]] = mean[farthest[:count]]
        return changed

    top = int(energy.argmax())
    return {
        "norm": round(float(energy.sum()) ** 0.5, 1),
        "largest": top,
        "share": round(float(energy[top] / energy.sum()), 3),
        "farthest": farthest[: REPLACED[-1]].tolist(),
        "accuracy": accuracy(states),
        "replaced": {str(count): accuracy(replaced(count)) for count in REPLACED},
        "centred": accuracy(states - states.mean(axis=0) + mean),
    }


def measure_model(source: Source, options: argparse.Namespace) -> dict[str, Any]:
    model, tokenizer = load(source, options.model, options.store)
    model.eval()
    (weight,) = (value for name, value in model.heads.named_parameters() if name.endswith("weight"))
    depth = int(model.backbone.config.num_hidden_layers)
    states, labels = {}, {}
    for language in options.languages.split(","):
        sentences = read_sentences(tokenizer, options.data, language, "test", options.rows)
        states[language] = compute_vectors(model, tokenizer, sentences.ids, [depth])["last"][0]
        labels[language] = sentences.labels
    head = weight.detach().numpy()
    return {each: measure_language(states[each], states[SOURCE], labels[each], head) for each in states}


def measure(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    numbers: dict[str, Any] = {"rows": options.rows, "models": {}}
    if options.numbers.is_file():
        numbers = json.loads(options.numbers.read_text(encoding="utf-8"))
    for source in find_sources(options.store, options.only, options.seed, targets=True):
        name = f"{source.name}, seed {options.seed}"
        if TASK not in source.name or name in numbers["models"]:
            continue
        started = time.process_time()
        numbers["models"][name] = {"key": source.key, "languages": measure_model(source, options)}
        options.numbers.write_text(json.dumps(numbers, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {time.process_time() - started:.0f} s of one core", flush=True)


def show(numbers: dict[str, Any]) -> str:
    """A Markdown table with a line for each model and language."""
    head = ["model", "language", "norm", "largest dimension", "its share", "accuracy", *(f"{n} replaced" for n in REPLACED), "centred"]  # fmt: skip
    lines = []
    for name, model in numbers["models"].items():
        for language, found in model["languages"].items():
            scores = (found["accuracy"], *(found["replaced"][str(n)] for n in REPLACED), found["centred"])
            lines.append(
                [
                    name, language, f"{found['norm']:.0f}", str(found["largest"]), f"{100 * found['share']:.0f}%",
                    *(f"{score:.1f}" for score in scores),
                ]
            )  # fmt: skip
    return table(head, lines, num_right=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    one = modes.add_parser("measure", help="compute the numbers of the models of a store")
    one.add_argument("numbers", type=Path)
    one.add_argument("--store", type=Path, required=True)
    one.add_argument("--data", type=Path, required=True)
    one.add_argument(
        "--model", type=Path, default=Path("real-models/gemma-3-270m"), help="folder of the pretrained model"
    )
    one.add_argument("--only", default="", help="measure models whose stages have this text")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--languages", default=",".join(LANGUAGES))
    one.add_argument("--rows", type=int, default=204, help="test sentences of each language")
    two = modes.add_parser("show", help="make the table of the numbers")
    two.add_argument("numbers", type=Path)
    options = parser.parse_args()
    if options.mode == "measure":
        measure(options)
    else:
        print(show(json.loads(options.numbers.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
