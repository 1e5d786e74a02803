"""For all tests: no deadline per example (shared machines are noisy), no network, one thread, signals as by default."""

import gc
import os
import signal

import pytest
from hypothesis import settings
from tests.support.command import xlift
from tests.support.profile import PROFILE, by_profile

__all__ = ["xlift"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["XLIFT_CACHE"] = os.path.join(os.devnull, "none")  # no calibration of the machine changes what a test sees

# A shell starts background jobs with Ctrl-C ignored, and what is ignored is inherited: tests of interruption would hang.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("xlift", deadline=None, max_examples=by_profile(30, 100, 5000))
settings.load_profile("xlift")

SLOW_TIMEOUT = 900
"""Seconds for a slow test, and for every test with all its cases. pyproject.toml has the limit of the other tests."""


def pytest_collection_finish() -> None:
    """Keep what is loaded by now out of garbage collections: jobs collect at their end, and each would take a second."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("fuzz")
        if item.get_closest_marker("timeout"):
            continue
        if PROFILE == "fuzz":
            item.add_marker(pytest.mark.timeout(0))
        elif PROFILE == "full" or item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
