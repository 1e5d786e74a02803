"""`xlift store`: list, check and clean a store."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlift.cli.export import find_pretrained_folder
from xlift.cli.options import DEFAULT_STORE, JsonOption, StoreOption, console, open_existing_store, print_warnings
from xlift.errors import UserError
from xlift.report.fitting_table import hidden_note
from xlift.units import count_noun, is_or_are

if TYPE_CHECKING:
    from xlift.studies.store import Store
    from xlift.studies.store_merge import MergedStudy

PROGRESS_SECONDS = 10.0
"""Seconds between two lines on the progress of a copy."""

app = typer.Typer(help="List, check and clean a store.", no_args_is_help=True, rich_markup_mode=None)


@app.command("ls")
def store_ls(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List all jobs: kind, status, digest, seconds and size."""
    entries = list(open_existing_store(store).ls())
    if as_json:
        keys = ("key", "kind", "status", "sha256", "seconds", "bytes")
        print(json.dumps([{key: getattr(entry, key) for key in keys} for entry in entries], indent=1))
        return
    if not entries:
        print("The store is empty.")
        return
    columns = {"key": 12, "kind": 8, "status": 8, "digest": 12, "seconds": 9, "size": 8}
    hidden: list[str] = []
    for name in ("digest", "seconds", "size"):
        if sum(width + 2 for each, width in columns.items() if each not in hidden) - 2 > console().width:
            hidden.append(name)

    def print_line(*cells: str) -> None:
        padded = (
            cell.rjust(width) if name in ("seconds", "size") else cell.ljust(width)
            for cell, (name, width) in zip(cells, columns.items(), strict=True)
            if name not in hidden
        )
        print("  ".join(padded).rstrip())

    print_line(*columns)
    for entry in entries:
        seconds = "" if entry.seconds is None else f"{entry.seconds:.1f} s"
        print_line(entry.key[:12], entry.kind, entry.status, entry.sha256[:12], seconds, _bytes(entry.bytes))
        if entry.note:
            print(f"  {entry.note}")
    if any(entry.status == "manifest" for entry in entries):
        print("manifest: done, and its files are not here.")
    if note := hidden_note(hidden, "xlift store ls --json"):
        console().print(note, markup=False, highlight=False)


@app.command("verify")
def store_verify(
    store: StoreOption = DEFAULT_STORE,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move damaged artifacts aside, so that the next run makes them again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check all files of all artifacts.

    The exit code is 2 if a damaged artifact stays in place.
    """
    problems = open_existing_store(store).verify(repair=repair)
    if as_json:
        records = [{"key": p.key, "what": p.what, "aside": str(p.aside) if p.aside else None} for p in problems]
        print(json.dumps(records, indent=1))
    else:
        for problem in problems:
            print(f"{problem.key}: {problem.what}" + (f"\n  moved to {problem.aside}" if problem.aside else ""))
        print("All artifacts are intact." if not problems else f"Problems: {len(problems)}")
    if any(problem.aside is None for problem in problems):
        if not as_json:
            fix = "`xlift store verify --repair` moves damaged artifacts aside. `xlift run` makes them again."
            print(f"  {fix}", file=sys.stderr)
        raise typer.Exit(2)


@app.command("gc")
def store_gc(
    store: StoreOption = DEFAULT_STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    weights: Annotated[
        bool,
        typer.Option("--remove-weights", help="Also remove the weights of finished studies. They still count as done."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts that no study of this store needs.

    Also removes temporary files of killed runs.
    """
    from xlift.studies.record import list_studies, read_record
    from xlift.studies.retention import remove_weights

    opened = open_existing_store(store)
    needed = {key for name in list_studies(opened) for key in read_record(opened, name).keys}
    removed = opened.gc(needed, dry_run=dry_run)
    if weights:
        removed += remove_weights(opened, dry_run=dry_run)
    if as_json:
        print(json.dumps([{"key": r.key, "what": r.what, "bytes": r.bytes} for r in removed], indent=1))
        return
    for removal in removed:
        print(f"{removal.key[:12]}  {removal.what:9}  {_bytes(removal.bytes):>8}")
    print(f"{'would free' if dry_run else 'freed'} {_bytes(sum(r.bytes for r in removed))}")


@app.command("du")
def store_du(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show the disk space of each kind of artifact."""
    usage = open_existing_store(store).du()
    if as_json:
        print(json.dumps({kind: {"count": u.count, "bytes": u.bytes} for kind, u in usage.items()}, indent=1))
        return
    for kind, used in usage.items():
        print(f"{kind:12} {used.count:6}  {_bytes(used.bytes):>8}")
    print(f"{'total':12} {sum(u.count for u in usage.values()):6}  {_bytes(sum(u.bytes for u in usage.values())):>8}")


@app.command("merge")
def store_merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="STORE...", help="Other stores, or bundles of results.", show_default=False)
    ],
    store: StoreOption = DEFAULT_STORE,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename", metavar="OLD=NEW", help="Give a study another name. Repeat for more.", show_default=False
        ),
    ] = None,
    keep_existing: Annotated[
        bool,
        typer.Option("--keep-existing", help="Where a job has another result, keep that of this store; else an error."),
    ] = False,
) -> None:
    """Copy the studies of other stores and bundles into this store, with the results of their jobs.

    Every file is hashed before and after. A job that this store has is not copied.
    """
    from xlift.studies.store import Store
    from xlift.studies.store_merge import merge_store, open_source

    names = {}
    for pair in rename or []:
        old, equals, new = pair.partition("=")
        if not equals or not old or not new:
            raise UserError(f"'{pair}' gives no name", where="--rename", fix="Write OLD=NEW.")
        names[old] = new
    if names and len(sources) > 1:
        raise UserError("--rename is for one source", where="--rename", fix="Merge one store at a time.")
    into = Store(store)
    for path in sources:
        with open_source(path) as source:
            merged = merge_store(source, into, path, names, keep_existing=keep_existing)
        _print_merged(merged, "here")


StudiesOption = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="NAME", help="Copy this study only. Repeat for more.", show_default=False),
]
WeightsOption = Annotated[
    bool,
    typer.Option(
        "--weights/--no-weights",
        help="Copy the weights of trained models too. Without them, their jobs still count as done.",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace a study that has jobs which the new one lacks; else an error.")
]


@app.command("push")
def store_push(
    destination: Annotated[
        str, typer.Argument(metavar="STORE", help="Another store; created if missing.", show_default=False)
    ],
    store: StoreOption = DEFAULT_STORE,
    study: StudiesOption = None,
    weights: WeightsOption = True,
    force: ForceOption = False,
) -> None:
    """Copy the studies of this store to another one, with the results of their jobs.

    Jobs that the other store has are not copied. Every file is hashed. Running the same command again resumes.
    """
    from xlift.studies.store import Store

    _copy_studies(open_existing_store(store), Store(destination), study or (), "there", weights=weights, force=force)


@app.command("pull")
def store_pull(
    source: Annotated[str, typer.Argument(metavar="STORE", help="Another store.", show_default=False)],
    store: StoreOption = DEFAULT_STORE,
    study: StudiesOption = None,
    weights: WeightsOption = True,
    force: ForceOption = False,
) -> None:
    """Copy the studies of another store to this one, with the results of their jobs.

    Jobs that this store has are not copied. Every file is hashed. Running the same command again resumes.
    """
    from xlift.studies.store import Store

    _copy_studies(open_existing_store(source), Store(store), study or (), "here", weights=weights, force=force)


def _copy_studies(
    source: Store, into: Store, studies: Sequence[str], place: str, *, weights: bool, force: bool
) -> None:
    from xlift.studies.store_merge import merge_store

    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            print(f"{done} of {total} jobs", file=sys.stderr)

    update = "always" if force else "grown"
    merged = merge_store(
        source, into, source.where, only=studies, weights=weights, update=update, keep_existing=True, on_copied=show
    )
    _print_merged(merged, place)


def _print_merged(merged: Sequence[MergedStudy], place: str) -> None:
    for study in merged:
        print(
            f"{study.name} of {study.source}: {study.copied} job{'s' * (study.copied != 1)} copied, {study.kept} {place} already"
            + (f", {study.unfinished} not finished" if study.unfinished else "")
        )
        if study.other_results:
            print_warnings(
                [
                    f"{study.name}: {count_noun(study.other_results, 'job')} {'has' if study.other_results == 1 else 'have'} another result in {study.source}; those {'of this store' if place == 'here' else 'that are there'} are kept."
                ]
            )


@app.command("export")
def store_export(
    key: Annotated[
        str,
        typer.Argument(
            help="Key of the job or its first characters (see `xlift store ls`). With --results: a study.",
            show_default=False,
        ),
    ],
    folder: Annotated[Path | None, typer.Argument(help="A new folder.", show_default=False)] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help="Write the results of a study, without weights: a new file FILE.zip or folder.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    model: Annotated[
        str,
        typer.Option(
            "--model", help="The pretrained model it was trained from, if that was moved.", show_default=False
        ),
    ] = "",
) -> None:
    """Write the complete model of a job to a folder, or the results of a study to a bundle.

    Artifacts of large models hold only the weights that a stage changed. transformers can load the folder, and a study can
    name it under `models:`. A bundle (--results) has the study, its manifests and its predictions. `xlift report` makes every
    table and page from it, and `xlift run --from` counts its jobs as done.
    """
    if (folder is None) == (results is None):
        raise UserError(
            "expected a folder or --results", fix="Give a key and a folder, or a study and --results FILE.zip."
        )
    if results is not None:
        return _export_results(key, results, store)
    from xlift.execution.work.model_loading import find_model_files
    from xlift.models.backbone import load_stored_model, save

    opened = open_existing_store(store)
    assert folder is not None
    if folder.exists():
        raise UserError(f"'{folder}' exists already", fix="Name a new folder.")
    stored = find_model_files(
        _complete_key(opened, key), opened, lambda fingerprint: find_pretrained_folder(opened, fingerprint, model)
    )
    if stored.is_full:
        shutil.copytree(stored.folder, folder)
    else:
        save(*load_stored_model(stored), folder)
    print(f"Wrote {folder}")


def _export_results(study: str, path: Path, root: str) -> None:
    from xlift.cli.studies import find_study_name
    from xlift.studies.bundle import export_results
    from xlift.studies.record import read_record

    opened = open_existing_store(root)
    record = read_record(opened, find_study_name(study))
    missing = export_results(opened, record.name, path)
    if missing:
        print_warnings(
            [f"the study is not finished: {len(missing)} of {len(record.keys)} jobs {is_or_are(len(missing))} missing."]
        )
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    print(f"Wrote {path} ({_bytes(sum(file.stat().st_size for file in files))})")


def _complete_key(store: Store, prefix: str) -> str:
    matches = [entry.key for entry in store.ls() if entry.status == "done" and entry.key.startswith(prefix)]
    if len(matches) != 1:
        raise UserError(
            f"{'no' if not matches else 'more than one'} artifact has a key that begins with '{prefix}'",
            fix="`xlift store ls` lists the keys." if not matches else "Give more characters of the key.",
        )
    return matches[0]


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
