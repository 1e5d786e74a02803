"""The paper of a study: its sections, and both renderers with hostile texts."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.report.synthetic import rows
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.needs import Needs
from xlift.analysis.training_status import RETRIED
from xlift.analysis.verdicts import Judgement
from xlift.bibtex import Entry, parse
from xlift.claims import ClaimSet, parse_claims
from xlift.claims.record import ClaimsRecord
from xlift.errors import UserError
from xlift.model_profiles import all_profiles
from xlift.report.page import render_page
from xlift.report.paper.claims import ClaimsReport, abstract_sentences
from xlift.report.paper.document import (
    Break,
    Bullets,
    Cite,
    Code,
    Commands,
    Document,
    Figure,
    Link,
    Paragraph,
    Section,
    Strong,
    Table,
    joined,
)
from xlift.report.paper.latex import render_latex
from xlift.report.paper.limitations import list_limitations
from xlift.report.paper.markdown import render_markdown
from xlift.report.paper.paper import add_references, check_paper_file, known_entries, make_paper, write_paper
from xlift.report.paper.statistics import statistics_paragraphs
from xlift.report.study import make_report
from xlift.studies.record import read_record

HOSTILE = "- <script>alert(1)</script> \\input{/etc/passwd} $x^2$ a_b & 5% #1 ~x~ {y} [l](javascript:x) *b* `c` | d \\end{document} 你"


def paper(folder: Path, text: str = STUDY) -> Document:
    _, store = finished_study(study_file(folder, text), folder / "store")
    record = read_record(store, "study")
    return make_paper(record, store, make_report(record, store))


def hostile_document() -> Document:
    entries = {
        "a-2020": Entry(
            "misc", "a-2020", {"author": HOSTILE.replace("{", "").replace("}", ""), "title": "T_1", "year": "2020"}
        )
    }
    cell = (Strong(HOSTILE), Break(), HOSTILE)
    blocks = [
        Paragraph(
            joined(HOSTILE, " ", Cite("a-2020"), Code(HOSTILE), Link("javascript:alert(1)"), Link("https://x.org/a_b"))
        ),
        Bullets([HOSTILE, "[first"]),
        Table(HOSTILE, [HOSTILE, "n"], [[HOSTILE, cell], ["[x", "*1"]], 1),
        Figure("map", HOSTILE, "<svg/>"),
        Commands([HOSTILE]),
    ]
    return Document(
        HOSTILE, HOSTILE, HOSTILE, [HOSTILE], [Section(HOSTILE, blocks)], [Section("More", blocks[:1])], entries
    )


def check_latex(text: str) -> None:
    """Raises AssertionError if groups, environments or math are not closed, or a special character is bare."""
    body = re.sub(r"\\begin\{filecontents\*\}.*?\\end\{filecontents\*\}|\\url\{[^}]*\}", "", text, flags=re.S)
    open_environments, depth, is_math = [], 0, False
    for match in re.finditer(r"\\(begin|end)\{([\w*]+)\}|\\(?:[A-Za-z@]+|.)|[{}$#&_^%]", body, re.S):
        token, inside = match[0], bool(open_environments) and open_environments[-1] in ("longtable", "tabular")
        if match[1] == "begin":
            open_environments.append(match[2])
        elif match[1] == "end":
            assert open_environments.pop() == match[2]
        elif token in "{}":
            depth += 1 if token == "{" else -1
            assert depth >= 0
        elif token == "$":
            is_math = not is_math
        elif token == "&":
            assert inside
        elif token in "_^":
            assert is_math
        else:
            assert token[0] == "\\", f"a bare {token}: {body[match.start() - 40 : match.end() + 20]}"
    assert not open_environments
    assert depth == 0
    assert not is_math


def test_sections_of_a_paper(tmp_path: Path):
    document = paper(tmp_path, STUDY + "question: Does it help?\nseeds: [1, 2]\n")
    titles = [section.title for section in document.sections]
    assert titles == ["Question", "Method", "Models", "Intermediate stages", "Targets", "Training", "Statistics", "Data", "Languages",
                      "Results", "Limitations", "Reproduction"]  # fmt: skip
    text = render_markdown(document, {figure.name: "x.svg" for figure in document.figures()})
    assert "Does it help? The study has 1 pretrained model, 2 pipelines, 1 target, 10 languages and 2 seeds." in text
    assert "| isle-qa | isle-qa in qta | 100 |" in text
    assert "| isle-nli | Natural language inference | accuracy | isle-nli in qta | 50 |" in text
    assert "There are 2 seeds." in text
    assert "no control with as many steps" in text
    assert "xlift report study --paper study.tex" in text


def test_a_paper_of_one_seed_claims_no_test(tmp_path: Path):
    text = render_markdown(paper(tmp_path), {})
    assert "Every pipeline was trained once" in text
    assert "holm-1979" not in text
    assert "Some pipelines have one seed." in text


def test_references_are_what_is_cited(tmp_path: Path):
    document = paper(tmp_path)
    keys = [entry.key for entry in document.references()]
    assert "efron-1982-jackknife" in keys
    assert "xlift" in keys
    text = render_latex(document, {figure.name: "x.pdf" for figure in document.figures()})
    cited = {key for group in re.findall(r"\\citep\{([^}]*)\}", text) for key in group.split(",")}
    inside = re.search(
        r"\\begin\{filecontents\*\}\[overwrite\]\{\\jobname\.bib\}\n(.*?)\\end\{filecontents\*\}", text, re.S
    )
    assert inside
    assert set(parse(inside[1])) == cited == set(keys)


def test_pretraining_controls_and_sizes_are_in_the_tables(tmp_path: Path):
    text = """\
models:
  - name: mine
    pretrain: {text: [{task: isle-text, language: qta, size: 90}], training: {max_steps: 2}}
intermediate:
  - none
  - {task: isle-qa, size: [50, 100], controls: [steps, shuffled]}
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtu], size: 20}
"""
    markdown = render_markdown(paper(tmp_path, text), {})
    assert "pretrained from random weights" in markdown
    assert "isle-qa in qta with shuffled labels" in markdown
    assert "none; as many more steps on the target as isle-qa has" in markdown
    assert "no control with as many steps" not in markdown


CLAIMS = """\
seeds: [1, 2, 3]
claims:
  source: phang-etal-2020-english
  claims:
    - {name: qa-lift, text: QA lifts <b>NLI</b>., lift: isle-qa}
    - {name: three-seeds, text: There are three seeds., fact: seeds, equals: 3}
    - {name: no-models, text: There are nine models., fact: models, equals: 9}
"""


def test_claims_have_a_sentence_each_and_a_table(tmp_path: Path):
    _, store = finished_study(study_file(tmp_path, STUDY + CLAIMS), tmp_path / "store")
    record = read_record(store, "study")
    report = make_report(record, store)
    document = make_paper(record, store, report)
    text = render_markdown(document, {})
    abstract = text.partition("## Abstract\n\n")[2].partition("\n\n")[0]
    assert re.search(
        r"(Undecided|Refuted|Supported).*: QA lifts &#60;b&#62;NLI&#60;/b&#62; \([+−0-9.]+ percentage points, 95% interval",
        abstract,
    )
    assert "Verified: There are three seeds (3). False: There are nine models (1)." in abstract
    assert (
        "3 claims, listed with their verdicts in the section Claims. They are taken from the literature ([Phang" in text
    )
    assert "before the first run" in text
    assert re.search(r"\| There are nine models\. \(`no-models`\) \| false \|", text)
    page = render_page(report.rows, add_references(report.info, document))
    assert all(f"{{{entry.key}," in page for entry in document.references())
    assert page.partition(">References</h2>")[2].count("<li>") == len(document.references())
    assert "<b>NLI" not in page
    assert re.search(r'<span class="lift down">false</span>', page)
    assert ">Limitations</h2>" in page


@pytest.mark.parametrize(
    ("pipelines", "freedom", "seeds", "pooled", "alone", "few"),
    [(5, 8.0, 3, True, False, False), (3, 2.0, 2, True, False, True), (0, 0.0, 2, False, True, True),
     (0, 0.0, 6, False, True, False)],
)  # fmt: skip
def test_the_statistics_are_those_that_were_used(pipelines, freedom, seeds, pooled, alone, few):
    used = [
        replace(row, pooled_pipelines=pipelines, pooled_freedom=freedom, seeds=seeds, is_unstable=False)
        for row in rows()
    ]
    paragraphs = statistics_paragraphs(used)
    document = Document("T", "B", "", [], [Section("S", paragraphs)], entries=known_entries())
    cited = {entry.key for entry in document.references()}
    assert ("smyth-2004-linear" in cited) == pooled
    assert ("cochran-1964-approximate" in cited) == few
    assert ("uses its own variance" in str(paragraphs)) == alone


def test_limitations_name_confounds(tmp_path: Path):
    _, store = finished_study(study_file(tmp_path), tmp_path / "store")
    record = read_record(store, "study")
    marked = [
        replace(row, same_task=True, baseline_status=RETRIED, borrowed_from="other") if row.lift is not None else row
        for row in make_report(record, store).rows
    ]
    found = " ".join(list_limitations(record, marked))
    assert "trains on the target's own task: isle-nli (after isle-qa)." in found
    assert "Training of the baseline was repeated with other settings, or failed, on isle-nli." in found
    assert "borrowed from other:" in found


@pytest.mark.parametrize(
    ("judgement", "sentence"),
    [
        (Judgement("a", "A lifts.", "lift", "supported", 3.84, 1.7, 6.0, delta=1.0, confidence=0.987),
         "Supported with confidence .987: A lifts (+3.8 percentage points, 95% interval +1.7 to +6.0)."),
        (Judgement("a", "A lifts.", "lift", "refuted", 0.3, 0.1, 0.5, confidence=0.95, negligible=True),
         "Refuted with confidence .95: A lifts (+0.3 percentage points, 95% interval +0.1 to +0.5; an effect too small to matter)."),
        (Judgement("a", "A lifts.", "trend", "undecided", -0.04, -1, 1, needs=Needs(1.0, 12, 1500)),
         "Undecided: A lifts (0.0 percentage points per tenfold size, 95% interval −1.0 to +1.0; needs 12 seeds, 1,500 test examples)."),
        (Judgement("a", "A lifts.", "lift", "not measured", reason="The study has no row A."),
         "Not measured: A lifts (The study has no row A)."),
        (Judgement("a", "Nine tasks", "fact", "verified", 9.0), "Verified: Nine tasks (9)."),
    ],
)  # fmt: skip
def test_sentences_of_verdicts(judgement: Judgement, sentence: str):
    assert abstract_sentences(ClaimsReport(ClaimSet(()), [judgement])) == [sentence]


def test_published_results_stand_beside_the_verdicts(tmp_path: Path):
    _, store = finished_study(study_file(tmp_path, STUDY + CLAIMS), tmp_path / "store")
    record = read_record(store, "study")
    claims = parse_claims(
        {"source": "phang-etal-2020-english", "claims": [{"name": "tasks", "text": "Nine tasks.", "fact": "intermediate-tasks", "equals": 9}]},
        lambda keys: str(keys),
    )  # fmt: skip
    content = claims.to_dict()
    record = replace(record, claims=ClaimsRecord(content, content, "2026-01-02", is_late=True))
    text = render_markdown(make_paper(record, store, make_report(record, store)), {})
    assert re.search(r"\| false \| – \| 1 \| verified: 9<br>\(\[Phang et al\. 2020\]", text)
    assert "The claims are from 2026-01-02, after the study had first run." in text
    assert "Literature: published numbers without a spread" in text


def test_the_citations_of_models_are_known():
    keys = {profile.citation for profile in all_profiles().values() if profile.citation}
    assert len(keys) > 15
    assert keys <= known_entries().keys()


def test_hostile_texts_stay_text_in_markdown():
    text = render_markdown(hostile_document(), {"map": "p-map.svg"})
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in html
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert html.count("<table>") == 1
    assert html.count("<tr>") == 3
    assert html.count("<ul>") == 2  # the list and the references
    assert set(re.findall(r"<(\w+)", html)) <= {
        "h1", "h2", "p", "em", "strong", "code", "pre", "a", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "br", "img",
    }  # fmt: skip


def test_hostile_texts_stay_text_in_latex():
    text = render_latex(hostile_document(), {"map": "p-map.pdf"})
    check_latex(text)
    assert r"\input" not in text
    assert text.count(r"\end{document}") == 1
    assert r"\DeclareUnicodeCharacter{4F60}" in text


def test_wide_tables_become_several():
    columns = [f"language {n}" for n in range(20)]
    table = Table("Many.", ["row", *columns], [["a", *["71.4 ±2.3"] * 20]], 20)
    text = render_latex(Document("T", "", "", [], [Section("S", [table])]), {})
    check_latex(text)
    assert text.count(r"\begin{longtable}") > 2
    assert all(text.count(f"{name} ") + text.count(f"{name}\\") > 0 for name in columns)


def test_a_paper_needs_a_known_ending(tmp_path: Path):
    with pytest.raises(UserError, match=r"no format '\.docx'"):
        check_paper_file(tmp_path / "paper.docx")


def test_figures_stand_beside_the_paper(tmp_path: Path):
    document = paper(tmp_path)
    files = write_paper(document, tmp_path / "out" / "p.md")
    assert [file.name for file in files] == ["p.md", "p-map-1.svg"]
    assert "](p-map-1.svg)" in files[0].read_text(encoding="utf-8")
    assert files[1].read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.slow
def test_latex_compiles(tmp_path: Path):
    if not shutil.which("pdflatex"):
        pytest.skip("there is no pdflatex")
    write_paper(paper(tmp_path), tmp_path / "study.tex")
    (tmp_path / "hostile-map.pdf").write_bytes((tmp_path / "study-map-1.pdf").read_bytes())
    (tmp_path / "hostile.tex").write_text(
        render_latex(hostile_document(), {"map": "hostile-map.pdf"}), encoding="utf-8"
    )
    for stem in ("study", "hostile"):
        for command in (["pdflatex", "-interaction=nonstopmode", "-halt-on-error", stem], ["bibtex", stem]):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
            assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
        assert (tmp_path / f"{stem}.pdf").stat().st_size > 10_000
