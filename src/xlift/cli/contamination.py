"""`xlift contamination`: compare the training texts of a study with its scored examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from xlift.cli.options import (
    DEFAULT_STORE,
    DataOption,
    JsonOption,
    SetOption,
    StoreOption,
    StudyArgument,
    console,
    print_warnings,
)
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.analysis.contamination_report import ContaminationReport
    from xlift.studies.plan import Plan
    from xlift.studies.store import Store

MAX_EXAMPLES_AFTER_RUN = 1_000_000
"""`xlift run` compares up to this many examples: that takes a minute or two, and training on them takes hours."""


def contamination(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find texts that a study both trains on and is scored on.

    Compares the training texts of all stages with the scored examples and lists known overlaps between the data sets. The
    store keeps the result for the report page, so no comparison runs twice.
    """
    from xlift.report.contamination import print_contamination, to_json
    from xlift.studies.plan import make_plan
    from xlift.studies.record import pin_commits
    from xlift.studies.store import Store
    from xlift.studies.study_file import read_study

    plan = make_plan(pin_commits(read_study(study, tuple(set_ or ())), Store(store)), data)
    if not plan.cells:
        raise UserError(
            "the study scores nothing, so there is nothing to compare", where=study, fix="Add `targets:` to it."
        )
    report = compare(plan, Store(store))
    if as_json:
        print(json.dumps(to_json(report), indent=1, ensure_ascii=False))
    else:
        print_contamination(report, console())


def compare(plan: Plan, store: Store) -> ContaminationReport:
    """Return the report for a plan: the stored one if it is of the same data, else a new one, which is stored.

    Raises:
        UserError: data cannot be read, or the store cannot be written.
    """
    from dataclasses import replace

    from xlift.analysis.contamination import check_contamination, data_digest
    from xlift.analysis.contamination_report import digest_jobs, read_contamination_report, write_contamination_report

    try:
        stored_report = read_contamination_report(store, plan.name)
    except UserError:  # damaged: written again below
        stored_report = None
    if stored_report is not None and stored_report.data_digest == data_digest(plan):
        if stored_report.jobs_digest == digest_jobs(plan.jobs):
            return stored_report
        report = replace(stored_report, jobs_digest=digest_jobs(plan.jobs))
    else:
        report = check_contamination(plan)
    write_contamination_report(report, store, plan.name)
    return report


def compare_after_run(plan: Plan, store: Store, command: str = "xlift contamination STUDY") -> None:
    """Check for contamination after `xlift run` if that is quick, and warn of what is found.

    For more examples than `MAX_EXAMPLES_AFTER_RUN` the report page names the command instead.

    Args:
        command: the shell command that lists what is found.
    """
    from xlift.analysis.contamination import num_examples_to_read

    if not plan.cells:
        return
    try:
        if num_examples_to_read(plan) > MAX_EXAMPLES_AFTER_RUN:
            return
        report = compare(plan, store)
    except UserError as error:  # the run itself is done
        print_warnings([f"contamination was not checked: {error}"])
        return
    if report.findings or any(relation.is_contamination for relation in report.known_relations):
        from xlift.report.contamination import summarize_contamination

        print_warnings([f"{summarize_contamination(report)} `{command}` lists them."])
