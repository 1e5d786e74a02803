"""Tables and figures of the numbers of last_token.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlift.report.charts import INK, LINES, PANEL, to_svg
from xlift.report.markdown import table

TITLES = {
    "last": "last token",
    "last centred": "last token, centred",
    "stop": "'.' appended",
    "end": "end token appended",
    "mean": "mean of all tokens",
    "mean centred": "mean, centred",
}
"""Key of `accuracy` -> its name in tables and figures. 'Centred': each language's mean is subtracted."""
IN_FIGURES = ("last", "last centred", "stop", "mean")
GREY = "#767676"
"""Text of the figures: the page shows them as images, which do not see its colour."""
SOURCE = "en"

Table = tuple[str, list[str], list[list[str]]]
"""Title, head, rows."""


def show(numbers: dict[str, Any], figures: Path | None) -> None:
    """Print the tables as Markdown, and write the figures to a folder."""
    for title, head, rows in tables(numbers):
        print(f"{title}\n\n{table(head, rows, num_right=len(head) - 1)}\n")
    if figures is None:
        return
    figures.mkdir(parents=True, exist_ok=True)
    for name, svg in draw(numbers).items():
        (figures / f"{name}.svg").write_text(
            svg.replace("<svg ", f'<svg style="color: {GREY}" ', 1) + "\n", encoding="utf-8"
        )
        print(figures / f"{name}.svg")


def tables(numbers: dict[str, Any]) -> list[Table]:
    """Tables of the last layer, then those by layer."""
    languages, models = numbers["settings"]["languages"], numbers["models"]
    others = [language for language in languages if language != SOURCE]
    made: list[Table] = [
        (
            "Most frequent last tokens, test sentences of each language",
            ["language", "last token: sentences"],
            [[language, ", ".join(f"`{token}` {n}" for token, n in found.items())] for language, found in numbers["tokens"].items()],
        )
    ]  # fmt: skip
    for state, title in TITLES.items():
        rows = [
            [name, f"{_mean(model['accuracy'][state], others):.1f}", *(f"{model['accuracy'][state][each][-1]:.1f}" for each in languages)]
            for name, model in models.items()
        ]  # fmt: skip
        made.append((f"Accuracy of a probe on the {title}", ["model", "mean without English", *languages], rows))
    for key in ("distance", "cosine", "norm", "spread"):
        for state in ("last", "stop", "mean"):
            rows = [
                [name, *(f"{model[key][state][each][-1]:.2f}" for each in languages)] for name, model in models.items()
            ]
            made.append((f"{key.capitalize()} of a language and English, {TITLES[state]}", ["model", *languages], rows))
    layers = numbers["layers"]
    of_models = {key: {name: model[key] for name, model in models.items()} for key in ("accuracy", "distance")}
    made.append(
        _by_layer("Accuracy by layer, mean without English", of_models["accuracy"], IN_FIGURES, others, layers, 1)
    )
    for language in others:
        title = f"Distance of {language} from English by layer"
        made.append(_by_layer(title, of_models["distance"], ("last", "mean"), [language], layers, 2))
    made.append(_by_token(models, languages))
    return made


def _by_layer(
    title: str, by_state: dict[str, dict[str, dict[str, list[float]]]], states: Sequence[str], languages: Sequence[str],
    layers: Sequence[int], digits: int,
) -> Table:  # fmt: skip
    """A column for each layer.

    Args:
        by_state: model -> state -> language -> numbers by layer.
    """
    rows = [
        [name, TITLES[state], *(f"{_mean(found[state], languages, at):.{digits}f}" for at in range(len(layers)))]
        for name, found in by_state.items() for state in states
    ]  # fmt: skip
    return title, ["model", "state", *map(str, layers)], rows


def _by_token(models: dict[str, Any], languages: Sequence[str]) -> Table:
    """Accuracy by language and kind of last token, of kinds that five sentences or more have."""
    first = next(iter(models.values()))["by_token"]
    kinds = [
        (language, kind, count[1]) for language in languages for kind, count in first[language].items() if count[1] >= 5
    ]
    rows = []
    for name, model in models.items():
        counts = [model["by_token"][language][kind] for language, kind, _ in kinds]
        rows.append([name, *(f"{100 * right / number:.1f}" for right, number in counts)])
    head = ["model", *(f"{language} {kind} ({number})" for language, kind, number in kinds)]
    return "Accuracy of a probe on the last token by what that token is (sentences)", head, rows


def _mean(by_language: dict[str, list[float]], languages: Sequence[str], layer: int = -1) -> float:
    return sum(by_language[language][layer] for language in languages) / len(languages)


def draw(numbers: dict[str, Any]) -> dict[str, str]:
    """Name of a figure -> its SVG."""
    layers, models = numbers["layers"], numbers["models"]
    others = [language for language in numbers["settings"]["languages"] if language != SOURCE]
    accuracy = [
        {"model": name, "panel": TITLES[state], "layer": layer, "value": _mean(model["accuracy"][state], others, at)}
        for name, model in models.items() for state in IN_FIGURES for at, layer in enumerate(layers)
    ]  # fmt: skip
    distance = [
        {"model": name, "panel": language, "layer": layer, "value": model["distance"]["last"][language][at]}
        for name, model in models.items() for language in others for at, layer in enumerate(layers)
    ]  # fmt: skip
    length = [
        {"model": name, "panel": TITLES[state], "language": language, "value": model["norm"][state][language][-1]}
        for name, model in models.items() for state in ("last", "mean") for language in numbers["settings"]["languages"]
    ]  # fmt: skip
    return {
        "length": _dots(length, "Mean norm of states of the last layer by model and language"),
        "accuracy-by-layer": _lines(
            accuracy, "accuracy (%)", "Accuracy of English probes in other languages by layer and model", columns=2
        ),
        "distance-by-layer": _lines(
            distance, "distance from English", "Distance of languages from English by layer and model", columns=3
        ),
    }


def _lines(points: list[dict[str, Any]], title: str, description: str, columns: int) -> str:
    """A line for each model in each panel."""
    import altair as alt

    names, panels = (list(dict.fromkeys(point[key] for point in points)) for key in ("model", "panel"))
    layers = sorted({point["layer"] for point in points})
    base = alt.Chart().encode(
        x=alt.X("layer:Q", title="layer", axis=alt.Axis(values=layers[::3], grid=False)),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, gridOpacity=0.15, gridColor=INK)),
        color=alt.Color(
            "model:N", sort=names, scale=alt.Scale(domain=names, range=list(LINES[: len(names)])),
            legend=alt.Legend(orient="top", title=None, columns=2, labelLimit=340, symbolOpacity=1),
        ),
    )  # fmt: skip
    layered = alt.layer(base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=30, opacity=1)).properties(
        **PANEL
    )
    chart = layered.facet(alt.Facet("panel:N", sort=panels, title=None), columns=columns, data=alt.InlineData(points))
    return to_svg(chart, description)


def _dots(points: list[dict[str, Any]], description: str) -> str:
    """A line for each model in each panel, with a dot for each language, on a logarithmic axis."""
    import altair as alt

    names, panels, languages = (
        list(dict.fromkeys(point[key] for point in points)) for key in ("model", "panel", "language")
    )
    layered = alt.layer(
        alt.Chart()
        .mark_point(filled=True, size=60, opacity=0.9)
        .encode(
            y=alt.Y("model:N", sort=names, title=None, axis=alt.Axis(labelLimit=300)),
            x=alt.X("value:Q", title="mean norm", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=4, gridOpacity=0.15, gridColor=INK)),
            color=alt.Color(
                "language:N", sort=languages, scale=alt.Scale(domain=languages, range=list(LINES[: len(languages)])),
                legend=alt.Legend(orient="top", title=None, symbolOpacity=1),
            ),
        )
    ).properties(width=210, height=24 * len(names))  # fmt: skip
    chart = layered.facet(alt.Facet("panel:N", sort=panels, title=None), columns=2, data=alt.InlineData(points))
    return to_svg(chart, description)
