"""How much of a zero-shot score a few dimensions of the last token's state take away, and whether it comes back without them.

    python -m benchmarks.outlier_dimensions measure NUMBERS.json --store STORE --data ../shared/data \\
        [--model real-models/gemma-3-270m] [--only TEXT] [--seed 1] [--languages en,hi,ta] [--rows 204]
    python -m benchmarks.outlier_dimensions show NUMBERS.json [--figure FILE.svg]

`measure` takes the models of a store that were fine-tuned on English labels of SIB-200, and their own heads. For each language it finds
the dimensions in which the states of its test texts are farthest from those of English texts, and gives them the English mean. That
uses texts and no labels, and trains nothing. (A study with `keep: predictions` removes the weights that this needs.) `show` makes the
table and the figure of docs/why-shuffled-labels-lift.md from NUMBERS.json alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.last_token import (
    SOURCE,
    TASK,
    Source,
    add_model_arguments,
    compute_vectors,
    find_sources,
    load,
    percent,
    read_sentences,
)
from xlift import languages
from xlift.report.charts import INK, LINES, on_white, to_svg
from xlift.report.markdown import table

NAMES = {
    "sib200/en/400 at the chosen rate": "400 English labels",
    "ocnli-10k/zh/640 > sib200/en/400 at the chosen rate": "640 Chinese inference pairs before them",
    "ocnli-10k/zh/640 with shuffled labels > sib200/en/400 at the chosen rate": "the same pairs with shuffled labels before them",
}
"""Model -> its name in the figure."""
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


def summarize(numbers: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Model without its seed -> language -> means over seeds: norm, accuracy, accuracy with 1, 3 and 10 dimensions replaced, accuracy
    centred."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for name, model in numbers["models"].items():
        for language, each in model["languages"].items():
            values = [each["norm"], each["accuracy"], *(each["replaced"][str(n)] for n in REPLACED), each["centred"]]
            found.setdefault(name.partition(", seed ")[0], {}).setdefault(language, []).append(values)
    return {
        name: {language: np.mean(seeds, axis=0).tolist() for language, seeds in by_language.items()}
        for name, by_language in found.items()
    }


def draw(numbers: dict[str, Any]) -> str:
    """SVG on white, for the README: a line for each language, a dot for the accuracy of each model, and one for the first model with
    ten dimensions replaced."""
    import altair as alt

    means = summarize(numbers)
    series = {NAMES[name]: {language: values[1] for language, values in of.items()} for name, of in means.items()}
    first = next(iter(means))
    series = {NAMES[first]: series.pop(NAMES[first]), "the same model, ten of 640 dimensions replaced": {language: values[1 + len(REPLACED)] for language, values in means[first].items()}, **series}  # fmt: skip
    points = [
        {"series": name, "language": languages.get(code).name, "accuracy": value}
        for name, of in series.items() for code, value in of.items()
    ]  # fmt: skip
    order = list(dict.fromkeys(point["language"] for point in points))
    scale = alt.Scale(domain=list(series), range=[LINES[6], LINES[5], LINES[0], LINES[1]])
    shapes = alt.Scale(domain=list(series), range=["circle", "diamond", "square", "triangle-up"])
    legend = alt.Legend(orient="bottom", columns=1, title=None, labelLimit=420, symbolOpacity=1)
    chart = alt.layer(
        alt.Chart(alt.InlineData(points))
        .mark_point(filled=True, size=110, opacity=0.9)
        .encode(
            y=alt.Y("language:N", sort=order, title=None, axis=alt.Axis(grid=True, gridOpacity=0.15, gridColor=INK)),
            x=alt.X(
                "accuracy:Q", title="accuracy on topics of sentences (%)", scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(gridOpacity=0.15, gridColor=INK),
            ),
            color=alt.Color("series:N", sort=list(series), scale=scale, legend=legend),
            shape=alt.Shape("series:N", sort=list(series), legend=legend, scale=shapes),
        )
    ).properties(width=480, height=34 * len(order))  # fmt: skip
    return on_white(to_svg(chart, "Accuracy by language: English labels only, with ten dimensions replaced, after Chinese pairs, and after the same pairs with shuffled labels"))  # fmt: skip


def show(numbers: dict[str, Any]) -> str:
    """Two Markdown tables, of means over seeds: a line for each model, with means over the languages without labels, and one for each
    model and language."""
    scores = ["accuracy", *(f"{n} replaced" for n in REPLACED), "centred"]
    means = summarize(numbers)
    others = {
        name: np.mean([values[1:] for language, values in of.items() if language != SOURCE], axis=0)
        for name, of in means.items()
    }
    summary = [[NAMES[name], *(f"{value:.1f}" for value in values)] for name, values in others.items()]
    largest = largest_dimensions(numbers)
    lines = [
        [NAMES[name], language, f"{values[0]:.0f}", largest[name, language], *(f"{value:.1f}" for value in values[1:])]
        for name, of in means.items() for language, values in of.items()
    ]  # fmt: skip
    return "\n\n".join(
        (
            table(["trained on", *scores], summary, num_right=5),
            table(["trained on", "language", "norm", "largest dimension", *scores], lines, num_right=7),
        )
    )


def largest_dimensions(numbers: dict[str, Any]) -> dict[tuple[str, str], str]:
    """(model without its seed, language) -> the largest dimension under each seed, with its share of the squared norm."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, model in numbers["models"].items():
        for language, each in model["languages"].items():
            text = f"{each['largest']} ({100 * each['share']:.0f}%)"
            found.setdefault((name.partition(", seed ")[0], language), []).append(text)
    return {key: ", ".join(dict.fromkeys(texts)) for key, texts in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    one = modes.add_parser("measure", help="compute the numbers of the models of a store")
    add_model_arguments(one, needs_store=True)
    two = modes.add_parser("show", help="make the table of the numbers")
    two.add_argument("numbers", type=Path)
    two.add_argument("--figure", type=Path, help="write the figure to this file")
    options = parser.parse_args()
    if options.mode == "measure":
        measure(options)
    else:
        numbers = json.loads(options.numbers.read_text(encoding="utf-8"))
        print(show(numbers))
        if options.figure:
            options.figure.write_text(draw(numbers) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
