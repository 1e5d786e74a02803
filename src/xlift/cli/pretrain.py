"""`xlift pretrain`: pretrain the models of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from xlift.cli.options import DEFAULT_STORE, DataOption, SetOption, StoreOption, WorkersOption, create_folder
from xlift.cli.studies import run_jobs
from xlift.errors import UserError


def pretrain(
    study: Annotated[
        str, typer.Argument(help="A study with a `pretrain:` section (default: that of the shipped encoder).")
    ] = "isles-encoder",
    out: Annotated[Path | None, typer.Option("--out", help="Copy the model into this folder.")] = None,
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    set_: SetOption = None,
    workers: WorkersOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress.")] = False,
) -> None:
    """Pretrain the models of a study from random weights.

    Pretrains every model under `models:` that has a `pretrain:` section and prints the folders of the models.
    """
    import shutil

    from xlift.studies.schema.models import PretrainedModel
    from xlift.studies.study_file import read_study

    file = read_study(study, tuple(set_ or ()))
    made = [model for model in file.study.models if isinstance(model, PretrainedModel)]
    if not made:
        raise UserError(
            "the study has no model to pretrain",
            where=file.locate("models"),
            fix="Give a model under `models:` the keys `name:` and `pretrain:`.",
        )
    if out and (len(made) > 1 or (out.exists() and not (out.is_dir() and not any(out.iterdir())))):
        raise UserError(f"--out {out}: expected one model and a new or empty folder", fix="Name another folder.")
    if out:
        create_folder(out)
    # A separate name, so that the record of the whole study stays as it is.
    pretraining_only = {"name": f"{file.study.name}-pretrain", "intermediate": (), "targets": ()}
    file = replace(file, study=file.study.model_copy(update=pretraining_only))
    planned, opened, _ = run_jobs(file, store, data, workers, quiet)
    for job in planned.jobs.values():
        model = opened.open(job.key).folder / "model"
        print(model)
        if out:
            shutil.copytree(model, out, dirs_exist_ok=True)
