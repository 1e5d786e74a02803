"""Gold answers of real data, written as text and parsed again with every template of a task.

The files are in ../shared/data beside the repository and are for tests only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts import find_template, template_versions

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]

READ = [
    *(("xquad", code) for code in ("en", "de", "es", "zh", "ar", "th")),
    *(("udpos-pud", code) for code in ("en", "de", "fr", "hi")),
    *(("masakhaner2", code) for code in ("sw", "ha")),
    *(("xcopa", code) for code in ("et", "ht", "it", "sw", "ta")),
    ("americasnli", "ay"), ("sib200", "th"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "language"), READ)
def test_every_gold_answer_is_recovered(name, language):
    task = catalog.get(name)
    format = formats.get(task.format)
    examples = list(task.source.read(task, language, "test", DATA))
    for version in template_versions(task):
        template = find_template(task, PromptSettings(template=version), language)
        for example in examples:
            answer = format.prompt(example, task.labels, template).answer
            gold = format.gold(example)
            right = gold[0] if name == "xquad" else gold  # the first answer is written
            assert format.parse(answer, example, task.labels, template) == right


@pytest.mark.parametrize("language", ["sw", "ha"])
def test_mt5s_scheme_recovers_nearly_all_entities(language):
    # Not all: a name may occur earlier outside an entity, or the annotation has an I- tag after another type.
    task, format = catalog.get("masakhaner2"), formats.get("tagging")
    template = Template("x", "en", "tag: {words}", scheme="spans")
    examples = list(task.source.read(task, language, "test", DATA))
    answers = [format.prompt(example, task.labels, template).answer for example in examples]
    read = [format.parse(a, e, task.labels, template) for a, e in zip(answers, examples, strict=True)]
    same = sum(tags == format.gold(example) for tags, example in zip(read, examples, strict=True))
    assert same >= len(examples) - 1
