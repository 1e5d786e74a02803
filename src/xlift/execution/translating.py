"""`xlift translate`: translate the examples of a task and write them as a custom task that a study can use.

    DIR/train.de.00000.jsonl  train.de.00001.jsonl  train.sw.00000.jsonl ...
        translation.json    counts of examples read, kept and dropped, with reasons; the translator; SHA-256 of each file
        task.yaml           the task declaration for a study, written at the end

Files are written atomically. An interrupted run resumes after the last complete file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from xlift.errors import UserError
from xlift.execution.translators import Translator, round_share
from xlift.tasks import formats
from xlift.tasks.formats.translation import language_name
from xlift.tasks.task import Task

EXAMPLES_PER_FILE = 1000
"""An interrupted run loses the translations of at most this many examples."""
SUMMARY_FILE, DECLARATION_FILE = "translation.json", "task.yaml"


@dataclass(frozen=True)
class TranslationRequest:
    """The examples to translate and the languages to translate into."""

    task: Task
    source_language: str
    target_languages: tuple[str, ...]
    split: str = "train"
    size: int | None = None
    """Number of examples; None: all (for a generated task, its standard number)."""
    seed: int = 0
    """Seed of the subset."""


@dataclass(frozen=True)
class LanguageSummary:
    """Counts of one target language."""

    language: str
    read: int
    kept: int
    dropped: dict[str, int]
    """Reason -> number of examples."""


def translate(
    request: TranslationRequest,
    translator: Translator,
    folder: Path,
    *,
    data: Path | None = None,
    name: str = "",
    progress: Callable[[str, int, int], None] = lambda language, done, total: None,
) -> list[LanguageSummary]:
    """Write translated examples and the declaration of a task with them. Complete files in the folder are kept.

    Args:
        folder: new, empty, or written by an earlier call with the same arguments.
        name: of the task; default 'TASK-translated'.
        progress: called with (language, examples done, examples in total) after each file.

    Raises:
        UserError: the translator does not support this task, the folder holds something else, the examples do not exist, or
            every example was dropped.
    """
    translator.check(request.task, request.source_language, request.target_languages)
    if formats.get(request.task.format).ranks_pool and request.split != "train":
        raise UserError(
            f"the {request.split} examples of '{request.task.name}' share one candidate pool over all languages, so they cannot "
            "be translated", fix="Translate its training pairs.",
        )  # fmt: skip
    examples = list(
        request.task.source.read(
            request.task, request.source_language, request.split, data, size=request.size, seed=request.seed
        )
    )
    try:
        summary = _open_folder(folder, _identity(request, translator, data))
        files: dict[str, Any] = summary["files"]
        for target in request.target_languages:
            for start in range(0, len(examples), EXAMPLES_PER_FILE):
                file = f"{request.split}.{target}.{start // EXAMPLES_PER_FILE:05}.jsonl"
                chunk = examples[start : start + EXAMPLES_PER_FILE]
                if not _is_complete(folder / file, files.get(file)):
                    files[file] = {"language": target, **_write_file(folder / file, request, translator, chunk, target)}
                    _write_atomically(folder / SUMMARY_FILE, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
                progress(target, start + len(chunk), len(examples))
        summaries = [_summarize_language(code, files) for code in sorted({file["language"] for file in files.values()})]
        if examples and not any(each.kept for each in summaries):
            losses = "; ".join(f"{each.language}: {', '.join(most_common_losses(each))}" for each in summaries)
            raise UserError(
                f"every example was dropped ({losses})", where=str(folder / SUMMARY_FILE),
                fix="Use another --model: this one does not translate between these languages.",
            )  # fmt: skip
        declaration = _make_declaration(request, translator, summaries, name or f"{request.task.name}-translated")
        _write_atomically(folder / DECLARATION_FILE, declaration)
    except OSError as error:
        raise UserError(f"cannot write translations: {error.strerror}", where=str(folder)) from None
    return [each for each in summaries if each.language in request.target_languages]


def _identity(request: TranslationRequest, translator: Translator, data: Path | None) -> dict[str, Any]:
    """Return everything that all files of a folder have in common."""
    fingerprint = request.task.source.fingerprint(request.task, request.source_language, request.split, data)
    return {
        "task": request.task.name, "source_language": request.source_language, "split": request.split, "size": request.size,
        "seed": request.seed, "fingerprint": fingerprint, "translator": dict(translator.identity),
    }  # fmt: skip


def _open_folder(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of a folder: a new one, or that of an earlier call with the same arguments.

    Raises:
        UserError: the folder holds anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SUMMARY_FILE
    if not path.is_file():
        if any(folder.iterdir()):
            raise UserError(
                f"the folder is not empty and has no {SUMMARY_FILE}", where=str(folder), fix="Name a new folder."
            )
        return {**identity, "files": {}}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        differences = [key for key, value in identity.items() if _round_floats(summary[key]) != value]
        if not differences and isinstance(summary["files"], dict):
            return summary
    except (OSError, ValueError, KeyError, TypeError):
        differences = ["the file cannot be read"]
    raise UserError(
        f"this folder belongs to another command (differs: {', '.join(differences)})", where=str(path),
        fix="Name another folder with --out. A folder has one task, source language, split, size, seed and translator.",
    )  # fmt: skip


def _round_floats(value: Any) -> Any:
    """Round all floats, since older summaries hold every digit of a share."""
    if isinstance(value, dict):
        return {key: _round_floats(item) for key, item in value.items()}
    return round_share(value) if isinstance(value, float) else value


def _is_complete(path: Path, entry: dict[str, Any] | None) -> bool:
    return entry is not None and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]


def _write_file(
    path: Path, request: TranslationRequest, translator: Translator, examples: Sequence[Any], target: str
) -> dict[str, Any]:
    result = translator.translate(request.task, examples, request.source_language, target)
    optional = formats.get(request.task.format).optional_texts
    lines = "".join(json.dumps(_record(example, optional), ensure_ascii=False) + "\n" for example in result.kept)
    _write_atomically(path, lines)
    return {
        "read": len(examples), "kept": len(result.kept), "dropped": dict(sorted(result.dropped.items())),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }  # fmt: skip


def _record(example: Any, optional: Sequence[str]) -> dict[str, Any]:
    """Return the example as a JSON object without its missing fields.

    Args:
        optional: fields that are missing where they are empty.
    """
    return {
        key: value for key, value in asdict(example).items() if value is not None and (value or key not in optional)
    }


def _write_atomically(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _summarize_language(language: str, files: dict[str, Any]) -> LanguageSummary:
    own_files = [file for file in files.values() if file["language"] == language]
    dropped = Counter[str]()
    for file in own_files:
        dropped.update(file["dropped"])
    read, kept = (sum(file[key] for file in own_files) for key in ("read", "kept"))
    return LanguageSummary(language, read, kept, dict(dropped.most_common()))


def _make_declaration(
    request: TranslationRequest, translator: Translator, summaries: Sequence[LanguageSummary], name: str
) -> str:
    """Return the task in the YAML of a study. Its paths are relative to the folder."""
    task, languages = request.task, [each.language for each in summaries if each.kept]
    title = f"{task.title}: translated from {language_name(request.source_language)} by {translator.name}"
    kept = "; ".join(f"{each.language} {each.kept:,} of {each.read:,}" for each in summaries)
    declared: dict[str, Any] = {
        "name": name,
        "title": title,
        "format": task.format,
        "files": {request.split: {code: f"{request.split}.{code}.*.jsonl" for code in languages}},
        "joined": True,
    }
    if task.labels:
        declared["labels"] = list(task.labels)
    if task.metrics:
        declared["metric"] = task.metrics[0] if len(task.metrics) == 1 else list(task.metrics)
    declared |= {
        "max_length": task.max_length,
        "licence": f"{task.licence or 'unknown'}; translator: {translator.licence}",
        "note": f"Translations that nobody has checked. Examples kept: {kept}. {SUMMARY_FILE} counts the reasons for dropping others.",
    }
    head = "# Copy this into a study file in this folder, or into one with `data:` set to this folder.\n"
    return head + yaml.safe_dump({"tasks": [declared]}, sort_keys=False, allow_unicode=True, width=120)


def most_common_losses(summary: LanguageSummary, number: int = 3) -> Iterator[str]:
    """Describe the most common reasons for dropping examples of a language."""
    return (f"{count:,} {reason}" for reason, count in islice(summary.dropped.items(), number))
