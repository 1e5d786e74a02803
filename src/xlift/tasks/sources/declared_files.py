"""Which files a source reads: declared paths, and the files on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.task import Task


@dataclass(frozen=True)
class DeclaredFiles:
    """The files of each split and language. No file is opened."""

    reader: str
    """Key of READERS."""
    files: Mapping[str, str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]]
    """Split -> path under the root, with {lang} for the language's code; or language -> path. Several paths are read one
    after the other; the `pairs` reader takes two. `*` in a path matches anything; the matching files are sorted."""
    available: Mapping[str, tuple[str, ...]]
    """Split -> languages."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Language -> code in file names, if different ('sw' -> 'swh')."""
    originals: Mapping[str, str] = field(default_factory=dict)
    """Split -> where to get its labels, if the files of this layout may lack them."""
    root: Path | None = None
    """Folder of the user's own files; None means the data folder of the call."""

    def languages(self, split: str) -> tuple[str, ...]:
        return self.available.get(split, ())

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("train", "dev", "test") if split in self.available)

    def paths(self, task: Task, language: str, split: str, data: Path | None) -> tuple[Path, ...]:
        """The existing files of a split.

        Raises:
            UserError: the task has no such split in the language, there is no data folder, or a file is missing.
        """
        if language not in self.languages(split):
            available = "; ".join(f"{name}: {' '.join(codes)}" for name, codes in self.available.items())
            raise UserError(f"task '{task.name}' has no {split} examples in '{language}'", fix=f"It has {available}.")
        root = "" if self.root else " under the data folder (`--data DIR`, the folder with the published files)"
        if (self.root or data) is None:
            path = self._relative(language, split)[0]
            raise UserError(
                f"no data folder given to read {task.name} {language} {split}", fix=f"Expected {path}{root}."
            )
        existing: list[Path] = []
        for relative, paths in self.named_paths(language, split, data):
            missing = next((path for path in paths if not path.is_file()), None)
            if missing or not paths:
                original = self.originals.get(split)
                raise UserError(
                    f"no such file, needed for {task.name} {language} {split}",
                    where=str(missing or (self.root or data or Path()) / relative),
                    fix=f"Expected {relative}{root}." + (f" The original: {original}." if original else ""),
                )
            existing += paths
        return tuple(existing)

    def named_paths(self, language: str, split: str, data: Path | None) -> Iterator[tuple[str, list[Path]]]:
        """(declared path, its files) of a split; a pattern may match no file."""
        root = self.root or data or Path()
        for relative in self._relative(language, split):
            matches = glob(relative, root_dir=root) if "*" in relative else [relative]
            yield relative, [root / path for path in sorted(matches)]

    def _relative(self, language: str, split: str) -> tuple[str, ...]:
        files = self.files[split]
        if isinstance(files, Mapping):
            files = files[language]
        paths = (files,) if isinstance(files, str) else files
        return tuple(self.insert_code(path, language) for path in paths)

    def insert_code(self, text: str, language: str) -> str:
        return text.replace("{lang}", self.codes.get(language, language))
