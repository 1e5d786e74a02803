"""Hand-made jobs of tiny models with `mode: text`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.support import tiny

from xlift.execution.work.shared import Context
from xlift.models.backbone import save
from xlift.recipes import Engine, PromptSettings, Recipe
from xlift.studies.job import Data, Job, ModelRef, PredictSpec, TextMode, TrainSpec, make_job
from xlift.tasks import catalog

TASKS = ("isle-nli", "isle-qa", "isle-pos", "isle-commonsense")
RECIPE = Recipe(lr=0.003, batch_size=4, max_steps=6, max_length=160, retries=0)
PRETRAINED = "made up"


def context(folder: Path, family: str, engine: Engine | None = None, **options: Any) -> Context:
    """A job context with a tiny model, written to a folder."""
    if not folder.is_dir():
        save(tiny.encoder(family, **options), tiny.tokenizer_of(family), folder)
    return Context(None, {name: catalog.get(name) for name in TASKS}, {PRETRAINED: folder}, engine or Engine())


def data(task: str, language: str = "qtm", split: str = "train", size: int = 16, **more: Any) -> Data:
    return Data(task=task, language=language, split=split, size=size, fingerprint="generated", **more)


def text_mode(**wording: Any) -> TextMode:
    return TextMode(prompt=PromptSettings(**wording), fewshot_data=tuple(data(task, seed=7) for task in TASKS))


def start(parent: Job | None = None) -> ModelRef:
    return ModelRef(job=parent.key) if parent else ModelRef(fingerprint=PRETRAINED)


def train(
    *parts: Data, parent: Job | None = None, recipe: Recipe = RECIPE, dev: Sequence[Data] = (), **more: Any
) -> Job:
    spec = TrainSpec(
        model=start(parent),
        mixture=parts,
        recipe=recipe,
        dev=tuple(dev),
        text_mode=text_mode(),
        seed=1,
        **more,
    )
    return make_job(spec, "train", 1)


def predictions(
    task: str, languages: Iterable[str], parent: Job | None = None, size: int = 6, **wording: Any
) -> list[Job]:
    return [
        make_job(
            PredictSpec(
                model=start(parent),
                data=data(task, language, "test", size),
                head="TEXT",
                text_mode=text_mode(**wording),
                options={"max_length": 160},
            ),
            f"predict {task} {language}",
            size,
        )
        for language in languages
    ]
