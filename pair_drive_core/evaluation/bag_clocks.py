"""What the stamps of a recording tell of its clocks: offsets between sensors, repeats, gaps to the recorder."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.synchronizer import LIDAR, SynchronizerConfig

_SUSPICIOUS_S = 0.2
"""Transport and drivers take less."""
_OTHER_CLOCK_S = 1e7
"""Clocks farther apart do not run wrong: one of them counts from another moment, such as its start."""
_SAME_CLOCK_S = 10.0
"""Pictures of cameras whose clocks agree this well can be compared stamp by stamp."""


@dataclass
class StreamStamps:
    """Stamps of the messages of one input.

    Attributes:
        topic: name in the recording.
        stamps_us: by the sensor's clock.
        logged_us: by the recorder's.
        repeated: messages with the stamp of the one before.
    """

    topic: str
    stamps_us: list[int] = field(default_factory=list)
    logged_us: list[int] = field(default_factory=list)
    repeated: int = 0

    def add(self, stamp_us: int, logged_us: int) -> None:
        """Take a message."""
        self.repeated += bool(self.stamps_us) and self.stamps_us[-1] == stamp_us
        self.stamps_us.append(stamp_us)
        self.logged_us.append(logged_us)

    @property
    def delay_s(self) -> float:
        """Median of recording time minus stamp."""
        return float(np.median(np.array(self.logged_us) - np.array(self.stamps_us))) / US_PER_S


def clock_findings(streams: dict[str, StreamStamps], config: SynchronizerConfig) -> list[str]:
    """What is wrong with the clocks, one line each.

    Args:
        streams: by NAVSIM camera name, `lidar`, `odometry`, `acceleration`; without commands, which may come rarely.
        config: tolerances.
    """
    filled = {name: stream for name, stream in streams.items() if any(stream.stamps_us)}
    findings = [
        f"{name} ({stream.topic}): its messages carry no time (header.stamp is 0 in all of them)"
        for name, stream in streams.items()
        if stream.stamps_us and name not in filled
    ]
    if filled:
        delays = {name: stream.delay_s for name, stream in filled.items()}
        usual = min(delays.values(), key=abs)
        begin_s = {name: stream.stamps_us[0] / US_PER_S for name, stream in filled.items()}
        for name, delay in delays.items():
            if abs(delay - usual) > _OTHER_CLOCK_S:
                findings.append(
                    f"{name} ({filled[name].topic}): its stamps are of another clock (since it was switched on?): they "
                    f"begin at {begin_s[name]:.1f} s, others' at {max(begin_s.values()):.1f} s"
                )
            elif abs(delay - usual) > _SUSPICIOUS_S:
                findings.append(_offset_line(name, filled[name], delay, usual, config))
    findings += _apart(filled, config)
    for name, stream in filled.items():
        if stream.repeated:
            findings.append(f"{name} ({stream.topic}): {stream.repeated} messages repeat the stamp of the one before")
    return findings


def _offset_line(name: str, stream: StreamStamps, delay: float, usual: float, config: SynchronizerConfig) -> str:
    where = f"{name} ({stream.topic})"
    if delay < usual:
        return (
            f"{where}: its clock is {usual - delay:.2f} s ahead: stamps lie {-delay:+.2f} s after the recorder's time, "
            f"others' {-usual:+.2f} s"
        )
    return (
        f"{where}: recorded {delay:.2f} s after its stamps, others {usual:.2f} s (a slow way to the recorder, or its "
        f"clock is {delay - usual:.2f} s behind); sync.max_wait_s = {config.max_wait_s} s is waited for it"
    )


def _apart(streams: dict[str, StreamStamps], config: SynchronizerConfig) -> list[str]:
    """Cameras and LiDAR whose nearest stamps are farther from the reference camera's than the tolerance."""
    reference = streams.get(config.reference_camera)
    if reference is None:
        return []
    found = []
    bounds = dict.fromkeys(config.cameras, ("camera_tolerance_s", config.camera_tolerance_s))
    bounds[LIDAR] = ("lidar_tolerance_s", config.lidar_tolerance_s)
    for name, (parameter, bound) in bounds.items():
        if name == config.reference_camera or name not in streams:
            continue
        apart = _nearest_offset_s(np.array(reference.stamps_us), np.array(sorted(streams[name].stamps_us)))
        if bound < abs(apart) < _SAME_CLOCK_S:
            found.append(
                f"{name} ({streams[name].topic}): its stamps lie {1e3 * apart:+.0f} ms from the nearest of "
                f"{config.reference_camera}; sync.{parameter} = {1e3 * bound:.0f} ms"
            )
    return found


def _nearest_offset_s(reference: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """Median distance from each reference stamp to the nearest other one, with its sign."""
    after = np.clip(np.searchsorted(other, reference), 0, len(other) - 1)
    before = np.maximum(after - 1, 0)
    to_after, to_before = other[after] - reference, other[before] - reference
    nearest = np.where(np.abs(to_after) <= np.abs(to_before), to_after, to_before)
    return float(np.median(nearest)) / US_PER_S
