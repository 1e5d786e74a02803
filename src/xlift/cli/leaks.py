"""Leaks: compare what a study trains on with what it scores."""

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
    warn,
)
from xlift.errors import UserError

if TYPE_CHECKING:
    from xlift.analysis.findings import Leaks
    from xlift.studies.plan import Plan
    from xlift.studies.store import Store

BY_RUN = 1_000_000
"""Examples up to which `xlift run` compares by itself: a minute or two, where training on them takes hours."""


def leaks(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    data: DataOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for texts that a study trains on and is scored on.

    Compares the training text of every stage with the scored examples and names known relations between the sets. The
    result is kept in the store for the report page; nothing is compared twice.
    """
    from xlift.report.leaks import print_leaks, to_json
    from xlift.studies.plan import make_plan
    from xlift.studies.reading import read_study
    from xlift.studies.store import Store

    plan = make_plan(read_study(study, tuple(set_ or ())), data)
    if not plan.cells:
        raise UserError("the study scores nothing, so nothing can leak", where=study, fix="it needs `targets:`.")
    found = compare(plan, Store(store))
    if as_json:
        print(json.dumps(to_json(found), indent=1, ensure_ascii=False))
    else:
        print_leaks(found, console())


def compare(plan: Plan, store: Store) -> Leaks:
    """The finding for a plan: the one in the store if it is of the same data, else a new one, which is put there.

    Raises:
        UserError: data cannot be read, or the store not be written.
    """
    from dataclasses import replace

    from xlift.analysis.findings import jobs_digest, read, write
    from xlift.analysis.leaks import compared, find

    try:
        known = read(store, plan.name)
    except UserError:  # damaged: it is written anew
        known = None
    if known is not None and known.data == compared(plan):
        if known.jobs == jobs_digest(plan.jobs):
            return known
        found = replace(known, jobs=jobs_digest(plan.jobs))
    else:
        found = find(plan)
    write(found, store, plan.name)
    return found


def compare_after_run(plan: Plan, store: Store) -> None:
    """What `xlift run` does about leaks when all jobs are done: compare, if it is no long work, and warn of what is found.

    Where it does not, the page says so and how to.
    """
    from xlift.analysis.leaks import amount

    if not plan.cells:
        return
    try:
        if amount(plan) > BY_RUN:
            return
        found = compare(plan, store)
    except UserError as error:  # the run itself is done
        warn([f"leaks were not looked for: {error}"])
        return
    if found.findings or any(known.leak for known in found.known):
        from xlift.report.leaks import summary

        warn([f"{summary(found)} `xlift leaks {plan.name}` shows them."])
