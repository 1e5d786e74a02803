"""Code that comes with a model never runs: every call that could load it says so, and models that need it are refused."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.model_folders import family_folder

import xlift as package

WITHOUT_CODE = {"PreTrainedTokenizerFast"}
"""Classes that load no code: they read `tokenizer.json`."""
CODE = "open('ran', 'w')\nclass Own: pass\n"


def loads(function: ast.expr) -> bool:
    """Whether a function may load a model or a tokenizer with its code."""
    assert isinstance(function, ast.Attribute)
    return function.attr in ("from_pretrained", "from_config") and ast.unparse(function.value) not in WITHOUT_CODE


def loading_calls() -> list[tuple[str, ast.Call]]:
    """(place, call) of every call of `from_pretrained` and `from_config` in the package."""
    found = []
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        found += [(f"{path.name}:{call.lineno}", call) for call in calls if loads(call.func)]
    return found


def test_every_call_that_loads_a_model_refuses_its_code():
    calls = loading_calls()
    assert len(calls) > 10
    for place, call in calls:
        values = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert values.get("trust_remote_code") == "False", place


def test_nothing_in_the_package_turns_remote_code_on():
    for path in Path(package.__file__).parent.rglob("*.py"):
        assert "trust_remote_code=True" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_study_names_a_model_with_code(xlift: Xlift, tmp_path: Path, name: str):
    """A model that needs its code is refused before any work, with the reason; one that only has some is taken."""
    folder = family_folder(tmp_path / "m", "encoder")
    (folder / "own.py").write_text(CODE)
    content = json.loads((folder / name).read_text())
    content["auto_map"] = {"AutoConfig": "own.Own", "AutoModel": "own.Own", "AutoTokenizer": ["own.Own", None]}
    (folder / name).write_text(json.dumps(content))
    (tmp_path / "s.yaml").write_text("models: [m]\ntargets: [{task: isle-nli, train: {size: 8}}]\n")
    assert "code" not in xlift("plan", "s.yaml").err
    if name == "config.json":
        (folder / name).write_text(json.dumps(content | {"model_type": "own"}))
    else:
        (folder / "tokenizer.json").unlink()
    answer = xlift("run", "s.yaml", "--workers", "0")
    assert answer.code == 2
    assert "code of" in answer.err
    assert "which xlift does not run" in answer.err
    assert not (tmp_path / "ran").exists()


def test_a_model_of_a_known_type_loads_without_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from xlift.models.pretrained import load_pretrained

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question on the terminal"))
    folder = tiny.model_folder(tmp_path / "m", "bert")
    (folder / "own.py").write_text(CODE)
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        content["auto_map"] = {"AutoConfig": "own.Own", "AutoModel": "own.Own", "AutoTokenizer": ["own.Own", None]}
        (folder / name).write_text(json.dumps(content))
    model, _, _ = load_pretrained(folder)
    assert type(model).__module__.startswith("transformers.")
    assert not (tmp_path / "ran").exists()
