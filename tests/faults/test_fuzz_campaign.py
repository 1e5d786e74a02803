"""A short form of the campaign in `tests/faults/fuzz.py`: every kind of input, damaged; and the watch that it relies on."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.fuzz import check_output, kind_of
from tests.faults.fuzz_files import Payload
from tests.faults.fuzz_inputs import KINDS
from tests.support.hostile_values import MARK, SECRET
from tests.support.profile import by_profile
from tests.support.watch import Watch, watching

ROOT = Path(__file__).parents[2]
CASES = by_profile(60, 60, 10_000)


@pytest.mark.slow
@pytest.mark.fuzz
def test_damaged_inputs_give_a_message_and_touch_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzz", "--cases", str(CASES), "--seed", "2"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    for kind in KINDS:
        assert f"| {kind.name} |" in done.stdout


def test_the_kinds_have_their_shares_of_any_twenty_neighbours():
    for first in (0, 7, 100):
        numbers = [kind_of(number).name for number in range(first, first + 20)]
        assert {kind.name: numbers.count(kind.name) for kind in KINDS} == {kind.name: kind.share for kind in KINDS}


# --- what a case would see --------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Watch]:
    for name in ("work", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "outside")
    return tmp_path, Watch(tmp_path, [tmp_path / "work"], [tmp_path / "outside"])


def test_the_watch_sees_files_outside(folders: tuple[Path, Watch]):
    folder, watch = folders
    with watching(watch):
        (folder / "work" / "a").write_text("x")
        (folder / "work" / "a").rename(folder / "work" / "b")
        (folder / "work" / "b").unlink()
    assert watch.seen == []
    with watching(watch):
        (folder / "outside" / "a").write_text("x")
        (folder / "work" / "link" / "b").write_text("x")
        (folder / "outside" / "a").rename(folder / "work" / "a")
        (folder / "outside" / "d").mkdir()
        (folder / "work" / "link" / "secret.txt").read_text()
    assert [line.split("/")[-1] for line in watch.seen] == [
        "a (open)",
        "b (open)",
        "a (os.rename)",
        "d (os.mkdir)",
        "secret.txt",
    ]


def test_the_watch_sees_code_processes_and_connections(folders: tuple[Path, Watch], monkeypatch: pytest.MonkeyPatch):
    import socket

    folder, watch = folders
    monkeypatch.chdir(folder / "work")
    monkeypatch.syspath_prepend(str(folder / "work"))
    (folder / "work" / "own_module_of_a_stranger.py").write_text("x = 1\n")
    with watching(watch):
        pickle.loads(pickle.dumps(Payload())).close()
        subprocess.run(["true"])
        __import__("own_module_of_a_stranger")
        with socket.socket() as connection:
            connection.connect_ex(("127.0.0.1", 9))
    text = "\n".join(watch.seen)
    for word in (
        "pickle.find_class",
        "outside/pickled (open)",
        "a process: subprocess.Popen",
        "own_module_of_a_stranger.py",
        "socket.connect",
    ):
        assert word in text, text


def test_what_output_must_not_have(tmp_path: Path):
    assert check_output(["report"], "a\tb\né\n", "x", tmp_path) == []
    for out in ("a\x1b[2J", "\x9b", SECRET, "Traceback (most recent call last)"):
        assert check_output(["report"], out, "", tmp_path)
    for cell in ("=1+1", "@x", "+x", "-x", '"\t=1"'):
        assert check_output(["report", "--csv"], f"a,{cell}\n", "", tmp_path), cell
    assert check_output(["report", "--csv"], "a,-0.5,+1,'=1,-inf\n", "", tmp_path) == []
    assert check_output(["report", "--latex"], f"\\{MARK}{{}}", "", tmp_path)
    for page in (f"<{MARK}>", f'<a on{MARK}="1">', f'<a href="javascript:{MARK}">'):
        (tmp_path / "p.html").write_text(page)
        assert check_output(["report"], "", "", tmp_path), page
    (tmp_path / "p.html").write_text(f"&lt;{MARK}&gt;")
    assert check_output(["report"], "", "", tmp_path) == []
