"""For all tests: no deadline per example (shared machines are noisy), no network, one thread, signals as by default."""

import os
import signal

from hypothesis import settings
from tests.support.command import xlift

__all__ = ["xlift"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["XLIFT_CACHE"] = os.path.join(os.devnull, "none")  # no calibration of the machine changes what a test sees

# A shell starts background jobs with Ctrl-C ignored, and what is ignored is inherited: tests of interruption would hang.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("xlift", deadline=None)
settings.load_profile("xlift")
