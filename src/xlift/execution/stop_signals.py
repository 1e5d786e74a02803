"""The signals that stop a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a request of a cluster or the system, a closed terminal: a run stops cleanly on all three."""


class StopNow(BaseException):
    """A second stop signal arrived while a job ran in this process."""


class Stopped(Exception):
    """The run was stopped by a signal. Finished jobs are in the store, and training jobs have written checkpoints."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """128 + signal number, as in shells: 130 after Ctrl-C, 143 after SIGTERM."""


@contextmanager
def record_stop_signals(at_once_from: int | None = None) -> Iterator[list[int]]:
    """Collect the stop signals that arrive. Raising an exception could interrupt a message from a worker. A signal that is
    ignored (nohup) stays ignored.

    Args:
        at_once_from: raise `StopNow` from this signal on.
    """
    received: list[int] = []

    def record(number: int, _: object) -> None:
        received.append(number)
        if at_once_from is not None and len(received) >= at_once_from:
            raise StopNow

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only the main thread can set handlers
        for number in STOP_SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, record)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
