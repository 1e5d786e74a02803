"""What trained the pipelines of a study, read from the manifests of its jobs: models, intermediate stages, target stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from xlift.analysis.estimates import BASELINE
from xlift.studies.artifact import Artifact
from xlift.studies.job import MergeSpec, PretrainSpec, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Cell


@dataclass(frozen=True)
class TrainedStage:
    spec: TrainSpec
    steps: int | None
    """Optimizer steps; None if the manifest does not say."""


@dataclass(frozen=True)
class Row:
    """A pipeline up to the target: one line of the tables."""

    model: str
    intermediate: str
    language: str
    size: str
    control: str = ""
    control_of: str = ""


class Chains:
    """The jobs behind predictions, found through the parents in their manifests. Manifests of another version of xlift count
    as missing."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self._artifacts = {artifact.key: artifact for artifact in artifacts}

    def stages(self, key: str) -> list[TrainedStage]:
        """The training stages behind a job, the first one first, back to the pretrained model or a merge."""
        stages = []
        for artifact in self._line(key):
            if artifact.kind == "train":
                numbers = artifact.numbers
                steps = numbers.steps if isinstance(numbers, TrainNumbers) else None
                stages.append(TrainedStage(TrainSpec.model_validate(artifact.manifest["spec"]), steps))
        return stages[::-1]

    def start(self, key: str) -> str | PretrainSpec:
        """The model that the stages behind a job start from: its fingerprint, or its pretraining; '' if it is unknown."""
        line = self._line(key)
        while line and line[-1].kind == "merge":
            line = self._line(MergeSpec.model_validate(line[-1].manifest["spec"]).merged[0])
        if not line:
            return ""
        last = line[-1]
        if last.kind == "pretrain":
            return PretrainSpec.model_validate(last.manifest["spec"])
        return str(last.manifest["spec"].get("model", {}).get("fingerprint", ""))

    def _line(self, key: str) -> list[Artifact]:
        """The job and the jobs that it starts from, up to a merge."""
        line: list[Artifact] = []
        while key in self._artifacts and self._artifacts[key] not in line:
            artifact = self._artifacts[key]
            if artifact.kind == "train" and not _is_readable(artifact):
                break
            line.append(artifact)
            if artifact.kind in ("merge", "pretrain"):
                break
            key = str(artifact.manifest["spec"].get("model", {}).get("job", ""))
        return line


def _is_readable(artifact: Artifact) -> bool:
    try:
        TrainSpec.model_validate(artifact.manifest["spec"])
    except ValidationError:
        return False
    return True


def row_of(cell: Cell) -> Row:
    return Row(cell.model, cell.intermediate, cell.intermediate_language, cell.size, cell.control, cell.control_of)


def intermediate_stages(cells: Sequence[Cell], chains: Chains) -> dict[Row, list[TrainedStage]]:
    """The intermediate stages of each row, under the first seed. Those of the baseline and of merged models are [].

    The stages that the targets of a row have in common are its intermediate ones. If a row has one target only, they are those
    that the baseline does not have.
    """
    found: dict[Row, dict[str, list[TrainedStage]]] = {}
    first = cells[0].seed if cells else 0
    for cell in cells:
        if cell.seed == first and not cell.noise:
            by_target = found.setdefault(row_of(cell), {})
            if cell.target not in by_target:
                by_target[cell.target] = chains.stages(cell.key)
    baselines = {row.model: by_target for row, by_target in found.items() if row.intermediate == BASELINE}
    return {row: _shared(row, by_target, baselines.get(row.model, {}), cells) for row, by_target in found.items()}


def _shared(
    row: Row,
    by_target: Mapping[str, list[TrainedStage]],
    baseline: Mapping[str, list[TrainedStage]],
    cells: Sequence[Cell],
) -> list[TrainedStage]:
    if row.intermediate == BASELINE:
        return []
    lengths = []
    for target, stages in by_target.items():
        if target in baseline:
            own = len(baseline[target])
        else:
            own = int(any(cell.target == target and cell.train_language for cell in cells))
        lengths.append(max(0, len(stages) - own))
    shortest = min(by_target.values(), key=len)
    return shortest[: min(lengths, default=0)]


def target_stages(row: Row, target: str, cells: Sequence[Cell], chains: Chains, before: int) -> list[TrainedStage]:
    """The stages of a target in a row, under the first seed.

    Args:
        before: number of intermediate stages of the row.
    """
    for cell in cells:
        if row_of(cell) == row and cell.target == target and not cell.noise:
            return chains.stages(cell.key)[before:]
    return []


def models_and_starts(cells: Sequence[Cell], chains: Chains) -> dict[str, str | PretrainSpec]:
    """Model of the study -> the pretrained model behind it, as `Chains.start`."""
    starts: dict[str, str | PretrainSpec] = {}
    for cell in cells:
        if not starts.get(cell.model):
            starts[cell.model] = chains.start(cell.key)
    return starts
