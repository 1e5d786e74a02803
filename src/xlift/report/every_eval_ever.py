"""Results in the schema of Every Eval Ever (evalevalai.com), version 0.3.0: scores as JSON, and predictions beside them as JSON lines.

Every pipeline under every seed is a model there. Its scores are one file, and its predictions another one:

    DIR/data/<study>/<organization>/<model>/<uuid>.json
    DIR/data/<study>/<organization>/<model>/<uuid>_samples.jsonl

A store has no texts of examples, so `input.raw` is empty: `sample_id` names the example in its dataset.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from xlift.analysis.example_predictions import ExamplePrediction, read_examples
from xlift.analysis.result_tables import to_text
from xlift.analysis.scores import AT_OFFICIAL_LAYER
from xlift.analysis.seed_scores import OFFICIAL_LAYER, SeedScore, seed_scores
from xlift.errors import UserError
from xlift.new_files import refused_by_disk
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import metrics
from xlift.version import __version__

SCHEMA_VERSION = "0.3.0"


class ExportedResults(NamedTuple):
    models: int
    """Pipelines under one seed."""
    samples: int
    """Predictions."""
    left_out: int
    """Predictions that are neither right nor wrong and have no score of their own, such as translations."""


class _Run(NamedTuple):
    """A pipeline under one seed."""

    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seed: int

    @property
    def name(self) -> str:
        parts = (self.model, self.intermediate, self.intermediate_language, self.size, f"seed {self.seed}")
        return ", ".join(part for part in parts if part)


def export_results(record: Record, store: Store, folder: Path, organization: str, timestamp: int) -> ExportedResults:
    """Write the scores and predictions of a study to a new folder, completely or not at all.

    Args:
        organization: who made the results.
        timestamp: seconds since 1970, when they were exported.

    Raises:
        UserError: the folder exists, the study has no results, an artifact is damaged, or the disk refuses.
    """
    if os.path.lexists(folder):
        raise UserError(f"'{folder}' exists already", fix="Name a new folder.")
    scores: dict[_Run, list[SeedScore]] = {}
    for row in seed_scores(record, store):
        scores.setdefault(_Run(row.model, row.intermediate, row.intermediate_language, row.size, row.seed), []).append(
            row
        )
    if not scores:
        raise UserError("there are no results yet", fix=f"Run `xlift run {record.name}` first.")
    draft = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    samples = left_out = 0
    try:
        for run, rows in scores.items():
            written = _write_run(record, store, draft, organization, timestamp, run, rows)
            samples, left_out = samples + written[0], left_out + written[1]
        os.rename(draft, folder)
    except OSError as error:
        raise refused_by_disk(error, folder, "folder") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ExportedResults(len(scores), samples, left_out)


def _write_run(
    record: Record, store: Store, root: Path, organization: str, timestamp: int, run: _Run, rows: list[SeedScore]
) -> tuple[int, int]:
    """Write both files of a run. Returns the numbers of predictions written and left out."""
    developer, model = _slug(organization), _slug(f"{record.name}-{run.name}")
    model_id = f"{developer}/{model}"
    evaluation_id = f"{record.name}/{model_id}/{timestamp}"
    name = str(uuid.UUID(bytes=hashlib.sha256(f"{record.name} {model_id} {run}".encode()).digest()[:16], version=4))
    place = Path("data", _slug(record.name), developer, model)
    (root / place).mkdir(parents=True, exist_ok=True)
    digest, count, left_out = hashlib.sha256(), 0, 0
    with (root / place / f"{name}_samples.jsonl").open("wb") as file:
        for row in _predictions(record, store, run):
            sample = _sample(row, record.tasks[row.task].metrics[0], evaluation_id, model_id)
            if sample is None:
                left_out += row.prediction.gold is not None
                continue
            line = (json.dumps(sample, ensure_ascii=False) + "\n").encode()
            file.write(line)
            digest.update(line)
            count += 1
    log: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "retrieved_timestamp": str(timestamp),
        "source_metadata": {
            "source_name": record.study.title or record.name,
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party",
        },
        "eval_library": {"name": "xlift", "version": __version__},
        "model_info": {
            "name": run.name,
            "id": model_id,
            "developer": organization,
            "inference_engine": {"name": "xlift", "version": __version__},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                **{field: str(value) for field, value in run._asdict().items()},
            },
        },
        "evaluation_results": [_result(record, row) for row in rows],
    }
    if count:
        log["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{place.as_posix()}/{name}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": digest.hexdigest(),
            "total_rows": count,
        }
    else:
        (root / place / f"{name}_samples.jsonl").unlink()
    (root / place / f"{name}.json").write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return count, left_out


class _Prediction(NamedTuple):
    task: str
    prediction: ExamplePrediction


def _predictions(record: Record, store: Store, run: _Run) -> Iterator[_Prediction]:
    for cell in record.cells:
        if _Run(cell.model, cell.intermediate, cell.intermediate_language, cell.size, cell.seed) == run and store.has(
            cell.key
        ):
            for row in read_examples(record, store, cell):
                yield _Prediction(cell.task, row)


def _result_id(target: str, train_language: str, language: str, noise: str, metric: str) -> str:
    return "/".join(part for part in (target, train_language, language, noise, metric) if part)


def _result(record: Record, row: SeedScore) -> dict[str, Any]:
    """One score."""
    task = next(cell.task for cell in record.cells if cell.target == row.target)
    definition = metrics.get(row.metric.removesuffix(AT_OFFICIAL_LAYER))
    details = {
        "language": row.language, "train_language": row.train_language, "noise": row.noise, "layer": row.layer,
        "control": row.control, "training_status": row.training_status,
    }  # fmt: skip
    return {
        "evaluation_result_id": _result_id(row.target, row.train_language, row.language, row.noise, row.metric),
        "evaluation_name": f"{row.target} {row.language}",
        "source_data": _source(task, record.tasks[task].origins),
        "metric_config": {
            "evaluation_description": record.tasks[task].title,
            "metric_id": row.metric,
            "metric_name": definition.title,
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": definition.lowest_score,
            "max_score": 1.0,
        },
        "score_details": {
            "score": row.value,
            "details": {name: value for name, value in details.items() if value},
            "uncertainty": {"num_samples": row.n},
        },
    }


def _source(task: str, origins: tuple[str, ...]) -> dict[str, Any]:
    """Where the examples of a task come from."""
    hub = next((origin for origin in origins if re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]+", origin)), "")
    if not hub:
        return {"dataset_name": task, "source_type": "other"}
    repository, _, revision = hub.partition("@")
    return {
        "dataset_name": task, "source_type": "hf_dataset", "hf_repo": repository, "additional_details": {"revision": revision},
    }  # fmt: skip


def _sample(row: _Prediction, metric: str, evaluation_id: str, model_id: str) -> dict[str, Any] | None:
    """One prediction; None if it has no gold answer, or is neither right nor wrong and has no score of its own."""
    found = row.prediction
    score = found.score if found.score is not None else None if found.correct is None else float(found.correct)
    if found.gold is None or score is None:
        return None
    answer = to_text(found.prediction) or ""
    metric += AT_OFFICIAL_LAYER if found.layer == OFFICIAL_LAYER else ""
    metadata = {"language": found.language, "noise": found.noise, "layer": found.layer}
    metadata |= {} if found.probability is None else {"probability": str(found.probability)}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "model_id": model_id,
        "evaluation_name": f"{found.target} {found.language}",
        "evaluation_result_id": _result_id(found.target, found.train_language, found.language, found.noise, metric),
        "sample_id": found.id,
        "interaction_type": "single_turn",
        "input": {
            "raw": "",
            "reference": _references(found.gold, found.prediction),
            "choices": [to_text(name) for name in found.probabilities] if found.probabilities else None,
        },
        "output": {"raw": [answer]},
        "messages": None,
        "answer_attribution": [
            {
                "turn_idx": 0, "source": "output.raw", "extracted_value": answer, "extraction_method": "custom",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": score, "is_correct": score == 1 if found.correct is None else found.correct},
        "metadata": {name: value for name, value in metadata.items() if value},
    }  # fmt: skip


def _references(gold: Any, prediction: Any) -> list[str]:
    """The gold answers: several if any of them is right (a list of texts to a text), else one."""
    if isinstance(gold, list) and isinstance(prediction, str):
        return [to_text(answer) or "" for answer in gold]
    return [to_text(gold) or ""]


def _slug(text: str) -> str:
    """A text as a part of a path and of a model's id."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "unknown"
