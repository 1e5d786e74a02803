"""Which formats and labels a metric can read, and what is said of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.errors import UserError
from xlift.tasks import catalog, formats, metrics
from xlift.tasks.metrics.chunks import UPOS, entity_counts, legacy_counts


def problem(metric: str, format: str, *labels: str) -> str:
    """The message about a metric; '' if it can score the labels."""
    try:
        assert metrics.check(metric, format, labels).name == metric
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("task", catalog.TASKS, ids=lambda task: task.name)
def test_the_metrics_of_every_task_read_its_format_and_labels(task):
    assert not [found for name in task.metrics if (found := problem(name, task.format, *task.labels))]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_is_scored_by_default_with_metrics_that_name_it(name):
    assert set(formats.get(name).default_metrics) <= {metric.name for metric in metrics.of_format(name)}


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda metric: metric.name)
def test_metrics_name_formats_that_exist(metric):
    assert set(metric.formats) <= set(formats.FORMATS)
    assert bool(metric.formats) == (metric.name != "pair-f1")


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("entity-f1", ("O", "B-PER", "I-PER")),
        ("entity-f1", ("O", "B-PER", "I-PER", "E-PER", "S-PER")),
        ("entity-f1", ("B", "I", "O")),  # one type without a name, as in keyphrase data
        ("entity-f1", ("O", "B_PER", "I_PER")),
        ("entity-f1", ("B-PER-PART", "O")),
        ("chunk-f1-legacy", ("O", "B-PER", "I-PER")),
        ("chunk-f1-legacy", ("NOUN", "VERB", "SCONJ")),
        ("chunk-f1-legacy", UPOS),
        ("tag-accuracy", ("ORG", "O", "")),
    ],
)
def test_tags_that_can_be_read(metric, labels):
    assert not problem(metric, "tagging", *labels)


@pytest.mark.parametrize(
    ("metric", "labels", "named"),
    [
        ("entity-f1", ("PER", "LOC", "ORG", "O"), "the tag 'PER' is not O and has none of the prefixes B-, I-, E- and S-"),
        ("entity-f1", ("O", "B-PER", "ORG"), "'ORG'"),
        ("entity-f1", ("O", "PER-B", "PER-I"), "'PER-B'"),
        ("entity-f1", ("O", "B-PER", "L-PER", "U-PER"), "'L-PER'"),  # seqeval joins L-PER with the entity after it
        ("entity-f1", ("NOUN", "VERB"), "'NOUN'"),
        ("entity-f1", ("O", "OTHER"), "'OTHER'"),
        ("entity-f1", ("O", "b-per"), "'b-per'"),
        ("entity-f1", ("O", "B-", "I-PER"), "'B-'"),
        ("chunk-f1-legacy", ("PER", "ORG", "O"), "it is no universal part of speech"),
        ("chunk-f1-legacy", ("NN", "IN", "EX"), "'NN'"),
        ("chunk-f1-legacy", ("B", "I", "O"), "'B'"),
        ("chunk-f1-legacy", ("O", "B-PER-PART", "B-ORG-PART"), "it cannot tell the type of 'B-ORG-PART' from that of 'B-PER-PART'"),
        ("entity-f1", ("B", "I-_", "O"), "it cannot tell the type of 'I-_' from that of 'B'"),
    ],
)  # fmt: skip
def test_tags_that_cannot_be_read_name_the_metric_that_can(metric, labels, named):
    message = problem(metric, "tagging", *labels)
    assert f"'{metric}' cannot read the labels" in message
    assert named in message
    assert "tag-accuracy" in message.split("Metrics of tagging: ")[1]
    assert metric not in message.split("Metrics of tagging: ")[1]


@pytest.mark.parametrize(
    ("labels", "readable"),
    [
        (("different", "paraphrase"), True),
        (("0", "1"), True),
        (("a", "b"), False),  # F1 is 0 whatever the model predicts
        (("duplicate", "paraphrase"), False),
        (("different", "paraphrase", "unclear"), False),
        (("1",), False),
    ],
)
def test_accuracy_f1_needs_one_positive_label_of_two(labels, readable):
    message = problem("accuracy-f1", "classification", *labels)
    assert bool(message) != readable
    assert readable or "needs two labels, one of which is duplicate, paraphrase, equivalent or 1" in message


def test_metrics_of_another_format_and_unknown_ones():
    assert problem("bleu", "classification", "a", "b").startswith("'bleu' cannot score classification\n")
    assert "Metrics of classification: accuracy, macro-f1, macro-precision, macro-recall." in problem(
        "bleu", "classification", "a", "b"
    )
    assert "Metrics of classification: accuracy, accuracy-f1, macro-f1" in problem("map@20", "classification", "0", "1")
    assert "did you mean 'accuracy'? Metrics of" in problem("acuracy", "classification", "a", "b")
    assert "It has no metrics" in problem("accuracy", "text")


TAGS = st.lists(
    st.one_of(
        st.sampled_from(("O", "B", "I", "NOUN", "ORG", "INTJ", "SCONJ", "B-PER", "I-PER", "S-PER", "E-LOC", "B-A-B", "I-B")),
        st.text("BIESOULMPX-_.", min_size=1, max_size=5),
    ),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip


@given(TAGS)
def test_of_tags_that_can_be_read_only_o_is_outside_and_types_differ(tags):
    for metric, counts in (("entity-f1", entity_counts), ("chunk-f1-legacy", legacy_counts)):
        if problem(metric, "tagging", *tags):
            continue
        for tag in tags:
            correct, expected, predicted = counts([tag, tag], [tag, tag])
            assert correct == expected == predicted
            assert (expected == 0) == (tag == "O"), (metric, tag)
            for other in tags:
                same_type = tag[1:] == other[1:] if tag not in UPOS or other not in UPOS else tag == other
                if "O" not in (tag, other):
                    assert bool(counts([tag], [other])[0]) == same_type, (metric, tag, other)
