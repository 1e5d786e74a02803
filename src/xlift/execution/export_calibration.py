"""A temperature for an exported classifier, fitted on the dev data of its target's training language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlift.analysis.pipelines import TEXT_HEAD, Pipeline, trace_lineage
from xlift.analysis.temperature import Calibration, fit_temperature, measure, to_logits
from xlift.errors import UserError
from xlift.studies.examples import read_data
from xlift.studies.job import Data
from xlift.studies.predictions import read_rows, read_scores
from xlift.studies.resolver import Resolver
from xlift.studies.store import Store
from xlift.studies.study_file import StudyFile
from xlift.tasks import formats
from xlift.tasks.task import Task

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata

OPTION = "--fit-temperature"


@dataclass(frozen=True)
class CalibrationRow:
    """The calibration of some examples before and after the temperature."""

    split: str
    language: str
    before: Calibration
    after: Calibration


@dataclass(frozen=True)
class FittedTemperature:
    temperature: float
    rows: tuple[CalibrationRow, ...]
    """The dev data that it was fitted on, then the test data of every scored language."""

    def to_dict(self) -> dict[str, Any]:
        """As `calibration` of `xlift.json` has it."""
        return {"temperature": self.temperature, "rows": [asdict(row) for row in self.rows]}


def check_can_calibrate(pipeline: Pipeline, store: Store, format_name: str) -> tuple[Data, ...]:
    """Return the dev data that a temperature is fitted on.

    Raises:
        UserError: the model does not choose one of several labels, or its target has no dev data.
    """
    format = formats.get(format_name)
    if not (format.has_probabilities and format.has_label_probabilities):
        raise UserError(
            f"a temperature needs a model that chooses one label, and this one is for {format_name}",
            where=OPTION,
            fix="Leave the option out.",
        )
    for stage in reversed(trace_lineage(pipeline.key, store).stages):
        own = [data for data in stage.spec.dev if pipeline.head in (stage.spec.head or data.task, TEXT_HEAD)]
        if pipeline.text_mode:
            own = [data for data in own if data.task == pipeline.task]
        if own:
            return tuple(own)
    raise UserError(
        f"no stage was evaluated on dev data of '{pipeline.task}'",
        where=OPTION,
        fix="Give the task dev rows (`files: {dev: ...}` or `holdout: {dev: 0.1}`), leave `retries` above 0, and run the study "
        "again.",
    )


def read_examples(
    data: Sequence[Data], study: StudyFile, folder: Path | None
) -> Iterator[tuple[Data, Task, list[Any]]]:
    """Yield some data of a study with its task and its examples.

    Args:
        folder: root of the data files.

    Raises:
        UserError: the examples are not on this machine, or are others than those of the jobs.
    """
    resolver = Resolver(study, folder, to_run=False)
    for each in data:
        for name in dict.fromkeys([each.task, *(subset.task for subset in each.excluded)]):
            resolver.find_task(name, ("tasks",))
        task = resolver.tasks[each.task]
        here = resolver.make_data(task, each.language, each.split, None, 0, ("tasks",), is_optional=True)
        if here.fingerprint != each.fingerprint:
            raise UserError(
                f"the {each.split} examples of {each.task} in '{each.language}' have changed since the study ran",
                fix="Restore the files, or run the study again.",
            )
        yield each, task, list(read_data(each, resolver.tasks, resolver.data))


def fit(
    folder: Path,
    metadata: ExportMetadata,
    pipeline: Pipeline,
    store: Store,
    dev: Sequence[Data],
    study: StudyFile,
    data: Path | None,
) -> FittedTemperature:
    """Fit the temperature of an exported model.

    Args:
        folder: of the exported model.
        dev: `check_can_calibrate`.
        data: root folder of data files.

    Raises:
        UserError: the dev data is not on this machine or has changed, or no temperature is best.
    """
    logits, gold, languages = _predict_dev(folder, metadata, dev, study, data)
    temperature = fit_temperature(logits, gold)
    fitted = CalibrationRow("dev", "+".join(languages), measure(logits, gold), measure(logits, gold, temperature))
    return FittedTemperature(temperature, (fitted, *_test_rows(pipeline, store, temperature)))


def _predict_dev(
    folder: Path, metadata: ExportMetadata, dev: Sequence[Data], study: StudyFile, data: Path | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(n, labels) logits, (n,) gold labels and the languages of the dev data."""
    from xlift.execution.file_prediction import InputRow, load_exported_model, predict_rows

    model = load_exported_model(folder)
    index = {label: at for at, label in enumerate(metadata.labels)}
    logits, gold, languages = [], [], []
    for each, task, examples in read_examples(dev, study, data):
        answers = [formats.get(task.format).gold(example) for example in examples]
        known = [(example, answer) for example, answer in zip(examples, answers, strict=True) if answer is not None]
        rows = (InputRow(example.id, example) for example, _ in known)
        logits += [np.log(np.maximum(found.probabilities, np.finfo(float).tiny)) for found in
                   predict_rows(model, rows, language=each.language)]  # fmt: skip
        gold += [index[answer] for _, answer in known]
        languages.append(each.language)
    return np.stack(logits), np.array(gold), languages


def _test_rows(pipeline: Pipeline, store: Store, temperature: float) -> Iterator[CalibrationRow]:
    """The calibration in every scored language, from the stored predictions."""
    for cell in pipeline.cells:
        scores = None if cell.noise else read_scores(store, cell.key)
        if scores is None or not scores.labels:
            continue
        answers = read_rows(store, cell.key).references
        known = [at for at, answer in enumerate(answers) if answer is not None and scores.rows[at] is not None]
        if not known:
            continue
        logits = to_logits(replace(scores, rows=[scores.rows[at] for at in known]))
        gold = np.array([scores.labels.index(answers[at]) for at in known])
        yield CalibrationRow("test", cell.language, measure(logits, gold), measure(logits, gold, temperature))
