"""Benchmark and bag evaluation, reports, plots."""
