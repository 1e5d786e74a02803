"""The study that is planned: the published one of Phang et al. 2020 with more seeds, which needs no data and no weights."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlift.studies.plan import Plan

STUDY = Path(__file__).parents[2] / "studies" / "full" / "english-intermediate.yaml"
JOBS_PER_SEED = 3972
"""About: 23 rows, nine targets and up to 40 languages of each."""
DEVICE = "h200"


def seeds_option(jobs: int) -> str:
    """The value of `--set` that gives the study about so many jobs."""
    return f"seeds={list(range(1, ceil(jobs / JOBS_PER_SEED) + 1))}"


def make_study_plan(jobs: int) -> Plan:
    """The plan of the study with about so many jobs."""
    from xlift.studies.plan import make_plan
    from xlift.studies.study_file import read_study

    return make_plan(read_study(str(STUDY), (seeds_option(jobs),)), to_run=False)
