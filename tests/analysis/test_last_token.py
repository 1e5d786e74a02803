"""benchmarks/last_token.py: states of a tiny decoder, numbers of made-up states, tables and figures from numbers alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import last_token
from benchmarks.last_token import (
    Sentences,
    analyse,
    compare_means,
    compute_vectors,
    count_by_token,
    find_sources,
    kind_of,
)
from benchmarks.last_token_figures import draw, show
from tests.support import tiny


@pytest.mark.parametrize(
    ("token", "kind"), [(".", "'.'"), ("।", "'।'"), ("。", "'。'"), ("”", "other punctuation"), ("park", "a word"), ("கு", "a word")]
)  # fmt: skip
def test_kinds_of_last_tokens(token: str, kind: str):
    assert kind_of(token) == kind


def test_right_answers_are_counted_by_last_token():
    counts = count_by_token([".", "a", ".", "。"], np.array([True, False, False, True]))
    assert counts == {"'.'": [1, 2], "a word": [0, 1], "'。'": [1, 1]}


def test_distance_is_in_multiples_of_the_spread_of_a_language():
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(4000, 3))
    found = compare_means(rows + [0, 6 * 3**0.5, 10], rows + [0, 0, 10])
    assert found["distance"] == pytest.approx(6, abs=0.1)  # the spread is the square root of 3
    assert found["cosine"] == pytest.approx(10 / (10**2 + 36 * 3) ** 0.5, abs=0.01)
    assert compare_means(rows, rows)["distance"] == 0


def test_states_are_those_of_plain_transformers():
    model, tokenizer = tiny.encoder("gemma3_text").eval(), tiny.tokenizer_of("gemma3_text")
    rows = [tokenizer(text)["input_ids"] for text in ("the old man reads a long book", "Paris", "in the garden")]
    vectors = compute_vectors(model, tokenizer, rows, [0, 1, 2])
    (stop,) = tokenizer(".", add_special_tokens=False)["input_ids"]
    for at, row in enumerate(rows):
        with torch.no_grad():
            ids = torch.tensor([[*row, stop, tokenizer.eos_token_id]])
            states = model.trunk(input_ids=ids, output_hidden_states=True).hidden_states
            alone = model.trunk(input_ids=ids[:, :-2], output_hidden_states=True).hidden_states
        for layer in range(3):
            own = {name: vectors[name][layer, at] for name in last_token.STATES}
            expected = {"last": alone[layer][0, -1], "mean": alone[layer][0].mean(dim=0), "stop": states[layer][0, -2], "end": states[layer][0, -1]}  # fmt: skip
            for name, state in expected.items():
                np.testing.assert_allclose(own[name], state, atol=1e-5, err_msg=name)


def test_models_of_a_store_are_named_by_their_stages(tmp_path: Path):
    def trained(key: str, task: str, start: dict[str, str], seed: int = 1, lr: float = 0.001, **data: str) -> None:
        folder = tmp_path / "artifacts" / key[:2] / key
        (folder / "model").mkdir(parents=True)
        part = {"task": task, "language": "zh", "split": "train", "size": 640, "fingerprint": "f", **data}
        spec = {"model": start, "mixture": [part], "recipe": {"lr": lr}, "seed": seed}
        (folder / "manifest.json").write_text(json.dumps({"key": key, "kind": "train", "spec": spec}), encoding="utf-8")

    pretrained = {"fingerprint": "p"}
    trained("a1", "ocnli", pretrained)
    trained("b1", "ocnli", pretrained, labels="shuffled")
    trained("c1", "ocnli", pretrained, seed=2)
    for key, lr in (("d1", 0.001), ("d2", 0.002)):
        trained(key, "sib200", {"job": "b1"}, lr=lr)
    trained("e1", "sib200", {"job": "gone"})
    trained("f1", "sib200", {"job": "a1"})
    (tmp_path / "artifacts/f1/f1/model").rmdir()  # the weights have left the store
    names = ["pretrained", "ocnli/zh/640", "ocnli/zh/640 with shuffled labels"]
    assert [each.name for each in find_sources(tmp_path, "", 1, False)] == names
    later = [(names[2] + f" > sib200/zh/640 at {lr}", key) for lr, key in (("0.001", "d1"), ("0.002", "d2"))]
    assert list(find_sources(tmp_path, "shuffled", 1, True)) == [("pretrained", ""), (names[2], "b1"), *later]


def made_up() -> dict:
    """Numbers of two languages, whose states are those of English, and the same moved by a vector."""
    generator = np.random.default_rng(2)
    centres = 4 * generator.normal(size=(3, 8))
    labels = np.arange(120) % 3
    states = (centres[labels] + generator.normal(size=(120, 8))).astype(np.float32)
    shift = (30 * (centres[1] - centres[0])).astype(np.float32)
    train, en = (dict.fromkeys(last_token.STATES, states[None, part]) for part in (slice(60), slice(60, 120)))
    hi = {name: en[name] + (0 if name == "mean" else shift) for name in en}
    sentences = {each: Sentences([], labels[60:], ["."] * 60) for each in ("en", "hi")}
    found = analyse(train, labels[:60], {"en": en, "hi": hi}, sentences)
    settings = {"train": 60, "rows": 60, "languages": ["en", "hi"], "C": 0.01, "model": "none"}
    return {"settings": settings, "layers": [0], "tokens": {"en": {".": 60}, "hi": {".": 60}}, "models": {"pretrained": found}}  # fmt: skip


def test_a_language_that_is_moved_is_recognized_once_its_mean_is_subtracted():
    numbers = made_up()
    accuracy = numbers["models"]["pretrained"]["accuracy"]
    assert accuracy["last"]["en"][0] > 95
    assert accuracy["last"]["hi"][0] < 60
    assert accuracy["last centred"]["hi"][0] > 95
    assert accuracy["mean"]["hi"] == accuracy["mean"]["en"]
    assert numbers["models"]["pretrained"]["distance"]["mean"]["hi"] == [0]
    assert numbers["models"]["pretrained"]["distance"]["last"]["hi"][0] > 5


def test_tables_and_figures_need_only_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    numbers = made_up()
    show(numbers, tmp_path)
    printed = capsys.readouterr().out
    value = numbers["models"]["pretrained"]["accuracy"]["last"]["hi"][0]
    assert f"| pretrained | {value:.1f} |" in printed
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(draw(numbers))
    assert all("aria-label" in path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
