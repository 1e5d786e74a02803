from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from synthetic import info, rows

from xlift.analysis.lift import LiftRow
from xlift.report.latex import to_latex
from xlift.report.page import render_page
from xlift.report.tables import (
    footer,
    make_language_tables,
    make_overview_tables,
    parse_size,
    to_csv,
    to_json,
    to_markdown,
)
from xlift.report.terminal_tables import TerminalTable

KEYS = (
    "study model intermediate intermediate_language size seeds target language metric value low high lift lift_low "
    "lift_high n training_status train_language control control_of lift_minus_control lift_minus_control_low "
    "lift_minus_control_high lift_p in_best_set is_unstable pooled_pipelines pooled_freedom borrowed_from "
    "same_task baseline_status steps chance majority"
).split()
ROW = LiftRow(
    "s", "m", "nli", "en", "full", 2, "xnli", "all", "accuracy", 0.714, 0.694, 0.734, 0.032, 0.011, 0.053, 500,
    lift_p=0.003, in_best_set=True,
)  # fmt: skip
BASE = replace(
    ROW,
    intermediate="none",
    intermediate_language="",
    size="",
    value=0.682,
    low=0.66,
    high=0.70,
    lift=None,
    lift_low=None,
    lift_high=None,
    lift_p=None,
    in_best_set=False,
)


def printed(table: TerminalTable, width: int, **options) -> str:
    out = io.StringIO()
    Console(file=out, width=width, **options).print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("per_language", [False, True])
def test_no_line_is_longer_than_the_terminal_and_no_number_is_lost(width: int, per_language: bool):
    text = printed(TerminalTable(rows(), per_language), width)
    assert max(map(len, text.splitlines())) <= width
    wanted = [row for row in rows() if (row.target != "all" if per_language else row.language == "all")]
    assert text.count("±") - 1 == sum(1 + (row.lift is not None) for row in wanted)  # one ± is in the legend


@pytest.mark.parametrize("width", [60, 80])
def test_long_names_and_all_parts_of_a_pipeline_fit(width: int):
    varied = rows(
        intermediates=("none", "isle-commonsense"), sizes=("100", "10000"), intermediate_languages=("vel", "kar")
    )
    named = [replace(row, model=model) for row in varied for model in ("xlm-roberta-base", "mmBERT-base")]
    text = printed(TerminalTable(named), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_single_column_has_the_bounds_of_the_interval():
    text = printed(TerminalTable([BASE, ROW]), 60)
    assert "▲ +3.2 [+1.1, +5.3]" in text
    assert "Brackets:" in text  # in the legend


def test_parts_of_a_split_table_have_no_bounds():
    # Three columns, one of them in a second table: the legend mentions ± only.
    targets = ("isle-nli", "isle-pos", "isle-qa")
    split = [replace(row, target=target) for row in (BASE, ROW) for target in targets]
    text = printed(TerminalTable(split), 44)
    assert len([line for line in text.splitlines() if "intermediate" in line]) == 2
    assert text.count("▲+3.2 ±2.1") == 3
    assert "[" not in text


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("per_language", [False, True])
def test_no_heading_name_or_score_is_broken(width: int, per_language: bool):
    varied = rows(intermediates=("none", "isle-nli"), sizes=("100", "10000"), intermediate_languages=("vel", "kar"))
    named = [
        replace(row, model=model, training_status="retried", low=row.value - 0.133, high=row.value + 0.133)
        for row in varied
        for model in ("isles", "isles-decoder")
    ]
    for chosen in (named, [row for row in named if row.intermediate == "none"]):
        wanted = [row for row in chosen if (row.target != "all" if per_language else row.language == "all")]
        text = printed(TerminalTable(chosen, per_language), width)
        words = text.split()
        assert max(map(len, text.splitlines())) <= width
        assert text.count("† ±13.3") == len(wanted)
        assert {"intermediate", "model"} <= set(words)
        # At 60 the four parts of a pipeline and `isle-retrieval` are too wide together by two letters.
        assert "isles-decoder" in words or (width == 60 and chosen is named)
        heads = [line for line in text.splitlines() if "intermediate" in line]
        assert all("model" in line and line.isascii() for line in heads)
        targets = {"isle-pairs", "isle-spans", "isle-choice", "isle-retrieval"}
        assert targets <= set(words) or width == 60


def test_marks_without_colour():
    loss = replace(ROW, intermediate="qa", lift=-0.02, lift_low=-0.03, lift_high=-0.01)
    unsure = replace(ROW, intermediate="tags", lift=0.01, lift_low=-0.01, lift_high=0.03, lift_p=0.3)
    text = printed(TerminalTable([BASE, ROW, loss, unsure]), 80, no_color=True)
    assert "▲ +3.2" in text
    assert "▼ −2.0" in text
    assert "▲ +1.0" not in text


def test_pipeline_columns_only_if_they_vary():
    assert make_overview_tables([BASE, ROW])[-1].keys == ("intermediate",)
    assert make_overview_tables([BASE, ROW, replace(ROW, size="1000")])[-1].keys == ("intermediate", "size")


def test_baseline_comes_first_and_sizes_ascend():
    mixed = [replace(ROW, size=size) for size in ("full", "10k", "500")] + [BASE]
    assert make_overview_tables(mixed)[-1].pipelines == [("none", ""), ("nli", "500"), ("nli", "10k"), ("nli", "full")]


def test_scores_that_cannot_be_told_apart_from_the_highest_are_all_bold():
    text = to_markdown(
        [BASE, ROW, replace(ROW, intermediate="qa", value=0.701), replace(ROW, value=0.6, in_best_set=False)]
    )
    assert text.count("**71.4") == text.count("**70.1") == 1
    assert "**68.2" not in text


def test_no_score_is_bold_with_one_seed():
    once = [replace(row, seeds=1, lift_p=None, in_best_set=None) for row in (BASE, ROW)]
    assert "**" not in to_markdown(once)
    assert "▲" not in to_markdown(once).partition("Percent.")[0]


def test_two_metrics_of_a_target_are_two_columns():
    assert make_overview_tables([ROW, replace(ROW, metric="f1")])[-1].columns == ["xnli accuracy", "xnli f1"]


def test_each_target_has_a_table_with_its_languages():
    tables = make_language_tables(rows())
    assert [score_table.title for score_table in tables] == [
        "isle-pairs",
        "isle-spans",
        "isle-choice",
        "isle-retrieval",
    ]
    assert tables[0].columns[:3] == ["all", "vel", "vem"]


def test_scores_of_retried_and_collapsed_training_are_marked_and_explained():
    shown_rows = [
        BASE,
        replace(ROW, training_status="retried"),
        replace(ROW, intermediate="qa", training_status="collapsed"),
    ]
    for text in (printed(TerminalTable(shown_rows), 100), to_markdown(shown_rows), render_page(shown_rows, info())):
        assert "71.4†" in text
        assert "71.4‡" in text
        assert "68.2†" not in text
        words = " ".join(text.split())  # the terminal breaks lines
        assert "†: a training stage behind this score ended at chance" in words
        assert "‡: a training stage behind this score also ended at chance in its last attempt" in words
    latex = to_latex(shown_rows)
    assert r"71.4$^{\dagger}$ $\pm$2.0" in latex
    assert r"$^{\ddagger}$: a training stage" in latex
    assert latex.isascii()


def test_no_marks_without_training_problems():
    assert not set("†‡") & set(printed(TerminalTable([BASE, ROW]), 100) + to_markdown([BASE, ROW]))


def test_footer_describes_what_intervals_cover():
    language = replace(ROW, language="sw")
    assert "95%, over 2 seeds and 500 test examples" in footer([ROW, language])
    assert "one seed" in footer([replace(language, seeds=1)])
    assert "do not cover" in footer([replace(language, seeds=1)])
    assert "1 to 3 seeds" in footer([replace(language, seeds=1), replace(language, seeds=3)])


@pytest.mark.parametrize("width", [80, 62, 60])
def test_long_names_are_broken_between_words_only(width: int):
    long = [replace(row, study=study, model=model) for row in (BASE, ROW) for study, model in (("shuffled_labels", "m"), ("b", "gemma-3-270m"))]  # fmt: skip
    named = [replace(row, intermediate=row.intermediate + " (shuffled)") for row in long]
    text = printed(TerminalTable(named), width)
    assert "gemma-3-270m" in text
    assert "shuffled_labels" in text
    assert "(shuffled)" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_json_is_a_list_of_rows_with_exactly_the_keys():
    read = json.loads(to_json([ROW, BASE]))
    assert [list(row) for row in read] == [KEYS, KEYS]
    assert LiftRow(**read[0]) == ROW
    assert read[1]["lift"] is None


def test_a_control_may_have_scores_before_its_task():
    control = replace(ROW, intermediate="nli (shuffled)", control="shuffled", control_of="nli")
    for table in [*make_overview_tables([BASE, control]), *make_language_tables([BASE, control])]:
        assert [pipeline[0] for pipeline in table.pipelines] == ["none", "nli (shuffled)"]


def test_a_score_of_sacrebleu_has_its_signature_in_json_and_in_the_footer():
    row = replace(ROW, metric="chrf++")
    read = json.loads(to_json([row, BASE]))
    assert [entry.get("signature", "none").split("|")[0] for entry in read] == ["nrefs:1", "none"]
    assert read[0]["signature"] in footer([row])


def test_csv_holds_raw_values():
    read = list(csv.DictReader(io.StringIO(to_csv([ROW, BASE]))))
    assert list(read[0]) == KEYS
    assert float(read[0]["value"]) == 0.714
    assert read[1]["lift"] == ""


def test_latex_escapes_every_special_character():
    text = to_latex([replace(ROW, intermediate=r"a_b&c%d#e$f{g}~h^i\j")], caption="50% & more", label="tab:x")
    assert r"a\_b\&c\%d\#e\$f\{g\}\textasciitilde{}h\textasciicircum{}i\textbackslash{}j" in text
    assert r"\caption{50\% \& more" in text
    assert r"\label{tab:x}" in text
    assert all(line.count("{") == line.count("}") for line in text.splitlines())
    assert text.isascii()


def test_latex_marks_the_best_and_lifts_that_differ_from_zero():
    text = to_latex([BASE, ROW])
    assert r"\textbf{71.4 $\pm$2.0}" in text
    assert r"+3.2 $\pm$2.1$^{*}$" in text
    assert r"\toprule" in text


def test_markdown_keeps_its_columns_whatever_the_names():
    lines = to_markdown([BASE, replace(ROW, intermediate="a|b<i>")]).splitlines()
    assert r"a\|b\<i\>" in lines[3]
    assert len({line.replace(r"\|", "").count("|") for line in lines[:4]}) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000", 1000),
        ("1,000", 1000),
        ("10k", 10_000),
        ("2.5K", 2500),
        ("1m", 1e6),
        ("full", None),
        ("", None),
        ("0", None),
        ("k", None),
    ],
)
def test_parse_size(text: str, number: float | None):
    assert parse_size(text) == number


# --- confounds --------------------------------------------------------------------------------------------------------

SAME = replace(ROW, same_task=True, in_best_set=False)


def every_table(shown: list[LiftRow]) -> dict[str, str]:
    return {
        "terminal": " ".join(printed(TerminalTable(shown), 100).split()),
        "markdown": to_markdown(shown),
        "page": " ".join(render_page(shown, info()).split()),
        "latex": to_latex(shown),
    }


def test_rows_of_the_same_task_are_marked_and_explained():
    for text in every_table([BASE, SAME]).values():
        assert text.count("same task") >= 2  # in the cell, and below the table
        assert "Conclusions leave such rows out, and they are never bold" in text
    assert json.loads(to_json([SAME]))[0]["same_task"] is True
    for text in every_table([BASE, ROW]).values():
        assert "same task" not in text


def test_a_lift_has_the_mark_of_its_baseline():
    retried = replace(ROW, baseline_status="retried")
    for name, text in every_table([BASE, retried]).items():
        assert (r"+3.2$^{\dagger}$" if name == "latex" else "+3.2†") in text
        assert (r"71.4$^{\dagger}$" if name == "latex" else "71.4†") not in text
        assert "On a lift, the mark is that of its baseline." in text


def test_means_without_the_source_language_have_a_table_of_their_own():
    scored = [replace(row, train_language="en", language=code, value=row.value + add)
              for row in (BASE, ROW) for code, add in (("all", 0.0), ("zero-shot", -0.1), ("sw", -0.1), ("en", 0.1))]  # fmt: skip
    own = [replace(row, target="tatoeba") for row in (BASE, ROW)]
    tables = make_overview_tables([*scored, *own])
    assert [each.title for each in tables] == ["Mean over the zero-shot languages", "Mean over all languages"]
    values = [[round(row.value, 3) for row in table.cells[1] if row] for table in tables]
    assert values == [[0.614, 0.714], [0.714, 0.714]]
    assert [each.columns for each in tables] == [["xnli", "tatoeba"]] * 2
    for text in every_table([*scored, *own]).values():
        assert text.index("Mean over the zero-shot languages") < text.index("Mean over all languages")
    tables = make_language_tables(scored)
    assert tables[0].columns == ["zero-shot", "all", "sw", "en (source)"]


def test_a_target_with_scores_in_the_source_language_alone_has_one_table():
    scored = [replace(row, train_language="en", language=code) for row in (BASE, ROW) for code in ("all", "en")]
    assert len(make_overview_tables(scored)) == 1


def test_the_text_below_tables_gives_unequal_steps():
    text = footer([replace(BASE, steps=26.0), replace(ROW, steps=214.0), replace(ROW, intermediate="qa", steps=214.4)])
    assert "Unequal training steps (mean over the targets): 26 for none; 214 for nli, qa." in text
    assert "Unequal" not in footer([replace(BASE, steps=26.0), replace(ROW, steps=26.0)])


GUESSED = [replace(row, chance=1 / 3, majority=0.4049) for row in (BASE, ROW)]


def test_chance_and_majority_are_lines_below_the_pipelines():
    text = printed(
        TerminalTable([*GUESSED, *(replace(row, target="pos", chance=None, majority=None) for row in GUESSED)]), 100
    )
    chance, majority = (
        line.split() for line in text.splitlines()[-12:] if line.startswith((" (chance)", " (majority)"))
    )
    assert (chance, majority) == (["(chance)", "33.3"], ["(majority)", "40.5"])
    assert "| (chance) | 33.3 |" in to_markdown(GUESSED)
    assert "(majority) & 40.5" in to_latex(GUESSED)
    assert "(majority): always the most frequent answer of the test set" in footer(GUESSED)


def test_chance_and_majority_do_not_widen_a_table_and_are_left_out_where_answers_are_no_choice():
    def head(rows):
        return next(line for line in printed(TerminalTable(rows), 100).splitlines() if "──" in line)

    assert head(GUESSED) == head([BASE, ROW])
    assert "(chance)" not in printed(TerminalTable([BASE, ROW]), 100) + to_markdown([BASE, ROW]) + to_latex([BASE, ROW])


def test_the_name_of_a_guess_stands_in_the_column_of_intermediates():
    rows = [*GUESSED, *(replace(row, model="b") for row in GUESSED)]
    assert "|  | (chance) | 33.3 |" in to_markdown(rows)
