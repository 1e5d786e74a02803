"""`xlift doctor`: installed packages, the device, and the data on this machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from xlift.backbones import SHIPPED
from xlift.errors import UserError, hide_secrets
from xlift.recipes import Engine
from xlift.report.fitting_table import hidden_note
from xlift.studies.placement import default_workers, describe_workers
from xlift.tasks import catalog
from xlift.tasks.fetching import FetchResult, published_count, read_manifest
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.task import Task
from xlift.units import count_noun

PACKAGES = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy", "scipy", "pyarrow", "pydantic", "altair",
    "pandas", "duckdb",
)  # fmt: skip
EXTRAS = {
    "gpu": ("bitsandbytes",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "evidence": ("arxiv", "bibtexparser", "bm25s", "pyalex", "pypdf"),
}


def examine(data: Path | None, count: bool = False) -> dict[str, Any]:
    """Collect facts on the installation, the device and the data as JSON values. Imports torch to find devices.

    Args:
        count: read and count all rows on this machine; otherwise use the counts that `xlift fetch` recorded.
    """
    encoder = Path(str(resources.files("xlift"))) / SHIPPED["isles"] / "model.safetensors"
    return {
        "xlift": _version("xlift"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: all(_version(name) for name in names) for extra, names in EXTRAS.items()},
        "device": _device(),
        "workers": describe_workers(default_workers(Engine()), Engine()),
        "shipped_encoder": encoder.stat().st_size if encoder.is_file() else None,
        "hub": _hub(),
        "data_root": str(data) if data else None,
        "data": _data(data, count),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "none: torch is not installed"
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "cpu"


def _hub() -> dict[str, Any]:
    from huggingface_hub import constants

    return {
        "endpoint": hide_secrets(constants.ENDPOINT),
        "cache": constants.HF_HUB_CACHE,
        "offline": bool(constants.HF_HUB_OFFLINE),
    }


def _data(data: Path | None, count: bool) -> dict[str, dict[str, Any]]:
    """Return task -> its data on this machine. Generated tasks need no data and are left out."""
    fetched = read_manifest(data) if data else {}
    return {
        task.name: _task_data(task, data, fetched.get(task.name), count)
        for task in catalog.TASKS
        if task.source.kind != "isles"
    }


def _task_data(task: Task, data: Path | None, fetched: FetchResult | None, count: bool) -> dict[str, Any]:
    """Return the languages of each split by source, the missing languages, and the counts of a task."""
    members = task.source.members if isinstance(task.source, FallbackSource) else (task.source,)
    splits: dict[str, Any] = {}
    counted = agreeing = 0
    problems: list[str] = []
    for split in task.source.splits():
        found: dict[str, list[str]] = {}
        missing = []
        for language in task.source.languages(split):
            kind = next((member.kind for member in members if member.is_present(language, split, data)), None)
            if kind is None:
                missing.append(language)
                continue
            found.setdefault(kind, []).append(language)
            number = fetched.counts.get(split, {}).get(language) if fetched and kind == "hub" else None
            if count:
                try:
                    number = task.source.size(task, language, split, data)
                except UserError as error:
                    problems.append(str(error))
            expected = published_count(task.counts, language, split)
            counted += number is not None
            agreeing += number is not None and number == expected
            if number is not None and expected is not None and number != expected:
                problems.append(f"{language} {split}: {count_noun(number, 'example')}, but {expected:,} are published")
        splits[split] = {"here": found, "missing": missing}
    return {
        "sources": [member.kind for member in members],
        "splits": splits,
        "counted": counted,
        "as_published": agreeing,
        "problems": problems,
        "fetched": {"repository": fetched.repository, "commit": fetched.commit} if fetched else None,
    }


def print_examination(found: dict[str, Any], console: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def line(name: str, value: str) -> None:
        table.add_row(Text(name), Text(value))

    for key in ("xlift", "python", "platform", "processors", "device"):
        line(key, str(found[key]))
    line("workers", f"{found['workers']}, if --workers does not say otherwise")
    size = found["shipped_encoder"]
    line("shipped encoder", "MISSING: `models: [isles]` does not work" if size is None else f"{size / 1e6:.1f} MB")
    line("packages", ", ".join(f"{name} {version or 'MISSING'}" for name, version in found["packages"].items()))
    line("extras", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in found["extras"].items()))
    hub = found["hub"]
    line(
        "Hub",
        f"{hub['endpoint']}, cache {hub['cache']}" + (", offline: HF_HUB_OFFLINE is set" if hub["offline"] else ""),
    )
    if found["data_root"] is None:
        line("data", "no folder given (--data DIR); generated tasks (isle-*) need none")
    elif not Path(found["data_root"]).is_dir():
        line("data", f"{found['data_root']}: no such folder")
    else:
        line("data", found["data_root"])
    console.print(table)
    _print_data(found["data"], console)


def _print_data(data: dict[str, dict[str, Any]], console: Any) -> None:
    """Print a line for each task with data on this machine, and the names of the others."""
    from rich.table import Table
    from rich.text import Text

    wide = console.width >= 60
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", no_wrap=True)
    table.add_column("languages", overflow="fold")
    if wide:
        table.add_column("source", overflow="fold")
        table.add_column("counts", overflow="fold")
    absent = []
    for name, task in data.items():
        if not any(split["here"] for split in task["splits"].values()):
            absent.append(name)
            continue
        cells = [name, ", ".join(filter(None, map(_share, task["splits"], task["splits"].values())))]
        if wide:
            kinds = dict.fromkeys(kind for split in task["splits"].values() for kind in split["here"])
            cells += [", ".join(kinds), _counts(task)]
        table.add_row(*map(Text, cells))
    if table.row_count:
        console.print()
        console.print(table)
        if note := hidden_note([] if wide else ["source", "counts"], "xlift doctor --json"):
            console.print(note, highlight=False)
    problems = [f"{name}: {problem}" for name, task in data.items() for problem in task["problems"]]
    if problems:
        console.print("\ncounts that differ from the published ones", style="bold", highlight=False)
        for problem in problems:
            console.print(problem, markup=False, highlight=False)
    if absent:
        console.print(f"\nno data ({len(absent)})", style="bold", highlight=False)
        console.print(" ".join(absent), markup=False, highlight=False)
        console.print("`xlift fetch NAME --data DIR` downloads data that is on the Hub.", highlight=False)


def _share(split: str, state: dict[str, Any]) -> str:
    """Format the languages of a split that are present: 'test 12 of 15' or 'train en'."""
    here = [language for languages in state["here"].values() for language in languages]
    if not here:
        return ""
    declared = len(here) + len(state["missing"])
    return f"{split} {here[0]}" if declared == 1 else f"{split} {len(here)} of {declared}"


def _counts(task: dict[str, Any]) -> str:
    if task["problems"]:
        return "differ"
    if not task["counted"]:
        return "not counted"
    return (
        "as published"
        if task["as_published"] == task["counted"]
        else f"{task['as_published']} of {task['counted']} as published"
    )
