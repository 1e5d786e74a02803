"""Progress of a run: few plain lines for a log, a live display with the width of the terminal."""

from __future__ import annotations

import io
import time

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.support.fake_jobs import job

from xlift.estimate import Estimator
from xlift.execution import progress
from xlift.execution.progress import LiveDisplay, PlainDisplay, SilentDisplay

LONG = "train " + " + ".join(f"isle-task-{n}/qta/3000" for n in range(12)) + " [bold]not markup[/bold]"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which only changes when a test changes it."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def plain(workers: int = 1) -> tuple[PlainDisplay, io.StringIO]:
    stream = io.StringIO()
    return PlainDisplay(Estimator(), workers, stream), stream


def test_plain_lines_have_a_counter_and_the_time_left(clock: list[float]) -> None:
    display, stream = plain()
    first, second = job("a", examples=100), job("b", examples=300)
    display.begin([first, second], done=2)
    clock[0] += 1
    display.started(first)
    clock[0] += 10
    display.finished(first, 10.0)
    assert stream.getvalue().splitlines() == [
        "2 jobs to do, 2 done already, about 1 s left",
        "[2/4] a",
        "[3/4] done in 10.0 s: a; about 30 s left",  # 300 examples at the rate of the first hundred
    ]


def test_starting_workers_are_shown_until_a_job_starts(clock: list[float]) -> None:
    display, stream = plain()
    display.begin([job("a")], done=0)
    display.starting(1)
    display.starting(0)
    assert stream.getvalue().splitlines()[1:] == ["starting 1 worker", "loading PyTorch"]
    for end in ("started", "stopping"):
        shown, console, _ = live(80)
        with shown:
            shown.begin([job("a")], done=0)
            shown.starting(2)
            assert "starting 2 workers" in frame(shown, console)[1]
            if end == "started":
                shown.started(job("a"))
            else:
                shown.stopping(0)
            assert "starting" not in " ".join(frame(shown, console))


def test_one_job_is_singular(clock: list[float]) -> None:
    display, stream = plain()
    display.begin([job("a")], done=0)
    assert stream.getvalue().startswith("1 job to do, 0 done already")
    shown, console, _ = live(80)
    with shown:
        shown.begin([job("a")], done=0)
        assert " job, " in frame(shown, console)[0]


def test_the_time_left_is_divided_by_the_workers() -> None:
    display, _ = plain(workers=4)
    jobs = [job(str(n), examples=100) for n in range(5)]
    display.begin(jobs, done=0)
    display.finished(jobs[0], 30.0)
    assert display.time_left() == "about 30 s"


def test_without_jobs_there_is_no_time_left() -> None:
    display, stream = plain()
    only = job("a")
    display.begin([only], done=0)
    display.finished(only, 1.0)
    assert stream.getvalue().splitlines()[-1] == "[1/1] done in 1.0 s: a; under 1 s left"


def test_jobs_of_other_processes_do_not_change_the_estimate() -> None:
    display, stream = plain()
    one, other = job("a", examples=100), job("b", examples=100)
    display.begin([one, other], done=0)
    before = display.estimator.seconds(other)
    display.finished(one, 0.0)
    assert display.estimator.seconds(other) == before
    display.finished(other, 0.0)
    assert "done by another process: b" in stream.getvalue()


@pytest.mark.parametrize("kind", ["train", "predict"])
def test_many_small_jobs_make_few_lines(kind: str, clock: list[float]) -> None:
    display, stream = plain(workers=16)
    jobs = [job(str(n), kind=kind) for n in range(1000)]
    display.begin(jobs, done=0)
    for each in jobs:  # a hundred jobs a second, for ten seconds
        display.started(each)
        display.step(each, 1, 2)
        display.running_elsewhere(each)
        clock[0] += 0.01
        display.finished(each, 0.01)
    lines = stream.getvalue().splitlines()
    assert len(lines) <= (30 if kind == "train" else 5)
    assert lines[-1].startswith("[1000/1000]")  # the last line is always printed


def test_a_long_job_prints_its_steps(clock: list[float]) -> None:
    display, stream = plain()
    long = job("long")
    display.begin([long], done=0)
    display.started(long)
    for step in range(100):
        clock[0] += 1
        display.step(long, step + 1, 100)
    steps = [line for line in stream.getvalue().splitlines() if " of 100" in line]
    assert steps == [f"[0/1] long: {n} of 100" for n in (30, 60, 90)]


def test_the_label_counts_other_jobs_of_the_batch(clock: list[float]) -> None:
    display, stream = plain()
    first, second = job("a", kind="predict"), job("b", kind="predict")
    display.begin([first, second], done=0)
    clock[0] += 10
    display.started(first, 1)
    clock[0] += 40
    display.step(first, 7, 20)
    assert stream.getvalue().splitlines()[1:] == ["[0/2] a and 1 more", "[0/2] a and 1 more: 7 of 20"]
    shown, console, _ = live(60)
    with shown:
        shown.begin([first, second], done=0)
        shown.started(first, 1)
        assert "a and 1 more" in frame(shown, console)[1]


def test_failures_and_stops_are_printed_at_once(clock: list[float]) -> None:
    display, stream = plain()
    display.begin([job("a")], done=0)
    display.failed(job("a"), 2)
    display.failed(job("b"), 0)
    display.stopping(1)
    display.stopping(0)
    display.warning("careful")
    assert stream.getvalue().splitlines()[1:] == [
        "failed: a; the error is printed after 2 other running jobs (Ctrl-C: now)",
        "failed: b",
        "stopping: 1 running job, writing checkpoints (Ctrl-C again: stop now)",
        "xlift: warning: careful",
    ]


def test_a_closed_stream_does_not_end_the_run() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    display = PlainDisplay(Estimator(), 1, Closed())
    only = job("a")
    display.begin([only], done=0)
    display.started(only)
    display.finished(only, 1.0)
    display.failed(only, 0)


def test_the_silent_display_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    display = SilentDisplay()
    only = job("a")
    display.begin([only], 0)
    display.started(only)
    display.step(only, 1, 2)
    display.finished(only, 1.0)
    display.running_elsewhere(only)
    display.failed(only, 1)
    display.stopping(1)
    display.starting(2)
    display.warning("careful")
    assert capsys.readouterr() == ("", "")


# -- on a terminal -----------------------------------------------------------------------------------------------------


def live(width: int) -> tuple[LiveDisplay, Console, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=20, color_system=None)
    return LiveDisplay(Estimator(), 2, console), console, stream


def frame(display: LiveDisplay, console: Console) -> list[str]:
    """The current lines on the terminal."""
    stream = io.StringIO()
    Console(file=stream, width=console.width, color_system=None).print(display.progress.get_renderable())
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_live_display_fits_the_width(width: int) -> None:
    display, console, _ = live(width)
    train, predict = job(LONG, examples=10_000), job("predict 日本語 " * 20, kind="predict")
    with display:
        display.begin([train, predict], done=1234)
        display.started(train)
        display.started(predict)
        display.step(train, 1500, 100_000)
        lines = frame(display, console)
    assert len(lines) == 3
    assert all(cell_len(line) <= width - len("^C^C") for line in lines)  # a wrapped ^C would leave a bar behind
    assert "1234/1236" in lines[0]
    assert "left" in lines[0] or width == 40
    assert "1500/100000" in lines[1]
    assert "trai" in lines[1]


def test_the_live_display_shows_the_running_jobs_only(clock: list[float]) -> None:
    display, console, stream = live(100)
    first, second, third = job("first"), job("second", examples=1000), job("third")
    with display:
        display.begin([first, second, third], done=0)
        for each in (first, second, third):
            display.started(each)
        clock[0] += 2
        display.finished(first, 2.0)
        display.failed(third, 1)
        display.running_elsewhere(job("fourth"))
        display.stopping(1)
        lines = frame(display, console)
    assert len(lines) == 2
    assert "1/3" in lines[0]
    assert "about 2 min left" in lines[0]  # 1010 examples at 0.2 s, two workers: 101 s
    assert "second" in lines[1]
    output = stream.getvalue()
    assert "failed: third; the error is printed after 1 other running job (" in output
    assert "another process is running: fourth" in output
    assert "stopping: 1 running job, writing" in output


def test_labels_are_not_parsed_as_markup() -> None:
    display, console, stream = live(100)
    with display:
        display.begin([job("[red]a[/nonsense]")], done=0)
        display.started(job("[red]a[/nonsense]"))
        display.running_elsewhere(job("[red]b[/nonsense]"))
        assert "[red]a[/nonsense]" in frame(display, console)[1]
    assert "[red]b[/nonsense]" in stream.getvalue()


def test_the_live_display_refreshes_by_itself() -> None:
    display, _, stream = live(60)
    with display:
        display.begin([job("a")], done=0)
        before = len(stream.getvalue())
        time.sleep(0.3)
        assert len(stream.getvalue()) > before
