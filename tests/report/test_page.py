from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from synthetic import info, rows

from xlift.analysis.lift import LiftRow
from xlift.report.charts import shorten_names
from xlift.report.heat_maps import heat_maps, transfer_matrices
from xlift.report.learning_rates import draw_curves
from xlift.report.line_charts import learning_curves
from xlift.report.page import render_page, summarize_lifts
from xlift.report.words import format_time

HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}"
SMALL = {
    "intermediates": ("none", "isle-nli"),
    "targets": ("isle-pairs", "isle-spans"),
    "languages": ("vel", "kar"),
    "n": 60,
}


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_backticks_become_code_and_what_is_in_them_stays_escaped():
    page = render_page(rows(**SMALL), info(limitations=["Run `xlift compare <ROW>`.", "5` wide"]))
    assert "<li>Run <code>xlift compare &lt;ROW&gt;</code>.</li>" in page
    assert "<li>5` wide</li>" in page


def test_lines_of_dev_scores_have_a_legend():
    chart = draw_curves("isle-pairs", [("none", [(50, 0.5), (100, 0.6)]), ("isle-nli vel", [(50, 0.4), (100, 0.7)])])
    assert {"none", "isle-nli vel"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", chart))


def test_times_are_read_easily():
    assert format_time("2026-11-30T20:10:22.5+00:00") == "2026-11-30 20:10 UTC"
    assert format_time("") == ""


def test_hostile_names_are_escaped():
    named = [
        replace(
            row,
            study=HOSTILE,
            model=HOSTILE,
            metric=HOSTILE,
            intermediate="none" if row.intermediate == "none" else HOSTILE,
            target="all" if row.target == "all" else HOSTILE,
            language="all" if row.language == "all" else HOSTILE,
        )
        for row in rows(**SMALL)
    ]
    page = render_page(
        named,
        info(
            study=HOSTILE,
            title=HOSTILE,
            question=HOSTILE,
            method=HOSTILE,
            warnings=[HOSTILE],
            command=HOSTILE,
            made=HOSTILE,
            runs={HOSTILE: HOSTILE},
            languages=[dict.fromkeys(("code", "name", "family", "script", "tier"), HOSTILE)],
        ),
    )
    assert [tag for tag, _ in Tags(page).tags].count("script") == 1  # its own, at the end
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page
    assert "{{ 7*7 }}" in re.findall(r"<h1>(.*?)</h1>", page)[0]


def test_page_loads_no_external_resource():
    page = render_page(rows(**SMALL), info())
    for tag, attributes in Tags(page).tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base", "form"}
        assert tag != "a" or re.fullmatch(r"#[\w-]+", attributes.pop("href") or "")  # contents
        assert not {"src", "href", "xlink:href", "srcset", "data"} & attributes.keys()
        assert not [key for key in attributes if key.startswith("on")]
    assert set(re.findall(r"https?://[^\"'\s)<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert "url(" not in page


def test_the_policy_has_the_digests_of_script_and_style():
    page = render_page(rows(**SMALL), info())
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in page
    assert " style=" not in page  # the policy refuses attributes


def test_a_study_without_a_question_is_named_by_its_title():
    for changed, heading in (({"question": ""}, info().title), ({"question": "", "title": ""}, info().study)):
        page = render_page([], info(**changed))
        assert re.findall("<h1>(.*?)</h1>", page) == [heading]
    assert "Scores and lifts" not in render_page([], info())


def test_names_too_long_for_a_chart_stay_apart():
    long = [replace(each, intermediate=each.intermediate + "m" * 10_000) for each in rows(**SMALL)]
    short = shorten_names(long)
    assert len({each.intermediate for each in short}) == len({each.intermediate for each in long})
    assert max(len(each.intermediate) for each in short) == 60


def test_equal_results_make_equal_pages():
    assert render_page(rows(**SMALL), info()) == render_page(rows(**SMALL), info())


def test_sections_have_content():
    page = render_page(rows(**SMALL), info())
    assert "Which intermediate task helps" in page
    assert "1 h 30 min" in page
    assert "48,120,334" in page
    assert page.count("<details>") == 2
    assert page.count("<figure>") == 3
    assert "Read with care" in page


def test_study_without_baseline_has_a_page():
    scores = [replace(row, lift=None, lift_low=None, lift_high=None) for row in rows(**SMALL)]
    page = render_page(scores, info(warnings=[], runs={}, languages=[]))
    assert "no lifts" in page
    assert "<svg" not in page


def test_page_without_results():
    assert "There are no results yet." in render_page([], info())


def row(**changed) -> LiftRow:
    base = LiftRow("s", "m", "nli", "en", "full", 2, "all", "all", "mean", 0.7, 0.68, 0.72, 0.03, 0.01, 0.05, 500)
    base = replace(base, lift_p=0.004, in_best_set=False)
    return replace(base, **changed)


def language(**changed) -> LiftRow:
    return row(target="xnli", language="sw", metric="accuracy", **changed)


UNSURE = {"intermediate": "qa", "lift": 0.01, "lift_low": -0.02, "lift_high": 0.04, "lift_p": 0.5}


def test_summary_names_the_highest_lift_if_it_differs_from_all_others():
    summary = summarize_lifts([row(in_best_set=True), language(), row(**UNSURE), language(**UNSURE)])
    assert summary == (
        "nli has the highest lift: on average +3.0 percentage points (95% interval +1.0 to +5.0) over 1 target and 1 language. "
        "Of 2 lifts by target and language, 1 gain and 0 losses differ significantly from zero (false discovery rate 5%)."
    )


def test_summary_names_no_winner_among_lifts_that_do_not_differ():
    others = [row(intermediate=name, lift=0.02, in_best_set=True) for name in ("qa", "pos")]
    summary = summarize_lifts([row(in_best_set=True), *others, row(intermediate="mlm", lift=-0.05)])
    assert summary.startswith("The highest mean lift is that of nli: +3.0 percentage points")
    assert "It does not differ significantly from qa and pos." in summary
    assert "has the highest lift" not in summary


def test_summary_names_a_lower_lift_that_differs_from_zero():
    higher = {"intermediate": "qa", "lift": 0.04, "lift_low": -0.01, "lift_high": 0.09, "lift_p": 0.2}
    summary = summarize_lifts([row(), language(), row(**higher), language(**higher)])
    assert summary.startswith("nli raises the average: +3.0 percentage points")
    assert "qa has a higher mean, which does not differ significantly from zero." in summary


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.01, -0.01, 0.03, 0.4), "No intermediate task has a mean lift that differs significantly from zero. The highest is that of nli"),
        ((-0.02, -0.03, -0.01, 0.01), "No intermediate task raises the average. The smallest loss is that of nli"),
    ],
)  # fmt: skip
def test_summary_says_that_no_task_has_a_lift(bounds: tuple[float, float, float, float], words: str):
    changed = dict(zip(("lift", "lift_low", "lift_high", "lift_p"), bounds, strict=True))
    unsure = language(**UNSURE)
    summary = summarize_lifts([row(**changed), unsure, unsure])
    assert summary.startswith(words)
    assert "none differs significantly from zero" in summary


def test_summary_warns_of_a_single_seed():
    once = {"seeds": 1, "lift_p": None, "in_best_set": None}
    summary = summarize_lifts([row(**once), language(**once)])
    assert "only one seed" in summary
    assert "nli" not in summary


def test_summary_without_lifts_gives_the_reason():
    assert "no lifts" in summarize_lifts([row(lift=None, lift_low=None, lift_high=None)])


def test_heat_map_has_every_lift_and_pale_cells_for_lifts_near_zero():
    study = rows(**SMALL)
    svg = heat_maps(study)["isle-pairs"].svg
    lifts = [r for r in study if r.target == "isle-pairs" and r.lift is not None]
    assert svg.count('aria-roledescription="rect mark"') == len(lifts)
    assert svg.count('opacity="0.3"') == sum(r.sign == 0 for r in lifts)
    assert "currentColor" in svg
    assert ' id="' not in svg


def test_heat_maps_are_scaled_per_target():
    study = rows(**SMALL)
    for title, each in heat_maps(study).items():
        lifts = [abs(row.lift) for row in study if row.target == title and row.lift is not None]
        assert each.largest == max(lifts)


def test_tasks_trained_in_several_languages_have_transfer_matrices():
    assert transfer_matrices(rows(**SMALL)) == []
    study = rows(**SMALL, intermediate_languages=("vel", "kar"))
    matrices = transfer_matrices(study)
    assert [each.title for each in matrices] == ["isle-nli → isle-pairs", "isle-nli → isle-spans"]
    header, *lines = html.unescape(re.findall(r'data-csv="([^"]*)"', matrices[0].svg)[0]).splitlines()
    assert header.startswith("trained,language,lift (percentage points)")
    assert [line.split(",")[:2] for line in lines] == [
        [trained, code] for trained in ("vel", "kar") for code in ("all", "vel", "kar")
    ]
    expected = {
        (row.intermediate_language, row.language): row.lift
        for row in study
        if row.target == "isle-pairs" and row.lift is not None
    }
    for line in lines:
        trained, code, lift = line.split(",")[:3]
        assert float(lift) == pytest.approx(100 * expected[trained, code], abs=1e-3)


def test_tasks_of_one_size_each_have_no_learning_curve():
    # one point each, so there is no line to draw
    tasks = [
        row
        for row in rows(**{**SMALL, "intermediates": ("none", "isle-nli", "isle-paraphrase")})
        if row.intermediate != "none"
    ]
    once = [replace(row, size=str(100 * len(row.intermediate))) for row in tasks]
    assert len({row.size for row in once}) > 1
    assert not learning_curves(once)


def test_learning_curves_if_sizes_vary():
    assert not learning_curves(rows(**SMALL))
    several = learning_curves(rows(**SMALL, sizes=("100", "1000"), intermediate_languages=("vel", "kar")))
    assert list(several) == ["mean", "isle-pairs", "isle-spans"]
    assert ' id="' not in several["mean"]
    assert "isle-nli" in several["mean"]


def test_the_summary_is_about_zero_shot_means_of_other_tasks():
    study = [
        *(row(target=target, language=code, lift=lift, same_task=target == "all")
          for target, lift in (("all", 0.09), ("other-tasks", 0.03)) for code in ("all", "zero-shot")),
        language(same_task=True), row(target="pos", language="sw", metric="accuracy"),
    ]  # fmt: skip
    summary = summarize_lifts([replace(each, in_best_set=True) for each in study])
    assert summary == (
        "nli has the highest lift: on average +3.0 percentage points (95% interval +1.0 to +5.0) over 1 target and 1 zero-shot language. "
        "Lifts of a task on itself are not counted: on xnli (after nli)."
    )


def test_the_summary_says_if_there_are_lifts_of_the_same_task_alone():
    summary = summarize_lifts([row(target="xnli", same_task=True), language(same_task=True)])
    assert summary.startswith("Every intermediate stage trains on the task of a target, so there is no average")


@pytest.mark.parametrize(("status", "words"), [("retried", "was retried"), ("collapsed", "ended at chance")])
def test_the_summary_names_the_training_of_baselines(status: str, words: str):
    assert words in summarize_lifts([row(baseline_status=status), language()])
    assert "baseline" not in summarize_lifts([row(), language()])


def test_heat_maps_and_learning_curves_name_rows_of_the_same_task():
    several = rows(**SMALL, sizes=("100", "1000"))
    named = [replace(each, same_task=each.target == "isle-pairs" and each.intermediate != "none") for each in several]
    maps = {name: each.svg for name, each in heat_maps(named).items()}
    for charts in (maps, learning_curves(named)):
        assert "same task" in charts["isle-pairs"]
        assert "same task" not in charts["isle-spans"]
