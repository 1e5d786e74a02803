"""Estimates of what a plan takes, before and during a run.

work.py: tokens and operations of a job; tokens.py: tokens of an example; rates.py: seconds on this machine; devices.py:
seconds on another device; memory.py: bytes; schedule.py: several workers; plan_estimate.py: all of it for a plan;
estimator.py: corrections by finished jobs; run_estimate.py: comparison of an estimate with the run.
"""

from xlift.estimate.estimator import SECONDS_PER_EXAMPLE, Estimator
from xlift.estimate.plan_estimate import PlanEstimate

__all__ = ["SECONDS_PER_EXAMPLE", "Estimator", "PlanEstimate"]
