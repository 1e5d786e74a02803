from __future__ import annotations

import pytest

from xlift.bibtex import dump, long_citation, parse, plain_text, short_citation

TEXT = r"""
A comment between entries.
@inproceedings{hu-etal-2020-ocnli,
  title = {{OCNLI}: {O}riginal {C}hinese},
  author = "Hu, Hai and K{\"u}bler, Sandra and Moss, Lawrence S.",
  booktitle = {Findings},
  year = 2020, pages = {1--9},
}
@misc{team, author = {{NLLB Team} and Ana Costa}, title = {No Language}, year = {2022}, url = {https://x.org/a_b?c=1%20}}
"""


def test_entries_have_plain_values():
    entries = parse(TEXT)
    assert list(entries) == ["hu-etal-2020-ocnli", "team"]
    first = entries["hu-etal-2020-ocnli"]
    assert first.text("title") == "OCNLI: Original Chinese"
    assert short_citation(first) == "Hu et al. 2020"
    assert long_citation(first) == "Hu, Kübler and Moss (2020). OCNLI: Original Chinese. Findings, 1–9."
    assert short_citation(entries["team"]) == "NLLB Team and Costa 2022"


@pytest.mark.parametrize(
    ("latex", "plain"),
    [(r"O{\u{g}}uz", "Oğuz"), (r"Glava{\v{s}}", "Glavaš"), (r"{\c C}elebi", "Çelebi"), (r"Guzm{\'a}n", "Guzmán"),
     (r"Stra{\ss}e", "Straße"), (r"\'{\i}", "í"), (r"A \& B", "A & B"), ("a~b--c", "a b–c"), (r"\emph{x}", "x")],
)  # fmt: skip
def test_plain_text(latex: str, plain: str):
    assert plain_text(latex) == plain


@pytest.mark.parametrize(
    "text",
    ["@misc{a, title = {x}", "@misc{a b, title={x}}", "@misc{a,title={x}}@misc{a,}", "@misc{a, title = {x} y z}"],
)
def test_malformed_entries_are_refused(text: str):
    with pytest.raises(ValueError, match="brace|no key|twice|cannot read"):
        parse(text)


def test_dumped_entries_run_no_commands():
    hostile = parse(
        r"@misc{a, title = {K{\"u}hl \input{/etc/passwd} \write18{ls} 5% of a_b \\{ x}, url = {https://x.org/}}\input}}}"
    )
    text = dump(hostile.values())
    assert "\\input" not in text
    assert "\\write" not in text
    assert parse(text)["a"].fields["url"] == "https://x.org/"


def test_dump_and_parse_are_inverse():
    entries = parse(TEXT)
    assert parse(dump(entries.values())).keys() == entries.keys()
    assert parse(dump(entries.values()))["hu-etal-2020-ocnli"].fields == entries["hu-etal-2020-ocnli"].fields
