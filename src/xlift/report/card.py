"""The model card of an exported model: README.md for the Hub, made from the store and the catalogue.

Texts from a user's files (names, titles, labels) are escaped everywhere.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from xlift import backbones
from xlift.analysis.contamination_report import DataSplit, read_contamination_report
from xlift.analysis.estimates import BASELINE
from xlift.analysis.lift import LiftRow
from xlift.analysis.pipelines import (
    Pipeline,
    TaskInfo,
    TrainedStage,
    TrainingLineage,
    declarations,
    task_info,
    trace_lineage,
    training_data,
)
from xlift.errors import UserError
from xlift.language_tags import study_code
from xlift.recipes import Recipe
from xlift.report.card_scores import format_scores, model_rows, trained_languages, untrained
from xlift.report.contamination import summarize_for_model
from xlift.report.export_quality import calibration_note, int8_note
from xlift.report.markdown import code, escaped, listed, table
from xlift.report.serving import serving_note
from xlift.report.usage import snippet
from xlift.studies.job import MergeSpec, TrainSpec
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.units import count_noun

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_APACHE = "Apache-2.0"
_LANGUAGE = "{lang}"
"""Placeholder in the direction of a translation task: the language of its rows."""


def make_card(pipeline: Pipeline, store: Store, metadata: ExportMetadata, model_class: str) -> str:
    """Return the text of README.md.

    Args:
        metadata: the content of `xlift.json`.
        model_class: class of transformers that loads the model.

    Raises:
        UserError: an artifact of the pipeline is damaged.
    """
    lineage, rows = trace_lineage(pipeline.key, store), model_rows(pipeline, store)
    used = _tasks(pipeline, lineage, metadata)
    task = task_info(metadata.task, pipeline.record)
    parts = [
        _yaml_header(pipeline, lineage, metadata, task, used, rows),
        f"# {escaped(_title(pipeline, metadata))}\n\n{_summary(pipeline, lineage, task)}",
        "## How to use it\n\n" + snippet(metadata, model_class, _direction(pipeline, lineage, metadata)),
        "## How to serve it\n\n"
        + "\n\n".join(filter(None, (serving_note(metadata, model_class), int8_note(metadata.onnx.get("int8", {}))))),
        "## How it was trained\n\n" + _training(pipeline, lineage, store),
        "## Scores\n\n" + format_scores(pipeline, store, rows),
        "## Probabilities\n\n" + note if (note := calibration_note(metadata.calibration)) else "",
        "## Limits\n\n" + _limits(pipeline, store, lineage, metadata, rows),
        "## Licences and citations\n\n" + _licences(pipeline, lineage, used),
        "## Made by\n\n" + _origin(pipeline, store),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


# --- title, summary, header -------------------------------------------------------------------------------------------


def _title(pipeline: Pipeline, metadata: ExportMetadata) -> str:
    model = pipeline.field_values.get("model", "model").rpartition("/")[2]
    intermediate = pipeline.field_values.get("intermediate", "")
    suffix = f" after {intermediate}" if intermediate and intermediate != BASELINE else ""
    return f"{model} for {metadata.task}{suffix}" if metadata.task else model


def _summary(pipeline: Pipeline, lineage: TrainingLineage, task: TaskInfo) -> str:
    model = pipeline.field_values.get("model")
    trained = trained_languages(lineage)
    sentences = [f"{escaped(task.title)}." if task.title else ""]
    if model:
        stages = count_noun(len(lineage.stages), "stage")
        sentences.append(
            f"{code(model)}, fine-tuned by xlift in {stages} on data in {_languages(trained, pipeline.record)}."
        )
    scored = list(dict.fromkeys(cell.language for cell in pipeline.cells))
    unseen = untrained(scored, trained)
    if unseen:
        sentences.append(
            f"The scores below are in {count_noun(len(scored), 'language')}, {len(unseen)} of them zero-shot: no stage was trained on "
            "labelled examples in them."
        )
    return " ".join(filter(None, sentences))


def _yaml_header(
    pipeline: Pipeline,
    lineage: TrainingLineage,
    metadata: ExportMetadata,
    task: TaskInfo,
    used: Sequence[TaskInfo],
    rows: Sequence[LiftRow],
) -> str:
    """Return the YAML header for the Hub."""
    trained, scored = trained_languages(lineage), [cell.language for cell in pipeline.cells]
    front: dict[str, Any] = {"library_name": "transformers"}
    if languages := list(dict.fromkeys([*trained, *scored])):
        front["language"] = languages
    base = pipeline.field_values.get("model", "")
    has_free_weights = (_is_shipped(lineage) or lineage.pretrain) and not lineage.is_incomplete
    is_free = has_free_weights and used and all(each.licence.startswith(_APACHE) for each in used)
    front |= {"license": "apache-2.0"} if is_free else {"license": "other", "license_name": "those-of-its-parts"}
    if tag := _pipeline_tag(metadata) or ("text-generation" if metadata.is_text_mode else ""):
        front["pipeline_tag"] = tag
    front["tags"] = [
        "xlift",
        "cross-lingual-transfer",
        *(["intermediate-training"] if len(lineage.stages) > 1 else []),
        metadata.format,
    ]
    if datasets := list(
        dict.fromkeys(origin.partition("@")[0] for each in used for origin in each.origins if "/" in origin)
    ):
        front["datasets"] = datasets
    if _HUB_NAME.fullmatch(base):
        front["base_model"] = base
    if task.metrics:
        front["metrics"] = list(task.metrics)
    results = [_result(row, metadata, task) for row in rows if not row.is_mean]
    if results:
        front["model-index"] = [{"name": _title(pipeline, metadata), "results": results}]
    dumped = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{dumped}---"


def _pipeline_tag(metadata: ExportMetadata) -> str:
    """The Hub's name of what the model does; '' if it has none, or if the model writes text instead."""
    format = formats.get(metadata.format)
    return "" if metadata.is_text_mode and format.has_head else format.pipeline_tag


def _result(row: LiftRow, metadata: ExportMetadata, task: TaskInfo) -> dict[str, Any]:
    origin = next((origin.partition("@")[0] for origin in task.origins if "/" in origin), task.name)
    return {
        "task": {"type": _pipeline_tag(metadata) or metadata.format, "name": task.title},
        "dataset": {"name": f"{task.name} ({row.language})", "type": origin, "config": row.language, "split": "test"},
        "metrics": [{"type": row.metric, "value": round(100 * row.value, 2), "name": row.metric,
                     "args": {"low": round(100 * row.low, 2), "high": round(100 * row.high, 2), "level": 0.95, "n": row.n}}],
    }  # fmt: skip


def _tasks(pipeline: Pipeline, lineage: TrainingLineage, metadata: ExportMetadata) -> list[TaskInfo]:
    """Return the tasks that were trained on or scored, each once, in order."""
    names: list[str] = [data.task for data in training_data(lineage)] + ([metadata.task] if metadata.task else [])
    return [task_info(name, pipeline.record) for name in dict.fromkeys(names)]


def _direction(pipeline: Pipeline, lineage: TrainingLineage, metadata: ExportMetadata) -> tuple[str, ...]:
    """Return source and target language of a translation model: one that it was trained on or scored in, and the other side; ()
    if unknown."""
    if not formats.get(metadata.format).has_direction:
        return ()
    codes = [data.language for data in training_data(lineage) if data.task == pipeline.task] + [
        cell.language for cell in pipeline.cells
    ]
    declared = declarations(pipeline.record)
    sides: Sequence[str] = ()
    if pipeline.task in declared:
        sides = declared[pipeline.task].get("direction", ())
    elif pipeline.task in catalog.names():
        sides = getattr(catalog.get(pipeline.task).source, "direction", ())
    if not codes or len(sides) != 2:
        return ()
    return tuple(codes[0] if each == _LANGUAGE else study_code(each) or each for each in sides)


# --- training ---------------------------------------------------------------------------------------------------------


def _training(pipeline: Pipeline, lineage: TrainingLineage, store: Store) -> str:
    lines = []
    for number, stage in enumerate(lineage.stages, 1):
        recipe, numbers = stage.spec.recipe, stage.numbers
        steps = numbers.steps
        details = [
            "" if recipe.max_steps is not None else "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs:g} epochs"
        ]
        details += [f"batch {recipe.batch_size}"]
        details += ["LoRA rank " + str(recipe.lora.rank)] if recipe.lora else []
        details += [recipe.optimizer] if recipe.optimizer != Recipe().optimizer else []
        details += (
            [f"best on dev, evaluated every {recipe.early_stopping.eval_steps} steps"] if recipe.early_stopping else []
        )
        attempts = numbers.attempts or 1
        if numbers.collapsed:
            details.append("ended at chance")
        if numbers.went_to_fp32:
            details.append("in float32, since the loss was not a number in bfloat16")
        if not numbers.collapsed and attempts - bool(numbers.went_to_fp32) > 1:
            details.append(f"attempt {attempts}, learning rate halved each time")
        data = "<br>".join(dict.fromkeys(escaped(_describe_data(each)) for each in stage.spec.parts))
        lines.append([
            str(number), data, f"{steps:,}" if steps else "", f"{stage.lr:g}", ", ".join(filter(None, details)),
            _dev_scores(stage), str(stage.spec.seed),
        ])  # fmt: skip
    start = pipeline.field_values.get("model")
    origin = f"The start is {code(start)}" if start else "The start is a pretrained model"
    if lineage.fingerprint:
        origin += f" (fingerprint {code(lineage.fingerprint[:16])})"
    if lineage.pretrain:
        shape = lineage.pretrain.architecture
        origin = (
            f"It was pretrained from random weights: {shape.family}, {shape.layers} layers of hidden size {shape.hidden_size}, on "
            f"{listed(data.task + ' in ' + data.language for data in lineage.pretrain.text)}"
        )
    sentences = [origin + "."]
    if lineage.is_incomplete:
        sentences.append("The artifacts of earlier stages are no longer in the store.")
    if lineage.num_merged:
        sentences.append(_describe_merge(pipeline.key, lineage, store))
    if not lines:
        return " ".join(sentences)
    sentences.append(
        "It was then trained in this order (heads are initialized for every stage unless the study keeps them):"
    )
    heads = ("#", "trained on", "steps", "learning rate", "settings", "dev, source language", "seed")
    return " ".join(sentences) + "\n\n" + table(heads, lines)


def _describe_merge(key: str, lineage: TrainingLineage, store: Store) -> str:
    """Describe which models were merged and with which weights."""
    number = {stage.key: number for number, stage in enumerate(lineage.stages, 1)}
    while (manifest := store.open(key, verify=False).manifest)["kind"] != "merge":
        key = TrainSpec.model_validate(manifest["spec"]).model.job
    spec = MergeSpec.model_validate(manifest["spec"])
    average = math.isclose(sum(spec.weights), 1, abs_tol=1e-6) and min(spec.weights) >= 0
    parts = []
    for weight, parent in zip(spec.weights, spec.merged, strict=True):
        before = trace_lineage(parent, store)
        stages = [number[stage.key] for stage in before.stages]
        which = f"job {code(parent[:16])}"
        if stages:  # a merged parent has the stages of all its parents
            which = (
                f"the model of stages {listed(stages)}" if before.num_merged else f"the model after stage {stages[-1]}"
            )
        parts.append(f"{weight:.3g} × {'' if average else 'that of '}{which}")
    weighted = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    count = count_noun(len(parts), "model")
    what = f"It is the average of {count}: {weighted}." if average else (
        f"It is the start plus the task vectors of {count}: {weighted}. (A task vector is the change of the weights by training; "
        "Ilharco et al. 2023.)"
    )  # fmt: skip
    return what + " The table lists the stages of all of them; each model was trained separately."


def _describe_data(data: Any) -> str:
    """'isle-nli in qta, 3,000 examples, with typos 0.1'."""
    size = f", {count_noun(data.size, 'example')}" if data.size else ", all examples"
    noise = f", with {data.noise.kind} {data.noise.level:g}" if data.noise else ""
    return f"{data.task} in {data.language}{size}{noise}"


def _dev_scores(stage: TrainedStage) -> str:
    return "<br>".join(escaped(f"{task} {language}: {100 * score:.1f}") for task, language, score in stage.dev)


# --- limits, licences -------------------------------------------------------------------------------------------------


def _limits(
    pipeline: Pipeline, store: Store, lineage: TrainingLineage, metadata: ExportMetadata, rows: Sequence[LiftRow]
) -> str:
    record, trained = pipeline.record, trained_languages(lineage)
    points = []
    unseen = untrained([cell.language for cell in pipeline.cells], trained)
    if unseen:
        points.append(
            f"It was not trained on labelled examples in {_languages(list(dict.fromkeys(unseen)), record)}. Results in these "
            "languages depend on the pretrained model."
        )
    if record:
        foreign = [each["code"] for each in record.languages if each.get("tier") == "unseen" and each["code"] in unseen]
        if foreign:
            points.append(f"The pretraining data has no text in {_languages(foreign, record)}.")
    points.append("It was not tested in languages that the tables above do not list.")
    scored = {row.n for row in rows if not row.is_mean}
    if scored:
        points.append(
            f"Scores are over {min(scored):,} to {max(scored):,} examples per language of one data set."
            if len(scored) > 1 else f"Scores are over {min(scored):,} examples per language of one data set."
        )  # fmt: skip
    points.append(escaped(pipeline.selection_note) if pipeline.selection_note else "The person who exported it chose this pipeline and seed. If "
                  "they chose by the scores above, those scores are too high.")  # fmt: skip
    if any(stage.spec.recipe.early_stopping for stage in lineage.stages):
        points.append("Checkpoints were selected on dev data of the training languages of each stage.")
    else:
        points.append("The last checkpoint of each stage was used: none was selected on a dev set.")
    if record and (contamination := read_contamination_report(store, record.name)):
        trained_on = {DataSplit(data.task, data.language, data.split) for data in training_data(lineage)}
        points.append("Contamination: " + escaped(summarize_for_model(contamination, trained_on, metadata.task)))
    elif record:
        points.append(
            "Contamination was not checked; `xlift contamination` compares training texts with scored examples."
        )
    note = record.tasks.get(metadata.task) if record else None
    points += [f"Known fault of {escaped(sentence)}" for sentence in (note.faults if note else ())]
    if any(cell.dev_key or cell.official_key for cell in pipeline.cells):
        points.append("A layer or a threshold was chosen on dev data of the scored languages, as in the benchmark.")
    format = formats.get(metadata.format)
    if metadata.is_text_mode or format.long_texts == "truncated":
        points.append(f"Texts are truncated to {metadata.max_length} tokens.")
    if format.tags_words:
        points.append("It tags words separated by blanks. Split texts without blanks into words first.")
    if not any(data.noise for data in training_data(lineage)):
        points.append("It was trained on clean text only.")
    untested = [] if any(cell.noise for cell in pipeline.cells) else ["misspelt, transliterated or mixed text"]
    untested += ["other domains", "fairness between groups of people"]
    points.append(f"Not tested here: {listed(untested)}.")
    if format.has_probabilities and not metadata.is_text_mode and not metadata.calibration:
        points.append("Its probabilities, a softmax over logits, are not calibrated.")
    return "\n".join(f"- {point}" for point in points)


def _licences(pipeline: Pipeline, lineage: TrainingLineage, used: Sequence[TaskInfo]) -> str:
    lines = [
        [
            escaped(each.name),
            escaped(each.title),
            escaped(each.licence or "not declared"),
            f"<{each.url}>" if each.url else "",
        ]
        for each in used
    ]
    sentences = ["Data sets for training and scoring:", table(("task", "title", "licence", ""), lines)] if lines else []
    if model := pipeline.field_values.get("model"):
        sentences.append(
            f"The licence of the pretrained model {code(model)} also applies to this model"
            + (" (Apache-2.0, as part of xlift)." if _is_shipped(lineage) else ".")
        )
    entries = list(dict.fromkeys(entry for each in used for entry in each.citations))
    if entries:
        sentences.append("```bibtex\n" + "\n\n".join(entry.replace("```", "") for entry in entries) + "\n```")
    return "\n\n".join(sentences)


def _is_shipped(lineage: TrainingLineage) -> bool:
    """Return whether its start is the encoder shipped with xlift, by fingerprint, since any model may be named `isles`."""
    try:
        return bool(lineage.fingerprint) and lineage.fingerprint == backbones.find("isles").fingerprint
    except UserError:  # an installation without it
        return False


def _origin(pipeline: Pipeline, store: Store) -> str:
    manifest: Mapping[str, Any] = store.open(pipeline.key, verify=False).manifest
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items() if version)
    lines = [f"- job {code(pipeline.key)}", f"- {escaped(versions)}"]
    if pipeline.record:
        named = ", ".join(f"{name} {value}" for name, value in pipeline.field_values.items())
        lines.append(f"- study {code(pipeline.record.name)}: {escaped(named)}")
        own = (f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in pipeline.field_values.items())
        lines.append("- " + code(f"xlift export {shlex.quote(pipeline.record.name)} DIR {' '.join(own)}"))
    return "\n".join(lines)


def _languages(codes: Sequence[str], record: Record | None) -> str:
    names = {code: language.name for code, language in catalog.all_languages().items()}
    names |= {each["code"]: each["name"] for each in record.languages} if record else {}
    labels = (f"{names[code]} ({code})" if names.get(code, code) != code else code for code in codes)
    return listed(labels) or "no language"
