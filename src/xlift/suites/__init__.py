"""Benchmark suites XTREME and XTREME-R: their tasks, files and scoring rules; scoring and writing leaderboard
folders."""
