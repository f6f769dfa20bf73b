"""Plans of a replay as a recording of their own, with the topics of the live node."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.candidates import to_candidates, to_markers
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.known_types import known_types
from pair_drive_core.driving.messages.trajectories import to_path, to_planned_trajectory
from pair_drive_core.driving.mount_check import MountFinding
from pair_drive_core.driving.planner_health import (
    HealthLimits,
    PlannerHealth,
    WorkerState,
    mounts_finding,
    output_finding,
    planner_finding,
)
from pair_drive_core.driving.topics import (
    CANDIDATES_TOPIC,
    DIAGNOSTICS_TOPIC,
    MARKERS_TOPIC,
    PATH_TOPIC,
    PLAN_TOPIC,
    absolute,
)
from pair_drive_core.evaluation.bag_intake import InputState, ReadySet
from pair_drive_core.evaluation.bag_replay import ReplayWatcher

_NODE = "/pair_drive_planner"


class PlanWriter(ReplayWatcher):
    """Writes every plan when it was made, by the clock of the recording, so that both play side by side.

    The recording appears under its name when it is complete (`close`); until then it has a hidden one.

    Args:
        path: folder of the recording; must not be there yet.

    Raises:
        FileExistsError: if it is.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path}: expected a new folder for the recording, found one that exists")
        self._path, self._planner = path, ""
        self._partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._types = known_types()
        self._make = bag_messages(self._types)
        # The file inside is named after its folder, so the temporary name belongs to the folder around both.
        self._writer = Writer(self._partial / path.name, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self._health = PlannerHealth()
        self._mounts: tuple[MountFinding, ...] = ()
        self._skew_s: dict[str, float] = {}

    def started(self, planner: str) -> None:
        """Keep the planner's name, which every plan carries."""
        self._planner = planner

    def recorded(self, ready: ReadySet, result: GuardedPlan, mounts: Sequence[MountFinding]) -> None:
        """Write a plan, its path, the leaves it was chosen from, their markers, and the diagnostics until then."""
        self._write_diagnostics(ready.states)
        status = ready.agent_input.now
        age_s = ready.logged_ns * 1e-9 - status.time_us * 1e-6
        plan = to_planned_trajectory(self._make, result, status, ready.frame_id, age_s, self._planner)
        self._write(PLAN_TOPIC, ready.logged_ns, plan)
        self._write(PATH_TOPIC, ready.logged_ns, to_path(self._make, plan))
        leaves = None
        if result.plan.candidates is not None:
            interval_s = result.plan.interval_s
            leaves = to_candidates(self._make, result.plan.candidates, status, ready.frame_id, interval_s)
            self._write(CANDIDATES_TOPIC, ready.logged_ns, leaves)
        self._write(MARKERS_TOPIC, ready.logged_ns, to_markers(self._make, plan, leaves))
        self._mounts = tuple(mounts)
        self._skew_s = {name: (c.time_us - status.time_us) * 1e-6 for name, c in ready.agent_input.cameras.items()}
        self._health.asked += 1
        self._health.record(result, status.time_us, age_s, result.compute_s)

    def ended(self, states: Sequence[InputState]) -> None:
        """Write the diagnostics after the last plan."""
        self._write_diagnostics(states)

    def _write_diagnostics(self, states: Sequence[InputState]) -> None:
        """What the node would have published: its inputs as they were, and the plans as they came."""
        limits, worker = HealthLimits(), WorkerState(True, 0.0, 0)
        for state in states:
            now_us = state.logged_ns // 1000
            if self._health.activated_us is None:
                self._health.activate(now_us)
            findings = [
                Finding("lifecycle", Level.OK, "active"),
                *state.findings,
                mounts_finding(self._mounts),
                planner_finding(self._health, self._planner, self._skew_s),
                output_finding(
                    self._health, worker, now_us, limits.plan_age_limit_s, limits.hang_after_s, limits.startup_s
                ),
            ]
            self._write(DIAGNOSTICS_TOPIC, state.logged_ns, to_diagnostics(self._make, findings, _NODE, now_us))

    def close(self) -> None:
        """Finish the file and put the recording into its place."""
        self._writer.close()
        (self._partial / self._path.name).rename(self._path)
        self._partial.rmdir()

    def discard(self) -> None:
        """Leave nothing behind, as after an error."""
        self._writer.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _write(self, name: str, logged_ns: int, message: Any) -> None:  # noqa: ANN401 - messages of rosbags
        kind = message.__msgtype__
        if name not in self._connections:
            self._connections[name] = self._writer.add_connection(absolute(name), kind, typestore=self._types)
        self._writer.write(self._connections[name], logged_ns, self._types.serialize_cdr(message, kind))
