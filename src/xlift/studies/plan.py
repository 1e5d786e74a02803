"""Turn a study into a plan: a graph of jobs without duplicates, and the cells of the table that they fill.

The loops go over model, intermediate, seed, target and language, from outside in (planning/ has them). Each requests the jobs
it needs; equal jobs have equal keys, so the plan has them once.
"""

from __future__ import annotations

from pathlib import Path

from xlift.claims import Table, check_claims
from xlift.studies.missing import refuse
from xlift.studies.placement import describe_missing_trackers
from xlift.studies.plan_types import Cell, Plan
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.intermediate import add_row
from xlift.studies.planning.language_notes import language_notes
from xlift.studies.planning.models import refuse_unused_pooling, start_states
from xlift.studies.planning.targets import add_target
from xlift.studies.resolver import Resolver
from xlift.studies.rows import list_rows
from xlift.studies.study_file import StudyFile

__all__ = ["Cell", "Plan", "make_plan"]


def make_plan(file: StudyFile, data: Path | None = None, *, to_run: bool = True) -> Plan:
    """Plan the jobs of a study with the catalogue and the data.

    Args:
        data: root folder of data files; default: the study's `data:`, relative to its file.
        to_run: False to estimate the study only. Then nothing is downloaded, what is missing is in `Plan.missing`, and jobs that
            only another machine can do cause warnings instead of errors.

    Raises:
        UserError: an unknown task or language, too few examples, broken files or (to run) missing ones, or a job that a family of models
            cannot do.
    """
    resolver, study = Resolver(file, data, check_files=True, to_run=to_run), file.study
    plan = Plan(study.name, data=resolver.data, tasks=resolver.tasks, engine=study.engine, summaries=resolver.summaries)
    context = PlanContext(file, resolver, plan, to_run)
    rows = list_rows(resolver)
    starts = start_states(context, only_pretrained=not rows)
    for start in starts:
        above: dict[int, dict[str, ModelState]] = {seed: {} for seed in study.seeds}
        for row in rows:
            for seed in study.seeds:
                state = above[seed][row.id] = add_row(context, start, row, seed, above[seed])
                for index, target in enumerate(study.targets):
                    add_target(context, state, row, index, target, seed)
        for key in plan.jobs:
            plan.assign(key, start.model, start.engine)
    refuse_unused_pooling(context, starts)
    plan.missing += resolver.availability.missing.values()
    if to_run:
        refuse(plan.missing, str(file.path))
    plan.claims = file.read_claims()
    if plan.claims:
        check_claims(plan.claims, Table.of(plan.cells))
    shipped = {start.model for start in starts if start.is_shipped}
    plan.warnings += [*resolver.notes, *language_notes(plan, shipped)]
    plan.warnings += describe_missing_trackers(study.engine)
    plan.faults = resolver.describe_faults()
    plan.warnings += [sentence for sentences in plan.faults.values() for sentence in sentences]
    if plan.cells and "none" not in study.intermediate:
        plan.warnings.append("there will be scores but no lifts: `intermediate` does not list none.")
    return plan
