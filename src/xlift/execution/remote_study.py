"""A study as plain text, for workers on other machines, which plan it themselves."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.studies.plan import Plan, make_plan
from xlift.studies.record import pin_commits
from xlift.studies.store import Store
from xlift.studies.study import shipped_studies
from xlift.studies.study_file import StudyFile, parse_study


@dataclass(frozen=True)
class RemoteStudy:
    """What a worker needs to plan a study as the scheduler did. A worker reads the same paths, on a shared file system or in copies."""

    study: str
    """Name of a shipped study, or path of the study's file."""
    text: str
    """Its YAML."""
    overrides: tuple[str, ...]
    """`--set` options."""
    data: str
    """`--data`; '' for the study's own."""
    store: str
    """Path or URL."""

    @classmethod
    def of(cls, file: StudyFile, data: Path | None, store: str) -> RemoteStudy:
        """Raises UserError if the study's file is gone."""
        shipped = {path: name for name, path in shipped_studies().items()}
        try:
            text = file.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(file.path)) from None
        return cls(
            shipped.get(file.path, str(file.path.absolute())),
            text,
            tuple(option for _, option in file.overrides),
            str(data.absolute()) if data else "",
            store if "://" in store else str(Path(store).absolute()),
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RemoteStudy:
        return cls(**{**content, "overrides": tuple(content["overrides"])})

    def open_store(self) -> Store:
        return Store(self.store)

    def plan(self, store: Store) -> Plan:
        """Plan the study, with the commits of datasets that the run has recorded in the store. Raises UserError."""
        path = shipped_studies().get(self.study) or Path(self.study)
        file = pin_commits(parse_study(self.text, path, self.overrides), store)
        return make_plan(file, Path(self.data) if self.data else None)


def digest_of(plan: Plan) -> str:
    """SHA-256 of the keys of a plan. Equal plans have equal jobs."""
    return hashlib.sha256("\n".join(sorted(plan.jobs)).encode()).hexdigest()
