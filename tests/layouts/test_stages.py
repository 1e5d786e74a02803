"""Each published layout, served by the stand-in of the Hub, goes through every stage that its model supports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.support.command import Xlift
from tests.support.hub import Hub
from tests.support.published import LAYOUTS, Layout

from xlift.backbones import family_in, find
from xlift.conversion.probe import probe_texts
from xlift.model_files.tokenizer import read_tokenizer
from xlift.models.pretrained import load_pretrained
from xlift.models.tokenizer_loading import load_tokenizer
from xlift.tasks import formats
from xlift.tasks.formats.features import Direction, Prompt
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.prompts.tokenization import text_features

sentencepiece = pytest.importorskip("sentencepiece")

TRAINING = {"lr": 0.001, "batch_size": 4, "max_steps": 1, "max_length": 160, "retries": 0}
ISLE = {"train": {"size": 4}, "languages": ["qtu"], "size": 3}
FORMATS = ("isle-nli", "isle-pos", "isle-qa", "isle-commonsense")
"""Classification, tagging, span QA, multiple choice."""
PAIRS = [("mbwa analala", "the dog rests"), ("mama anarudi", "the man is back")]
TRANSLATION = {
    "name": "pairs", "format": "translation", "files": {"train": {"sw": "train.sw.tsv"}, "test": {"sw": "test.sw.tsv"}},
    "direction": ["{lang}", "en"],
}  # fmt: skip
REFUSED_EXPORTS: dict[str, dict[str, str]] = {
    # model -> format -> why a head cannot be exported
    "EuroBERT/EuroBERT-210m": {"isle-qa": "transformers has no", "isle-commonsense": "transformers has no"},
    "google/embeddinggemma-300m": dict.fromkeys(FORMATS[1:], "transformers has no"),
    "google/gemma-3-270m": dict.fromkeys(("isle-pos", "isle-qa"), "transformers has no"),
    "swiss-ai/Apertus-8B-2509": dict.fromkeys(("isle-nli", "isle-qa", "isle-commonsense"), "transformers has no"),
    "CohereLabs/tiny-aya-base": dict.fromkeys(FORMATS, "transformers has no"),
    "CohereLabs/aya-expanse-8b": dict.fromkeys(FORMATS, "transformers has no"),
    **dict.fromkeys(
        ("google/mt5-small", "google/mt5-xxl", "google/umt5-small", "google/byt5-small", "google/madlad400-3b-mt"),
        dict.fromkeys(("isle-nli", "isle-qa", "isle-commonsense"), "transformers has no"),
    ),
    **dict.fromkeys(
        ("facebook/nllb-200-distilled-600M", "facebook/mbart-large-50-many-to-many-mmt"),
        dict.fromkeys(FORMATS, "transformers has no"),
    ),
}  # fmt: skip
REFUSED_HEADS = {"google/byt5-small": (("isle-pos", "isle-qa"), "are bytes: a head would label bytes, not words")}
NO_MASKING = {"EuroBERT/EuroBERT-210m": "does not predict tokens with its input embeddings"}
REFUSED = {"google/gemma-3-4b-pt": "a model of type 'gemma3' is a model of images and text"}
"""Models that are refused at the door."""
ROWS = [name for name in LAYOUTS if name not in REFUSED]


class Published:
    """A layout on the stand-in of the Hub."""

    def __init__(self, layout: Layout, tensors: dict[str, torch.Tensor], folder: Path) -> None:
        self.layout, self.tensors, self.folder = layout, tensors, folder
        self.backbone = find(layout.name)


class Row:
    """The folder of a layout, and the folders of its download and its conversion, which all tests of the row share."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.layout, self.folder = layout, folder
        self.tensors = layout.write(folder / "published")


@pytest.fixture(scope="module")
def row(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Row:
    return Row(LAYOUTS[request.param], tmp_path_factory.mktemp("row"))


@pytest.fixture
def published(row: Row, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    monkeypatch.setenv("XLIFT_CACHE", str(row.folder / "cache"))
    with Hub() as hub:
        hub.commit("model", row.layout.name, row.layout.contents(row.folder / "published"))
        hub.connect(monkeypatch, row.folder / "hub")
        yield Published(row.layout, row.tensors, row.folder / "published")


def all_rows(*names: str) -> pytest.MarkDecorator:
    """A layout for each row of the tables, slow but for the named ones."""
    rows = [
        pytest.param(name, marks=() if name in names else pytest.mark.slow, id=name.partition("/")[2]) for name in ROWS
    ]
    return pytest.mark.parametrize("row", rows, indirect=True)


def write_study(name: str, model: str, mode: str, intermediate: list[Any], targets: list[Any], **more: Any) -> None:
    study = {
        "models": [{"model": model, "mode": mode}],
        "training": TRAINING,
        "intermediate": intermediate,
        "targets": targets,
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(study | more), encoding="utf-8")


def run(xlift: Xlift, name: str) -> None:
    done = xlift("run", f"{name}.yaml", "--workers", 0, "--quiet")
    assert done.code == 0, done.err
    rows = xlift("report", f"{name}.yaml", "--json")
    assert rows.code == 0, rows.err
    assert len(json.loads(rows.out)) >= 1


def export(xlift: Xlift, study: str, task: str, expected: str) -> None:
    """Export, which loads the written model and compares its outputs; or see why not."""
    done = xlift("export", study, f"{study}-{task}", "--target", task, "--intermediate", study)
    if expected:
        assert done.code == 2
        assert expected in done.err
        assert not Path(f"{study}-{task}").exists()
    else:
        assert done.code == 0, done.err


def write_translations() -> None:
    rows = "source\ttranslation\n" + "".join(f"{source}\t{translation}\n" for source, translation in PAIRS)
    for split in ("train", "test"):
        Path(f"{split}.sw.tsv").write_text(rows, encoding="utf-8")


@all_rows("FacebookAI/xlm-roberta-base", "Qwen/Qwen3-0.6B-Base")
def test_weights_and_tokens_are_the_published_ones(published: Published):
    layout = published.layout
    model, tokenizer, _ = load_pretrained(published.backbone.folder)
    assert (published.backbone.conversion is not None) == layout.needs_conversion
    state, prefix, compared = model.state_dict(), model.base_model_prefix, 0
    for name, tensor in published.tensors.items():
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        found = next(
            (each for each in (name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}") if each in state), None
        )
        if found is not None:
            compared += 1
            assert torch.equal(state[found], tensor.float()), name
    assert compared >= 0.9 * len(state)
    if (published.folder / "tokenizer.json").is_file():
        own = read_tokenizer(published.folder)
        for text in probe_texts():
            assert (
                tokenizer(text, add_special_tokens=False)["input_ids"] == own.encode(text, add_special_tokens=False).ids
            )
        return
    models = sorted(published.folder.glob("*.model"))
    if not models:
        assert tokenizer("ß", add_special_tokens=False)["input_ids"] == [0xC3 + 3, 0x9F + 3]  # ByT5
        return
    processor = sentencepiece.SentencePieceProcessor(model_file=str(models[0]))
    for text in probe_texts():
        pieces = [
            tokenizer.unk_token if n == processor.unk_id() else processor.id_to_piece(n) for n in processor.encode(text)
        ]
        assert tokenizer(text, add_special_tokens=False).tokens() == pieces, text


@all_rows("FacebookAI/xlm-roberta-base")
def test_heads(published: Published, xlift: Xlift):
    """All kinds of heads, vectors, and their exports. What a model has no heads for is refused in the plan."""
    name = published.layout.name
    refused, why = REFUSED_HEADS.get(name, ((), ""))
    for task in refused:
        write_study("refused", name, "head", ["none"], [{"task": task, **ISLE}])
        done = xlift("plan", "refused.yaml", columns=300)
        assert done.code == 2
        assert why in done.err
    tasks = [task for task in FORMATS if task not in refused]
    retrieval = {"task": "isle-retrieval", "languages": ["qtu"], "size": 6}
    write_study("none", name, "head", ["none"], [*({"task": task, **ISLE} for task in tasks), retrieval])
    run(xlift, "none")
    for task in tasks:
        export(xlift, "none", task, REFUSED_EXPORTS.get(name, {}).get(task, ""))


@all_rows()
def test_masked_text_and_lora_before_a_target(published: Published, xlift: Xlift):
    """Encoders learn from text; a stage with LoRA follows; then a target with all weights."""
    name, family = published.layout.name, published.backbone.family
    text = {"task": "isle-text", "size": 4}
    lora = {"mixture": [{"task": "isle-commonsense", "size": 4}], "training": {"lora": {"rank": 2}}}
    stages = [*([{"mixture": [text]}] if family == "encoder" and name not in NO_MASKING else []), lora]
    write_study("both", name, "head", [{"name": "both", "stages": stages}], [{"task": "isle-nli", **ISLE}])
    run(xlift, "both")
    if name in NO_MASKING:
        write_study("masked", name, "head", [{"name": "text", **text}], [{"task": "isle-nli", **ISLE}])
        done = xlift("plan", "masked.yaml")
        assert done.code == 2
        assert NO_MASKING[name] in done.err


@all_rows()
def test_text_mode(published: Published, xlift: Xlift):
    """All tasks as text, prompting, translation from a real language, LoRA; encoders refuse it in the plan."""
    name, family = published.layout.name, published.backbone.family
    write_translations()
    isle = [{"task": task, **ISLE} for task in FORMATS]
    others = [
        {"task": "isle-nli", "name": "prompted", "train": False, "languages": ["qtu"], "size": 3},
        {"task": "pairs", "train": {"size": 2}}, {"task": "isle-retrieval", "languages": ["qtu"], "size": 6},
    ]  # fmt: skip
    write_study("none", name, "text", ["none"], isle + others, tasks=[TRANSLATION])
    if family == "encoder":
        done = xlift("plan", "none.yaml")
        assert done.code == 2
        assert "is an encoder, which generates no text" in done.err
        return
    run(xlift, "none")
    for task in ("isle-nli", "pairs"):
        export(xlift, "none", task, "")
    done = xlift(
        "predict",
        "none-pairs",
        "test.sw.tsv",
        "--out",
        "said.tsv",
        "--source-language",
        "sw",
        "--target-language",
        "en",
    )
    assert done.code == 0, done.err
    assert len(Path("said.tsv").read_text(encoding="utf-8").splitlines()) == len(PAIRS) + 1
    lora = {"name": "lora", "task": "isle-qa", "size": 4, "training": {"lora": {"rank": 2}}}
    write_study("lora", name, "text", [lora], [{"task": "isle-nli", **ISLE}])
    run(xlift, "lora")


@pytest.mark.parametrize(
    ("name", "token"),
    [pytest.param("facebook/nllb-200-distilled-600M", "ace_Arab", marks=pytest.mark.slow), ("google/madlad400-3b-mt", "<2de>")],
)  # fmt: skip
def test_a_language_without_a_token_is_refused_in_the_plan(
    name: str, token: str, tmp_path: Path, xlift: Xlift, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    LAYOUTS[name].write(tmp_path / "published")
    write_translations()
    write_study("known", "published", "text", ["none"], [{"task": "pairs", "train": {"size": 2}}], tasks=[TRANSLATION])
    assert xlift("plan", "known.yaml").code == 0
    unknown = TRANSLATION | {"direction": ["{lang}", "xh"]}
    write_study("unknown", "published", "text", ["none"], [{"task": "pairs", "train": {"size": 2}}], tasks=[unknown])
    done = xlift("plan", "unknown.yaml", columns=300)
    assert done.code == 2
    assert "pairs needs the language 'xh', and the tokenizer of published has no token for it" in done.err
    assert token in done.err


def test_the_target_language_reaches_the_model(tmp_path: Path):
    """NLLB's and mBART's answers begin with its token; MADLAD's sources do, and keep it when they are truncated."""
    prompt = Prompt("Translate: mbwa analala", "x", direction=Direction("mbwa analala", "sw", "de"))
    for name in ("facebook/nllb-200-distilled-600M", "google/madlad400-3b-mt"):
        LAYOUTS[name].write(tmp_path / name)
        tokenizer = load_tokenizer(tmp_path / name)
        features = text_features([prompt], tokenizer, "seq2seq", max_length=64, train=False)
        tokens = tokenizer.convert_ids_to_tokens(features.input_ids[0].tolist())
        text = tokenizer("mbwa analala", add_special_tokens=False).tokens()
        if "nllb" in name:
            assert tokens == ["swh_Latn", *text, "</s>"]
            assert features.extra["begin"].tolist() == [tokenizer.convert_tokens_to_ids("deu_Latn")]
        else:
            assert tokens == ["<2de>", *text, "</s>"]
            (short,) = text_features(
                [prompt], tokenizer, "seq2seq", max_length=4, train=False
            ).input_ids.values.reshape(1, -1)
            assert tokenizer.convert_ids_to_tokens(short.tolist()) == ["<2de>", *text[-2:], "</s>"]


@pytest.mark.parametrize("name", ["jhu-clsp/mmBERT-base", "answerdotai/ModernBERT-base", "EuroBERT/EuroBERT-210m"])
def test_words_that_are_tagged_have_the_tokens_of_running_text(name: str, tmp_path: Path):
    """Words after a space have other tokens than words alone."""
    LAYOUTS[name].write(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    words = ("the", "quick", "brown", "fox", "नमस्ते", "दुनिया")
    example = TaggingExample("1", words, ("X",) * len(words))
    features = formats.get("tagging").features([example], tokenizer, ["X"], max_length=64, train=True)
    assert features.input_ids[0].tolist() == tokenizer(" ".join(words))["input_ids"]
    assert features.input_ids[0].tolist() != tokenizer("".join(words))["input_ids"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_at_the_door(name: str, tmp_path: Path, xlift: Xlift):
    LAYOUTS[name].write(tmp_path / "published")
    write_study("refused", "published", "head", ["none"], [{"task": "isle-nli", **ISLE}])
    done = xlift("plan", "refused.yaml")
    assert done.code == 2
    assert REFUSED[name] in done.err


def test_the_expectations_name_rows():
    assert {*REFUSED_EXPORTS, *REFUSED_HEADS, *NO_MASKING, *REFUSED} <= LAYOUTS.keys()


@pytest.mark.parametrize(
    ("name", "family"), [("google/embeddinggemma-300m", "encoder"), ("jhu-clsp/mmBERT-base", "encoder")]
)
def test_families(name: str, family: str, tmp_path: Path):
    LAYOUTS[name].write(tmp_path)
    assert family_in(tmp_path) == family
