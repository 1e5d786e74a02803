"""Damaged studies, stores, manifests, bundles, predictions, submissions and models, and the commands that read them.

    python -m tests.faults.fuzz --cases 10000 --seed 1            # all of it; --first 2000 starts at a case
    python -m tests.faults.fuzz --first 1234 --cases 1 --seed 1   # one case again, with its traceback

Every case copies a small valid input, damages it, and runs a public command on it. What must hold:

- The exit code is 0 or 2. There is no traceback, and no warning of Python.
- Nothing is written outside of the folders that the command is given. No file outside is read through a store or a bundle.
- No code runs: no process, no unpickled object, no import from the input, no connection, no question on the terminal.
- Output has no control characters for a terminal to obey, no markup of the input in a page, no formula in CSV.
- It ends within some seconds of CPU time and with some memory.

The seed and the number of a case determine it. A process that dies is found by the process that started it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.fuzz_inputs import KINDS, Kind, Words
from tests.support.hostile_values import MARK, SECRET
from tests.support.watch import Watch, watching

CPU_SECONDS = 10.0
"""Limit of a command. The longest of the valid inputs takes two."""
WALL_SECONDS = 30
MEMORY = 4 << 30
"""Of a process, with torch and all else."""
PIECE = 1000
"""Cases of one process."""


class OutOfTime(BaseException):
    """A command ran too long."""


@dataclass
class Result:
    number: int
    kind: str
    words: Words
    how: str
    seconds: float = 0.0
    """Of CPU."""
    is_refused: bool = False
    failures: list[str] = field(default_factory=list)


def kind_of(number: int) -> Kind:
    slots = [kind for kind in KINDS for _ in range(kind.share)]
    return slots[number * 7 % len(slots)]  # 7 and 20 have no common divisor, so neighbours are of different kinds


def warm_up(kind: Kind, originals: Path, folder: Path) -> None:
    """Run a command on the valid input of a kind, so that what it imports is there. Raises an error if it fails."""
    shutil.copytree(originals / kind.write.__name__, folder)
    (folder / "out").mkdir()
    if kind.name == "study":
        shutil.move(folder / "rich.yaml", folder / "s.yaml")
    os.chdir(folder)
    result = Result(-1, kind.name, kind.commands[0], "valid input")
    code, _, err = run_command(result.words, None, result)
    if code or result.failures:
        raise RuntimeError(f"xlift {' '.join(result.words)} fails on a valid input: {err} {result.failures}")
    os.chdir(folder.parent)
    shutil.rmtree(folder)


def run_case(number: int, seed: int, originals: Path, folder: Path) -> Result:
    """Run one case in a new folder, and remove it if nothing failed."""
    started, dice, kind = time.process_time(), random.Random(f"{seed} {number}"), kind_of(number)
    work, outside = folder / "work", folder / "outside"
    shutil.copytree(originals / kind.write.__name__, work)
    for name in ("out", "outside", "tmp"):
        (work if name == "out" else folder).joinpath(name).mkdir()
    (outside / "secret.txt").write_text(SECRET, encoding="utf-8")
    os.chdir(work)
    how = kind.damage(work, dice)
    words = dice.choice(kind.commands)
    if "--html" in words or "--paper" in words:  # they take ten times as long as others: one of four is enough
        words = dice.choice([words, *dice.choices(kind.commands, k=3)])
    result = Result(number, kind.name, words, how)
    writable = [work / name for name in ("out", "new", *kind.changes)] + [folder / "tmp"]
    # The user's own studies, stores and folders may lead elsewhere by links. What is sent as one file may not.
    unreadable = [outside, Path("/etc/passwd"), Path("/proc/self/environ")] if kind.name == "bundle" else []
    before = snapshot(folder, writable)
    tempfile.tempdir = str(folder / "tmp")
    watch = Watch(folder, writable, unreadable)
    code, out, err = run_command(words, watch, result)
    result.is_refused = code == 2
    if code not in (0, 2) and not result.failures:
        result.failures.append(f"exit code {code}")
    result.failures += dict.fromkeys(watch.seen)
    if snapshot(folder, writable) != before:
        result.failures.append("files outside of its folders are changed")
    result.failures += check_output(words, out, err, work / "out")
    os.chdir(folder.parent)
    result.seconds = time.process_time() - started
    return result


def run_command(words: Words, watch: Watch | None, result: Result) -> tuple[Any, str, str]:
    """Run a command in this process. Returns its exit code and output; a traceback becomes a failure."""
    from xlift import cli

    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["xlift", *words]
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            warnings.catch_warnings(record=True) as raised,
            limits(),
            watching(watch),
        ):
            warnings.simplefilter("always", RuntimeWarning)
            cli.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        lines = traceback.format_exception(error)
        where = [line.strip().split("\n")[0] for line in traceback.format_tb(error.__traceback__) if "xlift" in line]
        result.failures.append(
            f"{type(error).__name__}: {str(error)[:200]} | {where[-1] if where else lines[-2].strip()}"
        )
        result.failures.append("".join(lines))
        code = 1
    result.failures += [
        f"a Python warning: {each.message} | {each.filename}:{each.lineno}"
        for each in raised
        if issubclass(each.category, RuntimeWarning)
    ]
    return code, out.getvalue(), err.getvalue()


@contextmanager
def limits() -> Iterator[None]:
    """Raise OutOfTime in a block that takes too long."""

    def stop(number: int, frame: Any) -> None:
        raise OutOfTime("CPU time" if number == signal.SIGPROF else "a wait")

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.alarm(WALL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def snapshot(folder: Path, leave_out: list[Path]) -> dict[str, Any]:
    """Path -> size and time of every file below a folder that is not in `leave_out`."""
    found, left_out = {}, {str(path) for path in leave_out}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(parent, name) not in left_out]
        for name in files + folders:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns) if name in files else None
    return found


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MARKUP = re.compile(rf"<{MARK}|[\s\"'/]on{MARK}=|href=[\"']?javascript:", re.IGNORECASE)
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.]|inf|nan)")


def check_output(words: Words, out: str, err: str, folder: Path) -> list[str]:
    """What the output of a command has and must not have."""
    failures = []
    for name, text in (("stdout", out), ("stderr", err)):
        if found := _CONTROLS.search(text.replace("\r\n", "\n")):
            failures.append(f"a control character in {name}: {text[max(0, found.start() - 40) : found.end() + 20]!r}")
        if SECRET in text:
            failures.append(f"the content of a file outside in {name}")
        if "Traceback" in text:
            failures.append(f"a traceback in {name}: {text[-2000:]}")
        if len(text) > 3_000_000:
            failures.append(f"{len(text):,} characters in {name}")
    if "--csv" in words:
        try:
            cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
        except csv.Error as error:
            return [*failures, f"csv: {error}"]
        failures += [f"a formula in CSV: {cell[:80]!r}" for cell in cells if _FORMULA.match(cell)][:1]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if SECRET in text:
            failures.append(f"the content of a file outside in {path.name}")
        if path.suffix in (".html", ".svg") and (found := _MARKUP.search(text)):
            failures.append(f"markup in {path.name}: {text[max(0, found.start() - 80) : found.end() + 40]!r}")
    latex = out if "--latex" in words else "".join(path.read_text(errors="replace") for path in folder.glob("*.tex"))
    if f"\\{MARK}" in latex or "\\input{/etc" in latex:
        failures.append("a command of LaTeX")
    return failures


# --- processes --------------------------------------------------------------------------------------------------------


def write_originals(folder: Path) -> None:
    for write in dict.fromkeys(kind.write for kind in KINDS):
        (folder / write.__name__).mkdir(parents=True)
        write(folder / write.__name__)


def run_piece(first: int, cases: int, seed: int, originals: Path) -> None:
    """Run cases in this process, and print a line of JSON before and after each."""
    prepare_process()
    stdout = os.fdopen(os.dup(1), "w")
    warm: list[object] = []
    with tempfile.TemporaryDirectory(prefix="xlift-fuzz-") as root:
        for number in range(first, first + cases):
            folder, kind = Path(root).resolve() / str(number), kind_of(number)
            if kind.write not in warm:
                warm_up(kind, originals, folder)
                warm.append(kind.write)
            print(json.dumps({"started": number}), file=stdout, flush=True)
            folder.mkdir()
            result = run_case(number, seed, originals, folder)
            print(json.dumps(vars(result)), file=stdout, flush=True)
            os.system(f"chmod -R u+rwX {folder} 2>/dev/null") if any(folder.rglob("*")) and result.failures else None
            shutil.rmtree(folder, ignore_errors=True)


def prepare_process() -> None:
    """Keep what this process does away from the user's folders, and bound its memory."""
    import typer

    from xlift import cli

    os.environ.update(
        XLIFT_CACHE="/dev/null/none", HF_HUB_OFFLINE="1", HF_HOME="/dev/null/none", COLUMNS="100", OMP_NUM_THREADS="1"
    )
    for name in ("XLIFT_STORE", "XLIFT_DATA"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = True
    cli.app = typer.main.get_command(cli.app)  # pyright: ignore[reportAttributeAccessIssue]  # built once, not for every case
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.RLIM_INFINITY))


def run_cases(first: int, cases: int, seed: int) -> Iterator[Result]:
    """Run cases in processes of `PIECE` cases each. A case in which the process dies is a failure, and the next process goes on."""
    with tempfile.TemporaryDirectory(prefix="xlift-originals-") as folder:
        write_originals(Path(folder))
        number, end = first, first + cases
        while number < end:
            command = [sys.executable, "-m", "tests.faults.fuzz", "--piece", folder, "--first", str(number)]
            command += ["--cases", str(min(PIECE, end - number)), "--seed", str(seed)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                started = number - 1
                for line in process.stdout:
                    content = json.loads(line)
                    if "started" in content:
                        started = content["started"]
                    else:
                        number = started + 1
                        yield Result(**content)
            if process.returncode:
                if started < number:
                    raise RuntimeError(f"the process of case {number} cannot start: exit code {process.returncode}")
                yield Result(
                    started,
                    kind_of(started).name,
                    (),
                    "",
                    failures=[f"the process died: exit code {process.returncode}"],
                )
                number = started + 1


def summarize(results: list[Result]) -> str:
    """A Markdown table: what was damaged, and what became of it."""
    counts = Counter(
        (result.kind, "failed" if result.failures else "refused" if result.is_refused else "read") for result in results
    )
    lines = ["| input | cases | read | refused with a message | failed |", "| --- | --- | --- | --- | --- |"]
    for name in (*(kind.name for kind in KINDS), "all"):
        own = [
            sum(n for (kind, what), n in counts.items() if name in (kind, "all") and what == each)
            for each in ("read", "refused", "failed")
        ]
        lines.append(f"| {name} | {sum(own):,} | {own[0]:,} | {own[1]:,} | {own[2]:,} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Damaged inputs of every kind, and the commands that read them.")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.piece:
        run_piece(options.first, options.cases, options.seed, Path(options.piece))
        return 0
    started, results = time.monotonic(), []
    for result in run_cases(options.first, options.cases, options.seed):
        results.append(result)
        if options.verbose:
            print(
                f"{result.number} {result.kind}: {result.how[:100]} | {' '.join(result.words)} | {'refused' if result.is_refused else 'read'} | {result.seconds:.2f}",
                flush=True,
            )
        if result.failures:
            print(
                f"case {result.number}, {result.kind}: {result.how}\n  xlift {' '.join(result.words)}",
                *result.failures,
                sep="\n  ",
                flush=True,
            )
    print(summarize(results))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.monotonic() - started:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of CPU", file=sys.stderr)
    return int(any(result.failures for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
