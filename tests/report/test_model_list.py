"""`xlift models`."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from xlift.errors import UserError
from xlift.model_profiles import all_profiles
from xlift.report.model_list import print_list, print_model


def listed(width: int) -> str:
    out = io.StringIO()
    print_list(Console(file=out, width=width), False)
    return out.getvalue()


def shown(name: str, width: int = 80) -> str:
    out = io.StringIO()
    print_model(name, Console(file=out, width=width), False)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_model_is_one_whole_line_at_any_width(width: int):
    lines = listed(width).splitlines()
    assert max(map(len, lines)) <= width
    for name in all_profiles():
        assert len([line for line in lines if line.split()[:1] == [name]]) == 1


def test_a_line_has_weights_download_languages_and_licence():
    (line,) = [line for line in listed(80).splitlines() if line.startswith("meta-llama/Llama-3.2-1B")]
    assert line.split() == ["meta-llama/Llama-3.2-1B", "1.2B", "2.5", "GB", "8", "llama3.2*"]
    assert "* The Hub asks for an agreement" in listed(80)


def test_a_page_names_files_limits_and_their_sources():
    page = shown("mdeberta-v3-base", 200)
    assert "pickled weights (.bin), a SentencePiece model; xlift converts them once" in page
    assert "Its loss becomes NaN in float16." in page
    assert "https://github.com/microsoft/DeBERTa/issues/77\n" in page
    assert "models: [microsoft/mdeberta-v3-base]" in page


@pytest.mark.parametrize("name", all_profiles())
def test_every_page_fits_80_columns_but_for_addresses(name: str):
    page, _, addresses = shown(name).partition("sources")
    assert all(len(line) <= 80 for line in page.splitlines())
    for line in addresses.splitlines()[1:]:
        assert line.split()[1].startswith("https://")


def test_json_leaves_out_what_is_not_known(capsys):
    print_model("swiss-ai/Apertus-8B-2509", Console(), True)
    facts = json.loads(capsys.readouterr().out)
    assert "gated" not in facts
    assert facts["kind"] == "decoder"
    assert facts["computed_parameters"] == pytest.approx(facts["parameters"], rel=0.01)
    print_list(Console(), True)
    assert len(json.loads(capsys.readouterr().out)) == len(all_profiles())


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="no profile of a model 'nope'"):
        print_model("nope", Console(), False)
