"""Write the model of a pipeline to a folder that plain transformers loads. The folder is written completely or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.analysis.pipelines import Pipeline, TaskInfo, catalogue_task, declarations, task_info
from xlift.errors import UserError
from xlift.execution import export_calibration, export_quantization
from xlift.execution.work.model_loading import find_model_files
from xlift.execution.work.shared import disk_errors_as_oserror
from xlift.studies.job_numbers import PredictNumbers
from xlift.studies.store import Store
from xlift.studies.study_file import StudyFile
from xlift.tasks import catalog, formats
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.task import Task
from xlift.version import __version__

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata
    from xlift.models.model import Model

CARD = "README.md"
ONNX = "onnx/model.onnx"
MAX_NEW_TOKENS = 128
"""Default `max_new_tokens` of `generate`."""
_MARKER_FILE = "xlift.json"


@dataclass(frozen=True)
class ExportResult:
    folder: Path
    model_class: str
    """Class of transformers that loads it."""
    difference: float
    """Largest difference between the logits of the folder and of the artifact."""
    onnx_difference: float | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    """As in `xlift.json`; {} without `fit_temperature`."""
    int8: dict[str, Any] = field(default_factory=dict)
    """As `onnx.int8` of `xlift.json`; {} without `quantize`."""


def export(
    pipeline: Pipeline,
    store: Store,
    pretrained: Callable[[str], Path | None],
    folder: Path,
    card: Callable[[ExportMetadata, str], str],
    *,
    force: bool = False,
    onnx: bool = False,
    quantize: bool = False,
    fit_temperature: bool = False,
    study: StudyFile | None = None,
    data: Path | None = None,
) -> ExportResult:
    """Write the model of a pipeline to a folder.

    Args:
        pretrained: fingerprint -> folder of the pretrained model that a delta checkpoint is based on.
        card: (metadata, class that loads the model) -> text of README.md.
        force: replace an earlier export in `folder`.
        onnx: also write `onnx/model.onnx`.
        quantize: also write an 8-bit ONNX file, and measure what it loses on test rows of `study`. Needs `onnx`.
        fit_temperature: calibrate the probabilities on dev data of `study`.
        study: the study of the pipeline, for its data.
        data: root folder of data files, for `quantize`, `fit_temperature` and the few-shot examples of a model in text mode.

    Raises:
        UserError: the folder is not empty, the artifact or its base model is damaged, transformers has no class for it, or
            the disk refuses the files.
    """
    from xlift.models.backbone import load_stored_model
    from xlift.models.export import write_model
    from xlift.models.export.stock import auto_class

    check_export_folder(folder, force)
    if onnx:
        from xlift.models.export.onnx import check_installed

        check_installed()
    model, tokenizer = load_stored_model(find_model_files(pipeline.key, store, pretrained))
    metadata, head = make_export_metadata(pipeline, model, tokenizer, store, data)
    dev = export_calibration.check_can_calibrate(pipeline, store, metadata.format) if fit_temperature else ()
    test_data = export_quantization.find_test_data(pipeline, store, metadata.kind) if quantize else ()
    with write_folder_atomically(folder, force) as draft, disk_errors_as_oserror(draft):
        longest = MAX_NEW_TOKENS if metadata.is_text_mode else None
        difference = write_model(model, tokenizer, head, draft, max_length=metadata.max_length, max_new_tokens=longest)
        metadata.write(draft)
        if dev:
            assert study is not None
            fitted = export_calibration.fit(draft, metadata, pipeline, store, dev, study, data)
            metadata = replace(metadata, calibration=fitted.to_dict())
            metadata.write(draft)
        name = auto_class(model, head).__name__
        if metadata.pooling:
            from xlift.models.export.sentence_transformers import write_modules

            write_modules(model, head, metadata, draft)
            name = "AutoModel" if model.family == "encoder" else name
        onnx_difference = None
        if onnx:
            from xlift.models.export.onnx import write_onnx

            (draft / ONNX).parent.mkdir()
            onnx_difference = write_onnx(draft, metadata.kind, draft / ONNX)
            metadata = replace(metadata, onnx={"difference": onnx_difference})
        if test_data:
            from xlift.models.export.onnx_int8 import write_int8

            assert study is not None
            write_int8(draft / ONNX, draft / export_quantization.INT8)
            rows = export_quantization.measure_loss(draft, metadata, test_data, study, data)
            metadata.onnx["int8"] = export_quantization.describe(draft, ONNX, rows)
        metadata.write(draft)
        (draft / CARD).write_text(card(metadata, name), encoding="utf-8")
    return ExportResult(folder, name, difference, onnx_difference, metadata.calibration, metadata.onnx.get("int8", {}))


def make_export_metadata(
    pipeline: Pipeline, model: Model, tokenizer: Any, store: Store, data: Path | None = None
) -> tuple[ExportMetadata, str]:
    """Return the content of xlift.json for a pipeline's model, and the name of its head ('' for none)."""
    from xlift.models.export import ExportMetadata

    head = "" if pipeline.text_mode else pipeline.head
    if head and head not in model.heads:
        raise UserError(
            f"the model has no head '{head}'", where=pipeline.key, fix=f"It has {', '.join(model.heads) or 'none'}."
        )
    task = task_info(pipeline.task, pipeline.record)
    if not head and not pipeline.task and len(model.heads) == 1:  # of a merged model
        head = next(iter(model.heads))
        task = task_info(head, pipeline.record)
    kind = "text" if pipeline.text_mode else model.head(head).spec.kind if head else "pooled"
    format = task.format or formats.of_output(kind).name
    labels = model.head(head).spec.labels if head and model.head(head).spec.labels else task.labels
    provenance = {"xlift": __version__, "job": pipeline.key} | (
        {"pipeline": pipeline.field_values} if pipeline.cells else {}
    )
    if pipeline.record:
        provenance["study"] = pipeline.record.name
    limit = model.max_length
    longest = min(pipeline.max_length, limit) if limit else pipeline.max_length
    pooling: dict[str, Any] = {}
    if not head and not pipeline.text_mode:
        pooling = _pooling(pipeline, model, store, formats.get(format))
    elif head and model.head(head).spec.output.compares_rows:
        pooling = {"layer": int(model.trunk.config.num_hidden_layers), "pooling": model.head(head).spec.pooling}
    metadata = ExportMetadata(
        task=pipeline.task or head, format=format, kind=kind, labels=tuple(labels), max_length=longest,
        model_type=model.backbone.config.model_type, optional_fields=find_optional_fields(task, format), pooling=pooling, provenance=provenance,
        prompt=_prompt_metadata(pipeline, tokenizer, data),
    )  # fmt: skip
    return metadata, head


def find_optional_fields(task: TaskInfo, format: str) -> dict[str, bool]:
    """Return for each field that tasks of the format may lack whether this one has it, as far as that is known: from the
    record of a study with the task, else for a catalogue task with texts or pairs."""
    if task.optional_fields:
        return task.optional_fields
    is_pair = is_pair_task(task) if "text_b" in formats.get(format).columns else None
    return {} if is_pair is None else {"text_b": is_pair}


def is_pair_task(task: TaskInfo) -> bool | None:
    """Return whether a catalogue task has pairs of texts; None for other tasks."""
    if task.name in catalog.invented_examples():
        return bool(catalog.invented_examples()[task.name]["example"].get("text_b"))
    if task.name in catalog.names() and isinstance(source := catalog.get(task.name).source, GeneratedSource):
        catalog_task = catalog.get(task.name)
        example = next(iter(source.read(catalog_task, source.languages("train")[0], "train", None, size=1)))
        return getattr(example, "text_b", None) is not None
    return None


def _pooling(pipeline: Pipeline, model: Model, store: Store, format: formats.Format) -> dict[str, Any]:
    """Return how hidden states become vectors. With `layer: dev`, take the layer chosen for most languages."""
    from xlift.tasks.formats.retrieval import official_layer

    depth = int(model.trunk.config.num_hidden_layers)
    options: Mapping[str, Any] = pipeline.options or {"layer": "last"}
    layer: Any = options.get("layer", "official")
    if layer == "dev":
        numbers = (store.open(cell.key, verify=False).numbers for cell in pipeline.cells)
        counted = Counter(each.layer for each in numbers if isinstance(each, PredictNumbers) and each.layer is not None)
        layer = counted.most_common(1)[0][0] if counted else "official"
    layer = {"official": official_layer(depth), "last": depth}.get(layer, layer)
    center = options.get("center", format.decode_options.get("center", False))
    return {"layer": int(layer), "pooling": options.get("pooling", "mean"), "center": bool(center)}


def _prompt_metadata(pipeline: Pipeline, tokenizer: Any, data: Path | None) -> dict[str, Any]:
    """Return prompt settings, templates by language (key '' if all are equal) and few-shot examples; {} without text mode.

    Raises:
        UserError: the task is not in the catalogue, or the data of the few-shot examples is missing.
    """
    from xlift.tasks.prompts import find_template
    from xlift.tasks.prompts.fewshot import draw_fewshot_examples
    from xlift.tasks.prompts.tokenization import adapt_template

    if pipeline.text_mode is None:
        return {}
    task, settings = find_pipeline_task(pipeline), pipeline.text_mode.prompt
    codes = [*(cell.language for cell in pipeline.cells), *([task.train_language] if task.train_language else [])]
    languages: list[str] = list(dict.fromkeys(codes))
    templates = {code: asdict(adapt_template(find_template(task, settings, code), tokenizer)) for code in languages}
    if len({json.dumps(each, sort_keys=True) for each in templates.values()}) == 1:
        templates = {"": next(iter(templates.values()))}
    record: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "templates": templates}
    if settings.num_fewshot:
        own = [each for each in pipeline.text_mode.fewshot_data if each.task == task.name]
        shown = (own or list(pipeline.text_mode.fewshot_data))[0]
        other = task if shown.task == task.name else catalogue_task(shown.task, pipeline.record)
        examples = other.source.read(other, shown.language, shown.split, data, size=shown.size, seed=shown.seed)
        drawn = draw_fewshot_examples(
            examples, formats.get(task.format), settings.num_fewshot, task=shown.task, seed=shown.seed
        )
        record["fewshot_examples"] = [asdict(each) for each in drawn]
    return record


def find_pipeline_task(pipeline: Pipeline) -> Task:
    """Return the target task of a pipeline. A custom task is rebuilt from its declaration, without its files."""
    declared = declarations(pipeline.record)
    if pipeline.task not in declared:
        return catalogue_task(pipeline.task, pipeline.record)
    own = task_info(pipeline.task, pipeline.record)
    if not own.labels and formats.get(own.format).has_classes:
        raise UserError(
            f"text mode needs the labels of '{own.name}', but its declaration has none",
            fix="List them under `labels:` in the study, and run it again.",
        )
    return Task(own.name, own.title, own.format, own.metrics, GeneratedSource("text"), labels=own.labels)


# --- atomic writing ---------------------------------------------------------------------------------------------------


def check_export_folder(folder: Path, force: bool) -> None:
    """Raise UserError if the path is a file, or a folder that must not be replaced."""
    if folder.exists() and not folder.is_dir():
        raise UserError("expected a folder, found a file", where=str(folder), fix="Name a new folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not force:
        raise UserError(
            "the folder is not empty", where=str(folder), fix="Name a new one, or add --force to replace it."
        )
    if not (folder / _MARKER_FILE).is_file():
        raise UserError(
            "the folder is not an earlier export, so --force does not replace it", where=str(folder),
            fix="Name a new folder, or empty this one.",
        )  # fmt: skip


@contextmanager
def write_folder_atomically(folder: Path, force: bool = False) -> Iterator[Path]:
    """Give a temporary folder that is renamed to `folder` at the end of the block and removed after an error.

    Temporary folders that killed processes left beside it are removed first.

    Raises:
        UserError: as `check_export_folder`, or the disk refuses the files.
    """
    check_export_folder(folder, force)
    folder = Path(os.path.abspath(folder))
    draft, old = (folder.with_name(f".{folder.name}.{name}-{os.getpid()}") for name in ("new", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        draft.mkdir()
        try:
            with _lock(draft):
                yield draft
                _apply_umask(draft)
                if folder.exists():
                    folder.rename(old)
                draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=str(folder), fix="Free some space, or name another folder."
        ) from None  # fmt: skip


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Lock a folder, and tell whether that worked. The kernel releases the lock of a killed process."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_locked = True
    except OSError:  # another process has it, or the file system has no locks
        is_locked = False
    try:
        yield is_locked
    finally:
        os.close(number)


def _remove_abandoned(folder: Path) -> None:
    """Remove the drafts of `folder` that no process holds."""
    for draft in folder.parent.glob(f".{escape(folder.name)}.new-*"):
        with suppress(OSError), _lock(draft) as is_abandoned:
            if is_abandoned:
                shutil.rmtree(draft)


def _apply_umask(folder: Path) -> None:
    """Give files the permissions of the user's umask: safetensors makes them readable by their owner only."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
