"""Passwords and tokens stay out of messages, stores, pages and logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support import tiny_study
from tests.support.command import Xlift

from xlift.errors import UserError, hide_secrets
from xlift.hub import client

SECRETS = {
    "HF_TOKEN": "hf_sentinelToken0123456789", "WANDB_API_KEY": "sentinelwandb0123456789", "AWS_ACCESS_KEY_ID": "SENTINELAWSID0000",
    "AWS_SECRET_ACCESS_KEY": "sentinelaws/secret+0123456789", "OPENALEX_API_KEY": "sentinelopenalex", "MLFLOW_TRACKING_PASSWORD": "sentinelmlflow",
}  # fmt: skip
PASSWORD = "sentinelpassword"
ENDPOINT = f"http://someone:{PASSWORD}@127.0.0.1:9"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the environment, and a mirror of the Hub with a password, which does not answer."""
    from huggingface_hub import constants

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_ENDPOINT", ENDPOINT)
    monkeypatch.setattr(constants, "ENDPOINT", ENDPOINT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    client.list_files.cache_clear()


def find_secrets(text: str) -> list[str]:
    return [secret for secret in (*SECRETS.values(), PASSWORD) if secret in text]


def test_messages_hide_passwords_of_addresses_and_secrets_of_the_environment():
    assert hide_secrets(f"no answer from {ENDPOINT}/a (a@b.c)") == "no answer from http://***@127.0.0.1:9/a (a@b.c)"
    error = UserError(f"refused {SECRETS['HF_TOKEN']}", where=f"s3://{PASSWORD}@bucket/x", fix=SECRETS["WANDB_API_KEY"])
    assert not find_secrets(str(error) + repr(error.__reduce__()))
    assert str(error) == "s3://***@bucket/x: refused ***\n  ***"
    assert hide_secrets(f"x {os.environ['HOME']} user@host 1 + 2") == f"x {os.environ['HOME']} user@host 1 + 2"


def test_a_failed_download_does_not_show_the_password(xlift: Xlift, tmp_path: Path):
    (tmp_path / "s.yaml").write_text(
        "models: [someone/model]\ntargets: [{task: xnli, train: {size: 10}}]\nsource: hub\n"
    )
    (tmp_path / "t.yaml").write_text("targets: [{task: xnli, train: {size: 10}}]\nsource: hub\n")
    outputs = ""
    for words in ("plan s.yaml", "run s.yaml", "run t.yaml", "fetch xnli --data data", "doctor", "doctor --json"):
        answer = xlift(*words.split())
        assert not find_secrets(answer.out + answer.err), words
        outputs += answer.out + answer.err
    assert "http://***@127.0.0.1:9" in outputs  # else nothing is tested
    assert not any(find_secrets(path.read_text()) for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_run_keeps_secrets_out_of_its_store_and_its_page(xlift: Xlift, tmp_path: Path):
    target = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}
    study = tiny_study.write_study(
        tmp_path, targets=[target], intermediate=["none"], engine={"report_to": ["tensorboard"]}
    )
    outputs = ""
    for words in (
        ["run", study, "--workers", "0"],
        ["report", "study", "--html", "p.html"],
        ["scores", "--json"],
        ["curves", "study", "--csv"],
    ):
        answer = xlift(*words)
        assert answer.code == 0, answer.err
        outputs += answer.out + answer.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.name == "manifest.json" for path in files) == 2
    outputs += "".join(path.read_bytes().decode("latin-1") for path in files) + "".join(map(str, files))
    assert not find_secrets(outputs)
