"""Few-shot examples: their selection and label balance; an example is never in its own prompt."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.errors import UserError
from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.multi_label import MultiLabelExample
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import draw_fewshot_examples, make_prompts

NLI = catalog.get("isle-nli")
FORMAT = formats.get("classification")
TRAIN = list(NLI.source.read(NLI, "qta", "train", None, size=60))


@settings(max_examples=scaled(40), deadline=None)
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=12, max_size=60),
    num_fewshot=st.integers(1, 11),
    seed=st.integers(0, 5),
)
def test_labels_are_balanced_as_far_as_possible(labels, num_fewshot, seed):
    examples = [ClassificationExample(str(i), f"text {i}", None, label) for i, label in enumerate(labels)]
    drawn = draw_fewshot_examples(examples, FORMAT, num_fewshot, task="toy", seed=seed)
    assert len(drawn) == len({example.id for example in drawn}) == num_fewshot + 1
    assert set(drawn) <= set(examples)
    available, used = Counter(labels), Counter(example.label for example in drawn)
    for label in available:  # a label may have more examples than another one only if the other one is used up
        for other in available:
            assert used[label] - used[other] <= 1 or used[other] == available[other]
    assert draw_fewshot_examples(list(examples), FORMAT, num_fewshot, task="toy", seed=seed) == drawn


def test_the_draw_depends_on_seed_and_task():
    drawn = {draw_fewshot_examples(TRAIN, FORMAT, 4, task=task, seed=seed) for task in ("a", "b") for seed in range(3)}
    assert len(drawn) == 6
    assert draw_fewshot_examples(TRAIN, FORMAT, 0, task="a") == ()


def test_questions_with_and_without_an_answer_are_balanced():
    qa = catalog.get("isle-qa-unanswerable")
    examples = list(qa.source.read(qa, "qta", "train", None, size=60))
    drawn = draw_fewshot_examples(examples, formats.get("span-qa"), 5, task="qa")
    assert sum(bool(example.answers) for example in drawn) == 3


def test_all_prompts_have_the_same_fewshot_examples_but_never_the_example_itself():
    template = find_template(NLI, PromptSettings(), "qka")
    fewshot_examples = draw_fewshot_examples(TRAIN, FORMAT, 3, task="isle-nli", seed=1)
    test = list(NLI.source.read(NLI, "qka", "test", None, size=5))
    prompts = list(
        make_prompts([*test, *fewshot_examples], FORMAT, NLI.labels, template, fewshot_examples=fewshot_examples)
    )
    solved = []
    for example in fewshot_examples:
        prompt = FORMAT.prompt(example, NLI.labels, template)
        solved.append(f"{prompt.source} {prompt.answer}\n\n")
    assert [prompt.fewshot_examples for prompt in prompts[:5]] == [tuple(solved[:3])] * 5
    assert prompts[0].source == FORMAT.prompt(test[0], NLI.labels, template).source
    for n in range(3):  # the spare example replaces the example itself
        assert prompts[5 + n].fewshot_examples == tuple(solved[:n] + solved[n + 1 :])
    assert prompts[8].fewshot_examples == tuple(solved[:3])


def test_zero_shot_prompts_have_no_fewshot_examples():
    (prompt,) = make_prompts(TRAIN[:1], FORMAT, NLI.labels, find_template(NLI, PromptSettings(), "qta"))
    assert prompt.fewshot_examples == ()
    assert prompt.max_new_tokens == 64
    (prompt,) = make_prompts(
        TRAIN[:1], FORMAT, NLI.labels, find_template(NLI, PromptSettings(), "qta"), max_new_tokens=9
    )
    assert prompt.max_new_tokens == 9


def test_too_few_examples_are_refused():
    with pytest.raises(UserError, match="only 4 training examples have an answer"):
        draw_fewshot_examples([*TRAIN[:4], ClassificationExample("x", "no label")], FORMAT, 4, task="toy")


def test_numbers_are_drawn_alike_and_sets_of_labels_equally():
    numbers = [RegressionExample(str(n), "a", None, float(n > 2)) for n in range(60)]
    drawn = draw_fewshot_examples(numbers, formats.get("regression"), 9, task="toy")
    assert sum(example.score == 0 for example in drawn) < 4  # 3 of 60 are 0
    sets = [MultiLabelExample(str(n), "a", None, ("x",) if n % 10 else ("x", "y")) for n in range(60)]
    drawn = draw_fewshot_examples(sets, formats.get("multi-label"), 5, task="toy")
    assert sum(example.labels == ("x", "y") for example in drawn) == 3
