"""The metric as a reward: plans of named scenes in, PDMS or EPDMS out; what an RL code base imports."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import PLAN_STEPS, Scene, SceneError
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.scoring import HumanFilter, Metric, prepare_scenes
from pair_drive_core.scoring.indexed import IndexedScenes, score_indexed
from pair_drive_core.scoring.score import Normalisation

KEPT_SCENES = 20_000
"""Indexed scenes kept by default: 4 GB at 0.2 MB each, 12 GB on the largest real maps."""
_PREPARED_AT_ONCE = 64


class NamedScenes(Protocol):
    """Scenes by name: a `SceneCache`, a `NavsimDataset`, the devkit's own `MetricCaches`."""

    def scene(self, token: str, /) -> Scene:
        """A scene.

        Raises:
            UnknownTokenError: if there is none of that name.
        """
        ...


@dataclass(frozen=True)
class PdmRewards:
    """What plans are worth.

    Attributes:
        total: (B, K) in [0, 1]: PDMS, or EPDMS without EC (which needs the plan before); 0 where not valid.
        sub_scores: (B, K, n) in [0, 1], columns `names`.
        valid: (B, K) bool, whether the plan was finite and of this world.
        names: of the sub-scores.
    """

    total: Tensor
    sub_scores: Tensor
    valid: Tensor
    names: tuple[str, ...]


class PdmReward:
    """Scores plans of scenes that are read, given PDM-Closed's plan and indexed when they are first asked for.

    Threads may share one. A forked child has what its parent had; a copy that travels by pickle (to the workers of a
    data loader) starts empty and reads for itself. Everything is deterministic: neither neighbours in a batch nor the
    order of calls change a number.
    """

    def __init__(
        self,
        scenes: NamedScenes,
        metric: Metric = Metric.V1,
        human_filter: HumanFilter = HumanFilter.OFF,
        normalisation: Normalisation = "single",
        kept: int = KEPT_SCENES,
    ) -> None:
        """Remember where scenes come from.

        Args:
            scenes: a scene cache, a data set, or official metric caches of the same metric, which bring PDM-Closed's
                plans along.
            metric: V1 is PDMS, V2 is EPDMS without EC.
            human_filter: V2 only; OFF says what a plan does, not what its demonstrator got away with.
            normalisation: "single" measures each plan's progress against PDM-Closed alone, as one official call a plan
                does; "batch" against the best of all K plans, as one official call for all does.
            kept: scenes kept in memory, the least recently used go first.

        Raises:
            ValueError: if no scenes may be kept.
            SceneError: if there is no compiled kernel.
        """
        if kept < 1:
            raise ValueError(f"kept: expected at least one scene, got {kept}")
        self.metric, self.human_filter, self.normalisation = metric, human_filter, normalisation
        self._scenes, self._most = scenes, kept
        self._begin()

    def __call__(self, tokens: Sequence[str], trajectories: Tensor) -> PdmRewards:
        """Score K plans in each of B scenes.

        Args:
            tokens: B scenes; repeats are allowed.
            trajectories: (B, K, 8, 3), ego frame at t0, 0.5 s apart; m, rad; any device and floating-point type.

        Returns:
            On the device of the trajectories and in their type; no gradients.

        Raises:
            SceneError: if shapes do not fit, or a scene cannot be prepared.
            UnknownTokenError: naming the scene that is not there.
        """
        require_shape("PdmReward: trajectories", trajectories, (len(tokens), "K", PLAN_STEPS, 3))
        indexed = self._indexed(tokens)
        plans = trajectories.detach().to("cpu", torch.float64)
        scores = score_indexed(indexed, plans, self.normalisation, self.human_filter)
        # To the device and the type that the plans came in.
        return PdmRewards(
            scores.total.to(trajectories),
            scores.sub.to(trajectories),
            scores.valid.to(trajectories.device),
            scores.names,
        )

    def prepare(self, tokens: Sequence[str]) -> None:
        """Read and index scenes ahead of their first use; those that do not fit in memory any more are dropped."""
        for first in range(0, len(tokens), _PREPARED_AT_ONCE):
            self._indexed(tokens[first : first + _PREPARED_AT_ONCE])

    @property
    def prepared(self) -> int:
        """How many scenes are in memory."""
        return len(self._entries)

    def _begin(self) -> None:
        self._entries: OrderedDict[str, IndexedScenes] = OrderedDict()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def _indexed(self, tokens: Sequence[str]) -> IndexedScenes:
        if not tokens:
            raise SceneError("PdmReward: expected at least one scene, got none")
        if os.getpid() != self._process:
            # Another thread of the parent may have held the lock when this process was forked.
            self._lock, self._process = threading.Lock(), os.getpid()
        wanted = list(dict.fromkeys(tokens))
        with self._lock:
            here = {token: self._entries[token] for token in wanted if token in self._entries}
            for token in here:
                self._entries.move_to_end(token)
        # Reading needs no lock: two threads that want one scene make it twice, and equal.
        missing = [token for token in wanted if token not in here]
        for first in range(0, len(missing), _PREPARED_AT_ONCE):
            here |= self._made(missing[first : first + _PREPARED_AT_ONCE])
        with self._lock:
            self._entries.update({token: here[token] for token in missing})
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return IndexedScenes.joined([here[token] for token in tokens])

    def _made(self, tokens: Sequence[str]) -> dict[str, IndexedScenes]:
        scenes = [self._scenes.scene(token) for token in tokens]
        bare = [scene for scene in scenes if scene.reference is None]
        planned: Iterator[Tensor] = iter(pdm_references(bare, self.metric) if bare else ())
        made = {}
        for token, scene in zip(tokens, scenes, strict=True):
            whole = scene if scene.reference is not None else replace(scene, reference=next(planned))
            # One index a scene, so that each can be dropped alone.
            alone = prepare_scenes([whole], self.metric, torch.float64)
            indexed = IndexedScenes.build(alone)
            if indexed is None:
                raise SceneError("PdmReward: needs the kernel (python -m pair_drive_core.scoring.native.build)")
            made[token] = indexed
        return made

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: where scenes come from, and how to score."""
        left = ("_entries", "_lock", "_process")
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing in memory."""
        self.__dict__.update(state)
        self._begin()
