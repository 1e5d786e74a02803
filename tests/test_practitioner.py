"""A practitioner's afternoon: the files and commands of the how-to run as they stand there, on 300 made-up rows with five labels
and three test languages. Only the model and its learning rate are others."""

from __future__ import annotations

import csv
import random
import shlex
from pathlib import Path

import pytest
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.pages import blocks
from tests.test_cli_predict_files import Feed, feed  # noqa: F401  (a fixture)

TOPICS = {"billing": "Paris", "delivery": "river", "account": "book", "returns": "children", "other": "garden"}
"""Label -> the word that tells it, in every language."""
WORDS = {
    "en": "the old man reads a long and went to",
    "de": "fonu tekte vuboru noka",
    "sw": "tit lotve ter vilri",
    "th": "สวัสดี ครับ มาก",
}


def rows(language: str, n: int) -> list[tuple[str, str]]:
    """(message, label): words of the language and one that tells the label; one label in ten is wrong."""
    rng = random.Random(language)
    made = []
    for at in range(n):
        label = list(TOPICS)[at % len(TOPICS)]
        words = [*rng.choices(WORDS[language].split(), k=rng.randint(2, 6)), TOPICS[label], f'"{at}",']
        rng.shuffle(words)
        made.append((" ".join(words), rng.choice(list(TOPICS)) if rng.random() < 0.1 else label))
    return made


def write_csv(path: Path, header: list[str], lines: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *lines])


def write_files(folder: Path) -> None:
    """Write the labelled files of the how-to."""
    write_csv(folder / "train.en.csv", ["message", "label"], list(rows("en", 300)))
    for language in ("de", "sw", "th"):
        write_csv(folder / f"test.{language}.csv", ["message", "label"], list(rows(language, 40)))


@pytest.mark.slow
def test_six_commands_from_300_labels_to_labels_in_a_pipe(xlift: Xlift, feed: Feed, tmp_path: Path):  # noqa: F811
    (study,) = (block.text for block in blocks("how-to", "yaml") if block.file == "support.yaml")
    for shown, ours in (("FacebookAI/xlm-roberta-base", "tiny-model"), ("lr: 2.0e-5", "lr: 3.0e-3")):
        assert shown in study
        study = study.replace(shown, ours)
    tiny.model_folder(tmp_path / "tiny-model")
    (tmp_path / "support.yaml").write_text(study, encoding="utf-8")
    write_files(tmp_path)
    messages = [(f"=n{at}", text) for at, (text, _) in enumerate(rows("sw", 20) + rows("th", 20))]
    write_csv(tmp_path / "new.csv", ["ticket", "message"], list(messages))

    (block,) = (each.text for each in blocks("how-to", "sh") if "xlift run support.yaml" in each.text)
    install, *commands, piped = (line.partition("#")[0].strip() for line in block.splitlines())
    assert install == "make install"
    out = {}
    for command in commands:
        _, *words = shlex.split(command)
        answer = xlift(*words, *(["--workers", "0", "--quiet"] if words[0] == "run" else []))
        assert answer.code == 0, answer.err
        out[words[0]] = answer.out
    assert list(out) == ["plan", "run", "report", "export"]
    assert all(label in out["plan"] for label in TOPICS)  # the plan shows the data
    assert "240" in out["plan"]
    assert all(language in out["report"] for language in ("de", "sw", "th"))
    assert "Temperature " in out["export"]
    assert "calibration error, test th: " in out["export"]

    source, command = (part.strip() for part in piped.partition(">")[0].split("|"))
    assert source == "cat new.csv"
    answer = feed((tmp_path / "new.csv").read_bytes(), *shlex.split(command)[1:])
    assert answer.code == 0, answer.err
    header, *found = csv.reader(answer.out.splitlines())
    assert header == ["ticket", "message", "label", "score"]
    assert [tuple(row[:2]) for row in found] == messages
    assert all((row[2] in TOPICS) == (float(row[3]) >= 0.7) for row in found)
    assert {row[2] for row in found} > {"unsure"}  # both kinds of rows
    assert {row[2] for row in found} <= {*TOPICS, "unsure"}
