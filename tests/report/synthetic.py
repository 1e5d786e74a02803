"""Rows of a made-up but lifelike study, for the tests and for looking at the page.

PYTHONPATH=src python tests/report/synthetic.py page.html    # render it
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import LiftRow, compute_lifts
from xlift.report.page import PageInfo

LANGUAGES = {
    "vel": 0.0,
    "vem": 0.1,
    "kar": 0.2,
    "kas": 0.35,
    "tun": 0.3,
    "tuo": 0.4,
    "mir": 0.6,
    "mis": 0.7,
    "osh": 0.9,
    "osk": 1.1,
}
"""Code -> distance from the source language, on the latent scale."""
INTERMEDIATES = {
    "none": 0.0,
    "isle-nli": 0.22,
    "isle-qa": 0.12,
    "isle-paraphrase": 0.06,
    "isle-commonsense": 0.0,
    "isle-tags": -0.08,
    "isle-mlm": 0.16,
}
TARGETS = {"isle-pairs": 0.9, "isle-spans": 0.6, "isle-choice": 0.3, "isle-retrieval": 0.1}


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0] / counts[..., 1]


@cache
def rows(
    intermediates: tuple[str, ...] = tuple(INTERMEDIATES),
    targets: tuple[str, ...] = tuple(TARGETS),
    languages: tuple[str, ...] = tuple(LANGUAGES),
    sizes: tuple[str, ...] = ("full",),
    intermediate_languages: tuple[str, ...] = ("vel",),
    seeds: int = 2,
    n: int = 400,
) -> list[LiftRow]:
    rng, cells = np.random.default_rng(7), []
    example = {target: rng.normal(size=n) * 0.75 for target in targets}
    for intermediate in intermediates:
        none = intermediate == "none"
        for size in ("",) if none else sizes:
            share = min(1.0, np.log10(int(size)) / 4) if size.isdigit() else 1.0
            for source in ("",) if none else intermediate_languages:
                for target in targets:
                    effect = INTERMEDIATES[intermediate] * share * rng.uniform(0.3, 1.7)
                    for seed in range(seeds):
                        for language in languages:
                            level = TARGETS[target] - LANGUAGES[language] + effect + rng.normal() * 0.03
                            right = level + example[target] + rng.normal(size=n) * 0.65 > 0
                            cells.append(
                                ScoredCell(
                                    model="xlift-tiny",
                                    intermediate=intermediate,
                                    intermediate_language=source,
                                    size=size,
                                    seed=seed,
                                    target=target,
                                    language=language,
                                    metric="accuracy",
                                    ids=[str(i) for i in range(n)],
                                    value=accuracy,
                                    counts=np.stack([right, np.ones(n)], axis=-1),
                                )
                            )
    return compute_lifts(cells, "archipelago-lift")


def wide_rows(num_languages: int = 40) -> list[LiftRow]:
    """A study with one target in many languages, 'l00' to 'l39'."""
    many = {f"l{n:02d}": 0.1 for n in range(num_languages)}
    LANGUAGES.update(many)
    study = rows(("none", "isle-nli"), ("isle-pairs",), tuple(many), n=60)
    for code in many:
        del LANGUAGES[code]
    return study


def info(**changed) -> PageInfo:
    parts = {
        "study": "archipelago-lift",
        "title": "Intermediate tasks on the archipelago",
        "question": "Which intermediate task helps languages for which there are no labels?",
        "method": "Each pipeline trains the same small encoder on an intermediate task in Vel, then on the target's labels "
        "in Vel, and is scored zero-shot in ten languages. Models are selected on development data "
        "in Vel only.",
        "languages": [
            {
                "code": code,
                "name": code.title() + "i",
                "family": ["Velic", "Tunic", "Oshan"][i // 4],
                "script": ["Latn", "Cyrl", "Grek"][i % 3],
                "tier": ["high", "low", "unseen"][min(2, i // 3)],
            }
            for i, code in enumerate(LANGUAGES)
        ],
        "runs": {
            "jobs": 132,
            "trained": 62,
            "seconds": 5423.7,
            "tokens": 48_120_334,
            "machine": "2 CPU cores, 8 GB",
            "versions": "xlift 0.1.0, torch 2.13, transformers 5.23",
        },
        "warnings": ["isle-choice: 3 of 400 test sentences are also in the training data of isle-commonsense."],
        "command": "xlift run studies/archipelago.yaml",
        "made": "2026-01-31 12:00 UTC",
    }
    return PageInfo(**{**parts, **changed})


if __name__ == "__main__":
    from xlift.report.page import render_page

    Path(sys.argv[1]).write_text(render_page(rows(), info()), encoding="utf-8")
    if len(sys.argv) > 2:
        several = rows(
            intermediates=("none", "isle-nli", "isle-mlm"),
            sizes=("100", "1000", "10000"),
            intermediate_languages=("vel", "kar"),
        )
        Path(sys.argv[2]).write_text(render_page(several, info()), encoding="utf-8")
