"""What a plan will take, before and while it runs.

shape.py: parameters and operations of a model; tokens.py: tokens of an example; work.py: what a job puts through its model;
rates.py: seconds of that on this machine; devices.py: on another one; memory.py: bytes; schedule.py: several workers;
foresight.py: all of it for a plan; estimator.py: corrected by what was seen; check.py: how far off it was.
"""

from xlift.studies.estimate.estimator import SECONDS_PER_EXAMPLE, Estimator, amount, gigabytes, human
from xlift.studies.estimate.foresight import Foresight

__all__ = ["SECONDS_PER_EXAMPLE", "Estimator", "Foresight", "amount", "gigabytes", "human"]
