"""One rank of a training job on several devices, started by torchrun: `python -m xlift.execution.rank`.

Messages to the worker (execution/work/torchrun.py): ("step", done, total), ("warning", text), and at the end ("done", numbers), from the main
process; ("finished",) from the other ranks at the end; ("interrupted",); ("error", exception).
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from multiprocessing.connection import Client, Connection
from typing import Any

from xlift.errors import UserError
from xlift.execution.work.torchrun import ADDRESS, KEY, RankBug
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.store import Draft, Store
from xlift.training.progress import Interrupted, Progress

REPORT_INTERVAL = 0.5
"""Seconds between two progress reports."""


def main() -> int:
    connection = Client(os.environ[ADDRESS], authkey=bytes.fromhex(os.environ[KEY]))
    assignment = connection.recv()
    stop = threading.Event()
    threading.Thread(target=_receive_stop, args=(connection, stop), daemon=True).start()
    try:
        message = _train(connection, stop, *assignment)
    except Interrupted:
        message = ("interrupted",)
    except Exception as error:
        # a full disk is reported as it is; a lost connection to another rank is an internal error
        is_plain = isinstance(error, UserError | OSError) and not isinstance(error, ConnectionError)
        message = ("error", error if is_plain else RankBug(traceback.format_exc()))
    connection.send(message)
    return message[0] == "error"


def _train(
    connection: Connection, stop: threading.Event, job: Any, context: Any, root: Any, folder: Any
) -> tuple[Any, ...]:
    import resource

    import torch
    import torch.distributed as dist

    from xlift.execution.work import training
    from xlift.execution.work.shared import disk_errors_as_oserror, threads_for
    from xlift.training import devices

    store = Store(root)
    torch.set_num_threads(threads_for(job, context, store))
    process_group = devices.init_process_group(context.engine)
    draft = Draft(folder, TrainNumbers())

    last_report = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > REPORT_INTERVAL:
            last_report = time.monotonic()
            connection.send(("step", done, total))

    def warn(message: str) -> None:
        connection.send(("warning", message))

    progress = Progress(report, stop.is_set, warn=warn) if process_group.is_main_process else Progress()
    with disk_errors_as_oserror(draft.folder):
        training.train(job, context, store, draft, progress)
    dist.barrier()  # a rank that exits early would close the connections of other ranks
    dist.destroy_process_group()
    draft.numbers.peak_memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return ("done", draft.numbers) if process_group.is_main_process else ("finished",)


def _receive_stop(connection: Connection, stop: threading.Event) -> None:
    """Set `stop` on any message from the worker, and exit the process when the worker exits."""
    while True:
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        stop.set()


if __name__ == "__main__":
    sys.exit(main())
