"""ONNX files give torch's outputs for any number and length of rows (needs ONNX Runtime)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.support import tiny

from xlift.errors import UserError
from xlift.models.export import onnx, write_model
from xlift.models.export.stock import CLASSES
from xlift.models.outputs import HeadSpec


def exported(folder: Path, family: str, kind: str) -> Path:
    model = tiny.encoder(family)
    head = model.add_head("task", HeadSpec(kind, ("a", "b", "c")), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    write_model(model, tiny.tokenizer_of(family), "task", folder, max_length=32)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("bert", "sequence"),
        ("bert", "choice"),
        ("xlm-roberta", "span"),
        ("xlm-roberta", "sequence"),
        ("modernbert", "token"),
        ("modernbert", "sequence"),
    ],
)
def test_onnx_runtime_gives_the_logits_of_torch(family: str, kind: str, tmp_path: Path):
    for package in onnx.REQUIRED_PACKAGES:
        pytest.importorskip(package, reason="xlift[onnx] is not installed")
    import onnxruntime

    folder = exported(tmp_path / "model", family, kind)
    assert onnx.write_onnx(folder, kind, tmp_path / "model.onnx") <= 1e-4
    # sizes that neither the export nor its check used
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    shape = (2, 4, 17) if kind == "choice" else (3, 17)
    inputs = {"input_ids": torch.randint(5, 400, shape), "attention_mask": torch.ones(shape, dtype=torch.int64)}
    if family == "bert":
        inputs["token_type_ids"] = torch.zeros(shape, dtype=torch.int64)
        inputs["token_type_ids"][..., 9:] = 1
    inputs["attention_mask"][0, ..., 11:] = 0
    found = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    with torch.no_grad():
        output = CLASSES[kind].from_pretrained(folder)(**inputs)
    expected = output.start_logits if kind == "span" else output.logits
    real = inputs["attention_mask"].bool()
    found = torch.from_numpy(found)
    if kind in ("span", "token"):
        found, expected = found[real], expected[real]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(UserError, match="ONNX needs onnxscript") as error:
        onnx.check_installed()
    assert "xlift[onnx]" in error.value.fix


def test_generative_model_is_an_error(tmp_path: Path):
    write_model(tiny.encoder("qwen3"), tiny.tokenizer_of("qwen3"), "", tmp_path / "m", max_length=32, max_new_tokens=4)
    with pytest.raises(UserError, match="encoders only"):
        onnx.write_onnx(tmp_path / "m", "text", tmp_path / "m.onnx")
