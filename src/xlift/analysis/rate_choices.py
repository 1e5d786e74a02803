"""The learning rates that pipelines chose on dev data, and the dev curves of their target stages, from the manifests of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlift.analysis.lift import LiftRow
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.record import Record
from xlift.studies.store import Store


@dataclass
class TargetStage:
    """The target stage of a pipeline over all seeds."""

    target: str
    model: str
    intermediate: str
    language: str
    size: str
    lr: float | None = None
    """The learning rate that was chosen; None without a choice."""
    tried: dict[float, float] = field(default_factory=dict)
    """Learning rate -> its dev score under the first seed."""
    scores_by_step: dict[int, list[float]] = field(default_factory=dict)
    """Step -> dev score under each seed, in the order of the steps."""

    @property
    def curve(self) -> list[tuple[int, float]]:
        """(step, mean over seeds), of the steps that every seed has evaluated at."""
        most = max(map(len, self.scores_by_step.values()), default=0)
        return [(step, sum(each) / most) for step, each in sorted(self.scores_by_step.items()) if len(each) == most]

    def as_json(self) -> dict[str, Any]:
        """The keys of `xlift report --json` on the training of a row: those that apply."""
        found: dict[str, Any] = {}
        if self.tried:
            scores = [{"lr": lr, "dev_score": score} for lr, score in sorted(self.tried.items())]
            found |= {"lr": self.lr, "lr_dev_scores": scores}
        if self.curve:
            found["dev_curve"] = [{"step": step, "dev_score": score} for step, score in self.curve]
        return found


def training_keys(stages: Sequence[TargetStage], rows: Sequence[LiftRow]) -> list[dict[str, Any]]:
    """For each row, `TargetStage.as_json` of its pipeline and target; {} for means over targets and without such a stage."""
    found = {
        (stage.target, stage.model, stage.intermediate, stage.language, stage.size): stage.as_json()
        for stage in stages
    }  # fmt: skip
    return [
        found.get((row.target, row.model, row.intermediate, row.intermediate_language, row.size), {}) for row in rows
    ]


def read_target_stages(record: Record, store: Store) -> list[TargetStage]:
    """The target stages with a chosen rate or a dev curve, in the order of the table.

    Raises:
        UserError: a manifest is damaged.
    """
    stages: dict[tuple[str, ...], TargetStage] = {}
    seen: set[tuple[str, ...]] = set()
    for cell in record.cells:
        names = (cell.target, cell.model, cell.intermediate, cell.intermediate_language, cell.size)
        artifact = store.find(cell.key) if cell.train_language else None
        key = str(artifact.manifest["spec"].get("model", {}).get("job", "")) if artifact else ""
        if not key or (*names, key) in seen:  # the languages of a target share the model
            continue
        seen.add((*names, key))
        trained = store.find(key)
        numbers = trained.numbers if trained else None
        if trained is None or not isinstance(numbers, TrainNumbers):
            continue
        stage = stages.setdefault(names, TargetStage(*names))
        for step, score in numbers.dev_curve or ():
            stage.scores_by_step.setdefault(step, []).append(score)
        stage.lr = stage.lr or numbers.lr
        stage.tried |= _read_tried(trained.manifest["spec"], store)
    return [stage for stage in stages.values() if stage.tried or stage.scores_by_step]


def _read_tried(spec: Mapping[str, object], store: Store) -> dict[float, float]:
    tried: dict[float, float] = {}
    choices = spec.get("lr_choices")
    for choice in choices if isinstance(choices, list | tuple) else ():
        artifact = store.find(str(choice["job"]))
        numbers = artifact.numbers if artifact else None
        if isinstance(numbers, TrainNumbers) and numbers.dev_score is not None:
            tried[float(choice["lr"])] = numbers.dev_score
    return tried
