"""`xlift export`: write a trained model of the store to a folder."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.options import (
    DEFAULT_STORE,
    DataOption,
    IntermediateLanguageOption,
    IntermediateOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SizeOption,
    StoreOption,
    TrainLanguageOption,
    open_existing_store,
)
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.analysis.pipelines import Pipeline
    from xlift.studies.store import Store
    from xlift.studies.study_file import StudyFile

PipelineArgument = Annotated[
    str, typer.Argument(metavar="STUDY|KEY", help="A study that was run, or the key of a job (or its first characters).", show_default=False)
]  # fmt: skip
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)]


def export(
    pipeline: PipelineArgument,
    folder: FolderArgument,
    store: StoreOption = DEFAULT_STORE,
    target: Annotated[str, typer.Option("--target", help="Target task of the model.", show_default=False)] = "",
    model: ModelOption = "",
    intermediate: IntermediateOption = "",
    intermediate_language: IntermediateLanguageOption = "",
    size: SizeOption = "",
    train_language: TrainLanguageOption = "",
    seed: SeedOption = "",
    best: Annotated[
        bool, typer.Option("--best", help="Take the best matching pipeline on dev data of its training language.")
    ] = False,
    head: Annotated[str, typer.Option("--head", help="Head, if a job has several.", show_default=False)] = "",
    base: Annotated[
        str, typer.Option("--base", help="Folder of the pretrained model, if it was moved.", show_default=False)
    ] = "",
    data: DataOption = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write onnx/model.onnx (encoders only).")] = False,
    quantize: Annotated[
        str,
        typer.Option(
            "--quantize",
            metavar="int8",
            help="Also write an 8-bit ONNX file, and measure its loss.",
            show_default=False,
        ),
    ] = "",
    fit_temperature: Annotated[
        bool,
        typer.Option("--fit-temperature", help="Calibrate the probabilities on dev data of the training language."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    push: Annotated[
        str, typer.Option("--push", metavar="REPO", help="Upload to a private Hub repository.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a trained model to a folder that transformers loads.

    Also writes the tokenizer, label names and a model card. The options select one pipeline, with the values that `xlift
    report --json` prints. Leave out options that are not needed to identify the model. --best uses no dev data of languages
    that are only scored.
    """
    from xlift.cli.studies import find_data_folder
    from xlift.execution.exporting import check_export_folder, export
    from xlift.report.card import make_card
    from xlift.report.export_quality import calibration_lines, int8_lines

    if quantize not in ("", "int8"):
        raise UserError(f"unknown precision '{quantize}'", where="--quantize", fix="Expected int8.")
    if quantize and not onnx:
        raise UserError("only ONNX files are quantized", where="--quantize", fix="Add --onnx.")
    check_export_folder(folder, force)
    opened = open_existing_store(store)
    wanted = {
        "target": target, "model": model, "intermediate": intermediate, "intermediate_language": intermediate_language,
        "size": size, "train_language": train_language, "seed": seed,
    }  # fmt: skip
    chosen = find_pipeline(pipeline, opened, {name: value for name, value in wanted.items() if value}, best, head)
    if push:
        from xlift.hub.upload import check_repository

        check_repository(push)
    result = export(
        chosen,
        opened,
        lambda fingerprint: find_pretrained_folder(opened, fingerprint, base),
        folder,
        lambda metadata, name: make_card(chosen, opened, metadata, name),
        force=force,
        onnx=onnx,
        quantize=bool(quantize),
        fit_temperature=fit_temperature,
        study=find_study_file(pipeline, chosen, opened) if fit_temperature or quantize else None,
        data=find_data_folder(pipeline, data),
    )
    url = ""
    if push:
        from xlift.hub.upload import upload

        url = upload(folder, push)
    if as_json:
        record = {
            "folder": str(folder), "job": chosen.key, "class": result.model_class, "difference": result.difference,
            "onnx_difference": result.onnx_difference, "calibration": result.calibration, "int8": result.int8, "chosen": chosen.selection_note, **chosen.field_values, "url": url,
        }  # fmt: skip
        print(json.dumps(record, indent=1, ensure_ascii=False))
        return
    if chosen.field_values:
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in chosen.field_values.items()))
    if chosen.selection_note:
        print(chosen.selection_note)
    print(f"Wrote {folder}: {result.model_class}; its logits differ by {result.difference:.1g} at most after loading")
    if result.onnx_difference is not None:
        print(f"Wrote {folder}/onnx/model.onnx: its logits differ by {result.onnx_difference:.1g} at most")
    for line in (*int8_lines(result.int8, folder), *calibration_lines(result.calibration)):
        print(line)
    if url:
        print(f"Uploaded to {url}")


def find_study_file(pipeline: str, chosen: Pipeline, store: Store) -> StudyFile:
    """Return the study of a pipeline: the file that the user named, a shipped study, or the record of its last run, whose
    paths then start in the working folder. Raises UserError if there is none."""
    from xlift.studies.record import pin_commits
    from xlift.studies.study import shipped_studies
    from xlift.studies.study_file import StudyFile, read_study
    from xlift.yaml_document import Document

    if Path(pipeline).is_file() or pipeline in shipped_studies():
        return pin_commits(read_study(pipeline), store)
    if chosen.record is None:
        raise UserError("no study of the store has this model, so its data is unknown", where=pipeline)
    name = f"{chosen.record.name}.yaml"
    return pin_commits(StudyFile(chosen.record.study, Path(name), Document({}, {})), store)


def find_pipeline(pipeline: str, store: Store, wanted: dict[str, str], best: bool = False, head: str = "") -> Pipeline:
    """Find the pipeline that a study's name with options, or a job's key, selects. Raises UserError."""
    from xlift.analysis.pipeline_choice import choose_pipeline, find_pipeline_by_key
    from xlift.cli.studies import find_study_name
    from xlift.studies.record import list_studies, read_record
    from xlift.studies.study import shipped_studies

    name = find_study_name(pipeline)
    if name not in list_studies(store) and re.fullmatch(r"[0-9a-f]{4,64}", pipeline):
        if wanted or best:
            raise UserError(
                "a job's key already identifies one model", fix="Leave out the options that select a pipeline."
            )
        return find_pipeline_by_key(store, pipeline, head)
    if head:
        raise UserError("--head needs the key of a job", fix="Use --target with a study.")
    file = pipeline if Path(pipeline).is_file() or name in shipped_studies() else f"{name}.yaml"
    study = shlex.join([file, *([] if store.where == os.path.abspath(DEFAULT_STORE) else ["--store", store.where])])
    return choose_pipeline(read_record(store, name), store, wanted, best=best, study=study)


def find_pretrained_folder(store: Store, fingerprint: str, base: str = "") -> Path | None:
    """Find the folder of a pretrained model: `base` if given, else one that a study of this store names."""
    from xlift import backbones
    from xlift.studies.record import list_studies, read_record
    from xlift.studies.schema.models import PretrainedModel

    models = [base] if base else []
    for study in () if base else (read_record(store, name).study for name in list_studies(store)):
        models += [
            each if isinstance(each, str) else each.model
            for each in study.models
            if not isinstance(each, PretrainedModel)
        ]
    for name in dict.fromkeys(models):
        try:
            found = backbones.find(name)
        except UserError:
            if base:
                raise
            continue  # a folder relative to a study file of another machine
        if found.fingerprint == fingerprint:
            return found.folder
    return None
