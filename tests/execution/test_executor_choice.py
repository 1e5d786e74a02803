"""`--executor` and `--executor-option`: what is refused, before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import run_in_process

from xlift.errors import UserError
from xlift.execution.executors import choice
from xlift.execution.executors.choice import ExecutorChoice, choose_executor
from xlift.execution.remote_study import RemoteStudy, digest_of
from xlift.studies.plan import make_plan
from xlift.studies.store import Store
from xlift.studies.study_file import read_study


def test_options_have_the_types_of_submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    options = ["partition=gpu", "timeout_min=240", "mem_gb=32", "setup=module load cuda"]
    chosen = choose_executor("slurm", options)
    assert chosen.options == {"partition": "gpu", "timeout_min": 240, "mem_gb": 32.0, "setup": ["module load cuda"]}
    assert choose_executor("local") == ExecutorChoice()


@pytest.mark.parametrize(
    ("executor", "options", "message"),
    [
        ("kubernetes", [], "unknown executor 'kubernetes'\n  Write local, ray, ray:ADDRESS or slurm."),
        ("slrum", [], "did you mean 'slurm'?"),
        ("slurm:node1", [], "unknown executor 'slurm:node1'"),
        ("local", ["cluster=local"], "the local executor has no options"),
        ("slurm", ["cluster=local", "partitoin=gpu"], "unknown option 'partitoin'\n  did you mean 'partition'?"),
        ("slurm", ["cluster=local", "partition"], "expected KEY=VALUE"),
        ("slurm", ["cluster=local", "timeout_min=1:30"], "expected a whole number"),
        ("slurm", ["cluster=local", "mem_gb=-1"], "expected 0 or more"),
        ("slurm", ["cluster=debug"], "cluster=debug: expected slurm or local"),
        ("ray:head", [], "expected HOST:PORT"),
        ("ray:head:port", [], "expected HOST:PORT"),
        ("ray:127.0.0.1:99999", [], "no Ray cluster answers"),
    ],
)
def test_what_cannot_be_meant_is_refused(executor: str, options: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        choose_executor(executor, options)
    assert message in str(error.value)
    assert "--executor" in str(error.value)


def test_a_cluster_that_does_not_answer_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        UserError, match=f"--executor ray:127.0.0.1:{port}: no Ray cluster answers at 127.0.0.1 port {port}"
    ):
        choose_executor(f"ray:127.0.0.1:{port}")


@pytest.mark.parametrize(("executor", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_extra_that_is_not_installed_is_named(executor: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"{package} is not installed\n  `pip install 'xlift\[{executor}\]'`"):
        choose_executor(executor)


def test_slurm_needs_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(UserError, match="--executor slurm: there is no `sbatch` here"):
        choose_executor("slurm")


def test_the_number_of_workers_of_a_cluster_must_be_given(tmp_path: Path) -> None:
    # in a process, since nothing may have started
    options = ["--executor", "slurm", "--executor-option", "cluster=local"]
    done = run_in_process(Path("quickstart"), tmp_path / "store", *options)
    assert done.returncode == 2
    assert "--executor slurm: a cluster needs workers\n  add --workers N." in done.stderr


@pytest.mark.parametrize("study", ["quickstart", "file"])
def test_a_study_as_text_is_planned_alike(study: str, tmp_path: Path) -> None:
    if study == "file":
        study = str(tmp_path / "a study.yaml")
        text = "targets: [{task: isle-nli, train: {size: 50}}]\nseeds: [1, 2]\n"
        Path(study).write_text(text, encoding="utf-8")
    file, store = read_study(study, ("seeds=[3]", "targets.0.languages=[qtu]")), Store(tmp_path / "store")
    plan = make_plan(file)
    sent: dict[str, Any] = RemoteStudy.of(file, None, store.where).as_json()
    assert sent["data"] == ""
    Path(tmp_path / "a study.yaml").unlink(missing_ok=True)  # the text travels, not the file
    received = RemoteStudy.from_json(sent)
    planned = received.plan(received.open_store())
    assert planned.jobs.keys() == plan.jobs.keys()
    assert digest_of(planned) == digest_of(plan)
    assert planned.name == plan.name
