"""The two versions of the metric and the columns of their sub-scores."""

from __future__ import annotations

from enum import Enum


class Metric(str, Enum):
    """Which official scorer is meant: V1 is PDMS (navsim branch v1.1), V2 is EPDMS (navsim main)."""

    V1 = "v1"
    V2 = "v2"

    @property
    def sub_score_names(self) -> tuple[str, ...]:
        """Columns of `PdmScores.sub`, in the order of the official result files."""
        if self is Metric.V1:
            return ("NC", "DAC", "EP", "TTC", "C", "DDC")
        return ("NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC")

    @property
    def multiplying_names(self) -> tuple[str, ...]:
        """Sub-scores that multiply the total (and the progress that EP is measured against)."""
        return ("NC", "DAC") if self is Metric.V1 else ("NC", "DAC", "DDC", "TLC")

    @property
    def key_frames(self) -> int:
        """2 Hz key frames of the objects that the metric looks at: 5 s in v1.1, 4 s in v2."""
        return 11 if self is Metric.V1 else 9

    @property
    def object_steps(self) -> int:
        """10 Hz steps of the interpolated objects."""
        return 51 if self is Metric.V1 else 41
