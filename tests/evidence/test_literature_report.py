"""The text of what the literature says: every number with its computation, source and doubt."""

from io import StringIO

from rich.console import Console

from xlift.claims import read_claims
from xlift.evidence.files import shipped_evidence
from xlift.evidence.verdicts import judge_published
from xlift.report.literature import literature_cell, literature_lines, literature_table

JUDGED = judge_published(read_claims("english-intermediate"), shipped_evidence())


def test_cells_have_the_verdict_and_the_numbers_that_decide():
    cells = {each.claim: literature_cell(each) for each in JUDGED}
    assert cells["xnli-no-lift"] == "reported: +0.8, +1.2"
    assert cells["retrieval-lift"] == "consistent: +15.5"
    assert cells["squad-lift"] == "no number"
    assert cells["nine-tasks"] == "verified: 9"
    assert cells["state-of-the-art"] == "false: +5.8, +4.7, +3.7 and 3 more"


def test_the_table_has_every_claim():
    console = Console(file=StringIO(), width=120)
    console.print(literature_table(JUDGED))
    text = console.file.getvalue()  # type: ignore[union-attr]
    assert all(each.claim in text for each in JUDGED)


def test_lines_give_computation_source_status_and_doubt():
    text = "\n".join(literature_lines(JUDGED))
    assert (
        "+0.8 best-per-target on xnli (accuracy): = 80.0 - 79.2; the largest lift of all tasks; direct, within the error"
        in text
    )
    assert "Chung et al. 2021, table 16 (secondary; rembert-x-stilts-xnli, rembert-none-xnli)" in text
    assert '"small additional improvements"' in text
    assert "assumes that both publications subtract the same scores of XLM-R large" in text
    assert "mnli-lift:" not in text, "nothing is published on it"
