"""A plan: the jobs, and the cells of the lift table that their predictions fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xlift.claims import ClaimSet
from xlift.conversion.record import ConversionRecord
from xlift.model_shape import ModelShape, read_model_shape
from xlift.recipes import Engine
from xlift.studies.job import PROVISIONAL, Job, data_of
from xlift.studies.missing import MissingData, MissingModel
from xlift.tasks.sources.data_summary import TaskSummary
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task


@dataclass(frozen=True)
class Cell:
    """One number of the table before averaging over seeds, with the keys of its predictions."""

    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seed: int
    target: str
    task: str
    """Name of the target task in the catalogue (for its metrics and format)."""
    language: str
    train_language: str
    key: str
    """Of the predict job."""
    dev_key: str = ""
    """Of the predict job on dev that the threshold is chosen on (mining)."""
    official_key: str = ""
    """Of the predict job at the task's own layer (else XTREME's), where `key` is at a layer chosen on dev."""
    official_dev_key: str = ""
    noise: str = ""
    """Name of the noise, such as 'typos 10%'; '' for clean texts."""
    clean_key: str = ""
    """Of the predict job on the same examples without noise."""
    control: str = ""
    """Of a control: its kind, such as 'shuffled'."""
    control_of: str = ""
    """Of a control: the intermediate that it belongs to, with the same language and size."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task."""


@dataclass
class Plan:
    name: str
    jobs: dict[str, Job] = field(default_factory=dict)
    """Parents come before their children."""
    cells: list[Cell] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    """The tasks of the study, custom ones included."""
    data: Path | None = None
    models: dict[str, Path] = field(default_factory=dict)
    """Fingerprint -> folder of the pretrained models that are on this machine."""
    shapes: dict[str, ModelShape] = field(default_factory=dict)
    """Provisional fingerprint -> published shape of a pretrained model that is not here."""
    missing: list[MissingData | MissingModel] = field(default_factory=list)
    """What is not on this machine. Jobs that need it have provisional keys, so a plan with anything missing is not run."""
    names: dict[str, str] = field(default_factory=dict)
    """Fingerprint -> name of the pretrained models."""
    conversions: dict[str, ConversionRecord] = field(default_factory=dict)
    """Fingerprint -> files of the pretrained models that were converted."""
    engine: Engine = Engine()
    """Of the study."""
    model_of: dict[str, str] = field(default_factory=dict)
    """Key of a job -> name of its model in the study; of the first, if models share the job."""
    engines: dict[str, Engine] = field(default_factory=dict)
    """Key of a job -> its engine, where the entry of its model changes the study's."""
    summaries: list[TaskSummary] = field(default_factory=list)
    """What the files of the custom tasks hold."""
    faults: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task -> sentences on the known faults in its data."""
    warnings: list[str] = field(default_factory=list)
    claims: ClaimSet | None = None
    """What the study is to show, if it has claims."""

    def describe_conversions(self) -> list[str]:
        """'google/mt5-small: its pickled weights were converted to safetensors (cached)'."""
        return [f"{self.names[key]}: {record.describe()} (cached)" for key, record in self.conversions.items()]

    def describe_datasets(self) -> list[str]:
        """'topics: org/name at COMMIT' for each custom task from the Hub."""
        sources = {name: task.source for name, task in self.tasks.items()}
        return [
            f"{name}: {source.repository} at {source.revision}"
            for name, source in sources.items()
            if isinstance(source, HubSource) and source.is_custom
        ]

    def model_shapes(self) -> dict[str, ModelShape | None]:
        """Fingerprint -> shape of the pretrained models; None if it is unknown."""
        return {**{fingerprint: read_model_shape(folder) for fingerprint, folder in self.models.items()}, **self.shapes}

    def provisional_keys(self) -> set[str]:
        """Keys that will change when what is missing is here: of jobs that read it, and of those that start from such a job."""
        keys: set[str] = set()
        for job in self.jobs.values():
            fingerprints = [each for data in data_of(job.spec) for each in data.fingerprints]
            fingerprints.append(job.start.fingerprint if job.start else "")
            if any(each.startswith(PROVISIONAL) for each in fingerprints) or keys.intersection(job.required):
                keys.add(job.key)
        return keys

    def missing_counts(self) -> dict[tuple[str, str, str], int]:
        """(task, language, split) of missing data -> its number of examples in estimates."""
        data = (each for each in self.missing if isinstance(each, MissingData))
        return {(each.task.name, each.language, each.split): each.count.examples for each in data}

    def engine_of(self, key: str) -> Engine:
        """The engine of a job."""
        return self.engines.get(key, self.engine)

    def assign(self, key: str, model: str, engine: Engine) -> None:
        """Assign a job to a model of the study and its engine, unless an earlier model has planned it too."""
        if key not in self.model_of:
            self.model_of[key] = model
            if engine != self.engine:
                self.engines[key] = engine

    def add(self, job: Job) -> str:
        self.jobs.setdefault(job.key, job)
        return job.key
