"""Training loss and dev score by step of the stages behind the pipelines of a study, from the manifests of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from xlift.analysis.pipelines import PIPELINE_FIELDS, field_value
from xlift.errors import UserError, did_you_mean
from xlift.recipes import Recipe
from xlift.studies.artifact import Artifact
from xlift.studies.job import Data
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Cell
from xlift.studies.record import Record
from xlift.studies.store import Store

PRETRAINING = "pretraining"
INTERMEDIATE_FIELDS = ("model", "intermediate", "intermediate_language", "size", "seed")
"""The PIPELINE_FIELDS that identify an intermediate stage."""


@dataclass(frozen=True)
class StageCurves:
    """The curves of one training stage of a pipeline under one seed."""

    pipeline: Mapping[str, str]
    """Its PIPELINE_FIELDS; those that do not apply are '': the target of an intermediate stage, the intermediate of pretraining."""
    stage: str
    """The data that it trains on, 'xnli en', or PRETRAINING."""
    job: str
    """Key of the job."""
    steps: int
    attempts: int
    """Trainings of the stage; the curves are those of the last one."""
    lr: float | None
    """Peak learning rate; None after a retry, which may have lowered it."""
    losses: tuple[tuple[int, float], ...]
    """(steps done, mean training loss) of each twentieth of the stage; () if an older xlift trained it."""
    dev_scores: tuple[tuple[int, float], ...]
    """(steps done, mean score over the dev sets); () without dev data, one without `eval_steps`."""

    def as_json(self) -> dict[str, Any]:
        found = {**self.pipeline, **asdict(self)}
        del found["pipeline"]
        found["losses"] = [{"step": step, "loss": loss} for step, loss in self.losses]
        found["dev_scores"] = [{"step": step, "dev_score": score} for step, score in self.dev_scores]
        return found


def read_curves(record: Record, store: Store, wanted: Mapping[str, str]) -> list[StageCurves]:
    """The curves of the pipelines with these field values, each stage once, in the order of training.

    Args:
        wanted: some of PIPELINE_FIELDS -> value.

    Raises:
        UserError: a field has no such value, no stage of the pipelines is finished, or a manifest is damaged.
    """
    cells = list(record.cells)
    for name, value in wanted.items():
        values = list(dict.fromkeys(field_value(cell, name) for cell in cells))
        if value not in values:
            others = " and the other options" if len(wanted) > 1 else ""
            raise UserError(
                f"no pipeline of '{record.name}' has --{name.replace('_', '-')} '{value}'{others}",
                fix=f"{did_you_mean(value, values)}Values: {', '.join(each or repr('') for each in values)}.",
            )
        cells = [cell for cell in cells if field_value(cell, name) == value]
    curves: dict[str, StageCurves] = {}
    for cell in cells:
        stages = _stages(cell, store)
        for artifact in stages:
            is_target = bool(cell.train_language) and artifact is stages[-1]
            if artifact.key not in curves and (found := _read_stage(cell, artifact, is_target=is_target)):
                curves[artifact.key] = found
    if not curves:
        raise UserError(
            f"no training stage of these pipelines of '{record.name}' is finished",
            fix="finish the study with `xlift run`; pipelines that train nothing have no curves.",
        )
    return list(curves.values())


def _stages(cell: Cell, store: Store) -> list[Artifact]:
    """The finished training jobs behind a prediction, the first one first."""
    prediction = store.find(cell.key)
    return list(_parents(prediction.manifest["spec"], store)) if prediction else []


def _parents(spec: Mapping[str, Any], store: Store) -> Iterator[Artifact]:
    for key in (spec.get("model", {}).get("job", ""), *spec.get("merged", ())):
        artifact = store.find(str(key)) if key else None
        if artifact:
            yield from _parents(artifact.manifest["spec"], store)
            yield artifact


def _read_stage(cell: Cell, artifact: Artifact, *, is_target: bool) -> StageCurves | None:
    numbers, spec = artifact.numbers, artifact.manifest["spec"]
    if not isinstance(numbers, TrainNumbers):
        return None
    attempts = numbers.attempts or 1
    fields = PIPELINE_FIELDS if is_target else INTERMEDIATE_FIELDS if artifact.kind == "train" else ("model",)
    steps = numbers.steps or 0
    dev = numbers.dev_curve or ([(steps, numbers.dev_score)] if numbers.dev_score is not None else [])
    return StageCurves(
        {name: field_value(cell, name) if name in fields else "" for name in PIPELINE_FIELDS},
        _stage_name(spec),
        artifact.key,
        steps,
        attempts,
        numbers.lr or (spec.get("recipe", {}).get("lr", Recipe().lr) if attempts == 1 else None),
        tuple((step, loss) for step, loss in numbers.loss_curve or ()),
        tuple((step, score) for step, score in dev),
    )


def _stage_name(spec: Mapping[str, Any]) -> str:
    """'xnli en', or 'mnli en, xnli en' of a mixture."""
    mixture = spec.get("mixture")
    if mixture is None:
        return PRETRAINING
    return ", ".join(dict.fromkeys(Data.model_validate(data).name() for data in mixture))
