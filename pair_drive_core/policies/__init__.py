"""Trained models as planners."""
