"""Evidence files are untrusted: what is wrong is refused with file, line and key."""

from pathlib import Path

import pytest

from xlift.errors import UserError
from xlift.evidence import files
from xlift.evidence.entries import Derived
from xlift.evidence.files import read_evidence, shipped_evidence

ROOT = Path(__file__).parents[2]

NUMBER = """
entries:
  - name: first
    row: squad
    target: xnli
    value: 80.1
    metric: accuracy
    table: 16
    source: hu-etal-2020-xtreme
"""


def write(tmp_path, text: str, name: str = "mine.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_has_its_place_and_waits_for_a_person(tmp_path):
    path = write(tmp_path, NUMBER)
    evidence = read_evidence([path])
    (number,) = evidence.numbers
    assert (number.value, number.table, number.target, number.quantity) == (80.1, "16", ("xnli",), "score")
    assert number.place == f"{path}:3"
    assert not number.accepted
    assert not number.is_accepted
    assert evidence.waiting == (number,)
    assert "XTREME" in evidence.bibliography["hu-etal-2020-xtreme"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("value: 80.1", "value: eighty", "mine.yaml:6: entries.0.value: expected a number, found 'eighty'"),
        ("value: 80.1", "value: '80.1'", "without quotes"),
        ("value: 80.1", "value: .nan", "out of range"),
        ("value: 80.1", "value: 80100", "out of range"),
        ("value: 80.1", "value: yes", "found true"),
        ("value: 80.1", "values: 80.1", "did you mean 'value'?"),
        ("metric: accuracy", "note: x", "'metric' is missing"),
        ("row: squad", "", "neither a number, a fact nor a statement"),
        ("target: xnli", "target: []", "a list of 0 items"),
        ("target: xnli", "target: [xnli, xnli]", "repeated"),
        ("target: xnli", "target: {xnli: 1}", "expected text, found a mapping"),
        ("source: hu-etal-2020-xtreme", "source: hu-2020-xtreme", "did you mean 'hu-etal-2020-xtreme'?"),
        ("table: 16", "accepted: 'true'", "expected true or false"),
        ("table: 16", "status: recalled", "expected 'verified' or 'secondary'"),
        ("table: 16", "quote: '" + "long " * 80 + "'", "at most 300"),
        ("table: 16", "note: !!python/name:os.system x", "not allowed"),
        ("table: 16", 'note: "\\e[2J"', "control character U+001B"),
        ("table: 16", 'note: "a\\u200bb"', "cannot be printed"),
        ("name: first", "name: ../first", "is not a name"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, what):
    assert old in NUMBER
    with pytest.raises(UserError) as error:
        read_evidence([write(tmp_path, NUMBER.replace(old, new))])
    assert what in str(error.value)
    assert "mine.yaml:" in str(error.value)


def test_all_errors_of_a_file_are_named_together(tmp_path):
    text = (
        NUMBER
        + NUMBER.replace("entries:", "").replace("first", "other").replace("80.1", "no")
        + NUMBER.replace("entries:", "")
    )
    with pytest.raises(UserError) as error:
        read_evidence([write(tmp_path, text)])
    assert [each.what for each in error.value.errors] == [
        "expected a number, found false",
        "the name 'first' is repeated",
    ]


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="more than 100 bytes"):
        read_evidence([write(tmp_path, NUMBER)])
    monkeypatch.setattr(files, "MAX_BYTES", 10_000)
    monkeypatch.setattr(files, "MAX_ENTRIES", 0)
    with pytest.raises(UserError, match="1 entries"):
        read_evidence([write(tmp_path, NUMBER)])


@pytest.mark.parametrize("text", ["", "[1]", "entries: {a: 1}", "entries: [1]", "title: [x]\nentries: []"])
def test_other_content_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="mine.yaml"):
        read_evidence([write(tmp_path, text)])


def test_a_bibliography_beside_the_file_adds_sources(tmp_path):
    (tmp_path / "mine.bib").write_text("@misc{mine, title = {A {T}itle}, author = {Doe, Jane}, year = 2021}\n")
    text = "bibliography: mine.bib\n" + NUMBER.replace("hu-etal-2020-xtreme", "mine")
    assert read_evidence([write(tmp_path, text)]).bibliography["mine"].startswith("@misc{mine")
    for other in ("../mine.bib", "/etc/passwd", "mine.txt"):
        with pytest.raises(UserError, match="not the name of a .bib file"):
            read_evidence([write(tmp_path, text.replace("mine.bib", other))])


DERIVED = (
    NUMBER.rstrip()
    + """
    accepted: true
  - name: derived
    quantity: lift
    row: squad
    target: bucc2018
    metric: F1
    source: hu-etal-2020-xtreme
    terms: {first: 2, second: -1}
    divide_by: 4
    accepted: true
  - name: second
    row: none
    target: xnli
    value: 60.2
    metric: accuracy
    source: hu-etal-2020-xtreme
    accepted: true
"""
)


def test_a_derived_number_is_computed_and_counts_with_its_terms(tmp_path):
    derived = next(n for n in read_evidence([write(tmp_path, DERIVED)]).numbers if isinstance(n, Derived))
    assert derived.value == pytest.approx((2 * 80.1 - 60.2) / 4)
    assert derived.is_accepted
    without = DERIVED.replace("    accepted: true\n  - name: derived", "  - name: derived")
    derived = next(n for n in read_evidence([write(tmp_path, without)]).numbers if isinstance(n, Derived))
    assert not derived.is_accepted, "one of its terms is not accepted"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("first: 2", "frist: 2", "did you mean 'first'?"),
        ("first: 2", "derived: 2", "no number 'derived' in this file"),
        ("first: 2", "first: two", "expected a number"),
        ("divide_by: 4", "divide_by: 0", "division by 0"),
        ("{first: 2, second: -1}", "{}", "expected lines of"),
    ],
)
def test_a_wrong_derivation_is_refused(tmp_path, old, new, what):
    with pytest.raises(UserError) as error:
        read_evidence([write(tmp_path, DERIVED.replace(old, new))])
    assert what in str(error.value)


def test_the_example_of_the_page_is_read_and_all_keys_are_documented(tmp_path):
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    for fence in ("```yaml my-evidence.yaml\n", "```bibtex my-sources.bib\n"):
        text = page.partition(fence)[2].partition("```")[0]
        (tmp_path / fence.split()[1]).write_text(text, encoding="utf-8")
    evidence = read_evidence([tmp_path / "my-evidence.yaml"])
    assert [entry.name for entry in evidence.waiting] == ["squad-helps"]
    keys = page[page.index("## The keys of an entry") :]
    assert all(f"`{key}`" in keys for kind in files.KINDS.values() for key in (*files.COMMON, *kind))


def test_the_shipped_entries_are_accepted_and_come_from_named_places():
    evidence = shipped_evidence()
    assert not evidence.waiting
    assert all(entry.table for entry in evidence.entries)
