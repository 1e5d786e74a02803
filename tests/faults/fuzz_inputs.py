"""The kinds of input that `tests.faults.fuzz` damages: how each is damaged, and the commands that read it."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fuzz_files import (
    YAML_TOKENS,
    Payload,
    add_file,
    damage_file,
    damage_json_file,
    damage_yaml,
    replace_file,
    replace_folder,
    study_keys,
)
from tests.faults.fuzz_results import damage_bundle, damage_manifest, damage_predictions, damage_record, damage_store
from tests.support import originals
from tests.support.hostile_values import TEXTS, damage_value, make_value
from tests.support.mutations import mutate_folder

Words = Sequence[str]


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    name: str
    share: int
    """Cases of every twenty."""
    write: Callable[[Path], None]
    """Write the valid input to a folder."""
    damage: Callable[[Path, random.Random], str]
    """Damage the copy in a folder, and say how."""
    commands: Sequence[Words]
    """Commands that read the input. Outputs go to `out`, new stores to `new`."""
    changes: tuple[str, ...] = ()
    """What else the commands may change: names in the folder."""


# --- studies, claims, evidence ----------------------------------------------------------------------------------------


def damage_study(folder: Path, dice: random.Random) -> str:
    path = folder / f"{dice.choice(list(originals.STUDIES))}.yaml"
    how = damage_yaml(path, dice, study_keys())
    if path.is_symlink():
        path.rename(folder / "s.yaml")
    elif path.exists():
        shutil.move(path, folder / "s.yaml")
    return f"{path.name}: {how}"


def damage_claims(folder: Path, dice: random.Random) -> str:
    return damage_yaml(folder / dice.choice(["claims.yaml", "evidence.yaml"]), dice)


# --- submissions, models ----------------------------------------------------------------------------------------------


def damage_submission(folder: Path, dice: random.Random) -> str:
    path = dice.choice(sorted(path for path in (folder / "predictions").rglob("*")))
    if path.is_dir():
        return dice.choice([replace_folder, add_file])(path, dice)
    if path.suffix == ".json" and dice.random() < 0.6:
        return damage_json_file(path, dice)
    if dice.random() < 0.3:
        lines = path.read_text(encoding="utf-8").split("\n")
        lines[dice.randrange(len(lines))] = dice.choice(TEXTS)
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        return f"a line of {path.name}"
    return damage_file(path, dice)


def damage_model(folder: Path, dice: random.Random) -> str:
    """Damage an exported model, or the rows that it is to predict."""
    model = folder / dice.choice(["m", "m", "m", "t"])
    if model.name == "t":
        shutil.rmtree(folder / "m")
        model = model.rename(folder / "m")
    kind = dice.random()
    if kind < 0.3:
        return damage_json_file(model / "xlift.json", dice, ("prompt", "pooling", "onnx", "calibration", "fewshot"))
    if kind < 0.4:
        name = dice.choice(
            ["model.safetensors", "pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"]
        )
        (model / "model.safetensors").unlink()
        (model / name).write_bytes(pickle.dumps(Payload()))
        return f"a pickle as {name}"
    if kind < 0.55:
        (model / "modeling_x.py").write_text("open('../outside/imported', 'w')\nclass X: pass\n")
        name = dice.choice(["config.json", "tokenizer_config.json"])
        content = json.loads((model / name).read_text())
        code = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForSequenceClassification"), "modeling_x.X") | {
            "AutoTokenizer": ["modeling_x.X", None]
        }
        content["auto_map"] = dice.choice([code, {"AutoTokenizer": "../outside--modeling_x.X"}, "x"])
        content |= dice.choice([{}, {"model_type": "unknown-x"}, {"tokenizer_class": "X"}, {"architectures": ["X"]}, {"trust_remote_code": True},
                                {"chat_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}, {"_name_or_path": "/etc"}])  # fmt: skip
        (model / name).write_text(json.dumps(content))
        return f"code in {name}"
    if kind < 0.7:
        return damage_file(folder / dice.choice(["rows.jsonl", "rows.csv", "rows.txt"]), dice)
    if kind < 0.75:
        path = folder / "rows.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[dice.randrange(len(rows))] = make_value(dice)
        rows[0], how = damage_value(rows[0], dice, ("text_a", "label", "score", "probabilities"))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return f"rows.jsonl: {how}"
    if kind < 0.8:
        return replace_file(dice.choice(sorted(path for path in model.iterdir() if path.is_file())), dice)
    if kind < 0.85:
        (model / "README.md").write_text(
            f"---\n{dice.choice(YAML_TOKENS)}\nlanguage: {dice.choice(YAML_TOKENS)}\n---\n", errors="replace"
        )
        return "the front of README.md"
    return mutate_folder(model, dice)


# --- all --------------------------------------------------------------------------------------------------------------

IN_STORE = ("--store", "s")
READ_STORE: list[Words] = [
    ["store", "ls"], ["store", "ls", "--json"], ["store", "verify"], ["store", "du"], ["store", "du", "--json"], ["store", "gc", "--dry-run"],
    ["report", "study"], ["report", "study", "--json", "--metrics"], ["report", "study", "--csv"], ["report", "study", "--csv", "--classes"],
    ["report", "study", "--latex", "--languages"], ["report", "study", "--markdown", "--languages"], ["report", "study", "--noise", "--csv"],
    ["report", "study", "--html", "out/p.html"], ["report", "study", "--paper", "out/p.tex"], ["report", "study", "--paper", "out/p.md"],
    ["report", "--all", "--html", "out"], ["scores", "--csv", "--means"], ["scores", "study", "--predictions", "--csv"], ["scores", "--json"],
    ["scores", "study", "--every-eval-ever", "out/e"], ["scores", "study", "--parquet", "out/s.parquet"], ["scores", "study", "--predictions", "--json"],
    ["compare", "study", "none", "isle-qa"], ["compare", "study", "none", "isle-qa", "--json", "--languages"], ["curves", "study"],
    ["curves", "study", "--csv"], ["claims", "study", "--details"], ["claims", "study", "--json"], ["plan", "study.yaml"],
    ["report", "study", "--borrow-variance"], ["scores", "--sql", "select * from scores"], ["store", "export", "study", "--results", "out/r.zip"],
    ["contamination", "study.yaml"],
]  # fmt: skip
CHANGE_STORE: list[Words] = [
    ["store", "verify", "--repair"], ["store", "gc"], ["store", "gc", "--remove-weights"], ["store", "merge", "s", "--store", "new"],
    ["run", "study.yaml", "--store", "new", "--from", "b.zip", "--workers", "0", "--quiet"],
]  # fmt: skip
OF_STORE = [[*words, *IN_STORE] for words in READ_STORE] + [
    words if "new" in words else [*words, *IN_STORE] for words in CHANGE_STORE
]
OF_BUNDLE: list[Words] = [
    ["report", "b.zip"], ["report", "b.zip", "--json"], ["report", "b.zip", "--csv", "--metrics"], ["report", "b.zip", "--html", "out/p.html"],
    ["report", "b.zip", "--paper", "out/p.tex"], ["report", "b.zip", "--latex"], ["report", "b.zip", "--classes"],
    ["scores", "b.zip", "--csv"], ["scores", "b.zip", "--predictions", "--json"], ["scores", "b.zip", "--every-eval-ever", "out/e"],
    ["compare", "b.zip", "none", "isle-qa"], ["claims", "b.zip", "--details"], ["curves", "b.zip", "--csv"], ["curves", "b.zip"],
    ["store", "merge", "b.zip", "--store", "new"], ["store", "merge", "b.zip", "--store", "s", "--keep-existing"],
    ["run", "study.yaml", "--store", "s", "--from", "b.zip", "--workers", "0", "--quiet"], ["report", "b.zip", "study", "--store", "s"],
]  # fmt: skip
KINDS = [
    Kind("study", 5, originals.write_studies, damage_study, [["plan", "s.yaml"], ["plan", "s.yaml", "--json"]]),
    Kind("claims and evidence", 1, originals.write_studies, damage_claims,
         [["claims", "claims.yaml", "--evidence", "evidence.yaml"], ["claims", "claims.yaml", "--evidence", "evidence.yaml", "--json"]]),
    Kind("store", 3, originals.write_store, damage_store, OF_STORE, ("s",)),
    Kind("manifest", 2, originals.write_store, damage_manifest, OF_STORE, ("s",)),
    Kind("record", 2, originals.write_store, damage_record, OF_STORE, ("s",)),
    Kind("bundle", 3, originals.write_store, damage_bundle, OF_BUNDLE, ("s",)),
    Kind("predictions", 2, originals.write_store, damage_predictions, OF_STORE + OF_BUNDLE, ("s",)),
    Kind("submission", 1, originals.write_submission, damage_submission,
         [["score", "predictions", "labels", "--suite", "xtreme", "--partial", *more] for more in ([], ["--json"], ["--languages"])]),
    Kind("exported model", 1, originals.write_model, damage_model,
         [["predict", "m", f"rows.{name}", "--out", f"out/p.{name.replace('txt', 'tsv')}"] for name in ("jsonl", "csv", "txt")]
         + [["predict", "m", "rows.jsonl", "--probabilities"]]),
]  # fmt: skip
