"""Benchmark, closed loop in the town, bag evaluation, reports, plots."""
