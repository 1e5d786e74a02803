from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from tests.support import tiny

from xlift.errors import UserError
from xlift.models.heads import make_head, pool
from xlift.models.outputs import OUTPUTS, HeadSpec
from xlift.tasks import formats
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.features import IGNORE_INDEX
from xlift.tasks.formats.multi_label import MultiLabelExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.training.batches import collate_targets

LABELS = ("a", "b", "c")
STOCK = {
    "sequence": transformers.AutoModelForSequenceClassification,
    "token": transformers.AutoModelForTokenClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "choice": transformers.AutoModelForMultipleChoice,
}
EXAMPLES = {
    "classification": [
        ClassificationExample("0", "the old man", "reads a book", "b"),
        ClassificationExample("1", "Paris", None, "c"),
    ],
    "tagging": [TaggingExample("0", ("the", "old", "man"), ("a", "b", "c")), TaggingExample("1", ("Paris",), ("a",))],
    "span-qa": [
        SpanExample("0", "the old man reads", "who?", ("old man",), (4,)),
        SpanExample("1", "Paris in the north of France", "where?", ("north",), (13,)),
    ],
    "multiple-choice": [
        ChoiceExample("0", "the man reads", "what?", ("a book", "the river"), 0),
        ChoiceExample("1", "the garden", "", ("red", "long", "Paris in France"), 2),
    ],
    "multi-label": [
        MultiLabelExample("0", "the old man", "reads a book", ("b", "c")),
        MultiLabelExample("1", "Paris", None, ()),
    ],
    "regression": [
        RegressionExample("0", "the old man", "reads a book", 0.5),
        RegressionExample("1", "Paris", None, -0.5),
    ],
}


def batch_of(name: str, family: str):
    features = formats.get(name).features(EXAMPLES[name], tiny.tokenizer_of(family), LABELS, max_length=32, train=False)
    inputs = tiny.batch(features.input_ids, features.token_type_ids)
    targets = collate_targets(features, np.arange(len(features)), inputs["input_ids"].shape[1])
    return features, inputs, targets


@pytest.mark.parametrize("family", [*tiny.ENCODERS, *tiny.OTHER_ENCODERS, "qwen3", "mt5", "distilbert"])
@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_format_trains_on_every_family(family, name):
    # distilbert represents the families with default heads only
    if family == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=500, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
        encoder = tiny.Model(transformers.AutoModel.from_config(config)).eval()
    else:
        encoder = tiny.encoder(family)
    format = formats.get(name)
    head = encoder.add_head("task", HeadSpec(format.output_kind, LABELS), seed=1)
    features, inputs, targets = batch_of(name, family)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = head.loss(encoder(inputs, "task"), targets)
        losses.append(loss.total.item() / loss.count.item())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    with torch.no_grad():
        outputs = head.split_rows(head.reduce(encoder(inputs, "task")), inputs["attention_mask"])
    predictions = format.decode(EXAMPLES[name], features, outputs, LABELS)
    gold = [format.gold(example) for example in EXAMPLES[name]]
    if name == "regression":
        assert predictions == pytest.approx(gold, abs=0.2)
    else:
        assert predictions == ([answers[0] for answers in gold] if name == "span-qa" else gold)


@pytest.mark.parametrize("kind", STOCK)
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("xlm-roberta", {}),
        ("bert", {}),
        ("modernbert", {"classifier_pooling": "cls"}),
        ("modernbert", {"classifier_pooling": "mean", "norm_bias": True, "classifier_bias": True}),
        ("deberta-v2", {}),
        ("deberta-v2", {"pooler_hidden_act": "tanh"}),
        ("eurobert", {}),
        ("eurobert", {"classifier_pooling": "mean"}),
        ("eurobert", {"classifier_pooling": "bos"}),
    ],
)
def test_logits_equal_those_of_the_transformers_class(family, options, kind):
    encoder = tiny.encoder(family, **options)
    head = encoder.add_head("task", HeadSpec(kind, LABELS), seed=1)
    for parameter in head.parameters():  # zero biases would hide a missing bias
        torch.nn.init.normal_(parameter, std=0.3)
    config = tiny.config(family, num_labels=head.spec.num_labels, **options)
    if type(config) not in STOCK[kind]._model_mapping:
        assert (family, kind) in (("eurobert", "span"), ("eurobert", "choice"))  # transformers has no such class
        return
    stock = STOCK[kind].from_config(config).eval()
    stock.load_state_dict(encoder.stock_state_dict("task"), strict=True)
    _, inputs, _ = batch_of("classification", family)
    with torch.no_grad():
        ours = encoder(inputs, "task")
        stacked = {key: value.unsqueeze(0) for key, value in inputs.items()} if kind == "choice" else inputs
        theirs = stock(**stacked)
    if kind == "span":
        real = inputs["attention_mask"] == 1  # our heads mask padding
        expected = torch.stack([theirs.start_logits, theirs.end_logits], dim=-1)[real]
        ours = ours[real]
    elif kind == "token":  # rows are packed: padding has zeros
        real = inputs["attention_mask"] == 1
        ours, expected = ours[real], theirs.logits[real]
    else:
        expected = theirs.logits.squeeze(0) if kind == "choice" else theirs.logits
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["sequence", "token", "span", "choice"])
@pytest.mark.parametrize("family", tiny.DECODERS)
def test_logits_of_a_decoder_equal_those_of_the_transformers_class(family, kind):
    model = tiny.encoder(family)
    head = model.add_head("task", HeadSpec(kind, LABELS), seed=1).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if family == "gemma3_text" and kind in ("token", "span"):
        with pytest.raises(UserError, match="no class"):
            model.stock_state_dict("task")
        return
    _, inputs, _ = batch_of("classification", family)
    real, padding = inputs["attention_mask"] == 1, 3
    inputs["input_ids"] = inputs["input_ids"].masked_fill(
        ~real, padding
    )  # the transformers class finds padding by its id
    assert not (inputs["input_ids"][real] == padding).any()
    # a decoder's choice head is a classifier with one label
    config = tiny.config(family, num_labels=head.spec.num_labels, pad_token_id=padding)
    stock = STOCK["sequence" if kind == "choice" else kind].from_config(config).eval()
    stock.load_state_dict(model.stock_state_dict("task"), strict=True)
    with torch.no_grad():
        ours, theirs = model(inputs, "task"), stock(**inputs)
    if kind == "span":
        expected, ours = torch.stack([theirs.start_logits, theirs.end_logits], dim=-1)[real], ours[real]
    elif kind == "token":
        expected, ours = theirs.logits[real], ours[real]
    else:
        expected = theirs.logits.squeeze(-1) if kind == "choice" else theirs.logits
    torch.testing.assert_close(ours, expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("family", tiny.OTHER_ENCODERS)
@pytest.mark.parametrize("kind", ["sequence", "token"])
def test_dropout_is_that_of_the_transformers_class(family, kind):
    rates = {"hidden_dropout_prob": 0.25, "pooler_dropout": 0.5} if family == "deberta-v2" else {}
    config = tiny.config(family, num_labels=3, **rates)
    head = make_head(HeadSpec(kind, LABELS), config, seed=0)
    stock = STOCK[kind].from_config(config)
    of_stock = [
        m.p for name, m in stock.named_modules() if isinstance(m, torch.nn.Dropout) and name.count(".") < 2 and m.p
    ]
    assert sorted(m.p for m in head.modules() if isinstance(m, torch.nn.Dropout) and m.p) == sorted(of_stock)


def test_tags_of_the_mt5_encoder_equal_those_of_the_transformers_class():
    model = tiny.encoder("mt5")
    head = model.add_head("task", HeadSpec("token", LABELS), seed=1).eval()
    torch.nn.init.normal_(head.get_parameter("classifier.bias"))
    stock = STOCK["token"].from_config(tiny.config("mt5", num_labels=3)).eval()
    stock.load_state_dict(model.stock_state_dict("task"), strict=True)
    _, inputs, _ = batch_of("classification", "mt5")
    real = inputs["attention_mask"] == 1
    with torch.no_grad():
        torch.testing.assert_close(model(inputs, "task")[real], stock(**inputs).logits[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("family", "kind"), [("mt5", "sequence"), ("mbart", "sequence"), ("nllb", "token")])
def test_heads_without_a_transformers_class_cannot_be_exported(family, kind):
    # heads of transformers use the decoder's states
    model = tiny.encoder(family)
    model.add_head("task", HeadSpec(kind, LABELS), seed=1)
    with pytest.raises(UserError, match="transformers has no"):
        model.stock_state_dict("task")


class TestRowState:
    hidden = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])

    def of(self, family, kind="sequence", **spec):
        config = tiny.config(family, **({"hidden_size": 2} if family == "qwen3" else {"d_model": 2}))
        head = make_head(HeadSpec(kind, ("a", "b"), **spec), config, seed=0).eval()
        if kind == "sequence":
            linear = head.get_submodule("score" if family == "qwen3" else "classifier")
            torch.nn.init.eye_(linear.get_parameter("weight"))
        with torch.no_grad():
            return head(self.hidden, self.mask)

    def test_decoders_use_the_last_token(self):
        assert self.of("qwen3").tolist() == [[2, 3], [10, 11]]

    def test_encoder_decoder_models_use_the_mean_of_the_encoder(self):
        assert self.of("mt5").tolist() == [[1, 2], [8, 9]]

    @pytest.mark.parametrize(("family", "how"), [("qwen3", "last"), ("mt5", "mean")])
    def test_cls_pooling_of_a_dual_encoder_uses_the_row_state(self, family, how):
        expected = torch.nn.functional.normalize(pool(self.hidden, self.mask, how), dim=-1)
        assert torch.equal(self.of(family, "dual", pooling="cls"), expected)
        assert torch.equal(self.of(family, "dual", pooling=how), expected)


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_tags_of_a_decoder_depend_only_on_earlier_tokens(family):
    model = tiny.encoder(family)
    model.add_head("task", HeadSpec("token", LABELS), seed=1).eval()
    inputs = tiny.batch([[7, 8, 9, 10, 11]])
    other = {**inputs, "input_ids": torch.tensor([[7, 8, 9, 20, 11]])}
    with torch.no_grad():
        one, two = model(inputs, "task")[0], model(other, "task")[0]
    assert torch.equal(one[:3], two[:3])
    assert not torch.isclose(one[3:], two[3:]).all(dim=1).any()


@pytest.mark.parametrize("family", tiny.DECODERS + tiny.SEQ2SEQ)
def test_masked_language_modelling_needs_an_encoder(family):
    with pytest.raises(UserError, match="masked language modelling needs an encoder"):
        make_head(HeadSpec("lm"), tiny.config(family), seed=0)


@pytest.mark.parametrize("name", list(EXAMPLES))
@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_loss_of_a_batch_is_the_sum_over_its_units(name, family):
    # so a step may be split into micro-batches and padded in any way
    encoder = tiny.encoder(family)
    head = encoder.add_head("task", HeadSpec(formats.get(name).output_kind, LABELS), seed=1).eval()
    features, inputs, targets = batch_of(name, family)
    with torch.no_grad():
        whole = head.loss(encoder(inputs, "task"), targets)
        parts = []
        for unit in range(features.unit[-1] + 1):
            rows = torch.tensor(np.flatnonzero(features.unit == unit))
            width = int(inputs["attention_mask"][rows].sum(1).max())
            part = {key: value[rows, :width] for key, value in inputs.items()}
            cut = head.spec.output.per_token  # else columns are labels
            goal = {
                key: value[rows, :width] if cut and value.dim() == 2 else value[rows] for key, value in targets.items()
            }
            parts.append(head.loss(encoder(part, "task"), goal))
    assert sum(int(part.count) for part in parts) == int(whole.count)
    torch.testing.assert_close(sum(part.total for part in parts), whole.total, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "problem_type"), [("regression", "regression"), ("multi-label", "multi_label_classification")]
)
def test_loss_and_logits_equal_those_of_the_transformers_class_of_the_problem_type(name, problem_type):
    encoder = tiny.encoder("xlm-roberta")
    head = encoder.add_head(
        "task", HeadSpec(formats.get(name).output_kind, LABELS if name == "multi-label" else ()), seed=1
    ).eval()
    config = tiny.config("xlm-roberta", num_labels=head.spec.num_labels, problem_type=problem_type)
    stock = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    stock.load_state_dict(encoder.stock_state_dict("task"), strict=True)
    _, inputs, targets = batch_of(name, "xlm-roberta")
    goal = targets["score"] if name == "regression" else targets["labels"]
    with torch.no_grad():
        ours = encoder(inputs, "task")
        theirs = stock(**inputs, labels=goal)
        loss = head.loss(ours, targets)
    torch.testing.assert_close(ours.reshape(theirs.logits.shape), theirs.logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(loss.total / loss.count, theirs.loss)
    assert head.spec.output.count(targets) == int(loss.count)


@pytest.mark.parametrize("name", ["regression", "multi-label"])
def test_rows_without_gold_have_no_loss(name):
    target, shape = ("score", (2,)) if name == "regression" else ("labels", (2, 3))
    goal = torch.ones(shape)
    goal[1] = torch.nan
    logits = torch.zeros(shape, requires_grad=True)
    output = OUTPUTS[formats.get(name).output_kind]
    loss = output.loss(logits, {target: goal})
    loss.total.backward()
    assert int(loss.count) == output.count({target: goal}) == goal[0].numel()
    assert logits.grad[0].abs().min() > 0
    assert not logits.grad[1].any()


def test_span_loss_is_the_mean_of_start_and_end():
    head = make_head(HeadSpec("span"), tiny.config("bert"), seed=0)
    logits = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    start, end = torch.tensor([0, 2, IGNORE_INDEX]), torch.tensor([1, 4, IGNORE_INDEX])
    loss = head.loss(logits, {"start": start, "end": end})
    expected = sum(torch.nn.functional.cross_entropy(logits[:2, :, i], t[:2]) for i, t in ((0, start), (1, end))) / 2
    assert int(loss.count) == 2
    torch.testing.assert_close(loss.total / loss.count, expected)


def test_choice_loss_is_a_softmax_over_each_question():
    head = make_head(HeadSpec("choice"), tiny.config("bert"), seed=0)
    logits = torch.tensor([1.0, 2.0, 0.5, -1.0, 0.0, 3.0, 3.0], requires_grad=True)
    targets = {
        "unit": torch.tensor([7, 7, 3, 3, 3, 9, 9]),  # any ids; units of two, three and two choices
        "correct": torch.tensor([0, 1, 0, 0, 1, IGNORE_INDEX, IGNORE_INDEX]),
    }
    loss = head.loss(logits, targets)
    expected = -torch.log_softmax(logits[:2], 0)[1] - torch.log_softmax(logits[2:5], 0)[2]
    assert int(loss.count) == 2
    torch.testing.assert_close(loss.total, expected)
    loss.total.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[5:].any()


def test_batch_without_labels_has_no_loss():
    head = make_head(HeadSpec("sequence", LABELS), tiny.config("bert"), seed=0)
    loss = head.loss(torch.randn(2, 3), {"label": torch.tensor([IGNORE_INDEX, IGNORE_INDEX])})
    assert (float(loss.total), int(loss.count)) == (0.0, 0)


def test_reduced_rows_have_no_padding():
    head = make_head(HeadSpec("token", LABELS), tiny.config("bert"), seed=0)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    rows = head.split_rows(head.reduce(torch.eye(3).expand(2, 3, 3)), mask)
    assert [row.tolist() for row in rows] == [[0, 1, 2], [0]]


def test_sequence_is_reduced_to_its_first_best_class():
    head = make_head(HeadSpec("sequence", LABELS), tiny.config("bert"), seed=0)
    scores = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 1.0], [1.0, 4.0, 4.0]])
    assert head.split_rows(head.reduce(scores), torch.ones(3, 1)) == [2, 0, 1]


def test_unknown_kind_of_head_is_an_error():
    with pytest.raises(ValueError, match="unknown kind of head 'pooled'"):
        HeadSpec("pooled")
